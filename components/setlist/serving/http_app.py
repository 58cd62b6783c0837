"""The HTTP service over the followed model: FastAPI, uvicorn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from setlist.serving.messages import (
    BODIES,
    BODY,
    Answer,
    Answers,
    ModelAnswer,
    Problems,
    Refused,
)
from setlist.serving.service import Service

JSON = "application/json"
MOST_DISCARDED = 8 * BODY
"""Bytes of a body that is too large which are still read, so that its sender sees the answer."""


def create_app(service: Service) -> FastAPI:
    """The application; the service's threads start and end with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title=f"setlist: {service.serving.name}",
        description="Recommendations of the model that is live in the store.",
        lifespan=lifespan,
        responses={"4XX": {"model": Problems}, "5XX": {"model": Problems}},
    )
    schema = BODIES.json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")

    @app.post(
        "/v1/recommend",
        responses={200: {"model": Answer | Answers}},
        openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}},
    )
    async def recommend(request: Request) -> Response:
        """Lists for one listener, or for the `requests` of a batch."""
        try:
            content: str | bytes = await service.answer(await _body(request))
            status = 200
        except Refused as refused:
            content, status = refused.content(), refused.status
        except ClientDisconnect:  # counted as nginx does; nobody sees the answer
            content, status = "", 499
        except Exception as fault:  # a stranger's graph may raise anything
            print(f"a request failed: {type(fault).__name__}: {fault}", flush=True)
            content, status = Refused(500, "the model failed on this request").content(), 500
        service.requests.labels(status).inc()
        response = Response(content, status, media_type=JSON)
        if status == 413:
            response.headers["connection"] = "close"  # not all of the body was read
        return response

    @app.get("/v1/model")
    async def model() -> ModelAnswer:
        """The model that answers now."""
        return service.model()

    @app.get("/healthz")
    async def healthz() -> dict[str, object]:
        """200 as long as the process answers, whatever is wrong; the body says what is."""
        return service.health()

    @app.get("/readyz")
    async def readyz() -> dict[str, object]:
        """200 as soon as there is a model, else 503."""
        service.ready()
        return service.health()

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(Refused)
    async def refuse(_: Request, refused: Refused) -> Response:
        return Response(refused.content(), refused.status, media_type=JSON)

    @app.exception_handler(HTTPException)
    async def refuse_http(_: Request, fault: HTTPException) -> Response:
        content = Refused(fault.status_code, fault.detail).content()
        return Response(content, fault.status_code, fault.headers, JSON)

    def openapi() -> dict[str, object]:
        if not app.openapi_schema:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            made["components"]["schemas"].update(parts)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own way of extending it
    return app


async def _body(request: Request) -> bytes:
    """The body.

    Raises:
        Refused: it is too large, announced or not.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= BODY:
            parts.append(part)
        elif size > MOST_DISCARDED:
            break
    if size > BODY:
        raise Refused(413, f"the body has more than {BODY:,} bytes; send fewer listeners at once")
    return b"".join(parts)
