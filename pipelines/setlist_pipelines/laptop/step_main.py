"""The process of a step on this machine: `python step_main.py LIFELINE SOURCE INPUT FUNCTION`.

kfp would start a step through a shell, with the working folder first on the path of imports, and
with all of its settings in one argument, of which Linux takes 128 KiB.

Nothing outside the standard library is imported before the path is in order.
"""

import os
import signal
import sys
from pathlib import Path


def put_working_folder_last() -> None:
    """Move the working folder to the end of the path of imports, or add it there.

    A `yaml.py` that happens to lie in the folder is not run in place of the package. A metric of
    the user's own is still imported from it.
    """
    here = Path.cwd()
    others = [entry for entry in sys.path if entry and Path(entry).absolute() != here]
    sys.path[:] = [*others, str(here)]


def end_with(lifeline: int) -> None:
    """Have all processes of this session killed as soon as the other end of a pipe is closed.

    It is closed when the supervisor has seen this process end, and by the kernel when the
    supervisor is killed. A process of its own waits for it: a thread would have to wait for
    whatever holds the interpreter.

    Args:
        lifeline: the reading end of the pipe.
    """
    if os.fork():
        os.close(lifeline)
        return
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # The supervisor reads what the step prints until nobody has the pipe any more.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.read(lifeline, 1)
    finally:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Run the function of a step on its input, as kfp does in a pod."""
    lifeline, source, executor_input, function = sys.argv[1:]
    end_with(int(lifeline))
    put_working_folder_last()
    # No argument of a process any more, so it may be of any length.
    text = Path(executor_input).read_text("utf-8")
    sys.argv[1:] = ["--component_module_path", source, "--executor_input", text]
    sys.argv += ["--function_to_execute", function]
    from kfp.dsl.executor_main import executor_main

    executor_main()


if __name__ == "__main__":
    main()
