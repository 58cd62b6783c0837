"""What goes live after the candidate was judged, and why.

While nothing is live, the best heuristic may go live in place of a candidate that is not promoted.
A few listeners with a hit are no evidence that it serves anybody: it has to be evaluated on as
many listeners as the policy asks for, and its interval has to be above 0.
"""

from dataclasses import dataclass, replace

from setlist.evaluation.case import Case
from setlist.evaluation.fitness import fit_to_serve
from setlist.evaluation.groups import EVERYBODY
from setlist.evaluation.integrity import honours_exclusions
from setlist.evaluation.intervals import Quantity, read_intervals
from setlist.evaluation.results import EvaluatedModel
from setlist.evaluation.verdict import Decision, decide

SERVING_RULES = (honours_exclusions, fit_to_serve)
"""What a heuristic has to keep to before it goes live."""


@dataclass(frozen=True)
class GoingLive:
    """The model that push puts into the store, None for none, and why."""

    model: EvaluatedModel | None
    sentence: str


def going_live(case: Case, decision: Decision) -> GoingLive:
    """Choose what goes live.

    Args:
        case: the evaluation under judgement.
        decision: on its candidate.
    """
    if case.candidate.source == "lists":
        return _unchanged(case, "a table of lists is no model, so nothing can be pushed")
    if decision == "promote":
        return GoingLive(case.candidate, _in_mode(case, "The candidate", ""))
    if case.live:
        return _unchanged(case, "")
    if case.policy.bootstrap == "none":
        return _unchanged(case, "the policy lets no heuristic go live (bootstrap: none)")
    fit = [model for model in case.heuristics if _is_fit(model, case)]
    if not fit:
        return _unchanged(case, "no heuristic is fit to serve")
    best = max(fit, key=case.mean)
    if doubt := _too_little_evidence(best, case):
        return _unchanged(
            case, f"the best heuristic, {best.label}, has too little evidence to go live: {doubt}"
        )
    title = f"The best heuristic, {best.label} ({case.policy.primary} {case.mean(best):.4f}),"
    return GoingLive(best, _in_mode(case, title, ", because nothing is live yet"))


def _in_mode(case: Case, title: str, why: str) -> str:
    if case.policy.mode == "manual":
        return f"{title} is staged{why}; it goes live when a person promotes it."
    return f"{title} goes live{why}."


def _unchanged(case: Case, why: str) -> GoingLive:
    stays = f"revision {case.live.revision} stays live" if case.live else "nothing is live"
    return GoingLive(None, f"Nothing changes: {why or stays}.")


def _is_fit(heuristic: EvaluatedModel, case: Case) -> bool:
    """Whether it is a model with an answer that keeps to the rules of serving."""
    if heuristic.source != "model" or case.mean(heuristic) <= 0:
        return False
    as_candidate = replace(case, candidate=heuristic)
    return decide(reason for rule in SERVING_RULES for reason in rule(as_candidate)) == "promote"


def _too_little_evidence(heuristic: EvaluatedModel, case: Case) -> str:
    """What is missing, in words; "" for nothing."""
    listeners, needed = case.evaluation.listeners, case.policy.bootstrap_at_least
    if listeners < needed:
        return f"{listeners:,} listeners, {needed:,} are needed (bootstrap_at_least)"
    quantity = Quantity(case.policy.primary, heuristic.label)
    wanted = [(EVERYBODY, [quantity])]
    interval = read_intervals(case.folder, case.evaluation, wanted).of(EVERYBODY, quantity)
    if interval.low > 0:
        return ""
    return (
        f"{quantity.metric} {interval.mean:.4f} [{interval.low:+.4f}, {interval.high:+.4f}] may be "
        "nothing"
    )
