"""The request log: what was shown to whom, and what the model read, as Parquet.

    LOG/impressions/date=2026-05-01/*.parquet   one row for every item of every list
        user_id, item_id, timestamp, position (from 1), score, revision, role, request_id
    LOG/requests/date=2026-05-01/*.parquet      one row for every list
        request_id, user_id, timestamp, name, revision, role, k, history, history_age_days,
        inputs, exclude, item_ids, scores

`role` is live, candidate (shown to a share of listeners) or shadow (shown to nobody). `timestamp`
is UTC, in microseconds. `impressions` has the columns of events, so `curate` reads it without a
conversion. `requests` holds the features of a list as the model read them: history and ages are cut
to the length that it reads. A listener without an id is "". A file appears complete or not at all.
Files of days that are long over are removed once a day.
"""

import queue
import random
import re
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet
from prometheus_client import CollectorRegistry, Counter

from setlist.errors import SetlistError
from setlist.models.worker.query import RankedList
from setlist.store.objects import Objects, open_objects

MAX_WAITING_LISTS = 10_000
"""Lists that are kept in memory while the log cannot be written; beyond it lists are dropped."""
MAX_FILE_LISTS = 5_000
"""Lists after which a file is written: a day has many files, but far fewer than lists."""
ENCODED_LISTS = 100
"""Lists that are turned into columns at once: it takes 1 to 2 ms, in which no request runs."""
MAX_FILE_SECONDS = 60.0
"""Time after which a file is written, however few lists it has."""
KEEP_DAYS = 180
"""The log holds what people have heard: longer than a model is trained on it is of no use."""

ServingRole = Literal["live", "candidate", "shadow"]
_TIMESTAMP = pa.timestamp("us", "UTC")
REQUESTS = pa.schema(
    [
        ("request_id", pa.string()),
        ("user_id", pa.string()),
        ("timestamp", _TIMESTAMP),
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
        ("timestamp", _TIMESTAMP),
        ("position", pa.int32()),
        ("score", pa.float32()),
        ("revision", pa.int64()),
        ("role", pa.string()),
        ("request_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class LoggedList:
    """One list as it is logged; `time` is in Unix seconds."""

    request_id: str
    listener: str
    name: str
    revision: int
    role: ServingRole
    k: int
    history: list[str]
    ages: list[float]
    inputs: dict[str, str]
    exclude: list[str]
    ranked: RankedList
    time: float


@dataclass
class _PendingFile:
    """Lists of one file name.

    The name is kept until both parts are written: a second attempt writes the same keys, so that no
    list is in the log twice.
    """

    name: str
    lists: int
    parts: dict[str, pa.Table]


class RequestLog:
    """A thread that writes a sample of the requests; no request waits for it."""

    def __init__(
        self,
        to: str,
        rate: float,
        registry: CollectorRegistry,
        every: float = MAX_FILE_SECONDS,
        keep_days: int = KEEP_DAYS,
    ) -> None:
        """Create it; the thread starts with `start`.

        Args:
            to: a local folder or gs://bucket/prefix.
            rate: share of the requests that are logged, a random sample.
            registry: for the numbers of lists written and dropped, and of failed attempts.
            every: seconds after which a file is written, however few lists it has.
            keep_days: days after which a list is removed.
        """
        counter = Counter(
            "setlist_log_lists",
            "Lists of the request log; `failed` counts attempts to write a file that failed.",
            ["outcome"],
            registry=registry,
        )
        self._written, self._dropped, self._failed = map(
            counter.labels, ("written", "dropped", "failed")
        )
        self.fault: str | None = None
        self._to, self._rate, self._every = to, rate, every
        self._kept = timedelta(days=keep_days)
        self._cleaned: date | None = None
        self._waiting: queue.Queue[LoggedList | None] = queue.Queue(MAX_WAITING_LISTS)
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)
        self._objects: Objects | None = None
        self._encoded: list[tuple[pa.RecordBatch, pa.RecordBatch]] = []
        self._pending: _PendingFile | None = None
        self._host = socket.gethostname()
        self._random = random.Random()  # noqa: S311 - a sample, not a secret

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write the waiting lists, then end the thread; lists that cannot be written are dropped.

        Dropped lists are counted.
        """
        try:
            self._waiting.put(None, timeout=5)
        except queue.Full:
            self.fault = "the log did not keep up when the server ended"
        self._thread.join(timeout=20)

    def sampled(self) -> bool:
        """Whether the next request belongs to the sample."""
        return self._random.random() < self._rate

    def put(self, row: LoggedList) -> None:
        """Log a list; if too many lists wait, it is dropped and counted."""
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            self._dropped.inc()

    def _run(self) -> None:
        rows: list[LoggedList] = []
        due = time.monotonic() + self._every
        running = True
        while running:
            try:
                row = self._waiting.get(timeout=max(due - time.monotonic(), 0.01))
                running = row is not None
                if row is not None:
                    rows.append(row)
            except queue.Empty:
                pass  # no request came until the file is due
            late = time.monotonic() >= due or not running
            if len(rows) >= ENCODED_LISTS or (late and rows):
                self._encoded.append((_requests(rows), _impressions(rows)))
                rows = []
                while self._encoded_lists() > MAX_WAITING_LISTS:
                    self._dropped.inc(self._encoded.pop(0)[0].num_rows)
            # After a fault only time triggers an attempt: one after every list would take a
            # processor core from the requests.
            if late or (self.fault is None and self._encoded_lists() >= MAX_FILE_LISTS):
                self._flush()
                self._remove_old()
                due = time.monotonic() + self._every
        self._dropped.inc(self._encoded_lists() + (self._pending.lists if self._pending else 0))

    def _encoded_lists(self) -> int:
        return sum(requests.num_rows for requests, _ in self._encoded)

    def _flush(self) -> None:
        """Write all encoded lists; after a fault the rest is kept for the next attempt."""
        try:
            while file := self._next_file():
                self._write(file)
                self._written.inc(file.lists)
                self._pending = self.fault = None
        except (SetlistError, OSError) as fault:
            self._failed.inc()
            if self.fault is None:  # a lasting fault is printed once
                print(f"request log: {fault}", flush=True)
            self.fault = str(fault)

    def _remove_old(self) -> None:
        """Remove the files of days that are over for long, once a day; several servers may."""
        today = datetime.now(UTC).date()
        if self._objects is None or self._cleaned == today:
            return
        self._cleaned = today
        oldest = today - self._kept
        try:
            for folder in ("requests", "impressions"):
                for key in self._objects.keys(f"{folder}/"):
                    day = re.match(rf"{folder}/date=(\d{{4}}-\d\d-\d\d)/", key, re.ASCII)
                    if day and day[1] < oldest.isoformat():
                        self._objects.remove(key)
        except (SetlistError, OSError) as fault:
            print(f"request log: old files stay: {fault}", flush=True)

    def _next_file(self) -> _PendingFile | None:
        """The file that a fault left unwritten, or else a new one of all encoded lists."""
        if self._pending is None and self._encoded:
            now = datetime.now(UTC)
            self._pending = _PendingFile(
                f"date={now:%Y-%m-%d}/{now:%H%M%S}-{self._host}-{uuid.uuid4().hex[:12]}.parquet",
                self._encoded_lists(),
                {
                    folder: pa.Table.from_batches([batches[part] for batches in self._encoded])
                    for part, folder in enumerate(("requests", "impressions"))
                },
            )
            self._encoded = []
        return self._pending

    def _write(self, file: _PendingFile) -> None:
        objects = self._objects = self._objects or open_objects(self._to)
        with tempfile.TemporaryDirectory() as scratch:
            for folder, table in file.parts.items():
                path, key = Path(scratch) / folder, f"{folder}/{file.name}"
                pa.parquet.write_table(table, path, compression="zstd")
                # The upload of an earlier attempt may have arrived though its response was lost.
                if not objects.holds(path, key):
                    objects.upload(path, key)


def _requests(rows: list[LoggedList]) -> pa.RecordBatch:
    def column(name: str, value: Callable[[LoggedList], Any]) -> pa.Array:
        return pa.array([value(row) for row in rows], REQUESTS.field(name).type)

    columns = {
        "request_id": column("request_id", lambda row: row.request_id),
        "user_id": column("user_id", lambda row: row.listener),
        "timestamp": column("timestamp", lambda row: int(row.time * 1e6)),
        "name": column("name", lambda row: row.name),
        "revision": column("revision", lambda row: row.revision),
        "role": column("role", lambda row: row.role),
        "k": column("k", lambda row: row.k),
        "history": column("history", lambda row: row.history),
        "history_age_days": column("history_age_days", lambda row: row.ages),
        "inputs": column("inputs", lambda row: list(row.inputs.items())),
        "exclude": column("exclude", lambda row: row.exclude),
        "item_ids": column("item_ids", lambda row: row.ranked.item_ids),
        "scores": column("scores", lambda row: row.ranked.scores),
    }
    return pa.record_batch(columns, schema=REQUESTS)


def _impressions(rows: list[LoggedList]) -> pa.RecordBatch:
    lengths = [len(row.ranked.item_ids) for row in rows]
    # The number of the list, for each of its items.
    list_of_item = pa.array(
        [number for number, length in enumerate(lengths) for _ in range(length)], pa.int32()
    )

    def repeated(values: list[Any], name: str) -> pa.Array:
        return pa.array(values, IMPRESSIONS.field(name).type).take(list_of_item)

    items = [item for row in rows for item in row.ranked.item_ids]
    scores = [score for row in rows for score in row.ranked.scores]
    positions = [position for length in lengths for position in range(1, length + 1)]
    columns = {
        "user_id": repeated([row.listener for row in rows], "user_id"),
        "item_id": pa.array(items, pa.string()),
        "timestamp": repeated([int(row.time * 1e6) for row in rows], "timestamp"),
        "position": pa.array(positions, pa.int32()),
        "score": pa.array(scores, pa.float32()),
        "revision": repeated([row.revision for row in rows], "revision"),
        "role": repeated([row.role for row in rows], "role"),
        "request_id": repeated([row.request_id for row in rows], "request_id"),
    }
    return pa.record_batch(columns, schema=IMPRESSIONS)
