"""Retrain a recommender, and ship it only when it is better.

The names below are the public interface. Everything else, in this package and in its modules, is
private and may change in any release.

evaluate        evaluate lists of any recommender, or ask model folders the same questions
judge           the verdict of a policy on an evaluation, or on a run
open_store      a model store: a local folder, or gs://bucket/prefix
ModelFollower   a thread that fetches each new live model of a store and hands it over
metric          makes a metric of a function

EvaluationSettings, Policy                  what `evaluate` and `judge` read
Evaluation, ListEvaluation                  what `evaluate` returns
Verdict, Reason                             what `judge` returns
Ranking                                     what a metric reads
Features, HeuristicSettings, Recommender    what a heuristic reads and returns
ModelSettings, TrainingRecord, Epoch        what a trainer reads and returns beside these
Case                                        what a rule of a policy reads

A metric is a function of one model's lists beside what listeners played:

>>> import setlist
>>> @setlist.metric()
... def first_hit(ranking: setlist.Ranking, k: int):
...     "1 where the first item of the list is relevant, else 0."
...     return (ranking.first_hits == 0) * 1.0
>>> first_hit.name, first_hit.per, first_hit.better
('first_hit', 'listener', 'higher')

`setlist.plugins` says how a package adds metrics, heuristics, trainers and rules. A store keeps
the revisions of models:

>>> store = setlist.open_store(str(folder / "store"))
>>> store.revisions("home"), store.head("home")
([], None)

Every error that setlist raises on purpose is a `SetlistError`, with a message and a remedy:

>>> try:
...     setlist.judge(folder / "evaluation", setlist.Policy(primary="mrr@5", guardrails=()))
... except setlist.SettingsError as error:
...     print(error.message)
...     print(error.remedy)
policy: mrr@5 is not evaluated
add it to evaluation.metrics (now: ndcg@10, coverage@10), or have the policy read others
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from setlist.api import evaluate, judge
    from setlist.data.features import Features
    from setlist.errors import (
        ClusterConflictError,
        ClusterError,
        ClusterNotFoundError,
        ClusterUnreachableError,
        DataError,
        EvaluationError,
        MissingExtraError,
        ModelError,
        SetlistError,
        SettingsError,
        StoreConflictError,
        StoreDamagedError,
        StoreError,
        StoreNotFoundError,
        StoreRefusedError,
        StoreUnreachableError,
        StoreUntrustedError,
    )
    from setlist.evaluation.case import Case
    from setlist.evaluation.metric import metric
    from setlist.evaluation.policy import Policy
    from setlist.evaluation.ranking import Ranking
    from setlist.evaluation.results import Evaluation, EvaluationSettings
    from setlist.evaluation.verdict import Reason, Verdict
    from setlist.list_evaluation import ListEvaluation
    from setlist.models.recommender import Recommender
    from setlist.models.settings import HeuristicSettings, ModelSettings
    from setlist.models.training_record import Epoch, TrainingRecord
    from setlist.serving.follower import ModelFollower
    from setlist.store.model_store import open_store

__all__ = [
    "Case",
    "ClusterConflictError",
    "ClusterError",
    "ClusterNotFoundError",
    "ClusterUnreachableError",
    "DataError",
    "Epoch",
    "Evaluation",
    "EvaluationError",
    "EvaluationSettings",
    "Features",
    "HeuristicSettings",
    "ListEvaluation",
    "MissingExtraError",
    "ModelError",
    "ModelFollower",
    "ModelSettings",
    "Policy",
    "Ranking",
    "Reason",
    "Recommender",
    "SetlistError",
    "SettingsError",
    "StoreConflictError",
    "StoreDamagedError",
    "StoreError",
    "StoreNotFoundError",
    "StoreRefusedError",
    "StoreUnreachableError",
    "StoreUntrustedError",
    "TrainingRecord",
    "Verdict",
    "evaluate",
    "judge",
    "metric",
    "open_store",
]

# Importing everything here would import TensorFlow, which a metric or a store does not need.
_MODULES = {
    "Case": "evaluation.case",
    "Epoch": "models.training_record",
    "Evaluation": "evaluation.results",
    "EvaluationSettings": "evaluation.results",
    "Features": "data.features",
    "HeuristicSettings": "models.settings",
    "ListEvaluation": "list_evaluation",
    "ModelFollower": "serving.follower",
    "ModelSettings": "models.settings",
    "Policy": "evaluation.policy",
    "Ranking": "evaluation.ranking",
    "Reason": "evaluation.verdict",
    "Recommender": "models.recommender",
    "TrainingRecord": "models.training_record",
    "Verdict": "evaluation.verdict",
    "evaluate": "api",
    "judge": "api",
    "metric": "evaluation.metric",
    "open_store": "store.model_store",
}


def __getattr__(name: str) -> object:
    """Import the module of a public name when it is first read."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
    return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
