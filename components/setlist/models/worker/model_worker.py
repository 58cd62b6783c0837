"""Start a worker, ask it, and kill it when it does not answer in time."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self

from setlist.errors import ModelError, missing_extra
from setlist.models.contract import ModelInfo
from setlist.models.library_noise import is_noise
from setlist.models.worker import frames
from setlist.models.worker.confinement import (
    OUT_OF_MEMORY_CODE,
    Limits,
    allowed_memory,
    environment,
)
from setlist.models.worker.frames import Message
from setlist.printable import one_line

START_SECONDS = 120.0
"""To import TensorFlow takes 2 to 5 s, on a busy node several times as long."""
LOAD_SECONDS = 60.0
LOAD_BYTES_PER_SECOND = 10_000_000
"""To load a model, and again to warm it up, may take a minute and a second for each 10 MB of its
files; a model of a million items, 0.6 GB, takes some 15 s for both. A follower does not look at
HEAD meanwhile."""
PRINTED_LINES = 20
PRINTED_CHARACTERS = 300
SENTENCE_CHARACTERS = 1_000
"""Of what a worker says went wrong."""


class ModelUnansweredError(ModelError):
    """The model did not answer in time, or its process died; the worker has to start anew."""


def require_tensorflow() -> None:
    """Say at once that a worker could not start, where TensorFlow is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("tensorflow") is None:
        fault = ModuleNotFoundError("a model needs TensorFlow", name="tensorflow")
        raise missing_extra(fault) or fault


class ModelWorker:
    """A process that loads models and answers for them; each call names the folder of its model.

    It has no credentials, no network where the kernel allows that, writes no file, and may use so
    much memory (see `setlist.models.worker.confinement`). `close` ends it, as does the end of this
    process. Its methods are for one thread at a time.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        """Start the process; TensorFlow is imported there while this process goes on."""
        require_tensorflow()
        self.limits = limits or Limits()
        self.unconfined: str | None = None
        """"" where it has no network and cannot write, else why; None until it has said hello."""
        self.quiet = True
        """Whether what it prints is dropped. While a model is asked it may be of listeners, and
        before there is one it is what TensorFlow says whenever it starts."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "setlist.models.worker.main"]
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*command, str(theirs.fileno()), self.limits.model_dump_json()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=environment(os.environ),
                start_new_session=True,  # Ctrl-C is for the parent, which ends its workers
            )
        self._last_line = ""
        self._held: set[Path] = set()
        self._memory = 0  # bytes that it may have
        self._asked = ""
        self.connection = ours
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        printer = threading.Thread(target=self._print, args=[self._process.stdout], daemon=True)
        printer.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until TensorFlow is imported.

        Raises:
            ModelUnansweredError: it is not after so many seconds, or the process died.
        """
        if self.unconfined is None:
            hello = self._receive("start", time.monotonic() + seconds)
            self.unconfined = str(hello.head["unconfined"])

    def load(
        self, folder: Path, allowed: Collection[str] = (), seconds: float | None = None
    ) -> ModelInfo:
        """Check the graph of a model and load it, beside the models before.

        Args:
            folder: of the model.
            allowed: operations of its graph that are allowed beside the usual ones.
            seconds: that it may take; None: `loading_seconds`.

        Raises:
            ModelError: it is refused, or does not load.
            ModelUnansweredError: not in time, or the process died of it.
        """
        self.wait()
        self.quiet = False
        seconds = seconds or loading_seconds(folder)
        self._held.discard(folder)
        self._memory = allowed_memory(self.limits, [*self._held, folder])
        head = {"allowed": sorted(allowed), "memory": self._memory}
        answer = self.ask("load", folder, head, asked="while it was loaded", seconds=seconds)
        self._held.add(folder)
        return ModelInfo.model_validate(answer.head["info"])

    def drop(self, folder: Path, seconds: float) -> None:
        """Let the process forget a model.

        Raises:
            ModelUnansweredError: it does not answer any more.
        """
        self._held.discard(folder)
        self.ask("drop", folder, seconds=seconds)

    def warm_up(self, folder: Path, seconds: float | None = None) -> float:
        """Call the loaded model a few times, and read the titles and tags of its items.

        Returns:
            The seconds of the slowest call, once the model was warm.

        Raises:
            ModelError: it fails, or lists nothing.
            ModelUnansweredError: not in time, or the process died of it.
        """
        seconds = seconds or loading_seconds(folder)
        return float(self.ask("warm_up", folder, seconds=seconds).head["slowest"])

    def ask(
        self,
        call: str,
        folder: Path,
        head: Mapping[str, object] | None = None,
        arrays: Mapping[str, frames.Array] | None = None,
        *,
        asked: str = "",
        seconds: float,
    ) -> Message:
        """What the worker answers to a call of `setlist.models.worker.calls` about a model.

        Args:
            call: the name of the call.
            folder: of the model.
            head: the arguments.
            arrays: those that are arrays.
            asked: in words that end a sentence, when that is and for how many listeners.
            seconds: to wait.

        Raises:
            ModelError: what went wrong there.
            ModelUnansweredError: no answer in time, or the process died; it is killed.
        """
        until = time.monotonic() + seconds
        self._asked = asked or f"in {call!r}"
        document = {"call": call, "folder": str(folder.absolute()), **(head or {})}
        try:
            frames.send(self.connection, Message(document, arrays or {}), until)
        except OSError as fault:  # TimeoutError is one, too
            raise self._killed(call, fault, seconds) from fault
        return checked(self._receive(call, until, seconds))

    def _receive(self, call: str, until: float, seconds: float = START_SECONDS) -> Message:
        try:
            return frames.receive(self.connection, until)
        except (OSError, EOFError, frames.FrameError) as fault:
            raise self._killed(call, fault, seconds) from fault

    def _killed(self, call: str, fault: Exception, seconds: float) -> ModelUnansweredError:
        """Kill the process; the error that says why."""
        if isinstance(fault, TimeoutError):
            self.close()
            return ModelUnansweredError(
                f"no answer to {call!r} within {seconds:.4g} s; its process was ended"
            )
        if isinstance(fault, frames.FrameError):
            self.close()
            return ModelUnansweredError(
                f"its process sent {one_line(fault, SENTENCE_CHARACTERS)}, and was ended"
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)  # the socket closes a moment before the process ends
        code = self._process.returncode
        self.close()
        if code == OUT_OF_MEMORY_CODE:
            return ModelUnansweredError(
                f"its process used more than the {self._memory / 1e9:.2f} GB of memory that it may "
                f"have, {self._asked}",
                "let it read fewer plays of each listener, score fewer listeners at a time, or "
                "know fewer items",
            )
        if code == -signal.SIGXCPU:
            return ModelUnansweredError(
                f"its process used more than {self.limits.processor_seconds:,} s of processor time"
            )
        reason = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"code {code}"
        last = f" ({self._last_line})" if self._last_line and call in ("start", "load") else ""
        return ModelUnansweredError(f"its process ended with {reason} in {call!r}{last}")

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _print(self, output: IO[bytes]) -> None:
        """Print what the process prints, as its words and within bounds, and drop the rest."""
        printed = 0
        with output:
            while line := output.readline(PRINTED_CHARACTERS):
                self._last_line = one_line(
                    line.decode(errors="replace").strip(), SENTENCE_CHARACTERS
                )
                if self.quiet or is_noise(self._last_line):
                    continue
                printed += 1
                if printed <= PRINTED_LINES:
                    print(f"  the model's process: {self._last_line}", flush=True)
                elif printed == PRINTED_LINES + 1:
                    print("  the model's process: further lines are left out", flush=True)


def loading_seconds(folder: Path) -> float:
    """How long a model may take to load, and as long again to warm up, by the size of its files."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return LOAD_SECONDS + size / LOAD_BYTES_PER_SECOND


def checked(message: Message) -> Message:
    """The message, unless it says that something went wrong.

    Raises:
        ModelError: it does; in the words of the worker, since names of the model stand in them.
    """
    if error := message.head.get("error"):
        sentence, remedy, *_ = (
            one_line(str(text).partition("\n")[0], SENTENCE_CHARACTERS) for text in [*error, ""]
        )
        raise ModelError(sentence, remedy)
    return message
