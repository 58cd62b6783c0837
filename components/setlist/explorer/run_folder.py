"""What a run left, as the explorer reads it: one listener at a time, out of any number of them."""

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

SHOWN = ["item_id", "title", "tags", "listeners"]
"""What is read of items."""
FOUND, COMPARED = 64, 8
"""Listeners and comparisons that are kept: a question about the same one reads nothing anew."""
BLOCK = 2_000
"""Listeners that are compared at a time."""


@dataclass(frozen=True)
class RunFolders:
    """Where the parts of a run lie.

    Attributes:
        name: what people know the run by.
        settings: what it was told.
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
class Listener:
    """What the models are told of somebody, and what is known beside it.

    Attributes:
        history: the ids of the plays before the cut, oldest first.
        ages: of each play, in days before the cut.
        inputs: the named inputs.
        row: of the evaluation's users; None for who takes no part in it.
        played: the ids that were relevant in the test period, the heaviest first.
    """

    user_id: str
    history: tuple[str, ...]
    ages: tuple[float, ...]
    inputs: dict[str, str]
    row: int | None = None
    played: tuple[str, ...] = ()


class Run:
    """A run's evaluation and its listeners.

    Plays and evaluated lists stay on disk, where they lie by listener; ids and inputs of everybody
    are kept as an Arrow table, and a listener is found in it by a scan (a million ids: some
    milliseconds).
    """

    def __init__(self, folders: RunFolders) -> None:
        """Read what is small.

        Raises:
            SetlistError: when the evaluation or the verdict cannot be read.
        """
        self.folders = folders
        self.evaluation: Evaluation = read_evaluation(folders.evaluations)
        self.verdict = Verdict.read(folders.verdict)
        self.users = read_users(folders.evaluations, self.evaluation)
        self.items = pd.read_parquet(folders.evaluations / "items.parquet", columns=SHOWN)
        truth = pd.read_parquet(folders.evaluations / "truth.parquet")
        self._truth = truth.sort_values(["user", "gain"], ascending=[True, False], kind="stable")
        self.inputs = [
            name for name in inputs_of(self.users) if name in self._everyone.column_names
        ]
        self.find = lru_cache(FOUND)(self._find)
        self.score = cache(self._score)
        self.compare = lru_cache(COMPARED)(self._compare)

    @cached_property
    def _everyone(self) -> pa.Table:
        """user_id and the named inputs of all listeners, in the order of their codes."""
        tables = [
            pq.read_table(self.folders.features / f"{part}.parquet")
            for part in ("users", "newcomers")
        ]
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()

    @property
    def listeners(self) -> int:
        """How many there are, evaluated or not."""
        return int(self._everyone.num_rows)

    @cached_property
    def values(self) -> dict[str, list[str]]:
        """What stands in each named input, the most frequent first."""
        counted = {name: pc.value_counts(self._everyone[name]).to_pylist() for name in self.inputs}
        return {
            name: [str(one["values"] or "") for one in sorted(rows, key=lambda one: -one["counts"])]
            for name, rows in counted.items()
        }

    def _find(self, user_id: str) -> Listener | None:
        """The listener of that id; None where there is none."""
        code = pc.index(self._everyone["user_id"], user_id).as_py()
        if code < 0:
            return None
        told = self._everyone.slice(code, 1).to_pylist()[0]
        plays = pq.read_table(
            self.folders.features / "plays.parquet",
            columns=["item", "age_days"],
            filters=[("user", "==", code)],
            use_threads=False,  # it is one row group
        )
        place = pc.index(self._evaluated, user_id).as_py()
        row = None if place < 0 else place
        return Listener(
            user_id=user_id,
            history=self._ids(plays["item"].to_numpy()),
            ages=tuple(plays["age_days"].to_pylist()),
            inputs={name: str(told[name] or "") for name in self.inputs},
            row=row,
            played=() if row is None else self._ids(self._relevant(row)),
        )

    @cached_property
    def _evaluated(self) -> pa.Array:
        return pa.array(self.users["user_id"], pa.large_string())

    def _ids(self, codes: npt.NDArray[Any]) -> tuple[str, ...]:
        return tuple(self.items["item_id"].take(codes))

    def _relevant(self, row: int) -> Int64s:
        start, stop = np.searchsorted(self._truth["user"].to_numpy(), [row, row + 1])
        return self._truth["item"].to_numpy(np.int64)[start:stop]

    def _score(self, label: str) -> Float64s:
        """float64[evaluated listeners]: the primary metric of one model."""
        return read_per_user(self.folders.evaluations, label)[self.verdict.primary].to_numpy(float)

    def _compare(self, first: str, second: str, depth: int) -> pd.DataFrame:
        """How two models differ, one row an evaluated listener.

        Returns:
            The users table with `first` and `second` (the primary metric of each), `gain` (first
            less second) and `shared`: how many items of the top `depth` both lists hold.
        """
        mine, other = self.score(first), self.score(second)
        return self.users.assign(
            first=mine,
            second=other,
            gain=mine - other,
            shared=shared(self._lists(first), self._lists(second), depth),
        )

    def _lists(self, label: str) -> Int32s:
        """int32[evaluated listeners, K]: the lists that were evaluated, on disk."""
        lists: Int32s = np.load(self.folders.evaluations / label / "top.npy", mmap_mode="r")
        return lists


def shared(first: Int32s, second: Int32s, depth: int) -> Int32s:
    """int32[listeners]: how many items stand in the top `depth` of both lists.

    Args:
        first: int32[listeners, K], codes best first, each once; below 0 is no item.
        second: the same of another model; its K may be another.
        depth: how much of each list counts.
    """
    found = np.empty(len(first), np.int32)
    for start in range(0, len(found), BLOCK):  # a block stays in the processor's cache
        rows = slice(start, start + BLOCK)
        both = np.sort(np.hstack([first[rows, :depth], second[rows, :depth]]), axis=1)
        twice = (both[:, 1:] == both[:, :-1]) & (both[:, 1:] >= 0)
        found[rows] = twice.sum(axis=1)
    return found
