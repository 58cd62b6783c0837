"""What a run on this machine knows of itself, in RUN/.run: enough to take it up after a kill.

    lock             held by the process that works on the run
    run.json         its id, its pipeline, its image; written first
    settings.yaml    its settings, with absolute paths
    finished/STEP    what a finished step was made of; written last
    tmp/STEP         the temporary folder of a step, while it runs

RUN/settings.yaml is written when the whole run is finished, and says so.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from setlist.errors import SettingsError
from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE
from setlist_pipelines.laptop.step_command import ANNOUNCES_FAILURE, StepCommand
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings, read_settings

STATE_FOLDER, PARTIAL = ".run", ".partial"
RUN_ID = r"^((retraining|monitoring)-)?[0-9]{8}-[0-9]{6}-[0-9a-z]+$"
"""The pipeline, when the run began, and something by chance: the name of its folder, and its id in
the store, in reports and in logs. In former versions, folders had such names and ids began with the
day; and before, there was a process's number in place of the chance."""


class RunIdentity(BaseModel):
    """What `run.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str = Field(pattern=RUN_ID)
    pipeline: PipelineName
    image: str
    """In whose containers the steps run; "" for processes."""


@dataclass
class RunState:
    """A run that this process works on; nobody else does, until it is closed.

    Attributes:
        root: the folder of the run.
        identity: of the run.
        lock: the descriptor of the locked file; children do not inherit it.
    """

    root: Path
    identity: RunIdentity
    lock: int

    @classmethod
    def create(cls, workdir: Path, pipeline: PipelineName, image: str, settings: Settings) -> Self:
        """Begin a run in a new folder below `workdir`.

        Raises:
            OSError: the folder cannot be written.
        """
        # The chance is in it because two machines may push to one store in the same second.
        run_id = f"{pipeline}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        root = workdir / run_id
        (root / STATE_FOLDER / "finished").mkdir(parents=True)
        lock = take_lock(root)
        if lock is None:
            raise SettingsError(f"{root} is worked on by another process", "start the run again")
        identity = RunIdentity(run_id=run_id, pipeline=pipeline, image=image)
        document = yaml.safe_dump(settings.document(), sort_keys=False, allow_unicode=True)
        write_whole(root / STATE_FOLDER / SETTINGS_FILE, document)
        write_whole(root / STATE_FOLDER / "run.json", identity.model_dump_json())
        return cls(root, identity, lock)

    @classmethod
    def reopen(cls, root: Path) -> Self:
        """Take up a run that was ended before it was finished.

        Raises:
            SettingsError: it is finished, another process works on it, or there is no such run.
        """
        path = root / STATE_FOLDER / "run.json"
        if root.is_symlink() or path.parent.is_symlink():
            raise SettingsError(
                f"{root} is a link, or holds one in place of {STATE_FOLDER}",
                "name the folder of the run itself",
            )
        try:
            identity = RunIdentity.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as fault:
            raise SettingsError(
                f"{root} is no run that can be taken up ({path} is missing or damaged)",
                "start a new one with `setlist run`",
            ) from fault
        lock = take_lock(root)
        if lock is None:
            raise SettingsError(
                f"{root.name} is still running: another process works on it", "wait for its end"
            )
        if (root / SETTINGS_FILE).exists():
            os.close(lock)
            raise SettingsError(f"{root.name} is finished", "start a new run with `setlist run`")
        state = cls(root, identity, lock)
        state.remove_scratch()  # that of the step that was killed
        return state

    @property
    def log(self) -> Path:
        """Everything that the steps print."""
        return self.root.parent / f"run-{self.identity.run_id}.log"

    @property
    def workspace(self) -> Path:
        """A folder that kfp asks for and removes."""
        return self.root / STATE_FOLDER / "workspace"

    def settings(self) -> Settings:
        """With which the run was begun.

        Raises:
            SettingsError: they cannot be read.
        """
        return read_settings(self.root / STATE_FOLDER / SETTINGS_FILE)

    def is_finished(self, step: StepCommand) -> bool:
        """Whether a step was finished with this very input, and its outputs are as it left them."""
        if step.is_repeated:
            return False
        try:
            return self._mark(step).read_text("utf-8") == self._content(step)
        except OSError:
            return False

    def finish(self, step: StepCommand) -> None:
        """Write down that a step has succeeded; the last thing that is written of it.

        Raises:
            OSError: the folder cannot be written.
        """
        write_whole(self._mark(step), self._content(step))

    @contextmanager
    def scratch(self, step: StepCommand) -> Iterator[Path]:
        """A temporary folder for a step, removed at the end whatever the step has left there."""
        folder = self.root / STATE_FOLDER / "tmp" / step.name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_scratch(self) -> None:
        """Remove the temporary folders of all steps."""
        shutil.rmtree(self.root / STATE_FOLDER / "tmp", ignore_errors=True)
        shutil.rmtree(self.workspace, ignore_errors=True)

    def complete(self) -> None:
        """Write down that the whole run is finished.

        Raises:
            OSError: the folder cannot be written.
        """
        self.remove_scratch()
        shutil.copyfile(self.root / STATE_FOLDER / SETTINGS_FILE, self.root / "settings.partial")
        (self.root / "settings.partial").rename(self.root / SETTINGS_FILE)

    def close(self) -> None:
        """Let others work on the run."""
        os.close(self.lock)

    def _mark(self, step: StepCommand) -> Path:
        return self.root / STATE_FOLDER / "finished" / step.name

    def _content(self, step: StepCommand) -> str:
        """What the mark of a step holds: digests of its input, the marks before it, its outputs.

        Of the outputs the names and sizes, and the content of the one that lists them: somebody may
        have removed a model, and a power cut may leave it empty.
        """
        before = hashlib.sha256()
        for name in step.input_steps():
            before.update((self._mark(step).parent / name).read_bytes())
        output = Path(step.executor_input["outputs"]["outputFile"])
        # A step without outputs has no such file.
        written = output.read_bytes() if output.exists() else b""
        sizes = sorted(
            (path.relative_to(step.folder).as_posix(), path.stat().st_size)
            for path in step.folder.rglob("*")
            if path.is_file()
        )
        outputs = hashlib.sha256(written + json.dumps(sizes).encode())
        digests = [step.digest(), before.hexdigest(), outputs.hexdigest()]
        return json.dumps(digests)


@dataclass(frozen=True)
class Progress:
    """How far a run has come, as other processes see it.

    Attributes:
        complete: whether the whole run is finished.
        running: whether a process works on it.
        resumable: whether `setlist run --resume` takes it up, once no process works on it.
        steps: how many steps have succeeded, without the one that announces a failure.
        step: the step that runs; "" between two steps, and where steps run in containers.
    """

    complete: bool
    running: bool
    resumable: bool
    steps: int
    step: str

    @classmethod
    def read(cls, root: Path) -> Self:
        """Look at the folder of a run.

        Raises:
            SettingsError: whether a process works on it cannot be seen.
        """
        folder = root / STATE_FOLDER
        complete = (root / SETTINGS_FILE).exists()
        running = not complete and _is_locked(root)
        # The run may have completed before its lock was looked at.
        complete = complete or (root / SETTINGS_FILE).exists()
        marks = [mark.name for mark in folder.glob("finished/*") if mark.suffix != PARTIAL]
        steps = len(set(marks) - {ANNOUNCES_FAILURE.replace("_", "-")})
        # What a killed run has left there does not run.
        under_way = sorted(path.name for path in folder.glob("tmp/*")) if running else []
        resumable = not complete and (folder / "run.json").is_file()
        return cls(complete, running and not complete, resumable, steps, ", ".join(under_way))


def run_id_of(root: Path) -> str:
    """The id of the run in a folder: what it is called, but for runs of former versions."""
    try:
        content = (root / STATE_FOLDER / "run.json").read_bytes()
        return RunIdentity.model_validate_json(content).run_id
    except (OSError, ValidationError):
        return root.name


def unfinished(workdir: Path) -> list[Path]:
    """The folders of the runs that were begun and not finished, the newest first."""
    begun = [path.parent.parent for path in workdir.glob(f"*/{STATE_FOLDER}/run.json")]
    left = [root for root in begun if not (root / SETTINGS_FILE).exists()]
    return sorted(left, key=lambda root: root.name.partition("-")[2], reverse=True)


def take_lock(root: Path) -> int | None:
    """Lock a run for this process, until the descriptor is closed; None where another one has it.

    Raises:
        OSError: the file cannot be made, e.g. because the folder has just been removed, or is a
            link.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    descriptor = os.open(root / STATE_FOLDER / "lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_locked(root: Path) -> bool:
    """Whether a process works on a run.

    The lock is shared, so that those who only look do not take one another for the run, and is
    given back at once: what takes the run up at that very moment is told that it is running.

    Raises:
        SettingsError: it cannot be seen.
    """
    path = root / STATE_FOLDER / "lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False  # of a former version, or killed before it had begun
    except OSError as fault:
        raise SettingsError(
            f"{path} cannot be read ({fault.strerror or fault}), so whether the run goes on cannot "
            "be seen",
            "ask as the account that began the run",
        ) from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever finds it finds all of it.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}{PARTIAL}")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
