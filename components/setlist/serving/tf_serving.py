"""The model base path of TensorFlow Serving: the live revision only, whole or not at all.

    DIR/7/saved_model.pb, variables/, assets/    what TensorFlow Serving loads
    DIR/7/assets.extra/                          model.json, catalogue.txt, items.parquet, ...
    DIR/.setlist/                                the follower's own; no number, so it is passed over

TensorFlow Serving loads the highest number that it sees, and unloads what it no longer sees once
another has been loaded. So a revision is put in place before all others vanish: there is never a
moment without one, and after a rollback the lower number is the highest.
"""

import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from setlist.errors import SetlistError
from setlist.models.contract import folder_digest

WORK = ".setlist"
PATIENCE = 300
"""Seconds that a model may take to load and answer."""


class BasePath:
    """A folder that TensorFlow Serving watches."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing."""
        self.folder = folder.absolute()
        self._work = self.folder / WORK / "serving"
        try:
            self._work.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise SetlistError(
                f"{folder}: cannot hold models ({fault.strerror or fault}); name another folder."
            ) from fault

    def put(self, revision: int, model: Path) -> None:
        """Check the model in a process of its own, put it in place, remove all others.

        Only the follower that has claimed the folder may call it: it begins by removing what a
        killed process left half-made.

        Raises:
            SetlistError: the model does not load or answer; the folder is as it was.
            OSError: it could not be copied; the same.
        """
        warm_up_apart(model)
        self._clear()
        try:
            self._swap(revision, model)
        finally:
            self._clear()

    def _swap(self, revision: int, model: Path) -> None:
        beside = self._work / uuid.uuid4().hex
        shutil.copytree(model / "saved_model", beside)
        extra = beside / "assets.extra"
        extra.mkdir(exist_ok=True)
        for file in model.iterdir():
            if file.is_file():
                shutil.copyfile(file, extra / file.name)
        target = self.folder / str(revision)
        if not (target.is_dir() and folder_digest(target) == folder_digest(beside)):
            self._take_away(target)
            beside.rename(target)
        for other in self.folder.iterdir():
            if re.fullmatch(r"\d+", other.name) and other != target:
                self._take_away(other)

    def _clear(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(exist_ok=True)

    def _take_away(self, folder: Path) -> None:
        """Out of sight in one step; removed afterwards."""
        if folder.exists():
            folder.rename(self._work / uuid.uuid4().hex)


def warm_up_apart(model: Path) -> None:
    """Load a model and ask it, in a process that takes the memory, or a crash, with it.

    Raises:
        SetlistError: it does not load or answer.
    """
    command = [sys.executable, "-m", "setlist.serving.warm_up", str(model)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as fault:
        raise SetlistError(f"{model}: no answer within {PATIENCE} s; it is not used.") from fault
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise SetlistError(f"{model} cannot be used: {last}")
