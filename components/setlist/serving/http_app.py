"""The HTTP interface of a service: FastAPI routes, and one shape for all errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from setlist.serving.messages import (
    MAX_BODY_BYTES,
    REQUEST_BODY,
    BatchResponse,
    ErrorResponse,
    ListResponse,
    ModelResponse,
    RefusedRequest,
)
from setlist.serving.service import Service

JSON = "application/json"
MAX_READ_BYTES = 8 * MAX_BODY_BYTES
"""A body that is too large is read and discarded up to this size: if the connection is closed while
a client sends, it does not see the response."""


def create_app(service: Service) -> FastAPI:
    """The application; the service's threads start and end with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

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
        return Response(refused.content(), refused.status, media_type=JSON)

    @app.exception_handler(HTTPException)
    async def refuse_http(_: Request, fault: HTTPException) -> Response:
        content = RefusedRequest(fault.status_code, fault.detail).content()
        return Response(content, fault.status_code, fault.headers, JSON)

    return app


def _add_recommend(app: FastAPI, service: Service) -> None:
    """Add POST /v1/recommend, whose body FastAPI does not parse, but documents."""
    schema = REQUEST_BODY.json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")

    @app.post(
        "/v1/recommend",
        responses={200: {"model": ListResponse | BatchResponse}},
        openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}},
    )
    async def recommend(request: Request) -> Response:
        """A list for one listener, or the lists for the `requests` of a batch."""
        try:
            content: str | bytes = await service.answer(await _read_body(request))
            status = 200
        except RefusedRequest as refused:
            content, status = refused.content(), refused.status
        except ClientDisconnect:  # counted with the status that nginx uses; nobody receives it
            content, status = "", 499
        except Exception as fault:  # a foreign SavedModel may raise anything
            print(f"a request failed: {type(fault).__name__}: {fault}", flush=True)
            content, status = (
                RefusedRequest(500, "the model failed on this request").content(),
                500,
            )
        service.requests.labels(status).inc()
        response = Response(content, status, media_type=JSON)
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
        """200 as long as the process answers; the body says what is wrong."""
        return service.health()

    @app.get("/readyz")
    async def readyz() -> dict[str, object]:
        """200 as soon as there is a model, else 503."""
        service.ready()
        return service.health()

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)


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
