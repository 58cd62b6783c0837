"""A pod's last words: the reason of a failure, where Kubernetes and Kubeflow show it.

In a pod the entry point is kfp's executor, which runs the bare source of a step, so each step calls
`explain_exit` in its first line.
"""

import os
import sys
from pathlib import Path
from types import TracebackType

from setlist.errors import SetlistError

TERMINATION_LOG = Path("/dev/termination-log")
"""What Kubernetes shows of a pod that failed, and Kubeflow beside the step. Only pods have it."""
LENGTH = 4096  # bytes that Kubernetes takes of it
SPEAKER = "SETLIST_SPEAKER"


def explain_exit(log: Path = TERMINATION_LOG) -> None:
    """Have an exception that ends this process written to `log`, besides what is done anyway.

    A `SetlistError` is its sentence, anything else "TypeName: message". Nothing happens where there
    is no such file, and in processes that this one starts: what ends them need not end the step.
    """
    if not os.access(log, os.W_OK):
        return
    if os.environ.setdefault(SPEAKER, str(os.getpid())) != str(os.getpid()):
        return
    previous = sys.excepthook

    def write_and_go_on(
        kind: type[BaseException], fault: BaseException, trace: TracebackType | None
    ) -> None:
        reason = str(fault) if issubclass(kind, SetlistError) else f"{kind.__name__}: {fault}"
        text = reason.encode(errors="replace")[:LENGTH].decode(errors="ignore")
        try:
            log.write_bytes(text.encode())
        finally:
            previous(kind, fault, trace)

    sys.excepthook = write_and_go_on
