"""Read what one revision was asked: counts of feature values, and the last request of a listener.

In the counts, a listener with an id counts once, by the last request; a request without an id
counts by itself. Their memory grows with the number of listeners, by about 80 bytes each, not with
that of requests.
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

from setlist.errors import DataError
from setlist.models.profile import AGE_BINS, LENGTH_BINS, ValueShares, bin_ages, bin_lengths
from setlist.serving.request_log import REQUESTS
from setlist.store.objects import read_only_objects

# The features beside the named inputs. They cannot collide with the name of an input, which has no
# blank.
HISTORY_LENGTH, LAST_PLAY_AGE, HISTORY_ITEMS = "history length", "age of last play", "history items"
_LISTENER, _TIME, _UNKNOWN_ITEMS, _KNOWN_ITEMS = "listener", "time", "items outside", "items in it"
_COLUMNS = [
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
BATCH_ROWS = 5_000
"""Requests that are decoded at once."""
MAX_WAITING_ROWS = 500_000
"""Requests that wait in memory before all but the last of each listener are dropped."""
MAX_LISTENERS = 20_000
"""Listeners whose last requests are read: enough for shares exact to half a per cent."""
MAX_OTHER_VALUES = 2_000
"""Unknown values that are counted by value: an input of free text must not fill the memory."""


def shortened(text: str) -> str:
    """A text of a stranger for people: quoted, without control characters, 40 characters long."""
    return repr(text if len(text) < 40 else f"{text[:39]}…")


class InputBins:
    """The bins of a named input: one for each value of the profile and "", one for the rest.

    Attributes:
        values: the values with a bin of their own.
        trained: float64[values + 1], the shares in training; the last one is of all other values.
    """

    def __init__(self, values: ValueShares) -> None:
        self.values = list({**values.shares, "": 0.0})
        shares = [values.shares.get(value, 0.0) for value in self.values]
        self.trained = np.array([*shares, values.rest])
        self._others: Counter[str] = Counter()

    def encode(self, served: pa.Array) -> npt.NDArray[np.int16]:
        """int16[values]: the bin of each value; the frequent ones of the last bin are counted."""
        bins = pc.index_in(served, value_set=pa.array(self.values, pa.string()))
        for count in pc.value_counts(served.filter(bins.is_null())).to_pylist():
            self._others[count["values"]] += count["counts"]
        if len(self._others) > MAX_OTHER_VALUES:
            self._others = Counter(dict(self._others.most_common(MAX_OTHER_VALUES // 2)))
        codes: npt.NDArray[np.int16] = bins.fill_null(len(self.values)).to_numpy().astype(np.int16)
        return codes

    def names(self) -> list[str]:
        """The bins for people: quoted, shortened, and without control characters."""
        others = "rare or unknown values" if self.trained[-1] else "unknown values"
        frequent = [value for value, _ in self._others.most_common(1)]
        quoted = [shortened(value) for value in self.values + frequent]
        return [
            *quoted[: len(self.values)],
            ", most often ".join([others, *quoted[len(self.values) :]]),
        ]


class ServedCounts:
    """How often each value of each feature was served.

    Attributes:
        counts: int64[bins] of each named input, of HISTORY_LENGTH (LENGTH_BINS), of LAST_PLAY_AGE
            (AGE_BINS), and of HISTORY_ITEMS: how many are outside the catalogue, how many in it.
        listeners: number of listeners with an id.
        requests: number of requests without an id.
        first, last: when the first and the last request came.
    """

    def __init__(self, inputs: dict[str, InputBins], catalogue: Sequence[str]) -> None:
        self._inputs, self._catalogue = inputs, pa.array(catalogue, pa.string())
        sizes = {HISTORY_LENGTH: len(LENGTH_BINS), LAST_PLAY_AGE: len(AGE_BINS), HISTORY_ITEMS: 2}
        sizes |= {name: len(bins.trained) for name, bins in inputs.items()}
        self.counts = {feature: np.zeros(size, np.int64) for feature, size in sizes.items()}
        self.listeners = self.requests = 0
        self.first, self.last = pd.Timestamp.max.tz_localize("UTC"), pd.Timestamp(0, tz="UTC")
        self._waiting: list[pd.DataFrame] = []
        self._rows, self._limit = 0, MAX_WAITING_ROWS

    @property
    def total(self) -> int:
        """Listeners with an id, and requests without one."""
        return self.listeners + self.requests

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the requests without an id; the others wait until the last of each is known."""
        times = pc.min_max(batch["timestamp"]).as_py()
        self.first = min(self.first, pd.Timestamp(times["min"]))
        self.last = max(self.last, pd.Timestamp(times["max"]))
        anonymous = pc.equal(batch["user_id"], "").to_numpy(zero_copy_only=False)
        frame = self._encode(batch)
        self._count(frame[anonymous])
        self.requests += int(anonymous.sum())
        self._waiting.append(frame[~anonymous])
        self._rows += len(self._waiting[-1])
        if self._rows > self._limit:
            self._waiting = [_last_of_each(self._waiting)]
            self._rows = len(self._waiting[0])
            # Twice what is left: with many listeners, each batch would sort all of them again.
            self._limit = 2 * self._rows + MAX_WAITING_ROWS

    def finish(self) -> None:
        """Count the last request of each listener."""
        if self._waiting:
            last = _last_of_each(self._waiting)
            self._waiting = []
            self.listeners = len(last)
            self._count(last)

    def _count(self, frame: pd.DataFrame) -> None:
        for feature, counts in self.counts.items():
            if feature == HISTORY_ITEMS:
                counts += frame[[_UNKNOWN_ITEMS, _KNOWN_ITEMS]].sum().to_numpy()
            else:
                bins = frame[feature][frame[feature] >= 0]
                counts += np.bincount(bins, minlength=len(counts))

    def _encode(self, batch: pa.RecordBatch) -> pd.DataFrame:
        """A row for each request, a column for each feature: its bin, -1 without a value.

        Items have two columns instead: how many are outside the catalogue, how many in it.
        """
        size, history = len(batch), batch["history"]
        lengths = pc.list_value_length(history).to_numpy()
        is_unknown = pc.invert(pc.is_in(history.flatten(), value_set=self._catalogue))
        unknown = np.bincount(
            pc.list_parent_indices(history), is_unknown.to_numpy(zero_copy_only=False), size
        ).astype(np.int32)
        columns = {
            # 8 bytes for a listener instead of an id of any length.
            _LISTENER: _hashes(batch["user_id"]),
            _TIME: batch["timestamp"].cast(pa.int64()).to_numpy(),
            HISTORY_LENGTH: bin_lengths(lengths).astype(np.int8),
            LAST_PLAY_AGE: _last_age_bins(batch["history_age_days"]),
            _UNKNOWN_ITEMS: unknown,
            _KNOWN_ITEMS: lengths.astype(np.int32) - unknown,
        }
        inputs = batch["inputs"]
        starts = inputs.offsets.to_numpy()
        rows = np.repeat(np.arange(size), np.diff(starts))
        # The arrays below a map ignore that the batch may be a slice; its offsets do not.
        keys, values = (
            array[int(starts[0]) : int(starts[-1])] for array in (inputs.keys, inputs.items)
        )
        for name, bins in self._inputs.items():
            is_input = pc.equal(keys, name)
            codes = np.full(size, bins.values.index(""), np.int16)
            codes[rows[is_input.to_numpy(zero_copy_only=False)]] = bins.encode(
                values.filter(is_input)
            )
            columns[name] = codes
        return pd.DataFrame(columns)


def _last_age_bins(ages: pa.ListArray) -> npt.NDArray[np.int8]:
    """int8[requests]: the bin in AGE_BINS of each last age, -1 for a request without ages."""
    ends = ages.offsets.to_numpy()
    has_ages = np.diff(ends) > 0
    bins = np.full(len(ages), -1, np.int8)
    bins[has_ages] = bin_ages(ages.values.to_numpy()[ends[1:][has_ages] - 1])
    return bins


def count_served(
    log: str,
    name: str,
    revision: int,
    inputs: dict[str, InputBins],
    catalogue: Sequence[str],
    days: int | None,
) -> ServedCounts:
    """Count the requests that a revision answered, live or as a candidate, not as a shadow.

    Args:
        log: a local folder or gs://bucket/prefix, as `RequestLog` writes it.
        name: of the model in its store.
        revision: that answered.
        inputs: the bins of its named inputs, by name.
        catalogue: of the revision.
        days: read only the newest days (UTC, of writing) that the log has, this many.

    Raises:
        DataError: the log has no such request, or cannot be read.
    """
    served = ServedCounts(inputs, catalogue)
    for batch in _answered(log, name, revision, days):
        served.add(batch)
    served.finish()
    if not served.total:
        raise DataError(
            f"log {log}: it has no request that revision {revision} of {name} answered",
            "name what `setlist serve --log` writes to, and a revision that was served",
        )
    return served


def last_requests(
    log: str, name: str, revision: int, days: int | None, limit: int = MAX_LISTENERS
) -> pa.Table:
    """The last request of each listener with an id, or of a sample of them.

    Args:
        log: a local folder or gs://bucket/prefix, as `RequestLog` writes it.
        name: of the model in its store.
        revision: that answered.
        days: read only the newest days (UTC, of writing) that the log has, this many.
        limit: with more listeners, those with the smallest hashes of their ids are read.

    Returns:
        user_id, timestamp, history, history_age_days and inputs, as in the log; one row for each
        listener. Memory grows with the limit, not with the log.

    Raises:
        DataError: the log cannot be read.
    """
    columns = ["user_id", "timestamp", "history", "history_age_days", "inputs"]
    kept: list[pa.Table] = []
    rows, largest = 0, np.uint64(2**64 - 1)
    for batch in _answered(log, name, revision, days):
        named = batch.filter(pc.not_equal(batch["user_id"], "")).select(columns)
        hashes = _hashes(named["user_id"])
        chosen = named.filter(pa.array(hashes <= largest))
        kept.append(pa.Table.from_batches([chosen]))
        rows += len(chosen)
        if rows > 3 * limit:
            table, largest = _last_of_sample(pa.concat_tables(kept), limit)
            kept, rows = [table], len(table)
    if not kept:
        return pa.schema([REQUESTS.field(column) for column in columns]).empty_table()
    return _last_of_sample(pa.concat_tables(kept), limit)[0]


def _last_of_sample(requests: pa.Table, limit: int) -> tuple[pa.Table, np.uint64]:
    """The last request of each of at most `limit` listeners, and the largest hash of their ids."""
    frame = pd.DataFrame(
        {
            _LISTENER: _hashes(requests["user_id"]),
            _TIME: requests["timestamp"].cast(pa.int64()).to_numpy(),
        }
    )
    last = frame.sort_values(_TIME, kind="stable").drop_duplicates(_LISTENER, keep="last")
    last = last.sort_values(_LISTENER).head(limit)
    largest = last[_LISTENER].iloc[-1] if len(last) == limit else np.uint64(2**64 - 1)
    return requests.take(last.index.to_numpy()), largest


def _hashes(ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    hashes: npt.NDArray[np.uint64] = pd.util.hash_array(np.asarray(ids.to_pandas(), object))
    return hashes


def _answered(log: str, name: str, revision: int, days: int | None) -> Iterator[pa.RecordBatch]:
    """The requests that a revision answered, live or as a candidate, in the order of the files.

    Raises:
        DataError: the log cannot be read.
    """
    for file, label in _files(log, days):
        try:
            with pa.parquet.ParquetFile(file) as parquet:
                if not {*_COLUMNS} <= {*parquet.schema_arrow.names}:
                    raise DataError(
                        f"{label} is not a file of the request log", "move it elsewhere"
                    )
                for batch in parquet.iter_batches(BATCH_ROWS, columns=_COLUMNS):
                    _refuse_missing(batch, label)
                    is_shown = pc.not_equal(batch["role"], "shadow")
                    is_revision = pc.and_(
                        pc.equal(batch["revision"], revision), pc.equal(batch["name"], name)
                    )
                    answered = batch.filter(pc.and_(is_shown, is_revision))
                    if answered.num_rows:
                        yield answered
        except (pa.ArrowException, OSError) as fault:
            raise DataError(f"{label} cannot be read ({fault})", "move it elsewhere") from fault


def _refuse_missing(batch: pa.RecordBatch, label: str) -> None:
    """Refuse rows without a value, which the server does not write.

    Raises:
        DataError: for the first column that has such a row.
    """
    for name in _COLUMNS:
        column = batch[name]
        inner = (column.items,) if name == "inputs" else ()
        inner = (column.flatten(),) if name == "history" else inner
        if any(values.null_count for values in (column, *inner)):
            raise DataError(
                f"{label}: a row has no {name}", "move it elsewhere, or write the log as it was"
            )


def _last_of_each(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The last request of each listener."""
    in_order = pd.concat(frames, ignore_index=True).sort_values(_TIME, kind="stable")
    return in_order.drop_duplicates(_LISTENER, keep="last")


def _files(log: str, days: int | None) -> Iterator[tuple[Path, str]]:
    """The files of the newest days, each with its name for messages.

    A file of a bucket is on this disk only until the next is asked for.
    """
    if not log.startswith("gs://"):
        folder = Path(log)
        paths = (path.relative_to(folder).as_posix() for path in folder.glob(_FILES))
        yield from ((folder / key, str(folder / key)) for key in _newest(paths, days))
        return
    objects = read_only_objects(log)
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
