"""The gate over evaluations that exist already; the rules are tested beside the gate."""

import pytest

from setlist.api import judge
from setlist.errors import SetlistError
from setlist.evaluation.policy import Policy
from setlist.evaluation.verdict import SeenHead

LENIENT = Policy(guardrails=(), believable=None)
STRICT = LENIENT.model_copy(update={"over_heuristics": 0.9})


def test_another_policy_may_have_another_verdict(tmp_path, write_evaluation):
    folder = write_evaluation(tmp_path, {"candidate": 0.75, "most_popular": 0.5})
    assert judge(folder, LENIENT).ships == "candidate"
    strict = judge(folder, STRICT)
    assert (strict.decision, strict.live) == ("reject", "heuristic")
    assert strict.ships == "most_popular", "nothing is live in this evaluation"
    assert strict.head is None


def test_the_folder_of_a_run_holds_an_evaluation(tmp_path, write_evaluation):
    values = {"candidate": 0.75, "most_popular": 0.5}
    inner = write_evaluation(tmp_path / "evaluate" / "evaluations", values)
    assert judge(tmp_path, LENIENT) == judge(inner, LENIENT)


def test_what_was_live_is_taken_from_the_evaluation(tmp_path, write_evaluation):
    values = {"candidate": 0.5, "live-3": 0.75, "anchor-2": 0.25, "most_popular": 0.25}
    verdict = judge(write_evaluation(tmp_path, values), LENIENT)
    assert verdict.head == SeenHead(live=3, version="", anchor=2)
    assert verdict.decision == "reject"
    failed = [reason.rule for reason in verdict.reasons if reason.outcome == "fail"]
    assert failed == [
        "not worse than live-3",
        "no group by history length worse off than with live-3",
    ]
    tolerant = LENIENT.model_copy(update={"under_live": 0.5, "slices": None})
    verdict = judge(tmp_path, tolerant)
    assert (verdict.ships, verdict.anchor) == ("candidate", None)


def test_a_policy_without_an_anchor_judges_an_evaluation_with_one(tmp_path, write_evaluation):
    values = {"candidate": 0.5, "live-3": 0.5, "anchor-2": 0.9, "most_popular": 0.25}
    folder = write_evaluation(tmp_path, values)
    assert judge(folder, LENIENT).decision == "reject"
    without = LENIENT.model_copy(update={"anchor": False})
    assert judge(folder, without).ships == "candidate"


def test_without_an_evaluation_there_is_nothing_to_judge(tmp_path):
    with pytest.raises(SetlistError, match=r"evaluation.json is missing"):
        judge(tmp_path, LENIENT)


def test_a_policy_that_reads_what_was_not_evaluated(tmp_path, write_evaluation):
    folder = write_evaluation(tmp_path, {"candidate": 0.75, "most_popular": 0.5})
    with pytest.raises(SetlistError, match=r"coverage@10 and .* are not evaluated"):
        judge(folder, Policy())


def test_nothing_is_written(tmp_path, write_evaluation):
    folder = write_evaluation(tmp_path, {"candidate": 0.75, "most_popular": 0.5})
    before = sorted(tmp_path.rglob("*"))
    judge(folder, LENIENT)
    assert sorted(tmp_path.rglob("*")) == before
