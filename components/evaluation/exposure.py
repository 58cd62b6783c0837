"""What lists are made of, whatever was played: variety, popularity, and who gets to be shown."""

import numpy as np

from components.evaluation.metric import metric
from components.evaluation.ranking import Floats, Ranking

CALIBRATION_WEIGHT = 0.01
"""How much of the history's own distribution is mixed into the list's, so that KL stays finite."""


@metric(reads_truth=False)
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


@metric()
def serendipity(ranking: Ranking, k: int) -> Floats:
    """Sum over the list of rel_i * (1 - mean similarity of i to the history), over k (Zhang 2012).

    The similarity is the Jaccard index of the tags. A hit of a listener without a history counts
    in full: there is nothing that it could be like.
    """
    hits = ranking.hits.until(k)
    rows, places = hits.rows, hits.ranks
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


@metric(better="lower", reads_truth=False)
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


@metric(reads_truth=False)
def novelty(ranking: Ranking, k: int) -> Floats:
    """Mean of -log2 phi(i) over the list (Zhou et al. 2010); 0 for an empty list.

    An item that nobody played in training counts as played by half a listener.
    """
    phi = np.maximum(ranking.catalogue.phi, 0.5 / max(ranking.catalogue.training_listeners, 1))
    return ranking.mean_over_list(-np.log2(phi), k)


@metric(better="lower", reads_truth=False)
def popularity(ranking: Ranking, k: int) -> Floats:
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
