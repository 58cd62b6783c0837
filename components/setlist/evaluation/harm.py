"""The search for a group of listeners whom a candidate serves clearly worse."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from setlist.arrays import Bools, Float64s, Strings
from setlist.errors import EvaluationError, SettingsError
from setlist.evaluation.case import Case
from setlist.evaluation.policy import SliceRule
from setlist.evaluation.results import ITEM_PARTS, slice_title
from setlist.evaluation.statistics import (
    CONFIDENCE_LEVEL,
    holm,
    sign_flip,
    smallest_detectable_lift,
)
from setlist.evaluation.verdict import Outcome, Reason

ITEM_PART = "item_part"
"""In a policy: the plays of each part of the catalogue are a group."""


@dataclass(frozen=True)
class ListenerGroup:
    """The listeners who share a value of a slice, with the values of two models.

    Attributes:
        members: bool[listeners].
        candidate_values, rival_values: float64[listeners], the primary metric of both models; only
            the values of the members are read.
    """

    slice: str
    value: str
    members: Bools
    candidate_values: Float64s
    rival_values: Float64s

    @property
    def size(self) -> int:
        """How many listeners it has."""
        return int(self.members.sum())

    @property
    def differences(self) -> Float64s:
        """float64[members]: the candidate's values minus the rival's."""
        return (self.candidate_values - self.rival_values)[self.members]


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
    yield from harm_reasons(groups, slice_rule, primary, rival.title)


def _labels(case: Case, column: str) -> Strings:
    slices = case.evaluation.slices
    if column not in slices:
        raise EvaluationError(
            f"policy.slices.columns: {column} is no slice of the evaluation",
            f"add it to evaluation.slices (now: {', '.join(slices)})",
        )
    return case.users[column].to_numpy(dtype=object)


@dataclass(frozen=True)
class SearchedGroup:
    """A group that is large enough, and what the test says of it.

    Attributes:
        p: of the one-sided sign-flip test for a loss beyond the tolerance.
        corrected: the same after Holm's correction over all groups that are tested.
        seems_worse: whether its listeners lose more than the tolerance, proven or not.
    """

    group: ListenerGroup
    p: float
    corrected: float
    seems_worse: bool


def harm_reasons(
    groups: Sequence[ListenerGroup], policy: SliceRule, metric: str, rival: str
) -> Iterator[Reason]:
    """One reason a slice: fails where a group is served worse by more than the tolerance.

    The p-values of the one-sided paired sign-flip test are corrected over all groups of all slices
    (Holm), because harm is searched for. A slice passes where each of its groups keeps what it has
    but for the tolerance. Where a group does not, and is not shown to lose either, the slice is
    undecided or unproven, as the policy says; so it is where a group has too few listeners. In a
    group without any, nobody loses.

    Args:
        groups: of all slices.
        policy: with the tolerance, the smallest size, and the p-value that leaves a doubt.
        metric: the name of the primary metric.
        rival: what sentences call the model that listeners would have otherwise.
    """
    groups = [group for group in groups if group.size]
    tested = _test([group for group in groups if group.size >= policy.at_least], policy.tolerance)
    for name in dict.fromkeys(group.slice for group in groups):
        small = [group for group in groups if group.slice == name and group.size < policy.at_least]
        in_slice = [entry for entry in tested if entry.group.slice == name]
        yield _reason(name, in_slice, small, policy, metric, rival)


def _test(groups: Sequence[ListenerGroup], tolerance: float) -> list[SearchedGroup]:
    if not groups:
        return []
    # A listener outside a group has 0 in its column, which no sign flip changes. With the
    # tolerance inside the difference, the test asks for a loss beyond the tolerance.
    columns = [
        np.where(group.members, group.candidate_values - (1 - tolerance) * group.rival_values, 0)
        for group in groups
    ]
    p = sign_flip(np.column_stack(columns), "less")
    return [
        # Not below 0 by the rounding of decimals, such as 0.9 * 0.1 and 0.09.
        SearchedGroup(group, alone, corrected, bool(column.sum() < -1e-9 * np.abs(column).sum()))
        for group, column, alone, corrected in zip(
            groups, columns, p.tolist(), holm(p).tolist(), strict=True
        )
    ]


def _reason(
    name: str,
    tested: Sequence[SearchedGroup],
    small: Sequence[ListenerGroup],
    policy: SliceRule,
    metric: str,
    rival: str,
) -> Reason:
    """The reason of one slice, by the group that is most likely to lose."""
    rule = f"no group by {slice_title(name)} worse off than with {rival}"
    few = ", ".join(f"{group.value or 'not known'} ({group.size:,})" for group in small[:5])
    few = f"too few to say: {few}{' and others' if small[5:] else ''}" if small else ""
    # Of groups that are too small nothing is known, which is what a p-value of 1 says.
    open_questions = [1.0] * bool(small) + [entry.p for entry in tested if entry.seems_worse]
    outcome: Outcome = "pass"
    if any(p <= policy.doubt for p in open_questions):
        outcome = "undecided"
    elif open_questions:
        outcome = "unproven"
    why = f"; slices.doubt {policy.doubt:g} leaves it undecided" if outcome == "undecided" else ""
    if not tested:
        return Reason(
            rule=rule,
            outcome=outcome,
            value=0,
            needed=0,
            too_small=[group.value for group in small],
            sentence=f"{few}{why}.",
        )
    # Where p-values are equal, the larger loss decides.
    worst = min(tested, key=lambda entry: (entry.p, entry.group.differences.mean()))
    if worst.corrected <= 1 - CONFIDENCE_LEVEL:
        outcome, why = "fail", ""
    group, lift = worst.group, float(worst.group.differences.mean())
    needed = -policy.tolerance * float(group.rival_values[group.members].mean())
    detectable = smallest_detectable_lift(group.differences)
    alone = f"; {worst.p:.2g} alone" if outcome in ("undecided", "unproven") else ""
    return Reason(
        rule=rule,
        outcome=outcome,
        value=lift,
        needed=needed,
        detectable=detectable if np.isfinite(detectable) else None,
        too_small=[group.value for group in small],
        sentence=f"of {len(tested)} groups {group.value or 'not known'} ({group.size:,} "
        f"listeners) fares worst: {metric} {lift:+.4f}, where {needed:+.4f} is tolerated "
        f"(p {worst.corrected:.2g}, corrected{alone}; a difference of {detectable:.4f} could be "
        f"detected){'; ' + few if few else ''}{why}.",
    )
