"""The rules of a policy, each a function of one evaluation that concludes with reasons.

A built-in rule stands in the table RULES, with its bound in the `Policy`. An installed package adds
a rule as an entry point of the group `setlist.policy_rules` (see `setlist.plugins`), and a policy
names it with its settings, `rules: {fresh_enough: {bound: 0.3}}`:

    import setlist

    def fresh_enough(case: setlist.Case, settings: dict[str, float]) -> setlist.Reason:
        value, bound = case.value(case.candidate, "fresh_share@10"), settings["bound"]
        return setlist.Reason(
            rule="fresh enough",
            outcome="pass" if value >= bound else "fail",
            value=value,
            needed=bound,
            sentence=f"a share of {value:.2f} is fresh, at least {bound:.2f} is needed.",
        )
"""

from collections.abc import Callable, Iterator

import numpy as np

from setlist.arrays import Strings
from setlist.errors import EvaluationError, SetlistError, SettingsError
from setlist.evaluation.case import Case
from setlist.evaluation.comparison import compare
from setlist.evaluation.harm import ListenerGroup, harm_reasons
from setlist.evaluation.latency import latency_reason
from setlist.evaluation.results import ITEM_PARTS, Inspection
from setlist.evaluation.verdict import Reason
from setlist.plugins import POLICY_RULES

ITEM_PART = "item_part"
Rule = Callable[[Case], Iterator[Reason]]


# Integrity: a candidate that breaks one of these is refused however good its metrics are.


def another_model(case: Case) -> Iterator[Reason]:
    """The candidate's SavedModel is not that of the live model or the anchor."""
    for rival in case.rivals:
        same = case.candidate.content == rival.content
        yield Reason(
            rule=f"another model than {rival.label}",
            outcome="fail" if same else "pass",
            value=float(same),
            needed=0,
            sentence=f"its SavedModel is {'the same as' if same else 'not that of'} {rival.label}.",
        )


def honours_exclusions(case: Case) -> Iterator[Reason]:
    """Nothing is listed that the caller excluded."""
    excluded = case.candidate.excluded
    yield Reason(
        rule="lists nothing excluded",
        outcome="fail" if excluded else "pass",
        value=excluded,
        needed=0,
        sentence=f"{excluded:,} positions of its lists hold an excluded item.",
    )


def knows_the_catalogue(case: Case) -> Iterator[Reason]:
    """The candidate knows nearly every item, and lists it when lists are long enough."""
    candidate, needed = case.candidate, case.policy.catalogue
    if candidate.source == "lists":  # "not asked", in the verdict
        return
    # The share of the catalogue that it knows, times the share of its own that it lists.
    value = candidate.known * (candidate.inspection.reach if candidate.inspection else 0)
    yield Reason(
        rule="knows the catalogue",
        outcome="pass" if value >= needed else "fail",
        value=value,
        needed=needed,
        sentence=f"it lists {value:.1%} of {case.evaluation.catalogue:,} items in lists of any "
        f"length, {needed:.1%} are needed.",
    )


def believable(case: Case) -> Iterator[Reason]:
    """The candidate is not too good to be true (Twyman's law)."""
    policy = case.policy
    if policy.believable is None:
        return
    bound = policy.believable * case.mean(case.best)
    value = case.mean(case.candidate)
    yield Reason(
        rule="not too good to be true",
        outcome="pass" if value <= bound else "fail",
        value=value,
        needed=bound,
        sentence=f"{policy.primary} {value:.4f}, at most {bound:.4f} is believed "
        f"({policy.believable:g} times {case.best.label}); beyond that the test period has "
        "leaked into training, or the data are not what they seem.",
    )


# Quality: paired comparisons on the same listeners.


def better_than_heuristics(case: Case) -> Iterator[Reason]:
    """The candidate is better than every heuristic by the margin."""
    factor = 1 + case.policy.over_heuristics
    for heuristic in case.heuristics:
        yield compare(case, f"better than {heuristic.label}", heuristic, factor)


def not_worse_than_rivals(case: Case) -> Iterator[Reason]:
    """The candidate is worse than the live model and the anchor by no more than the tolerance."""
    factor = 1 - case.policy.under_live
    for rival in case.rivals:
        yield compare(case, f"not worse than {rival.label}", rival, factor)


def no_group_worse_off(case: Case) -> Iterator[Reason]:
    """No group is served clearly worse than by the live model or, without one, the best heuristic.

    Raises:
        SettingsError: for `item_part` with a primary metric that reads no truth.
        EvaluationError: for a column that is no slice of the evaluation.
    """
    slice_rule, evaluation, rival = case.policy.slices, case.evaluation, case.live or case.best
    if slice_rule is None:
        return
    primary = case.policy.primary
    groups = []
    for column in evaluation.slices if slice_rule.columns is None else slice_rule.columns:
        if column == ITEM_PART:
            if not evaluation.metric(primary).reads_truth:
                raise SettingsError(
                    f"policy.slices.columns: {primary} is the same for plays of any items, so "
                    f"{ITEM_PART} says nothing",
                    "take it out, or choose an accuracy metric",
                )
            for part in ITEM_PARTS:
                candidate_values, rival_values = (
                    case.column(model, f"{primary} {part}") for model in (case.candidate, rival)
                )
                # NaN: the listener has no relevant item of this part.
                groups.append(
                    ListenerGroup(
                        column, part, np.isfinite(candidate_values), candidate_values, rival_values
                    )
                )
        else:
            candidate_values, rival_values = (
                case.values(case.candidate, primary),
                case.values(rival, primary),
            )
            labels = _labels(case, column)
            groups += [
                ListenerGroup(column, value, labels == value, candidate_values, rival_values)
                for value in np.unique(labels)
            ]
    yield from harm_reasons(groups, slice_rule, primary, rival.label)


def _labels(case: Case, column: str) -> Strings:
    slices = case.evaluation.slices
    if column not in slices:
        raise EvaluationError(
            f"policy.slices.columns: {column} is no slice of the evaluation",
            f"add it to evaluation.slices (now: {', '.join(slices)})",
        )
    return case.users[column].to_numpy(dtype=object)


# Guardrails, and what serving costs.


def guardrails(case: Case) -> Iterator[Reason]:
    """The guardrails of the policy, on values without an interval."""
    for guardrail in case.policy.guardrails:
        reference = {"": None, "live": case.live, "best_heuristic": case.best}[guardrail.of]
        if guardrail.of and reference is None:  # nothing is live yet
            continue
        value = case.value(case.candidate, guardrail.metric)
        scale = case.value(reference, guardrail.metric) if reference else 1.0
        if guardrail.at_least is not None:
            needed, word = guardrail.at_least * scale, "at least"
            held = value >= needed
        else:
            # Exactly one bound is set; `or` is for the type checker.
            needed, word = (guardrail.at_most or 0.0) * scale, "at most"
            held = value <= needed
        relation = f" of {reference.label}'s" if reference else ""
        yield Reason(
            rule=f"{guardrail.metric} {word}{relation}",
            outcome="pass" if held else "fail",
            value=value,
            needed=needed,
            sentence=f"{guardrail.metric} is {value:.4f}, {word} {needed:.4f} is needed.",
        )


def fit_to_serve(case: Case) -> Iterator[Reason]:
    """The candidate answers sound and hostile requests, within the limits of time and size.

    Raises:
        EvaluationError: when the candidate was not inspected.
    """
    inspection, limits = case.candidate.inspection, case.policy.limits
    if case.candidate.source == "lists":  # "not asked", in the verdict
        return
    if inspection is None:
        raise EvaluationError(
            f"{case.folder / 'evaluation.json'}: {case.candidate.label} was not inspected in a "
            "fresh process",
            "evaluate the models again",
        )
    yield Reason(
        rule="serves as evaluated",
        outcome="fail" if inspection.faults else "pass",
        value=len(inspection.faults),
        needed=0,
        sentence="; ".join(inspection.faults[:3]) + "."
        if inspection.faults
        else f"a fresh process got the evaluated answers to {inspection.requests:,} requests, and "
        f"sound ones to hostile requests{_limits_missing(inspection)}.",
    )
    if inspection.faults:
        return
    for name, value, processor, limit in (
        ("p50", inspection.p50_ms, inspection.processor_p50_ms, limits.p50_ms),
        ("p99", inspection.p99_ms, inspection.processor_p99_ms, limits.p99_ms),
    ):
        if limit is not None:
            yield latency_reason(name, value, processor, limit, inspection)
    if limits.size_mb is not None:
        yield Reason(
            rule="size at most",
            outcome="pass" if inspection.size_mb <= limits.size_mb else "fail",
            value=inspection.size_mb,
            needed=limits.size_mb,
            sentence=f"size is {inspection.size_mb:.1f} MB, at most {limits.size_mb:g} MB is "
            "allowed.",
        )


def _limits_missing(inspection: Inspection) -> str:
    return f"; it was not confined: {inspection.unconfined}" if inspection.unconfined else ""


def installed_rules(case: Case) -> Iterator[Reason]:
    """The rules of installed packages that the policy names, in its order.

    Raises:
        SettingsError: when a rule cannot be imported.
        EvaluationError: when a rule fails or returns no Reason.
    """
    for name, settings in case.policy.rules.items():
        function = POLICY_RULES.load(name)
        try:
            reason = function(case, settings)
        except SetlistError:
            raise
        except Exception as fault:
            raise EvaluationError(
                f"policy rule {name} failed ({type(fault).__name__}: {fault})",
                "correct its package or its settings",
            ) from fault
        if not isinstance(reason, Reason):
            raise EvaluationError(
                f"policy rule {name} returned a {type(reason).__name__}, not a Reason",
                "correct its package",
            )
        yield reason


RULES: tuple[Rule, ...] = (
    another_model,
    honours_exclusions,
    knows_the_catalogue,
    believable,
    better_than_heuristics,
    not_worse_than_rivals,
    no_group_worse_off,
    guardrails,
    fit_to_serve,
    installed_rules,
)
"""All rules, in the order of the verdict's reasons."""

SERVING_RULES: tuple[Rule, ...] = (honours_exclusions, fit_to_serve)
"""Rules for a heuristic too, before it goes live instead of a candidate."""
