"""Groups of listeners whose answer is known by hand."""

import numpy as np
import pytest

from setlist.evaluation.harm import ListenerGroup, harm_reasons
from setlist.evaluation.policy import SliceRule
from setlist.evaluation.statistics import holm, sign_flip, smallest_detectable_lift

SIZE = 200
STRICT = SliceRule(tolerance=0)


def groups(column: str, values, rival_values, **sizes: int) -> list[ListenerGroup]:
    """Groups of one slice in the order of `sizes`; both values are of all listeners."""
    values, rival_values = (
        np.broadcast_to(metric, SIZE).astype(np.float64) for metric in (values, rival_values)
    )
    ends = np.cumsum([0, *sizes.values()])
    place = np.arange(SIZE)
    return [
        ListenerGroup(column, name, (place >= first) & (place < last), values, rival_values)
        for name, first, last in zip(sizes, ends[:-1], ends[1:], strict=True)
    ]


def only(reasons):
    (reason,) = reasons
    return reason


def judged(those, rule=STRICT):
    return list(harm_reasons(those, rule, "ndcg@10", "live-3"))


def test_a_group_that_is_served_worse_fails_its_slice():
    # 40 listeners in JP have .2 instead of .4, the other 160 what they had.
    values = np.r_[np.full(40, 0.2), np.full(160, 0.4)]
    reason = only(judged(groups("country", values, 0.4, JP=40, SE=160)))
    assert reason.rule == "no group by country worse off than with live-3"
    assert reason.outcome == "fail"
    assert reason.value == pytest.approx(-0.2)
    assert reason.needed == 0
    assert reason.sentence == (
        "of 2 groups JP (40 listeners) fares worst: ndcg@10 -0.2000, where -0.0000 is tolerated "
        "(p 0.0002, corrected; a difference of 0.0000 could be detected)."
    )


def test_nobody_is_worse_off_where_nothing_changed():
    reason = only(judged(groups("country", 0.4, 0.4, JP=40, SE=160)))
    assert (reason.outcome, reason.value) == ("pass", 0)
    assert "(p 1, corrected" in reason.sentence


def test_better_for_everybody_is_no_harm():
    assert only(judged(groups("country", 0.6, 0.4, JP=40, SE=160))).outcome == "pass"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("country", "country"),
        ("age_band", "age band"),
        ("listener", "history length"),
        ("item_part", "item part"),
    ],
)
def test_the_rule_reads_well(name, title):
    reason = only(judged(groups(name, 0.4, 0.4, one=200)))
    assert reason.rule == f"no group by {title} worse off than with live-3"


# The tolerance is relative to what the group has now.


@pytest.mark.parametrize(("less", "outcome"), [(0, "pass"), (2**-20, "fail")])
def test_the_tolerance_at_its_border(less, outcome):
    # .75 * .5 = .375; all of these are exact in binary.
    reason = only(judged(groups("country", 0.375 - less, 0.5, JP=200), SliceRule(tolerance=0.25)))
    assert reason.outcome == outcome
    assert reason.needed == -0.125
    assert "where -0.1250 is tolerated" in reason.sentence


def test_the_tolerance_is_of_the_group_and_not_of_everybody():
    """A loss of .03 is within a tenth of SE's .4, and far beyond a tenth of JP's .1."""
    rival_values = np.r_[np.full(100, 0.1), np.full(100, 0.4)]
    those = groups("country", rival_values - 0.03, rival_values, JP=100, SE=100)
    reason = only(judged(those, SliceRule(tolerance=0.1)))
    assert reason.outcome == "fail"
    assert "of 2 groups JP" in reason.sentence


def test_only_members_count():
    """What the others have, even where it is missing, does not matter."""
    values = np.r_[np.full(100, 0.4), np.full(100, np.nan)]
    those = groups("item_part", values, values, tail=100)
    assert only(judged(those)).outcome == "pass"


# Too few to say.


def test_a_small_group_says_nothing_and_is_named():
    values = np.r_[np.zeros(29), np.full(171, 0.4)]
    reason = only(judged(groups("country", values, 0.4, JP=29, SE=171)))
    assert (reason.outcome, reason.word) == ("unproven", "not shown to lose")
    assert reason.sentence.startswith("of 1 groups SE (171 listeners) fares worst")
    assert reason.sentence.endswith("; too few to say: JP (29).")
    assert reason.too_small == ["JP"]
    # One listener more, and it fails.
    values = np.r_[np.zeros(30), np.full(170, 0.4)]
    assert only(judged(groups("country", values, 0.4, JP=30, SE=170))).outcome == "fail"


def test_a_slice_of_small_groups_only_is_not_shown_to_lose_and_says_why():
    sizes = {f"c{place}": 29 - place for place in range(6)}
    sizes[""] = 5
    reason = only(judged(groups("country", 0.0, 0.4, **sizes)))
    assert (reason.outcome, reason.value, reason.needed) == ("unproven", 0, 0)
    assert reason.too_small == ["c0", "c1", "c2", "c3", "c4", "c5", ""]
    assert reason.sentence == (
        "too few to say: c0 (29), c1 (28), c2 (27), c3 (26), c4 (25) and others."
    )


def test_the_smallest_size_is_the_policys():
    values = np.r_[np.zeros(40), np.full(160, 0.4)]
    those = groups("country", values, 0.4, JP=40, SE=160)
    assert only(judged(those, SliceRule(tolerance=0, at_least=41))).outcome == "unproven"


def test_in_a_group_without_listeners_nobody_loses():
    reason = only(judged(groups("item_part", 0.4, 0.4, new=0, head=200)))
    assert reason.outcome == "pass"
    assert reason.too_small == []
    assert "new" not in reason.sentence


@pytest.mark.parametrize(("doubt", "outcome"), [(0.05, "unproven"), (1, "undecided")])
def test_the_policy_may_ask_for_enough_listeners_in_every_group(doubt, outcome):
    rule = SliceRule(tolerance=0, doubt=doubt)
    assert only(judged(groups("country", 0.4, 0.4, JP=29, SE=171), rule)).outcome == outcome
    reason = only(judged(groups("country", 0.4, 0.4, JP=29), rule))
    assert reason.outcome == outcome
    why = "" if doubt < 1 else "; slices.doubt 1 leaves it undecided"
    assert reason.sentence == f"too few to say: JP (29){why}."
    assert only(judged(groups("country", 0.4, 0.4, SE=171), rule)).outcome == "pass"


# A loss that is not shown is no pass.

# Of 32 listeners 17 lose .5 and 15 win .5: the mean is -.03125, and of the sums of 32 random signs
# a share of .43 is -2 or less.
LOSS_BY_CHANCE = np.r_[np.full(17, -0.5), np.full(15, 0.5), np.zeros(SIZE - 32)]


@pytest.mark.parametrize(
    ("doubt", "outcome"), [(0, "unproven"), (0.05, "unproven"), (0.5, "undecided")]
)
def test_a_loss_that_may_be_chance_is_not_shown_and_the_policy_decides(doubt, outcome):
    those = groups("country", 0.5 + LOSS_BY_CHANCE, 0.5, JP=32, SE=168)
    reason = only(judged(those, SliceRule(tolerance=0, doubt=doubt)))
    assert reason.outcome == outcome
    assert reason.sentence.startswith(
        "of 2 groups JP (32 listeners) fares worst: ndcg@10 -0.0312, where -0.0000 is tolerated "
        "(p 0.85, corrected; 0.43 alone; "
    )


def test_a_loss_within_the_tolerance_passes():
    """.03125 of .5 is a sixteenth."""
    those = groups("country", 0.5 + LOSS_BY_CHANCE, 0.5, JP=32, SE=168)
    for tolerance, outcome in ((1 / 16, "pass"), (1 / 17, "unproven")):
        rule = SliceRule(tolerance=tolerance, doubt=0.05)
        assert only(judged(those, rule)).outcome == outcome


def test_decimals_do_not_make_a_loss_of_what_is_just_tolerated():
    """.9 * .7 is .63, but for its last bit, and for some listeners more than for others."""
    rival_values = np.resize([0.7, 0.3, 0.1], SIZE)
    those = groups("country", rival_values * 0.9, rival_values, JP=200)
    assert only(judged(those, SliceRule(tolerance=0.1))).outcome == "pass"


def test_listeners_whose_value_is_not_known_are_a_group():
    those = groups("country", 0.2, 0.4, **{"": 200})
    assert "not known (200 listeners)" in only(judged(those)).sentence


# Many groups are searched, so a p-value has to stand out among all of them.


def noisy(p_below: float) -> np.ndarray:
    """40 differences whose one-sided p-value is below `p_below`, but not below half of it."""
    for seed in range(10_000):
        values = np.random.default_rng(seed).normal(-0.1, 0.35, 40)
        if p_below / 2 < sign_flip(values[:, None], "less")[0] < p_below:
            return values
    raise AssertionError("no such values")


@pytest.fixture(scope="module")
def slightly():
    return noisy(0.03)


def test_harm_that_is_significant_alone_is_not_among_many(slightly):
    values = np.r_[0.5 + slightly, np.full(160, 0.5)]
    alone = groups("country", values, 0.5, JP=40)
    assert only(judged(alone)).outcome == "fail"
    many = groups("country", values, 0.5, JP=40, SE=40, NG=40, BR=40, FR=40)
    reason = only(judged(many))
    assert reason.outcome == "undecided", "alone, JP would fail"
    assert " alone; a difference of" in reason.sentence
    assert reason.sentence.endswith("; slices.doubt 0.05 leaves it undecided.")
    # The policy may leave that to chance.
    assert only(judged(many, SliceRule(tolerance=0, doubt=0.01))).outcome == "unproven"


def test_the_correction_is_over_the_groups_of_all_slices(slightly):
    values = np.r_[0.5 + slightly, np.full(160, 0.5)]
    country = groups("country", values, 0.5, JP=40)
    age = groups("age_band", values[::-1], 0.5, a=40, b=40, c=40, d=40)
    first, second = judged(country + age)
    assert "by country" in first.rule
    assert "by age band" in second.rule
    assert (first.outcome, second.outcome) == ("undecided", "pass")
    assert only(judged(country)).outcome == "fail"


def test_small_groups_do_not_weaken_the_search(slightly):
    values = np.r_[0.5 + slightly, np.full(160, 0.5)]
    sizes = {f"c{place}": 20 for place in range(8)}
    assert only(judged(groups("country", values, 0.5, JP=40, **sizes))).outcome == "fail"


def test_the_p_value_is_that_of_the_sign_flips_after_holm(slightly):
    values = np.r_[0.5 + slightly, np.full(160, 0.5)]
    those = groups("country", values, 0.5, JP=40, SE=160)
    columns = np.column_stack(
        [np.where(group.members, group.candidate_values - 0.5, 0) for group in those]
    )
    expected = holm(sign_flip(columns, "less"))[0]
    reason = only(judged(those))
    assert f"(p {expected:.2g}, corrected" in reason.sentence
    assert reason.detectable == pytest.approx(smallest_detectable_lift(slightly))


def test_clear_harm_is_found_among_many():
    values = np.r_[np.full(40, 0.1), np.full(160, 0.5)]
    first, second = judged(
        groups("country", values, 0.5, JP=40, SE=40, NG=40, BR=40, FR=40)
        + groups("age_band", 0.5, 0.5, a=100, b=100)
    )
    assert (first.outcome, second.outcome) == ("fail", "pass")
    assert "of 5 groups JP" in first.sentence
