"""A training in one checkpoint: the search for the start, and the two descents.

The first descent is while plays are held out, the second on all plays.
"""

import time
from typing import Any, Protocol

from setlist.models.learners.trials import Trials
from setlist.models.two_tower.descent import SAVE_SECONDS, Descent
from setlist.models.two_tower.saved_towers import pack, unpack

SEARCH = "search"


class Checkpoint(Protocol):
    """Where the state of one training is kept, so that a killed one can be taken up again."""

    def read(self) -> bytes | None:
        """What was written last, or None."""

    def write(self, content: bytes) -> None:
        """Keep the state, whole or not at all."""

    def clear(self) -> None:
        """Forget it."""


class Stages:
    """Keeps the state of search and descents, and takes them up again.

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
        content = checkpoint.read() if checkpoint else None
        self._arrays, self._document = (
            unpack(content, "the checkpoint of this training") if content else ({}, {})
        )
        self.trials = Trials(self._document.pop(SEARCH, {}), self._save_now_and_then)
        self._saved_at = time.monotonic()

    def begin(self, name: str, descent: Descent) -> None:
        """Keep this descent, too, from now on; it goes back to where it was kept last."""
        self._descents[name] = descent
        if name in self._document:
            prefix = f"{name}."
            arrays = {
                key.removeprefix(prefix): array
                for key, array in self._arrays.items()
                if key.startswith(prefix)
            }
            descent.restore(arrays, self._document[name])
            print(f"taken up again after epoch {len(descent.epochs)}", flush=True)

    def save(self) -> None:
        """Keep the state of all."""
        if self._checkpoint is None:
            return
        arrays: dict[str, Any] = {}
        document: dict[str, Any] = {SEARCH: self.trials.values}
        for name, descent in self._descents.items():
            own, document[name] = descent.state()
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
        self._checkpoint.write(pack(arrays, document))

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.save()
            self._saved_at = time.monotonic()
