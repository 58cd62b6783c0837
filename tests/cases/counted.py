"""What `setlist.data.counting` counts of a features folder, as digests."""

import hashlib
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from setlist.data import counting
from setlist.data.counting import read_counts
from setlist.data.engine import EngineSettings
from setlist.data.features import FeatureTables

SMALL = {"MAX_PAIRED_ITEMS": 6, "PAIRS_A_PASS": 400, "NEIGHBOURS_A_PASS": 36}
"""Bounds that random tables reach: listeners are cut, and there are several passes."""


def counted_digests(folder: Path, segment: str, engine: EngineSettings) -> dict[str, str]:
    """The digest of each count, bit by bit."""
    tables = FeatureTables.read(folder)
    items = len(tables.items)
    with read_counts(folder, engine) as counts:
        histories = counts.histories(len(tables.users))
        found = {
            "histories": [histories.lengths, histories.latest],
            "recent": [counts.listeners_per_item(items, 7.0)],
            "segments": [_bytes(counts.listeners_per_segment(segment))],
            "neighbours": _arrays(counts.neighbours(items, 20)),
        }
    # Another engine, because the tables of the first are made for other bounds.
    with patch.multiple(counting, **SMALL), read_counts(folder, engine) as counts:
        found["neighbours by passes"] = _arrays(counts.neighbours(items, 3))
    return {f"counted/{name}": _digest(arrays) for name, arrays in found.items()}


def write_counted(folder: Path, plays: pd.DataFrame, users: pd.DataFrame) -> Path:
    """Write as much of a features folder as is counted."""
    plays.to_parquet(folder / "plays.parquet", index=False)
    users.to_parquet(folder / "users.parquet", index=False)
    return folder


def _arrays(found: counting.Neighbours) -> list[np.ndarray]:
    assert found.similarity.any()
    return [found.codes, found.similarity]


def _bytes(table: pd.DataFrame) -> np.ndarray:
    assert len(table)
    return np.frombuffer(table.to_csv(index=False).encode(), np.uint8)


def _digest(arrays: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]
