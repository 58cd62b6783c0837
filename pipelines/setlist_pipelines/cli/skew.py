"""`setlist skew`: compare what a model is asked with its training and with the tables."""

import os
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SettingsError, StoreNotFoundError
from setlist_pipelines.cli.answer import Answer, Cell, JsonOption, Records
from setlist_pipelines.cli.connection import Set
from setlist_pipelines.cli.help_page import Commands, examples

if TYPE_CHECKING:
    from setlist.data.features import Features
    from setlist.serving.skew import FeatureSkew
    from setlist_pipelines.settings.file import Settings

skew = Commands()

ALERT_EXIT_CODE = 3


@skew.command(
    name="skew",
    epilog=examples(
        "setlist skew --log gs://bucket/served --store gs://bucket/setlist --days 1",
        "setlist skew --config home.yaml",
    ),
)
def skew_(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings file, to compare with its tables as well."),
    ] = None,
    change: Set = None,
    log: Annotated[
        str, typer.Option(help="What `setlist serve --log` writes to: a folder or gs://bucket/...")
    ] = "",
    store: Annotated[
        str,
        typer.Option(
            envvar="SETLIST_STORE",
            help="A local folder or gs://bucket/prefix; comes before that of the settings.",
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(help="The model's name in the store; that of the settings, or home.")
    ] = "",
    revision: Annotated[
        int | None, typer.Option(min=1, help="The revision; the live one if left out.")
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Read this many of the newest days; monitoring.days of the settings, or all.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare what a model is asked in serving with what it was trained on.

    For every input, and for the histories: how far the served listeners are, as a whole, from the
    listeners of the training.

    With --config also listener by listener: what the last request said, beside what a training
    would read of the same listener in the tables of the settings. The bounds are
    policy.data.serving.

    `setlist run --pipeline monitoring` does the same as a pipeline, which a schedule can start on a
    cluster.

    Ends with 0 when nothing is beyond a bound, with 3 when something is, with 1 on an error and
    with 2 when it was called wrongly.
    """
    from setlist.data.policy import ServingBounds
    from setlist.serving.skew_check import compare_requests
    from setlist.store.reader import open_reader
    from setlist_pipelines.cli.screen import print_data_verdict
    from setlist_pipelines.settings.file import read_settings

    settings = read_settings(config, change) if config else None
    if settings:
        store, name = store or settings.store, name or settings.name
        if settings.monitoring:
            log, days = log or settings.monitoring.log, days or settings.monitoring.days
    store, name = store or ".setlist/store", name or "home"
    if not log:
        raise SettingsError(
            "there is no log to read", "name one with --log, or as monitoring.log in the settings"
        )
    if revision is None:
        head = open_reader(store).head(name)
        if head is None:
            raise StoreNotFoundError(
                f"store {store}: nothing is live under {name}", "name a --revision"
            )
        revision = head.live
    report, verdict = compare_requests(
        log,
        store,
        name,
        revision,
        settings.policy.data.serving if settings else ServingBounds(),
        days,
        _features(settings) if settings else None,
    )
    features = Records(
        {
            "feature": "feature",
            "distance": "distance",
            "allowed": "allowed",
            "chance": "by chance",
            "value": "differs most",
            "trained": "training",
            "served": "served",
            "unknown": "unknown",
        }
    )
    for row in report.features:
        features.add(
            row.feature,
            *(Cell(number, f"{number:.3f}") for number in (row.distance, row.allowed, row.chance)),
            row.value,
            *(Cell(share, f"{share:.1%}") for share in (row.trained, row.served)),
            Cell(row.unknown, _unknown(row)),
        )
    with Answer(json) as answer:
        answer.put("name", name)
        answer.put("revision", revision)
        answer.put_rows("features", features)
        answer.put("summary", report.summary, report.summary)
        answer.put("verdict", verdict.model_dump(mode="json"))
        subject = f"requests to revision {revision} of {name}"
        print_data_verdict(answer.console, verdict, subject)
        if verdict.decision != "pass":
            raise typer.Exit(ALERT_EXIT_CODE)


def _features(settings: "Settings") -> "Features":
    """What the transformation makes of all days of the tables."""
    from setlist.data.features import Features
    from setlist.data.transformation import transform_whole
    from setlist.runs.plan import monitored
    from setlist_pipelines.cli.data import curated, run_window

    with (
        curated(settings, monitored(run_window(settings))) as (dataset, window, _),
        tempfile.TemporaryDirectory() as scratch,
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
    ):
        output = Path(scratch) / "features"
        transform_whole(dataset, window, settings.inputs, output, settings.engine)
        return Features.read(output)


def _unknown(row: "FeatureSkew") -> str:
    """The share of unknown values: an upper bound if training had values that are too rare."""
    if row.unknown is None:
        return ""
    return f"{'at most ' if row.rare else ''}{row.unknown:.1%}"
