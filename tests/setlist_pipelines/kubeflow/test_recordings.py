"""The commands over answers of a real Kubeflow Pipelines, and each thing assumed of the backend."""

import base64
import json
import sys

import pytest
import requests
from tests.setlist_pipelines.kubeflow.kfp_stories import Story
from tests.setlist_pipelines.kubeflow.kfp_stub import check, serve
from tests.setlist_pipelines.kubeflow.recordings import (
    RUNS,
    body,
    recording,
    replayed,
    version_of,
    workflow_with_outputs,
)
from tests.waiting import PATIENCE

from setlist_pipelines.cli.main import main
from setlist_pipelines.kubeflow import api, submission
from setlist_pipelines.kubeflow.argo_nodes import child_ids, fnv, node_names, task_details
from setlist_pipelines.kubeflow.pod_logs import without_error
from setlist_pipelines.kubeflow.recurring_runs import COPIED_KEYS
from setlist_pipelines.kubeflow.run_steps import planned_steps, steps_of, was_ended_by_hand
from setlist_pipelines.kubeflow.stored_workflow import pod_end, published_log_address

PROMOTED, CACHED = "run_promoted_succeeded", "run_second_cached_succeeded"
SEVERAL, MEMORY = "run_several_candidates_succeeded", "run_failed_out_of_memory_failed"
BAD_PATH, BY_HAND = "run_failed_bad_path_failed", "run_ended_by_hand_or_failed_failed"
TRACEBACK = """Traceback (most recent call last):
  File "/app/setlist/data/source.py", line 1, in listing
setlist.errors.SettingsError: gs://setlist/nothing/here.parquet: there are no files in it.
F1127 23:22:58.000000      16 main.go:54] failed to execute component: exit status 1
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(api, "RETRY_PAUSES_SECONDS", (0.01,))
    monkeypatch.setattr(submission, "RUN_POLL_SECONDS", 0.01)
    for name in ("KF_PIPELINES_UI_ENDPOINT", "KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def setlist(monkeypatch, capsys):
    def run(replay, *arguments) -> tuple[int, str]:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", replay.url)
        monkeypatch.setattr(sys, "argv", ["setlist", *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def plan_of(name):
    spec = version_of(name)["pipeline_spec"]
    return planned_steps(spec.get("pipeline_spec", spec))


def states(name):
    return {step.task: step.state for step in steps_of(body(name), plan_of(name))}


# What is assumed of the backend


@pytest.mark.parametrize("name", RUNS)
def test_every_answer_is_of_the_published_kind(name):
    check(body(name), "V2beta1Run")


def test_a_pod_without_a_log_is_answered_200_with_an_error_inside():
    answer = recording("log_of_no_pod")
    assert answer["status"] == 200
    assert without_error(json.dumps(answer["body"])) == ""
    assert without_error("cut off\n" + json.dumps(answer["body"])) == "cut off\n"
    assert without_error('{"error_message": of our own\n') == '{"error_message": of our own\n'
    assert without_error(recording("log_of_a_pod_0")["body"]) == recording("log_of_a_pod_0")["body"]


@pytest.mark.parametrize("name", RUNS)
def test_no_task_has_an_error_or_a_pod_and_no_run_has_an_error(name):
    run = body(name)
    assert not run.get("error")
    assert not [task for task in task_details(run) if task.get("error") or task.get("pod_name")]


@pytest.mark.parametrize("name", RUNS)
def test_the_id_of_every_node_follows_from_its_name(name):
    run = body(name)
    ids = {node for task in task_details(run) for node in child_ids(task)}
    parts = {str(task.get("display_name", "")).partition("(")[0] for task in task_details(run)}
    assert node_names(run, parts - {""}).keys() == ids


def test_the_names_of_nodes_are_those_of_the_workflow():
    nodes = recording("workflow_failed")["status"]["nodes"]
    assert (
        recording("workflow_failed")["metadata"]["labels"]["pipeline/runid"]
        == (body(BAD_PATH)["run_id"])
    )
    parts = {
        str(task.get("display_name", "")).partition("(")[0] for task in task_details(body(BAD_PATH))
    }
    for node, name in node_names(body(BAD_PATH), parts - {""}).items():
        assert nodes[node]["name"] == name


@pytest.mark.parametrize("name", ["workflow_failed", "workflow_succeeded", "workflow_running"])
def test_the_id_of_a_node_is_fnv_of_its_name(name):
    workflow = recording(name)
    for node, entry in workflow["status"]["nodes"].items():
        if entry["name"] != workflow["metadata"]["name"]:
            assert node == f"{workflow['metadata']['name']}-{fnv(entry['name'])}"


def test_the_pod_of_a_node_is_named_by_its_template_and_its_hash():
    for pod in recording("pods_failed"):
        node = pod["annotations"]["workflows.argoproj.io/node-id"]
        workflow, _, digits = node.rpartition("-")
        assert pod["pod"] in {
            f"{workflow}-{prefix}system-container-impl-{digits}" for prefix in ("", "retry-")
        }
        assert pod["labels"]["pipeline/runid"]


def test_every_node_is_one_that_is_repeated():
    kinds = {entry["type"] for entry in recording("workflow_failed")["status"]["nodes"].values()}
    assert kinds <= {"Retry", "DAG", "Pod", "Skipped", "Omitted"}
    assert "Retry" in kinds


def test_what_was_left_out_has_no_state_and_what_is_skipped_has_no_steps():
    news = [task for task in task_details(body(BAD_PATH)) if task.get("display_name") == "news"]
    assert [task.get("state") for task in news] == [None]
    assert states(BAD_PATH)["news"] == states(BAD_PATH)["push"] == "left out"


def test_a_step_from_the_cache_has_no_pod():
    found = states(CACHED)
    assert {task for task, state in found.items() if state == "cached"} == {
        *("curate", "transform", "fit-heuristics")
    }
    assert found["train"] == found["plan"] == found["announce-failure"] == "succeeded"
    assert found["announce-2"] == "left out"


def test_tasks_of_a_run_that_has_ended_may_stay_as_they_were():
    run = body(SEVERAL)
    assert run["state"] == "SUCCEEDED"
    assert [task for task in task_details(run) if task.get("state") in ("RUNNING", "PENDING")]
    assert states(SEVERAL)["announce-failure"] == "not known"
    assert "running" not in states(SEVERAL).values()


def test_an_end_by_hand_stands_in_the_history_alone():
    assert [name for name in RUNS if was_ended_by_hand(body(name))] == [BY_HAND]
    assert body(BY_HAND)["state"] == "FAILED"


def test_an_end_by_hand_has_the_history_that_the_stand_in_tells():
    def states(history):
        # Some have an entry without a state after the first, and some have not.
        return [entry["state"] for entry in history if entry.get("state")]

    assert states(Story(stopped=True).history("FAILED")) == states(body(BY_HAND)["state_history"])
    assert states(Story("FAILED").history("FAILED")) == states(body(BAD_PATH)["state_history"])


def test_a_step_with_retries_that_failed_had_one_attempt():
    """Of policy OnError, which the controller's defaults bring: see test_argo_merge.py."""
    [train] = [step for step in steps_of(body(MEMORY), plan_of(MEMORY)) if step.task == "train"]
    assert (train.state, len(train.pods), train.repeats) == ("failed", 1, True)


def test_a_pod_that_was_deleted_may_leave_no_attempt_behind():
    """Recorded: `train` was started again, and the run's tasks have no `executor(1)`."""
    run = body("run_pod_killed_succeeded")
    names = {str(task.get("display_name", "")) for task in task_details(run)}
    assert not [name for name in names if name.endswith("(1)")]
    steps = steps_of(run, plan_of("run_pod_killed_succeeded"))
    [train] = [step for step in steps if step.task == "train"]
    assert (train.state, len(train.pods)) == ("succeeded", 1)


def test_what_the_server_fills_into_a_recurring_run_is_not_sent_back():
    document = body("recurringrun")
    assert document["namespace"] == "kubeflow"
    assert not {"namespace", "recurring_run_id", "status", "created_at"} & set(COPIED_KEYS)
    check(document, "V2beta1RecurringRun")


@pytest.mark.parametrize("name", ["run_unknown", "recurringrun_unknown"])
def test_what_is_unknown_is_404_with_a_message(name):
    assert recording(name)["status"] == 404
    assert "not found" in body(name)["message"]


# Every command that reads runs, over every run


@pytest.mark.parametrize("name", RUNS)
def test_show_prints_the_steps_of_the_pipeline_once_in_its_order(setlist, name):
    with replayed(name) as replay:
        code, printed = setlist(replay, "runs", "show", replay.run["run_id"])
    assert code == 0, printed
    names = [step.name for step in plan_of(name)]
    rows = [
        next((n for n in names if line.strip().startswith(n)), "") for line in printed.splitlines()
    ]
    assert [row for row in rows if row] == names
    for machinery in ("driver", "(0)", "executor", "onExit", "exit-handler", "condition-"):
        assert machinery not in printed
    assert "PENDING" not in printed
    assert "running" not in printed


def test_show_names_the_candidates(setlist):
    with replayed(SEVERAL) as replay:
        printed = setlist(replay, "runs", "show", replay.run["run_id"])[1]
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert [line.split()[-1] for line in lines if line.startswith("Train narrow")] == ["train"]
    assert [line.split()[-1] for line in lines if line.startswith("Train wide")] == ["train-2"]


@pytest.mark.parametrize("name", RUNS)
def test_wait_prints_each_step_once_and_no_machinery(setlist, monkeypatch, name):
    from setlist_pipelines.cli.submit import _follow
    from setlist_pipelines.kubeflow.access import Access

    with replayed(name) as replay:
        shown = []
        monkeypatch.setattr(
            "setlist_pipelines.cli.screen.StepProgress.show",
            lambda _, title, line, seconds=None: shown.append((title, line)),
        )
        state = _follow(api.Kubeflow(Access(replay.url)), replay.run["run_id"])
    titles = [title for title, _ in shown]
    assert state == body(name)["state"]
    assert len(titles) == len(set(titles))
    assert set(titles) <= {step.name for step in plan_of(name)}
    assert ("FAILURE" in {line for _, line in shown}) == any(
        step == "failed" for step in states(name).values()
    )


def test_where_the_version_is_gone_the_tasks_are_shown(setlist):
    with replayed(PROMOTED, version=False) as replay:
        code, printed = setlist(replay, "runs", "show", replay.run["run_id"])
    assert code == 0
    rows = [line.split() for line in printed.splitlines()]
    tasks = [row[0] for row in rows if len(row) > 1 and row[-1] == row[0]]
    assert tasks[:2] == ["plan", "news"]
    assert {"train", "push", "announce"} <= set(tasks)
    assert "driver" not in printed
    assert "root" not in printed


def test_a_failed_run_says_step_reason_and_link(setlist):
    with replayed(BAD_PATH) as replay:
        replay.logs["retraining-2dglh-system-container-impl-780220164"] = TRACEBACK
        printed = setlist(replay, "runs", "show", replay.run["run_id"])[1]
    assert (
        "state    FAILED: Plan the run: gs://setlist/nothing/here.parquet: there are no files"
        in printed
    )
    assert f"/#/runs/details/{replay.run['run_id']}" in printed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (MEMORY, "Train the two-tower: it left neither a sentence nor a log: see"),
        (MEMORY, "raise platform.steps.train.memory_limit"),
        (BY_HAND, "it was ended by hand"),
        ("run_deadline_failed", "no step failed; perhaps platform.deadline ended it"),
    ],
)
def test_an_end_without_a_word_says_what_is_known(setlist, name, words):
    with replayed(name) as replay:
        assert words in setlist(replay, "runs", "show", replay.run["run_id"])[1]


# Logs


def test_the_log_of_the_pod_is_found_behind_repeated_nodes(setlist):
    with replayed(BAD_PATH) as replay:
        pod = "retraining-2dglh-system-container-impl-780220164"
        replay.logs[pod] = "planned\n"
        code, printed = setlist(replay, "runs", "logs", replay.run["run_id"], "plan")
    assert (code, printed.splitlines()) == (0, [f"==> plan  failed  {pod}", "planned"])


def test_the_pod_of_a_step_with_retries_is_found_at_once(setlist):
    with replayed(MEMORY) as replay:
        pod = "retraining-8pvxn-retry-system-container-impl-1143237835"
        replay.logs[pod] = "trained\n"
        code, printed = setlist(replay, "runs", "logs", replay.run["run_id"], "Train the two-tower")
        logs = [path for _, path in replay.seen if path.endswith("/log")]
    assert code == 0
    assert pod in printed
    assert len(logs) == 1


def test_no_log_ends_with_1_and_the_error_of_the_server_is_no_log(setlist):
    with replayed(BAD_PATH) as replay:
        code, printed = setlist(replay, "runs", "logs", replay.run["run_id"])
    printed = " ".join(printed.split())
    assert code == 1
    assert "error_message" not in printed
    assert "no log of plan, announce-failure" in printed


def test_the_log_that_argo_stored_is_read_when_the_pod_is_gone(setlist):
    with replayed(BAD_PATH) as replay:
        content = base64.b64encode("geplant, é\n".encode()).decode()
        replay.stored["retraining-2dglh-780220164"] = {"data": content}
        code, printed = setlist(replay, "runs", "logs", replay.run["run_id"], "plan")
        replay.stored["retraining-2dglh-780220164"] = {"data": "no base64!"}
        assert setlist(replay, "runs", "logs", replay.run["run_id"], "plan")[0] == 1
    assert (code, printed.splitlines()[1]) == (0, "geplant, é")


PLAN = "retraining-2dglh-780220164"
PUBLISHED = (
    "minio://mlpipeline/v2/artifacts/retraining/ba69707e-0114-4ae8-98cf-c52b55c092e9/plan/"
    "31e48588-29d1-4768-beeb-380b1db0d070/executor-logs-0"
)


def test_argo_knows_of_its_own_copy_of_a_log_and_not_of_the_launchers():
    for outputs in (each["outputs"] for each in recording("workflow_failed_outputs").values()):
        assert [artifact["name"] for artifact in outputs["artifacts"]] == ["main-logs"]


def test_the_address_of_the_launchers_log_stands_in_the_drivers_outputs():
    nodes = workflow_with_outputs()["status"]["nodes"]
    assert published_log_address(nodes, PLAN) == PUBLISHED
    again = {**nodes, "x": {"name": nodes[PLAN]["name"].replace("executor(0)", "executor(1)")}}
    assert published_log_address(again, "x") == f"{PUBLISHED.removesuffix('0')}1"
    assert published_log_address(nodes, "retraining-2dglh-880681886") == "", "of announce-failure"
    assert published_log_address({}, PLAN) == ""


def test_the_launcher_names_its_log_as_the_address_says():
    """The recorded log of another run's pod, where the launcher prints the address."""
    log = recording("log_of_a_pod_0")["body"]
    assert "executor-logs-0" in log


@pytest.mark.parametrize(
    "driver",
    [
        {},
        {"outputs": None},
        {"outputs": {"parameters": [None, {"name": "pod-spec-patch", "value": ""}]}},
        {"outputs": {"parameters": [{"name": "pod-spec-patch", "value": "[" * 100_000}]}},
        {"outputs": {"parameters": [{"name": "pod-spec-patch", "value": '{"containers": [7]}'}]}},
        {"outputs": {"parameters": [{"name": "pod-spec-patch", "value": 7}]}},
    ],
)
def test_a_driver_without_an_address_is_no_fault(driver):
    nodes = {"a": {"name": "w(0).plan(0).executor(0)"}, "b": {"name": "w(0).plan-driver"} | driver}
    assert published_log_address(nodes, "a") == ""


def test_the_log_that_the_launcher_stored_is_read_behind_the_page(setlist):
    with replayed(BAD_PATH) as replay:
        replay.workflow = workflow_with_outputs()
        replay.page = {PUBLISHED: "what the step printed\n"}
        code, printed = setlist(replay, "runs", "logs", replay.run["run_id"], "plan")
        assert (code, printed.splitlines()[1]) == (0, "what the step printed")
        replay.page = {PUBLISHED: json.dumps({"error_message": "no", "error_details": "no"})}
        code, printed = setlist(replay, "runs", "logs", replay.run["run_id"], "plan")
        assert (code, "no log of plan" in printed) == (1, True)


def test_the_server_of_the_api_alone_has_no_door_to_it_and_the_address_is_told(setlist):
    with replayed(BAD_PATH) as replay:
        replay.workflow = workflow_with_outputs()
        code, printed = setlist(replay, "runs", "logs", replay.run["run_id"], "plan")
    assert (code, "no log of plan" in printed) == (1, True)
    assert f"{PUBLISHED} may hold it, which the page's server returns" in " ".join(printed.split())


def test_why_a_step_failed_is_the_message_of_its_pod(setlist):
    """Without any log: Argo keeps the termination message in the node."""
    nodes = recording("workflow_failed")["status"]["nodes"]
    words = "gs://setlist/nothing/here.parquet: there are no files in it; correct the path."
    assert pod_end(nodes, PLAN) == ("Error", words)
    with replayed(BAD_PATH) as replay:
        replay.workflow = recording("workflow_failed")
        printed = setlist(replay, "runs", "show", replay.run["run_id"])[1]
        assert not [path for _, path in replay.seen if path.endswith("/log")]
    assert f"state    FAILED: Plan the run: {words}" in printed


TRAIN = "retraining-8pvxn-1143237835"
OF_THE_LAUNCHER = "F1127 23:28:59.000000      16 main.go:54] failed to execute component: "


@pytest.mark.parametrize(
    ("message", "log", "words"),
    [
        # `inferFailedReason` of Argo 4.0.5 for the recorded end: OOMKilled, code 1, no message.
        ("main: OOMKilled (exit code 1)", "", "it needed more memory than it may have; raise"),
        ("main: Error (exit code 1)", "signal: killed", "it was killed, most likely beyond its"),
        ("main: Error (exit code 1)", "exit status 1", "its log does not say why"),
        (
            "main: Error (exit code 1)",
            'failed to upload output artifact "model" to remote storage URI "minio://m/k": '
            "uploadFile(): unable to complete copying: QuotaExceeded",
            'its outputs could not be stored: failed to upload output artifact "model"',
        ),
        (
            "main: Error (exit code 1)",
            'failed to download input artifact "events"',
            'the launcher of Kubeflow Pipelines failed: failed to download input artifact "events"',
        ),
        ("pod deleted", "", "its pod: pod deleted"),
        ("The node was low on resource: memory.", "", "its pod: The node was low on resource"),
    ],
)
def test_what_ended_a_step_without_a_word_is_said_as_far_as_it_is_known(
    setlist, message, log, words
):
    with replayed(MEMORY) as replay:
        node = {"name": "x", "message": message}
        replay.workflow = {"status": {"nodes": {TRAIN: node}}}
        if log:
            pod = "retraining-8pvxn-retry-system-container-impl-1143237835"
            replay.logs[pod] = (
                f"I1127 23:28:58.000000      16 x.go:1] begins\n{OF_THE_LAUNCHER}{log}\n"
            )
        printed = setlist(replay, "runs", "show", replay.run["run_id"])[1]
    assert f"state    FAILED: Train the two-tower: {words}" in printed


def test_who_may_see_runs_but_no_logs_is_told(setlist):
    with replayed(BAD_PATH) as replay:
        answer = replay.answer
        replay.answer = lambda method, path, query: (
            (403, {"message": "no"}) if "nodes" in path else answer(method, path, query)
        )
        code, printed = setlist(replay, "runs", "show", replay.run["run_id"])
    assert code == 0
    assert "Plan the run: you may not see its log; ask for `kubectl logs -l" in printed


@pytest.mark.parametrize("name", RUNS)
def test_logs_asks_for_no_pod_of_a_cached_step(setlist, name):
    cached = [step.task for step in steps_of(body(name), plan_of(name)) if step.state == "cached"]
    with replayed(name) as replay:
        for task in cached[:1]:
            code, printed = setlist(replay, "runs", "logs", replay.run["run_id"], task)
            assert code == 1
            assert f"no log of {task}" in printed
            assert not [path for _, path in replay.seen if path.endswith("/log")]


# List, compare, stop, archive, delete


def test_list_shows_the_recorded_page(setlist):
    with replayed(PROMOTED) as replay:
        code, printed = setlist(replay, "runs", "list", "--limit", 3)
    assert code == 0
    assert "home-killed2" in printed


@pytest.mark.parametrize("name", RUNS)
def test_compare_reads_every_recorded_run(setlist, name):
    with replayed(name) as replay:
        key = replay.run["run_id"]
        code, printed = setlist(replay, "runs", "compare", key, key)
    assert (code, body(name)["state"] in printed) == (0, True)


def test_stop_and_delete_ask_and_archive_does_not(setlist):
    with replayed(PROMOTED) as replay:
        key = replay.run["run_id"]
        path = f"/apis/v2beta1/runs/{key}"
        assert setlist(replay, "runs", "stop", key, "--yes")[0] == 1  # it has ended
        assert "give --yes" in setlist(replay, "runs", "delete", key)[1]
        assert not [method for method, _ in replay.seen if method != "GET"]
        assert setlist(replay, "runs", "delete", key, "--yes")[0] == 0
        assert setlist(replay, "runs", "archive", key)[0] == 0
        replay.run["state"] = "RUNNING"
        assert "runs stop" in setlist(replay, "runs", "delete", key, "--yes")[1]
        assert setlist(replay, "runs", "stop", key, "--yes")[0] == 0
    assert [call for call in replay.seen if call[0] != "GET"] == [
        ("DELETE", path),
        ("POST", f"{path}:archive"),
        ("POST", f"{path}:terminate"),
    ]


# The stand-in against the recordings


def shape(document):
    """The kinds of a document, key by key; entries of lists and of mappings of ours are merged."""
    if isinstance(document, dict):
        return {key: shape(value) for key, value in document.items() if key != "parameters"}
    if isinstance(document, list):
        merged = {}
        for entry in document:
            known = shape(entry)
            merged.update(known if isinstance(known, dict) else {"": known})
        return [merged]
    return type(document).__name__


def kinder(answer, real, where=""):
    """Where an answer has what the real ones never have, or lacks what all of them have."""
    if not (isinstance(answer, dict) and isinstance(real, dict)):
        if isinstance(answer, list) and isinstance(real, list):
            return kinder(answer[0], real[0], where)
        return [] if answer == real else [f"{where}: {answer}, not {real}"]
    more = [f"{where}.{key} is never answered" for key in answer.keys() - real.keys()]
    less = [f"{where}.{key} is always answered" for key in real.keys() - answer.keys()]
    below = [
        kinder(answer[key], real[key], f"{where}.{key}") for key in answer.keys() & real.keys()
    ]
    return more + less + [line for lines in below for line in lines]


OF_OTHERS = {"plugins_output", "description", "recurring_run_id", "service_account"}
"""What a run has only where a plug-in, a schedule or a setting puts it there."""


@pytest.fixture
def stand_in():
    with serve() as stub:
        document = body("run_failed_bad_path_failed")
        run = {"run_id": "00000001-0000", "display_name": "home-x", "state": "FAILED"}
        run |= {"experiment_id": "00000001-0000", "created_at": "2026-01-01T00:00:00Z"}
        run["runtime_config"] = {"parameters": {}}
        run["pipeline_version_reference"] = document["pipeline_version_reference"]
        stub.runs = [run]
        stub.outcome = "FAILED"
        yield stub


def without(document, keys=frozenset(OF_OTHERS)):
    return {key: value for key, value in document.items() if key not in keys}


def test_a_run_of_the_stand_in_is_made_like_a_recorded_one(stand_in):
    run = stand_in.progress("00000001-0000")
    assert kinder(shape(without(run)), shape(without(body(BAD_PATH)))) == []


def test_the_tasks_of_the_stand_in_are_named_like_recorded_ones(stand_in):
    def kinds(run):
        """(name without its number, has a state, has children, has an execution) of each task."""
        names = {"plan", "plan(0)", "plan-driver", "executor", "executor(0)", "", "root", "root(0)"}
        return {
            (name, bool(task.get("state")), bool(child_ids(task)), "execution_id" in task)
            for task in task_details(run)
            if (name := str(task.get("display_name", ""))) in names
        }

    assert kinds(stand_in.progress("00000001-0000")) <= kinds(body(BAD_PATH)) | kinds(
        body(PROMOTED)
    )


def test_a_missing_log_of_the_stand_in_is_answered_like_a_recorded_one(stand_in):
    path = "apis/v1alpha1/runs/00000001-0000/nodes/no-pod/log"
    answer = requests.get(f"{stand_in.url}/{path}", timeout=PATIENCE)
    recorded = recording("log_of_no_pod")
    assert (answer.status_code, shape(answer.json())) == (200, shape(recorded["body"]))


def test_what_the_stand_in_does_not_know_is_answered_like_a_recorded_one(stand_in):
    answer = requests.get(f"{stand_in.url}/apis/v2beta1/runs/0000-ffff", timeout=PATIENCE)
    assert answer.status_code == recording("run_unknown")["status"]
    assert answer.json()["code"] == body("run_unknown")["code"]


def test_the_stand_in_fills_in_a_recurring_run_what_the_real_one_does(stand_in):
    filled = stand_in.clock.create(
        {"display_name": "x", "mode": "ENABLE", "namespace": "kubeflow", "max_concurrency": "1"}
    )
    sent = {
        "pipeline_version_reference",
        "runtime_config",
        "trigger",
        "no_catchup",
        "experiment_id",
    }
    assert body("recurringrun").keys() - filled.keys() == sent | {"description", "service_account"}


def test_the_health_of_the_stand_in_is_told_like_the_recorded(stand_in):
    assert kinder(shape(stand_in.healthz()), shape(body("healthz"))) == []
