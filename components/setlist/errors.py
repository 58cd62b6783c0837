"""The one exception that is meant for the person at the keyboard, and a pod's last words."""

import os
import sys
from pathlib import Path
from types import TracebackType

TERMINATION_LOG = Path("/dev/termination-log")
"""What Kubernetes shows of a pod that failed, and Kubeflow beside the step. Only pods have it."""
LENGTH = 4096  # bytes that Kubernetes takes of it
SPEAKER = "SETLIST_SPEAKER"


class SetlistError(Exception):
    """A fault that its reader can mend.

    The message is one sentence that names the file, key or row at fault and the remedy; steps and
    the command line print it without a traceback and end with a non-zero exit code.
    """


def end_with_message(log: Path) -> None:
    """Have an exception that ends this process written to `log`, besides what is done anyway.

    A `SetlistError` is its sentence, anything else "TypeName: message". Processes that this one
    starts do not write there: what ends them need not end the step.
    """
    if os.environ.setdefault(SPEAKER, str(os.getpid())) != str(os.getpid()):
        return
    before = sys.excepthook

    def write_and_go_on(
        kind: type[BaseException], fault: BaseException, trace: TracebackType | None
    ) -> None:
        said = str(fault) if issubclass(kind, SetlistError) else f"{kind.__name__}: {fault}"
        try:
            log.write_bytes(said.encode(errors="replace")[:LENGTH].decode(errors="ignore").encode())
        finally:
            before(kind, fault, trace)

    sys.excepthook = write_and_go_on


if os.access(TERMINATION_LOG, os.W_OK):
    end_with_message(TERMINATION_LOG)
