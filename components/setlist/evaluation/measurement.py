"""The metrics of one model's lists: of all of the truth, and of its parts."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from setlist.arrays import Bools, Float64s, Int64s, Ragged
from setlist.evaluation.metric_names import MetricAt
from setlist.evaluation.ranking import Ranking


def compute_metrics(
    ranking: Ranking, metrics: Sequence[MetricAt], parts: Mapping[str, Bools]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """All metrics of one model.

    Args:
        ranking: its lists beside the truth.
        metrics: which.
        parts: bool[items] by name. Each per-listener metric that reads the truth is given a second
            time, as "ndcg@10 tail", on the truth in that part only (missing for a listener
            without any).

    Returns:
        One row a listener and one column a per-listener metric; corpus-level values by name.
    """
    per_user: dict[str, Float64s] = {}
    corpus: dict[str, float] = {}
    for metric in metrics:
        if metric.metric.per == "listener":
            per_user[metric.text] = metric(ranking)
        else:
            corpus[metric.text] = float(metric(ranking))
    for name, part in parts.items():
        present, partial = restrict_to_part(ranking, part)
        for metric in metrics:
            if metric.metric.per == "listener" and metric.metric.reads_truth:
                values = np.full(len(ranking.top), np.nan)
                if len(present):
                    values[present] = metric(partial)
                per_user[f"{metric.text} {name}"] = values
    return pd.DataFrame(per_user), corpus


def restrict_to_part(ranking: Ranking, part: Bools) -> tuple[Int64s, Ranking]:
    """The ranking on the truth in one part of the catalogue.

    Args:
        ranking: of all listeners.
        part: bool[items].

    Returns:
        Row numbers of the listeners who have any such truth, and the ranking of those.
    """
    keep = part[ranking.truth.codes]
    rows = ranking.truth.rows[keep]
    present = np.unique(rows)
    return present, Ranking(
        top=ranking.top[present],
        truth=Ragged.from_pairs(
            np.searchsorted(present, rows),
            ranking.truth.codes[keep].astype(np.int64),
            len(present),
        ),
        history=ranking.history.take(present),
        catalogue=ranking.catalogue,
        gains=None if ranking.gains is None else ranking.gains[keep],
    )
