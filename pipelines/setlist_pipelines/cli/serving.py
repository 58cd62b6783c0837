"""`setlist serve` and `setlist follow`: bring the live model of a store to listeners."""

import re
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from setlist.errors import SettingsError
from setlist.printable import plain_output
from setlist_pipelines.cli.connection import NameOption, StoreOption, VerifyOption, bound_socket
from setlist_pipelines.cli.help_page import Commands, examples

serving = Commands()

SHUTDOWN_SECONDS = 6
"""Time for open requests at the end; the longest deadline of a request is 5 s."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_interval(text: str) -> timedelta:
    """The time in a text such as 30s, 10m, 1.5h or 1d.

    Raises:
        SettingsError: the text is not such a time, or the time is 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match or not float(match[1]):
        raise SettingsError(f"--every: {text!r} is no duration", "write it like 30s, 10m or 1h")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


AllowOption = Annotated[
    list[str] | None,
    typer.Option(help="An operation to allow in a model's graph beside the usual ones."),
]
UNCHECKED = "signatures are not checked; --verify KEY refuses what that key has not signed"
EveryOption = Annotated[str, typer.Option(help="Time between two polls of HEAD, like 30s or 10m.")]


@serving.command(
    epilog=examples(
        "setlist serve",
        "setlist serve --store gs://bucket/setlist --host 0.0.0.0 --log gs://bucket/served",
        "setlist serve --candidate 8 --share 0.1",
    )
)
def serve(
    store: StoreOption = ".setlist/store",
    name: NameOption = "home",
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8000,
    every: EveryOption = "1m",
    folder: Annotated[
        Path | None,
        typer.Option(help="Where revisions are kept; .setlist/serving/NAME if left out."),
    ] = None,
    shadow: Annotated[
        int | None,
        typer.Option(min=1, help="A revision to compare: it is asked the same, nobody sees it."),
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
    log_days: Annotated[
        int, typer.Option(min=1, help="Days after which what was logged is removed.")
    ] = 180,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer for a model, a copy in each.")
    ] = 1,
    any_input: Annotated[
        bool, typer.Option(help="Answer requests with inputs that the model was not trained with.")
    ] = False,
    allow_operation: AllowOption = None,
    verify: VerifyOption = None,
    root_path: Annotated[
        str, typer.Option(help="The path under which a proxy offers this server, like /lists.")
    ] = "",
) -> None:
    """Serve the live model over HTTP, and every model that goes live later.

    POST /v1/recommend, GET /v1/model, /healthz, /readyz, /metrics; /docs describes them. The server
    also starts without a model, and is ready as soon as there is one. Models run in processes of
    their own; one that does not come back is ended and replaced. At SIGTERM the server answers on
    until no request comes for a second, at most 10 s, writes the log and ends.
    """
    import uvicorn

    from setlist.models.worker.model_worker import require_tensorflow
    from setlist.serving.http_app import Door, create_app
    from setlist.serving.http_connections import (
        KEEP_ALIVE_SECONDS,
        BoundedConnection,
        DrainingServer,
        allow_connections,
    )
    from setlist.serving.served_models import ServiceSettings
    from setlist.serving.service import Service
    from setlist.store.signing import TrustedKeys

    plain_output()
    require_tensorflow()
    if (candidate is None) != (share is None) or (shadow and candidate):
        raise SettingsError("give --candidate together with --share, or --shadow alone.")
    settings = ServiceSettings(
        store=store,
        name=name,
        folder=folder or Path(".setlist/serving") / name,
        every=parse_interval(every),
        candidate=shadow or candidate,
        share=share,
        log=log,
        rate=log_rate,
        log_days=log_days,
        workers=workers,
        any_input=any_input,
        allowed=tuple(allow_operation or ()),
        trusted=TrustedKeys.of(verify or ()),
    )
    # After its shutdown uvicorn raises the signal again; without a handler that ends in code -15.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    service = Service(settings)
    service.models.lock_folders()
    with bound_socket(host, port) as listener:
        typer.echo(f"serving {name} of {store} at http://{host}:{port} (its API: /docs)")
        if not settings.trusted:
            typer.echo(UNCHECKED)
        BoundedConnection.most = allow_connections()
        config = uvicorn.Config(
            Door(create_app(service), service, root_path),
            http=BoundedConnection,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            log_level="warning",
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        DrainingServer(config, service).run([listener])


@serving.command(
    epilog=examples("setlist follow --store gs://bucket/setlist --to /models/home --port 8002")
)
def follow(
    to: Annotated[
        Path, typer.Option(help="The folder that holds the live revision, as DIR/REVISION/.")
    ],
    store: StoreOption = ".setlist/store",
    name: NameOption = "home",
    every: EveryOption = "10m",
    host: Annotated[str, typer.Option(help="The address of --port; 0.0.0.0 for all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Answer /healthz, /readyz and /metrics there."),
    ] = None,
    allow_operation: AllowOption = None,
    verify: VerifyOption = None,
) -> None:
    """Keep a folder at the live model: the model base path of TensorFlow Serving.

    A new revision is verified, and loaded and called in a process of its own. Then it appears in
    the folder complete, and the others are removed. Whatever fails, the last good revision stays.
    SIGTERM ends the command.
    """
    from setlist.models.worker.model_worker import require_tensorflow
    from setlist.serving.follower import ModelFollower
    from setlist.serving.monitoring import serve_status
    from setlist.serving.tf_serving import WORK_FOLDER, BasePath
    from setlist.store.signing import TrustedKeys

    plain_output()
    require_tensorflow()
    base_path = BasePath(to, allow_operation or ())

    def install(revision: int, folder: Path) -> None:
        base_path.install(revision, folder)
        typer.echo(f"revision {revision} of {name} is in {to}")

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    follower = ModelFollower(
        store,
        name,
        to / WORK_FOLDER / "revisions",
        install,
        parse_interval(every),
        trusted=TrustedKeys.of(verify or ()),
    )
    if not verify:
        typer.echo(UNCHECKED)
    follower.lock_folder()
    server = serve_status(follower, bound_socket(host, port)) if port else None
    follower.start()
    ended.wait()
    if server:
        server.shutdown()
        server.server_close()
    follower.stop()
