"""The process of a step on this machine: `python step_main.py LIFELINE SOURCE INPUT FUNCTION`.

kfp would start a step through a shell, with the working folder first on the path of imports, and
with all of its settings in one argument, of which Linux takes 128 KiB.

Nothing outside the standard library is imported before the path is in order.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class WorkingFolder:
    """Finds the modules of one folder that are found nowhere else.

    To be the last entry of `sys.path` is not enough: `google` is a package without `__init__.py`,
    and a `google.py` anywhere on the path comes before such a package.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module lies in the folder; None where it lies elsewhere."""
        # What is in a package is found by the path of the package.
        return PathFinder.find_spec(name, [self.folder], target) if path is None else None


def put_working_folder_last() -> None:
    """Have the working folder looked at last, after all of the path of imports.

    A `yaml.py` that happens to lie in the folder is not run in place of the package. A metric of
    the user's own is still imported from it.
    """
    here = Path.cwd()
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).absolute() != here]
    others = [finder for finder in sys.meta_path if not isinstance(finder, WorkingFolder)]
    sys.meta_path[:] = [*others, WorkingFolder(str(here))]


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
