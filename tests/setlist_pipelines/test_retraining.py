"""The pipeline as Kubeflow sees it, and what its steps import."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from setlist import steps
from setlist.errors import SetlistError
from setlist_pipelines.kubeflow.compilation import compile_pipeline
from setlist_pipelines.laptop.runner import step_titles
from setlist_pipelines.retraining import retraining
from setlist_pipelines.settings.file import SAMPLE, read_settings

MANIFEST = Path(__file__).parents[2] / "manifests" / "retraining.yaml"
CLUSTER = "store=gs://your-bucket/setlist"
STEP_NAMES = [
    *("plan", "news", "curate", "resolve-live", "check-data", "transform", "fit-heuristics"),
    *("train", "evaluate"),
    *("gate", "report", "push", "announce", "announce-2", "announce-3", "announce-failure"),
]


def dags(spec):
    """The root and all groups, by name: what runs together under one condition."""
    groups = {name: one["dag"]["tasks"] for name, one in spec["components"].items() if "dag" in one}
    return {"root": spec["root"]["dag"]["tasks"], **groups}


def tasks_of(spec):
    """Every task that is a step, whatever group it stands in."""
    return {
        name: task
        for dag in dags(spec).values()
        for name, task in dag.items()
        if "dag" not in spec["components"][task["componentRef"]["name"]]
    }


def within(spec, title):
    """The tasks of the group that is called so."""
    for dag in dags(spec).values():
        for task in dag.values():
            if task["taskInfo"]["name"] == title:
                return dags(spec)[task["componentRef"]["name"]]
    raise AssertionError(f"no group {title}")


def edges(spec, dag="root", before=()):
    """Which step waits for which; what a group waits for, its first steps wait for."""
    for name, task in dags(spec)[dag].items():
        waits = [one for one in task.get("dependentTasks", []) if one in tasks_of(spec)] or before
        group = task["componentRef"]["name"]
        if group in dags(spec):
            yield from edges(spec, group, waits)
        else:
            yield from ((one, name) for one in waits)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "retraining.yaml"
    compile_pipeline(read_settings(SAMPLE, [CLUSTER]), path)
    return path


@pytest.fixture(scope="module")
def spec(compiled):
    return next(yaml.safe_load_all(compiled.read_text()))


def test_the_committed_manifest_is_what_the_code_compiles_to(compiled):
    assert MANIFEST.read_bytes() == compiled.read_bytes(), "run `make compile` and commit"


@pytest.mark.slow
def test_it_is_the_same_in_another_process(compiled, tmp_path):
    command = [
        sys.executable,
        "-m",
        "setlist_pipelines",
        "compile",
        "-o",
        str(tmp_path / "p.yaml"),
    ]
    command += ["--set", CLUSTER]
    for seed in ("1", "2"):
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, check=True)
        assert (tmp_path / "p.yaml").read_bytes() == compiled.read_bytes()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SetlistError, match=r"p.yaml cannot be written"):
        compile_pipeline(read_settings(SAMPLE, [CLUSTER]), tmp_path / "file" / "p.yaml")


@pytest.mark.parametrize(
    ("changes", "key"),
    [([], "store"), ([CLUSTER, "data.items.path=items.csv"], "data.items.path")],
)
def test_what_a_cluster_does_not_see_is_not_compiled(tmp_path, changes, key):
    with pytest.raises(SetlistError, match=f"^{key}: .* lies on this machine's disk"):
        compile_pipeline(read_settings(SAMPLE, changes), tmp_path / "p.yaml")
    assert not (tmp_path / "p.yaml").exists()


def test_nothing_else_is_left_beside_it(compiled):
    assert [path.name for path in compiled.parent.iterdir()] == ["retraining.yaml"]


def test_every_step_runs_in_the_one_image_and_installs_nothing(spec):
    executors = spec["deploymentSpec"]["executors"]
    assert sorted(executors) == sorted(f"exec-{step}" for step in STEP_NAMES)
    for executor in executors.values():
        assert executor["container"]["image"] == "setlist:latest"
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_what_looks_at_the_world_or_changes_it_is_never_cached(spec):
    tasks = tasks_of(spec)
    cached = {name: task["cachingOptions"].get("enableCache") for name, task in tasks.items()}
    never = {name for name, one in cached.items() if not one}
    assert never == {
        *("plan", "news", "check-data", "report", "push"),
        *("announce", "announce-2", "announce-3"),
    }
    assert set(cached) == set(STEP_NAMES)


def conditions(spec):
    """The name of each condition, and what it asks."""
    return {
        task["taskInfo"]["name"]: task["triggerPolicy"]["condition"]
        for dag in dags(spec).values()
        for task in dag.values()
        if "condition" in task.get("triggerPolicy", {})
    }


def test_push_stands_behind_the_gate_and_all_but_the_plan_behind_the_news(spec):
    asked = conditions(spec)
    assert asked["promoted"].endswith("!= 'unchanged'")
    assert asked["new-data"].endswith("== 'new'")
    assert asked["refused"] == f"!({asked['promoted']})"
    assert asked["nothing-new"] == f"!({asked['new-data']})"
    assert set(within(spec, "promoted")) == {"push", "announce"}
    assert set(within(spec, "refused")) == {"announce-2"}
    assert set(within(spec, "nothing-new")) == {"announce-3"}
    ahead = {"plan", "news", *within(spec, "nothing-new"), "announce-failure"}
    behind = set(tasks_of(spec)) - ahead - set(within(spec, "refused"))
    assert behind - set(within(spec, "promoted")) < set(within(spec, "new-data"))


def test_every_way_to_the_end_is_announced_last(spec):
    assert within(spec, "promoted")["announce"]["dependentTasks"] == ["push"]
    told = {name: set(task["inputs"].get("artifacts", {})) for name, task in tasks_of(spec).items()}
    assert told["announce"] == {"verdict", "data_verdict", "pushed"}
    assert told["announce-2"] == {"verdict", "data_verdict", "report"}
    assert told["announce-3"] == set()
    handler = spec["root"]["dag"]["tasks"]["announce-failure"]
    assert handler["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert handler["dependentTasks"] == ["exit-handler-1"]
    assert set(spec["root"]["dag"]["tasks"]) == {"announce-failure", "exit-handler-1"}


@pytest.mark.parametrize("which", ["spec", "graph"])
def test_nothing_can_fail_once_an_end_is_announced(which, request):
    spec = request.getfixturevalue(which)
    waits = list(edges(spec))
    for end, behind in (("announce", "promoted"), ("announce-2", "refused")):
        before = {end}
        while more := {one for one, other in waits if other in before} - before:
            before |= more
        assert before >= set(within(spec, behind))
        assert before >= {one for one in within(spec, "new-data") if one in tasks_of(spec)}


def test_nothing_goes_live_without_its_report(spec):
    assert "report" in tasks_of(spec)["push"]["inputs"]["artifacts"]
    assert "run_id" in tasks_of(spec)["report"]["inputs"]["parameters"]


def test_nothing_is_transformed_before_the_gate_for_data_has_passed(spec):
    tasks = tasks_of(spec)
    assert set(tasks["check-data"]["dependentTasks"]) == {"curate", "resolve-live"}
    assert "check-data" in tasks["transform"]["dependentTasks"]
    assert not tasks["check-data"].get("cachingOptions"), "the live model may be another one"


def test_every_later_step_takes_the_plans_values(spec):
    tasks = tasks_of(spec)
    produced = {
        (name, key): str(value)
        for name, task in tasks.items()
        for key, value in task["inputs"].get("parameters", {}).items()
    }
    for step, key in [
        ("news", "data_fingerprint"),
        ("push", "data_fingerprint"),
        ("curate", "window"),
        ("curate", "data_fingerprint"),
        ("transform", "window"),
        ("resolve-live", "rivals"),
        ("gate", "head"),
    ]:
        assert re.search(rf"'(producerTask': 'plan|.*plan-{key})'", produced[step, key])
    assert not any("as_of" in task["inputs"].get("parameters", {}) for name, task in tasks.items()
                   if name != "plan")  # fmt: skip


@pytest.mark.parametrize(
    "modules",
    [
        "setlist.runs.plan",
        "setlist.data.curation, setlist.data.transformation",
        "setlist.evaluation.gate",
        "setlist.runs.promotion, setlist.runs.refit, setlist.runs.checkpoints",
        "setlist.report.page",
        "setlist.serving.follower",
        "setlist_pipelines.cli.main, setlist_pipelines.cli.screen, setlist_pipelines.retraining",
        "setlist_pipelines.settings.file, setlist_pipelines.laptop.runner",
    ],
)
def test_what_needs_no_tensorflow_does_not_import_it(modules):
    code = f"import sys, {modules}; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_image_is_named_by_the_environment(tmp_path):
    environment = os.environ | {"SETLIST_IMAGE": "registry.example/setlist@sha256:0"}
    target = tmp_path / "p.yaml"
    command = [
        sys.executable,
        "-m",
        "setlist_pipelines",
        "compile",
        "--output",
        str(target),
    ]
    command += ["--set", CLUSTER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert target.read_text().count("image: registry.example/setlist@sha256:0") == len(STEP_NAMES)


def compiled_resources(target, image):
    command = [sys.executable, "-m", "setlist_pipelines", "compile", "-o", str(target)]
    command += ["--set", CLUSTER, "--namespace", "recommenders"]
    environment = os.environ | {"SETLIST_IMAGE": image}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_resources_for_gitops_carry_the_pipeline_and_a_version_by_content(tmp_path, spec):
    files = [tmp_path / name for name in ("one.yaml", "two.yaml", "other.yaml")]
    for path, digit in zip(files, "001", strict=True):
        done = compiled_resources(path, f"registry.example/setlist@sha256:{digit * 64}")
        assert done.returncode == 0, done.stderr
    assert files[0].read_bytes() == files[1].read_bytes()
    pipeline, version = yaml.safe_load_all(files[0].read_text())
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    for one in (pipeline, version):
        assert one["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
        assert one["metadata"]["namespace"] == "recommenders"
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"] == "retraining"
    assert set(version["spec"]["pipelineSpec"]["components"]) == set(spec["components"])
    assert version["spec"]["platformSpec"]["platforms"]["kubernetes"]["pipelineConfig"]
    name = version["metadata"]["name"]
    assert re.fullmatch(r"retraining-[0-9a-f]{20}", name)
    _, other = yaml.safe_load_all(files[2].read_text())
    assert other["metadata"]["name"] != name, "another image is another version"


def test_resources_for_gitops_name_no_image_by_its_tag(tmp_path):
    done = compiled_resources(tmp_path / "p.yaml", "registry.example/setlist:latest")
    assert done.returncode == 1
    assert "is not named by digest" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_picture_shows_the_graph(spec):
    """Every arrow of docs/pictures/pipeline.dot is a dependency, and every dependency an arrow."""
    picture = (MANIFEST.parents[1] / "docs" / "pictures" / "pipeline.dot").read_text()
    assert set(re.findall(r'"([\w-]+)" -> "([\w-]+)"', picture)) == set(edges(spec))


# Graphs of other shapes.

SHAPE = "candidates={wide: {dimension: 64}, narrow: {dimension: 8}, quick: {epochs: 2}}"


@pytest.fixture(scope="module")
def shaped(tmp_path_factory):
    """Three candidates, warm start and refit."""
    folder = tmp_path_factory.mktemp("shaped")
    changes = [CLUSTER, SHAPE, "warm_start=true", "refit=true"]
    for name in ("one", "two"):
        compile_pipeline(read_settings(SAMPLE, changes), folder / name)
    return folder


@pytest.fixture(scope="module")
def graph(shaped):
    return next(yaml.safe_load_all((shaped / "one").read_text()))


@pytest.mark.slow
def test_several_candidates_compile_to_the_same_bytes_twice_and_elsewhere(shaped):
    assert (shaped / "one").read_bytes() == (shaped / "two").read_bytes()
    command = [
        sys.executable,
        "-m",
        "setlist_pipelines",
        "compile",
        "-o",
        str(shaped / "three"),
    ]
    for change in (CLUSTER, SHAPE, "warm_start=true", "refit=true"):
        command += ["--set", change]
    subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "3"}, check=True)
    assert (shaped / "three").read_bytes() == (shaped / "one").read_bytes()


def test_each_candidate_is_a_named_task_beside_the_others(graph):
    tasks = tasks_of(graph)
    trained = {name: one for name, one in tasks.items() if re.fullmatch(r"train(-\d)?", name)}
    named = {
        one["taskInfo"]["name"]: one["inputs"]["parameters"]["label"]["runtimeValue"]["constant"]
        for one in trained.values()
    }
    assert named == {"Train wide": "wide", "Train narrow": "narrow", "Train quick": "quick"}
    for one in trained.values():
        assert set(one["dependentTasks"]) == {"transform", "resolve-live"}, "none waits for another"
    assert tasks["choose"]["taskInfo"]["name"] == "Compare with narrow"
    assert set(tasks["choose"]["dependentTasks"]) == {"train", "train-2"}
    assert set(tasks["choose-2"]["dependentTasks"]) == {"choose", "train-3"}
    for step in ("evaluate", "report"):
        assert "choose-2" in tasks[step]["dependentTasks"], "only the winner goes on"
        assert not any(name.startswith("train") for name in tasks[step]["dependentTasks"])


def test_the_live_model_is_an_input_of_training_only_for_a_warm_start(spec, graph):
    for name in ("train", "train-2", "train-3"):
        assert "live" in tasks_of(graph)[name]["inputs"]["artifacts"]
    train = tasks_of(spec)["train"]
    assert set(train["inputs"]["artifacts"]) == {"features"}
    assert train["dependentTasks"] == ["transform"]


def test_a_refit_stands_behind_the_gate_and_before_the_push(spec, graph):
    promoted = within(graph, "promoted")
    assert set(promoted) == {"transform-whole", "refit", "push", "announce"}
    assert promoted["push"]["dependentTasks"] == ["refit"]
    assert promoted["refit"]["dependentTasks"] == ["transform-whole"]
    assert "live" in promoted["refit"]["inputs"]["artifacts"]
    push = tasks_of(spec)["push"]
    assert "refitted" not in push["inputs"]["artifacts"]


def test_titles_are_found_by_the_name_that_a_step_runs_under():
    pipeline = retraining(("wide", "narrow"), refit=True)
    titles = step_titles(pipeline.pipeline_spec)
    assert titles["train-2"] == "Train narrow"
    assert titles["choose"] == "Compare with narrow"
    assert titles["refit"] == "Refit the winner"
    assert step_titles(retraining().pipeline_spec)["train"] == "Train the two-tower"


def test_a_run_with_other_candidates_than_were_compiled_ends_in_its_first_step(graph):
    plan = tasks_of(graph)["plan"]["inputs"]["parameters"]
    compiled = plan["compiled"]["runtimeValue"]["constant"]
    assert compiled == ["wide", "narrow", "quick"]
    assert plan["candidates"] == {"componentInputParameter": "pipelinechannel--candidates"}
    arguments = read_settings(SAMPLE, [CLUSTER, "candidates={wide: {}, huge: {}}"]).arguments()
    wanted = {key: arguments[key] for key in ("name", "store", "as_of", "data", "window", "policy")}
    with pytest.raises(SetlistError, match=r"names wide, huge, but .* for wide, narrow, quick;"):
        steps.plan.python_func(**wanted, candidates=arguments["candidates"], compiled=compiled)
