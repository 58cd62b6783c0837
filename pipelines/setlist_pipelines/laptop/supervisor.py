"""Runs the steps of a run, each in a session of its own, and ends them when the run is to end."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TypeVar

from setlist.runs.step_failure import TASK_VARIABLE, TITLE_VARIABLE
from setlist_pipelines.laptop import step_main
from setlist_pipelines.laptop.run_state import RunState
from setlist_pipelines.laptop.step_command import StepCommand

GRACE_SECONDS = 10
"""From asking a step to end until it is killed."""
PATIENT_SIGNALS = 3
"""The signal at which this process ends at once, if it has not ended yet."""
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
Line = TypeVar("Line", str, bytes)
FINISHED_BEFORE = "was finished before, and is not done again"


class Interrupted(BaseException):
    """A signal has come; no `except Exception` of a library may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.word = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


class Supervisor:
    """Runs one step after the other.

    Attributes:
        state: of the run.
        variables: of the environment of every step.
        titles: the display names of steps, by their names.
        process: of the step that runs now.

    A signal is noted whenever it comes, and raised only while this process waits for a step:
    raised in the middle of starting a step or of cleaning up, it would leave the step behind, or
    meet an object that is half made.
    """

    def __init__(
        self,
        state: RunState,
        variables: Mapping[str, str] = MappingProxyType({}),
        titles: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.state, self.variables, self.titles = state, variables, titles
        self.process: subprocess.Popen[str] | None = None
        self._signals: list[int] = []
        self._waits = False

    @contextmanager
    def interrupted_by_signals(self) -> Iterator[None]:
        """Have SIGTERM, SIGINT and SIGHUP end what runs in this block; in the main thread.

        The first raises `Interrupted` where a step is waited for, and before the next step is
        started; the next kills a step that is slow to end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
        try:
            for number, handler in before.items():
                # `nohup` and a shell's `&` have the process ignore a signal.
                if handler is not signal.SIG_IGN:
                    signal.signal(number, self._interrupt)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) > 1:
            self._signal_step(signal.SIGKILL)
        elif self._waits:
            raise Interrupted(number)
        if len(self._signals) >= PATIENT_SIGNALS:
            os._exit(1)  # the kernel closes the lifeline of whatever still runs

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Have a signal raised that comes in this block, or has come before it.

        Raises:
            Interrupted: a signal has come.
        """
        self._waits = True
        try:
            if self._signals:
                raise Interrupted(self._signals[0])
            yield
        finally:
            self._waits = False

    def waited(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines of a step; a signal interrupts the wait for the next of them.

        Raises:
            Interrupted: a signal has come.
        """
        following = iter(lines)
        while True:
            with self.waiting():
                line = next(following, None)
            if line is None:
                return
            yield line

    def run_step(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Run the process of a step to its end, print what it prints, and return its exit code.

        Whatever interrupts this ends the step and all processes that it has started.

        Args:
            full_command: that of kfp.
            env_vars: variables that kfp adds to the environment.

        Raises:
            OSError: the folder of the run cannot be written.
        """
        step = StepCommand.parse(full_command)

        def start() -> int:
            with self.state.scratch(step) as folder:
                return self._run(step, folder, {**self.environment(step), **(env_vars or {})})

        return self.attempt(step, start)

    def environment(self, step: StepCommand) -> dict[str, str]:
        """The variables that tell a step where it is; see `setlist.runs.step_failure`."""
        title = self.titles.get(step.name, step.name)
        return {**self.variables, TASK_VARIABLE: step.name, TITLE_VARIABLE: title}

    def attempt(self, step: StepCommand, start: Callable[[], int]) -> int:
        """Start a step unless it was finished before; write down that it is. Its exit code.

        Raises:
            OSError: the folder of the run cannot be written.
        """
        with self.waiting():
            pass
        if self.state.is_finished(step):
            print(FINISHED_BEFORE)  # noqa: T201 - the runner turns it into progress
            return 0
        step.clear()
        code = start()
        if code == 0:
            self.state.finish(step)
        return code

    def _run(self, step: StepCommand, folder: Path, environment: dict[str, str]) -> int:
        source, executor_input = folder / "ephemeral_component.py", folder / "executor_input.json"
        source.write_text(step.source, "utf-8")
        executor_input.write_text(json.dumps(step.executor_input), "utf-8")
        reading, writing = os.pipe()
        arguments = [str(reading), str(source), str(executor_input), step.function]
        try:
            self.process = process = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, step_main.__file__, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, **environment, **step_variables(folder)},
                pass_fds=[reading],
                start_new_session=True,  # a Ctrl-C reaches us alone, and we tell the step
            )
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        lifeline = os.fdopen(writing, "w")

        def cut_lifeline() -> None:
            process.wait()
            lifeline.close()

        # What a step leaves running would hold the pipe of its output, and the loop below with it.
        watcher = threading.Thread(target=cut_lifeline, name="lifeline", daemon=True)
        try:
            watcher.start()
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            with process.stdout as lines:
                for line in self.waited(lines):
                    print(line, end="")  # noqa: T201 - the runner turns it into progress
            with self.waiting():
                return process.wait()
        finally:
            self._end(process)
            if watcher.is_alive():
                watcher.join()
            self.process = None

    def _end(self, process: "subprocess.Popen[str]") -> None:
        if process.poll() is None:
            self._signal_step(signal.SIGTERM)
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal_step(signal.SIGKILL)
                process.wait()

    def _signal_step(self, number: int) -> None:
        """Send a signal to all processes of the step's session."""
        with suppress(ProcessLookupError):
            if self.process:
                os.killpg(self.process.pid, number)


def step_variables(folder: Path) -> dict[str, str]:
    """The variables of a step's environment that are ours.

    Args:
        folder: its temporary folder.
    """
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [entry for entry in entries if entry and Path(entry).absolute() != Path.cwd()]
    return {
        "_KFP_RUNTIME": "true",
        "PYTHONPATH": os.pathsep.join(others),  # the step adds the working folder, as the last
        "TMPDIR": str(folder),
        "PYTHONSAFEPATH": "1",  # also for what the step starts as `python -m`
        "PYTHONUTF8": "1",
    }
