"""Evaluates every model of a run on the same listeners, with the same items and exclusions.

The folder that it writes is described in `setlist.evaluation.results`.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from setlist.arrays import Bools, Float32s, Float64s, Int32s, Int64s, Ragged
from setlist.data.features import Features
from setlist.data.schema import parse_instant
from setlist.errors import EvaluationError, ModelError, SetlistError
from setlist.evaluation.audience import Audience, select_audience, slice_columns
from setlist.evaluation.catalogue import catalogue_of, parts_of
from setlist.evaluation.contenders import AnyContender, Contender, ListContender
from setlist.evaluation.given_lists import code_lists
from setlist.evaluation.inspection import inspect_models
from setlist.evaluation.intervals import primary_metric, write_intervals
from setlist.evaluation.lists import count_excluded, top_lists, without_repeats
from setlist.evaluation.metric_names import MetricAt, parse_metric
from setlist.evaluation.ranking import FOREIGN, Catalogue, Ranking
from setlist.evaluation.requests import sample_requests, write_answers, write_requests
from setlist.evaluation.results import (
    LEARNED_ROLES,
    LISTENER_SLICE,
    SHARED_PART,
    EvaluatedModel,
    Evaluation,
    EvaluationSettings,
    Shelf,
    describe_sampling,
    first_repeated,
)
from setlist.evaluation.statistics import MIN_LISTENERS
from setlist.models.contract import folder_digest, read_catalogue, read_info
from setlist.models.worker.model_host import ModelHost

SHOWN_GROUPS = 10
"""Of the groups that a sample has lost, those that are printed."""


@dataclass(frozen=True)
class EvaluationSetup:
    """What all models of a run share: the requests, and the truth for their answers.

    Attributes:
        inputs: the named inputs of a listener, beside the plays; columns of `people.users`.
        item_ids: of the eligible catalogue, in the order of the codes.
        parts: bool[items] of head, torso, tail and new items.
        shared: bool[items], which items candidate, live model and anchor all know; None while
            nothing is live.
        k: the depth of the lists.
        requests: row numbers of the listeners whose requests are kept word by word.
    """

    people: Audience
    inputs: Sequence[str]
    item_ids: pd.Index
    catalogue: Catalogue
    metrics: Sequence[MetricAt]
    parts: Mapping[str, Bools]
    shared: Bools | None
    shelf: Shelf
    k: int
    requests: Int64s


NOT_ASKED_OF_LISTS = (
    "whether it serves as evaluated, and how fast: there is no model",
    "whether it lists the whole catalogue when lists are long enough",
    "what it answers to listeners and items that it does not know",
)
"""What the gate asks of a model only."""


@dataclass(frozen=True)
class HeldOut:
    """What listeners went on to play, and the tables that describe them.

    Attributes:
        events: user_id, item_id, weight.
        users: user_id and the slices.
        window: of the evaluation's document; {} where it is not known.
        left_out: what took no part before, by reason.
    """

    events: pd.DataFrame
    users: pd.DataFrame
    window: Mapping[str, str]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, dataset: Path, features: Features) -> "HeldOut":
        """That of a curated dataset."""
        return cls(
            pd.read_parquet(dataset / "test.parquet"),
            pd.read_parquet(dataset / "users.parquet"),
            features.window.to_json(),
        )


def evaluate(
    models: Sequence[AnyContender],
    features: Features,
    dataset: Path,
    settings: EvaluationSettings,
    output: Path,
    allowed: Collection[str] = (),
) -> Evaluation:
    """Evaluate every model and write the evaluation folder: `evaluate_on` of a curated dataset."""
    return evaluate_on(HeldOut.read(dataset, features), models, features, settings, output, allowed)


def evaluate_on(
    test: HeldOut,
    models: Sequence[AnyContender],
    features: Features,
    settings: EvaluationSettings,
    output: Path,
    allowed: Collection[str] = (),
) -> Evaluation:
    """Evaluate every model and write the evaluation folder.

    What the run may ship (the candidate, and the heuristics while nothing is live) is then loaded
    again in a fresh process and gets valid and broken requests (`setlist.evaluation.inspection`);
    beside lists in place of a candidate nothing can be shipped. Last come the intervals of what
    the report will show (`setlist.evaluation.intervals`).

    Args:
        test: the plays of the test period.
        models: each with its role.
        features: what the models know of the listeners and items.
        settings: metrics, shelf and slices.
        output: the folder to write.
        allowed: operations that a model may have beside the usual ones (`policy.operations`).

    Raises:
        SettingsError: for an unknown metric, or a slice that is no column of the users table.
        DataError: for a test period without relevant plays.
        ModelError: for a model that answers outside the contract.
        EvaluationError: for a model that was trained past the cutoff, two models of one label, or
            an output that is not empty.
    """
    if output.exists() and any(output.iterdir()):
        raise EvaluationError(f"{output} is not empty", "remove it, or name another folder")
    if twice := first_repeated([contender.label for contender in models]):
        raise EvaluationError(f"two models are called {twice}", "rename one of the folders")
    asked = any(isinstance(model, Contender) for model in models)
    # The host starts while the tables are read; lists need none.
    with ModelHost() if asked else nullcontext() as host:
        setup = _set_up(models, features, test, settings)
        output.mkdir(parents=True, exist_ok=True)
        _write_tables(setup, features, settings, output)
        evaluated = []
        for contender in models:
            if isinstance(contender, ListContender):
                evaluated.append(_examine_lists(contender, setup, output))
            elif host:
                cutoff = features.window.cutoff
                evaluated.append(_examine(contender, setup, cutoff, output, host, allowed))
    candidates = [
        model for model in models if model.role == "candidate" and isinstance(model, Contender)
    ]
    heuristics = [
        model
        for model in models
        if model.role == "heuristic"
        and isinstance(model, Contender)
        and candidates
        and setup.shared is None
    ]
    inspections = inspect_models(output, candidates + heuristics, allowed)
    evaluation = Evaluation(
        shelf=settings.shelf,
        window=dict(test.window),
        metrics=settings.metric_infos(),
        # Without any play before the test, all listeners are of one kind, which says nothing.
        slices=tuple(
            name
            for name in slice_columns(features, settings)
            if name != LISTENER_SLICE or len(features.plays)
        ),
        k=setup.k,
        listeners=len(setup.people.users),
        sampled_from=setup.people.sampled_from,
        catalogue=setup.catalogue.size,
        left_out={**test.left_out, **setup.people.left_out},
        models=[
            model.model_copy(update={"inspection": inspections.get(model.label)})
            for model in evaluated
        ],
    )
    evaluation.intervals_digest = write_intervals(output, evaluation, primary_metric(evaluation))
    document = json.dumps(evaluation.model_dump(), indent=1, allow_nan=False)
    (output / "evaluation.json").write_text(document + "\n", "utf-8")
    return evaluation


def _write_tables(
    setup: EvaluationSetup, features: Features, settings: EvaluationSettings, output: Path
) -> None:
    """Write what all models share: listeners, items, truth and the kept requests."""
    people = setup.people
    _print_sampling(people, slice_columns(features, settings))
    people.users.to_parquet(output / "users.parquet", index=False)
    features.items.assign(**setup.parts).to_parquet(output / "items.parquet", index=False)
    pd.DataFrame(
        {
            "user": people.truth.rows.astype(np.int32),
            "item": people.truth.codes,
            "gain": people.gains,
        }
    ).to_parquet(output / "truth.parquet", index=False)
    write_requests(output, people, setup.inputs, setup.requests, setup.item_ids, setup.shelf)


def prepare_setup(
    models: Sequence[AnyContender], features: Features, dataset: Path, settings: EvaluationSettings
) -> EvaluationSetup:
    """Prepare what all models of the run share."""
    return _set_up(models, features, HeldOut.read(dataset, features), settings)


def _set_up(
    models: Sequence[AnyContender],
    features: Features,
    test: HeldOut,
    settings: EvaluationSettings,
) -> EvaluationSetup:
    metrics = [parse_metric(text) for text in settings.evaluated]
    people = select_audience(features, test.events, test.users, settings)
    item_ids = pd.Index(features.items["item_id"])
    known = {
        contender.role: item_ids.isin(read_catalogue(contender.folder))
        for contender in models
        if contender.role in LEARNED_ROLES and isinstance(contender, Contender)
    }
    catalogue = catalogue_of(features)
    return EvaluationSetup(
        people=people,
        inputs=features.inputs,
        item_ids=item_ids,
        catalogue=catalogue,
        metrics=metrics,
        parts=parts_of(catalogue, known.get("live")),
        shared=np.logical_and.reduce(list(known.values())) if "live" in known else None,
        shelf=settings.shelf,
        k=max(metric.k for metric in metrics),
        requests=sample_requests(len(people.users)),
    )


def _print_sampling(people: Audience, slices: Sequence[str]) -> None:
    """Say that a sample is evaluated, and which groups are lost by it."""
    if people.sampled_from == len(people.users):
        return
    print(
        f"{len(people.users):,} of {people.sampled_from:,} listeners are evaluated, "
        f"{describe_sampling(slices)}"
    )
    if lost := people.lost_groups:
        others = f" and {len(lost) - SHOWN_GROUPS:,} others" if len(lost) > SHOWN_GROUPS else ""
        print(
            f"with fewer than {MIN_LISTENERS} listeners in the sample, these groups cannot be "
            f"judged: {', '.join(lost[:SHOWN_GROUPS])}{others}",
            flush=True,
        )


def _examine(
    contender: Contender,
    setup: EvaluationSetup,
    cutoff: pd.Timestamp,
    output: Path,
    host: ModelHost,
    allowed: Collection[str],
) -> EvaluatedModel:
    began = time.monotonic()
    info = read_info(contender.folder)
    trained_until = parse_instant(
        info.training_window.get("end", ""),
        f"{contender.folder / 'model.json'}: training_window.end",
    )
    if trained_until > cutoff:
        raise EvaluationError(
            f"{contender.label} was trained on data until {trained_until:%Y-%m-%d %H:%M}, after "
            f"the cutoff of this run ({cutoff:%Y-%m-%d %H:%M}), so it has seen the test period",
            "choose a later as_of",
        )
    people = setup.people
    try:
        with host.model(contender.folder, allowed) as model:
            answered, scores = top_lists(
                model, people, setup.inputs, setup.item_ids, setup.shelf, setup.k
            )
    except SetlistError as fault:
        raise ModelError(f"{contender.label}: {fault.message}", fault.remedy) from fault
    parts = dict(setup.parts)
    if setup.shared is not None and contender.role in LEARNED_ROLES:
        parts[SHARED_PART] = setup.shared
    return EvaluatedModel(
        label=contender.label,
        role=contender.role,
        kind=info.kind,
        digest=folder_digest(contender.folder),
        content=folder_digest(contender.folder / "saved_model"),
        revision=contender.revision,
        training_window=info.training_window,
        known=float(setup.item_ids.isin(read_catalogue(contender.folder)).mean()),
        **_measure(contender, setup, parts, answered, scores, output, began),
    )


def _examine_lists(
    contender: ListContender, setup: EvaluationSetup, output: Path
) -> EvaluatedModel:
    """`_examine` for lists that were given."""
    began = time.monotonic()
    people = setup.people
    coded = code_lists(contender.lists, people.users["user_id"], setup.item_ids, setup.k)
    for note in coded.notes:
        print(f"{contender.label}: {note}", flush=True)
    return EvaluatedModel(
        label=contender.label,
        role=contender.role,
        kind="lists",
        digest="",
        content="",
        training_window={},
        known=coded.known,
        source="lists",
        notes=coded.notes,
        not_asked=[*NOT_ASKED_OF_LISTS, *contender.not_asked],
        **_measure(contender, setup, setup.parts, coded.top, coded.scores, output, began),
    )


def _measure(
    contender: AnyContender,
    setup: EvaluationSetup,
    parts: Mapping[str, Bools],
    answered: Int32s,
    scores: Float32s,
    output: Path,
    began: float,
) -> dict[str, Any]:
    """Write the tables of one contender's lists, and return what the evaluation says of them."""
    people = setup.people
    # Metrics read the lists without repeats; `excluded` below counts what the model answered.
    top = without_repeats(answered)
    ranking = Ranking(top, people.truth, people.history, setup.catalogue, people.gains)
    per_user, corpus = compute_metrics(ranking, setup.metrics, parts)
    folder = output / contender.label
    folder.mkdir()
    np.save(folder / "top.npy", top)
    per_user.to_parquet(folder / "per_user.parquet", index=False)
    write_answers(folder, top[setup.requests], scores[setup.requests], setup.item_ids)
    seconds = time.monotonic() - began
    print(f"evaluated {contender.label} in {seconds:.1f} s", flush=True)
    return {
        "corpus": corpus,
        "foreign": int((answered == FOREIGN).sum()),
        "excluded": count_excluded(answered, people.history, setup.catalogue)
        if setup.shelf == "discovery"
        else 0,
        "seconds": round(seconds, 2),
    }


def compute_metrics(
    ranking: Ranking, metrics: Sequence[MetricAt], parts: Mapping[str, Bools]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """All metrics of one model.

    Args:
        ranking: its lists beside the truth.
        metrics: which.
        parts: bool[items] by name. Each per-listener metric that reads the truth is given a second
            time, as "ndcg@10 tail", on the truth in that part only (missing for a listener
            without any).

    Returns:
        One row a listener and one column a per-listener metric; corpus-level values by name.
    """
    per_user: dict[str, Float64s] = {}
    corpus: dict[str, float] = {}
    for metric in metrics:
        if metric.metric.per == "listener":
            per_user[metric.text] = metric(ranking)
        else:
            corpus[metric.text] = float(metric(ranking))
    for name, part in parts.items():
        present, partial = restrict_to_part(ranking, part)
        for metric in metrics:
            if metric.metric.per == "listener" and metric.metric.reads_truth:
                values = np.full(len(ranking.top), np.nan)
                if len(present):
                    values[present] = metric(partial)
                per_user[f"{metric.text} {name}"] = values
    return pd.DataFrame(per_user), corpus


def restrict_to_part(ranking: Ranking, part: Bools) -> tuple[Int64s, Ranking]:
    """The ranking on the truth in one part of the catalogue.

    Args:
        ranking: of all listeners.
        part: bool[items].

    Returns:
        Row numbers of the listeners who have any such truth, and the ranking of those.
    """
    keep = part[ranking.truth.codes]
    rows = ranking.truth.rows[keep]
    present = np.unique(rows)
    return present, Ranking(
        top=ranking.top[present],
        truth=Ragged.from_pairs(
            np.searchsorted(present, rows),
            ranking.truth.codes[keep].astype(np.int64),
            len(present),
        ),
        history=ranking.history.take(present),
        catalogue=ranking.catalogue,
        gains=None if ranking.gains is None else ranking.gains[keep],
    )
