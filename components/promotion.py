"""Out of the store and into it: the live models to compare with, and the push of a winner."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from components.errors import SetlistError
from components.evaluation.refit import Refit
from components.evaluation.verdict import Verdict
from components.models.contract import digest, model_folders, read_info
from components.store.store import Head, open_store

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
    if digest(folder) != verdict.ships_digest:
        raise SetlistError(
            f"{folder} is not the model that was judged (its digest differs); run again."
        )
    record: dict[str, JsonValue] = {
        **(metadata or {}),
        "label": verdict.ships,
        "verdict": verdict.model_dump(mode="json"),
    }
    if refitted and (refit := Refit.read(refitted)).refit_of:
        folder = _refit_of(verdict, refitted, refit)
        record |= {"refit_of": refit.refit_of, "refit_overlap": refit.overlap}
    models = open_store(store)
    revision = models.stage(
        name,
        folder,
        run_id=run_id,
        digest=digest(folder),
        training_window=read_info(folder).training_window,
        metadata=record,
    )
    if verdict.mode == "manual":
        print(f"{verdict.ships} is revision {revision} of {name}, staged", flush=True)
        return revision
    models.promote(name, revision, expected=_seen(verdict))
    print(f"{verdict.ships} is revision {revision} of {name}, and live", flush=True)
    return revision


def _refit_of(verdict: Verdict, refitted: Path, record: Refit) -> Path:
    """The model folder of a refit, if it is the one of what was judged."""
    if record.refit_of != verdict.ships_digest:
        raise SetlistError(
            f"{refitted} is no refit of the model that was judged (the digests differ); run again."
        )
    folder = refitted / "model"
    if digest(folder) != record.digest:
        raise SetlistError(
            f"{folder} is not the model that was compared with the evaluated one (its digest "
            "differs); run again."
        )
    return folder


def promote_staged(store: str, name: str, revision: int) -> None:
    """Make a revision live that `push` staged, or that was made of the live one by a refresh.

    Raises:
        SetlistError: when there is no such revision, it carries no verdict that ships it, or HEAD
            moved since it was judged or made.
    """
    models = open_store(store)
    metadata = models.manifest(name, revision).metadata
    if (refreshed := metadata.get(REFRESH_OF)) is not None:
        head = models.head(name)
        if head is None or head.live not in (refreshed, revision):
            raise SetlistError(
                f"store {store}: revision {revision} of {name} is revision {refreshed} with newer "
                f"items, which is not live any more; refresh the items of the live one."
            )
        models.promote(name, revision, expected=head)
        return
    said = metadata.get("verdict")
    verdict = Verdict.model_validate(said) if said else None
    if verdict is None or not verdict.ships:
        raise SetlistError(
            f"store {store}: revision {revision} of {name} has no verdict that ships it; promote "
            "one that passed the gate."
        )
    models.promote(name, revision, expected=_seen(verdict))


def _seen(verdict: Verdict) -> Head | None:
    """HEAD as the plan saw it, in the store's own terms."""
    seen = verdict.head
    return Head(seen.live, seen.previous, seen.version) if seen else None
