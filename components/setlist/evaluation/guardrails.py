"""Guardrails: bounds on metrics that have to hold while the primary metric gets better."""

from collections.abc import Iterator

from setlist.evaluation.case import Case
from setlist.evaluation.verdict import Outcome, Reason


def guardrails(case: Case) -> Iterator[Reason]:
    """The guardrails of the policy, on values without an interval.

    A metric that reads tags says nothing of items that have none: without them, any list is as
    diverse as can be. Such a guardrail is not asked.
    """
    for guardrail in case.policy.guardrails:
        reference = {"": None, "live": case.live, "best_heuristic": case.best}[guardrail.of]
        if guardrail.of and reference is None:  # nothing is live yet
            continue
        value = case.value(case.candidate, guardrail.metric)
        scale = case.value(reference, guardrail.metric) if reference else 1.0
        if guardrail.at_least is not None:
            needed, word = guardrail.at_least * scale, "at least"
            held, best = value >= needed, max
        else:
            # Exactly one bound is set; `or` is for the type checker.
            needed, word = (guardrail.at_most or 0.0) * scale, "at most"
            held, best = value <= needed, min
        outcome: Outcome = "pass" if held else "fail"
        sentence = f"{guardrail.metric} is {value:.4f}, {word} {needed:.4f} is needed"
        others = [model for model in case.heuristics if case.mean(model) > 0]
        if not held and others:
            # Where nothing comes near the bound, it is the bound that does not fit the table.
            values = {model.label: case.value(model, guardrail.metric) for model in others}
            label = best(values, key=lambda label: values[label])
            sentence += f"; the best of the others is {values[label]:.4f}, of {label}"
        sentence += "."
        if case.evaluation.metric(guardrail.metric).reads_tags and not case.tagged:
            outcome, sentence = "not_asked", "items have no tags."
        relation = f" of {reference.label}'s" if reference else ""
        yield Reason(
            rule=f"{guardrail.metric} {word}{relation}",
            outcome=outcome,
            value=None if outcome == "not_asked" else value,
            needed=needed,
            sentence=sentence,
        )
