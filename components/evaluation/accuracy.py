"""How many of the things that a listener went on to play are in the list, and how far up."""

import numpy as np

from components.evaluation.metric import metric
from components.evaluation.ranking import Floats, Ranking


def _discounts(k: int) -> Floats:
    return 1 / np.log2(np.arange(2, k + 2))


@metric()
def dcg(ranking: Ranking, k: int) -> Floats:
    """Sum over ranks j <= k of 1[L_j in R_u] / log2(j + 1) (Järvelin and Kekäläinen 2002)."""
    hits = ranking.hits[:, :k]
    return hits @ _discounts(hits.shape[1])


@metric()
def ndcg(ranking: Ranking, k: int) -> Floats:
    """`dcg` over that of an ideal list of min(k, |R_u|) hits (Järvelin and Kekäläinen 2002)."""
    ideal = np.cumsum(_discounts(k))
    return dcg(ranking, k) / ideal[np.minimum(ranking.relevant, k) - 1]


@metric()
def recall(ranking: Ranking, k: int) -> Floats:
    """|L_u and R_u| / |R_u|."""
    return ranking.hits[:, :k].sum(axis=1) / ranking.relevant


@metric()
def recall_capped(ranking: Ranking, k: int) -> Floats:
    """|L_u and R_u| / min(k, |R_u|) (Liang et al. 2018)."""
    return ranking.hits[:, :k].sum(axis=1) / np.minimum(ranking.relevant, k)


@metric()
def precision(ranking: Ranking, k: int) -> Floats:
    """|L_u and R_u| / k, also where the list is shorter than k."""
    return ranking.hits[:, :k].sum(axis=1) / k


@metric()
def hit_rate(ranking: Ranking, k: int) -> Floats:
    """1 where any of the first k is relevant, else 0."""
    return np.asarray(ranking.hits[:, :k].any(axis=1), dtype=np.float64)


@metric()
def mrr(ranking: Ranking, k: int) -> Floats:
    """1 / rank of the first relevant item among the first k, else 0 (Voorhees 1999)."""
    hits = ranking.hits[:, :k]
    if hits.shape[1] == 0:
        return np.zeros(len(hits))
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


@metric(name="map")
def average_precision(ranking: Ranking, k: int) -> Floats:
    """Sum over j <= k of precision@j * 1[L_j in R_u], over min(k, |R_u|); `map` is its mean."""
    hits = ranking.hits[:, :k]
    at_rank = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (at_rank * hits).sum(axis=1) / np.minimum(ranking.relevant, k)
