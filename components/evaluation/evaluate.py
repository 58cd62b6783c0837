"""Every model of a run on the same listeners, candidates and exclusions, by the contract alone.

The folder that it writes is described in `components.evaluation.evaluation`.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.data.features import Features
from components.data.schema import parse_instant
from components.errors import SetlistError
from components.evaluation.audience import Audience, audience, ragged, select
from components.evaluation.evaluation import (
    Evaluated,
    Evaluation,
    EvaluationSettings,
    Role,
    Shelf,
    repeated,
)
from components.evaluation.metrics import (
    CORPUS,
    EMPTY,
    FOREIGN,
    PER_USER,
    Catalogue,
    Codes,
    Ragged,
    Ranking,
    parse_metric,
)
from components.models.contract import HISTORY_AGE, digest, read_catalogue
from components.models.saved_model import SavedModel

BATCH = 256


@dataclass(frozen=True)
class Contender:
    """A model folder and the part it plays in the run."""

    folder: Path
    label: str
    role: Role
    revision: int | None = None


def contenders(heuristics: Path, candidate: Path, live: Path) -> list[Contender]:
    """The models of a run: the candidate, the live and former revisions, the heuristics.

    Args:
        heuristics: a folder of model folders.
        candidate: a model folder.
        live: a folder of model folders named `live-3`, `former-2`, ... by revision, and
            `rivals.json`, the list of their names: one that was lost on the way is missed.

    Raises:
        SetlistError: when `rivals.json` is missing.
    """
    listed = live / "rivals.json"
    if not listed.is_file():
        raise SetlistError(f"{listed} is missing; it lists the live models, even where none is.")
    rivals = [
        Contender(live / name, name, "live" if role == "live" else "former", int(revision))
        for name in json.loads(listed.read_text("utf-8"))
        for role, _, revision in [name.partition("-")]
    ]
    folders = sorted(path for path in heuristics.iterdir() if path.is_dir())
    rules = [Contender(folder, folder.name, "heuristic") for folder in folders]
    return [Contender(candidate, "candidate", "candidate"), *rivals, *rules]


def catalogue_of(features: Features) -> Catalogue:
    """The item side of the metrics."""
    tags = features.items["tags"].map(list)
    names = sorted({tag for row in tags for tag in row})
    code = {tag: position for position, tag in enumerate(names)}
    table = np.zeros((len(tags), len(names)), np.bool_)
    for row, own in enumerate(tags):
        table[row, [code[tag] for tag in own]] = True
    return Catalogue(
        listeners=features.items["listeners"].to_numpy(np.int64),
        tags=table,
        training_listeners=features.plays["user"].nunique(),
    )


def batches(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers in batches of similar length: padding in user order costs a factor of five."""
    order = np.argsort(lengths, kind="stable")
    yield from (order[start : start + BATCH] for start in range(0, len(order), BATCH))


def ask(
    model: SavedModel, people: Audience, item_ids: pd.Index, shelf: Shelf, k: int
) -> tuple[Codes, int]:
    """The model's lists for the whole audience.

    Returns:
        int32[listeners, k], codes of `item_ids` best first; EMPTY where the model listed nothing,
        FOREIGN where it listed an id outside the catalogue or one a second time.
        The number of foreign ids.

    Raises:
        SetlistError: when the model lists more than k.
    """
    top = np.full((len(people.users), k), EMPTY, np.int32)
    foreign = 0
    names = item_ids.to_numpy(dtype=object)
    for rows in batches(people.plays.lengths):
        plays = [names[codes].tolist() for codes in _rows(people.plays, rows)]
        exclude = (
            [names[codes].tolist() for codes in _rows(people.history, rows)]
            if shelf == "discovery"
            else [[] for _ in rows]
        )
        inputs = {
            name: people.users[name].iloc[rows].tolist()
            for name in model.info.categorical_inputs
            if name in people.users
        }
        ages = (
            [people.ages[slice(*people.plays.offsets[[row, row + 1]])].tolist() for row in rows]
            if HISTORY_AGE in model.info.inputs
            else None
        )
        ids, _ = model.recommend(plays, exclude, k, inputs, ages)
        if ids.shape[1] > k:
            raise SetlistError(
                f"model {model.info.name} listed {ids.shape[1]} items where {k} were asked for; "
                "the contract clips k."
            )
        codes: Codes = np.reshape(item_ids.get_indexer(pd.Index(ids.ravel())), ids.shape)
        codes[(codes < 0) & (ids != "")] = FOREIGN
        foreign += int((codes == FOREIGN).sum())
        top[rows, : ids.shape[1]] = without_repeats(codes.astype(np.int32))
    return top, foreign


def without_repeats(codes: Codes) -> Codes:
    """The lists with every later mention of an item made FOREIGN: a second mention is no hit."""
    order = np.argsort(codes, axis=1, kind="stable")
    ranked = np.take_along_axis(codes, order, axis=1)
    again = np.zeros_like(ranked, dtype=np.bool_)
    again[:, 1:] = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)
    repeats = np.zeros_like(again)
    np.put_along_axis(repeats, order, again, axis=1)
    return np.where(repeats, np.int32(FOREIGN), codes)


def _rows(table: Ragged, rows: npt.NDArray[np.int64]) -> Iterator[Codes]:
    return (table.codes[table.offsets[row] : table.offsets[row + 1]] for row in rows)


def measure(
    ranking: Ranking, metrics: Sequence[str], shared: npt.NDArray[np.bool_] | None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """All metrics of one model.

    Args:
        ranking: its lists beside the truth.
        metrics: names with a cut-off, e.g. "ndcg@10".
        shared: bool[items], the items that candidate and live model both know, or None. With it
            each per-user metric is given a second time, as "ndcg@10 shared", on that truth only
            (missing for a listener without any).

    Returns:
        One row a listener and one column a per-user metric; corpus-level values by name.
    """
    per_user: dict[str, npt.NDArray[np.float64]] = {}
    corpus: dict[str, float] = {}
    for text in metrics:
        name, k = parse_metric(text)
        if name in PER_USER:
            per_user[text] = PER_USER[name](ranking, k)
        else:
            corpus[text] = CORPUS[name](ranking, k)
    if shared is not None:
        keep = shared[ranking.truth.codes]
        rows = ranking.truth.rows[keep]
        present = np.unique(rows)
        part = Ranking(
            top=ranking.top[present],
            truth=ragged(
                np.searchsorted(present, rows),
                ranking.truth.codes[keep].astype(np.int64),
                len(present),
            ),
            history=select(ranking.history, present),
            catalogue=ranking.catalogue,
        )
        for text in metrics:
            name, k = parse_metric(text)
            if name in PER_USER:
                values = np.full(len(ranking.top), np.nan)
                values[present] = PER_USER[name](part, k)
                per_user[f"{text} shared"] = values
    return pd.DataFrame(per_user), corpus


def evaluate(
    models: Sequence[Contender],
    features: Features,
    dataset: Path,
    settings: EvaluationSettings,
    output: Path,
) -> Evaluation:
    """Evaluate every model and write the evaluation folder.

    Raises:
        SetlistError: for an unknown metric, a live model that was trained past the cut, a model
            that answers outside the contract, a test period without relevant plays, two models
            of one label, or an output that is not empty.
    """
    if output.exists() and any(output.iterdir()):
        raise SetlistError(f"{output} is not empty; remove it, or name another folder.")
    if twice := repeated([contender.label for contender in models]):
        raise SetlistError(f"two models are called {twice}; rename one of the folders.")
    k = max(parse_metric(text)[1] for text in settings.metrics)
    people = audience(features, pd.read_parquet(dataset / "test.parquet"), settings)
    catalogue = catalogue_of(features)
    item_ids = pd.Index(features.items["item_id"])
    shared = shared_catalogue(models, item_ids)
    output.mkdir(parents=True, exist_ok=True)
    people.users.to_parquet(output / "users.parquet", index=False)
    features.items.to_parquet(output / "items.parquet", index=False)
    pd.DataFrame(
        {"user": people.truth.rows.astype(np.int32), "item": people.truth.codes}
    ).to_parquet(output / "truth.parquet", index=False)
    evaluated = []
    for contender in models:
        began = time.monotonic()
        model = SavedModel(contender.folder)
        trained_until = parse_instant(
            model.info.training_window.get("end", ""),
            f"{contender.folder / 'model.json'}: training_window.end",
        )
        if trained_until > features.window.cut:
            raise SetlistError(
                f"{contender.label} was trained on data until {trained_until:%Y-%m-%d %H:%M}, "
                f"after the cut of this run ({features.window.cut:%Y-%m-%d %H:%M}), so it has seen "
                "the test period; choose a later as_of."
            )
        top, foreign = ask(model, people, item_ids, settings.shelf, k)
        ranking = Ranking(top, people.truth, people.history, catalogue)
        per_user, corpus = measure(
            ranking,
            settings.metrics,
            shared if contender.role in ("candidate", "live", "former") else None,
        )
        folder = output / contender.label
        folder.mkdir()
        np.save(folder / "top.npy", top)
        per_user.to_parquet(folder / "per_user.parquet", index=False)
        evaluated.append(
            Evaluated(
                label=contender.label,
                role=contender.role,
                kind=model.info.kind,
                digest=digest(contender.folder),
                revision=contender.revision,
                training_window=model.info.training_window,
                corpus=corpus,
                foreign=foreign,
                seconds=round(time.monotonic() - began, 2),
            )
        )
        print(f"evaluated {contender.label} in {evaluated[-1].seconds:.1f} s", flush=True)
    evaluation = Evaluation(
        shelf=settings.shelf,
        window=features.window.to_json(),
        metrics=settings.metrics,
        k=k,
        listeners=len(people.users),
        catalogue=catalogue.size,
        left_out=people.left_out,
        models=evaluated,
    )
    document = json.dumps(evaluation.model_dump(), indent=1, allow_nan=False)
    (output / "evaluation.json").write_text(document + "\n", "utf-8")
    return evaluation


def shared_catalogue(
    models: Sequence[Contender], item_ids: pd.Index
) -> npt.NDArray[np.bool_] | None:
    """bool[items]: what the candidate and the live models all know; None where nothing is live."""
    rivals = [one for one in models if one.role in ("candidate", "live", "former")]
    if not any(one.role == "live" for one in rivals):
        return None
    known = np.ones(len(item_ids), np.bool_)
    for one in rivals:
        known &= item_ids.isin(read_catalogue(one.folder))
    return known
