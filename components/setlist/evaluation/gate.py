"""The gate: from an evaluation and a policy to a verdict with its reasons.

All rules have to pass, each at its level; a conjunction needs no correction for multiplicity (the
whole is at or under the level). What is missing or cannot be read is an error: the gate fails
closed.
"""

import hashlib
import json
from math import isfinite
from pathlib import Path

from setlist.errors import EvaluationError
from setlist.evaluation.case import Case
from setlist.evaluation.comparison import surpasses
from setlist.evaluation.going_live import going_live
from setlist.evaluation.intervals import check_intervals
from setlist.evaluation.policy import Policy, check_policy
from setlist.evaluation.results import (
    EvaluatedModel,
    Evaluation,
    Role,
    read_evaluation,
    read_values,
)
from setlist.evaluation.rules import RULES
from setlist.evaluation.verdict import NOTHING_TO_BEAT, Decision, Reason, SeenHead, Verdict, decide


def gate(
    folder: Path, policy: Policy, head: SeenHead | None, evaluation: Evaluation | None = None
) -> Verdict:
    """Judge the candidate of an evaluation.

    Args:
        folder: the evaluation folder that `evaluate` wrote.
        policy: what the candidate has to show.
        head: HEAD of the store as the plan saw it; with one, the live model and the anchor must be
            evaluated.
        evaluation: in place of the folder's own, with other roles for its models.

    Raises:
        EvaluationError: when an evaluation, a metric or a model is missing, or the values are not
            those that the intervals of the evaluation were computed from.
        SettingsError: when the policy reads what is not evaluated.
    """
    evaluation = evaluation or read_evaluation(folder)
    check_policy(policy, evaluation.metrics)
    check_intervals(folder, evaluation)
    case = _case(folder, evaluation, policy, head)
    if case.mean(case.best) <= 0:
        raise EvaluationError(
            f"for {evaluation.listeners:,} listeners, {_nothing(case)} a {policy.primary} above 0: "
            f"{NOTHING_TO_BEAT}",
            "evaluate more (window.test_days), or fit one that has an answer on this shelf"
            if case.best.source == "model"
            else "compare with lists that have a hit, such as the most played items",
        )
    reasons = [reason for rule in RULES for reason in rule(case)]
    decision = decide(reasons)
    live = going_live(case, decision)
    ships = live.model
    stands = case.anchor or case.live
    return Verdict(
        decision=decision,
        mode=policy.mode,
        primary=policy.primary,
        ships=ships.label if ships else "",
        ships_digest=ships.digest if ships else "",
        sentence=_sentence(decision, reasons, case),
        live_sentence=live.sentence,
        reasons=reasons,
        # Under a policy without anchor, each revision would name the one before as such.
        anchor=None
        if stands is None or not policy.anchor or surpasses(case, stands)
        else stands.revision,
        evaluation_digest=hashlib.sha256((folder / "evaluation.json").read_bytes()).hexdigest(),
        policy_digest=_digest(policy),
        head=head,
        window=evaluation.window,
        roles={model.label: model.role for model in evaluation.models},
        values={model.label: _values(folder, evaluation, model) for model in evaluation.models},
        not_asked=case.candidate.not_asked,
    )


def _digest(policy: Policy) -> str:
    # Without rules of other packages, a policy has the digest that it had before there were any.
    document = policy.model_dump(exclude=set() if policy.rules else {"rules"})
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _values(folder: Path, evaluation: Evaluation, model: EvaluatedModel) -> dict[str, float]:
    """The value of every evaluated metric that has one, without those on parts of the truth."""
    values = read_values(folder, model)
    names = [metric.name for metric in evaluation.metrics]
    return {name: values[name] for name in names if isfinite(values.get(name, float("nan")))}


def _case(folder: Path, evaluation: Evaluation, policy: Policy, head: SeenHead | None) -> Case:
    """The evaluation with the models that the policy and HEAD ask for, and no others."""
    by_role: dict[Role, list[EvaluatedModel]] = {}
    for model in sorted(evaluation.models, key=lambda model: model.label):
        by_role.setdefault(model.role, []).append(model)
    if len(by_role.get("candidate", [])) != 1:
        raise EvaluationError(f"{folder}: the gate needs exactly one candidate.")
    if not by_role.get("heuristic"):
        raise EvaluationError(
            f"{folder}: the gate needs at least one heuristic, or lists to compare with",
            "evaluate one beside the candidate",
        )
    anchors = by_role.get("anchor", []) if policy.anchor else []
    needed = {"live": head and head.live, "anchor": head and policy.anchor and head.anchor}
    for role, models in (("live", by_role.get("live", [])), ("anchor", anchors)):
        revisions = [model.revision for model in models]
        if revisions != ([needed[role]] if needed[role] else []):
            raise EvaluationError(
                f"{folder}: the {role} revision is {needed[role] or 'none'}, but "
                f"{revisions or 'none'} was evaluated",
                "run the pipeline from its first step",
            )
    return Case(
        folder=folder,
        evaluation=evaluation,
        policy=policy,
        candidate=by_role["candidate"][0],
        heuristics=by_role["heuristic"],
        live=next(iter(by_role.get("live", [])), None),
        anchor=next(iter(anchors), None),
    )


def _sentence(decision: Decision, reasons: list[Reason], case: Case) -> str:
    """What becomes of the candidate, and why."""
    broken = ", ".join(
        reason.rule
        for reason in reasons
        if reason.outcome == ("fail" if decision == "reject" else "undecided")
    )
    if decision == "reject":
        return f"The candidate is rejected; it broke: {broken}."
    if decision == "undecided":
        return f"The candidate is undecided; the evaluation cannot settle: {broken}."
    return f"The candidate beats {_beaten(case)}, and breaks no rule of the policy."


def _beaten(case: Case) -> str:
    """What it is compared with, in words."""
    lists = [model.label for model in case.heuristics if model.source == "lists"]
    named = [f"the lists {', '.join(lists)}"] if lists else []
    if len(lists) < len(case.heuristics):
        named.append("every heuristic")
    return " and ".join(named)


def _nothing(case: Case) -> str:
    lists = all(model.source == "lists" for model in case.heuristics)
    return "no lists to compare with have" if lists else "no heuristic has"
