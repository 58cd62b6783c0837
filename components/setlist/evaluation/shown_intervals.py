"""Which intervals the screen, the report and the card show, so that they are computed once."""

from collections.abc import Sequence
from pathlib import Path

from setlist.evaluation.groups import EVERYBODY, ComparedSlice, compared_slices
from setlist.evaluation.intervals import SHARED, Quantity, Wanted, read_column
from setlist.evaluation.results import SHARED_PART, Evaluation, read_users


def primary_metric(evaluation: Evaluation) -> str:
    """The metric that a policy probably compares: the first that reads the truth; "" for none.

    The policy is not known before the gate, so that another policy needs no new evaluation.
    """
    for metric in evaluation.metrics:
        if metric.per == "listener" and metric.reads_truth and metric.better != "lower":
            return metric.name
    return ""


def wanted_of_models(evaluation: Evaluation) -> Wanted:
    """Each model's value of each metric of a listener."""
    return [
        (
            EVERYBODY,
            [
                Quantity(metric.name, model.label)
                for model in evaluation.models
                for metric in evaluation.metrics
                if metric.per == "listener"
            ],
        )
    ]


def wanted_since_live(evaluation: Evaluation) -> Wanted:
    """The candidate minus the live model, in each metric of a listener; nothing without both."""
    labels = {model.role: model.label for model in evaluation.models}
    if not {"candidate", "live"} <= set(labels):
        return []
    candidate, live = labels["candidate"], labels["live"]
    metrics = [metric.name for metric in evaluation.metrics if metric.per == "listener"]
    return [(EVERYBODY, [Quantity(metric, candidate, live) for metric in metrics])]


def wanted_of_shared_truth(evaluation: Evaluation, primary: str) -> Wanted:
    """The learned models on the truth that all of them know; nothing while nothing is live."""
    labels = {model.role: model.label for model in evaluation.models}
    if not {"candidate", "live"} <= set(labels) or not evaluation.metric(primary).reads_truth:
        return []
    quantities = [
        Quantity(f"{metric.name} {SHARED_PART}", model.label)
        for model in evaluation.models
        if model.role != "heuristic"
        for metric in evaluation.metrics
        if metric.per == "listener" and metric.reads_truth
    ]
    difference = Quantity(f"{primary} {SHARED_PART}", labels["candidate"], labels["live"])
    return [(SHARED, [*quantities, difference])]


def wanted_of_groups(
    evaluation: Evaluation, compared: Sequence[ComparedSlice], live: bool
) -> Wanted:
    """In each group that is large enough, each model minus the group's reference."""
    labels = [model.label for model in evaluation.models]
    roles = [model.role for model in evaluation.models]
    wanted = []
    for group in (group for part in compared for group in part.groups if len(group.means)):
        reference = labels[group.reference(roles, live)]
        others = [label for label in labels if label != reference]
        wanted.append((group.group, [Quantity(group.metric, label, reference) for label in others]))
    return wanted


def wanted_of_evaluation(folder: Path, evaluation: Evaluation, primary: str) -> Wanted:
    """All that the report and the card show of an evaluation by that primary metric.

    Without a primary metric, "", groups are not compared.
    """
    if not primary:
        return [*wanted_of_models(evaluation), *wanted_since_live(evaluation)]
    compared = compared_slices(
        evaluation,
        read_users(folder, evaluation),
        lambda label, metric: read_column(folder, evaluation, label, metric),
        primary,
    )
    return [
        *wanted_of_models(evaluation),
        *wanted_since_live(evaluation),
        *wanted_of_shared_truth(evaluation, primary),
        *wanted_of_groups(evaluation, compared, live=False),
        *wanted_of_groups(evaluation, compared, live=True),
    ]
