"""The first questions to a model, so that no listener waits for what happens once.

`python -m setlist.serving.warm_up MODEL` asks them in a process of its own.
"""

import sys
from pathlib import Path

from setlist.data.schema import HISTORY_AGE
from setlist.errors import SetlistError
from setlist.models.contract import read_catalogue
from setlist.models.saved_model import SavedModel

SHAPES = ((1, 1, 10), (1, 50, 100), (1, 2_000, 500), (8, 50, 100), (64, 50, 500), (1, 0, 1))
"""Listeners, plays of each, k."""
ROUNDS = 3


def warm_up(model: SavedModel, catalogue: list[str]) -> None:
    """Ask a few shapes of requests a few times.

    Raises:
        SetlistError: the model fails, or has no list for any of them.
    """
    found = 0
    for listeners, plays, k in SHAPES * ROUNDS:
        history = (catalogue * (plays // max(len(catalogue), 1) + 1))[:plays]
        ages = [[1.0] * plays] * listeners if HISTORY_AGE in model.info.inputs else None
        ids, _ = model.recommend([history] * listeners, [[]] * listeners, k, {}, ages)
        found += int((ids != "").sum())
    if not found:
        raise SetlistError(f"model {model.info.name} has no list for anybody; it is not used.")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        warm_up(SavedModel(folder), read_catalogue(folder))
    except SetlistError as fault:
        sys.exit(str(fault))
