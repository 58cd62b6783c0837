"""The HTTP interface of a service: FastAPI routes, and one shape for all errors."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from setlist.errors import ModelError
from setlist.serving.messages import (
    GONE,
    MAX_BODY_BYTES,
    REQUEST_BODY,
    BatchResponse,
    ErrorResponse,
    ListResponse,
    ModelResponse,
    RefusedRequest,
)
from setlist.serving.request_queue import FULL
from setlist.serving.service import REQUEST_SECONDS, Service

JSON = "application/json"
RECOMMEND = "/v1/recommend"
DEADLINE_HEADER = "x-envoy-expected-rq-timeout-ms"
"""How long the caller waits, in milliseconds; Envoy, and with it Istio, sends it by itself."""
HOLD = "setlist.hold"
"""An extension of ASGI: its "call" slows down a connection whose request was refused."""
QUIET_SECONDS = 60.0
"""Between two lines about failed requests."""
MAX_READ_BYTES = 8 * MAX_BODY_BYTES
"""A body that is too large is read and discarded up to this size: if the connection is closed while
a client sends, it does not see the response."""


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Door:
    """What stands before the routes: overload, the end of the process, the path of a proxy."""

    def __init__(self, app: FastAPI, service: Service, root_path: str = "") -> None:
        """Args: see `create_app`."""
        self.app, self._service, self._root = app, service, root_path.rstrip("/")
        refused = RefusedRequest(503, FULL)
        self._full = refused.content()
        self._full_headers = [
            (b"content-type", JSON.encode()),
            (b"content-length", b"%d" % len(self._full)),
            *((name.encode(), value.encode()) for name, value in refused.headers.items()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an overload at once, before a body is read; pass on all else."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._root:
            # A proxy may take its own part of the path away, or leave it.
            path = scope["path"].removeprefix(self._root)
            scope.update(root_path=self._root, path=self._root + path)
        if self._service.draining:
            send = _closing(send)
        if self._service.full and scope["path"] == self._root + RECOMMEND:
            self._service.requests.labels(503).inc()
            start = {"type": "http.response.start", "status": 503, "headers": self._full_headers}
            await send(start)
            await send({"type": "http.response.body", "body": self._full})
            if hold := scope.get("extensions", {}).get(HOLD):
                hold["call"]()
            return
        await self.app(scope, receive, send)


def _closing(send: Send) -> Send:
    """Ask the client to close the connection after the response."""

    async def close(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return close


def create_app(service: Service) -> FastAPI:
    """The application; the service starts and ends with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    app = FastAPI(
        title=f"setlist: {service.settings.name}",
        description="Recommendations of the model that is live in the store.",
        lifespan=lifespan,
        responses={"4XX": {"model": ErrorResponse}, "5XX": {"model": ErrorResponse}},
    )
    _add_recommend(app, service)
    _add_status(app, service)

    @app.exception_handler(RefusedRequest)
    async def refuse(_: Request, refused: RefusedRequest) -> Response:
        return Response(refused.content(), refused.status, refused.headers, JSON)

    @app.exception_handler(HTTPException)
    async def refuse_http(_: Request, fault: HTTPException) -> Response:
        content = RefusedRequest(fault.status_code, fault.detail).content()
        return Response(content, fault.status_code, fault.headers, JSON)

    @app.exception_handler(Exception)
    async def fail(_: Request, __: Exception) -> Response:
        """A fault of ours, whose traceback the server prints."""
        return Response(RefusedRequest(500, "the server failed").content(), 500, media_type=JSON)

    return app


def _add_recommend(app: FastAPI, service: Service) -> None:
    """Add POST /v1/recommend, whose body FastAPI does not parse, but documents."""
    failures = _Failures()
    schema = REQUEST_BODY.json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")

    @app.post(
        RECOMMEND,
        responses={200: {"model": ListResponse | BatchResponse}},
        openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}},
    )
    async def recommend(request: Request) -> Response:
        """A list for one listener, or the lists for the `requests` of a batch."""
        headers: dict[str, str] = {}
        try:
            content: str | bytes = await service.answer(
                await _read_body(request), _seconds(request), request.is_disconnected
            )
            status = 200
        except RefusedRequest as refused:
            content, status, headers = refused.content(), refused.status, refused.headers
        except ClientDisconnect:
            content, status = "", GONE  # nobody receives it
        except ModelError:
            failures.note()
            failed = RefusedRequest(500, "the model failed on this request")
            content, status = failed.content(), failed.status
        service.requests.labels(status).inc()
        response = Response(content, status, headers, JSON)
        if status == 413:
            response.headers["connection"] = "close"  # the rest of the body was not read
        return response

    def openapi() -> dict[str, object]:
        if not app.openapi_schema:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            document["components"]["schemas"].update(parts)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the documented way to extend FastAPI


def _add_status(app: FastAPI, service: Service) -> None:
    """Add GET /v1/model, /healthz, /readyz and /metrics."""

    @app.get("/v1/model")
    async def model() -> ModelResponse:
        """The model that answers now."""
        return service.model()

    @app.get("/healthz")
    async def healthz() -> dict[str, object]:
        """200 unless the model has not answered for a minute; the body says what is wrong."""
        if not await service.healthy():
            raise RefusedRequest(503, "the model does not answer")
        return service.health()

    @app.get("/readyz")
    async def readyz() -> dict[str, object]:
        """200 while there is a model that answers, else 503."""
        service.ready()
        if service.draining:
            raise RefusedRequest(503, "the server is about to end")
        if not await service.answers():
            raise RefusedRequest(503, "the model does not answer")
        return service.health()

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)


class _Failures:
    """A line a minute about requests on which the model failed, without anything of theirs.

    What a model says when it fails may hold a listener's history.
    """

    def __init__(self) -> None:
        self._number, self._next = 0, 0.0

    def note(self) -> None:
        """Count one more."""
        self._number += 1
        if time.monotonic() >= self._next:
            print(f"the model failed on {self._number} requests", flush=True)
            self._number, self._next = 0, time.monotonic() + QUIET_SECONDS


def _seconds(request: Request) -> float:
    """How long the sender of a request waits.

    Raises:
        RefusedRequest: its header is no number of milliseconds (400).
    """
    if (text := request.headers.get(DEADLINE_HEADER)) is None:
        return REQUEST_SECONDS
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise RefusedRequest(400, f"the header {DEADLINE_HEADER} is no number of milliseconds")
    return min(int(text[:9]) / 1_000, REQUEST_SECONDS)


async def _read_body(request: Request) -> bytes:
    """The body of a request.

    Raises:
        RefusedRequest: it is too large, whatever Content-Length announces.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
        elif size > MAX_READ_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise RefusedRequest(
            413, f"the body has more than {MAX_BODY_BYTES:,} bytes; send fewer listeners at once"
        )
    return b"".join(parts)
