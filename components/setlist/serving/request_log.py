"""What was shown to whom, and what the model saw, as Parquet: the way back into training.

    LOG/impressions/date=2026-05-01/*.parquet   one row for every item of every list
        user_id, item_id, timestamp, position (from 1), score, revision, role, request_id
    LOG/requests/date=2026-05-01/*.parquet      one row for every list
        request_id, user_id, timestamp, name, revision, role, k, history, history_age_days,
        inputs, exclude, item_ids, scores

`role` is live, candidate (shown to a share of listeners) or shadow (shown to nobody). `timestamp`
is UTC, in microseconds. `impressions` has the columns of events, so `curate` reads it as it is;
`requests` holds the features of a list as the model saw them: cut to what it reads. A listener
without an id is "". A file appears whole or not at all.
"""

import queue
import random
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet
from prometheus_client import CollectorRegistry, Counter

from setlist.errors import SetlistError
from setlist.serving.served_model import Listed
from setlist.store.objects import Objects, open_objects

MOST_WAITING = 10_000
MOST_ROWS = 5_000
"""Lists in a file; a day of them is many files, an hour of a busy server is not one list a file."""
AT_ONCE = 100
"""Lists that become columns together: the interpreter is held for a millisecond or two."""
MOST_SECONDS = 60.0

Role = Literal["live", "candidate", "shadow"]
_TIME = pa.timestamp("us", "UTC")
REQUESTS = pa.schema(
    [
        ("request_id", pa.string()),
        ("user_id", pa.string()),
        ("timestamp", _TIME),
        ("name", pa.string()),
        ("revision", pa.int64()),
        ("role", pa.string()),
        ("k", pa.int32()),
        ("history", pa.list_(pa.string())),
        ("history_age_days", pa.list_(pa.float32())),
        ("inputs", pa.map_(pa.string(), pa.string())),
        ("exclude", pa.list_(pa.string())),
        ("item_ids", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
    ]
)
IMPRESSIONS = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", _TIME),
        ("position", pa.int32()),
        ("score", pa.float32()),
        ("revision", pa.int64()),
        ("role", pa.string()),
        ("request_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Entry:
    """One list, as it is logged."""

    request_id: str
    listener: str
    name: str
    revision: int
    role: Role
    k: int
    history: list[str]
    ages: list[float]
    inputs: dict[str, str]
    exclude: list[str]
    listed: Listed
    time: float


@dataclass
class _File:
    """Lists under one name until all parts are written, so that none is there twice."""

    name: str
    lists: int
    parts: dict[str, pa.Table]


class ServingLog:
    """Writes a sample of all requests from a thread of its own; a request never waits for it."""

    def __init__(
        self, to: str, rate: float, registry: CollectorRegistry, every: float = MOST_SECONDS
    ) -> None:
        """Nothing is written before `start`.

        Args:
            to: a local folder or gs://bucket/prefix.
            rate: share of the requests that are logged, drawn at random by request.
            registry: for the lists written and dropped, and for the attempts that failed.
            every: seconds after which a file is written however few lists there are.
        """
        counts = Counter(
            "setlist_log_lists",
            "Lists of the serving log; `failed` is files that could not be written at an attempt.",
            ["outcome"],
            registry=registry,
        )
        self._written, self._dropped, self._failed = map(
            counts.labels, ("written", "dropped", "failed")
        )
        self.fault: str | None = None
        self._to, self._rate, self._every = to, rate, every
        self._waiting: queue.Queue[Entry | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="serving log", daemon=True)
        self._objects: Objects | None = None
        self._ready: list[tuple[pa.RecordBatch, pa.RecordBatch]] = []
        self._file: _File | None = None
        self._host = socket.gethostname()
        self._random = random.Random()  # noqa: S311 - a sample, not a secret

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end; what cannot be written is counted as dropped."""
        try:
            self._waiting.put(None, timeout=5)
        except queue.Full:
            self.fault = "the log did not keep up when the server ended"
        self._thread.join(timeout=20)

    def sampled(self) -> bool:
        """Whether the next request is one of the sample."""
        return self._random.random() < self._rate

    def put(self, entry: Entry) -> None:
        """Log a list; it is dropped and counted when too many wait."""
        try:
            self._waiting.put_nowait(entry)
        except queue.Full:
            self._dropped.inc()

    def _run(self) -> None:
        entries: list[Entry] = []
        due = time.monotonic() + self._every
        going = True
        while going:
            try:
                entry = self._waiting.get(timeout=max(due - time.monotonic(), 0.01))
                going = entry is not None
                if entry is not None:
                    entries.append(entry)
            except queue.Empty:
                pass
            late = time.monotonic() >= due or not going
            if len(entries) >= AT_ONCE or (late and entries):
                self._ready.append((_requests(entries), _impressions(entries)))
                entries = []
                while self._rows() > MOST_WAITING:
                    self._dropped.inc(self._ready.pop(0)[0].num_rows)
            # After a fault it waits: to try at every list would take a core from those who ask.
            if late or (self.fault is None and self._rows() >= MOST_ROWS):
                self._flush()
                due = time.monotonic() + self._every
        self._dropped.inc(self._rows() + (self._file.lists if self._file else 0))

    def _rows(self) -> int:
        return sum(requests.num_rows for requests, _ in self._ready)

    def _flush(self) -> None:
        """Write all that is ready; after a fault what is not written is kept for the next time."""
        try:
            while file := self._next_file():
                self._write(file)
                self._written.inc(file.lists)
                self._file = self.fault = None
        except (SetlistError, OSError) as fault:
            self._failed.inc()
            if self.fault is None:
                print(f"serving log: {fault}", flush=True)
            self.fault = str(fault)

    def _next_file(self) -> _File | None:
        """What was left over by a fault, or else all that is ready."""
        if self._file is None and self._ready:
            now = datetime.now(UTC)
            self._file = _File(
                f"date={now:%Y-%m-%d}/{now:%H%M%S}-{self._host}-{uuid.uuid4().hex[:12]}.parquet",
                self._rows(),
                {
                    folder: pa.Table.from_batches([part[place] for part in self._ready])
                    for place, folder in enumerate(("requests", "impressions"))
                },
            )
            self._ready = []
        return self._file

    def _write(self, file: _File) -> None:
        objects = self._objects = self._objects or open_objects(self._to)
        with tempfile.TemporaryDirectory() as scratch:
            for folder, table in file.parts.items():
                path, key = Path(scratch) / folder, f"{folder}/{file.name}"
                pa.parquet.write_table(table, path, compression="zstd")
                if not objects.holds(path, key):  # an upload may have arrived without its answer
                    objects.upload(path, key)


def _requests(entries: list[Entry]) -> pa.RecordBatch:
    def column(name: str, of: Callable[[Entry], Any]) -> pa.Array:
        return pa.array([of(entry) for entry in entries], REQUESTS.field(name).type)

    columns = {
        "request_id": column("request_id", lambda one: one.request_id),
        "user_id": column("user_id", lambda one: one.listener),
        "timestamp": column("timestamp", lambda one: int(one.time * 1e6)),
        "name": column("name", lambda one: one.name),
        "revision": column("revision", lambda one: one.revision),
        "role": column("role", lambda one: one.role),
        "k": column("k", lambda one: one.k),
        "history": column("history", lambda one: one.history),
        "history_age_days": column("history_age_days", lambda one: one.ages),
        "inputs": column("inputs", lambda one: list(one.inputs.items())),
        "exclude": column("exclude", lambda one: one.exclude),
        "item_ids": column("item_ids", lambda one: one.listed.item_ids),
        "scores": column("scores", lambda one: one.listed.scores),
    }
    return pa.record_batch(columns, schema=REQUESTS)


def _impressions(entries: list[Entry]) -> pa.RecordBatch:
    lengths = [len(one.listed.item_ids) for one in entries]

    def repeated(values: list[Any], name: str) -> pa.Array:
        rows = [row for row, length in enumerate(lengths) for _ in range(length)]
        return pa.array(values, IMPRESSIONS.field(name).type).take(pa.array(rows, pa.int32()))

    items = [item for one in entries for item in one.listed.item_ids]
    scores = [score for one in entries for score in one.listed.scores]
    positions = [place for length in lengths for place in range(1, length + 1)]
    columns = {
        "user_id": repeated([one.listener for one in entries], "user_id"),
        "item_id": pa.array(items, pa.string()),
        "timestamp": repeated([int(one.time * 1e6) for one in entries], "timestamp"),
        "position": pa.array(positions, pa.int32()),
        "score": pa.array(scores, pa.float32()),
        "revision": repeated([one.revision for one in entries], "revision"),
        "role": repeated([one.role for one in entries], "role"),
        "request_id": repeated([one.request_id for one in entries], "request_id"),
    }
    return pa.record_batch(columns, schema=IMPRESSIONS)
