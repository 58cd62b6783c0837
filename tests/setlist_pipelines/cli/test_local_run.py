"""`setlist runs show` of a run without a cluster: by its folder, by its store, or by both."""

import json

import pytest
from tests.setlist_pipelines.cli.documented import documented

from setlist.data.verdict import DataVerdict
from setlist.evaluation.verdict import Verdict
from setlist.runs.announcement import announce, announce_skew
from setlist_pipelines.laptop.run_state import RunState
from setlist_pipelines.settings.file import SAMPLE, read_settings

ELSEWHERE = "retraining-20260501-051234-1a2b3c4d"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder in which nobody's runs and no store of anybody are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SETLIST_STORE", raising=False)
    return tmp_path


@pytest.fixture
def refused(place):
    """A store with a run that was refused."""
    page, verdict = place / "page", place / "verdict"
    page.write_text("<p>the page")
    Verdict(
        decision="reject", mode="auto", primary="ndcg@10", sentence="It is worse.", reasons=[],
        evaluation_digest="0" * 64, policy_digest="0" * 64, head=None,
    ).write(verdict)  # fmt: skip
    announce("store", "home", ELSEWHERE, verdict, None, report=page)
    return str(place / "store")


def test_a_run_of_another_machine_is_shown_by_its_store(setlist, refused):
    done = setlist("runs", "show", ELSEWHERE, "--store", refused)
    report = f"{refused}/home/runs/{ELSEWHERE}.report.html"
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"run      {ELSEWHERE}",
        "state    not on this machine",
        f"model    home in {refused}",
        "outcome  home: candidate: reject, live: nothing changes. It is worse.",
        f"report   {report}",
    ]
    answer = setlist("runs", "show", ELSEWHERE, "--store", refused, "--json")
    shown = json.loads(answer.out)
    assert (shown["outcome"], shown["revision"], shown["report"]) == ("refused", None, report)
    assert shown.keys() <= documented()["runs show"]


def test_a_run_of_this_machine_says_its_store_itself(setlist, place, refused):
    state = RunState.create(
        place / ".setlist", "retraining", "", read_settings(SAMPLE, [f"store={refused}"])
    )
    state.close()
    run_id = state.identity.run_id
    assert state.root.name == run_id
    done = setlist("runs", "show", run_id)
    assert f"model    home in {refused}" in done.out
    assert "state    not finished" in done.out
    assert "outcome  its store has no record of it" in done.out
    assert "report   none is kept" in done.out
    state.complete()
    (state.root / "report.html").touch()
    announce(refused, "home", run_id, None, None)
    done = setlist("runs", "show", run_id)
    assert "state    finished" in done.out
    assert "outcome  home: nothing new. " in done.out
    assert f"report   {state.root / 'report.html'}" in done.out


def test_a_monitoring_run_has_an_id_of_the_same_form(setlist, place):
    verdict = place / "verdict"
    DataVerdict.of([]).write(verdict)
    run_id = ELSEWHERE.replace("retraining", "monitoring")
    announce_skew(str(place / "store"), "home", run_id, verdict)
    done = setlist("runs", "show", run_id, "--store", place / "store")
    assert "outcome  home: as trained. " in done.out, done.err


def test_a_run_that_nobody_knows_is_one_sentence(setlist, refused):
    done = setlist("runs", "show", ELSEWHERE[:-1], "--store", refused)
    assert (done.code, done.out) == (1, "")
    assert f"there is no record of run {ELSEWHERE[:-1]} of home" in done.err
