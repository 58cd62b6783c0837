"""What `setlist run` does before anything else is imported: a signal ends it in one sentence.

The imports of the command line take half a second, in which Python's own answer to Ctrl-C is a
traceback, and that to SIGTERM nothing at all. While steps run, the supervisor takes the signals
(`setlist_pipelines.laptop.supervisor`).
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType


def end_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's
    """End this process, which has started nothing yet, or ended all of it."""
    word = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    # Straight to the descriptor: the signal may have come while Python was writing.
    if os.isatty(1):
        os.write(1, b"\x1b[?25h\n")  # the cursor, which a progress bar hides
    try:
        os.write(
            2, f"setlist: {word} ended the run between steps; nothing is left running.\n".encode()
        )
    finally:
        os._exit(1)


def begin(arguments: list[str]) -> None:
    """Take the signals, if the command line is that of a run.

    Args:
        arguments: `sys.argv`.
    """
    ours = Path(arguments[0]).name in ("setlist", "-m", "__main__.py", "main.py")
    if not ours or arguments[1:2] != ["run"]:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # `nohup` and a shell's `&` have the process ignore a signal.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_at_once)


def end() -> None:
    """Ignore further signals of a run that has said how it ended: Python's end is the next moment.

    Otherwise a second SIGTERM would kill a process that has nothing left to do, with another code.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is end_at_once:
            signal.signal(number, signal.SIG_IGN)


begin(sys.argv)
