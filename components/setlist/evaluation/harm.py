"""The search for a group of listeners whom a candidate serves clearly worse."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from setlist.arrays import Bools, Float64s
from setlist.evaluation.policy import SliceRule
from setlist.evaluation.results import slice_title
from setlist.evaluation.statistics import (
    CONFIDENCE_LEVEL,
    holm,
    sign_flip,
    smallest_detectable_lift,
)
from setlist.evaluation.verdict import Reason


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


def harm_reasons(
    groups: Sequence[ListenerGroup], policy: SliceRule, metric: str, rival: str
) -> Iterator[Reason]:
    """One reason a slice: fails where a group is served worse by more than the tolerance.

    The p-values of the one-sided paired sign-flip test are corrected over all groups of all slices
    (Holm), because harm is searched for. A group below the smallest size says nothing.

    Args:
        groups: of all slices.
        policy: with the tolerance and the smallest size.
        metric: the name of the primary metric.
        rival: the label of the model that listeners would have otherwise.
    """
    judged = [group for group in groups if group.size >= policy.at_least]
    adjusted = np.empty(0)
    if judged:
        # A listener outside a group has 0 in its column, which no sign flip changes. With the
        # tolerance inside the difference, the test asks for a loss beyond the tolerance.
        losses = np.column_stack(
            [
                np.where(
                    group.members,
                    group.candidate_values - (1 - policy.tolerance) * group.rival_values,
                    0,
                )
                for group in judged
            ]
        )
        adjusted = holm(sign_flip(losses, "less"))
    p_values = {
        (group.slice, group.value): float(p) for group, p in zip(judged, adjusted, strict=True)
    }
    for name in dict.fromkeys(group.slice for group in groups):
        rule = f"no group by {slice_title(name)} worse off than with {rival}"
        in_slice = [group for group in judged if group.slice == name]
        small = [group for group in groups if group.slice == name and group.size < policy.at_least]
        few = ", ".join(f"{group.value or 'not known'} ({group.size})" for group in small[:5])
        few = f"too few to say: {few}{' and others' if small[5:] else ''}" if small else ""
        too_small = [group.value for group in small]
        if not in_slice:
            yield Reason(
                rule=rule,
                outcome="pass",
                value=0,
                needed=0,
                too_small=too_small,
                sentence=f"{few}.",
            )
            continue
        # Corrected p-values are often equal (1); then the larger loss decides.
        worst = min(
            in_slice, key=lambda group: (p_values[name, group.value], group.differences.mean())
        )
        p = p_values[name, worst.value]
        lift = float(worst.differences.mean())
        needed = -policy.tolerance * float(worst.rival_values[worst.members].mean())
        detectable = smallest_detectable_lift(worst.differences)
        yield Reason(
            rule=rule,
            outcome="fail" if p <= 1 - CONFIDENCE_LEVEL else "pass",
            value=lift,
            needed=needed,
            detectable=detectable if np.isfinite(detectable) else None,
            too_small=too_small,
            sentence=f"of {len(in_slice)} groups {worst.value or 'not known'} ({worst.size:,} "
            f"listeners) fares worst: {metric} {lift:+.4f}, where {needed:+.4f} is tolerated "
            f"(p {p:.2g}, corrected; a difference of {detectable:.4f} could be detected)"
            f"{'; ' + few if few else ''}.",
        )
