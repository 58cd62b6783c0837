"""Where a training that was killed is taken up again: one object in the run's own store."""

import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Self

from setlist import models
from setlist.models.contract import folder_digest
from setlist.models.settings import ModelSettings
from setlist.store.objects import Objects, open_objects


class StoredCheckpoint:
    """A checkpoint under one key of a store; of several writers at once the last one counts."""

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
    ) -> Self:
        """The checkpoint of one training, and of no other.

        Its key is `checkpoints/` and a SHA-256 of everything that the training depends on: the
        features, the settings, the label, the model that it starts from, and the code.

        Args:
            store: a local folder or gs://bucket/prefix.
            features: the features folder.
            settings: what is trained with.
            label: of the candidate.
            live: the model folder that it starts from.

        Raises:
            SetlistError: when the store cannot be opened.
        """
        parts = {
            "features": folder_digest(features),
            "settings": settings.model_dump(mode="json"),
            "label": label,
            "live": folder_digest(live) if live else "",
            "code": [version("setlist"), _sources()],
        }
        sha = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return cls(open_objects(store), f"checkpoints/{sha}")

    def read(self) -> bytes | None:
        """What was written last, or None."""
        found = self._objects.read(self.key)
        return found[0] if found else None

    def write(self, content: bytes) -> None:
        """Replace what is there; a reader finds all of it or what was there before."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._objects.upload(Path(file.name), self.key)

    def clear(self) -> None:
        """Remove it."""
        self._objects.remove(self.key)


def _sources() -> str:
    """SHA-256 over the modules of `setlist.models`: other code may read other checkpoints."""
    found = hashlib.sha256()
    for path in sorted(Path(models.__path__[0]).rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()
