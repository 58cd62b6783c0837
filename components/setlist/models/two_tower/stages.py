"""A training in one checkpoint: the search for the start, and the two descents.

The first descent is while plays are held out, the second on all plays. Kept are the trials of the
search and, of each descent, its course and the weights; all else follows from the features.
"""

import io
import json
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from setlist.errors import ModelError
from setlist.models.learners.trials import Trials
from setlist.models.tf import tf
from setlist.models.two_tower.descent import Descent

SEARCH = "search"
SAVE_SECONDS = 5.0
"""Between two checkpoints, at least."""
PREFIX = "training"


class Checkpoint(Protocol):
    """Where the state of one training is kept, so that a killed one can be taken up again."""

    def read(self) -> bytes | None:
        """What was written last, or None."""

    def write(self, content: bytes) -> None:
        """Keep the state, whole or not at all."""

    def clear(self) -> None:
        """Forget it."""


class Stages:
    """Keeps the state of search and descents in a `tf.train.Checkpoint`, and takes them up again.

    Attributes:
        trials: of the search.
    """

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        """Read what was kept.

        Raises:
            ModelError: when it is damaged.
        """
        self._checkpoint = checkpoint
        self._descents: dict[str, Descent] = {}
        self._content = checkpoint.read() if checkpoint else None
        self._document: dict[str, Any] = {}
        if self._content:
            document = tf.Variable("", dtype=tf.string)
            self._restore(document=document)
            self._document = json.loads(document.numpy())
        self.trials = Trials(self._document.pop(SEARCH, {}), self.save)
        self._saved_at = time.monotonic()

    def begin(self, name: str, descent: Descent) -> None:
        """Keep this descent, too, from now on; it goes back to where it was kept last."""
        self._descents[name] = descent
        if name in self._document:
            self._restore(**{name: descent.towers.learnt})
            descent.restore(self._document[name])
            print(f"taken up again after epoch {len(descent.epochs)}", flush=True)

    def save(self) -> None:
        """Keep the state of all, unless that was done a moment ago."""
        if self._checkpoint is None or time.monotonic() - self._saved_at < SAVE_SECONDS:
            return
        document = {name: descent.document for name, descent in self._descents.items()}
        text = json.dumps({SEARCH: self.trials.values} | document, allow_nan=False)
        weights = {name: descent.towers.learnt for name, descent in self._descents.items()}
        kept = tf.train.Checkpoint(document=tf.Variable(text), **weights)
        content = io.BytesIO()
        with (
            tempfile.TemporaryDirectory() as folder,
            tarfile.open(fileobj=content, mode="w") as tar,
        ):
            kept.write(str(Path(folder) / PREFIX))
            for path in sorted(Path(folder).iterdir()):
                tar.add(path, path.name)
        self._checkpoint.write(content.getvalue())
        self._saved_at = time.monotonic()

    def _restore(self, **parts: object) -> None:
        """Give these parts of the checkpoint the values that were kept."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                _unpack(self._content or b"", Path(folder))
                status = tf.train.Checkpoint(**parts).read(str(Path(folder) / PREFIX))
                status.assert_existing_objects_matched()
            except (tarfile.TarError, tf.errors.OpError, AssertionError, ValueError) as fault:
                raise ModelError(
                    f"the checkpoint of this training is damaged ({fault})",
                    "remove it and train again",
                ) from fault


def _unpack(content: bytes, folder: Path) -> None:
    """Write the files of an archive into a folder.

    Not `extractall`: its filter came with Python 3.11.4, and Debian 12, of which the image can be,
    has 3.11.2.

    Raises:
        TarError: it is no archive of plain files.
    """
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is None or Path(member.name).name != member.name:
                raise tarfile.ReadError(f"{member.name} is no file of a checkpoint")
            (folder / member.name).write_bytes(file.read())
