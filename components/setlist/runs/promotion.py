"""Out of the store and into it: the live models to compare with, the push of a winner, rollback."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from setlist.errors import SetlistError
from setlist.evaluation.verdict import Verdict
from setlist.models.contract import folder_digest, model_folders, read_info
from setlist.models.selection import chosen
from setlist.report.card import render_card
from setlist.runs.refit_record import Refit
from setlist.store.manifest import Manifest
from setlist.store.model_store import Head, ModelStore, open_store
from setlist.store.retention import Pruned, prune

REFRESH_OF = "refresh_of"
"""In the metadata of a revision: which one it is, over a newer item table."""


def resolve_live(store: str, name: str, rivals: list[int], output: Path) -> list[str]:
    """Fetch the live revision and the anchor that the plan named.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        rivals: revisions, the live one first; empty when nothing is live.
        output: a folder for `live-3/` and `anchor-2/`; `rivals.json` lists them, so that
            "nothing is live" is a statement and not an empty folder.

    Returns:
        The names of the model folders.
    """
    output.mkdir(parents=True, exist_ok=True)
    models = open_store(store)
    folders: list[str] = []
    for revision in rivals:
        folder = f"{'anchor' if folders else 'live'}-{revision}"
        models.fetch(name, revision, output / folder)
        folders.append(folder)
        print(f"fetched revision {revision} of {name}", flush=True)
    (output / "rivals.json").write_text(json.dumps(folders) + "\n", "utf-8")
    return folders


def live_folder(live: Path) -> Path | None:
    """The model folder of the live revision among what `resolve_live` fetched; None for none.

    Raises:
        SetlistError: when `rivals.json` is missing.
    """
    listed = live / "rivals.json"
    if not listed.is_file():
        raise SetlistError(f"{listed} is missing; fetch the live model again.")
    folders = json.loads(listed.read_text("utf-8"))
    if not folders:
        print("cold start: nothing is live", flush=True)
        return None
    return live / str(folders[0])


def push(
    store: str,
    name: str,
    run_id: str,
    candidate: Path,
    heuristics: Path,
    verdict: Verdict,
    refitted: Path | None = None,
    metadata: Mapping[str, JsonValue] | None = None,
    evaluations: Path | None = None,
    training: Path | None = None,
    card: Path | None = None,
) -> int:
    """Put the model that the verdict names into the store and, in mode auto, make it live.

    Idempotent on `run_id`: a second call finds what the first one did.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        run_id: whose push it is.
        candidate: the model folder that was evaluated.
        heuristics: a folder of model folders.
        verdict: what ships, and whether.
        refitted: what `refit` left; the model in it ships in place of the evaluated one.
        metadata: more to write into the manifest.
        evaluations: what was judged, for the model card.
        training: what the trainings of the candidates left, for the model card.
        card: where the model card is written beside the store.

    Returns:
        The revision.

    Raises:
        SetlistError: when the verdict is no promotion, the model is not the one that was judged
            or not its refit, or HEAD moved since the plan saw it; then nothing was promoted.
    """
    if verdict.decision != "promote" or not verdict.ships:
        raise SetlistError(f"the verdict is {verdict.decision}, so nothing is pushed.")
    folders = {"candidate": candidate} | {one.name: one for one in model_folders(heuristics)}
    if verdict.ships not in folders:
        raise SetlistError(f"the verdict ships {verdict.ships}, which this run did not make.")
    folder = folders[verdict.ships]
    if folder_digest(folder) != verdict.ships_digest:
        raise SetlistError(
            f"{folder} is not the model that was judged (its digest differs); run again."
        )
    record: dict[str, JsonValue] = {
        **(metadata or {}),
        "label": verdict.ships,
        "verdict": verdict.model_dump(mode="json"),
    }
    if training and verdict.ships == "candidate":
        record["settings"] = chosen(training).settings.model_dump(mode="json")
    if refitted and (refit := Refit.read(refitted)).refit_of:
        folder = _refit_of(verdict, refitted, refit)
        record |= {"refit_of": refit.refit_of, "refit_overlap": refit.overlap}
    models = open_store(store)
    revision = models.stage(
        name,
        folder,
        run_id=run_id,
        digest=folder_digest(folder),
        training_window=read_info(folder).training_window,
        metadata=record,
        card=lambda number: render_card(
            name=name,
            revision=number,
            run_id=run_id,
            model=folder,
            verdict=verdict,
            evaluations=evaluations,
            training=training,
            metadata=record,
        ),
    )
    if card:
        card.write_text(models.card(name, revision) or "", "utf-8")
    if verdict.mode == "manual":
        print(f"{verdict.ships} is revision {revision} of {name}, staged", flush=True)
        return revision
    models.promote(name, revision, expected=_seen(verdict), why=verdict.sentence)
    print(f"{verdict.ships} is revision {revision} of {name}, and live", flush=True)
    return revision


def _refit_of(verdict: Verdict, refitted: Path, record: Refit) -> Path:
    """The model folder of a refit, if it is the one of what was judged."""
    if record.refit_of != verdict.ships_digest:
        raise SetlistError(
            f"{refitted} is no refit of the model that was judged (the digests differ); run again."
        )
    folder = refitted / "model"
    if folder_digest(folder) != record.digest:
        raise SetlistError(
            f"{folder} is not the model that was compared with the evaluated one (its digest "
            "differs); run again."
        )
    return folder


def promote_staged(
    store: str, name: str, revision: int, *, why: str = "", allow_older: bool = False
) -> None:
    """Make a revision live that `push` staged, or that was made of the live one by a refresh.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        revision: its number.
        why: for the history; the verdict's sentence if left out.
        allow_older: whether it may have been trained on data that end before the live one's.

    Raises:
        SetlistError: when there is no such revision, it is not whole, it carries no verdict that
            ships it, or HEAD moved since it was judged or made.
    """
    models = open_store(store)
    manifest = models.manifest(name, revision)
    if (refreshed := manifest.metadata.get(REFRESH_OF)) is None:
        verdict = _verdict(store, manifest)
        expected, said = _seen(verdict), verdict.sentence
    else:
        expected, said = models.head(name), f"Revision {refreshed} with newer items."
        if expected is None or expected.live not in (refreshed, revision):
            raise SetlistError(
                f"store {store}: revision {revision} of {name} is revision {refreshed} with newer "
                f"items, which is not live any more; refresh the items of the live one."
            )
    _whole(models, name, revision)
    models.promote(name, revision, expected=expected, why=why or said, allow_older=allow_older)


def rollback(store: str, name: str, to: int | None = None, why: str = "") -> tuple[int, int]:
    """Make the revision live again that was live before, or another one that was or may be.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        to: the revision; the one before the live one if left out.
        why: for the history.

    Returns:
        The revision that was live, and the one that is.

    Raises:
        SetlistError: when there is none to go back to, or it is not whole.
    """
    models = open_store(store)
    head = models.head(name)
    target = head.previous if head and to is None else to
    if head is None or target is None:
        raise SetlistError(
            f"store {store}: nothing was live under {name} before"
            f"{f' revision {head.live}' if head else ''}; choose one with --to."
        )
    if target == head.live:
        raise SetlistError(f"store {store}: revision {target} of {name} is live already.")
    if target not in models.promoted_revisions(name):
        _verdict(store, models.manifest(name, target))
    _whole(models, name, target)
    models.promote(name, target, expected=head, why=why, action="rollback", allow_older=True)
    return head.live, target


def replace_head(store: str, name: str, revision: int, why: str = "") -> None:
    """Replace a HEAD that is lost or damaged by one that names this revision.

    Raises:
        SetlistError: when HEAD is whole, or the revision is not or has no verdict that ships it.
    """
    models = open_store(store)
    models.replace_head(name, revision, why=why, check=lambda one: _verdict(store, one))


def prune_models(store: str, name: str, keep: int, *, dry_run: bool = False) -> Pruned:
    """Remove old revisions, but never the live one, the one before, pinned ones, or an anchor.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        keep: how many of the newest stay whatever they are.
        dry_run: only say what would be removed.

    Raises:
        SetlistError: when nothing is live, or a document that decides is damaged.
    """
    return prune(open_store(store), name, keep, anchor_of, dry_run=dry_run)


def anchor_of(manifest: Manifest) -> int | None:
    """The revision that a model's verdict named; None where it is its own anchor."""
    verdict = manifest.metadata.get("verdict")
    return Verdict.model_validate(verdict).anchor if verdict else None


def _verdict(store: str, manifest: Manifest) -> Verdict:
    said = manifest.metadata.get("verdict")
    verdict = Verdict.model_validate(said) if said else None
    if verdict is None or not verdict.ships:
        raise SetlistError(
            f"store {store}: revision {manifest.revision} of {manifest.name} has no verdict that "
            "ships it; promote one that passed the gate."
        )
    return verdict


def _whole(models: ModelStore, name: str, revision: int) -> None:
    """Refuse what could not be fetched: a person's promotion is not followed by another try."""
    for fault in models.verify(name, revision):
        raise fault


def _seen(verdict: Verdict) -> Head | None:
    """HEAD as the plan saw it, in the store's own terms."""
    seen = verdict.head
    return Head(seen.live, seen.previous, seen.version) if seen else None
