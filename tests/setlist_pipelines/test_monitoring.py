"""The monitoring pipeline: as Kubeflow sees it, and as it runs on this machine."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from tests.cases.data_faults import TODAY, clean_tables
from tests.cases.serving_faults import LENGTH, live_model_profile, right_requests

from setlist.models.contract import ModelInfo, folder_digest, write_info
from setlist.models.profile import PROFILE
from setlist.runs.record import MonitoringRecord
from setlist.serving.request_log import RequestLog
from setlist.store.model_store import open_store
from setlist_pipelines.kubeflow.compilation import compile_pipeline
from setlist_pipelines.settings.file import SAMPLE, read_settings
from setlist_pipelines.settings.platform import MONITORING_STEPS

MANIFEST = Path(__file__).parents[2] / "manifests" / "monitoring.yaml"
CLUSTER = ["store=gs://your-bucket/setlist", "monitoring.log=gs://your-bucket/served"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "monitoring.yaml"
    compile_pipeline(read_settings(SAMPLE, CLUSTER), path, pipeline="monitoring")
    return path


@pytest.fixture(scope="module")
def spec(compiled):
    return next(yaml.safe_load_all(compiled.read_text()))


def test_the_committed_manifest_is_what_the_code_compiles_to(compiled):
    assert MANIFEST.read_bytes() == compiled.read_bytes(), "run `make compile` and commit"


def test_every_step_runs_in_the_one_image_and_has_its_needs(spec, compiled):
    executors = spec["deploymentSpec"]["executors"]
    assert sorted(executors) == sorted(f"exec-{step}" for step in MONITORING_STEPS)
    assert {one["container"]["image"] for one in executors.values()} == {"setlist:latest"}
    platform = list(yaml.safe_load_all(compiled.read_text()))[1]
    needs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert "secretAsEnv" in needs["exec-announce-skew"], "it knows where to announce"


def test_what_looks_at_the_world_is_never_cached_and_the_tables_are(spec):
    steps = {}
    for component in spec["components"].values():
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            steps[name] = bool(task["cachingOptions"].get("enableCache"))
    assert steps == {
        "plan-monitoring": False,
        "curate": True,
        "transform-whole": True,
        "compare-requests": False,
        "announce-skew": False,
    }


def test_a_failure_is_announced_as_one_of_monitoring(spec):
    handler = spec["root"]["dag"]["tasks"]["announce-failure"]
    assert handler["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    monitoring = handler["inputs"]["parameters"]["monitoring"]
    assert monitoring == {"runtimeValue": {"constant": True}}


def test_the_parameters_are_the_settings(spec):
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert parameters["log"]["defaultValue"] == "gs://your-bucket/served"
    assert parameters["days"]["defaultValue"] == 1.0
    assert set(parameters) == set(read_settings(SAMPLE, CLUSTER).arguments("monitoring"))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with the tables of today, a store with a live model, and settings."""
    folder = tmp_path_factory.mktemp("monitored")
    for name in ("events", "items", "users"):
        getattr(clean_tables(), name).to_parquet(folder / f"{name}.parquet", index=False)
    profile, catalogue = live_model_profile()
    model = folder / "model"
    (model / "saved_model").mkdir(parents=True)
    (model / "saved_model" / "saved_model.pb").touch()  # nothing here asks the model
    (model / PROFILE).write_text(profile.to_json())
    info = ModelInfo(
        name="m", kind="two_tower", catalogue_size=len(catalogue), history_length=LENGTH,
        inputs=("country", "age_band", "history_age_days"),
        training_window={"start": "2026-01-01", "end": "2026-04-10"}, code_version="0",
    )  # fmt: skip
    write_info(model, info, catalogue)
    store = open_store(str(folder / "store"))
    revision = store.stage(
        "home", model, run_id="a", digest=folder_digest(model),
        training_window=info.training_window, metadata={},
    )  # fmt: skip
    store.promote("home", revision, expected=None)
    document = {
        "store": "store",
        "as_of": TODAY.isoformat(),
        "data": {name: {"path": f"{name}.parquet"} for name in ("events", "items", "users")},
        "inputs": ["country", "age_band"],
        "monitoring": {"log": "right"},
    }
    (folder / "home.yaml").write_text(yaml.safe_dump(document))
    for name, requests in (
        ("right", right_requests()),
        (
            "hours",
            [replace(one, ages=tuple(24 * age for age in one.ages)) for one in right_requests()],
        ),
    ):
        log = RequestLog(str(folder / name), 1.0, CollectorRegistry())
        log.start()
        for request in requests:
            log.put(request.entry())
        log.stop()
    return folder


def setlist(work, *arguments):
    command = [sys.executable, "-m", "setlist_pipelines", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)


def monitor(work, *changes):
    options = [part for change in changes for part in ("--set", change)]
    return setlist(work, "run", "--pipeline", "monitoring", "--config", "home.yaml", *options)


@pytest.mark.slow
def test_a_run_on_this_machine_compares_records_and_shows(work):
    before = MonitoringRecord.all(str(work / "store"), "home")
    done = monitor(work)
    assert done.returncode == 0, done.stderr
    for title in ("Plan the comparison", "Transform all days", "Announce the comparison"):
        assert f"✓ {title}" in done.stdout
    assert "skew: pass (13 of 13 rules pass)" in done.stdout.replace("\n", " ")
    page = Path(next(line for line in done.stdout.splitlines() if line.startswith("page"))[9:])
    text = page.read_text()
    assert text.startswith("# Requests to revision 1 of home: pass")
    assert "| pass | sent ages | 0.000 | 0.050 | 0 of " in text
    records = MonitoringRecord.all(str(work / "store"), "home")
    assert len(records) == len(before) + 1
    assert records[-1].outcome == "as_trained"
    assert not (work / "store" / "home" / "runs").exists(), "no run of retraining"


@pytest.mark.slow
def test_a_run_beyond_a_bound_is_recorded_announced_and_fails(work):
    done = monitor(work, "monitoring.log=hours")
    assert done.returncode == 1
    assert "the model is not asked what it was trained on" in done.stderr
    assert "days in the request and" in done.stderr
    assert "have the service send days before the request" in done.stderr
    record = MonitoringRecord.all(str(work / "store"), "home")[-1]
    assert record.outcome == "skewed"
    assert record.verdict.decision == "stop"
    assert "P0" not in record.model_dump_json(), "a record names no listener and no play"
    log = Path(done.stderr.split("The log is ")[1].strip()).read_text()
    assert log.count("home: skewed.") == 1
    assert "home: failed" not in log, "the exit handler sees that it was announced"


@pytest.mark.slow
def test_a_run_that_cannot_compare_is_recorded_as_a_failure(work):
    done = monitor(work, "monitoring.log=elsewhere")
    assert done.returncode == 1
    assert "it has no request that revision 1 of home answered" in done.stderr
    assert MonitoringRecord.all(str(work / "store"), "home")[-1].outcome == "failed"
    done = monitor(work, "name=evening")
    assert done.returncode == 1
    assert "nothing is live under evening" in done.stderr
    assert not (work / "store" / "evening" / "runs").exists()


@pytest.mark.slow
def test_the_command_says_the_same_without_a_pipeline(work):
    done = setlist(work, "skew", "--config", "home.yaml")
    assert done.returncode == 0, done.stderr
    assert "requests to revision 1 of home: pass (13 of 13 rules pass)" in done.stdout
    done = setlist(work, "skew", "--config", "home.yaml", "--log", "hours")
    assert done.returncode == 3
    assert "stop: sent ages: " in done.stdout
    without = setlist(work, "skew", "--log", "hours", "--store", "store")
    assert "sent ages" not in without.stdout, "without tables only shares are compared"
    assert "stop: served age of last play" in without.stdout


def test_without_the_section_the_pipeline_is_not_run(tmp_path):
    done = setlist(tmp_path, "run", "--pipeline", "monitoring")
    assert done.returncode == 1
    assert "monitoring: the settings have no such section" in done.stderr
    done = setlist(tmp_path, "skew")
    assert done.returncode == 1
    assert "name one with --log" in done.stderr


def test_a_log_on_this_machine_is_not_compiled(tmp_path):
    changes = [CLUSTER[0], "monitoring.log=served"]
    with pytest.raises(Exception, match=r"^monitoring\.log: served lies on this machine's disk"):
        compile_pipeline(read_settings(SAMPLE, changes), tmp_path / "p.yaml", pipeline="monitoring")
