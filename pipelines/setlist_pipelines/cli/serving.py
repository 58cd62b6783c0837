"""`setlist serve` and `setlist follow`: from the store to listeners."""

import re
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from setlist.errors import SetlistError
from setlist_pipelines.cli.address import bound

serving = typer.Typer()

SECONDS_TO_END = 10
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(text: str) -> timedelta:
    """The duration that a text such as 30s, 10m, 1.5h or 1d says.

    Raises:
        SetlistError: it says none, or one of no time at all.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match or not float(match[1]):
        raise SetlistError(f"--every: {text!r} is no duration; write it like 30s, 10m or 1h.")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


Store = Annotated[
    str, typer.Option(envvar="SETLIST_STORE", help="A local folder or gs://bucket/prefix.")
]
ModelName = Annotated[str, typer.Option(help="The model's name in the store.")]
Every = Annotated[str, typer.Option(help="Time between two looks at HEAD, such as 30s or 10m.")]


@serving.command()
def serve(
    store: Store = ".setlist/store",
    name: ModelName = "home",
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8000,
    every: Every = "1m",
    folder: Annotated[
        Path | None,
        typer.Option(help="Where revisions are kept; .setlist/serving/NAME if left out."),
    ] = None,
    shadow: Annotated[
        int | None,
        typer.Option(min=1, help="A revision that is asked the same after each answer, unseen."),
    ] = None,
    candidate: Annotated[
        int | None, typer.Option(min=1, help="A revision that a --share of listeners gets.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of listeners who get the --candidate.")
    ] = None,
    log: Annotated[
        str, typer.Option(help="Log what was shown, as Parquet: a folder or gs://bucket/prefix.")
    ] = "",
    log_rate: Annotated[
        float, typer.Option(min=0, max=1, help="The share of requests that are logged.")
    ] = 1.0,
) -> None:
    """Serve the live model over HTTP, and every model that goes live later.

    POST /v1/recommend, GET /v1/model, /healthz, /readyz, /metrics; /docs describes them. It starts
    without a model too, and is ready when there is one. SIGTERM ends it when all requests are
    answered and the log is written.
    """
    try:
        import uvicorn

        from setlist.serving.http_app import create_app
        from setlist.serving.service import Service, Serving
    except ModuleNotFoundError as fault:
        raise SetlistError(
            f"serve needs {fault.name}, which is not installed; install setlist[server]."
        ) from fault
    if (candidate is None) != (share is None) or (shadow and candidate):
        raise SetlistError("give --candidate together with --share, or --shadow alone.")
    told = Serving(
        store=store,
        name=name,
        folder=folder or Path(".setlist/serving") / name,
        every=duration(every),
        candidate=shadow or candidate,
        share=share,
        log=log,
        rate=log_rate,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again in the end
    service = Service(told)
    service.claim()
    with bound(host, port) as listener:
        typer.echo(f"serving {name} of {store} at http://{host}:{port} (its API: /docs)")
        config = uvicorn.Config(
            create_app(service),
            log_level="warning",
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=SECONDS_TO_END,  # for a client that never ends its request
        )
        uvicorn.Server(config).run([listener])


@serving.command()
def follow(
    to: Annotated[
        Path, typer.Option(help="The folder that holds the live revision, as DIR/REVISION/.")
    ],
    store: Store = ".setlist/store",
    name: ModelName = "home",
    every: Every = "10m",
    host: Annotated[str, typer.Option(help="The address of --port; 0.0.0.0 for all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Answer /healthz, /readyz and /metrics there."),
    ] = None,
) -> None:
    """Keep a folder at the live model: the model base path of TensorFlow Serving.

    A revision is verified and asked in a process of its own, then appears whole; the others vanish
    after it. Whatever fails, the last good one stays. SIGTERM ends it.
    """
    from setlist.serving.follower import ModelFollower
    from setlist.serving.health import serve_status
    from setlist.serving.tf_serving import WORK, BasePath

    base = BasePath(to)

    def put(revision: int, folder: Path) -> None:
        base.put(revision, folder)
        typer.echo(f"revision {revision} of {name} is in {to}")

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    follower = ModelFollower(store, name, to / WORK / "revisions", put, duration(every))
    follower.claim()
    server = serve_status(follower, bound(host, port)) if port else None
    follower.start()
    ended.wait()
    if server:
        server.shutdown()
        server.server_close()
    follower.stop()
