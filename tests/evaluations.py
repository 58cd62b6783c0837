"""Evaluations as `evaluate` writes them, made by hand: models without a model folder."""

from collections.abc import Sequence

from setlist.evaluation.results import EvaluatedModel, Evaluation, Inspection, MetricInfo

SOUND = Inspection(faults=[], requests=9, reach=1.0, p50_ms=1, p99_ms=20, size_mb=3)


def evaluated(label: str, **changes) -> EvaluatedModel:
    """A sound model; its role is that of its label: candidate, live-3, anchor-2, or a heuristic."""
    role, _, revision = label.partition("-")
    known = {
        "label": label,
        "role": role if role in ("candidate", "live", "anchor") else "heuristic",
        "kind": "test",
        "digest": label,
        "content": label,
        "revision": int(revision) if revision else None,
        "training_window": {},
        "corpus": {},
        "foreign": 0,
        "excluded": 0,
        "known": 1,
        "inspection": SOUND,
        "seconds": 1,
    }
    return EvaluatedModel(**(known | changes))


def evaluation(models: Sequence[EvaluatedModel], listeners: int) -> Evaluation:
    """One of `ndcg@10` on the discovery shelf."""
    return Evaluation(
        shelf="discovery",
        window={},
        metrics=(MetricInfo.of("ndcg@10"),),
        slices=("listener",),
        k=10,
        listeners=listeners,
        sampled_from=listeners,
        catalogue=100,
        left_out={},
        models=list(models),
    )
