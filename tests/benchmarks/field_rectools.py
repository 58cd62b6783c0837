"""The comparison by RecTools: `field_rectools.py FOLDER PLAN`, in an environment of its own.

It has values for each listener; groups are means of them, one line of pandas of whoever uses it.
"""

import json
import resource
import sys
from pathlib import Path

import pandas as pd
from rectools import metrics as m

K = 10
GROUPS = ("country", "age_band", "history_length")


def main() -> None:
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    truth, history, groups = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("truth", "history", "groups")
    )
    history = history.drop_duplicates()
    items = pd.read_parquet(folder / "items.parquet")
    tags = pd.get_dummies(items.set_index("item_id")["tags"].explode()).groupby(level=0).max()
    chosen = {
        "ndcg": m.NDCG(K, divide_by_achievable=True),
        "recall": m.Recall(K),
        "precision": m.Precision(K),
        "mrr": m.MRR(K),
        "map": m.MAP(K),
        "hit_rate": m.HitRate(K),
        "novelty": m.MeanInvUserFreq(K),
        "popularity": m.AvgRecPopularity(K),
        "coverage": m.CatalogCoverage(K, normalize=True),
        "intra_list_diversity": m.IntraListDiversity(
            K, m.PairwiseHammingDistanceCalculator(tags.astype(float))
        ),
        "serendipity": m.Serendipity(K),
    }
    outcome = {}
    for name in plan["lists"]:
        reco = pd.read_parquet(folder / "lists" / f"{name}.parquet")
        values = m.calc_metrics(
            chosen, reco, truth, prev_interactions=history, catalog=items["item_id"]
        )
        each = chosen["ndcg"].calc_per_user(reco, truth).rename("ndcg").reset_index()
        table = groups.merge(each, on="user_id")
        outcome[name] = {
            "values": values,
            "groups": {
                f"{column} {value}": mean
                for column in GROUPS
                for value, mean in table.groupby(column)["ndcg"].mean().items()
            },
        }
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"trials": outcome, "mib": mib}))


if __name__ == "__main__":
    main()
