"""The gate: from an evaluation and a policy to a verdict with its reasons.

A rule passes when the lower bound of its paired interval is above what the policy asks for, fails
when even the upper bound is below it, and is undecided in between: then the data cannot settle the
margin, and the smallest lift that they could have shown is stated. All rules have to pass, each at
its level; a conjunction needs no correction for multiplicity (the whole is at or under the level).
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import SetlistError
from components.evaluation.evaluation import (
    Evaluated,
    Evaluation,
    read_evaluation,
    read_per_user,
)
from components.evaluation.metrics import LOWER_IS_BETTER, PER_USER, parse_metric
from components.evaluation.statistics import (
    FEWEST,
    Interval,
    bootstrap,
    smallest_detectable_lift,
)

Decision = Literal["promote", "reject", "undecided"]
Outcome = Literal["pass", "fail", "undecided"]


class Guardrail(BaseModel):
    """A bound on the point value of a metric, absolute or relative to the live model."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    of_live: bool = False
    """The bound is a multiple of the live model's value; without a live model it is skipped."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a guardrail needs either at_least or at_most")
        return self


class Policy(BaseModel):
    """The `policy` section of the settings file: what a candidate has to show."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    primary: str = "ndcg@10"
    over_heuristics: float = Field(default=0.02, ge=0)
    """How much better than EVERY heuristic, relative to it."""
    under_live: float = Field(default=0.01, ge=0, lt=1)
    """How much worse than the live model is tolerated, relative to it."""
    former: int = Field(default=3, ge=0)
    """How many earlier revisions the candidate has to stand beside, with the same tolerance."""
    guardrails: tuple[Guardrail, ...] = (
        Guardrail(metric="coverage@10", at_least=0.05),
        Guardrail(metric="intra_list_diversity@10", at_least=0.2),
        Guardrail(metric="popularity_lift@10", at_most=5),
    )
    bootstrap: Literal["none", "heuristic"] = "heuristic"
    """Whether the best heuristic may go live while nothing else is."""

    def metrics(self) -> list[str]:
        """Every metric that the policy reads."""
        return [self.primary, *(guardrail.metric for guardrail in self.guardrails)]


class SeenHead(BaseModel):
    """HEAD of the store as the plan saw it; push moves it only if it is still the same."""

    model_config = ConfigDict(frozen=True)

    live: int
    previous: int | None = None
    version: str


class Reason(BaseModel):
    """One rule of the policy, what it saw and what it asked for."""

    rule: str
    outcome: Outcome
    value: float
    low: float | None = None
    high: float | None = None
    needed: float
    detectable: float | None = None
    sentence: str


class Verdict(BaseModel):
    """What push needs to know, and what a person wants to read."""

    decision: Decision
    primary: str
    """The metric that the paired rules compare."""
    ships: str = ""
    """The label of the model that goes live; "" for none."""
    ships_digest: str = ""
    sentence: str
    reasons: list[Reason]
    evaluation_digest: str
    policy_digest: str
    head: SeenHead | None
    """None when nothing was live."""

    def write(self, path: Path) -> None:
        """Write the verdict as JSON."""
        path.write_text(self.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The verdict that `write` left.

        Raises:
            SetlistError: when there is none that can be read; without one nothing is pushed.
        """
        if not path.is_file():
            raise SetlistError(f"{path} is missing; without a verdict nothing is pushed.")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as fault:
            raise SetlistError(f"{path} is no verdict; run the gate again.") from fault


def check_policy(policy: Policy, metrics: tuple[str, ...]) -> None:
    """Refuse a policy that reads what is not evaluated.

    Raises:
        SetlistError: naming the metric and where to add it.
    """
    for text in (*metrics, *policy.metrics()):
        parse_metric(text)
        if text not in metrics:
            raise SetlistError(
                f"policy: {text} is not evaluated; add it to evaluation.metrics "
                f"(now: {', '.join(metrics)})."
            )
    name, _ = parse_metric(policy.primary)
    if name in LOWER_IS_BETTER:
        raise SetlistError(
            f"policy.primary: {policy.primary} is better when it is lower, and the gate asks for "
            "more; choose an accuracy such as ndcg@10, or make it a guardrail."
        )
    if name not in PER_USER:
        raise SetlistError(
            f"policy.primary: {policy.primary} has no value for a single listener, so it has no "
            "paired interval; choose an accuracy such as ndcg@10."
        )


def gate(evaluation_folder: Path, policy: Policy, head: SeenHead | None) -> Verdict:
    """Judge the candidate of an evaluation.

    Args:
        evaluation_folder: what `evaluate` wrote.
        policy: what the candidate has to show.
        head: HEAD of the store as the plan saw it; with one, a live model must be evaluated.

    Raises:
        SetlistError: when an evaluation, a metric or the live model is missing: it fails closed.
    """
    evaluation = read_evaluation(evaluation_folder)
    check_policy(policy, evaluation.metrics)
    by_role: dict[str, list[Evaluated]] = {}
    for model in sorted(evaluation.models, key=lambda model: model.label):
        by_role.setdefault(model.role, []).append(model)
    if len(by_role.get("candidate", [])) != 1:
        raise SetlistError(f"{evaluation_folder}: the gate needs exactly one candidate.")
    if not by_role.get("heuristic"):
        raise SetlistError(f"{evaluation_folder}: the gate needs at least one heuristic.")
    live = [model.revision for model in by_role.get("live", [])]
    if live != ([head.live] if head else []):
        raise SetlistError(
            f"{evaluation_folder}: the live revision is {head.live if head else 'none'}, but "
            f"{live or 'none'} was evaluated; run the pipeline from its first step."
        )
    former = [model.revision for model in by_role.get("former", [])]
    if policy.former and head and head.previous and head.previous not in former:
        raise SetlistError(
            f"{evaluation_folder}: revision {head.previous}, live before {head.live}, was not "
            "evaluated; run the pipeline from its first step."
        )
    candidate = by_role["candidate"][0]
    judge = _Judge(evaluation_folder, evaluation, policy)
    heuristics = by_role["heuristic"]
    best = max(heuristics, key=judge.mean)
    if judge.mean(best) <= 0:
        raise SetlistError(
            f"{evaluation_folder}: no heuristic has a {policy.primary} above 0, so there is "
            "nothing to beat; fit one that has an answer on this shelf, such as most_popular."
        )
    reasons = [
        *(judge.better(candidate, heuristic) for heuristic in heuristics),
        *(judge.not_worse(candidate, one) for one in by_role.get("live", [])),
        *(judge.not_worse(candidate, one) for one in by_role.get("former", [])),
        *judge.guardrails(candidate, by_role.get("live", [])),
    ]
    outcomes = {reason.outcome for reason in reasons}
    decision: Decision = (
        "reject" if "fail" in outcomes else "undecided" if "undecided" in outcomes else "promote"
    )
    ships: Evaluated | None = candidate if decision == "promote" else None
    sentence = _sentence(decision, reasons)
    if ships is None and head is None and policy.bootstrap == "heuristic":
        ships = best
        sentence += (
            f" Nothing is live yet, so the best heuristic, {ships.label} "
            f"({policy.primary} {judge.mean(ships):.4f}), goes live in its place."
        )
        decision = "promote"
    return Verdict(
        decision=decision,
        primary=policy.primary,
        ships=ships.label if ships else "",
        ships_digest=ships.digest if ships else "",
        sentence=sentence,
        reasons=reasons,
        evaluation_digest=hashlib.sha256(
            (evaluation_folder / "evaluation.json").read_bytes()
        ).hexdigest(),
        policy_digest=hashlib.sha256(
            json.dumps(policy.model_dump(), sort_keys=True).encode()
        ).hexdigest(),
        head=head,
    )


class _Judge:
    """The rules, over one evaluation."""

    def __init__(self, folder: Path, evaluation: Evaluation, policy: Policy) -> None:
        self.folder = folder
        self.evaluation = evaluation
        self.policy = policy

    def values(self, model: Evaluated, metric: str) -> npt.NDArray[np.float64]:
        """The per-user values of a metric."""
        table = read_per_user(self.folder, model.label)
        if (
            metric not in table
            or table[metric].dtype != np.float64
            or len(table) != self.evaluation.listeners
        ):
            raise SetlistError(
                f"{self.folder / model.label}: {metric} of {self.evaluation.listeners} listeners "
                "is missing; evaluate the model again."
            )
        values = table[metric].to_numpy(np.float64)
        if not np.isfinite(values).all():
            raise SetlistError(f"{self.folder / model.label}: {metric} is not finite everywhere.")
        return values

    def mean(self, model: Evaluated) -> float:
        """The primary metric's mean."""
        return float(self.values(model, self.policy.primary).mean())

    def point(self, model: Evaluated, metric: str) -> float:
        """The value of any metric."""
        if parse_metric(metric)[0] in PER_USER:
            return float(self.values(model, metric).mean())
        if metric not in model.corpus:
            raise SetlistError(
                f"{self.folder / 'evaluation.json'}: {model.label} has no {metric}; evaluate the "
                "model again."
            )
        return model.corpus[metric]

    def better(self, candidate: Evaluated, heuristic: Evaluated) -> Reason:
        """The candidate is better than a heuristic by the margin."""
        margin = self.policy.over_heuristics
        return self._paired(f"better than {heuristic.label}", candidate, heuristic, 1 + margin)

    def not_worse(self, candidate: Evaluated, rival: Evaluated) -> Reason:
        """The candidate is not worse than a live or former model by more than the tolerance."""
        margin = self.policy.under_live
        return self._paired(f"not worse than {rival.label}", candidate, rival, 1 - margin)

    def _paired(self, rule: str, candidate: Evaluated, rival: Evaluated, factor: float) -> Reason:
        ours = self.values(candidate, self.policy.primary)
        theirs = self.values(rival, self.policy.primary)
        needed = (factor - 1) * float(theirs.mean())
        # The interval of ours - factor * theirs, so that the margin is resampled with the rival.
        interval = bootstrap((ours - factor * theirs)[:, None])[0]
        outcome: Outcome = "undecided"
        if len(ours) >= FEWEST and interval.low > 0:
            outcome = "pass"
        elif len(ours) >= FEWEST and interval.high < 0:
            outcome = "fail"
        shown = Interval(
            float(ours.mean() - theirs.mean()), interval.low + needed, interval.high + needed
        )
        detectable = smallest_detectable_lift(ours - theirs)
        sentence = (
            f"{self.policy.primary} {ours.mean():.4f}, {rival.label} {theirs.mean():.4f}: "
            f"{shown.mean:+.4f} [{shown.low:+.4f}, {shown.high:+.4f}], needed above {needed:+.4f}"
        )
        if outcome == "undecided":
            sentence += (
                f"; these {self.evaluation.listeners} listeners cannot settle it "
                f"(smallest detectable difference {detectable:.4f})"
            )
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

    def guardrails(self, candidate: Evaluated, live: list[Evaluated]) -> Iterator[Reason]:
        """The guardrails of the policy, on point values."""
        for guardrail in self.policy.guardrails:
            if guardrail.of_live and not live:
                continue
            value = self.point(candidate, guardrail.metric)
            scale = self.point(live[0], guardrail.metric) if guardrail.of_live else 1.0
            if guardrail.at_least is not None:
                needed, word = guardrail.at_least * scale, "at least"
                held = value >= needed
            else:
                needed, word = (guardrail.at_most or 0.0) * scale, "at most"
                held = value <= needed
            relation = " of the live model's" if guardrail.of_live else ""
            yield Reason(
                rule=f"{guardrail.metric} {word}{relation}",
                outcome="pass" if held else "fail",
                value=value,
                needed=needed,
                sentence=f"{guardrail.metric} is {value:.4f}, {word} {needed:.4f} is needed.",
            )


def _sentence(decision: Decision, reasons: list[Reason]) -> str:
    if decision == "promote":
        return "The candidate is better than every heuristic and breaks no rule."
    kind: Outcome = "fail" if decision == "reject" else "undecided"
    broken = [reason.rule for reason in reasons if reason.outcome == kind]
    if decision == "reject":
        return f"The candidate is refused; it broke: {', '.join(broken)}."
    return f"The data cannot settle: {', '.join(broken)}; the candidate is not pushed."
