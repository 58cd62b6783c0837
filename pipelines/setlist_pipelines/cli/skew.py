"""`setlist skew`: compare what a model is asked in serving with what it was trained on."""

from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import ModelError, StoreNotFoundError
from setlist_pipelines.cli.connection import (
    NameOption,
    StoreOption,
    add_row,
    examples,
    new_table,
)

if TYPE_CHECKING:
    from setlist.models.profile import Profile
    from setlist.serving.skew import FeatureSkew
    from setlist.store.reader import StoreReader

skew = typer.Typer()

ALERT_EXIT_CODE = 3


@skew.command(
    name="skew",
    epilog=examples(
        "setlist skew --log gs://bucket/served --store gs://bucket/setlist --days 1",
        "setlist skew --log served --revision 7 --threshold 0.05",
    ),
)
def skew_(
    log: Annotated[
        str, typer.Option(help="What `setlist serve --log` writes to: a folder or gs://bucket/...")
    ],
    store: StoreOption = ".setlist/store",
    name: NameOption = "home",
    revision: Annotated[
        int | None, typer.Option(min=1, help="The revision; the live one if left out.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Read this many of the newest days; all if left out.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="The largest difference of a share that is allowed.")
    ] = 0.1,
) -> None:
    """Compare what a model is asked in serving with what it was trained on.

    For every named input, and for the histories: the largest difference between the share of a
    value among the training listeners and among the served ones. It alerts if the difference is
    above the threshold, and larger than by chance. For length and age of the histories the
    threshold is three times as high, because the listeners who come are more active.

    Ends with 0 when nothing alerts, with 3 when something does, with 1 on an error and with 2 when
    it was called wrongly.
    """
    from setlist.serving.skew import find_skew
    from setlist.store.model_store import open_store
    from setlist_pipelines.cli.screen import screen

    opened = open_store(store)
    if revision is None:
        head = opened.head(name)
        if head is None:
            raise StoreNotFoundError(
                f"store {store}: nothing is live under {name}", "name a --revision"
            )
        revision = head.live
    profile = _profile(opened, name, revision)
    catalogue = (opened.file(name, revision, "catalogue.txt") or b"").decode().split("\n")[:-1]
    report = find_skew(log, name, revision, profile, catalogue, threshold, days)
    table = new_table(
        "feature",
        "distance",
        "allowed",
        "by chance",
        "differs most",
        "training",
        "served",
        "unknown",
        "",
    )
    for row in report.features:
        add_row(
            table, row.feature, f"{row.distance:.3f}", f"{row.allowed:.3f}", f"{row.chance:.3f}",
            row.value, f"{row.trained:.1%}", f"{row.served:.1%}", _unknown(row),
            "ALERT" if row.alert else "",
        )  # fmt: skip
    screen().print(table)
    typer.echo(
        f"{report.listeners:,} listeners by the last request of each and {report.requests:,} "
        f"requests without an id, {report.first:%Y-%m-%d %H:%M} to {report.last:%Y-%m-%d %H:%M}; "
        f"{report.empty:.1%} without a history (in training there are none)"
    )
    alerts = [row for row in report.features if row.alert]
    if not alerts:
        typer.echo(f"revision {revision} of {name} is asked what it was trained on")
        return
    reasons = "; ".join(
        f"{row.feature}: {row.value} is {row.served:.1%} of what is served and {row.trained:.1%} "
        "of training"
        for row in alerts
    )
    typer.echo(f"revision {revision} of {name} is not asked what it was trained on: {reasons}")
    raise typer.Exit(ALERT_EXIT_CODE)


def _profile(store: "StoreReader", name: str, revision: int) -> "Profile":
    from setlist.models.profile import PROFILE, parse_profile

    content = store.file(name, revision, PROFILE)
    if content is None:
        raise ModelError(
            f"store {store.uri}: revision {revision} of {name} has no {PROFILE}, because it was "
            "made elsewhere or by an older setlist",
            "train and push a new model, then compare that one",
        )
    return parse_profile(content, f"store {store.uri}: {PROFILE} of revision {revision} of {name}")


def _unknown(row: "FeatureSkew") -> str:
    """The share of unknown values: an upper bound if training had values that are too rare."""
    if row.unknown is None:
        return ""
    return f"{'at most ' if row.rare else ''}{row.unknown:.1%}"
