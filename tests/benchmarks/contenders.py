"""One library on one data set, in a process of its own: `contenders.py NAME DATA SMALL`.

It prepares what its library is given (not timed), runs once on the SMALL data set, so that imports
and compilation are not counted, then on DATA, and prints seconds, peak memory and mean values as
one line of JSON. What a library builds of what it is given (an index, a merge, sorted runs) is
timed. It runs in two environments and imports a library only where it is used.
"""

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

CUTOFFS = (10, 20, 100)
ACCURACY = ("dcg", "ndcg", "recall", "recall_capped", "precision", "mrr", "map", "hit_rate")
LISTS = (
    "intra_list_diversity",
    "novelty",
    "popularity",
    "coverage",
    "gini",
    "personalization",
    "calibration",
)
Arrays = Mapping[str, np.ndarray]
Values = dict[str, float]


def _frames(arrays: Arrays) -> dict[str, pd.DataFrame]:
    """Long tables of user_id, item_id and, in the lists, rank; all numbers."""
    listeners, depth = arrays["top"].shape

    def pairs(name: str) -> pd.DataFrame:
        users = np.repeat(np.arange(listeners), np.diff(arrays[f"{name}_offsets"]))
        return pd.DataFrame({"user_id": users, "item_id": arrays[f"{name}_codes"]})

    reco = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(listeners), depth),
            "item_id": arrays["top"].ravel(),
            "rank": np.tile(np.arange(1, depth + 1), listeners),
        }
    )
    return {"reco": reco, "truth": pairs("truth"), "history": pairs("history")}


def _setlist(names: tuple[str, ...], ranking: Any) -> Values:
    from setlist.evaluation.metric_names import BUILT_IN

    return {
        f"{name}@{k}": float(BUILT_IN[name](ranking, k).mean()) for k in CUTOFFS for name in names
    }


def setlist(arrays: Arrays, names: tuple[str, ...] = ACCURACY) -> Callable[[], Values]:
    """From arrays of codes, as `evaluate` has them."""
    from setlist.evaluation.ranking import Catalogue, Ragged, Ranking

    played = np.bincount(arrays["history_codes"], minlength=len(arrays["tags"]))

    def run() -> Values:
        ranking = Ranking(
            arrays["top"],
            Ragged(arrays["truth_offsets"], arrays["truth_codes"]),
            Ragged(arrays["history_offsets"], arrays["history_codes"]),
            Catalogue(played, csr_array(arrays["tags"]), len(arrays["top"])),
        )
        return _setlist(names, ranking)

    return run


def setlist_frames(arrays: Arrays) -> Callable[[], Values]:
    """From the very tables that rectools is given."""
    from setlist.evaluation.ranking import EMPTY, Catalogue, Ragged, Ranking

    frames, (listeners, depth) = _frames(arrays), arrays["top"].shape
    items = len(arrays["tags"])

    def run() -> Values:
        reco, truth = frames["reco"], frames["truth"].sort_values("user_id", kind="stable")
        top = np.full((listeners, depth), EMPTY, np.int32)
        top[reco["user_id"], reco["rank"] - 1] = reco["item_id"]
        counts = np.bincount(truth["user_id"], minlength=listeners)
        ends = np.concatenate([[0], np.cumsum(counts)])
        none = Ragged(np.zeros(listeners + 1, np.int64), np.zeros(0, np.int32))
        catalogue = Catalogue(np.zeros(items, np.int64), csr_array(arrays["tags"]), 0)
        relevant = Ragged(ends, truth["item_id"].to_numpy())
        return _setlist(ACCURACY, Ranking(top, relevant, none, catalogue))

    return run


def setlist_lists(arrays: Arrays) -> Callable[[], Values]:
    return setlist(arrays, LISTS)


def rectools(arrays: Arrays) -> Callable[[], Values]:
    """Its `dcg` and `recall_capped` do not exist; its NDCG is told to divide by the ideal."""
    from rectools import metrics as m

    frames = _frames(arrays)
    chosen: dict[str, Any] = {}
    for k in CUTOFFS:
        chosen |= {
            f"ndcg@{k}": m.NDCG(k, divide_by_achievable=True),
            f"recall@{k}": m.Recall(k),
            f"precision@{k}": m.Precision(k),
            f"mrr@{k}": m.MRR(k),
            f"map@{k}": m.MAP(k),
            f"hit_rate@{k}": m.HitRate(k),
        }
    return lambda: m.calc_metrics(chosen, frames["reco"], frames["truth"])


def rectools_lists(arrays: Arrays) -> Callable[[], Values]:
    """Three of the seven; its diversity makes a row of every pair, 495 million rows here."""
    from rectools import metrics as m

    frames, items = _frames(arrays), np.arange(len(arrays["tags"]))
    chosen: dict[str, Any] = {}
    for k in CUTOFFS:
        chosen |= {
            f"novelty@{k}": m.MeanInvUserFreq(k),
            f"popularity@{k}": m.AvgRecPopularity(k),
            f"coverage@{k}": m.CatalogCoverage(k, normalize=True),
        }
    return lambda: m.calc_metrics(
        chosen, frames["reco"], prev_interactions=frames["history"], catalog=items
    )


def ranx(arrays: Arrays) -> Callable[[], Values]:
    """Its structures have strings as ids; making them of the numbers is part of building these."""
    from ranx import Qrels, Run, evaluate

    frames = _frames(arrays)
    names = ("dcg", "ndcg", "recall", "precision", "mrr", "hit_rate")
    metrics = [f"{name}@{k}" for k in CUTOFFS for name in (*names, "map")]

    def run() -> Values:
        reco, truth = (
            frames[name].rename(columns={"user_id": "q_id", "item_id": "doc_id"}).astype(str)
            for name in ("reco", "truth")
        )
        reco["score"] = -frames["reco"]["rank"].astype(float)
        truth["score"] = 1
        return evaluate(Qrels.from_df(truth), Run.from_df(reco), metrics)

    return run


def implicit(arrays: Arrays) -> Callable[[], Values]:
    """Its evaluation asks a model; this one answers with the lists."""
    from implicit.evaluation import ranking_metrics_at_k
    from scipy import sparse

    top = arrays["top"]

    class Lists:
        def recommend(self, rows: np.ndarray, *_: Any, N: int, **__: Any) -> tuple:  # noqa: N803
            return top[rows, :N], None

    def run() -> Values:
        shape = (len(top), len(arrays["tags"]))
        ones = np.ones(len(arrays["truth_codes"]), np.float32)
        truth = sparse.csr_matrix((ones, arrays["truth_codes"], arrays["truth_offsets"]), shape)
        none = sparse.csr_matrix(shape, dtype=np.float32)
        found = {k: ranking_metrics_at_k(Lists(), none, truth, k, False) for k in CUTOFFS}
        return {f"{name}@{k}": found[k][name] for k in CUTOFFS for name in ("ndcg", "map")}

    return run


def main(name: str, data: Path, small: Path) -> None:
    warnings.simplefilter("ignore")
    contender = globals()[name]
    contender(dict(np.load(small)))()
    run = contender(dict(np.load(data)))
    began = time.perf_counter()
    values = run()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mib = peak / (2**20 if sys.platform == "darwin" else 2**10)
    values = {metric: float(value) for metric, value in values.items()}
    print(json.dumps({"seconds": seconds, "mib": mib, "values": values}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
