"""Two models of an evaluation compared on the same listeners, by the primary metric.

A comparison passes when the lower bound of its interval is above what the policy asks for, fails
when even the upper bound is below it, and is undecided in between: then the data cannot settle the
margin, and the smallest lift that they could have shown is stated. With fewer than MIN_LISTENERS
listeners it is always undecided.
"""

from collections.abc import Iterator

import numpy as np

from setlist.evaluation.case import Case
from setlist.evaluation.results import EvaluatedModel
from setlist.evaluation.statistics import (
    MIN_LISTENERS,
    Interval,
    bootstrap,
    smallest_detectable_lift,
)
from setlist.evaluation.verdict import Outcome, Reason


def better_than_heuristics(case: Case) -> Iterator[Reason]:
    """The candidate is better than every heuristic by the margin."""
    factor = 1 + case.policy.over_heuristics
    for heuristic in case.heuristics:
        yield compare(case, f"better than {heuristic.title}", heuristic, factor)


def not_worse_than_rivals(case: Case) -> Iterator[Reason]:
    """The candidate is worse than the live model and the anchor by no more than the tolerance."""
    factor = 1 - case.policy.under_live
    for rival in case.rivals:
        yield compare(case, f"not worse than {rival.label}", rival, factor)


def surpasses(case: Case, rival: EvaluatedModel) -> bool:
    """Whether the candidate is proven better than the rival, by any margin."""
    return compare(case, "", rival, 1).outcome == "pass"


def compare(case: Case, rule: str, rival: EvaluatedModel, factor: float) -> Reason:
    """The candidate's primary metric against `factor` times the rival's, listener by listener.

    Args:
        case: with the candidate and the primary metric.
        rule: its name in the verdict.
        rival: the model to compare with: a heuristic, the live model or the anchor.
        factor: 1 + margin, or 1 - tolerance.
    """
    primary = case.policy.primary
    candidate_values, rival_values = (
        case.values(case.candidate, primary),
        case.values(rival, primary),
    )
    needed = (factor - 1) * float(rival_values.mean())
    interval = _interval(case, rival, factor)
    outcome: Outcome = "undecided"
    if len(candidate_values) >= MIN_LISTENERS and interval.low > 0:
        outcome = "pass"
    elif len(candidate_values) >= MIN_LISTENERS and interval.high < 0:
        outcome = "fail"
    # Back from candidate - factor * rival to the plain difference, which readers are shown.
    shown = Interval(
        float(candidate_values.mean() - rival_values.mean()),
        interval.low + needed,
        interval.high + needed,
    )
    # Of the plain difference too, without the margin.
    detectable = smallest_detectable_lift(candidate_values - rival_values)
    sentence = (
        f"{primary} {candidate_values.mean():.4f}, {rival.title} {rival_values.mean():.4f}: "
        f"{shown.mean:+.4f} [{shown.low:+.4f}, {shown.high:+.4f}], needed above {needed:+.4f}"
    )
    if np.isfinite(detectable):
        sentence += f"; a difference of {detectable:.4f} could be detected"
    if outcome == "undecided":
        sentence += f"; these {case.evaluation.listeners:,} listeners cannot settle it"
    return Reason(
        rule=rule,
        outcome=outcome,
        value=shown.mean,
        low=shown.low,
        high=shown.high,
        needed=needed,
        detectable=detectable if np.isfinite(detectable) else None,
        sentence=sentence + ".",
    )


def _interval(case: Case, rival: EvaluatedModel, factor: float) -> Interval:
    """The interval of candidate - factor * rival, so that the margin is resampled with the rival.

    The first question is answered together with those that the rules of a policy will ask: they
    share the resamples, which are the costly part.
    """
    asked = rival.label, factor
    if asked not in case.paired_intervals:
        pairs = {asked: rival}
        pairs |= {
            (model.label, 1 + case.policy.over_heuristics): model for model in case.heuristics
        }
        pairs |= {(model.label, 1 - case.policy.under_live): model for model in case.rivals}
        pairs |= {(model.label, 1.0): model for model in case.rivals[-1:]}
        new = {pair: model for pair, model in pairs.items() if pair not in case.paired_intervals}
        candidate_values = case.values(case.candidate, case.policy.primary)
        differences = np.column_stack(
            [
                candidate_values - pair[1] * case.values(model, case.policy.primary)
                for pair, model in new.items()
            ]
        )
        case.paired_intervals.update(zip(new, bootstrap(differences), strict=True))
    return case.paired_intervals[asked]
