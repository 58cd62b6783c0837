"""What was served, counted: the requests of the serving log that one revision answered.

A listener with an id counts once, by her last request; a request without an id counts by itself.
Memory grows with the number of listeners, by some 80 bytes each, not with that of requests.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from setlist.errors import SetlistError
from setlist.models.profile import (
    AGE_BINS,
    LENGTH_BINS,
    ValueShares,
    bin_ages,
    bin_lengths,
)
from setlist.store.objects import open_objects

HISTORY, AGE, ITEMS = "history length", "age of last play", "history items"
"""Features beside the named inputs; the name of an input has no blank."""
_WHO, _WHEN, _OUTSIDE, _KNOWN = "of whom", "asked at", "items outside", "items in it"
_READ = [
    "name",
    "revision",
    "role",
    "user_id",
    "timestamp",
    "history",
    "history_age_days",
    "inputs",
]
_FILES = "requests/date=*/*.parquet"
BATCH, MOST_WAITING = 5_000, 500_000
"""Requests that are decoded at once, and that wait before only the last of each are kept."""


class InputCells:
    """The values of a named input that are told apart, "" among them; all others are one more.

    Attributes:
        values: the values.
        trained: float64[values + 1], their shares in training; the last one is of all others.
    """

    def __init__(self, values: ValueShares) -> None:
        self.values = list({**values.shares, "": 0.0})
        shares = [values.shares.get(value, 0.0) for value in self.values]
        self.trained = np.array([*shares, values.rest])
        self._others: Counter[str] = Counter()

    def encode(self, told: pa.Array) -> npt.NDArray[np.int16]:
        """int16[values]: which each is; of the others the frequent ones are remembered."""
        found = pc.index_in(told, value_set=pa.array(self.values, pa.string()))
        for one in pc.value_counts(told.filter(found.is_null())).to_pylist():
            self._others[one["values"]] += one["counts"]
        if len(self._others) > 2_000:  # a value of free text must not fill the memory
            self._others = Counter(dict(self._others.most_common(1_000)))
        codes: npt.NDArray[np.int16] = found.fill_null(len(self.values)).to_numpy().astype(np.int16)
        return codes

    def names(self) -> list[str]:
        """For people: in quotes, not too long, and nothing in them that a screen obeys."""
        others = "rare or unknown values" if self.trained[-1] else "unknown values"
        often = [value for value, _ in self._others.most_common(1)]
        quoted = [repr(one if len(one) < 40 else f"{one[:39]}…") for one in self.values + often]
        return [
            *quoted[: len(self.values)],
            ", most often ".join([others, *quoted[len(self.values) :]]),
        ]


class Served:
    """Counts by feature.

    Attributes:
        counts: int64[cells] of each named input, of HISTORY (LENGTH_BINS), of AGE (AGE_BINS), and
            of ITEMS: how many are outside the catalogue, how many in it.
        listeners: with an id.
        requests: without one.
        first, last: when the first and the last request came.
    """

    def __init__(self, inputs: dict[str, InputCells], catalogue: Sequence[str]) -> None:
        self._inputs, self._catalogue = inputs, pa.array(catalogue, pa.string())
        sizes = {HISTORY: len(LENGTH_BINS), AGE: len(AGE_BINS), ITEMS: 2}
        sizes |= {name: len(one.trained) for name, one in inputs.items()}
        self.counts = {feature: np.zeros(size, np.int64) for feature, size in sizes.items()}
        self.listeners = self.requests = 0
        self.first, self.last = pd.Timestamp.max.tz_localize("UTC"), pd.Timestamp(0, tz="UTC")
        self._waiting: list[pd.DataFrame] = []
        self._rows, self._limit = 0, MOST_WAITING

    @property
    def everybody(self) -> int:
        """All that were counted."""
        return self.listeners + self.requests

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the requests without an id; the others wait until the last of each is known."""
        moments = pc.min_max(batch["timestamp"]).as_py()
        self.first = min(self.first, pd.Timestamp(moments["min"]))
        self.last = max(self.last, pd.Timestamp(moments["max"]))
        alone = pc.equal(batch["user_id"], "").to_numpy(zero_copy_only=False)
        frame = self._encode(batch)
        self._count(frame[alone])
        self.requests += int(alone.sum())
        self._waiting.append(frame[~alone])
        self._rows += len(self._waiting[-1])
        if self._rows > self._limit:
            self._waiting = [_last_of_each(self._waiting)]
            self._rows = len(self._waiting[0])
            self._limit = 2 * self._rows + MOST_WAITING

    def finish(self) -> None:
        """Count the last request of each listener."""
        if self._waiting:
            last = _last_of_each(self._waiting)
            self._waiting = []
            self.listeners = len(last)
            self._count(last)

    def _count(self, frame: pd.DataFrame) -> None:
        for feature, counts in self.counts.items():
            if feature == ITEMS:
                counts += frame[[_OUTSIDE, _KNOWN]].sum().to_numpy()
            else:
                there = frame[feature][frame[feature] >= 0]
                counts += np.bincount(there, minlength=len(counts))

    def _encode(self, batch: pa.RecordBatch) -> pd.DataFrame:
        """A row a request, a column a feature: its cell, -1 where there is none."""
        number, history, ages = len(batch), batch["history"], batch["history_age_days"]
        lengths = pc.list_value_length(history).to_numpy()
        strange = pc.invert(pc.is_in(history.flatten(), value_set=self._catalogue))
        outside = np.bincount(
            pc.list_parent_indices(history), strange.to_numpy(zero_copy_only=False), number
        ).astype(np.int32)
        ends = ages.offsets.to_numpy()
        aged = np.diff(ends) > 0
        age = np.full(number, -1, np.int8)
        age[aged] = bin_ages(ages.values.to_numpy()[ends[1:][aged] - 1])
        columns = {
            _WHO: pd.util.hash_array(batch["user_id"].to_numpy(zero_copy_only=False)),
            _WHEN: batch["timestamp"].cast(pa.int64()).to_numpy(),
            HISTORY: bin_lengths(lengths).astype(np.int8),
            AGE: age,
            _OUTSIDE: outside,
            _KNOWN: lengths.astype(np.int32) - outside,
        }
        told = batch["inputs"]
        starts = told.offsets.to_numpy()
        rows = np.repeat(np.arange(number), np.diff(starts))
        keys, values = (one[int(starts[0]) : int(starts[-1])] for one in (told.keys, told.items))
        for name, cells in self._inputs.items():
            own = pc.equal(keys, name)
            codes = np.full(number, cells.values.index(""), np.int16)
            codes[rows[own.to_numpy(zero_copy_only=False)]] = cells.encode(values.filter(own))
            columns[name] = codes
        return pd.DataFrame(columns)


def read_served(
    log: str,
    name: str,
    revision: int,
    inputs: dict[str, InputCells],
    catalogue: Sequence[str],
    days: int | None,
) -> Served:
    """What listeners were shown by a revision, live or as a candidate; not what it told the shadow.

    Args:
        log: a local folder or gs://bucket/prefix, as `ServingLog` writes it.
        name: of the model in its store.
        revision: that answered.
        inputs: of the revision, by name.
        catalogue: of the revision.
        days: only so many of the newest days (UTC, on which they were written) that the log has.

    Raises:
        SetlistError: the log has no such request, or cannot be read.
    """
    served = Served(inputs, catalogue)
    for file, label in _files(log, days):
        try:
            with pa.parquet.ParquetFile(file) as parquet:
                if not {*_READ} <= {*parquet.schema_arrow.names}:
                    raise SetlistError(f"{label} is none of the serving log's; move it elsewhere.")
                for batch in parquet.iter_batches(BATCH, columns=_READ):
                    shown = pc.not_equal(batch["role"], "shadow")
                    its = pc.equal(batch["revision"], revision)
                    ours = batch.filter(pc.and_(pc.and_(shown, its), pc.equal(batch["name"], name)))
                    if ours.num_rows:
                        served.add(ours)
        except (pa.ArrowException, OSError) as fault:
            raise SetlistError(f"{label} cannot be read ({fault}); move it elsewhere.") from fault
    served.finish()
    if not served.everybody:
        raise SetlistError(
            f"log {log}: there is no request that revision {revision} of {name} answered; name "
            "what `setlist serve --log` writes to, and a revision that was served."
        )
    return served


def _last_of_each(frames: list[pd.DataFrame]) -> pd.DataFrame:
    both = pd.concat(frames, ignore_index=True).sort_values(_WHEN, kind="stable")
    return both.drop_duplicates(_WHO, keep="last")


def _files(log: str, days: int | None) -> Iterator[tuple[Path, str]]:
    """The files of the newest days, one at a time on this disk, and what each is called."""
    if not log.startswith("gs://"):
        folder = Path(log)
        found = (path.relative_to(folder).as_posix() for path in folder.glob(_FILES))
        yield from ((folder / key, str(folder / key)) for key in _newest(found, days))
        return
    objects = open_objects(log)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "requests.parquet"
        keys = (key for key in objects.keys("requests/") if PurePosixPath(key).match(_FILES))
        for key in _newest(keys, days):
            objects.download(key, file)
            yield file, f"{objects.uri}/{key}"


def _newest(keys: Iterable[str], days: int | None) -> list[str]:
    """Of keys like requests/date=2026-05-01/x.parquet those of the newest days, in order."""
    in_order = sorted(keys)
    dates = sorted({key.split("/")[1] for key in in_order})[-(days or 0) :]
    return [key for key in in_order if key.split("/")[1] in dates]
