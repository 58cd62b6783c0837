"""A run that is killed is taken up: what it had finished is not done again, and it pushes once."""

import signal

import pytest
from tests.setlist.store.conftest import write_model
from tests.setlist_pipelines.laptop.small_run import (
    begin,
    finish,
    logs_in,
    processes_in,
    shown,
    write_settings,
)
from tests.waiting import until

from setlist.runs.record import RunRecord
from setlist.store.model_store import open_store
from setlist_pipelines.laptop.run_state import RunState
from setlist_pipelines.laptop.supervisor import FINISHED_BEFORE
from setlist_pipelines.settings.file import SAMPLE, read_settings


def kill_in(folder, step: str, *arguments) -> None:
    """Start `setlist`, and kill it as the kernel does, in the middle of a step."""
    before = {log: log.read_text().count(f"Executing task '{step}'") for log in logs_in(folder)}
    run = begin(folder, *arguments)
    until(
        lambda: any(
            log.read_text().count(f"Executing task '{step}'") > before.get(log, 0)
            for log in logs_in(folder)
        )
    )
    run.send_signal(signal.SIGKILL)
    run.wait()
    until(lambda: not processes_in(folder))


@pytest.mark.slow
def test_a_run_that_is_killed_twice_goes_on_and_pushes_once(tmp_path):
    settings = write_settings(tmp_path)
    kill_in(tmp_path, "train", "run", "--config", settings)
    (root,) = tmp_path.glob(".setlist/retraining-*")
    settings.unlink()  # the run has its own
    kill_in(tmp_path, "announce", "run", "--resume")

    assert finish(tmp_path, "run", "--resume")[0] == 0, shown(tmp_path)
    assert list(tmp_path.glob(".setlist/retraining-*")) == [root]
    (log,) = logs_in(tmp_path)
    text = log.read_text()
    assert text.count("Executing task 'push'") == 2
    # Plan, news, curation, live model, check and transformation; the same, and training to push.
    assert text.count(FINISHED_BEFORE) >= 6 + 12
    store = open_store(str(tmp_path / ".setlist" / "store"))
    assert store.revisions("home") == [1]
    (record,) = RunRecord.all(str(tmp_path / ".setlist" / "store"), "home")
    assert (record.outcome, record.revision) == ("promoted", 1)
    assert root.name == record.run_id
    assert (root / "report.html").is_file()

    assert finish(tmp_path, "run", "--resume", root)[0] == 1
    assert "is finished; start a new run" in shown(tmp_path)
    assert finish(tmp_path, "run", "--resume")[0] == 1
    assert "holds no run that was not finished" in shown(tmp_path)


@pytest.mark.slow
def test_a_run_whose_live_model_is_another_by_now_is_not_to_be_taken_up(tmp_path):
    kill_in(tmp_path, "train", "run", "--config", write_settings(tmp_path))
    store = open_store(str(tmp_path / ".setlist" / "store"))
    some = {"digest": "d", "training_window": {}, "metadata": {}}
    other = store.stage(
        "home", write_model(tmp_path / "other", {"a": b"1"}), run_id="other", **some
    )
    store.promote("home", other, expected=None)
    assert finish(tmp_path, "run", "--resume")[0] == 1
    assert "since this run was planned; nothing was promoted, run again" in shown(tmp_path)
    assert "To go on" not in shown(tmp_path)
    assert store.head("home").live == other


@pytest.mark.slow
def test_a_run_that_the_gate_for_data_stopped_is_not_to_be_taken_up(tmp_path):
    settings = write_settings(tmp_path)
    stop = "policy.data.rejected={warn: 0, stop: 0}"
    assert finish(tmp_path, "run", "--config", settings, "--set", stop)[0] == 1
    assert "the gate for data stops the run" in shown(tmp_path)
    assert "Then start a new run. The log is" in shown(tmp_path)
    assert "--resume" not in shown(tmp_path)
    assert ". (step" not in shown(tmp_path)
    assert "start a new one with `setlist run`" in finish(tmp_path, "runs", "show")[1]


def test_two_processes_do_not_work_on_one_run(tmp_path):
    state = RunState.create(tmp_path, "retraining", "", read_settings(SAMPLE))
    code, screen = finish(tmp_path, "run", "--resume", state.root)
    assert code == 1
    assert "is still running: another process works on it" in screen
    state.close()


def test_a_run_goes_on_with_its_own_settings(tmp_path):
    RunState.create(tmp_path / ".setlist", "retraining", "", read_settings(SAMPLE)).close()
    code, screen = finish(tmp_path, "run", "--resume", "--set", "as_of=2026-04-01")
    assert code == 1
    assert "--resume goes on with the settings of the run" in screen


def test_what_is_no_run_is_not_taken_up(tmp_path):
    (tmp_path / "retraining-1").mkdir()
    code, screen = finish(tmp_path, "run", "--resume", tmp_path / "retraining-1")
    assert code == 1
    assert "is no run that can be taken up" in screen


def test_a_link_is_not_taken_up(tmp_path):
    state = RunState.create(tmp_path / "other", "retraining", "", read_settings(SAMPLE))
    (state.root / ".run" / "tmp").mkdir()
    state.close()
    root = tmp_path / "retraining-1"
    root.mkdir()
    (root / ".run").symlink_to(state.root / ".run")
    code, screen = finish(tmp_path, "run", "--resume", root)
    assert code == 1
    assert "is a link, or holds one" in screen
    assert (state.root / ".run" / "tmp").is_dir()
