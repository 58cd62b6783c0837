"""BigQuery on this machine: the resource of a table, and the Storage Read API over gRPC.

Written after the types of the client library. Rows lie in Arrow tables and go out as the API sends
them: in several streams of uneven length, in pages, the schema with the first page of every call.
"""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import pyarrow as pa
from google.api_core.exceptions import exception_class_for_grpc_status
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.bigquery_storage_v1 import types
from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
from google.protobuf.timestamp_pb2 import Timestamp
from tests.http_stub import Handler, served
from tests.waiting import PATIENCE

from setlist.data import bigquery

PROJECT = "stub-project"
SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
SESSION_ENDS = 2_000_000_000


@dataclass
class BigQueryStub:
    """The tables, and what goes wrong with them.

    Attributes:
        tables: by project.dataset.table.
        kinds: of the resource, where it is no TABLE.
        modified: the last change in ms, by table.
        waiting: rows that were streamed into any table, and are not stored yet.
        refusals: the status of every call that names the table.
        answers: status and reason of the next calls of tables.get; status 0 hangs up.
        codes: how the next calls of the other API end.
        streams: that a session has, unless the caller wants fewer.
        page_rows: rows of an answer.
        breaks: how many calls of ReadRows end with UNAVAILABLE after a page.
        broken: all of them do, after a page without rows.
        silent: calls of ReadRows do not answer.
        sessions: the requests that made them.
        offsets: with which streams were read.
        calls: of either API, by name.
    """

    tables: dict[str, pa.Table]
    kinds: dict[str, str] = field(default_factory=dict)
    modified: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    refusals: dict[str, grpc.StatusCode] = field(default_factory=dict)
    answers: list[tuple[int, str]] = field(default_factory=list)
    codes: list[grpc.StatusCode] = field(default_factory=list)
    streams: int = 3
    page_rows: int = 400
    breaks: int = 0
    broken: bool = False
    silent: bool = False
    sessions: list[types.CreateReadSessionRequest] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _read: dict[str, pa.Table] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create_session(
        self, request: types.CreateReadSessionRequest, context: grpc.ServicerContext
    ) -> types.ReadSession:
        """CreateReadSession."""
        self._begin("CreateReadSession", context)
        asked = request.read_session
        _, project, _, dataset, _, table = asked.table.split("/")
        name = f"{project}.{dataset}.{table}"
        if name in self.refusals:
            context.abort(self.refusals[name], f"request failed: {self.refusals[name].name}")
        if name not in self.tables:
            context.abort(grpc.StatusCode.NOT_FOUND, f"request failed: Not found: Table {name}")
        if self.kinds.get(name, "TABLE") != "TABLE":
            words = "request failed: non-table entities cannot be read with the storage API"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, words)
        if asked.data_format != types.DataFormat.ARROW or not request.parent.startswith(
            "projects/"
        ):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "request failed: format or parent")
        rows = selected(self.tables[name], list(asked.read_options.selected_fields), context)
        count = min(self.streams, request.max_stream_count or self.streams) if len(rows) else 0
        with self._lock:
            self.sessions.append(request)
            session = f"projects/{project}/locations/eu/sessions/{len(self.sessions)}"
            # Every other piece goes to the first stream, the last stream has none.
            of_streams = {f"{session}/streams/{n}": rows.slice(0, 0) for n in range(count)}
            for number, start in enumerate(range(0, len(rows), 250)):
                to = 0 if count < 3 or number % 2 else 1 + number // 2 % (count - 2)
                piece = rows.slice(start, 250)
                stream = f"{session}/streams/{to}"
                of_streams[stream] = pa.concat_tables([of_streams[stream], piece])
            self._read |= of_streams
        schema = types.ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes())
        return types.ReadSession(
            name=session,
            table=asked.table,
            data_format=asked.data_format,
            arrow_schema=schema,
            expire_time=Timestamp(seconds=SESSION_ENDS),
            streams=[types.ReadStream(name=stream) for stream in of_streams],
            estimated_row_count=len(rows),
        )

    def read_rows(
        self, request: types.ReadRowsRequest, context: grpc.ServicerContext
    ) -> Iterator[types.ReadRowsResponse]:
        """ReadRows."""
        self._begin("ReadRows", context)
        ended = threading.Event()
        context.add_callback(ended.set)
        with self._lock:
            self.offsets.append(request.offset)
            breaking, self.breaks = self.breaks > 0, max(0, self.breaks - 1)
            rows = self._read.get(request.read_stream)
        if rows is None or request.offset > len(rows):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no stream {request.read_stream}")
        if self.silent:
            ended.wait()
            return
        schema = types.ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes())
        nothing = pa.RecordBatch.from_pylist([], rows.schema)
        rows = rows.slice(request.offset).combine_chunks()
        pages = [] if self.broken else rows.to_batches(max_chunksize=self.page_rows)
        for batch in pages or [nothing]:
            page = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse(
                arrow_record_batch=page, row_count=len(batch), arrow_schema=schema
            )
            if breaking or self.broken:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
            schema = None

    def _begin(self, call: str, context: grpc.ServicerContext) -> None:
        with self._lock:
            self.calls.append(call)
            code = self.codes.pop(0) if self.codes else None
        if code:
            context.abort(code, f"request failed: {code.name}")

    def resource(self, name: str) -> tuple[int, dict]:
        """The status and the answer of tables.get."""
        self.calls.append("tables.get")
        if self.answers:
            status, reason = self.answers.pop(0)
            words = f"request failed: {reason}"
            errors = [{"message": words, "domain": "global", "reason": reason}]
            return status, {"error": {"code": status, "message": words, "errors": errors}}
        if name in self.refusals:
            status = bigquery_status(self.refusals[name])
            return status, {"error": {"message": f"request failed: {self.refusals[name].name}"}}
        if name not in self.tables:
            return 404, {"error": {"message": f"Not found: Table {name}"}}
        table = self.tables[name]
        buffer = {"streamingBuffer": {"estimatedRows": str(self.waiting)}} if self.waiting else {}
        return 200, buffer | {
            "kind": "bigquery#table",
            "type": self.kinds.get(name, "TABLE"),
            "schema": {"fields": [resource_field(each) for each in table.schema]},
            "numBytes": str(table.nbytes),
            "numRows": str(len(table)),
            "lastModifiedTime": str(self.modified.get(name, 1_777_000_000_000)),
        }


def bigquery_status(code: grpc.StatusCode) -> int:
    """The status of HTTP for one of gRPC."""
    return exception_class_for_grpc_status(code).code


def selected(table: pa.Table, names: list[str], context: grpc.ServicerContext) -> pa.Table:
    """The columns, in the order of the table; of a struct the fields that are named."""
    columns = {}
    for each in table.schema:
        inner = [name.partition(".")[2] for name in names if name.startswith(f"{each.name}.")]
        if not names or each.name in names:
            columns[each] = table[each.name]
        elif inner:
            kept = [table[each.name].combine_chunks().field(name) for name in inner]
            struct = pa.StructArray.from_arrays(kept, names=inner)
            columns[pa.field(each.name, struct.type)] = struct
    missing = [name for name in names if name.partition(".")[0] not in table.column_names]
    if missing:
        words = f"request failed: The following selected fields do not exist: {missing}"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, words)
    return pa.table([*columns.values()], schema=pa.schema([*columns]))


def resource_field(column: pa.Field) -> dict:
    """A column as the resource has it; its metadata name BigQuery's type."""
    kind, repeated = column.type, pa.types.is_list(column.type)
    if repeated:
        kind = kind.value_type
    field = {"name": column.name, "mode": "REPEATED" if repeated else "NULLABLE"}
    field["type"] = (column.metadata or {}).get(b"type", b"STRING").decode()
    if field["type"] == "RECORD":
        field["fields"] = [resource_field(each) for each in kind]
    return field


@contextmanager
def bigquery_stub(**settings) -> Iterator[tuple[BigQueryStub, str, str]]:
    """The stub, and the addresses of its REST API and its gRPC server, which end with the block."""
    server = BigQueryStub(**settings)

    class Resources(Handler):
        def do_GET(self) -> None:  # noqa: N802
            _, _, project, _, dataset, _, table = self.path.split("/")
            status, answer = server.resource(f"{project}.{dataset}.{table}")
            if status == 0:
                self.close_connection = True
                return
            self.respond(status, json.dumps(answer).encode(), **{"Content-Type": "text/json"})

    methods = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(
            server.create_session,
            types.CreateReadSessionRequest.deserialize,
            types.ReadSession.serialize,
        ),
        "ReadRows": grpc.unary_stream_rpc_method_handler(
            server.read_rows, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize
        ),
    }
    rows = grpc.server(ThreadPoolExecutor(8))
    rows.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = rows.add_insecure_port("127.0.0.1:0")
    rows.start()
    try:
        with served(Resources) as rest:
            yield server, rest, f"127.0.0.1:{port}"
    finally:
        rows.stop(None).wait(PATIENCE)


def connected_to(address: str) -> Callable[[], bigquery.Connection]:
    """What stands in for `setlist.data.bigquery.connect`."""

    def connect() -> bigquery.Connection:
        transport = BigQueryReadClient.get_transport_class("grpc")
        reader = BigQueryReadClient(transport=transport(channel=grpc.insecure_channel(address)))
        return AuthorizedSession(AnonymousCredentials()), reader, PROJECT

    return connect
