"""`setlist runs show` of a run without a cluster: by its folder, by its store, or by both."""

import json

import pytest
from tests.setlist_pipelines.cli.documented import documented
from tests.setlist_pipelines.cli.test_models import model

from setlist.data.verdict import DataVerdict
from setlist.evaluation.verdict import Verdict
from setlist.models.contract import folder_digest
from setlist.runs.announcement import announce, announce_skew
from setlist.runs.record import RunRecord
from setlist.store.model_store import open_store
from setlist_pipelines.laptop.run_outputs import FINAL
from setlist_pipelines.laptop.run_state import STATE_FOLDER, RunState
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
        "state    its folder is not in .setlist; --workdir names another place",
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
    go_on = f"setlist run --resume .setlist/{run_id}"
    ended = f"ended before it was finished (steps finished: 0); go on with `{go_on}`"
    assert f"state    {ended}\n" in done.out
    assert "outcome  its store has no record of it" in done.out
    assert "report   none is kept" in done.out
    state.complete()
    (state.root / "report.html").touch()
    announce(refused, "home", run_id, None, None)
    done = setlist("runs", "show", run_id)
    assert "state    succeeded\n" in done.out
    assert "outcome  home: nothing new. " in done.out
    assert f"report   {state.root / 'report.html'}" in done.out


@pytest.fixture
def begun(place):
    """A run of this machine that this process works on, with two steps finished."""
    state = RunState.create(
        place / ".setlist", "retraining", "", read_settings(SAMPLE, [f"store={place}/store"])
    )
    for step in ("plan", "curate", "announce-failure"):
        (state.root / STATE_FOLDER / "finished" / step).touch()
    (state.root / STATE_FOLDER / "finished" / "train.partial").touch()
    return state


def test_a_run_that_goes_on_says_in_which_step(setlist, begun):
    run_id = begun.identity.run_id
    (begun.root / STATE_FOLDER / "tmp" / "train").mkdir(parents=True)
    shown = json.loads(setlist("runs", "show", run_id, "--json").out)
    assert shown["state"] == "running"
    assert shown["end"] == "running, in step train (steps finished: 2)"
    out = setlist("runs", "show", run_id).out
    assert "outcome  none yet\n" in out
    assert "--resume" not in out
    begun.close()  # as the kernel does at any end of the process
    shown = json.loads(setlist("runs", "show", run_id, "--json").out)
    assert shown["state"] == "ended before it was finished"
    assert shown["end"].endswith(f"`setlist run --resume .setlist/{run_id}`")
    assert shown.keys() <= documented()["runs show"]


@pytest.mark.parametrize("words", [*FINAL, ""])
def test_a_run_that_failed_has_failed_and_is_taken_up_where_that_helps(setlist, begun, words):
    begun.close()
    run_id = begun.identity.run_id
    fault = f"HEAD moved {words}" if words else "train: the memory is full"
    store = begun.settings().store
    RunRecord.of_failure("home", run_id, fault).write(store)
    done = setlist("runs", "show", run_id)
    assert "state    failed (steps finished: 2); " in done.out
    assert "not finished" not in done.out
    assert ("--resume" in done.out) != bool(words)
    assert ("start a new one with `setlist run`" in done.out) == bool(words)
    again = RunState.reopen(begun.root)
    done = setlist("runs", "show", run_id)
    again.close()
    assert "state    running (steps finished: 2)\n" in done.out
    assert "outcome  none yet; an earlier attempt: home: failed. " in done.out


def test_a_failed_run_has_the_report_of_the_revision_that_it_staged(setlist, begun):
    begun.close()
    run_id, store = begun.identity.run_id, begun.settings().store
    folder = model(begun.root / "model", "candidate", "2026-02-01")
    open_store(store).stage(
        "home", folder, run_id=run_id, digest=folder_digest(folder), training_window={},
        metadata={}, report=lambda number: b"<p>the page",
    )  # fmt: skip
    RunRecord.of_failure("home", run_id, "push: it is full").write(store)
    report = f"{store}/home/revisions/1.report.html"
    done = setlist("runs", "show", run_id)
    assert f"report   {report} (of revision 1, which it staged before it failed)\n" in done.out
    assert json.loads(setlist("runs", "show", run_id, "--json").out)["report"] == report


def test_where_the_lock_cannot_be_seen_nothing_is_guessed(setlist, begun):
    begun.close()
    lock = begun.root / STATE_FOLDER / "lock"
    lock.unlink()
    lock.symlink_to(begun.root / "elsewhere")
    done = setlist("runs", "show", begun.identity.run_id)
    assert (done.code, done.out) == (1, "")
    assert f"{lock.relative_to(begun.root.parents[1])} cannot be read" in done.err
    assert "ask as the account that began the run" in done.err


def test_the_path_of_a_run_is_as_good_as_its_id(setlist, begun):
    begun.close()
    done = setlist("runs", "show", f".setlist/{begun.identity.run_id}/")
    assert f"run      {begun.identity.run_id}\n" in done.out, done.err


def test_without_an_id_the_latest_run_here_is_shown(setlist, place, begun):
    begun.close()
    for earlier in ("retraining-20200101-000000-zzzz", "monitoring-20200101-000000-zzzz"):
        (place / ".setlist" / earlier).mkdir()
    done = setlist("runs", "show")
    assert f"run      {begun.identity.run_id}\n" in done.out, done.err
    later = "monitoring-22000101-000000-aaaa"
    (place / ".setlist" / later).mkdir()
    assert f"run      {later}\n" in setlist("runs", "show").out
    done = setlist("runs", "show", "--workdir", "elsewhere")
    assert (done.code, done.out) == (1, "")
    assert "there is no run in elsewhere" in done.err


def test_without_a_cluster_the_runs_of_this_machine_are_listed(setlist, place, begun, monkeypatch):
    for variable in ("KF_PIPELINES_ENDPOINT", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(variable, raising=False)
    begun.close()
    (place / ".setlist" / ELSEWHERE).mkdir()
    done = setlist("runs", "list", "--json")
    first, second = json.loads(done.out)["runs"]
    assert (first["id"], first["state"]) == (begun.identity.run_id, "unfinished")
    assert first["run"] == "retraining"
    assert (second["id"], second["created"]) == (ELSEWHERE, "2026-05-01 05:12:34")
    assert ELSEWHERE not in setlist("runs", "list", "--limit", 1).out
    done = setlist("runs", "list", "--workdir", place / "elsewhere")
    assert "no host of Kubeflow Pipelines is named" in done.err


def test_without_a_cluster_a_wrong_id_is_said_before_the_host(setlist, place, monkeypatch):
    for variable in ("KF_PIPELINES_ENDPOINT", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(variable, raising=False)
    (place / "store").mkdir()
    done = setlist("runs", "compare", "retraining-2026", "other")
    assert (done.code, done.out) == (1, "")
    first, _, second = done.err.partition("no host of Kubeflow Pipelines is named")
    assert "retraining-2026" in first
    assert "--host" in second
    done = setlist("runs", "show", "retraining-2026", "--store", place / "store")
    assert (done.code, done.out) == (1, "")
    assert "there is no run retraining-2026 in .setlist" in done.err
    assert "without an id, the latest run here is shown" in done.err
    assert "--host" in done.err
    done = setlist("runs", "show", "typo_")
    assert "typo_ is not the id of a run" in done.err
    done = setlist("runs", "compare", ELSEWHERE, ELSEWHERE)
    assert f"{ELSEWHERE} is a run of a machine without a cluster" in done.err


def test_a_run_of_a_cluster_is_shown_by_its_store_without_a_host(setlist, place, monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    run_id, store = "5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11", str(place / "store")
    announce(store, "home", run_id, None, None)
    done = setlist("runs", "show", run_id, "--store", store)
    assert "outcome  home: nothing new. " in done.out, done.err


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
    assert f"there is no run {ELSEWHERE[:-1]} in .setlist, and store " in done.err
