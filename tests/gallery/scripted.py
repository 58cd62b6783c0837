"""A model with a script: it knows each listener by name and has a score for every item."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tests.gallery.world import World

from setlist.arrays import Float32s
from setlist.data.schema import tie_order
from setlist.models.recommender import Recommender, string_table
from setlist.models.tf import tf


class Scripted(Recommender):
    """Scores by the name of the listener; whoever has none is told what is popular.

    Rogues override `score` or `recommend`, or come with another table.
    """

    kind = "scripted"
    fallback = "listeners who are not in the script are told what is popular"

    def __init__(
        self, world: World, table: Float32s | None = None, catalogue: Sequence[str] | None = None
    ) -> None:
        """`table`: float32[listeners, items of the catalogue], the planted truth by default."""
        own = world.catalogue if catalogue is None else tie_order(catalogue)
        super().__init__(own, inputs=["who"])
        codes = pd.Index(world.catalogue).get_indexer(own)
        scores = (world.utility if table is None else table)[:, codes]
        self._who = string_table(world.listeners.index.tolist())
        self._strangers = len(scores)
        script = np.vstack([scores, world.popularity[codes]])
        self._script = tf.constant(script.astype(np.float32))

    def row(self, inputs):
        """int32[batch]: the listener's row of the script."""
        found = self._who.lookup(inputs["who"])
        return tf.where(found >= 0, found, self._strangers)

    def score(self, history, inputs):
        return tf.gather(self._script, self.row(inputs))

    def save(self, world: World, folder: Path) -> None:
        """Export as a model that was trained until the cut."""
        self.export(folder, folder.name, world.features.window)
