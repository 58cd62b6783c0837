"""The checkpoint of a training, from which a killed step resumes: one object in the run's store."""

import hashlib
import json
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Self

from setlist import models
from setlist.models.contract import folder_digest
from setlist.models.settings import ModelSettings
from setlist.models.training_record import Recipe
from setlist.store.objects import Objects, open_objects
from setlist.store.sizes import CHECKPOINT_BYTES

CHECKPOINTS = "checkpoints/"
"""The folder in the store."""
CHECKPOINT_AGE = timedelta(days=7)
"""A checkpoint that was not written for so long belongs to a run that ended or died: a training
writes it after each epoch, and a run plans its data anew long before."""


class StoredCheckpoint:
    """A checkpoint under one key of a store; of several writers at once, the last one counts."""

    def __init__(self, objects: Objects, key: str) -> None:
        self.key = key
        self._objects = objects

    @classmethod
    def of(
        cls,
        store: str,
        features: Path,
        settings: ModelSettings,
        label: str,
        live: Path | None = None,
        recipe: Recipe | None = None,
    ) -> Self:
        """The checkpoint of one training, and of no other.

        Its key is `checkpoints/` and a SHA-256 of everything that the training depends on: the
        features, the settings, the label, the model that it starts from, the recipe, and the code.

        Args:
            store: a local folder or gs://bucket/prefix.
            features: the features folder.
            settings: of the training.
            label: of the candidate.
            live: the model folder that the training starts from.
            recipe: what the training repeats.

        Raises:
            StoreError: the store cannot be opened.
        """
        parts = {
            "features": folder_digest(features),
            "settings": settings.model_dump(mode="json"),
            "label": label,
            "live": folder_digest(live) if live else "",
            "recipe": recipe.model_dump(mode="json") if recipe else None,
            "code": [version("setlist"), _digest_of_sources()],
        }
        sha256 = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return cls(open_objects(store), f"{CHECKPOINTS}{sha256}")

    def read(self) -> bytes | None:
        """The content that was written last, or None."""
        stored = self._objects.read(self.key, CHECKPOINT_BYTES)
        return stored[0] if stored else None

    def write(self, content: bytes) -> None:
        """Replace the checkpoint; a reader finds the whole old or the whole new content."""
        # Uploaded as a file: a checkpoint is too big for `Objects.write`, which takes documents.
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._objects.upload(Path(file.name), self.key)

    def clear(self) -> None:
        """Remove the checkpoint."""
        self._objects.remove(self.key)


def remove_old_checkpoints(
    objects: Objects, age: timedelta = CHECKPOINT_AGE, *, dry_run: bool = False
) -> list[str]:
    """Remove the checkpoints of a store that were not written for so long.

    A training whose checkpoint is removed begins anew.

    Returns:
        The keys that were removed, or would be.

    Raises:
        StoreError: the store cannot be read, or does not let them be removed.
    """
    oldest = datetime.now(UTC) - age
    keys = [entry.key for entry in objects.entries(CHECKPOINTS) if entry.updated < oldest]
    for key in keys if not dry_run else []:
        objects.remove(key)
    return keys


def _digest_of_sources() -> str:
    """SHA-256 over the modules of `setlist.models`.

    The version alone is not enough: changed code of a working copy may store other weights.
    """
    sha256 = hashlib.sha256()
    for path in sorted(Path(models.__path__[0]).rglob("*.py")):
        sha256.update(path.read_bytes())
    return sha256.hexdigest()
