"""Evaluating and judging without a pipeline: the functions of `import setlist`."""

from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, overload

from setlist.data.features import Features
from setlist.evaluation.contenders import Contender
from setlist.evaluation.evaluator import evaluate as evaluate_contenders
from setlist.evaluation.gate import gate
from setlist.evaluation.given_heuristics import Heuristics
from setlist.evaluation.given_tables import Given
from setlist.evaluation.named_lists import Lists
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import Evaluation, EvaluationSettings, read_evaluation
from setlist.evaluation.verdict import SeenHead, Verdict
from setlist.list_evaluation import ListEvaluation, evaluate_lists, judge_lists

OF_MODELS = {"candidate", "features", "dataset"}
"""Arguments that only the evaluation of model folders has."""


@overload
def evaluate(
    lists: Lists,
    truth: Given,
    *,
    items: Given | None = None,
    users: Given | None = None,
    history: Given | None = None,
    heuristics: Heuristics = False,
    settings: EvaluationSettings | None = None,
    output: str | Path | None = None,
) -> ListEvaluation: ...


@overload
def evaluate(
    candidate: str | Path,
    heuristics: Sequence[str | Path],
    features: str | Path,
    dataset: str | Path,
    output: str | Path,
    *,
    live: str | Path | None = None,
    revision: int = 1,
    settings: EvaluationSettings | None = None,
    operations: Sequence[str] = (),
) -> Evaluation: ...


def evaluate(*arguments: Any, **named: Any) -> Evaluation | ListEvaluation:
    """Evaluate lists of any recommender, or the model folders of a run.

    Lists are a table of user_id, item_id and rank or score: a data frame, or a Parquet or CSV file.
    The first table is the candidate, the others are what it has to beat:

    >>> import pandas as pd
    >>> truth = pd.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "y"]})
    >>> mine = truth.assign(rank=1)
    >>> theirs = pd.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "x"], "rank": [1, 1]})
    >>> settings = setlist.EvaluationSettings(only=("ndcg@10",))
    >>> lists = setlist.evaluate({"mine": mine, "theirs": theirs}, truth, settings=settings)
    evaluated mine in ... s
    evaluated theirs in ... s
    >>> lists
    2 listeners, 2 items, shortcuts shelf, 95% intervals
                   ndcg@10
    mine    1.0000 ±0.0000
    theirs  0.5000 ±6.3531
    mine: 2 lists are shorter than 10, and their open positions count as misses
    theirs: 2 lists are shorter than 10, and their open positions count as misses
    >>> verdict = lists.judge()  # as a pipeline judges; lists.report("report.html") is the page
    >>> verdict.decision, verdict.ships
    ('undecided', '')
    >>> verdict.not_asked[0]
    'whether it serves as evaluated, and how fast: there is no model'

    With the arguments of `evaluate_models` it evaluates model folders, and returns an `Evaluation`.

    Args:
        *arguments: `lists`, a table or tables by name, and `truth`, a table of user_id, item_id and
            perhaps weight: what is relevant to whom. Or those of `evaluate_models`.
        **named: `items`, the catalogue: item_id, title, tags; without it, whatever stands in any
            table. `users`: user_id and columns by which listeners are grouped. `history`: user_id
            and item_id of plays before, each listener's oldest first. `heuristics`: which rules and
            learners of ours are fitted on the history, as what the candidate has to beat: names
            such as "most_popular" and "spectral", or True for all. `settings`: metrics, shelf and
            slices. `output`: a folder to keep. Or those of `evaluate_models`.

    Raises:
        DataError: when a table cannot be read, or its ids are not those of the others.
        SettingsError: when a metric or slice does not exist, or cannot be told from the tables.
        SetlistError: of `evaluate_models`, with its arguments.
    """
    of_models = len(arguments) > 4 or OF_MODELS & set(named)
    if len(arguments) > 2 and not of_models:
        raise TypeError(
            "setlist.evaluate(lists, truth): history, items, users and all others are given by name"
        )
    evaluation: Callable[..., Evaluation | ListEvaluation]
    evaluation = evaluate_models if of_models else evaluate_lists
    try:
        signature(evaluation).bind(*arguments, **named)
    except TypeError as fault:
        raise TypeError(f"setlist.evaluate: {fault}; help(setlist.evaluate) names all") from fault
    return evaluation(*arguments, **named)


def evaluate_models(
    candidate: str | Path,
    heuristics: Sequence[str | Path],
    features: str | Path,
    dataset: str | Path,
    output: str | Path,
    *,
    live: str | Path | None = None,
    revision: int = 1,
    settings: EvaluationSettings | None = None,
    operations: Sequence[str] = (),
) -> Evaluation:
    """Ask model folders the same questions, and write the evaluation folder.

    `run` is the folder of a run, as `setlist run` leaves it:

    >>> evaluation = setlist.evaluate(
    ...     run / "train" / "candidate",
    ...     sorted((run / "fit-heuristics" / "models").iterdir()),
    ...     run / "transform" / "features",
    ...     run / "curate" / "dataset",
    ...     folder / "evaluation",
    ...     live=run / "resolve-live" / "live" / "live-3",
    ...     revision=3,
    ...     settings=setlist.EvaluationSettings(only=("ndcg@10", "coverage@10")),
    ... )
    evaluated candidate in ... s
    evaluated live-3 in ... s
    evaluated most_popular in ... s
    inspecting candidate
    >>> evaluation.listeners
    40
    >>> [(model.label, model.role) for model in evaluation.models]
    [('candidate', 'candidate'), ('live-3', 'live'), ('most_popular', 'heuristic')]
    >>> evaluation.model("candidate").corpus
    {'coverage@10': 0.5}

    Args:
        candidate: the model folder that asks to go live.
        heuristics: the model folders that it must beat; the names of the folders become labels.
        features: the folder that the step `transform` wrote.
        dataset: the folder that the step `curate` wrote, with the plays of the test period.
        output: the folder to write; `setlist.evaluation.results` describes it.
        live: the model folder that serves now; None while nothing is live.
        revision: the number of the live model in its store; it becomes part of its label.
        settings: metrics, shelf and slices; None for the defaults.
        operations: of TensorFlow that a model may have beside the usual ones (`policy.operations`).

    Raises:
        DataError: when no listener plays anything relevant in the test period.
        EvaluationError: when `output` is not empty, or two models have the same label.
        ModelError: when a folder is no model, or a model breaks its contract.
        SettingsError: when a metric or slice does not exist.
    """
    contenders = [
        Contender(Path(candidate), "candidate", "candidate"),
        *([Contender(Path(live), f"live-{revision}", "live", revision)] if live else []),
        *(Contender(Path(folder), Path(folder).name, "heuristic") for folder in heuristics),
    ]
    return evaluate_contenders(
        contenders,
        Features.read(Path(features)),
        Path(dataset),
        settings or EvaluationSettings(),
        Path(output),
        operations,
    )


def judge(folder: str | Path, policy: Policy | None = None) -> Verdict:
    """The verdict of a policy on an evaluation that exists; nothing is written.

    What was live when the evaluation was made is taken from the evaluation itself.

    >>> policy = setlist.Policy(over_heuristics=0.05, catalogue=0.4, guardrails=())
    >>> verdict = setlist.judge(folder / "evaluation", policy)
    >>> verdict.decision, verdict.ships
    ('promote', 'candidate')
    >>> [reason.rule for reason in verdict.reasons if reason.outcome == "fail"]
    []

    Args:
        folder: an evaluation folder, or the folder of a run, which holds one.
        policy: what the candidate has to show; None for the default policy, of lists without
            guardrails on metrics that are not evaluated.

    Raises:
        EvaluationError: when there is no evaluation, or a model in it is missing.
        SettingsError: when the policy reads what is not evaluated.
    """
    within = Path(folder) / "evaluate" / "evaluations"
    evaluations = within if within.is_dir() else Path(folder)
    evaluation = read_evaluation(evaluations)
    if any(model.role == "candidate" and model.source == "lists" for model in evaluation.models):
        return judge_lists(evaluations, evaluation, policy)
    revisions = {model.role: model.revision for model in evaluation.models}
    live, anchor = revisions.get("live"), revisions.get("anchor")
    head = SeenHead(live=live, version="", anchor=anchor) if live else None
    return gate(evaluations, policy or Policy(), head)
