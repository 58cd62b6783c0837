"""What all models of an evaluation share: listeners, truth, requests, catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Bools, Int64s
from setlist.data.features import Features
from setlist.evaluation.audience import Audience, select_audience, slice_columns
from setlist.evaluation.catalogue import catalogue_of, parts_of
from setlist.evaluation.contenders import AnyContender, Contender
from setlist.evaluation.metric_names import MetricAt, parse_metric
from setlist.evaluation.ranking import Catalogue
from setlist.evaluation.requests import sample_requests, write_requests
from setlist.evaluation.results import LEARNED_ROLES, EvaluationSettings, Shelf, describe_sampling
from setlist.evaluation.statistics import MIN_LISTENERS
from setlist.models.contract import read_catalogue

SHOWN_GROUPS = 10
"""Of the groups that a sample has lost, those that are printed."""


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


def prepare_setup(
    models: Sequence[AnyContender], features: Features, dataset: Path, settings: EvaluationSettings
) -> EvaluationSetup:
    """Prepare what all models of the run share."""
    return set_up(models, features, HeldOut.read(dataset, features), settings)


def set_up(
    models: Sequence[AnyContender],
    features: Features,
    test: HeldOut,
    settings: EvaluationSettings,
) -> EvaluationSetup:
    """`prepare_setup` of what listeners went on to play, wherever it is from."""
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


def write_tables(
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
