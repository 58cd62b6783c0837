"""`setlist models`: what is in a store, what is live, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SetlistError, SettingsError
from setlist.printable import lines
from setlist_pipelines.cli.answer import Answer, Cell, JsonOption, Records
from setlist_pipelines.cli.connection import Config, Set, VerifyOption, say
from setlist_pipelines.cli.help_page import Commands, examples

if TYPE_CHECKING:
    from setlist.store.manifest import Manifest

models = Commands(
    help="The models of a store: a folder or a bucket.",
    epilog=examples("setlist models list", "setlist models show"),
)

Name = Annotated[str, typer.Option(help="The model's name in the store.")]
Store = Annotated[
    str, typer.Option(envvar="SETLIST_STORE", help="A local folder or gs://bucket/prefix.")
]
Revision = Annotated[int, typer.Argument(help="The number of the revision.")]
Why = Annotated[str, typer.Option(help="One sentence for the history.")]
HOME, HERE = "home", ".setlist/store"


@models.command(name="list", epilog=examples("setlist models list --store gs://bucket/setlist"))
def list_(name: Name = HOME, store: Store = HERE, json: JsonOption = False) -> None:
    """List the revisions: which is live, which was before, which are pinned or only staged."""
    from setlist.store.pins import pins
    from setlist.store.reader import open_reader

    place = open_reader(store)
    head, pinned, was = place.head(name), pins(place, name), place.promoted_revisions(name)
    records = Records(
        {
            "revision": "revision",
            "states": "",
            "label": "label",
            "created": "created",
            "data_until": "data until",
            "digest": "digest",
            "bytes": "MB",
            "run": None,
        }
    )
    for revision, manifest in place.manifests(name).items():
        marks = [
            *(["live"] if head and revision == head.live else []),
            *(["previous"] if head and revision == head.previous else []),
            *(["pinned"] if revision in pinned else []),
            *(["staged"] if revision not in was else []),
        ]
        if isinstance(manifest, SetlistError):
            states = Cell([*marks, "damaged"], " ".join([*marks, "DAMAGED"]))
            records.add(revision, states, *[None] * (len(records.columns) - 2))
            continue
        until, size = manifest.training_window.get("end"), _size(manifest)
        records.add(
            revision,
            Cell(marks, " ".join(marks)),
            manifest.metadata.get("label"),
            Cell(manifest.created, manifest.created[:16]),
            Cell(until, (until or "")[:16]),
            Cell(manifest.digest, manifest.digest[:12]),
            Cell(size, f"{size / 1e6:,.1f}"),
            manifest.run_id,
        )
    if not records.rows:
        raise SettingsError(f"store {store}: there is no revision under {name}", "check both")
    with Answer(json) as answer:
        answer.put_rows("revisions", records)


@models.command(epilog=examples("setlist models show", "setlist models show 7"))
def show(
    revision: Annotated[
        int | None, typer.Argument(help="The number of the revision; the live one if left out.")
    ] = None,
    name: Name = HOME,
    store: Store = HERE,
    json: JsonOption = False,
) -> None:
    """Show one revision: whether it is live, its run, its report, its verdict, its files."""
    from setlist.runs.kept_run import report_of_revision
    from setlist.store.reader import open_reader
    from setlist_pipelines.cli.revision_facts import described, standing

    place = open_reader(store)
    head = place.read_pointer(name)[0]
    if revision is None:
        if head is None:
            raise SettingsError(
                f"store {store}: nothing is live under {name}", "see `setlist models list`"
            )
        revision = head.live
    manifest = place.manifest(name, revision)
    report, remark = report_of_revision(place, manifest)
    data, size = manifest.training_window, _size(manifest)
    state = standing(head, manifest)
    facts = {
        "model": Cell({"name": name, "revision": revision}, f"{name}, revision {revision}"),
        "state": state,
        "run": manifest.run_id,
        "report": Cell(report or None, f"{report} {remark and f'({remark})'}".strip()),
        "created": manifest.created,
        "digest": manifest.digest,
        "data": Cell(
            {end: data.get(end) for end in ("start", "end")},
            " to ".join(data.get(end, "?") for end in ("start", "end")),
        ),
        "bytes": Cell(size, f"{size:,} in {len(manifest.files)} files"),
    }
    metadata = described(manifest.metadata, live=state.value == "live")
    files = Records({"path": "file", "bytes": "bytes", "sha256": "SHA-256"})
    for path, file in manifest.files.items():
        files.add(path, Cell(file.size, f"{file.size:,}"), file.sha256)
    with Answer(json) as answer:
        answer.put_facts(facts, metadata=metadata)
        answer.put_rows("files", files)


@models.command(name="verify", epilog=examples("setlist models verify 7", "setlist models verify"))
def verify_(
    revision: Annotated[
        int | None, typer.Argument(help="The number of the revision; all if left out.")
    ] = None,
    name: Name = HOME,
    store: Store = HERE,
    verify: VerifyOption = None,
) -> None:
    """Read every file and hold it against the manifest; name each fault.

    With --verify, HEAD and each revision must be signed, too.

    Ends with 0 where all is whole, else with 1.
    """
    from setlist.store.reader import open_reader
    from setlist.store.signing import TrustedKeys

    place = open_reader(store, trusted=TrustedKeys.of(verify or ()))
    faults = 0
    revisions = place.revisions(name) if revision is None else [revision]
    if not revisions:
        raise SettingsError(f"store {store}: there is no revision under {name}", "check both")
    for revision in revisions:
        damages = place.verify(name, revision)
        faults += len(damages)
        for fault in damages:
            say(str(fault))
        if not damages:
            say(f"revision {revision} of {name} is whole")
    if faults:
        raise typer.Exit(1)


@models.command(epilog=examples("setlist models diff 6 7"))
def diff(
    first: Annotated[int, typer.Argument(help="A revision.")],
    second: Annotated[int, typer.Argument(help="Another one.")],
    name: Name = HOME,
    store: Store = HERE,
    json: JsonOption = False,
) -> None:
    """Show what differs between two revisions: data, settings, verdicts, files."""
    from setlist.runs.revision_diff import ABSENT, compare_revisions

    records = Records({"what": "", "values": [f"revision {first}", f"revision {second}"]})
    for what, *values in compare_revisions(store, name, first, second):
        records.add(what, [Cell(None, ABSENT) if value == ABSENT else value for value in values])
    with Answer(json) as answer:
        answer.put("revisions", [first, second])
        answer.put_rows("differences", records)


@models.command(epilog=examples('setlist models promote 7 --why "looked at by the editors"'))
def promote(
    revision: Revision,
    name: Name = HOME,
    store: Store = HERE,
    why: Why = "",
    older: Annotated[
        bool, typer.Option("--older", help="Although its data end before the live model's.")
    ] = False,
    force_head: Annotated[
        bool,
        typer.Option(
            "--force-head",
            help="Replace a HEAD that is lost or damaged; its history is lost. For the live "
            "revision: say that HEAD is right, although it is older than it was.",
        ),
    ] = False,
    verify: VerifyOption = None,
) -> None:
    """Make a staged revision live, if what was live when it was judged still is.

    Every file is verified before.
    """
    from setlist.runs.promotion import promote_staged, replace_head

    if force_head:
        replace_head(store, name, revision, why)
    else:
        promote_staged(store, name, revision, why=why, allow_older=older, verify=verify or ())
    say(f"revision {revision} of {name} is live")


@models.command(epilog=examples('setlist models rollback --why "lists look odd in Brazil"'))
def rollback(
    to: Annotated[
        int | None, typer.Option(min=1, help="The revision; the one that was live before if none.")
    ] = None,
    name: Name = HOME,
    store: Store = HERE,
    why: Why = "",
    verify: VerifyOption = None,
) -> None:
    """Make the revision live again that was live before. Every file is verified first."""
    from setlist.runs.promotion import rollback

    was, now = rollback(store, name, to, why, verify or ())
    say(f"revision {now} of {name} is live again, {was} is not")


@models.command(epilog=examples("setlist models history"))
def history(name: Name = HOME, store: Store = HERE, json: JsonOption = False) -> None:
    """Show what went live when, by whom, from which run and why; the latest last."""
    from setlist.store.reader import open_reader

    columns = {"when": "when", "revision": "revision", "action": ""}
    records = Records(columns | {key: key for key in ("who", "run", "why")})
    for promotion in open_reader(store).history(name):
        records.add(
            promotion.when,
            promotion.revision,
            promotion.action,
            promotion.who,
            promotion.run_id,
            promotion.why,
        )
    with Answer(json) as answer:
        answer.put_rows("history", records)


@models.command(epilog=examples('setlist models pin 7 --why "the one of the audit"'))
def pin(
    revision: Revision,
    name: Name = HOME,
    store: Store = HERE,
    why: Why = "",
    verify: VerifyOption = None,
) -> None:
    """Keep a revision, whatever is pruned."""
    from setlist.store.model_store import open_store
    from setlist.store.pins import pin
    from setlist.store.signing import TrustedKeys

    pinned = pin(open_store(store, trusted=TrustedKeys.of(verify or ())), name, revision, why)
    say(f"revision {revision} of {name} is pinned by {pinned.who}, {pinned.when}")


@models.command(epilog=examples("setlist models unpin 7"))
def unpin(
    revision: Revision, name: Name = HOME, store: Store = HERE, verify: VerifyOption = None
) -> None:
    """Let a pinned revision be pruned again."""
    from setlist.store.model_store import open_store
    from setlist.store.pins import unpin
    from setlist.store.signing import TrustedKeys

    unpin(open_store(store, trusted=TrustedKeys.of(verify or ())), name, revision)
    say(f"revision {revision} of {name} is not pinned any more")


@models.command(epilog=examples("setlist models prune --keep 10 --dry-run"))
def prune(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest stay.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    name: Name = HOME,
    store: Store = HERE,
    verify: VerifyOption = None,
) -> None:
    """Remove all but the newest revisions, and what dead runs left half-written.

    The live revision, the one before, pinned ones and the anchors of all these stay. A number is
    never used again.
    """
    from setlist.runs.promotion import prune_models

    done = prune_models(store, name, keep, dry_run=dry_run, verify=verify or ())
    for what, numbers in (("revisions", done.revisions), ("half-written", done.leftovers)):
        listed = ", ".join(map(str, numbers)) or "none"
        say(f"{what} {'that would be removed' if dry_run else 'removed'}: {listed}")
    say(f"revisions {'that would stay' if dry_run else 'kept'}: {done.kept}")


@models.command(epilog=examples("setlist models card 7 > card.md"))
def card(revision: Revision, name: Name = HOME, store: Store = HERE) -> None:
    """Print the model card of a revision, in Markdown."""
    from setlist.store.reader import open_reader

    text = open_reader(store).card(name, revision)
    if text is None:
        raise SettingsError(
            f"store {store}: revision {revision} of {name} was staged without card."
        )
    typer.echo(lines(text), nl=False)


@models.command(epilog=examples("setlist models refresh-items --config home.yaml"))
def refresh_items(
    config: Config = None,
    change: Set = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make it live at once.")] = False,
) -> None:
    """Give the live model a newer item table: new items are placed by their tags, untrained.

    Store, name, table of items and the moment (`as_of`) are those of the settings file. The result
    is a new revision, staged; `setlist models promote` makes it live.
    """
    import pandas as pd

    from setlist.data.schema import parse_instant
    from setlist.runs.promotion import promote_staged
    from setlist.runs.refresh import refresh_live
    from setlist_pipelines.settings.file import SAMPLE, read_settings

    settings = read_settings(config or SAMPLE, change)
    if settings.data.items is None:
        raise SettingsError("data.items is not set, so there is no table of items to read.")
    as_of = parse_instant(settings.as_of or pd.Timestamp.now("UTC").isoformat(), "as_of")
    revision, new = refresh_live(
        settings.store, settings.name, settings.data.items, as_of, settings.policy.operations
    )
    say(f"revision {revision} of {settings.name} can recommend {len(new):,} new items")
    if promote:
        promote_staged(settings.store, settings.name, revision)
        say(f"revision {revision} of {settings.name} is live")


def _size(manifest: "Manifest") -> int:
    return sum(file.size for file in manifest.files.values())
