"""What a learned model has to beat, each as a model of the contract: simple rules, simple learners.

The rules of setlist are fitted on what `setlist.data.counting` counts. Its learners
(`setlist.models.learners`) are fitted on all plays, and choose their settings on the part that
`setlist.models.inner_split` holds out. So does one rule, `recently_popular`, its number of days;
where that is set, no rule holds plays.

An installed package adds a heuristic as an entry point of the group `setlist.heuristics` (see
`setlist.plugins`): a function of `Features`, which have all plays in memory, and
`HeuristicSettings`, which returns a `Recommender`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Int32s
from setlist.data.counting import Counts, read_counts
from setlist.data.engine import EngineSettings
from setlist.data.features import Features, FeatureTables
from setlist.errors import ModelError, SettingsError
from setlist.models.contract import read_info
from setlist.models.item_table import write_item_table
from setlist.models.learners.ials import fit_ials
from setlist.models.learners.item_item import fit_item_item
from setlist.models.learners.learnable import Learnable
from setlist.models.learners.spectral import fit_spectral
from setlist.models.popularity import (
    ALL_TIME_WEIGHT,
    RECENT_DAYS,
    choose_recent_days,
    evidence,
)
from setlist.models.profile import PROFILE, profile_of_histories
from setlist.models.recommender import Recommender, frozen, string_table
from setlist.models.scatter import neighbour_sum, scatter_max, scatter_sum
from setlist.models.settings import BuiltInHeuristic, HeuristicSettings
from setlist.models.tf import tf
from setlist.plugins import HEURISTICS


class Popular(Recommender):
    """The same scores for everybody: most popular, recently popular."""

    def __init__(self, catalogue: Sequence[str], scores: Float32s, fallback: str = "") -> None:
        """`scores`: float32[catalogue], 0 where there is no evidence."""
        super().__init__(catalogue, history_length=1)
        self.fallback = fallback
        self._scores = frozen(evidence(scores)[None, :])

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """[1, catalogue]: nobody's history matters."""
        return self._scores


class PopularBySegment(Recommender):
    """Most popular among the listeners of the same segment, e.g. country."""

    fallback = "items that the segment never played follow in the order of overall popularity"

    def __init__(
        self, catalogue: Sequence[str], segment: str, values: Sequence[str], scores: Float32s
    ) -> None:
        """`scores`: float32[values + 1, catalogue]; the last row is for an unknown segment."""
        super().__init__(catalogue, history_length=1, inputs=[segment])
        self.segment = segment
        self._rows = string_table(values)
        self._scores = frozen(evidence(scores))

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """The row of the listener's segment."""
        row = self._rows.lookup(inputs[self.segment])
        return tf.gather(
            self._scores.read_value(), tf.where(row >= 0, row, self._scores.shape[0] - 1)
        )


class Relisten(Recommender):
    """What the listener played most often; of equally often played, the latest first."""

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """Plays of each item in the history, plus half a play over the rank of the latest one."""
        present = tf.cast(history >= 0, tf.float32)
        newer = tf.cumsum(present, axis=1, exclusive=True, reverse=True)
        counts = scatter_sum(history, present, len(self.catalogue))
        latest = scatter_max(history, 0.5 / (1 + newer), len(self.catalogue))
        return tf.where(counts > 0, counts + latest, -np.inf)


class CoVisited(Recommender):
    """Items that share listeners with the history: summed cosine to the nearest neighbours."""

    def __init__(self, catalogue: Sequence[str], neighbours: Int32s, similarity: Float32s) -> None:
        """Both [catalogue, neighbours], a similarity of 0 for none."""
        super().__init__(catalogue)
        self._neighbours = frozen(neighbours)
        self._similarity = frozen(similarity)

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """The score of item j is the sum of cos(i, j) over the items i of the history."""
        sums = neighbour_sum(history, self._neighbours, self._similarity, len(self.catalogue))
        return tf.where(sums > 0, sums, -np.inf)


def most_popular(
    tables: FeatureTables,
    counts: Counts,  # noqa: ARG001
    settings: HeuristicSettings,  # noqa: ARG001
) -> Recommender:
    """By the number of listeners in the whole training period."""
    return Popular(tables.items["item_id"].tolist(), _all_time(tables))


def recently_popular(
    tables: FeatureTables, counts: Counts, settings: HeuristicSettings
) -> Recommender:
    """By the number of listeners in the last days; the all-time count orders the rest."""
    days = settings.recent_days or RECENT_DAYS[0]
    recent = counts.listeners_per_item(len(tables.items), days)
    return Popular(
        tables.items["item_id"].tolist(),
        recent + ALL_TIME_WEIGHT * _all_time(tables),
        f"items that nobody played in the last {days:g} days follow in the order of overall "
        "popularity",
    )


def popular_by_segment(
    tables: FeatureTables, counts: Counts, settings: HeuristicSettings
) -> Recommender:
    """By the number of listeners of the same segment; the overall count orders the rest."""
    segment = settings.segment or next(iter(tables.inputs), "")
    if segment not in tables.inputs:
        raise SettingsError(
            f"heuristics.segment: {segment!r} is not one of `inputs` "
            f"({', '.join(tables.inputs) or 'none'})",
            "name one, or take popular_by_segment out of heuristics.fit",
        )
    values = tables.users[segment].unique()
    counted = counts.listeners_per_segment(segment)
    scores = np.zeros((len(values) + 1, len(tables.items)), np.float32)
    rows = pd.Index(values).get_indexer(pd.Index(counted["value"]))
    scores[rows, counted["item"]] = counted["listeners"]
    scores += ALL_TIME_WEIGHT * _all_time(tables)
    return PopularBySegment(
        tables.items["item_id"].tolist(), segment, [str(value) for value in values], scores
    )


def relisten(
    tables: FeatureTables,
    counts: Counts,  # noqa: ARG001
    settings: HeuristicSettings,  # noqa: ARG001
) -> Recommender:
    """The listener's own most frequent items; nothing is fitted but the catalogue."""
    return Relisten(tables.items["item_id"].tolist())


def co_visited(tables: FeatureTables, counts: Counts, settings: HeuristicSettings) -> Recommender:
    """Item-item cosine over listeners, the nearest neighbours of each item."""
    found = counts.neighbours(len(tables.items), settings.neighbours)
    return CoVisited(tables.items["item_id"].tolist(), found.codes, found.similarity)


def _all_time(tables: FeatureTables) -> Float32s:
    """float32[catalogue]: the listeners of the whole training period, counted by `transform`."""
    return tables.items["listeners"].to_numpy(np.float32)


Rule = Callable[[FeatureTables, Counts, HeuristicSettings], Recommender]
RULES: dict[BuiltInHeuristic, Rule] = {
    "most_popular": most_popular,
    "recently_popular": recently_popular,
    "popular_by_segment": popular_by_segment,
    "relisten": relisten,
    "co_visited": co_visited,
}
LEARNERS: dict[BuiltInHeuristic, Callable[[Learnable], Recommender]] = {
    "spectral": fit_spectral,
    "item_item": fit_item_item,
    "ials": fit_ials,
}


class Plays:
    """The plays of a features folder, read when somebody asks for them, and once."""

    def __init__(self, folder: Path, most_plays: int) -> None:
        self._folder = folder
        self._most_plays = most_plays

    @cached_property
    def features(self) -> Features:
        """All of them in memory."""
        return Features.read(self._folder)

    @cached_property
    def learnable(self) -> Learnable:
        """With the inner split, which all share who choose on it."""
        return Learnable(Features.sample(self._folder, self._most_plays))


def fit_heuristic(
    name: str, tables: FeatureTables, counts: Counts, plays: Plays, settings: HeuristicSettings
) -> Recommender:
    """Fit one rule or learner, built in or declared by an installed package.

    Raises:
        ModelError: when the function of a package fails, or returns something else.
        SettingsError: when no installed package declares the name.
    """
    if name == "recently_popular" and settings.recent_days is None:
        days = choose_recent_days(tables.window, lambda: plays.learnable)
        settings = settings.model_copy(update={"recent_days": days})
    for rule, fit_rule in RULES.items():
        if name == rule:
            return fit_rule(tables, counts, settings)
    for learner, fit_learner in LEARNERS.items():
        if name == learner:
            return fit_learner(plays.learnable)
    fit = HEURISTICS.load(name)
    try:
        model = fit(plays.features, settings)
    except Exception as fault:
        raise ModelError(
            f"heuristic {name} failed ({type(fault).__name__}: {fault})",
            "correct its package, or take it out of heuristics.fit",
        ) from fault
    if not isinstance(model, Recommender):
        raise ModelError(
            f"heuristic {name} returned a {type(model).__name__}, not a Recommender",
            "correct its package, or take it out of heuristics.fit",
        )
    return model


def fit_heuristics(
    features: Path,
    settings: HeuristicSettings,
    output: Path,
    engine: EngineSettings = EngineSettings(),  # noqa: B008 - it is frozen
) -> list[str]:
    """Fit the heuristics and write each as a model folder below `output`.

    Args:
        features: the features folder.
        settings: which heuristics, and how.
        output: the folder of the model folders.
        engine: where the plays are counted.

    Returns:
        Their names, in order.
    """
    tables = FeatureTables.read(features)
    names = settings.fit or tuple(
        name for name in (*RULES, *LEARNERS) if name != "popular_by_segment" or tables.inputs
    )
    plays = Plays(features, settings.most_plays)
    with read_counts(features, engine) as counts:
        histories = counts.histories(len(tables.users))
        for name in names:
            print(f"fitting {name}", flush=True)
            model, folder = fit_heuristic(name, tables, counts, plays, settings), output / name
            model.export(folder, name, tables.window)
            items = tables.items[tables.items["item_id"].isin(model.catalogue)]
            if len(items) == len(model.catalogue):
                write_item_table(folder, items)
            profile = profile_of_histories(tables, histories, read_info(folder))
            (folder / PROFILE).write_text(profile.to_json(), "utf-8")
    return list(names)
