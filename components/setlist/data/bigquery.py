"""Tables of BigQuery, each read as the streams of one session of the Storage Read API.

A session is a snapshot, and its streams share out the rows, so that several processes can read it.
That API tells neither the size of a table nor its last change; the REST API does.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import google.auth
import pyarrow as pa
from google.api_core.exceptions import BadRequest, GoogleAPIError, from_http_response
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient

from setlist.data.bigquery_faults import REMEDIES, insist, remedy
from setlist.data.formats import TableFile, select_leaves
from setlist.errors import DataError

Connection = tuple[AuthorizedSession, BigQueryReadClient, str | None]
REST = "https://bigquery.googleapis.com/bigquery/v2"
TIMEOUT_SECONDS = 60.0
"""For one answer. A stream that takes longer is resumed behind the last rows that arrived."""
STREAM_BYTES, MAX_STREAMS = 128 * 1024**2, 1_000
"""A table is asked for in streams of that size, all columns counted; Google makes no more."""
MAX_STREAM_BYTES = 4 * 1024**3
"""Of the columns that are read. A larger stream is refused: it would have to fit into memory."""


def describe(path: str) -> tuple[list[str], int, str]:
    """Look at a table, bigquery://project.dataset.table.

    Returns:
        Its columns, nested ones by their paths; its bytes; and a version, another after a change.

    Raises:
        DataError: when it is no table, or none that this account may see.
    """
    url = f"{REST}/{_resource(path)}"

    def resource() -> dict[str, Any]:
        answer = http.get(url, timeout=TIMEOUT_SECONDS)
        if not answer.ok:
            raise from_http_response(answer)
        return answer.json()

    with _connected(path) as (http, _, _):
        table = insist(resource)
    if table["type"].endswith("VIEW"):
        raise DataError(f"{path}: is a view, which the Storage Read API cannot read", REMEDIES[400])
    columns = [*_leaves(table.get("schema", {}).get("fields", []))]
    # Rows that were streamed in are no change of the table before they leave its buffer.
    waiting = table.get("streamingBuffer", {}).get("estimatedRows", 0)
    return columns, int(table.get("numBytes", 0)), f"{table['lastModifiedTime']}+{waiting}"


def streams(path: str, columns: Sequence[str], size: int) -> list[str]:
    """The streams of a new session that reads columns of a table, as paths for `open_stream`.

    Args:
        path: of the table.
        columns: at least one.
        size: of the table, in bytes.

    Raises:
        DataError: when the table cannot be read in this way, or not by this account.
    """
    table = _resource(path)
    options = {"selected_fields": list(columns)}
    session = {"table": table, "data_format": "ARROW", "read_options": options}
    count = min(1 + size // STREAM_BYTES, MAX_STREAMS)
    with _connected(path) as (_, reader, project):
        parent = f"projects/{project or table.split('/')[1]}"
        request = {"parent": parent, "read_session": session, "max_stream_count": count}
        limits = {"timeout": TIMEOUT_SECONDS, "retry": None}
        made = insist(lambda: reader.create_read_session(request, **limits))
    # A table without rows may have no stream, and yet has columns.
    names = [stream.name for stream in made.streams] or [""]
    return [f"{path}#{name}#{','.join(columns)}" for name in names]


def open_stream(path: str) -> TableFile:
    """The rows of one stream; `load` raises DataError when they do not arrive."""
    label, stream, columns = path.split("#", 2)

    def load(wanted: Sequence[str]) -> pa.Table:
        batches: list[pa.RecordBatch] = []
        if stream:
            with _connected(label) as (_, reader, _):
                insist(lambda: _receive(reader, stream, batches), batches)
        # A stream without rows sends no types.
        nothing = pa.table(dict.fromkeys(columns.split(","), pa.nulls(0)))
        return select_leaves(pa.Table.from_batches(batches) if batches else nothing, wanted)

    return TableFile(label, columns.split(","), load)


def _receive(reader: BigQueryReadClient, stream: str, batches: list[pa.RecordBatch]) -> None:
    """Append the rows of a stream that come after those of the batches."""
    schema, request = None, {"read_stream": stream, "offset": sum(map(len, batches))}
    for page in reader.read_rows(request, timeout=TIMEOUT_SECONDS, retry=None):
        # It comes with the first rows, also of a stream that is resumed.
        schema = schema or pa.ipc.read_schema(pa.py_buffer(page.arrow_schema.serialized_schema))
        rows = pa.py_buffer(page.arrow_record_batch.serialized_record_batch)
        batches += filter(len, [pa.ipc.read_record_batch(rows, schema)])  # no rows, no progress
        if sum(batch.nbytes for batch in batches) > MAX_STREAM_BYTES:
            raise BadRequest(f"a stream has more than {MAX_STREAM_BYTES:,} bytes")


def _resource(path: str) -> str:
    """The name of a table as both APIs have it."""
    names = re.fullmatch(r"bigquery://([\w.:-]+)\.(\w+)\.([\w -]+)", path)
    if names is None:
        raise DataError(f"{path}: is no table", "write it like bigquery://project.dataset.table")
    return "projects/{}/datasets/{}/tables/{}".format(*names.groups())


def _leaves(fields: Sequence[dict[str, Any]], path: str = "") -> Iterator[str]:
    for field in fields:
        name = path + field["name"]
        if field["type"] in ("RECORD", "STRUCT") and field.get("mode") != "REPEATED":
            yield from _leaves(field["fields"], f"{name}.")
        elif field["type"] not in ("RANGE", "INTERVAL"):  # which are no single value
            yield name


def connect() -> Connection:
    """Both APIs under Application Default Credentials, and the project that these name."""
    credentials, project = google.auth.default(["https://www.googleapis.com/auth/cloud-platform"])
    return AuthorizedSession(credentials), BigQueryReadClient(credentials=credentials), project


@contextmanager
def _connected(label: str) -> Iterator[Connection]:
    """A connection, of which every fault is one of the table with that name."""
    try:
        http, reader, project = connect()
        with http, reader:
            yield http, reader, project
    except (GoogleAPIError, GoogleAuthError, OSError, pa.ArrowException) as fault:
        reason = " ".join(str(fault).split())[:300]
        raise DataError(f"{label}: cannot be read ({reason})", remedy(fault)) from fault
