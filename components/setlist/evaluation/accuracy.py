"""How many of the things that a listener went on to play are in the list, and how far up."""

import numpy as np

from setlist.arrays import Float64s, Int64s
from setlist.evaluation.metric import metric
from setlist.evaluation.ranking import Ranking


def _discounts(k: int) -> Float64s:
    return 1 / np.log2(np.arange(2, k + 2))


def _count(ranking: Ranking, k: int) -> Int64s:
    """int64[listeners]: |L_u and R_u|."""
    return np.bincount(ranking.hits.until(k).rows, minlength=len(ranking.top))


def _sum(ranking: Ranking, k: int, worth: Float64s) -> Float64s:
    """float64[listeners]: the sum of `worth` [hits among the first k] over each one's hits."""
    sums = np.bincount(ranking.hits.until(k).rows, worth, minlength=len(ranking.top))
    return np.asarray(sums, np.float64)


@metric()
def dcg(ranking: Ranking, k: int) -> Float64s:
    """Sum over ranks j <= k of 1[L_j in R_u] / log2(j + 1) (Järvelin and Kekäläinen 2002)."""
    return _sum(ranking, k, _discounts(ranking.top.shape[1])[ranking.hits.until(k).ranks])


@metric()
def ndcg(ranking: Ranking, k: int) -> Float64s:
    """`dcg` over that of an ideal list of min(k, |R_u|) hits (Järvelin and Kekäläinen 2002)."""
    ideal = np.cumsum(_discounts(k))
    return dcg(ranking, k) / ideal[np.minimum(ranking.relevant, k) - 1]


@metric()
def ndcg_graded(ranking: Ranking, k: int) -> Float64s:
    """`ndcg` with the gain g of each hit in place of 1 (Järvelin and Kekäläinen 2002).

    The ideal list holds all of R_u, the largest gains first, cut at k. 0 where all gains are 0.
    """
    return _graded(ranking, k, _gains(ranking))


@metric()
def ndcg_graded_exp(ranking: Ranking, k: int) -> Float64s:
    """`ndcg_graded` with 2^g - 1 in place of g (Burges et al. 2005)."""
    gains, truth = _gains(ranking), ranking.truth
    most = np.repeat(gains[ranking.best_first][truth.offsets[:-1]], truth.lengths)
    # Over 2^most, which cancels: plays in the thousands are gains, too, and must not overflow.
    return _graded(ranking, k, np.exp2(gains - most) - np.exp2(-most))


def _gains(ranking: Ranking) -> Float64s:
    return np.ones(len(ranking.truth.codes)) if ranking.gains is None else ranking.gains


def _graded(ranking: Ranking, k: int, gains: Float64s) -> Float64s:
    """`ndcg` with gains, float64[codes of truth], in the order of those of the ranking."""
    truth = ranking.truth
    ranks = ranking.hits.until(k).ranks
    at_hits = gains[ranking.hit_truth[: len(ranks)]]
    gained = _sum(ranking, k, at_hits * _discounts(ranking.top.shape[1])[ranks])
    place = np.arange(len(gains)) - np.repeat(truth.offsets[:-1], truth.lengths)
    best = np.where(place < k, gains[ranking.best_first] / np.log2(place + 2), 0)
    ideal = np.bincount(truth.rows, best, minlength=len(gained))
    return np.divide(gained, ideal, out=np.zeros(len(gained)), where=ideal > 0)


@metric()
def recall(ranking: Ranking, k: int) -> Float64s:
    """|L_u and R_u| / |R_u|."""
    return _count(ranking, k) / ranking.relevant


@metric()
def recall_capped(ranking: Ranking, k: int) -> Float64s:
    """|L_u and R_u| / min(k, |R_u|) (Liang et al. 2018)."""
    return _count(ranking, k) / np.minimum(ranking.relevant, k)


@metric()
def precision(ranking: Ranking, k: int) -> Float64s:
    """|L_u and R_u| / k, also where the list is shorter than k."""
    return _count(ranking, k) / k


@metric()
def hit_rate(ranking: Ranking, k: int) -> Float64s:
    """1 where any of the first k is relevant, else 0."""
    return (ranking.first_hits < min(k, ranking.top.shape[1])).astype(np.float64)


@metric()
def mrr(ranking: Ranking, k: int) -> Float64s:
    """1 / rank of the first relevant item among the first k, else 0 (Voorhees 1999)."""
    return hit_rate(ranking, k) / (ranking.first_hits + 1)


@metric(name="map")
def average_precision(ranking: Ranking, k: int) -> Float64s:
    """Sum over j <= k of precision@j * 1[L_j in R_u], over min(k, |R_u|); `map` is its mean."""
    hits = ranking.hits.until(k)
    at_rank = hits.ordinals / (hits.ranks + 1)
    return _sum(ranking, k, at_rank) / np.minimum(ranking.relevant, k)
