"""The replay: by hand over written evaluations, and for real over two cuts of the sample."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import evaluations as handmade
from tests.evaluations import evaluated

from setlist.errors import SetlistError, SettingsError
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import Evaluation
from setlist.models.training_record import read_training_records
from setlist_pipelines.laptop.backtest import Backtest, Course, Shipped, backtest
from setlist_pipelines.settings.file import SAMPLE, read_settings

LISTENERS = 40
POLICY = Policy(over_heuristics=0.25, under_live=0.25, believable=None, guardrails=(), slices=None)


def evaluation(folder: Path, candidate: float, rule: float, **rivals: float) -> Evaluation:
    """Models whose value is the same for every listener; `rivals` by name, `-` written `_`."""
    values = {"candidate": candidate, "most_popular": rule}
    values |= {name.replace("_", "-"): value for name, value in rivals.items()}
    roles = {"candidate": "candidate", "most_popular": "heuristic"}
    models = [
        evaluated(label, role=roles.get(label, "live"), content=f"{label} in {folder.name}")
        for label in values
    ]
    written = handmade.evaluation(models, LISTENERS)
    folder.mkdir()
    (folder / "evaluation.json").write_text(written.model_dump_json())
    ids = [f"u{number}" for number in range(LISTENERS)]
    users = pd.DataFrame({"user_id": ids} | dict.fromkeys(written.slices, "a"))
    users.to_parquet(folder / "users.parquet")
    for label, value in values.items():
        (folder / label).mkdir()
        table = pd.DataFrame({"ndcg@10": np.full(LISTENERS, value)})
        table.to_parquet(folder / label / "per_user.parquet")
    return written


def made(cut: int) -> dict[str, Path]:
    return {name: Path(f"made-{cut}") / name for name in ("candidate", "most_popular")}


def test_a_course_carries_its_live_model_and_its_anchor_on(tmp_path):
    course = Course("policy", POLICY)
    course.step(1, tmp_path / "1", evaluation(tmp_path / "1", 0.75, 0.25), made(1))
    assert course.live == Shipped(1, "candidate", Path("made-1/candidate"))
    assert course.anchor is None
    # Not worse, and not better either: it goes live, and the first stays the anchor.
    second = evaluation(tmp_path / "2", 0.7, 0.25, candidate_1=0.75)
    course.step(2, tmp_path / "2", second, made(2))
    assert (course.live and course.live.name) == "candidate-2"
    assert (course.anchor and course.anchor.name) == "candidate-1"
    # .53 is within a quarter of the live .7, and not of the anchor's .75.
    third = evaluation(tmp_path / "3", 0.53, 0.25, candidate_1=0.75, candidate_2=0.7)
    course.step(3, tmp_path / "3", third, made(3))
    assert (course.live and course.live.name) == "candidate-2"
    assert [entry.ships for entry in course.entries] == ["candidate", "candidate", ""]
    verdict = course.entries[-1].verdict
    assert verdict is not None
    assert [one.rule for one in verdict.reasons if one.outcome == "fail"] == [
        "not worse than candidate-1"
    ]
    # Proven better than both: it is its own anchor.
    fourth = evaluation(tmp_path / "4", 0.9, 0.25, candidate_1=0.75, candidate_2=0.7)
    course.step(4, tmp_path / "4", fourth, made(4))
    assert (course.live and course.live.name, course.anchor) == ("candidate-4", None)


def test_rivals_of_other_courses_are_not_in_the_way(tmp_path):
    course = Course("policy", POLICY)
    course.step(1, tmp_path / "1", evaluation(tmp_path / "1", 0.1, 0.25), made(1))
    assert (course.live and course.live.name) == "most_popular-1"  # bootstrap
    second = evaluation(
        tmp_path / "2", 0.75, 0.25, candidate_1=0.1
    )  # another course shipped the first candidate
    models = [
        *second.models,
        second.model("most_popular").model_copy(
            update={"label": "most_popular-1", "role": "anchor", "revision": 1, "content": "old"}
        ),
    ]
    (tmp_path / "2" / "most_popular-1").mkdir()
    table = pd.DataFrame({"ndcg@10": np.full(LISTENERS, 0.2)})
    table.to_parquet(tmp_path / "2" / "most_popular-1" / "per_user.parquet")
    second = second.model_copy(update={"models": models})
    course.step(2, tmp_path / "2", second, made(2))
    assert (course.live and course.live.name) == "candidate-2"
    verdict = course.entries[-1].verdict
    assert verdict is not None
    assert "not worse than most_popular-1" in {reason.rule for reason in verdict.reasons}
    assert "not worse than candidate-1" not in {reason.rule for reason in verdict.reasons}


def test_courses_without_a_policy(tmp_path):
    everything, once = Course("everything"), Course("once", once=True)
    for cut in (1, 2):
        found = evaluation(tmp_path / str(cut), 0.1, 0.25)
        for course in (everything, once):
            course.step(cut, tmp_path / str(cut), found, made(cut))
    assert [entry.live for entry in everything.entries] == ["candidate-1", "candidate-2"]
    assert [entry.live for entry in once.entries] == ["candidate-1", "candidate-1"]


def test_a_cut_that_does_not_move_is_refused(tmp_path):
    settings = read_settings(SAMPLE, ["window.split_at=2026-04-01"])
    with pytest.raises(SetlistError, match=r"window.split_at: a backtest moves the cut"):
        backtest(settings, {}, 2, None, tmp_path / "work", lambda *_: None)


@pytest.mark.slow
def test_a_folder_of_somebody_else_is_not_emptied(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="which no backtest has made"):
        backtest(read_settings(SAMPLE), {}, 2, 7, tmp_path, lambda *_: None)
    assert (tmp_path / "thesis.tex").exists()


def test_a_cut_before_all_data_says_which(tmp_path):
    settings = read_settings(SAMPLE, ["as_of=2026-02-01"])
    with pytest.raises(SetlistError, match=r"as of 2025-12-..: window: no event"):
        backtest(settings, {}, 2, 40, tmp_path / "work", lambda *_: None)


@pytest.mark.slow
def test_two_cuts_of_the_sample(tmp_path):
    """A policy that asks for nothing, and one that nothing can meet, over the same work."""
    strict = tmp_path / "strict.yaml"
    strict.write_text("over_heuristics: 9\nbootstrap: none\n")
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(
        "{over_heuristics: 0, under_live: 0.9, guardrails: [], slices: null, believable: null}\n"
    )
    changes = ["model.epochs=2", "model.dimension=8", "heuristics.fit=[most_popular]"]
    changes += ["candidates={barely: {dimension: 1}, more: {}}"]
    command = [sys.executable, "-m", "setlist_pipelines", "backtest", "--cuts", "2"]
    command += ["--workdir", str(tmp_path / "work")]
    for change in changes:
        command += ["--set", change]
    for policy in (strict, lenient):
        command += ["--policy", str(policy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = Backtest.model_validate_json((tmp_path / "work" / "backtest.json").read_bytes())
    assert [cut.as_of[:10] for cut in found.cuts] == ["2026-04-17", "2026-05-01"]
    assert list(found.courses) == ["strict", "lenient", "ship everything", "ship once"]
    assert [entry.ships for entry in found.courses["strict"]] == ["", ""]
    assert next(entry.ships for entry in found.courses["lenient"]) == "candidate"
    first, last = found.courses["ship everything"]
    # What listeners got until the second cut is what the first candidate was worth there.
    assert first.got == found.cuts[1].values["candidate-1"]
    assert last.got is None
    # The second cut's own candidate has learnt more, and both were asked for the same listeners.
    assert found.cuts[1].values["candidate"] != found.cuts[1].values["candidate-1"]
    evaluated = json.loads((tmp_path / "work/cut-2/evaluations/evaluation.json").read_text())
    window = next(
        one["training_window"] for one in evaluated["models"] if one["label"] == "candidate-1"
    )
    assert window["end"].startswith("2026-04-03")  # 14 days before the first cut's as_of
    for cut in ("cut-1", "cut-2"):
        compared = read_training_records(tmp_path / "work" / cut / "training")
        assert [one.label for one in compared] == ["barely", "more"]
        assert compared[0].ndcg < compared[1].ndcg
        left = tmp_path / "work" / cut
        assert (left / "candidate" / "model.json").is_file()
        assert [one.name for one in (left / "candidates").iterdir()] == ["barely"], "more was taken"
    assert "what listeners got" in done.stdout
    assert "better than most_popular" in done.stdout
