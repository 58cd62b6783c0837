"""`setlist skew`: whether what is served looks like what was trained on."""

from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SetlistError
from setlist_pipelines.cli.connection import add_row, examples, new_table

if TYPE_CHECKING:
    from setlist.models.profile import Profile
    from setlist.serving.skew import Compared
    from setlist.store.reader import StoreReader

skew = typer.Typer()

ALERT = 3


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
    store: Annotated[
        str, typer.Option(envvar="SETLIST_STORE", help="A local folder or gs://bucket/prefix.")
    ] = ".setlist/store",
    name: Annotated[str, typer.Option(help="The model's name in the store.")] = "home",
    revision: Annotated[
        int | None, typer.Option(min=1, help="The revision; the live one if left out.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="The newest so many days of the log; all if left out.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="The largest difference of a share that is allowed.")
    ] = 0.1,
) -> None:
    """Hold what a model is asked in serving against what it was trained on.

    For every named input, and for the histories, the largest difference of a share between the
    training listeners and those who were served. It alerts above the threshold (of length and age
    of the histories above three times that: who comes is more active), if chance stays below.

    Ends with 0 when nothing alerts, with 3 when something does, with 1 on an error and with 2 when
    it was called wrongly.
    """
    from setlist.serving.skew import find_skew
    from setlist.store.model_store import open_store
    from setlist_pipelines.cli.screen import screen

    place = open_store(store)
    if revision is None:
        head = place.head(name)
        if head is None:
            raise SetlistError(f"store {store}: nothing is live under {name}; name a --revision.")
        revision = head.live
    profile = _profile(place, name, revision)
    catalogue = (place.file(name, revision, "catalogue.txt") or b"").decode().split("\n")[:-1]
    found = find_skew(log, name, revision, profile, catalogue, threshold, days)
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
    for one in found.compared:
        add_row(
            table, one.feature, f"{one.distance:.3f}", f"{one.allowed:.3f}", f"{one.chance:.3f}",
            one.value, f"{one.trained:.1%}", f"{one.served:.1%}", _unknown(one),
            "ALERT" if one.alert else "",
        )  # fmt: skip
    screen().print(table)
    typer.echo(
        f"{found.listeners:,} listeners by the last request of each and {found.requests:,} "
        f"requests without an id, {found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M}; "
        f"{found.empty:.1%} without a history (in training there are none)"
    )
    alerts = [one for one in found.compared if one.alert]
    if not alerts:
        typer.echo(f"revision {revision} of {name} is asked what it was trained on")
        return
    said = "; ".join(
        f"{one.feature}: {one.value} is {one.served:.1%} of what is served and {one.trained:.1%} "
        "of training"
        for one in alerts
    )
    typer.echo(f"revision {revision} of {name} is not asked what it was trained on: {said}")
    raise typer.Exit(ALERT)


def _profile(place: "StoreReader", name: str, revision: int) -> "Profile":
    from setlist.models.profile import PROFILE, parse_profile

    content = place.file(name, revision, PROFILE)
    if content is None:
        raise SetlistError(
            f"store {place.uri}: revision {revision} of {name} has no {PROFILE}, because it was "
            "made before there was one, or elsewhere; train and push a new one, then compare that."
        )
    return parse_profile(content, f"store {place.uri}: {PROFILE} of revision {revision} of {name}")


def _unknown(one: "Compared") -> str:
    """Where training had rarer values than its profile names, it is an upper bound."""
    if one.unknown is None:
        return ""
    return f"{'at most ' if one.rare else ''}{one.unknown:.1%}"
