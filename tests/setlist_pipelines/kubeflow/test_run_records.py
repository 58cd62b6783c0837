"""What a run wrote into its store is what the commands show, over recorded runs."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from tests.conftest import BUCKET
from tests.setlist_pipelines.kubeflow.recordings import replayed

from setlist.runs.announcement import announce_failure
from setlist.runs.record import RunRecord
from setlist.runs.run_pods import Pod, RunPods
from setlist.runs.step_failure import StepFailure
from setlist_pipelines.cli.runs import show
from setlist_pipelines.kubeflow.run_records import read_story

MEMORY, BY_HAND = "run_failed_out_of_memory_failed", "run_ended_by_hand_or_failed_failed"


@pytest.fixture
def store(gcs_bucket, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_bucket)
    return f"gs://{BUCKET}/{uuid4().hex}"


@pytest.fixture
def shown(store, capsys):
    """What `setlist runs show` prints of a recorded run whose store is this test's."""

    def run(name):
        with replayed(name) as replay:
            replay.run["runtime_config"]["parameters"]["store"] = store
            capsys.readouterr()
            show(replay.run["run_id"], replay.url, "", None, "")
        return " ".join(capsys.readouterr().out.split())

    return run


def failure(reason, attempt=1):
    return StepFailure(
        task="train", title="Train wide", attempt=attempt, reason=reason, remedy="mend it",
        ended="2026-11-27T23:29:06Z",
    )  # fmt: skip


def run_id(name):
    with replayed(name) as replay:
        return replay.run["run_id"]


def test_a_run_that_goes_on_shows_what_its_steps_have_written(store, shown):
    failure("no rows").write(store, "home", run_id(MEMORY))
    printed = shown(MEMORY)
    assert "failed Train wide: no rows; mend it." in printed
    assert "outcome no record yet" in printed
    assert "state FAILED: Train wide: no rows; mend it." in printed, "before any record"


def test_a_recorded_failure_is_the_reason_and_each_attempt_is_shown(store, shown):
    for reason in ("no rows", "no columns"):
        failure(reason).write(store, "home", run_id(MEMORY))
    announce_failure(store, "home", run_id(MEMORY), "")
    printed = shown(MEMORY)
    assert "state FAILED: Train wide, attempt 2: no columns; mend it." in printed
    assert "outcome home: failed. Train wide, attempt 2: no columns; mend it." in printed
    assert "failed Train wide: no rows; mend it." in printed


def test_the_report_of_a_run_is_named_where_the_store_keeps_it(store, shown):
    record = RunRecord.of_failure("home", run_id(MEMORY), "")
    record.model_copy(update={"report_sha256": "0" * 64}).write(store)
    place = f"{store.removeprefix('gs://')}/home/runs/{run_id(MEMORY)}.report.html"
    assert f"report https://storage.cloud.google.com/{place}" in shown(MEMORY)


@pytest.mark.parametrize(
    ("name", "pods", "sentence"),
    [
        (
            MEMORY,
            {"reason": "OOMKilled"},
            "Train wide: it needed more than its memory limit of 8Gi and was killed; raise "
            "platform.steps.train.memory_limit.",
        ),
        (BY_HAND, {"ended_by_hand": True}, "It was ended by hand (Train wide)."),
    ],
)
def test_what_died_without_a_word_is_told_by_the_exit_handler(
    store, shown, monkeypatch, name, pods, sentence
):
    killed = Pod(
        task="train", title="Train wide", started=datetime(2026, 11, 27, tzinfo=UTC),
        succeeded=False, failed=True, reason=pods.get("reason", "Error"), message="", exit_code=1,
        memory_limit="8Gi", node="",
    )  # fmt: skip
    cluster = RunPods((killed,), ended_by_hand=pods.get("ended_by_hand", False))
    monkeypatch.setenv("SETLIST_NAMESPACE", "kubeflow")
    monkeypatch.setattr("setlist.runs.announcement.read_run_pods", lambda *_: cluster)
    announce_failure(store, "home", run_id(name), "")
    assert f"state FAILED: {sentence}" in shown(name)


def test_a_run_that_took_the_settings_of_its_version_has_a_story(store, capsys):
    """As the page, or the plain client without arguments, starts it."""
    failure("no rows").write(store, "home", run_id(MEMORY))
    with replayed(MEMORY) as replay:
        replay.run["runtime_config"] = {}
        spec = replay.version["pipeline_spec"]
        spec = spec.get("pipeline_spec", spec)
        spec["root"]["inputDefinitions"] = {
            "parameters": {"store": {"defaultValue": store}, "name": {"defaultValue": "home"}}
        }
        show(replay.run["run_id"], replay.url, "", None, "")
    assert "failed   Train wide: no rows; mend it." in capsys.readouterr().out


def test_a_store_that_cannot_be_read_is_a_problem_in_words(store):
    run = {"run_id": "r", "runtime_config": {"parameters": {"store": store, "name": "no name!"}}}
    assert read_story(run).problem.startswith("not known: ")
    assert read_story({"run_id": "r"}).problem == "not known: the run names no store"
    run["runtime_config"]["parameters"]["name"] = "home"
    assert read_story(run).problem == "no record yet"
