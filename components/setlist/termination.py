"""A pod's termination message: the reason of a failure, where Kubernetes and Kubeflow show it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from setlist.errors import SetlistError
from setlist.printable import lines

RUN_VARIABLE = "SETLIST_RUN"
"""The id of the run. On a cluster a label of the pod: an argument would end all caching."""
TERMINATION_LOG = Path("/dev/termination-log")
"""The file that Kubernetes shows for a failed pod, and Kubeflow beside the step; only in pods."""
MAX_MESSAGE_BYTES = 4096
"""Kubernetes takes no more of the file."""
EXPLAINING_PROCESS_VARIABLE = "SETLIST_SPEAKER"
"""Holds the id of the process that writes the file; the processes that it starts inherit it."""


def explain_exit(
    log: Path = TERMINATION_LOG, keep: Callable[[BaseException], None] | None = None
) -> None:
    """Write an exception that ends this process to `log`; it is still printed as before.

    A `SetlistError` is written as its sentence, any other exception as "TypeName: message". Nothing
    is written where the file does not exist. Nor do processes that this process starts write to it:
    the step may go on after one of them has failed.

    Args:
        log: the file.
        keep: called with the exception after all that.
    """
    has_log = os.access(log, os.W_OK)
    if not (has_log or keep):
        return
    process = str(os.getpid())
    if os.environ.setdefault(EXPLAINING_PROCESS_VARIABLE, process) != process:
        return
    previous_hook = sys.excepthook

    def write_and_print(
        kind: type[BaseException], fault: BaseException, trace: TracebackType | None
    ) -> None:
        reason = str(fault) if issubclass(kind, SetlistError) else f"{kind.__name__}: {fault}"
        reason = lines(reason)
        # Cut as bytes; "ignore" drops a character that the cut has split.
        text = reason.encode(errors="replace")[:MAX_MESSAGE_BYTES].decode(errors="ignore")
        try:
            if has_log:
                log.write_bytes(text.encode())
        finally:
            previous_hook(kind, fault, trace)
            if keep:
                keep(fault)

    sys.excepthook = write_and_print
