"""Tables of BigQuery, from a stand-in that is written after the types of its client library."""

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import google.auth
import grpc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.auth.exceptions import DefaultCredentialsError
from pydantic import ValidationError
from tests.bigquery_stub import PROJECT, BigQueryStub, bigquery_stub, connected_to

from setlist.data import bigquery, bigquery_faults
from setlist.data.curation import (
    CurationSettings,
    DataSettings,
    WindowSettings,
    curate,
    resolve_window,
)
from setlist.data.events import OPTIONAL, REQUIRED, staged_events
from setlist.data.source import TableSource, fingerprint, in_streams, listing
from setlist.errors import DataError

EVENTS = "bigquery://music.logs.events"
RENAMED = {"user_id": "listener", "item_id": "item.id", "timestamp": "at"}
END = pd.Timestamp("2026-05-01", tz="UTC")
ROWS = 3_000
RANDOM = np.random.default_rng(3)
TIMES = [END - pd.Timedelta(minutes=int(m)) for m in RANDOM.choice(60 * 24 * 50, ROWS, False)]
MICROS = [each.value // 1_000 for each in TIMES]
LISTENERS = [int(number) for number in RANDOM.integers(0, 60, ROWS)]
ITEMS = [int(number) for number in RANDOM.integers(0, 30, ROWS)]
WEIGHTS = [Decimal(int(hundredths)) / 100 for hundredths in RANDOM.integers(1, 900, ROWS)]
NUMERIC, BIGNUMERIC = pa.decimal128(38, 9), pa.decimal256(76, 38)


def table(*columns: tuple[str, str, pa.DataType, list]) -> pa.Table:
    """Columns as they arrive: name, BigQuery's type, Arrow's type, values."""
    fields = [pa.field(name, kind, metadata={"type": of}) for name, of, kind, _ in columns]
    return pa.table([pa.array(values, kind) for *_, kind, values in columns], pa.schema(fields))


IDS = {
    "STRING": (pa.string(), [f"0{number}" for number in LISTENERS]),
    "INTEGER": (pa.int64(), [2**53 + number for number in LISTENERS]),
    "BYTES": (pa.binary(), [f"ü{number}".encode() for number in LISTENERS]),
    "NUMERIC": (NUMERIC, [Decimal(10**20 + number) for number in LISTENERS]),
    "BIGNUMERIC": (BIGNUMERIC, [Decimal(10**20 + number) for number in LISTENERS]),
}
INSTANTS = {
    "TIMESTAMP": (pa.timestamp("us", "UTC"), MICROS),
    "DATETIME": (pa.timestamp("us"), MICROS),
    "DATE": (pa.date32(), [each.date() for each in TIMES]),
    "INTEGER": (pa.int64(), MICROS),
    "STRING": (pa.string(), [each.isoformat() for each in TIMES]),
}
NUMBERS = {
    "FLOAT": (pa.float64(), [float(weight) for weight in WEIGHTS]),
    "NUMERIC": (NUMERIC, WEIGHTS),
    "BIGNUMERIC": (BIGNUMERIC, WEIGHTS),
}


def events(ids: str = "INTEGER", instants: str = "TIMESTAMP", numbers: str = "NUMERIC") -> pa.Table:
    """The plays; the item is in a STRUCT, and nobody reads the note."""
    item = pa.struct([("id", pa.int64()), ("other", pa.string())])
    return table(
        ("note", "STRING", pa.string(), ["x" * 50] * ROWS),
        ("listener", ids, *IDS[ids]),
        ("item", "RECORD", item, [{"id": each, "other": "y"} for each in ITEMS]),
        ("at", instants, *INSTANTS[instants]),
        ("weight", numbers, *NUMBERS[numbers]),
    )


TABLES = {
    "items": table(
        ("item_id", "INTEGER", pa.int64(), range(30)),
        ("title", "STRING", pa.string(), [f"No. {number}" for number in range(30)]),
        ("tags", "STRING", pa.list_(pa.string()), [["a", "b"][: n % 3] for n in range(30)]),
        ("released", "DATE", pa.date32(), [END.date(), None] * 15),
    ),
    "users": table(
        ("user_id", "INTEGER", pa.int64(), [2**53 + number for number in range(60)]),
        ("country", "STRING", pa.string(), ["SE", "DE", None] * 20),
        ("age", "INTEGER", pa.int64(), range(60)),
        ("born", "RANGE", pa.struct([("start", pa.date32())]), [None] * 60),
    ),
    "exclude": table(("user_id", "INTEGER", pa.int64(), [2**53 + 7])),
}


@pytest.fixture
def serve(monkeypatch):
    """Starts the stand-in with tables of music.logs, which the test's process connects to."""
    running = []

    def started(tables: dict[str, pa.Table], **settings) -> BigQueryStub:
        named = {f"music.logs.{name}": each for name, each in tables.items()}
        manager = bigquery_stub(tables=named, **settings)
        server, rest, address = manager.__enter__()
        running.append(manager)
        monkeypatch.setattr(bigquery, "REST", rest)
        monkeypatch.setattr(bigquery, "connect", connected_to(address))
        monkeypatch.setattr(bigquery, "STREAM_BYTES", 1_000)  # as if the table were large
        monkeypatch.setattr(bigquery_faults, "PAUSE_SECONDS", 0.0)
        return server

    yield started
    for manager in running:
        manager.__exit__(None, None, None)


def read(source: TableSource) -> pa.Table:
    """The ids of all parts, as text."""
    batches = [batch for batch in staged_events(source) if batch.num_rows]
    staged = pa.Table.from_batches(batches)
    return staged.filter(pa.compute.is_null(staged["size"])).drop_columns(["place", "size"])


def sentence(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def sources(tables: dict[str, pa.Table], place: Callable[[str], str], **settings) -> DataSettings:
    document = {name: {"path": place(name)} for name in tables}
    document["events"] |= {"columns": RENAMED, **settings}
    return DataSettings.model_validate(document)


def dataset(data: DataSettings, folder: Path) -> dict[str, bytes]:
    """The files that curation makes, without what the order of the rows decides."""
    window = resolve_window(WindowSettings(train_days=40, test_days=10), "2026-05-01", END)
    curate(data, window, CurationSettings(), folder)
    names = ("train", "test", "items", "users")
    return {name: (folder / f"{name}.parquet").read_bytes() for name in names}


def compare(serve, folder: Path, tables: dict[str, pa.Table], **settings) -> None:
    for name, content in tables.items():
        pq.write_table(
            content.drop_columns(["born"]) if name == "users" else content,
            folder / f"{name}.parquet",
        )
    serve(tables)
    expected = dataset(
        sources(tables, lambda name: str(folder / f"{name}.parquet"), **settings), folder / "one"
    )
    found = dataset(
        sources(tables, lambda name: f"bigquery://music.logs.{name}", **settings), folder / "two"
    )
    assert found == expected
    assert pq.read_metadata(folder / "two" / "train.parquet").num_rows > 1_000


@pytest.mark.parametrize("ids", IDS)
def test_ids_of_any_type_give_the_dataset_of_the_same_rows_in_parquet(serve, tmp_path, ids):
    compare(serve, tmp_path, {"events": events(ids=ids)})


@pytest.mark.parametrize("instants", INSTANTS)
def test_times_of_any_type_do(serve, tmp_path, instants):
    settings = {"timestamp_unit": "us", "timezone": "Europe/Stockholm"}
    # Without weights: on a day are duplicates, and of them the first weight counts.
    plays = events(instants=instants).drop_columns(["weight"])
    compare(serve, tmp_path, {"events": plays}, **settings)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_weights_of_any_type_do(serve, tmp_path, numbers):
    compare(serve, tmp_path, {"events": events(numbers=numbers)}, where=[["weight", ">", 0.5]])


def test_all_tables_together_do(serve, tmp_path):
    compare(serve, tmp_path, {"events": events()} | TABLES)
    found = pd.read_parquet(tmp_path / "two" / "items.parquet").set_index("item_id")
    assert found.loc["2", "tags"].tolist() == ["a", "b"]
    assert found["released"].notna().sum() == 15
    users = pd.read_parquet(tmp_path / "two" / "users.parquet")
    assert sorted(users.columns) == ["age", "country", "user_id"], "no RANGE, which is no value"
    assert str(2**53 + 7) not in set(users["user_id"])


def test_only_the_columns_that_are_needed_are_asked_for(serve):
    server = serve({"events": events()})
    source = TableSource(path=EVENTS, columns=RENAMED, where=[["weight", ">", 1]])
    assert len(read(source)) == sum(weight > 1 for weight in WEIGHTS)
    (session,) = server.sessions
    assert session.parent == f"projects/{PROJECT}"
    asked = session.read_session.read_options.selected_fields
    assert sorted(asked) == ["at", "item.id", "listener", "weight"]


def test_any_process_reads_its_stream_of_one_snapshot(serve):
    server = serve({"events": events()})
    source = in_streams(TableSource(path=EVENTS, columns=RENAMED), REQUIRED, OPTIONAL)
    assert source.name == EVENTS
    assert len(listing(source)) == server.streams
    server.tables["music.logs.events"] = events().slice(0, 5)
    # As Spark hands the reader on: each worker reads one file.
    reader = pickle.loads(pickle.dumps(partial(staged_events, source)))
    staged = pa.concat_tables(
        pa.Table.from_batches(reader(number)) for number in reversed(range(server.streams))
    )
    assert len(server.sessions) == 1
    rows = staged.filter(pa.compute.is_null(staged["size"]))
    pairs = sorted(zip(rows["user_id"].to_pylist(), rows["time"].to_pylist(), strict=True))
    expected = zip(map(str, IDS["INTEGER"][1]), MICROS, strict=True)
    assert pairs == sorted(expected), "every row once"
    assert len(set(rows["place"].to_pylist())) == ROWS


def test_a_stream_that_breaks_is_resumed_behind_its_last_row(serve, monkeypatch):
    server = serve({"events": events()})
    whole = read(TableSource(path=EVENTS, columns=RENAMED))
    assert server.offsets == [0] * server.streams
    server.offsets.clear()
    monkeypatch.setattr(bigquery_faults, "ATTEMPTS", 3)
    server.breaks = 4  # more than the attempts, but each brings rows
    assert read(TableSource(path=EVENTS, columns=RENAMED)).equals(whole)
    assert sorted(server.offsets) == [0, 0, 0, 400, 800, 1200, 1500]


def test_a_stream_that_breaks_without_a_row_is_given_up(serve):
    server = serve({"events": events()}, broken=True)
    said = sentence(lambda: read(TableSource(path=EVENTS, columns=RENAMED)))
    assert f"{EVENTS}: cannot be read (503 the connection was lost)" in said
    assert server.offsets == [0] * bigquery_faults.ATTEMPTS


def test_a_stream_that_never_answers_ends_in_time(serve, monkeypatch):
    server = serve({"events": events()}, silent=True)
    monkeypatch.setattr(bigquery, "TIMEOUT_SECONDS", 0.5)
    begun = time.monotonic()
    said = sentence(lambda: read(TableSource(path=EVENTS, columns=RENAMED)))
    assert f"{EVENTS}: cannot be read (504 Deadline Exceeded)" in said
    assert "check the connection" in said
    assert time.monotonic() - begun < 60
    assert server.offsets == [0] * bigquery_faults.ATTEMPTS


def test_a_stream_beyond_all_bounds_is_refused(serve, monkeypatch):
    server = serve({"events": events()})
    monkeypatch.setattr(bigquery, "MAX_STREAM_BYTES", 20_000)
    said = sentence(lambda: read(TableSource(path=EVENTS, columns=RENAMED)))
    assert "a stream has more than 20,000 bytes); copy its rows to a table" in said
    assert server.offsets == [0]


def test_tables_without_rows_are_read_like_files_without_rows(serve, tmp_path):
    tables = {"events": events(), "exclude": TABLES["exclude"].slice(0, 0)}
    compare(serve, tmp_path, tables)
    serve({"events": events().slice(0, 0)})
    data = sources({"events": events()}, lambda name: f"bigquery://music.logs.{name}")
    assert "there are no events" in sentence(lambda: dataset(data, tmp_path / "three"))


def test_the_fingerprint_follows_the_last_change_of_the_table(serve):
    server = serve({"events": events()})
    source = TableSource(path=EVENTS, columns=RENAMED)
    ((name, size, version),) = listing(source)
    assert (name, size) == (EVENTS, events().nbytes)
    assert version.startswith("changed=")
    before = fingerprint({"events": source})
    assert fingerprint({"events": source}) == before
    server.waiting = 5
    streamed = fingerprint({"events": source})
    server.modified["music.logs.events"] = 1_777_000_000_001
    assert len({before, streamed, fingerprint({"events": source})}) == 3
    assert server.sessions == [], "nothing was read"


def test_a_table_lies_beside_files_of_no_other_format(serve, tmp_path):
    serve({"events": events(), "more": events()})
    both = TableSource(path=(EVENTS, "bigquery://music.logs.more"), columns=RENAMED)
    assert len(read(both)) == 2 * ROWS
    pq.write_table(events(), tmp_path / "events.parquet")
    mixed = TableSource(path=(EVENTS, str(tmp_path / "events.parquet")), columns=RENAMED)
    assert "are in different formats" in sentence(lambda: read(mixed))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"refusals": {"music.logs.events": grpc.StatusCode.PERMISSION_DENIED}},
            ("403", "bigquery.dataViewer"),
        ),
        (
            {"refusals": {"music.logs.events": grpc.StatusCode.UNAVAILABLE}},
            ("503", "check the connection"),
        ),
        (
            {"kinds": {"music.logs.events": "VIEW"}},
            ("is a view, which the Storage Read API", "copy its rows"),
        ),
        ({"kinds": {"music.logs.events": "MATERIALIZED_VIEW"}}, ("is a view",)),
        (
            {"kinds": {"music.logs.events": "EXTERNAL"}},
            ("non-table entities cannot be read", "copy its rows"),
        ),
    ],
)
def test_what_the_api_refuses_is_one_sentence(serve, settings, words):
    serve({"events": events()}, **settings)
    said = sentence(lambda: read(TableSource(path=EVENTS, columns=RENAMED)))
    assert said.startswith(f"{EVENTS}: ")
    for word in words:
        assert word in said


def test_a_table_that_is_not_there_is_one_sentence(serve):
    server = serve({"other": events()})
    said = sentence(lambda: listing(TableSource(path=EVENTS)))
    assert f"{EVENTS}: cannot be read (404 " in said
    assert "Not found: Table music.logs.events); correct the name." in said
    # It is removed between the look at it and the session.
    server.tables["music.logs.events"] = events()
    columns, size, _ = bigquery.describe(EVENTS)
    del server.tables["music.logs.events"]
    assert "Not found" in sentence(lambda: bigquery.streams(EVENTS, columns, size))
    server.refusals["music.logs.events"] = grpc.StatusCode.UNAUTHENTICATED
    said = sentence(lambda: bigquery.streams(EVENTS, columns, size))
    assert "(401 request failed" in said
    assert "bigquery.readSessionUser" in said


@pytest.mark.parametrize(
    "path", ["bigquery://logs.events", "bigquery://", "bigquery://a/b/c", "bigquery://a.b.c`; drop"]
)
def test_what_is_no_name_of_a_table_is_said(path):
    with pytest.raises(ValidationError, match="there is no table"):
        TableSource(path=path)


def test_a_column_that_is_not_there_is_found_before_anything_is_read(serve):
    server = serve({"events": events()})
    said = sentence(lambda: read(TableSource(path=EVENTS)))
    names = "note, listener, item.id, item.other, at, weight"
    assert f"there is no column 'user_id' in {EVENTS} (it has: {names})" in said
    wrong = TableSource(path=EVENTS, columns=RENAMED | {"user": "note"})
    assert f"'user' is no column of this table ({EVENTS})" in sentence(lambda: read(wrong))
    assert server.sessions == []


def test_without_credentials_it_says_so(monkeypatch):
    def default(_):
        raise DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.setattr(google.auth, "default", default)
    said = sentence(lambda: listing(TableSource(path=EVENTS)))
    assert f"{EVENTS}: cannot be read (Your default credentials were not found.)" in said


def test_it_connects_under_the_credentials_of_the_process(monkeypatch):
    asked = []
    credentials = google.auth.credentials.AnonymousCredentials()
    monkeypatch.setattr(
        google.auth, "default", lambda scopes: asked.append(scopes) or (credentials, "p")
    )
    http, reader, project = bigquery.connect()
    with http, reader:
        assert (http.credentials, project) == (credentials, "p")
        assert reader.transport.host == "bigquerystorage.googleapis.com:443"
    assert asked == [["https://www.googleapis.com/auth/cloud-platform"]]


def test_without_the_extra_it_says_what_to_install():
    code = (
        "import sys; sys.modules['google.cloud.bigquery_storage_v1'] = None\n"
        "from setlist.data.source import *\n"
        f"try: listing(TableSource(path='{EVENTS}'))\n"
        "except Exception as fault: print(type(fault).__name__, fault)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"DataError {EVENTS}: google.cloud.bigquery_storage_v1 is not installed; "
        "install it with: pip install 'setlist[bigquery]'.\n"
    )
