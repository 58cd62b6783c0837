"""The simple rules that a learned model has to beat, each as a model of the contract.

An installed package adds a heuristic as an entry point of the group `setlist.heuristics` (see
`setlist.plugins`): a function like those below, which returns a `Recommender`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse

from setlist.arrays import Float32s, Int32s
from setlist.data.features import Features
from setlist.errors import ModelError, SettingsError
from setlist.models.item_table import write_item_table
from setlist.models.profile import write_profile
from setlist.models.recommender import Recommender, string_table
from setlist.models.settings import BuiltInHeuristic, HeuristicSettings
from setlist.models.tf import tf
from setlist.plugins import HEURISTICS

ALL_TIME_WEIGHT = 1e-6
"""How much an all-time count weighs beside a recent or a segment's: enough to order the rest."""

MAX_PAIRED_ITEMS = 2_000
"""Of one listener, whose items make pairs with each other; 10,000 would make fifty million."""
BLOCK_PRODUCTS = 20_000_000
"""Of two entries each, that are held at once: some 400 MB."""


class Popular(Recommender):
    """The same scores for everybody: most popular, recently popular."""

    def __init__(self, catalogue: Sequence[str], scores: Float32s) -> None:
        """`scores`: float32[catalogue], 0 where there is no evidence."""
        super().__init__(catalogue, history_length=1)
        self._scores = tf.constant(evidence(scores)[None, :])

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
        self._scores = tf.constant(evidence(scores))

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """The row of the listener's segment."""
        row = self._rows.lookup(inputs[self.segment])
        return tf.gather(self._scores, tf.where(row >= 0, row, self._scores.shape[0] - 1))


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
        self._neighbours = tf.constant(neighbours)
        self._similarity = tf.constant(similarity)

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """The score of item j is the sum of cos(i, j) over the items i of the history."""
        batch = tf.shape(history)[0]
        known = tf.maximum(history, 0)
        weights = tf.where(history[..., None] >= 0, tf.gather(self._similarity, known), 0.0)
        cells = tf.reshape(tf.gather(self._neighbours, known), [batch, -1])
        sums = scatter_sum(cells, tf.reshape(weights, [batch, -1]), len(self.catalogue))
        return tf.where(sums > 0, sums, -np.inf)


def evidence(scores: Float32s) -> Float32s:
    """The scores with -inf where they are 0: nothing is known, so nothing is claimed."""
    return np.where(scores > 0, scores, -np.inf).astype(np.float32)


def scatter_sum(codes: tf.Tensor, values: tf.Tensor, size: int) -> tf.Tensor:
    """float32[batch, size]: for each row the values summed by code; codes below 0 are left out."""
    return _scatter(tf.math.unsorted_segment_sum, codes, values, size)


def scatter_max(codes: tf.Tensor, values: tf.Tensor, size: int) -> tf.Tensor:
    """float32[batch, size]: for each row the largest value by code; codes below 0 are left out."""
    return _scatter(tf.math.unsorted_segment_max, codes, values, size)


def _scatter(
    reduce: Callable[..., tf.Tensor], codes: tf.Tensor, values: tf.Tensor, size: int
) -> tf.Tensor:
    batch = tf.shape(codes)[0]
    rows = tf.range(batch)[:, None] * size
    cells = tf.where(codes >= 0, codes + rows, -1)  # negative segments are dropped
    return tf.reshape(reduce(values, cells, batch * size), [batch, size])


def listeners_per_item(features: Features, newest_days: float = np.inf) -> Float32s:
    """float32[catalogue]: how many listeners played the item in the last `newest_days` days."""
    plays = features.plays[features.plays["age_days"] <= newest_days]
    pairs = plays.drop_duplicates(["user", "item"])
    return np.bincount(pairs["item"], minlength=len(features.items)).astype(np.float32)


def most_popular(features: Features, settings: HeuristicSettings) -> Recommender:  # noqa: ARG001
    """By the number of listeners in the whole training period."""
    return Popular(features.items["item_id"].tolist(), listeners_per_item(features))


def recently_popular(features: Features, settings: HeuristicSettings) -> Recommender:
    """By the number of listeners in the last days; the all-time count orders the rest."""
    recent = listeners_per_item(features, settings.recent_days)
    scores = recent + np.float32(ALL_TIME_WEIGHT) * listeners_per_item(features)
    return Popular(features.items["item_id"].tolist(), scores)


def popular_by_segment(features: Features, settings: HeuristicSettings) -> Recommender:
    """By the number of listeners of the same segment; the overall count orders the rest."""
    segment = settings.segment or next(iter(features.inputs), "")
    if segment not in features.inputs:
        raise SettingsError(
            f"heuristics.segment: {segment!r} is not one of `inputs` "
            f"({', '.join(features.inputs) or 'none'})",
            "name one, or take popular_by_segment out of heuristics.fit",
        )
    rows, values = features.users[segment].factorize()
    pairs = features.plays.drop_duplicates(["user", "item"])
    cells = rows[pairs["user"]] * len(features.items) + pairs["item"].to_numpy()
    counts = np.bincount(cells, minlength=len(values) * len(features.items))
    overall = listeners_per_item(features)
    by_segment = counts.reshape(len(values), -1) * (values != "")[:, None]
    scores = np.vstack([by_segment, np.zeros_like(overall)]) + ALL_TIME_WEIGHT * overall
    return PopularBySegment(
        features.items["item_id"].tolist(),
        segment,
        [str(value) for value in values],
        scores.astype(np.float32),
    )


def relisten(features: Features, settings: HeuristicSettings) -> Recommender:  # noqa: ARG001
    """The listener's own most frequent items; nothing is fitted but the catalogue."""
    return Relisten(features.items["item_id"].tolist())


def co_visited(features: Features, settings: HeuristicSettings) -> Recommender:
    """Item-item cosine over listeners, the nearest neighbours of each item.

    The time grows with the pairs of items that listeners have in common. A listener with more than
    MAX_PAIRED_ITEMS items counts with the newest of them.
    """
    size = len(features.items)
    newest_first = features.plays.iloc[::-1].drop_duplicates(["user", "item"])
    pairs = newest_first[newest_first.groupby("user").cumcount() < MAX_PAIRED_ITEMS]
    norms = np.sqrt(np.bincount(pairs["item"], minlength=size)).astype(np.float32)[pairs["item"]]
    by_user = scipy.sparse.csr_array(
        (1 / norms, (pairs["user"], pairs["item"])), shape=(len(features.users), size)
    )
    by_item = by_user.T.tocsr()
    keep = min(settings.neighbours, size)
    neighbours = np.zeros((size, keep), np.int32)
    similarity = np.zeros((size, keep), np.float32)
    # How many products each item takes: for each of its listeners, all of that listener's items.
    products = np.cumsum(np.asarray(by_item.astype(bool) @ np.diff(by_user.indptr)))
    start = 0
    while start < size:
        before = products[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(products, before + BLOCK_PRODUCTS)))
        cosine = (by_item[start:end] @ by_user).tocoo()
        row, column, value = cosine.coords[0] + start, cosine.coords[1], cosine.data
        other = row != column
        row, column, value = row[other], column[other], value[other]
        # By code among equal cosines, so that they are cut in tie order on every machine.
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        near = place < keep
        neighbours[row[near], place[near]] = column[near]
        similarity[row[near], place[near]] = value[near]
        start = end
    return CoVisited(features.items["item_id"].tolist(), neighbours, similarity)


BUILT_IN: dict[BuiltInHeuristic, Callable[[Features, HeuristicSettings], Recommender]] = {
    "most_popular": most_popular,
    "recently_popular": recently_popular,
    "popular_by_segment": popular_by_segment,
    "relisten": relisten,
    "co_visited": co_visited,
}


def fit_heuristic(name: str, features: Features, settings: HeuristicSettings) -> Recommender:
    """Fit one heuristic, built in or declared by an installed package.

    Raises:
        ModelError: when the function of a package fails, or returns something else.
        SettingsError: when no installed package declares the name.
    """
    for built_in, function in BUILT_IN.items():
        if name == built_in:
            return function(features, settings)
    fit = HEURISTICS.load(name)
    try:
        model = fit(features, settings)
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


def fit_heuristics(features: Features, settings: HeuristicSettings, output: Path) -> list[str]:
    """Fit the heuristics and write each as a model folder below `output`.

    Returns:
        Their names, in order.
    """
    names = settings.fit or tuple(
        name for name in BUILT_IN if name != "popular_by_segment" or features.inputs
    )
    for name in names:
        print(f"fitting {name}", flush=True)
        fit_heuristic(name, features, settings).export(output / name, name, features.window)
        write_item_table(output / name, features.items)
        write_profile(output / name, features)
    return list(names)
