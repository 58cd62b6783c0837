"""Listeners of real models, and simulated evaluations of them whose truth is known exactly.

Real models are evaluated once: on the bundled sample, and on temporal MovieLens-1M. Their listeners
are the population. An evaluation is simulated by drawing listeners from it with replacement, whole
rows: what every model is worth to them, and their groups. Two operations settle the truth, and
leave the many zeros and the skew in place:

- tied: for each drawn listener the values of some models change places at random, so that these
  models are equally good in the mean, in every group, too;
- missed: a model's value becomes 0 for a share of the listeners, which scales its mean.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from setlist.arrays import Float64s
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import (
    Evaluation,
    read_evaluation,
    read_per_user,
    read_users,
)
from setlist_pipelines.settings.file import read_settings

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "sample": ROOT / "pipelines/setlist_pipelines/settings/sample.yaml",
    "MovieLens-1M": ROOT / "pipelines/setlist_pipelines/examples/movielens-1m.yaml",
}
GROUP = {"sample": ("country", "SE"), "MovieLens-1M": ("gender", "F")}  # that is made to suffer
CANDIDATE, LIVE, ANCHOR = "candidate", "live-2", "anchor-1"
LIFTS = (0.0, 0.02, 0.04, 0.06, 0.10, 0.20)
MARGIN = f"heuristic {Policy().over_heuristics:+.0%}"  # it has to be one of the lifts
LOSSES = (0.2, 0.3, 0.5)
FAILURES = (0.01, 0.02, 0.04)


@dataclass(frozen=True)
class Population:
    """The listeners of an evaluation of real models."""

    name: str
    folder: Path
    evaluation: Evaluation
    policy: Policy
    users: pd.DataFrame  # the slices
    values: dict[str, Float64s]  # of the primary metric, by model
    others: dict[str, pd.DataFrame]  # the other metrics that the policy reads, by model

    @property
    def heuristics(self) -> list[str]:
        """The best first."""
        labels = [one.label for one in self.evaluation.models if one.role == "heuristic"]
        return sorted(labels, key=lambda label: -self.values[label].mean())


@dataclass(frozen=True)
class Truth:
    """Which models there are, and what they are worth to the population."""

    tied: dict[str, str]  # by model the real one whose values take part in the change of places
    own: Sequence[str]  # models that keep their own values
    missed: dict[str, Float64s]  # by model, share[listeners]


@cache
def population(name: str, folder: Path) -> Population:
    """Read it, after making it where it is not there yet."""
    settings = read_settings(CONFIGS[name])
    evaluations = folder / name / "evaluations"
    if not evaluations.is_dir():
        with redirect_stdout(sys.stderr):
            _make(name, folder / name)
    evaluation = read_evaluation(evaluations)
    primary = settings.policy.primary
    read = [one for one in settings.policy.metrics() if evaluation.metric(one).per == "listener"]
    tables = {one.label: read_per_user(evaluations, one.label)[read] for one in evaluation.models}
    return Population(
        name=name,
        folder=evaluations,
        evaluation=evaluation,
        policy=settings.policy,
        users=read_users(evaluations, evaluation)[list(evaluation.slices)].astype(object),
        values={label: table[primary].to_numpy(np.float64) for label, table in tables.items()},
        others={label: table.drop(columns=primary) for label, table in tables.items()},
    )


def _make(name: str, folder: Path) -> None:
    """Fit the heuristics and three seeds of the learned model, and evaluate them."""
    from setlist.data.curation import curate, resolve_window
    from setlist.data.features import Features
    from setlist.data.transformation import transform
    from setlist.evaluation.contenders import list_contenders
    from setlist.evaluation.evaluator import evaluate
    from setlist.models.heuristics import fit_heuristics
    from setlist.models.two_tower.train import train

    os.chdir(ROOT)  # the example's tables are named from there
    settings = read_settings(CONFIGS[name])
    window = resolve_window(settings.window, settings.as_of, pd.Timestamp.now("UTC"))
    curate(settings.data, window, settings.curation, folder / "dataset")
    transform(folder / "dataset", window, settings.inputs, folder / "features")
    features = Features.read(folder / "features")
    fit_heuristics(folder / "features", settings.heuristics, folder / "heuristics")
    for seed, path in enumerate((CANDIDATE, f"rivals/{LIVE}", f"rivals/{ANCHOR}"), 1):
        model = settings.model.model_copy(update={"seed": seed})
        train(features, model, folder / path, folder / "record")
    (folder / "rivals/rivals.json").write_text(json.dumps([LIVE, ANCHOR]))
    models = list_contenders(folder / "heuristics", folder / CANDIDATE, folder / "rivals")
    evaluate(models, features, folder / "dataset", settings.evaluation, folder / "evaluations")


def scaled(
    people: Population,
    rivals: Sequence[str],
    factor: float,
    tied: dict[str, str] | None = None,
    also: Sequence[str] = (),
    cells: npt.NDArray[np.int64] | None = None,
) -> Truth:
    """The candidate's mean is exactly `factor` times that of each rival, in every cell.

    Who is too good for that misses some listeners.

    Args:
        tied: None for models that keep their own values.
        also: further models, out of the running: they miss half of the listeners.
        cells: int[listeners], 0 to C - 1; None for one cell.
    """
    cells = np.zeros(len(people.users), np.int64) if cells is None else cells
    values = people.values
    if tied:
        pooled = np.mean([people.values[source] for source in tied.values()], axis=0)
        values = values | dict.fromkeys(tied, pooled)
    missed = {label: np.full(len(cells), 0.5) for label in also}
    for rival in rivals:
        ours = np.bincount(cells, values[CANDIDATE])
        theirs = factor * np.bincount(cells, values[rival])
        least = np.minimum(ours, theirs)
        for label, worth in ((CANDIDATE, ours), (rival, theirs)):
            kept = np.divide(least, worth, out=np.ones_like(worth), where=worth > 0)
            missed[label] = 1 - kept[cells]
        left = [
            np.bincount(cells, (1 - missed[label]) * values[label]) for label in (CANDIDATE, rival)
        ]
        assert np.allclose(left[0], factor * left[1], rtol=1e-9, atol=0), rival
    return Truth(tied or {}, also if tied else (CANDIDATE, *rivals, *also), missed)


def truths(people: Population) -> dict[str, Truth]:
    """The truths by name."""
    policy, best = people.policy, people.heuristics[0]
    assert policy.slices
    over, under = 1 + policy.over_heuristics, 1 - policy.under_live
    harm = 1 - policy.slices.tolerance
    pair = {one: one for one in (CANDIDATE, best)}
    seeds = {one: one for one in (CANDIDATE, LIVE)}
    # Heuristics as good as the candidate are played by the best of all models.
    cast = sorted(people.values, key=lambda label: -people.values[label].mean())
    everybody = dict(zip((CANDIDATE, *people.heuristics), cast, strict=False))
    finest = people.users.groupby(list(people.users)).ngroup().to_numpy(np.int64)
    found = {
        "margin, as they are": scaled(people, [best], over),
        "margin, all": scaled(people, people.heuristics, over, everybody),
        "tolerance": scaled(people, [LIVE, ANCHOR], under, seeds | {ANCHOR: ANCHOR}, [best]),
        "worse": scaled(people, [LIVE], 2 * under - 1, seeds, [best]),
        "harm, live": scaled(people, [LIVE], harm, seeds, [best]),
        "harm, heuristic": scaled(people, [best], harm, pair),
        "harm, as they are": scaled(people, [best], harm, cells=finest),
    }
    for lift in LIFTS:
        found[f"heuristic {lift:+.0%}"] = scaled(people, [best], 1 + lift, pair)
        found[f"live {lift:+.0%}"] = scaled(people, [LIVE], 1 + lift, seeds, [best])
    twins = dict.fromkeys((CANDIDATE, LIVE), LIVE)
    for failures in FAILURES:
        found[f"twin {-failures:+.0%}"] = scaled(people, [LIVE], 1 - failures, twins, [best])
    column, value = GROUP[people.name]
    for loss in LOSSES:
        harmed = scaled(people, [LIVE], 1, seeds, [best])
        harmed.missed[CANDIDATE] = np.where(people.users[column] == value, loss, 0.0)
        found[f"group {-loss:+.0%}"] = harmed
    assert np.allclose(found[MARGIN].missed[best], 1 - 1 / over), "another margin than the default"
    return found


def draw(
    people: Population, truth: Truth, listeners: int, seed: Sequence[int]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The listeners of one simulated evaluation, and each model's table."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(len(people.users), size=listeners)
    values = {label: people.values[label][rows] for label in truth.own}
    if truth.tied:
        sources = [people.values[source][rows] for source in truth.tied.values()]
        mixed = generator.permuted(np.column_stack(sources), axis=1)
        values |= dict(zip(truth.tied, mixed.T, strict=True))
    for label, share in truth.missed.items():
        values[label] = np.where(generator.random(listeners) < share[rows], 0, values[label])
    tables = {
        label: people.others[label].iloc[rows].assign(**{people.policy.primary: of})
        for label, of in values.items()
    }
    return people.users.iloc[rows], tables
