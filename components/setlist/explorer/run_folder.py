"""A run as the explorer reads it: one listener at a time, out of any number of listeners."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from setlist.arrays import Float64s, Int32s, Int64s
from setlist.evaluation.results import (
    Evaluation,
    read_evaluation,
    read_per_user,
    read_users,
)
from setlist.evaluation.verdict import Verdict
from setlist.report.listeners import inputs_of

ITEM_COLUMNS = ["item_id", "title", "tags", "listeners"]
# Streamlit asks the same questions again at every click: the latest answers are kept.
LISTENERS_KEPT = 64
COMPARISONS_KEPT = 8
LISTENERS_PER_BLOCK = 2_000
"""How many listeners are compared at a time: their lists fit into the processor's cache."""


@dataclass(frozen=True)
class RunFolders:
    """Where the parts of a run lie.

    Attributes:
        name: by which people know the run.
        settings: the settings file with which it ran.
        models: the model folders, by the label of the evaluation.
        report: the report page; it may be missing.
    """

    name: str
    settings: Path
    features: Path
    evaluations: Path
    verdict: Path
    report: Path
    models: Mapping[str, Path] = field(hash=False)


@dataclass(frozen=True)
class ListenerRecord:
    """A listener: what the models know of them, and what they played in the test period.

    Attributes:
        history: the item ids of the plays before the cutoff, oldest first.
        ages: of each play, in days before the cutoff.
        inputs: the named inputs.
        row: in the evaluation's users table; None for a listener who is not evaluated.
        played: the item ids that were relevant in the test period, the largest gain first.
    """

    user_id: str
    history: tuple[str, ...]
    ages: tuple[float, ...]
    inputs: dict[str, str]
    row: int | None = None
    played: tuple[str, ...] = ()


class ExploredRun:
    """A run's evaluation and its listeners.

    Plays and evaluated lists stay on disk, where they are ordered by listener. Ids and inputs of
    all listeners are kept as an Arrow table, and a listener is found in it by a scan, which takes
    some milliseconds for a million ids.
    """

    def __init__(self, folders: RunFolders) -> None:
        """Read the small parts of the run.

        Raises:
            EvaluationError: when the evaluation or the verdict cannot be read.
        """
        self.folders = folders
        self.evaluation: Evaluation = read_evaluation(folders.evaluations)
        self.verdict = Verdict.read(folders.verdict)
        self.users = read_users(folders.evaluations, self.evaluation)
        self.items = pd.read_parquet(folders.evaluations / "items.parquet", columns=ITEM_COLUMNS)
        truth = pd.read_parquet(folders.evaluations / "truth.parquet")
        self._truth = truth.sort_values(["user", "gain"], ascending=[True, False], kind="stable")
        self.inputs = [
            name for name in inputs_of(self.users) if name in self._all_listeners.column_names
        ]
        # Caches of this object: a cache on the methods would keep every run alive.
        self.find = lru_cache(LISTENERS_KEPT)(self._find)
        self.score = cache(self._score)
        self.compare = lru_cache(COMPARISONS_KEPT)(self._compare)

    @cached_property
    def baseline(self) -> str:
        """The label of what a new model has to beat: the live model, else the best heuristic.

        "" if there is neither.
        """
        models, values = self.evaluation.models, self.verdict.values
        live = [model.label for model in models if model.role == "live"]
        heuristics = [model.label for model in models if model.role == "heuristic"]

        def worth(label: str) -> float:
            return values.get(label, {}).get(self.verdict.primary, -np.inf)

        return live[0] if live else max(heuristics, key=worth, default="")

    @cached_property
    def _all_listeners(self) -> pa.Table:
        """user_id and the named inputs of all listeners, in the order of their codes."""
        tables = [
            pq.read_table(self.folders.features / f"{part}.parquet")
            for part in ("users", "newcomers")
        ]
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()

    @property
    def listeners(self) -> int:
        """How many listeners the run has, evaluated or not."""
        return int(self._all_listeners.num_rows)

    @cached_property
    def values(self) -> dict[str, list[str]]:
        """The values of each named input, the most frequent first; "" is not known."""
        counts = {
            name: pc.value_counts(self._all_listeners[name]).to_pylist() for name in self.inputs
        }
        return {
            name: [str(row["values"] or "") for row in sorted(rows, key=lambda row: -row["counts"])]
            for name, rows in counts.items()
        }

    def _find(self, user_id: str) -> ListenerRecord | None:
        """The listener with this id; None if there is none."""
        code = pc.index(self._all_listeners["user_id"], user_id).as_py()
        if code < 0:
            return None
        inputs = self._all_listeners.slice(code, 1).to_pylist()[0]
        plays = pq.read_table(
            self.folders.features / "plays.parquet",
            columns=["item", "age_days"],
            filters=[("user", "==", code)],
            use_threads=False,  # plays are ordered by user, so one row group is read
        )
        place = pc.index(self._evaluated, user_id).as_py()
        row = None if place < 0 else place
        return ListenerRecord(
            user_id=user_id,
            history=self._ids(plays["item"].to_numpy()),
            ages=tuple(plays["age_days"].to_pylist()),
            inputs={name: str(inputs[name] or "") for name in self.inputs},
            row=row,
            played=() if row is None else self._ids(self._relevant(row)),
        )

    @cached_property
    def _evaluated(self) -> pa.Array:
        """The ids of the evaluated listeners, in the order of their rows."""
        return pa.array(self.users["user_id"], pa.large_string())

    def _ids(self, codes: npt.NDArray[Any]) -> tuple[str, ...]:
        return tuple(self.items["item_id"].take(codes))

    def _relevant(self, row: int) -> Int64s:
        """The codes of the relevant items of an evaluated listener, the largest gain first."""
        start, stop = np.searchsorted(self._truth["user"].to_numpy(), [row, row + 1])
        return self._truth["item"].to_numpy(np.int64)[start:stop]

    def _score(self, label: str) -> Float64s:
        """float64[evaluated listeners]: the primary metric of one model."""
        return read_per_user(self.folders.evaluations, label)[self.verdict.primary].to_numpy(float)

    def _compare(self, first: str, second: str, depth: int) -> pd.DataFrame:
        """Compare two models, one row for each evaluated listener.

        Returns:
            The users table with `first` and `second` (the primary metric of each), `gain` (first
            minus second) and `shared`: how many items are in the top `depth` of both lists.
        """
        first_score, second_score = self.score(first), self.score(second)
        return self.users.assign(
            first=first_score,
            second=second_score,
            gain=first_score - second_score,
            shared=shared_items(self._lists(first), self._lists(second), depth),
        )

    def _lists(self, label: str) -> Int32s:
        """int32[evaluated listeners, K]: the lists that were evaluated, on disk."""
        lists: Int32s = np.load(self.folders.evaluations / label / "top.npy", mmap_mode="r")
        return lists


def shared_items(first: Int32s, second: Int32s, depth: int) -> Int32s:
    """int32[listeners]: how many items are in the top `depth` of both lists.

    Args:
        first: int32[listeners, K], codes best first, no code twice; below 0 is no item.
        second: the lists of another model; K may differ.
        depth: how much of each list counts.
    """
    shared = np.empty(len(first), np.int32)
    for start in range(0, len(shared), LISTENERS_PER_BLOCK):
        rows = slice(start, start + LISTENERS_PER_BLOCK)
        # Sorted together, an item of both lists stands twice in a row.
        both = np.sort(np.hstack([first[rows, :depth], second[rows, :depth]]), axis=1)
        twice = (both[:, 1:] == both[:, :-1]) & (both[:, 1:] >= 0)
        shared[rows] = twice.sum(axis=1)
    return shared
