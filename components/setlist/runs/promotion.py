"""Between the pipeline and the store: fetch live models, push a winner, promote, roll back."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pydantic import JsonValue, ValidationError

from setlist.documents import first_fault
from setlist.errors import (
    EvaluationError,
    ModelError,
    StoreConflictError,
    StoreDamagedError,
    StoreNotFoundError,
    StoreRefusedError,
)
from setlist.evaluation.contenders import read_rivals
from setlist.evaluation.verdict import Verdict
from setlist.models.contract import folder_digest, model_folders, read_info
from setlist.models.selection import chosen
from setlist.runs.refit_record import RefitRecord
from setlist.store.kept_report import (
    REPORT_SHA256,
    fits,
    page_base,
    revision_path,
    with_links,
    with_revision,
)
from setlist.store.manifest import Manifest
from setlist.store.model_store import Head, open_store
from setlist.store.reader import StoreReader, open_reader
from setlist.store.retention import Pruned, prune
from setlist.store.signing import TrustedKeys
from setlist.store.sizes import REVISION_DIGITS

REFRESH_OF = "refresh_of"
"""In the metadata of a revision: the revision that it repeats over a newer item table."""
REFRESHED = "refreshed"
"""In the metadata of such a revision: the moment of that table, as ISO text."""

CardWriter = Callable[[int, Path, Mapping[str, JsonValue]], str]
"""Writes a model card in Markdown for a revision's number, its model folder and its metadata."""


def resolve_live(
    store: str, name: str, rivals: list[int], output: Path, verify: Sequence[str] = ()
) -> list[str]:
    """Fetch the live revision and the anchor that the plan named.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        rivals: revisions, the live one first; empty when nothing is live.
        output: a folder for `live-3/` and `anchor-2/`. `rivals.json` lists them, so that "nothing
            is live" can be told from a folder that was not written.
        verify: public keys, of which one must have signed what is fetched; none: it is not checked.

    Returns:
        The names of the model folders.

    Raises:
        StoreError: a revision cannot be fetched whole.
    """
    output.mkdir(parents=True, exist_ok=True)
    # Before the first promotion there need not be a store.
    models = open_reader(store, new=not rivals, trusted=TrustedKeys.of(verify))
    folders: list[str] = []
    for revision in rivals:
        folder = f"{'anchor' if folders else 'live'}-{revision}"
        models.fetch(name, revision, output / folder)
        folders.append(folder)
        print(f"fetched revision {revision} of {name}", flush=True)
    (output / "rivals.json").write_text(json.dumps(folders) + "\n", "utf-8")
    return folders


def live_folder(live: Path) -> Path | None:
    """The model folder of the live revision in what `resolve_live` fetched; None for a cold start.

    Raises:
        ModelError: `rivals.json` is missing or damaged.
    """
    folders = read_rivals(live)
    if not folders:
        print("cold start: nothing is live", flush=True)
        return None
    return live / folders[0]


def push(
    store: str,
    name: str,
    run_id: str,
    candidate: Path,
    heuristics: Path,
    verdict: Verdict,
    refitted: Path | None = None,
    metadata: Mapping[str, JsonValue] | None = None,
    training: Path | None = None,
    write_card: CardWriter | None = None,
    card: Path | None = None,
    verify: Sequence[str] = (),
    report: Path | None = None,
    page: Path | None = None,
) -> int:
    """Put the model that the verdict names into the store and, in mode auto, make it live.

    Idempotent on `run_id`: a second call repeats what the first call did.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        run_id: of the run that pushes.
        candidate: the model folder that was evaluated.
        heuristics: a folder of model folders.
        verdict: which model ships, and whether.
        refitted: the folder that `refit` wrote; its model ships in place of the evaluated model.
        metadata: additional entries for the manifest.
        training: the records of the candidates' trainings, for the settings of the winner.
        write_card: writes the model card; without it the revision has none.
        card: the file to which the model card is written besides the store.
        verify: public keys, of which one must have signed what lies in the store.
        report: the page about the run; without it the revision has none.
        page: the file to which the report is written besides the store, with the revision in it.

    Returns:
        The revision.

    Raises:
        EvaluationError: nothing goes live, or what does is no model of the run.
        ModelError: the model is not the judged model or its refit.
        StoreConflictError: HEAD moved since the plan; the revision is staged, and not promoted.
        StoreError: the store refuses the revision, or cannot be written.
    """
    if not verdict.ships or not (verdict.decision == "promote" or verdict.ships_heuristic):
        raise EvaluationError(f"the verdict is {verdict.decision}, so nothing is pushed.")
    folders = {"candidate": candidate}
    folders |= {folder.name: folder for folder in model_folders(heuristics)}
    if verdict.ships not in folders:
        raise EvaluationError(f"the verdict ships {verdict.ships}, which this run did not make.")
    folder = folders[verdict.ships]
    if folder_digest(folder) != verdict.ships_digest:
        raise ModelError(
            f"{folder} is not the model that was judged (its digest differs)", "run again"
        )
    revision_metadata: dict[str, JsonValue] = {
        **(metadata or {}),
        "label": verdict.ships,
        "verdict": verdict.model_dump(mode="json"),
    }
    if training and verdict.ships == "candidate":
        revision_metadata["settings"] = chosen(training).settings.model_dump(mode="json")
    if refitted and (refit := RefitRecord.read(refitted)).refit_of:
        folder = _refitted_model(verdict, refitted, refit)
        revision_metadata |= {"refit_of": refit.refit_of, "refit_overlap": refit.overlap}
    models = open_store(store, trusted=TrustedKeys.of(verify))
    write_report = _report_writer(report, models.uri, name, run_id)

    def described(number: int) -> dict[str, JsonValue]:
        """The metadata, and the report as it is called beside the card."""
        beside = PurePosixPath(revision_path(number)).name
        return revision_metadata | ({"report": beside} if write_report else {})

    revision = models.stage(
        name,
        folder,
        run_id=run_id,
        digest=folder_digest(folder),
        training_window=read_info(folder).training_window,
        metadata=revision_metadata,
        card=(lambda number: write_card(number, folder, described(number))) if write_card else None,
        report=write_report,
    )
    if report and page:
        page.write_text(with_revision(report.read_text("utf-8"), revision), "utf-8")
    if card:
        # Read back from the store: an earlier attempt of the run may have written the card.
        card.write_text(models.card(name, revision) or "", "utf-8")
    if verdict.mode == "manual":
        print(f"{verdict.ships} is revision {revision} of {name}, staged", flush=True)
        return revision
    models.promote(name, revision, expected=_judged_head(verdict), why=verdict.sentences)
    print(f"{verdict.ships} is revision {revision} of {name}, and live", flush=True)
    return revision


def describe_push(store: str, name: str, revision: int) -> dict[str, JsonValue]:
    """What a run says of its push, to the announcement and to people: where it went.

    Raises:
        StoreError: the store cannot be read.
    """
    manifest = open_reader(store).manifest(name, revision)
    report = {key: value for key, value in manifest.metadata.items() if key == REPORT_SHA256}
    return {"store": store, "name": name, "revision": revision, **report}


def _report_writer(
    report: Path | None, uri: str, name: str, run_id: str
) -> Callable[[int], bytes] | None:
    """Writes the report of a revision; None where there is none that a store takes."""
    if report is None:
        return None
    page = with_links(report.read_text("utf-8"), page_base(uri, name))
    if not fits(with_revision(page, 10**REVISION_DIGITS - 1).encode(), run_id):
        return None
    return lambda number: with_revision(page, number).encode()


def _refitted_model(verdict: Verdict, refitted: Path, record: RefitRecord) -> Path:
    """The model folder of a refit.

    Raises:
        ModelError: it is not the refit of the judged model, or was changed since it was compared.
    """
    if record.refit_of != verdict.ships_digest:
        raise ModelError(
            f"{refitted} is no refit of the model that was judged (the digests differ)",
            "run again",
        )
    folder = refitted / "model"
    if folder_digest(folder) != record.digest:
        raise ModelError(
            f"{folder} is not the model that was compared with the evaluated one (its digest "
            "differs)",
            "run again",
        )
    return folder


def promote_staged(
    store: str,
    name: str,
    revision: int,
    *,
    why: str = "",
    allow_older: bool = False,
    verify: Sequence[str] = (),
) -> None:
    """Make a revision live that `push` staged, or that a refresh made of the live revision.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        revision: its number.
        why: for the history; the verdict's sentence if left out.
        allow_older: whether its training data may end before those of the live revision.
        verify: public keys, of which one must have signed what lies in the store.

    Raises:
        StoreNotFoundError: there is no such revision.
        StoreDamagedError: the revision is not whole.
        EvaluationError: it carries no verdict that ships it.
        StoreConflictError: HEAD moved since it was judged or made.
        StoreRefusedError: its data are older.
    """
    models = open_store(store, trusted=TrustedKeys.of(verify))
    manifest = models.manifest(name, revision)
    if (refreshed := manifest.metadata.get(REFRESH_OF)) is None:
        verdict = _shipping_verdict(store, manifest)
        expected, sentence = _judged_head(verdict), verdict.sentence
    else:
        # A refresh was judged when its origin was, so the origin must be live still.
        expected, sentence = models.head(name), f"Revision {refreshed} with newer items."
        if expected is None or expected.live not in (refreshed, revision):
            raise StoreConflictError(
                f"store {store}: revision {revision} of {name} is revision {refreshed} with newer "
                "items, which is not live any more",
                "refresh the items of the live one",
            )
    _check_whole(models, name, revision)
    models.promote(name, revision, expected=expected, why=why or sentence, allow_older=allow_older)


def rollback(
    store: str, name: str, to: int | None = None, why: str = "", verify: Sequence[str] = ()
) -> tuple[int, int]:
    """Make the revision live that was live before, or another revision that was or may be live.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        to: the revision; the previous one if left out.
        why: for the history.
        verify: public keys, of which one must have signed what lies in the store.

    Returns:
        The revision that was live, and the revision that is live now.

    Raises:
        StoreNotFoundError: there is no revision to go back to.
        StoreRefusedError: the revision is live already.
        StoreDamagedError: the revision is not whole.
        EvaluationError: it was never live, and carries no verdict that ships it.
        StoreConflictError: HEAD moved meanwhile.
    """
    models = open_store(store, trusted=TrustedKeys.of(verify))
    head = models.head(name)
    target = head.previous if head and to is None else to
    if head is None or target is None:
        raise StoreNotFoundError(
            f"store {store}: nothing was live under {name} before"
            f"{f' revision {head.live}' if head else ''}",
            "choose one with --to",
        )
    if target == head.live:
        raise StoreRefusedError(f"store {store}: revision {target} of {name} is live already.")
    if target not in models.promoted_revisions(name):
        _shipping_verdict(store, models.manifest(name, target))
    _check_whole(models, name, target)
    models.promote(name, target, expected=head, why=why, action="rollback", allow_older=True)
    return head.live, target


def replace_head(store: str, name: str, revision: int, why: str = "") -> None:
    """Make a HEAD that names this revision, and that is followed whatever was followed before.

    Raises:
        StoreRefusedError: HEAD is whole, and another revision is live.
        StoreNotFoundError, StoreDamagedError: the revision does not exist, or is not whole.
        EvaluationError: it carries no verdict that ships it.
    """
    models = open_store(store)
    models.replace_head(
        name, revision, why=why, check=lambda manifest: _shipping_verdict(store, manifest)
    )


def prune_models(
    store: str, name: str, keep: int, *, dry_run: bool = False, verify: Sequence[str] = ()
) -> Pruned:
    """Remove old revisions, but never a live, previous or pinned revision, or an anchor of one.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        keep: how many of the newest stay in any case.
        dry_run: only report what would be removed.
        verify: public keys, of which one must have signed what lies in the store.

    Raises:
        StoreNotFoundError: nothing is live.
        StoreDamagedError: a document that decides is damaged.
    """
    models = open_store(store, trusted=TrustedKeys.of(verify))
    return prune(models, name, keep, anchor_of, dry_run=dry_run)


def anchor_of(manifest: Manifest) -> int | None:
    """The anchor in the verdict of a revision; None where the revision is its own anchor."""
    verdict = _verdict(manifest)
    return verdict.anchor if verdict else None


def _verdict(manifest: Manifest) -> Verdict | None:
    """The verdict of a revision; None where it was staged without one.

    Raises:
        StoreDamagedError: what stands there is no verdict.
    """
    document = manifest.metadata.get("verdict")
    try:
        return Verdict.model_validate(document) if document else None
    except ValidationError as fault:
        raise StoreDamagedError(
            f"the verdict in the manifest of {manifest.name} revision {manifest.revision} cannot "
            f"be read ({first_fault(fault)})",
            "stage the model again",
        ) from fault


def _shipping_verdict(store: str, manifest: Manifest) -> Verdict:
    """The verdict of a revision.

    Raises:
        EvaluationError: the revision carries no verdict that ships it.
    """
    verdict = _verdict(manifest)
    if verdict is None or not verdict.ships:
        raise EvaluationError(
            f"store {store}: revision {manifest.revision} of {manifest.name} has no verdict that "
            "ships it",
            "promote one that passed the gate",
        )
    return verdict


def _check_whole(models: StoreReader, name: str, revision: int) -> None:
    """Raise the first fault of a revision that could not be fetched whole.

    A run's push has just written its revision. A person may promote one that has lain for weeks,
    and no later attempt would repair it.
    """
    for fault in models.verify(name, revision):
        raise fault


def _judged_head(verdict: Verdict) -> Head | None:
    """HEAD as the plan saw it, in the type of the store."""
    seen = verdict.head
    return Head(seen.live, seen.previous, seen.version) if seen else None
