"""Rules that no metric makes up for: a candidate that breaks one is rejected however good it is."""

from collections.abc import Iterator

from setlist.evaluation.case import Case
from setlist.evaluation.verdict import Reason, not_measured

BELIEVABLE = "not too good to be true"
KNOWS = "knows the catalogue"
AT_MOST_1 = frozenset(
    {
        *("ndcg", "ndcg_graded", "ndcg_graded_exp", "recall", "recall_capped", "precision"),
        *("hit_rate", "mrr", "map"),
    }
)
"""Metrics of accuracy that are shares: no list has more."""


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
    reach = candidate.inspection.reach if candidate.inspection else 0
    if reach is None:
        yield not_measured(KNOWS, needed)
        return
    # The share of the catalogue that it knows, times the share of its own that it lists.
    value = candidate.known * reach
    yield Reason(
        rule=KNOWS,
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
    times = f"{policy.believable:g} times {case.best.title}"
    if bound >= 1 and policy.primary.partition("@")[0] in AT_MOST_1:
        yield Reason(
            rule=BELIEVABLE,
            outcome="pass",
            value=value,
            needed=1,
            sentence=f"{policy.primary} {value:.4f}; {times} is more than any value of it, so none "
            "is too good.",
        )
        return
    beyond = "the test period has leaked into training, or the data are not what they seem"
    # Of lists alone nobody knows whether they are any good.
    if value > bound and all(model.source == "lists" for model in case.heuristics):
        beyond += (
            f"; or {case.best.title} are weak: compare with heuristics, too (`--heuristics`), or "
            "raise `believable` in the policy"
        )
    yield Reason(
        rule=BELIEVABLE,
        outcome="pass" if value <= bound else "fail",
        value=value,
        needed=bound,
        sentence=f"{policy.primary} {value:.4f}, at most {bound:.4f} is believed ({times}); beyond "
        f"that {beyond}.",
    )
