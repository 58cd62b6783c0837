"""The gate: from an evaluation and a policy to a verdict with its reasons.

All rules have to pass, each at its level; a conjunction needs no correction for multiplicity (the
whole is at or under the level). Whatever is missing or cannot be read is an error: it fails closed.
"""

import hashlib
import json
from math import isfinite
from pathlib import Path

from setlist.errors import SetlistError
from setlist.evaluation.policy import Policy, check_policy
from setlist.evaluation.results import (
    EvaluatedModel,
    Evaluation,
    Role,
    read_evaluation,
    read_values,
)
from setlist.evaluation.rules import Rules
from setlist.evaluation.verdict import Decision, Outcome, Reason, SeenHead, Verdict, decide


def gate(evaluation_folder: Path, policy: Policy, head: SeenHead | None) -> Verdict:
    """Judge the candidate of an evaluation.

    Args:
        evaluation_folder: what `evaluate` wrote.
        policy: what the candidate has to show.
        head: HEAD of the store as the plan saw it; with one, the live model and the anchor must be
            evaluated.

    Raises:
        SetlistError: when an evaluation, a metric or a model is missing.
    """
    return judge(evaluation_folder, read_evaluation(evaluation_folder), policy, head)


def judge(folder: Path, evaluation: Evaluation, policy: Policy, head: SeenHead | None) -> Verdict:
    """`gate` for an evaluation whose models may play other parts than when it was written."""
    check_policy(policy, evaluation.metrics)
    candidate, heuristics, live, anchor = _cast(folder, evaluation, policy, head)
    rules = Rules(folder, evaluation, policy)
    best = max(heuristics, key=rules.mean)
    if rules.mean(best) <= 0:
        raise SetlistError(
            f"{folder}: no heuristic has a {policy.primary} above 0, so there is nothing to beat; "
            "fit one that has an answer on this shelf, such as most_popular."
        )
    rivals = [one for one in (live, anchor) if one]
    reasons = [
        *(rules.another(candidate, rival) for rival in rivals),
        rules.honours_exclusions(candidate),
        rules.knows_the_catalogue(candidate),
        *rules.believable(candidate, best),
        *(rules.better(candidate, heuristic) for heuristic in heuristics),
        *(rules.not_worse(candidate, rival) for rival in rivals),
        *rules.slices(candidate, live or best),
        *rules.guardrails(candidate, best, live),
        *rules.serving(candidate),
    ]
    decision = decide(reasons)
    ships: EvaluatedModel | None = candidate if decision == "promote" else None
    sentence = _sentence(decision, reasons)
    if ships is None and head is None and policy.bootstrap == "heuristic":
        ships = _bootstrapped(rules, heuristics)
        if ships is None:
            sentence += " Nothing is live yet, and no heuristic is fit to serve."
        else:
            sentence += (
                f" Nothing is live yet, so the best heuristic, {ships.label} "
                f"({policy.primary} {rules.mean(ships):.4f}), goes live in its place."
            )
            decision = "promote"
    stands = anchor or live
    return Verdict(
        decision=decision,
        mode=policy.mode,
        primary=policy.primary,
        ships=ships.label if ships else "",
        ships_digest=ships.digest if ships else "",
        sentence=sentence,
        reasons=reasons,
        anchor=None if stands is None or rules.surpasses(candidate, stands) else stands.revision,
        evaluation_digest=hashlib.sha256((folder / "evaluation.json").read_bytes()).hexdigest(),
        policy_digest=hashlib.sha256(
            json.dumps(policy.model_dump(), sort_keys=True).encode()
        ).hexdigest(),
        head=head,
        window=evaluation.window,
        roles={model.label: model.role for model in evaluation.models},
        values={model.label: _values(folder, evaluation, model) for model in evaluation.models},
    )


def _values(folder: Path, evaluation: Evaluation, model: EvaluatedModel) -> dict[str, float]:
    """The value of every evaluated metric that has one; those on parts of the truth stay there."""
    found = read_values(folder, model)
    names = [metric.name for metric in evaluation.metrics]
    return {name: found[name] for name in names if isfinite(found.get(name, float("nan")))}


def _cast(
    folder: Path, evaluation: Evaluation, policy: Policy, head: SeenHead | None
) -> tuple[EvaluatedModel, list[EvaluatedModel], EvaluatedModel | None, EvaluatedModel | None]:
    """The candidate, the heuristics, the live model and the anchor, all that there have to be."""
    by_role: dict[Role, list[EvaluatedModel]] = {}
    for model in sorted(evaluation.models, key=lambda model: model.label):
        by_role.setdefault(model.role, []).append(model)
    if len(by_role.get("candidate", [])) != 1:
        raise SetlistError(f"{folder}: the gate needs exactly one candidate.")
    if not by_role.get("heuristic"):
        raise SetlistError(f"{folder}: the gate needs at least one heuristic.")
    anchors = by_role.get("anchor", []) if policy.anchor else []
    wanted = {"live": head and head.live, "anchor": head and policy.anchor and head.anchor}
    for role, models in (("live", by_role.get("live", [])), ("anchor", anchors)):
        revisions = [model.revision for model in models]
        if revisions != ([wanted[role]] if wanted[role] else []):
            raise SetlistError(
                f"{folder}: the {role} revision is {wanted[role] or 'none'}, but "
                f"{revisions or 'none'} was evaluated; run the pipeline from its first step."
            )
    live = next(iter(by_role.get("live", [])), None)
    return by_role["candidate"][0], by_role["heuristic"], live, next(iter(anchors), None)


def _bootstrapped(rules: Rules, heuristics: list[EvaluatedModel]) -> EvaluatedModel | None:
    """The best heuristic that has an answer and is fit to serve."""
    fit = [
        one
        for one in heuristics
        if rules.mean(one) > 0
        and decide([rules.honours_exclusions(one), *rules.serving(one)]) == "promote"
    ]
    return max(fit, key=rules.mean, default=None)


def _sentence(decision: Decision, reasons: list[Reason]) -> str:
    if decision == "promote":
        return "The candidate is better than every heuristic and breaks no rule."
    kind: Outcome = "fail" if decision == "reject" else "undecided"
    broken = [reason.rule for reason in reasons if reason.outcome == kind]
    if decision == "reject":
        return f"The candidate is refused; it broke: {', '.join(broken)}."
    return f"The data cannot settle: {', '.join(broken)}; the candidate is not pushed."
