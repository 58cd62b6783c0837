"""What lists are made of, whatever was played: variety, popularity, and who gets to be shown."""

import numpy as np
from scipy import sparse

from setlist.arrays import Float64s, Int32s, Int64s
from setlist.evaluation.metric import metric
from setlist.evaluation.ranking import Ranking

CALIBRATION_WEIGHT = 0.01
"""How much of the history's own distribution is mixed into the list's, so that KL stays finite."""
BLOCK_CELLS = 2**20
"""Shares of tags that are held of the lists that are worked on at a time."""


@metric(reads_truth=False, reads_tags=True)
def intra_list_diversity(ranking: Ranking, k: int) -> Float64s:
    """Mean of 1 - Jaccard of the tags over the pairs of the list (Ziegler et al. 2005).

    The mean is over the pairs that exist; a list of fewer than two items has none and scores 0.
    Two items without tags are at distance 1: nothing says that they are alike.
    """
    top = ranking.top[:, :k]
    filled = np.count_nonzero(top >= 0, axis=1)
    pairs = filled * (filled - 1) / 2
    distances = pairs - ranking.catalogue.tag_similarity.sum_within_lists(top)
    # Sums in float32 may leave a list of equals a trace below 0.
    return np.maximum(distances, 0) / np.maximum(pairs, 1)


@metric(reads_tags=True)
def serendipity(ranking: Ranking, k: int) -> Float64s:
    """Sum over the list of rel_i * (1 - mean similarity of i to the history), over k (Zhang 2012).

    The similarity is the Jaccard index of the tags. A hit of a listener without a history counts
    in full: there is nothing that it could be like.
    """
    rows = ranking.hits.until(k).rows
    surprise = 1 - ranking.familiarity[: len(rows)]
    return np.bincount(rows, surprise, minlength=len(ranking.top)) / k


@metric(better="lower", reads_truth=False, reads_tags=True)
def calibration(ranking: Ranking, k: int) -> Float64s:
    """KL(p || (1 - a) q + a p), a = 0.01: p the tags of the history, q of the list (Steck 2018).

    An item spreads a weight of one over its tags. 0 is calibrated, lower is better. 0 also for a
    listener whose history has no tags; -log a for a list without any.
    """
    tags = ranking.catalogue.tags
    lengths = np.diff(tags.indptr)
    each = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    stops = np.append(tags.indptr, [tags.indptr[-1]] * 2)  # EMPTY and FOREIGN have none
    shape = (tags.shape[0] + 2, tags.shape[1])
    weights = sparse.csr_array((each, tags.indices, stops), shape=shape)
    history, values = ranking.history, np.zeros(len(ranking.top))
    block = max(BLOCK_CELLS // max(tags.shape[1], 1), 1)
    for first in range(0, len(values), block):
        codes = ranking.top[first : first + block, :k]
        ends = history.offsets[first : first + block + 1]
        p = _shares(weights, history.codes[ends[0] : ends[-1]], ends - ends[0])
        q = _shares(weights, codes.ravel(), np.arange(len(codes) + 1) * codes.shape[1])
        mixed = (1 - CALIBRATION_WEIGHT) * q + CALIBRATION_WEIGHT * p
        ratio = np.divide(p, mixed, out=np.ones_like(p), where=p > 0)
        values[first : first + block] = (p * np.log(ratio)).sum(axis=1)
    return values


def _shares(weights: sparse.csr_array, codes: Int32s, ends: Int64s) -> Float64s:
    """float64[lists, tags]: how the weight of each list's items is shared out; zeros where none.

    Args:
        weights: float32[items + 2, tags]; the last two rows are zeros, for codes of no item.
        codes: the lists, one after the other.
        ends: int64[lists + 1], where they end, after a 0.
    """
    places = np.where(codes < 0, codes + weights.shape[0], codes)
    ones = np.ones(len(places), np.float32)
    lists = sparse.csr_array((ones, places, ends), (len(ends) - 1, weights.shape[0]))
    table = (lists @ weights).toarray().astype(np.float64)
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300)


@metric(reads_truth=False)
def novelty(ranking: Ranking, k: int) -> Float64s:
    """Mean of -log2 phi(i) over the list (Zhou et al. 2010); 0 for an empty list.

    An item that nobody played in training counts as played by half a listener.
    """
    phi = np.maximum(ranking.catalogue.phi, 0.5 / max(ranking.catalogue.training_listeners, 1))
    return ranking.mean_over_list(-np.log2(phi), k)


@metric(better="lower", reads_truth=False)
def popularity(ranking: Ranking, k: int) -> Float64s:
    """Mean number of training listeners of the list's items (ARP); 0 for an empty list."""
    return ranking.mean_over_list(ranking.catalogue.listeners, k)


@metric(per="corpus", reads_truth=False)
def coverage(ranking: Ranking, k: int) -> float:
    """The share of the catalogue that stands in at least one list."""
    return float((ranking.shown(k) > 0).mean())


@metric(per="corpus", better="lower", reads_truth=False)
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


@metric(per="corpus", reads_truth=False)
def personalization(ranking: Ranking, k: int) -> float:
    """1 - mean over pairs of listeners of |L_u and L_v| / k; 0 for fewer than two listeners.

    The sum over pairs is the sum over items of c (c - 1) / 2, c the lists that hold the item.
    """
    users = len(ranking.top)
    if users < 2:
        return 0.0
    shown = ranking.shown(k).astype(np.float64)
    return float(1 - (shown * (shown - 1)).sum() / (users * (users - 1) * k))


@metric(per="corpus", better="lower", reads_truth=False)
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
    return float((ranking.mean_over_list(phi, k)[known].mean() - past) / past)
