"""What a verdict and a report call lists that stand in place of models, and bounds that can be."""

import numpy as np
import pandas as pd
import pytest

import setlist

PEOPLE = [f"u{number:03}" for number in range(120)]
TRUTH = pd.DataFrame({"user_id": PEOPLE, "item_id": [f"i{n % 10}" for n in range(120)]})
USERS = pd.DataFrame({"user_id": PEOPLE, "region": ["north", "south"] * 60})
LENIENT = setlist.Policy(guardrails=(), believable=None)


def shifted(places: int) -> pd.DataFrame:
    """Lists in which the relevant item comes after so many others."""
    return pd.DataFrame(
        [
            (user, f"i{(number - places + rank) % 10}", rank + 1)
            for number, user in enumerate(PEOPLE)
            for rank in range(5)
        ],
        columns=["user_id", "item_id", "rank"],
    )


def evaluated(**shifts: int) -> setlist.ListEvaluation:
    lists = {label: shifted(places) for label, places in shifts.items()}
    return setlist.evaluate(lists, TRUTH, users=USERS)


def sentence(verdict: setlist.Verdict, rule: str) -> str:
    (reason,) = [reason for reason in verdict.reasons if reason.rule == rule]
    return reason.sentence


def test_lists_are_no_heuristic_in_a_verdict():
    verdict = evaluated(mine=0, theirs=2, others=3).judge(LENIENT)
    assert verdict.sentence.startswith("The candidate beats the lists others, theirs, and breaks")
    assert ", the lists theirs 0." in sentence(verdict, "better than the lists theirs")
    assert "no group by region worse off than with the lists theirs" in [
        reason.rule for reason in verdict.reasons
    ]
    words = verdict.model_dump_json(include={"sentence", "reasons", "not_asked"})
    assert "heuristic" not in words


def test_lists_and_heuristics_are_both_named():
    history = pd.DataFrame({"user_id": ["zoe"] * 2 + ["eve"], "item_id": ["i1", "i2", "i2"]})
    verdict = setlist.evaluate(
        {"mine": shifted(0), "theirs": shifted(2)},
        TRUTH,
        history=history,
        heuristics="most_popular",
    ).judge(LENIENT)
    assert verdict.sentence.startswith(
        "The candidate beats the lists theirs and every heuristic, and breaks"
    )


def test_the_report_calls_them_lists(tmp_path):
    page = evaluated(mine=0, theirs=2).report(tmp_path / "report.html", LENIENT).read_text("utf-8")
    assert "the best of the others in the group" in page
    assert "best heuristic" not in page
    assert "<small>lists" in page


def test_nothing_to_beat_is_told_of_lists():
    none = shifted(0).assign(item_id="elsewhere", rank=np.tile(range(5), 120))
    none.loc[0, "item_id"] = "i3"  # known, and no hit
    both = setlist.evaluate({"mine": shifted(0), "theirs": none}, TRUTH)
    with pytest.raises(setlist.EvaluationError, match="no lists to compare with have a") as fault:
        both.judge(LENIENT)
    assert "most played items" in fault.value.remedy


def test_a_bound_that_no_value_can_pass_is_not_given_as_one():
    rule = "not too good to be true"
    close = evaluated(mine=0, theirs=1).judge(setlist.Policy(guardrails=()))
    words = sentence(close, rule)
    assert words == (
        "ndcg@10 1.0000; 3 times the lists theirs is more than any value of it, so none is too "
        "good."
    )
    far = evaluated(mine=3, theirs=4).judge(setlist.Policy(guardrails=(), believable=1.01))
    assert "is believed (1.01 times the lists theirs)" in sentence(far, rule)
    assert "or the lists theirs are weak: compare with heuristics" in sentence(far, rule)
    assert "raise `believable` in the policy" in sentence(far, rule)
