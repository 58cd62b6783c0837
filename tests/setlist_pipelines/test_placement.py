"""Each step knows where it is, and the cache does not: no argument says it."""

import json
from pathlib import Path

import pytest
import yaml

from setlist_pipelines.kubeflow.compilation import compile_pipeline
from setlist_pipelines.settings.file import SAMPLE, read_settings

CANDIDATES = "candidates={wide: {dimension: 64}, narrow: {}}"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    settings = read_settings(SAMPLE, ["store=gs://bucket/setlist", CANDIDATES])
    path: Path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(settings, path, None, "retraining")
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def test_every_step_has_its_names_the_run_and_the_store(compiled):
    pipeline, _ = compiled
    variables = {
        name: {each["name"]: each["value"] for each in executor["container"]["env"]}
        for name, executor in pipeline["deploymentSpec"]["executors"].items()
    }
    assert variables["exec-train-2"] == {
        "SETLIST_RUN_STORE": "gs://bucket/setlist",
        "SETLIST_RUN_NAME": "home",
        "SETLIST_TASK": "train-2",
        "SETLIST_TASK_TITLE": "Train narrow",
    }
    assert variables["exec-train"]["SETLIST_TASK_TITLE"] == "Train wide"
    assert all(each["SETLIST_RUN_STORE"] == "gs://bucket/setlist" for each in variables.values())
    titles = json.loads(variables["exec-announce-failure"]["SETLIST_TITLES"])
    assert titles["train-2"] == "Train narrow"
    tasks = [each["SETLIST_TASK"] for each in variables.values()]
    assert titles.keys() == set(tasks)
    assert len(set(tasks)) == len(tasks)


def test_the_id_of_the_run_comes_from_the_pod(compiled):
    pipeline, platform = compiled
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == pipeline["deploymentSpec"]["executors"].keys()
    paths = {
        name: {each["name"]: each["fieldPath"] for each in executor["fieldPathAsEnv"]}
        for name, executor in executors.items()
    }
    run = {"SETLIST_RUN": "metadata.labels['pipeline/runid']"}
    handler = paths.pop("exec-announce-failure")
    assert handler == run | {"SETLIST_NAMESPACE": "metadata.namespace"}
    assert all(each == run for each in paths.values())


def test_no_cached_step_takes_the_run_as_an_argument(compiled):
    pipeline, _ = compiled

    def tasks(component):
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            yield name, task
            yield from tasks(pipeline["components"][task["componentRef"]["name"]])

    cached = {
        name: yaml.safe_dump(task["inputs"]["parameters"])
        for name, task in tasks(pipeline["root"])
        if task.get("cachingOptions", {}).get("enableCache") and "parameters" in task["inputs"]
    }
    assert {"curate", "train", "train-2", "evaluate"} <= cached.keys()
    # That of the exit handler names its run, and so is another one each time.
    assert [name for name, text in cached.items() if "pipeline_job_uuid" in text] == [
        "announce-failure"
    ]
