"""The model base path of TensorFlow Serving: a folder that holds the live revision only, complete.

    DIR/7/saved_model.pb, variables/, assets/    what TensorFlow Serving loads
    DIR/7/assets.extra/                          model.json, catalogue.txt, items.parquet, ...
    DIR/.setlist/                                the follower's working folder; TensorFlow Serving
                                                 ignores it, as its name is no number

TensorFlow Serving loads the highest number that it sees. It unloads a revision whose folder is gone
after it has loaded another. So a revision is put in place before the others are removed: at every
moment one is complete, and after a rollback the lower number is the highest.

TensorFlow Serving never loads a number again while it is there. In a store that was made anew, a
number is another model's; while the old model is in place, the new one is put at 1,000,000,000 and
the number, and its metrics and requests by version have to say that number. Two swaps within one
look of TensorFlow Serving, from model A of number 7 to another number and to model B of number 7,
are not noticed: it goes on with A until the next revision.
"""

import re
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from setlist.errors import ModelError, SettingsError
from setlist.models.contract import folder_digest
from setlist.models.worker.model_worker import ModelWorker

WORK_FOLDER = ".setlist"
STAND_IN = 1_000_000_000
"""Added to a number that is taken by another model: more than a store will ever have revisions."""


class BasePath:
    """A folder that TensorFlow Serving watches."""

    def __init__(self, folder: Path, allowed: Collection[str] = ()) -> None:
        """Create the folder if it does not exist.

        Args:
            folder: the base path.
            allowed: operations of a graph that are allowed beside the usual ones.

        Raises:
            SettingsError: it cannot be created.
        """
        self.folder, self._allowed = folder.absolute(), allowed
        self._work = self.folder / WORK_FOLDER / "serving"
        try:
            self._work.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise SettingsError(
                f"{folder}: cannot hold models ({fault.strerror or fault})", "name another folder"
            ) from fault

    def install(self, revision: int, model: Path) -> None:
        """Test a model in a process of its own, put it in place, remove all other revisions.

        Only the follower that has locked the folder may call this: it first removes what a killed
        process left in the working folder.

        Raises:
            ModelError: the model does not load or answer; the folder is unchanged.
            OSError: the model could not be copied; the folder is unchanged.
        """
        warm_up_in_subprocess(model, self._allowed)
        self._clear()
        try:
            self._replace(revision, model)
        finally:
            self._clear()

    def _replace(self, revision: int, model: Path) -> None:
        # The copy is completed in the working folder, then renamed: a rename is atomic.
        copy = self._work / uuid.uuid4().hex
        shutil.copytree(model / "saved_model", copy)
        extra = copy / "assets.extra"
        extra.mkdir(exist_ok=True)
        for file in model.iterdir():
            if file.is_file():
                shutil.copyfile(file, extra / file.name)
        in_place = [one for one in self.folder.iterdir() if re.fullmatch(r"\d+", one.name)]
        digest = folder_digest(copy)
        same = [
            one
            for one in in_place
            if int(one.name) % STAND_IN == revision
            and one.is_dir()
            and folder_digest(one) == digest
        ]
        if not same:
            while (target := self.folder / str(revision)) in in_place:
                revision += STAND_IN
            copy.rename(target)
        for other in in_place:
            if other not in same[:1]:
                self._move_away(other)

    def _clear(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(exist_ok=True)

    def _move_away(self, folder: Path) -> None:
        """Hide a folder in one step; `_clear` removes it, which takes many."""
        if folder.exists():
            folder.rename(self._work / uuid.uuid4().hex)


def warm_up_in_subprocess(model: Path, allowed: Collection[str] = ()) -> None:
    """Load and call a model in a process of its own, which takes its memory, or a crash, with it.

    Raises:
        ModelError: it does not load or answer.
    """
    try:
        with ModelWorker() as worker:
            worker.load(model, allowed)
            worker.warm_up(model)
    except ModelError as fault:
        raise ModelError(f"{model} cannot be used: {fault}") from fault
