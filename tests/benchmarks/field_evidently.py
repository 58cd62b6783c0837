"""The comparison by Evidently: `field_evidently.py FOLDER PLAN`, in an environment of its own.

The conditions are those of its older interface: in the present one, a test of a ranking metric
reads the value at the first rank, whatever k is, and `GroupBy` gives every group the value of all;
both are printed. So groups are cut out of the tables here.
"""

import contextlib
import json
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

K = 10
GROUPS = ("country", "age_band", "history_length")
UNLISTED = 1_000
"""The rank of a relevant item that is not listed, which counts in the ideal list."""
DEFINITION = {
    "user_id": "user_id",
    "item_id": "item_id",
    "target": "target",
    "prediction": "rank",
}


def rows(folder: Path, name: str) -> pd.DataFrame:
    """The lists with what is relevant, also where it is not listed, and the groups."""
    truth = pd.read_parquet(folder / "truth.parquet").assign(target=1)
    lists = pd.read_parquet(folder / "lists" / f"{name}.parquet")
    table = lists.merge(truth, on=["user_id", "item_id"], how="outer")
    table["rank"] = table["rank"].fillna(UNLISTED).astype(int)
    table["target"] = table["target"].fillna(0).astype(int)
    groups = pd.read_parquet(folder / "groups.parquet")
    # Its MAP takes the last row up to a rank for the item at that rank.
    return table.merge(groups, on="user_id").sort_values(["user_id", "rank"], ignore_index=True)


def groups_of(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All, called "", and each group."""
    yield "", table
    for column in GROUPS:
        for value, part in table.groupby(column):
            yield f"{column} {value}", part.reset_index(drop=True)


def conditions(table: pd.DataFrame, bounds: list[dict[str, float]]) -> list[tuple[float, bool]]:
    """NDCG and whether it passes, for each pair of bounds."""
    from evidently.legacy.pipeline.column_mapping import ColumnMapping
    from evidently.legacy.test_suite import TestSuite
    from evidently.legacy.tests import TestNDCGK

    suite = TestSuite(tests=[TestNDCGK(k=K, **bound) for bound in bounds])
    mapping = ColumnMapping(recommendations_type="rank", **DEFINITION)
    suite.run(reference_data=None, current_data=table, column_mapping=mapping)
    return [
        (test.metric.get_result().current[K], outcome["status"] == "SUCCESS")
        for test, outcome in zip(
            suite._inner_suite.context.tests, suite.as_dict()["tests"], strict=True
        )
    ]


def values(folder: Path, name: str, rival: str, least: float) -> dict[str, Any]:
    """Its metrics of one table of lists, beside those of the rival."""
    import evidently.metrics as m
    from evidently import DataDefinition, Dataset, Recsys, Report
    from evidently.tests import gte

    text = ["user_id", "item_id"]
    definition = DataDefinition(
        ranking=[Recsys(recommendations_type="rank", **DEFINITION)],
        categorical_columns=[*text, *GROUPS],
        numerical_columns=["rank", "target"],
    )
    history = pd.read_parquet(folder / "history.parquet").drop_duplicates()
    train = Dataset.from_pandas(history, DataDefinition(categorical_columns=text))
    ranked = {
        "ndcg": m.NDCG(k=K, tests={"value": [gte(0.0)]}),
        "recall": m.RecallTopK(k=K),
        "precision": m.PrecisionTopK(k=K),
        "mrr": m.MRR(k=K),
        "map": m.MAP(k=K),
        "hit_rate": m.HitRate(k=K),
    }
    single = {
        "personalization": m.Personalization(k=K),
        "popularity": m.PopularityBiasMetric(k=K),
        "coverage": m.PopularityBiasMetric(k=K, metric="coverage", tests=[gte(least)]),
        "gini": m.PopularityBiasMetric(k=K, metric="gini"),
        "novelty": m.Novelty(k=K),
    }
    by_country = m.GroupBy(metric=m.NDCG(k=K), column_name="country")
    current, reference = (
        Dataset.from_pandas(rows(folder, table), definition) for table in (name, rival)
    )
    report = Report([*ranked.values(), *single.values(), by_country])
    outcome = report.run(current, reference, additional_data={"current_train_data": train}).dict()
    found = [metric["value"] for metric in outcome["metrics"]]
    lists = [list(value["value"].values())[K - 1] for value in found[: len(ranked)]]
    numbers = [float(value) for value in found[len(ranked) : len(ranked) + len(single)]]
    grouped = [list(value["value"].values())[K - 1] for value in found[len(ranked) + len(single) :]]
    tested, covers = outcome["tests"]
    return {
        "values": dict(zip([*ranked, *single], [*lists, *numbers], strict=True)),
        "by_country": grouped,
        "tested": tested["description"],
        "covers": covers["status"].value == "SUCCESS",
        "first": next(iter(found[0]["value"].values())),
    }


def main() -> None:
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    bounds = plan["bounds"]
    outcome: dict[str, Any] = {}
    warnings.filterwarnings("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        for rival, names in plan["rivals"].items():
            theirs = {
                group: conditions(part, [{"gte": 0.0}])[0][0]
                for group, part in groups_of(rows(folder, rival))
            }
            for name in names:
                failures = []
                for group, part in groups_of(rows(folder, name)):
                    wish = (
                        {"gte": theirs[group] * (1 - bounds["tolerance"])}
                        if group
                        else {
                            "gte": theirs[group] * (1 + bounds["better"]),
                            "lte": theirs[group] * bounds["believable"],
                        }
                    )
                    limits = [{kind: bound} for kind, bound in wish.items()]
                    for (value, passes), limit in zip(
                        conditions(part, limits), limits, strict=True
                    ):
                        if not passes:
                            failures.append({"group": group, "value": value, **limit})
                own = values(folder, name, rival, bounds["coverage"])
                if not own["covers"]:
                    failures.append({"group": "coverage", "value": own["values"]["coverage"]})
                outcome[name] = {"failures": failures, **own}
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"trials": outcome, "mib": mib}))


if __name__ == "__main__":
    main()
