"""The rules of a policy, each a question to one evaluation that ends in a `Reason`.

A paired rule passes when the lower bound of its interval is above what the policy asks for, fails
when even the upper bound is below it, and is undecided in between: then the data cannot settle the
margin, and the smallest lift that they could have shown is stated.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Strings
from setlist.errors import SetlistError
from setlist.evaluation.harm import ListenerGroup, harm_reasons
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import (
    ITEM_PARTS,
    EvaluatedModel,
    Evaluation,
    read_per_user,
    read_users,
)
from setlist.evaluation.statistics import (
    MIN_LISTENERS,
    Interval,
    bootstrap,
    smallest_detectable_lift,
)
from setlist.evaluation.verdict import Outcome, Reason

ITEM_PART = "item_part"


class Rules:
    """The rules, over one evaluation."""

    def __init__(self, folder: Path, evaluation: Evaluation, policy: Policy) -> None:
        self.folder = folder
        self.evaluation = evaluation
        self.policy = policy

    @cached_property
    def users(self) -> pd.DataFrame:
        """One row a listener, with the slices."""
        return read_users(self.folder, self.evaluation)

    def values(self, model: EvaluatedModel, metric: str) -> Float64s:
        """float64[listeners]: the values of a per-listener metric.

        Raises:
            SetlistError: when they are missing, too few or not finite.
        """
        values = self._column(model, metric)
        if not np.isfinite(values).all():
            raise SetlistError(f"{self.folder / model.label}: {metric} is not finite everywhere.")
        return values

    def _column(self, model: EvaluatedModel, metric: str) -> Float64s:
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
        return table[metric].to_numpy(np.float64)

    def mean(self, model: EvaluatedModel) -> float:
        """The primary metric's mean."""
        return float(self.values(model, self.policy.primary).mean())

    def point(self, model: EvaluatedModel, metric: str) -> float:
        """The value of any metric."""
        if self.evaluation.metric(metric).per == "listener":
            return float(self.values(model, metric).mean())
        if metric not in model.corpus:
            raise SetlistError(
                f"{self.folder / 'evaluation.json'}: {model.label} has no {metric}; evaluate the "
                "model again."
            )
        return model.corpus[metric]

    # What no figure can make good.

    def another(self, candidate: EvaluatedModel, rival: EvaluatedModel) -> Reason:
        """The candidate is not a rival under another name."""
        same = candidate.content == rival.content
        return Reason(
            rule=f"another model than {rival.label}",
            outcome="fail" if same else "pass",
            value=float(same),
            needed=0,
            sentence=f"its SavedModel is {'the same as' if same else 'not that of'} {rival.label}.",
        )

    def honours_exclusions(self, candidate: EvaluatedModel) -> Reason:
        """Nothing is listed that the caller had excluded."""
        return Reason(
            rule="lists nothing excluded",
            outcome="fail" if candidate.excluded else "pass",
            value=candidate.excluded,
            needed=0,
            sentence=f"{candidate.excluded:,} positions of its lists hold an excluded item.",
        )

    def knows_the_catalogue(self, candidate: EvaluatedModel) -> Reason:
        """It can recommend nearly everything that there is, and does when lists are long enough."""
        needed = self.policy.catalogue
        value = candidate.known * (candidate.inspection.reach if candidate.inspection else 0)
        return Reason(
            rule="knows the catalogue",
            outcome="pass" if value >= needed else "fail",
            value=value,
            needed=needed,
            sentence=f"it lists {value:.1%} of {self.evaluation.catalogue:,} items when nothing is "
            f"cut, {needed:.1%} are needed.",
        )

    def believable(self, candidate: EvaluatedModel, best: EvaluatedModel) -> Iterator[Reason]:
        """It is not too good to be true (Twyman's law)."""
        if self.policy.believable is None:
            return
        most = self.policy.believable * self.mean(best)
        value = self.mean(candidate)
        yield Reason(
            rule="not too good to be true",
            outcome="pass" if value <= most else "fail",
            value=value,
            needed=most,
            sentence=f"{self.policy.primary} {value:.4f}, at most {most:.4f} is believed "
            f"({self.policy.believable:g} times {best.label}); beyond that the test period has "
            "leaked into training, or the data are not what they seem.",
        )

    # Better, and not worse, on the same listeners.

    def better(self, candidate: EvaluatedModel, heuristic: EvaluatedModel) -> Reason:
        """The candidate is better than a heuristic by the margin."""
        margin = self.policy.over_heuristics
        return self._paired(f"better than {heuristic.label}", candidate, heuristic, 1 + margin)

    def not_worse(self, candidate: EvaluatedModel, rival: EvaluatedModel) -> Reason:
        """The candidate is not worse than the live model or the anchor, but for the tolerance."""
        margin = self.policy.under_live
        return self._paired(f"not worse than {rival.label}", candidate, rival, 1 - margin)

    def surpasses(self, candidate: EvaluatedModel, rival: EvaluatedModel) -> bool:
        """Whether the candidate is proven better than the rival, by any margin."""
        return self._paired("", candidate, rival, 1).outcome == "pass"

    def _paired(
        self, rule: str, candidate: EvaluatedModel, rival: EvaluatedModel, factor: float
    ) -> Reason:
        ours = self.values(candidate, self.policy.primary)
        theirs = self.values(rival, self.policy.primary)
        needed = (factor - 1) * float(theirs.mean())
        # The interval of ours - factor * theirs, so that the margin is resampled with the rival.
        interval = bootstrap((ours - factor * theirs)[:, None])[0]
        outcome: Outcome = "undecided"
        if len(ours) >= MIN_LISTENERS and interval.low > 0:
            outcome = "pass"
        elif len(ours) >= MIN_LISTENERS and interval.high < 0:
            outcome = "fail"
        shown = Interval(
            float(ours.mean() - theirs.mean()), interval.low + needed, interval.high + needed
        )
        detectable = smallest_detectable_lift(ours - theirs)
        sentence = (
            f"{self.policy.primary} {ours.mean():.4f}, {rival.label} {theirs.mean():.4f}: "
            f"{shown.mean:+.4f} [{shown.low:+.4f}, {shown.high:+.4f}], needed above {needed:+.4f}"
        )
        if np.isfinite(detectable):
            sentence += f"; a difference of {detectable:.4f} could be detected"
        if outcome == "undecided":
            sentence += f"; these {self.evaluation.listeners:,} listeners cannot settle it"
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

    # Nobody is left behind.

    def slices(self, candidate: EvaluatedModel, rival: EvaluatedModel) -> Iterator[Reason]:
        """No group is served clearly worse than by the rival, one reason a slice."""
        rule = self.policy.slices
        if rule is None:
            return
        primary = self.policy.primary
        columns = self.evaluation.slices if rule.columns is None else rule.columns
        groups = []
        for column in columns:
            if column == ITEM_PART:
                if not self.evaluation.metric(primary).reads_truth:
                    raise SetlistError(
                        f"policy.slices.columns: {primary} is the same for plays of any items, so "
                        f"{ITEM_PART} says nothing; take it out, or choose an accuracy."
                    )
                for part in ITEM_PARTS:
                    ours, theirs = (
                        self._column(one, f"{primary} {part}") for one in (candidate, rival)
                    )
                    groups.append(ListenerGroup(column, part, np.isfinite(ours), ours, theirs))
            else:
                ours, theirs = self.values(candidate, primary), self.values(rival, primary)
                labels = self._labels(column)
                groups += [
                    ListenerGroup(column, value, labels == value, ours, theirs)
                    for value in np.unique(labels)
                ]
        yield from harm_reasons(groups, rule, primary, rival.label)

    def _labels(self, column: str) -> Strings:
        if column not in self.evaluation.slices:
            raise SetlistError(
                f"policy.slices.columns: {column} is no slice of the evaluation; add it to "
                f"evaluation.slices (now: {', '.join(self.evaluation.slices)})."
            )
        return self.users[column].to_numpy(dtype=object)

    # Guardrails, and what serving costs.

    def guardrails(
        self, candidate: EvaluatedModel, best: EvaluatedModel, live: EvaluatedModel | None
    ) -> Iterator[Reason]:
        """The guardrails of the policy, on point values."""
        for guardrail in self.policy.guardrails:
            other = {"": None, "live": live, "best_heuristic": best}[guardrail.of]
            if guardrail.of and other is None:
                continue
            value = self.point(candidate, guardrail.metric)
            scale = self.point(other, guardrail.metric) if other else 1.0
            if guardrail.at_least is not None:
                needed, word = guardrail.at_least * scale, "at least"
                held = value >= needed
            else:
                needed, word = (guardrail.at_most or 0.0) * scale, "at most"
                held = value <= needed
            relation = f" of {other.label}'s" if other else ""
            yield Reason(
                rule=f"{guardrail.metric} {word}{relation}",
                outcome="pass" if held else "fail",
                value=value,
                needed=needed,
                sentence=f"{guardrail.metric} is {value:.4f}, {word} {needed:.4f} is needed.",
            )

    def serving(self, model: EvaluatedModel) -> Iterator[Reason]:
        """It stands up to sound and hostile requests, within the limits of time and size."""
        inspection = model.inspection
        if inspection is None:
            raise SetlistError(
                f"{self.folder / 'evaluation.json'}: {model.label} was not inspected in a fresh "
                "process; evaluate the models again."
            )
        yield Reason(
            rule="serves as evaluated",
            outcome="fail" if inspection.faults else "pass",
            value=len(inspection.faults),
            needed=0,
            sentence="; ".join(inspection.faults[:3]) + "."
            if inspection.faults
            else f"a fresh process got the evaluated answers to {inspection.requests:,} requests, "
            "and sound ones to hostile requests.",
        )
        limits = self.policy.limits
        for name, value, limit, unit in (
            ("p50 latency", inspection.p50_ms, limits.p50_ms, "ms"),
            ("p99 latency", inspection.p99_ms, limits.p99_ms, "ms"),
            ("size", inspection.size_mb, limits.size_mb, "MB"),
        ):
            if limit is not None and not inspection.faults:
                yield Reason(
                    rule=f"{name} at most",
                    outcome="pass" if value <= limit else "fail",
                    value=value,
                    needed=limit,
                    sentence=f"{name} is {value:.1f} {unit}, at most {limit:g} {unit} is allowed.",
                )
