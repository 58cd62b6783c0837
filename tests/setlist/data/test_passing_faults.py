"""What passes by itself is waited for inside the step; what does not is refused at once.

A stock Kubeflow starts a step again whose pod is lost, and none that fails.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import google.cloud.storage
import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.bigquery_stub import BigQueryStub, bigquery_stub, connected_to
from tests.conftest import BUCKET
from tests.http_stub import served
from tests.setlist.store.proxy import Proxy

from setlist.data import bigquery, bigquery_faults
from setlist.data.events import staged_events
from setlist.data.source import TableSource, listing
from setlist.errors import DataError
from setlist.store import bucket
from setlist.store.objects import open_objects

# Of an answer that it tries again, the client leaves the body unread, and the connection open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROWS = 900
TEXT = {"type": "STRING"}
EVENTS = pa.table(
    {
        "user_id": [f"u{number % 7}" for number in range(ROWS)],
        "item_id": [f"i{number % 5}" for number in range(ROWS)],
        "timestamp": [f"2026-04-{1 + number % 28:02}T10:00:00Z" for number in range(ROWS)],
    },
    pa.schema(
        [pa.field(n, pa.string(), metadata=TEXT) for n in ("user_id", "item_id", "timestamp")]
    ),
)
TABLE = TableSource(path="bigquery://music.logs.events")
PAST = 8 * 3
"""More faults than there are attempts."""


def plays(source: TableSource) -> int:
    staged = pa.Table.from_batches([each for each in staged_events(source) if each.num_rows])
    return staged.filter(pa.compute.is_null(staged["size"])).num_rows


def sentence(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    words = str(caught.value)
    assert words.endswith(".")
    assert "\n" not in words
    assert caught.value.remedy
    return words


# BigQuery


@pytest.fixture
def server(monkeypatch) -> Iterator[BigQueryStub]:
    tables = {"music.logs.events": EVENTS}
    with bigquery_stub(tables=tables, streams=1) as (server, rest, address):
        monkeypatch.setattr(bigquery, "REST", rest)
        monkeypatch.setattr(bigquery, "connect", connected_to(address))
        monkeypatch.setattr(bigquery_faults, "PAUSE_SECONDS", 0.0)
        yield server


PASSING_ANSWERS = [
    (503, "backendError"),
    (500, "internalError"),
    (502, "badGateway"),
    (504, "timeout"),
    (429, "rateLimitExceeded"),
    (403, "rateLimitExceeded"),
    (0, "the server hangs up"),
]
PASSING_CODES = [
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNKNOWN,
]


@pytest.mark.parametrize("answer", PASSING_ANSWERS)
def test_a_look_at_a_table_outlasts_two_faults(server, answer):
    server.answers = [answer] * 2
    assert listing(TABLE)[0][0] == TABLE.name
    assert server.calls == ["tables.get"] * 3


@pytest.mark.parametrize("code", PASSING_CODES)
def test_a_session_and_a_stream_outlast_two_faults(server, code):
    columns, size, _ = bigquery.describe(TABLE.name)
    server.codes, server.calls = [code] * 2, []
    (stream,) = bigquery.streams(TABLE.name, columns, size)
    assert server.calls == ["CreateReadSession"] * 3
    server.codes, server.calls = [code] * 2, []
    assert bigquery.open_stream(stream).load(columns).num_rows == ROWS
    assert server.calls == ["ReadRows"] * 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, "invalid"), "copy its rows to a table"),
        ((403, "accessDenied"), "roles/bigquery.dataViewer"),
        ((403, "quotaExceeded"), "wait for the quota of the project to be renewed"),
        ((404, "notFound"), "correct the name"),
        ((409, "duplicate"), "check the connection and the account"),
    ],
)
def test_what_stays_refused_is_asked_for_once(server, answer, words):
    server.answers = [answer] * PAST
    assert f"({answer[0]} " in (text := sentence(lambda: listing(TABLE)))
    assert words in text
    assert server.calls == ["tables.get"]


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
def test_a_session_that_stays_refused_is_asked_for_once(server, code):
    server.codes = [code] * PAST
    assert f"request failed: {code.name}" in sentence(lambda: plays(TABLE))
    assert server.calls == ["tables.get", "CreateReadSession"]


def test_what_never_recovers_is_given_up_after_so_many_attempts(server):
    server.answers = [(503, "backendError")] * PAST
    text = sentence(lambda: listing(TABLE))
    assert f"{TABLE.name}: cannot be read (503 GET " in text
    assert text.endswith("; check the connection, and try again later.")
    assert server.calls == ["tables.get"] * bigquery_faults.ATTEMPTS
    server.answers, server.calls, server.codes = [], [], [grpc.StatusCode.UNAVAILABLE] * PAST
    assert "try again later" in sentence(lambda: plays(TABLE))
    assert server.calls == ["tables.get"] + ["CreateReadSession"] * bigquery_faults.ATTEMPTS


def test_what_recovers_too_late_is_given_up_before_all_attempts(server, monkeypatch):
    monkeypatch.setattr(bigquery_faults, "RETRY_SECONDS", 0.0)
    server.answers = [(503, "backendError")] * PAST
    assert "try again later" in sentence(lambda: listing(TABLE))
    assert 1 <= len(server.calls) < bigquery_faults.ATTEMPTS


# Google Cloud Storage


class Faulty(Proxy):
    """Before the emulator: the next requests fail, those for files or for lists of them.

    Attributes:
        faults: statuses of the next requests whose path has the part; 0 hangs up, and 1 does so
            in the middle of the answer.
        part: of the paths.
        asked: how many such requests there were.
    """

    faults: ClassVar[list[int]] = []
    part: ClassVar[str] = ""
    asked: ClassVar[int] = 0
    whole: bool = True

    def pass_on(self) -> None:
        """Answer one request."""
        fault = None
        if Faulty.part in self.path:
            Faulty.asked += 1
            fault = Faulty.faults.pop(0) if Faulty.faults else None
        self.whole = fault != 1
        if fault is None or fault == 1:
            super().pass_on()
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == 0:
            self.close_connection = True
        else:
            self.respond(fault)

    def respond(self, status: int, content: bytes = b"", **headers: str) -> None:
        if self.whole:
            super().respond(status, content, **headers)
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    do_GET = do_POST = do_DELETE = pass_on  # noqa: N815


LISTS, FILES = "/o?", "events.parquet"


@contextmanager
def faults_of(part: str, *statuses: int) -> Iterator[None]:
    Faulty.part, Faulty.faults, Faulty.asked = part, list(statuses), 0
    yield
    Faulty.faults = []


@pytest.fixture
def folder(gcs_bucket, tmp_path, monkeypatch) -> Iterator[TableSource]:
    """Plays in a bucket, read through a proxy without pauses."""
    pq.write_table(EVENTS, tmp_path / "events.parquet")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_bucket)
    prefix = f"passing/{tmp_path.name}/plays"
    blob = google.cloud.storage.Client().bucket(BUCKET).blob(f"{prefix}/events.parquet")
    blob.upload_from_filename(tmp_path / "events.parquet")
    retry = google.cloud.storage.retry.DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.01)
    monkeypatch.setattr(google.cloud.storage.retry, "DEFAULT_RETRY", retry)
    Proxy.reset(gcs_bucket)
    with served(Faulty) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield TableSource(path=f"gs://{BUCKET}/{prefix}")
    gc.collect()  # such connections, while the mark above holds


@pytest.mark.parametrize("part", [LISTS, FILES], ids=["list", "file"])
@pytest.mark.parametrize("status", [503, 500, 502, 504, 429, 408, 0, 1])
def test_a_table_in_a_bucket_outlasts_two_faults(folder, part, status):
    with faults_of(part, status, status):
        assert plays(folder) == ROWS
    assert Faulty.asked >= 3


@pytest.mark.parametrize("part", [LISTS, FILES], ids=["list", "file"])
@pytest.mark.parametrize("status", [403, 404, 412])
def test_a_bucket_that_refuses_is_asked_once(folder, part, status):
    with faults_of(part, *[status] * PAST):
        words = sentence(lambda: plays(folder))
    assert folder.name in words
    assert f"({status}" in words
    assert Faulty.asked == 1


@pytest.mark.parametrize("part", [LISTS, FILES], ids=["list", "file"])
def test_a_bucket_that_never_recovers_is_given_up(folder, part, monkeypatch):
    monkeypatch.setattr(bucket, "RETRY_SECONDS", 0.1)
    with faults_of(part, *[503] * 10_000):
        words = sentence(lambda: plays(folder))
    assert folder.name in words
    assert "(503)" in words
    assert 1 < Faulty.asked < 10_000


@pytest.mark.parametrize("status", [503, 429, 0])
def test_a_store_in_a_bucket_outlasts_two_faults(folder, tmp_path, status):
    store = open_objects(folder.name.replace("plays", "store"))
    file, copy = tmp_path / "events.parquet", tmp_path / "copy"

    def use(call: Callable[[], object]) -> object:
        with faults_of("", status, status):
            answer = call()
        assert Faulty.asked >= 3
        return answer

    generation = use(lambda: store.write("home/HEAD", b"1", expected=None))
    assert use(lambda: store.read("home/HEAD")) == (b"1", generation)
    use(lambda: store.upload(file, "model/file"))
    assert use(lambda: store.holds(file, "model/file"))
    use(lambda: store.download("model/file", copy))
    assert copy.read_bytes() == file.read_bytes()
    assert use(lambda: store.keys("")) == ["home/HEAD", "model/file"]
    use(lambda: store.remove("model/file"))
    assert store.keys("") == ["home/HEAD"]
