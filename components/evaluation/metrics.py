"""Ranking metrics over tables: recommendations, truth and catalogue, never models.

Notation: R_u are the relevant items of listener u, L_u is u's top-k list, phi(i) the share of
training listeners who played item i. Truth sets the denominator: a listener for whom a model
returned nothing scores 0, and a short list is not forgiven.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from components.errors import SetlistError

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EMPTY, FOREIGN = -1, -2
"""Codes of a position that was not filled, and of an id outside the catalogue (a miss)."""


@dataclass(frozen=True)
class Catalogue:
    """What metrics know of the items, in the order of the codes.

    Attributes:
        listeners: int64[items], training listeners of each item.
        tags: bool[items, tags].
        training_listeners: how many listeners the training period has.
    """

    listeners: npt.NDArray[np.int64]
    tags: Bools
    training_listeners: int

    @property
    def size(self) -> int:
        """The number of items that can be recommended."""
        return len(self.listeners)

    @cached_property
    def phi(self) -> Floats:
        """float64[items]: the share of training listeners who played the item."""
        return self.listeners / max(self.training_listeners, 1)


@dataclass(frozen=True)
class Ragged:
    """A list of item codes for each listener: row u is codes[offsets[u]:offsets[u + 1]]."""

    offsets: npt.NDArray[np.int64]
    codes: Codes

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64[listeners]."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """int64[codes]: the listener of each code."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)


@dataclass(frozen=True)
class Ranking:
    """One model's lists beside the truth.

    Attributes:
        top: int32[listeners, K], codes best first; EMPTY and FOREIGN are below 0. No code stands
            twice in a row.
        truth: the relevant items of each listener, each once, at least one.
        history: the items that each listener played in training.
    """

    top: Codes
    truth: Ragged
    history: Ragged
    catalogue: Catalogue

    @cached_property
    def hits(self) -> Bools:
        """bool[listeners, K]: the position holds a relevant item."""
        size = self.catalogue.size
        relevant = np.sort(self.truth.rows * size + self.truth.codes)
        asked = np.arange(len(self.top))[:, None] * size + self.top
        place = np.minimum(np.searchsorted(relevant, asked), max(len(relevant) - 1, 0))
        return (self.top >= 0) & (relevant[place] == asked)

    @cached_property
    def relevant(self) -> npt.NDArray[np.int64]:
        """int64[listeners]: |R_u|."""
        return self.truth.lengths

    def shown(self, k: int) -> npt.NDArray[np.int64]:
        """int64[items]: in how many top-k lists each item of the catalogue stands."""
        codes = self.top[:, :k]
        return np.bincount(codes[codes >= 0], minlength=self.catalogue.size)


CALIBRATION_WEIGHT = 0.01
"""How much of the history's own distribution is mixed into the list's, so that KL stays finite."""

PerUser = Callable[[Ranking, int], Floats]
Corpus = Callable[[Ranking, int], float]


def _discounts(k: int) -> Floats:
    return 1 / np.log2(np.arange(2, k + 2))


def dcg(ranking: Ranking, k: int) -> Floats:
    """Sum over ranks j <= k of 1[L_j in R_u] / log2(j + 1) (Järvelin and Kekäläinen 2002)."""
    hits = ranking.hits[:, :k]
    return hits @ _discounts(hits.shape[1])


def ndcg(ranking: Ranking, k: int) -> Floats:
    """`dcg` over that of an ideal list of min(k, |R_u|) hits (Järvelin and Kekäläinen 2002)."""
    ideal = np.cumsum(_discounts(k))
    return dcg(ranking, k) / ideal[np.minimum(ranking.relevant, k) - 1]


def recall(ranking: Ranking, k: int) -> Floats:
    """|L_u and R_u| / |R_u|."""
    return ranking.hits[:, :k].sum(axis=1) / ranking.relevant


def recall_capped(ranking: Ranking, k: int) -> Floats:
    """|L_u and R_u| / min(k, |R_u|) (Liang et al. 2018)."""
    return ranking.hits[:, :k].sum(axis=1) / np.minimum(ranking.relevant, k)


def precision(ranking: Ranking, k: int) -> Floats:
    """|L_u and R_u| / k, also where the list is shorter than k."""
    return ranking.hits[:, :k].sum(axis=1) / k


def hit_rate(ranking: Ranking, k: int) -> Floats:
    """1 where any of the first k is relevant, else 0."""
    return np.asarray(ranking.hits[:, :k].any(axis=1), dtype=np.float64)


def mrr(ranking: Ranking, k: int) -> Floats:
    """1 / rank of the first relevant item among the first k, else 0 (Voorhees 1999)."""
    hits = ranking.hits[:, :k]
    if hits.shape[1] == 0:
        return np.zeros(len(hits))
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def average_precision(ranking: Ranking, k: int) -> Floats:
    """Sum over j <= k of precision@j * 1[L_j in R_u], over min(k, |R_u|); `map` is its mean."""
    hits = ranking.hits[:, :k]
    at_rank = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (at_rank * hits).sum(axis=1) / np.minimum(ranking.relevant, k)


def intra_list_diversity(ranking: Ranking, k: int) -> Floats:
    """Mean of 1 - Jaccard of the tags over the pairs of the list (Ziegler et al. 2005).

    The mean is over the pairs that exist; a list of fewer than two items has none and scores 0.
    Two items without tags are at distance 1: nothing says that they are alike.
    """
    tags = ranking.catalogue.tags.astype(np.float32)
    sizes = tags.sum(axis=1)
    values = np.zeros(len(ranking.top))
    for start in range(0, len(values), 2_000):
        codes = ranking.top[start : start + 2_000, :k]
        filled = codes >= 0
        known = np.maximum(codes, 0)
        vectors = tags[known] * filled[..., None]
        both = vectors @ vectors.transpose(0, 2, 1)
        size = sizes[known] * filled
        either = size[:, :, None] + size[:, None, :] - both
        distance = 1 - np.divide(both, either, out=np.zeros_like(both), where=either > 0)
        pair = np.triu(filled[:, :, None] & filled[:, None, :], 1)
        pairs = pair.sum(axis=(1, 2))
        values[start : start + 2_000] = (distance * pair).sum(axis=(1, 2)) / np.maximum(pairs, 1)
    return values


def serendipity(ranking: Ranking, k: int) -> Floats:
    """Sum over the list of rel_i * (1 - mean similarity of i to the history), over k (Zhang 2012).

    The similarity is the Jaccard index of the tags. A hit of a listener without a history counts
    in full: there is nothing that it could be like.
    """
    rows, places = np.nonzero(ranking.hits[:, :k])
    items = ranking.top[rows, places]
    offsets, lengths = ranking.history.offsets, ranking.history.lengths[rows]
    tags = ranking.catalogue.tags
    similarity = np.zeros(len(rows))
    pairs = np.concatenate([[0], np.cumsum(lengths)])
    start = 0
    while start < len(rows):  # blocks of whole hits, each of about 200,000 pairs
        stop = max(start + 1, int(np.searchsorted(pairs, pairs[start] + 200_000, "right")) - 1)
        own = np.repeat(np.arange(stop - start), lengths[start:stop])
        first = np.repeat(
            offsets[rows[start:stop]] - pairs[start:stop] + pairs[start], lengths[start:stop]
        )
        past = tags[ranking.history.codes[first + np.arange(len(own))]]
        new = tags[items[start:stop]][own]
        both = (past & new).sum(axis=1)
        either = (past | new).sum(axis=1)
        jaccard = np.divide(both, either, out=np.zeros(len(own)), where=either > 0)
        similarity[start:stop] = np.bincount(own, jaccard, minlength=stop - start)
        start = stop
    surprise = 1 - similarity / np.maximum(lengths, 1)
    return np.bincount(rows, surprise, minlength=len(ranking.top)) / k


def calibration(ranking: Ranking, k: int) -> Floats:
    """KL(p || (1 - a) q + a p), a = 0.01: p the tags of the history, q of the list (Steck 2018).

    An item spreads a weight of one over its tags. 0 is calibrated, lower is better. 0 also for a
    listener whose history has no tags; -log a for a list without any.
    """
    weights = ranking.catalogue.tags / np.maximum(
        ranking.catalogue.tags.sum(axis=1, keepdims=True), 1
    )
    history, values = ranking.history, np.zeros(len(ranking.top))
    for start in range(0, len(values), 2_000):
        stop = min(start + 2_000, len(values))
        offsets = history.offsets[start : stop + 1]
        rows = np.repeat(np.arange(stop - start), np.diff(offsets))
        played = np.zeros((stop - start, weights.shape[1]))
        np.add.at(played, rows, weights[history.codes[offsets[0] : offsets[-1]]])
        codes = ranking.top[start:stop, :k]
        shown = (weights[np.maximum(codes, 0)] * (codes >= 0)[..., None]).sum(axis=1)
        p, q = (_shares(table) for table in (played, shown))
        mixed = (1 - CALIBRATION_WEIGHT) * q + CALIBRATION_WEIGHT * p
        ratio = np.divide(p, mixed, out=np.ones_like(p), where=p > 0)
        values[start:stop] = (p * np.log(ratio)).sum(axis=1)
    return values


def _shares(table: Floats) -> Floats:
    """Each row divided by its sum; a row of zeros stays."""
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300)


def novelty(ranking: Ranking, k: int) -> Floats:
    """Mean of -log2 phi(i) over the list (Zhou et al. 2010); 0 for an empty list.

    An item that nobody played in training counts as played by half a listener.
    """
    phi = np.maximum(ranking.catalogue.phi, 0.5 / max(ranking.catalogue.training_listeners, 1))
    return _mean_over_list(-np.log2(phi), ranking.top[:, :k])


def popularity(ranking: Ranking, k: int) -> Floats:
    """Mean number of training listeners of the list's items (ARP); 0 for an empty list."""
    return _mean_over_list(ranking.catalogue.listeners.astype(np.float64), ranking.top[:, :k])


def _mean_over_list(values: Floats, codes: Codes) -> Floats:
    filled = codes >= 0
    sums = np.where(filled, values[np.maximum(codes, 0)], 0).sum(axis=1)
    return sums / np.maximum(filled.sum(axis=1), 1)


def coverage(ranking: Ranking, k: int) -> float:
    """The share of the catalogue that stands in at least one list."""
    return float((ranking.shown(k) > 0).mean())


def gini(ranking: Ranking, k: int) -> float:
    """Inequality of exposure: sum over i of (2i - n - 1) x_(i) / (n sum x), ascending.

    Items that are never shown count as zeros: the same ten items for everybody out of 10,000 is
    .999, not 0. 1 where nothing is shown at all.
    """
    exposure = np.sort(ranking.shown(k))
    size, total = len(exposure), exposure.sum()
    if total == 0:
        return 1.0
    return float((2 * np.arange(1, size + 1) - size - 1) @ exposure / (size * total))


def personalization(ranking: Ranking, k: int) -> float:
    """1 - mean over pairs of listeners of |L_u and L_v| / k; 0 for fewer than two listeners.

    The sum over pairs is the sum over items of c (c - 1) / 2, c the lists that hold the item.
    """
    users = len(ranking.top)
    if users < 2:
        return 0.0
    shown = ranking.shown(k).astype(np.float64)
    return float(1 - (shown * (shown - 1)).sum() / (users * (users - 1) * k))


def popularity_lift(ranking: Ranking, k: int) -> float:
    """(GAP_lists - GAP_history) / GAP_history (Abdollahpouri et al. 2019).

    GAP is the mean over listeners of the mean phi of their items; listeners without a history
    are in neither. 0 means as popular as what people play by themselves, 1 twice as popular.
    """
    lengths = ranking.history.lengths
    known = lengths > 0
    phi = ranking.catalogue.phi
    sums = np.bincount(
        ranking.history.rows, weights=phi[ranking.history.codes], minlength=len(lengths)
    )
    if not known.any():
        return 0.0
    past = (sums[known] / lengths[known]).mean()
    return float((_mean_over_list(phi, ranking.top[known, :k]).mean() - past) / past)


PER_USER: dict[str, PerUser] = {
    "ndcg": ndcg,
    "dcg": dcg,
    "recall": recall,
    "recall_capped": recall_capped,
    "precision": precision,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": average_precision,
    "intra_list_diversity": intra_list_diversity,
    "serendipity": serendipity,
    "calibration": calibration,
    "novelty": novelty,
    "popularity": popularity,
}
CORPUS: dict[str, Corpus] = {
    "coverage": coverage,
    "gini": gini,
    "personalization": personalization,
    "popularity_lift": popularity_lift,
}
LOWER_IS_BETTER = frozenset({"calibration", "gini", "popularity", "popularity_lift"})


def parse_metric(text: str) -> tuple[str, int]:
    """`"ndcg@10"` to `("ndcg", 10)`.

    Raises:
        SetlistError: for an unknown name or a cut-off that is not a positive whole number.
    """
    name, _, cutoff = text.partition("@")
    if name not in PER_USER and name not in CORPUS:
        known = ", ".join([*PER_USER, *CORPUS])
        raise SetlistError(f"metric {text!r} is not known; choose from {known}, with @k behind it.")
    if not cutoff.isdecimal() or int(cutoff) == 0:
        raise SetlistError(f"metric {text!r} needs a cut-off, for example {name}@10.")
    return name, int(cutoff)
