"""Why a run failed: what its pods say, as a real cluster has them, and which reason counts."""

import base64
import gzip
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from tests.http_stub import Handler, served

from setlist.runs.failed_run import explain_failure
from setlist.runs.run_pods import TITLES_VARIABLE, Pod, RunPods, nodes_of, read_run_pods
from setlist.runs.step_failure import TASK_VARIABLE, TITLE_VARIABLE, StepFailure

RECORDINGS = Path("tests/recordings/kfp")
RUN = "4c4f95e4-ea9e-4ce6-ab7d-b3170133e4da"


def recorded_pod(reason, task="train", title="Train wide", **metadata):
    """A recorded pod of that end, with the variables that a step now has.

    The recording has no specification of the pod.
    """
    pods = json.loads(gzip.decompress((RECORDINGS / "pods_failed.json.gz").read_bytes()))
    pod = next(
        each
        for each in pods
        if each["container"] == "main" and reason in json.dumps(each["terminated"])
    )
    variables = {TASK_VARIABLE: task, TITLE_VARIABLE: title}
    main = {
        "name": "main",
        "image": "setlist",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"limits": {"memory": "512Mi"}},
    }
    return {
        "metadata": {
            "name": pod["pod"],
            "labels": pod["labels"],
            "creationTimestamp": pod["terminated"]["startedAt"],
            **metadata,
        },
        "spec": {"containers": [{"name": "wait", "image": "argoexec"}, main]},
        "status": {
            "phase": "Failed",
            "containerStatuses": [
                {
                    "name": "main",
                    "image": "setlist",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": pod["terminated"]},
                }
            ],
        },
    }


def pod(task="train", title="Train wide", minute=0, **values):
    usual = {
        "succeeded": False, "failed": True, "reason": "Error", "message": "", "exit_code": 1,
        "memory_limit": "8Gi", "node": "",
    }  # fmt: skip
    started = datetime(2026, 5, 1, 5, minute, tzinfo=UTC)
    return Pod(task=task, title=title, started=started, **(usual | values))


def failure(reason="no rows", minute=1, **values):
    usual = {"task": "train", "title": "Train wide", "attempt": 1}
    return StepFailure(reason=reason, ended=f"2026-05-01T05:{minute:02}:00Z", **(usual | values))


def sentence(failures=(), *pods, **cluster):
    return explain_failure(RUN, list(failures), RunPods(pods, **cluster))[0]


def test_what_a_step_has_written_is_the_reason():
    assert sentence([failure()], pod()) == "Train wide: no rows"
    told, kept = explain_failure(RUN, [failure()], None)
    assert (told, kept) == ("Train wide: no rows", [failure()])


def test_of_several_the_last_is_the_reason():
    first, second = failure("no file", 1), failure("no rows", 2, task="evaluate", title="Evaluate")
    assert sentence([first, second]) == "Evaluate: no rows"


def test_what_was_repeated_since_is_not():
    again = pod(minute=2, reason="OOMKilled")
    told, kept = explain_failure(RUN, [failure()], RunPods((pod(), again)))
    assert told == (
        "Train wide, attempt 2: it needed more than its memory limit of 8Gi and was killed; raise "
        "platform.steps.train.memory_limit."
    )
    assert [each.attempt for each in kept] == [1, 2], "both are in the record"


def test_a_recorded_pod_without_memory_names_the_setting():
    killed = Pod.of(recorded_pod("OOMKilled", task="train-2"))
    assert killed
    assert killed.exit_code == 1, "the reason says it, not the code"
    assert sentence([], killed) == (
        "Train wide: it needed more than its memory limit of 512Mi and was killed; raise "
        "platform.steps.train.memory_limit."
    )


def test_a_recorded_pod_that_could_not_write_to_the_store_has_its_last_message():
    ended = Pod.of(recorded_pod("there are no files", task="plan", title="Plan the run"))
    assert ended
    assert sentence([], ended) == (
        "Plan the run: gs://setlist/nothing/here.parquet: there are no files in it; correct the "
        "path."
    )


def test_a_pod_without_a_word_names_the_log():
    assert sentence([], pod(exit_code=2)) == (
        "Train wide: it ended with exit code 2 and does not say why; look at its log with "
        f"`setlist runs logs {RUN} train`."
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"reason": "Evicted", "message": "low on memory", "exit_code": None},
            "its pod was lost (Evicted: low on memory); start the run again, or give it more "
            "platform.steps.train.retries.",
        ),
        (
            {"reason": "DeadlineExceeded", "exit_code": None},
            "it took longer than it may and was ended; raise platform.steps.train.timeout.",
        ),
    ],
)
def test_a_pod_that_kubernetes_ended_says_so(values, said):
    assert sentence([], pod(**values)) == f"Train wide: {said}"


def test_somebody_ended_it():
    killed = pod(exit_code=143)
    told = sentence([], pod("plan", "Plan", succeeded=True, failed=False), killed,
                    ended_by_hand=True)  # fmt: skip
    assert told == "It was ended by hand (Train wide)."
    assert sentence([], ended_by_hand=True) == "It was ended by hand (no step was running)."


def test_somebody_ended_it_after_it_had_failed():
    told = sentence([failure()], pod(), ended_by_hand=True)
    assert told == "Train wide: no rows (After that it was ended by hand.)"


def test_nodes_that_argo_has_packed_are_read():
    nodes = {"1": {"name": "w.root.train.executor", "type": "Pod"}}
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    assert nodes_of({"compressedNodes": packed}) == nodes_of({"nodes": nodes}) == nodes
    assert nodes_of({"compressedNodes": "half"}) == nodes_of({}) == {}


def test_its_time_was_over():
    assert sentence([], pod(exit_code=143), deadline=7_200) == (
        "It was ended by its deadline of 7,200 seconds; raise platform.deadline, or see which "
        "step took the time."
    )
    assert sentence([failure()], deadline=60) == "Train wide: no rows", "it had failed before"


def test_what_was_repeated_with_success_is_no_reason():
    well = pod(minute=3, succeeded=True, failed=False, exit_code=0)
    assert sentence([failure()], pod(), well) == ""


def test_nothing_is_known():
    assert explain_failure(RUN, [], None) == ("", [])


# Over the API of Kubernetes


@contextmanager
def kubernetes(tmp_path, monkeypatch, pods, workflow=None, status=200):
    """A server that knows these pods of one run; KUBECONFIG names it."""
    asked = []

    class Answers(Handler):
        def do_GET(self):  # noqa: N802
            asked.append(unquote(self.path))
            document = {"kind": "PodList", "apiVersion": "v1", "items": pods}
            code = status
            if "/workflows/" in self.path:
                document, code = workflow or {}, 200 if workflow else 403
            content = json.dumps(document).encode()
            self.respond(code, content, **{"Content-Type": "application/json"})

    with served(Answers) as url:
        path = tmp_path / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "current-context": "stub",
                    "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
                    "clusters": [{"name": "stub", "cluster": {"server": url}}],
                    "users": [{"name": "stub", "user": {}}],
                }
            )
        )
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield asked


def workflow(seconds, minutes_ago=5):
    started = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return {
        "spec": {"activeDeadlineSeconds": seconds},
        "status": {"startedAt": started.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def test_the_cluster_is_asked_for_the_pods_of_the_run_alone(tmp_path, monkeypatch):
    pods = [recorded_pod("OOMKilled"), recorded_pod("there are no files", "plan", "Plan")]
    driver = recorded_pod("OOMKilled")
    driver["spec"]["containers"][1]["env"] = []
    own = recorded_pod("OOMKilled", "announce-failure", "Look for a failure")
    monkeypatch.setenv(TASK_VARIABLE, "announce-failure")
    with kubernetes(tmp_path, monkeypatch, [*pods, driver, own], workflow(7_200)) as asked:
        read = read_run_pods(RUN, "team")
    assert read
    assert [each.title for each in read.pods] == ["Plan", "Train wide"], "by their beginning"
    assert (read.ended_by_hand, read.deadline) == (False, None)
    first, second = asked
    assert first.startswith("/api/v1/namespaces/team/pods?")
    assert f"labelSelector=pipeline/runid={RUN}" in first
    name = pods[0]["metadata"]["labels"]["workflows.argoproj.io/workflow"]
    assert second == f"/apis/argoproj.io/v1alpha1/namespaces/team/workflows/{name}"


@pytest.mark.parametrize(
    ("seconds", "ended_by_hand", "deadline"),
    [(0, True, None), (60, False, 60), (None, False, None)],
)
def test_who_ended_it_stands_in_the_workflow(
    tmp_path, monkeypatch, seconds, ended_by_hand, deadline
):
    with kubernetes(tmp_path, monkeypatch, [recorded_pod("OOMKilled")], workflow(seconds)):
        read = read_run_pods(RUN, "team")
    assert read
    assert (read.ended_by_hand, read.deadline) == (ended_by_hand, deadline)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "out_of_memory",
            "Train the two-tower: it needed more than its memory limit of 400Mi and was killed; "
            "raise platform.steps.train.memory_limit.",
        ),
        ("by_hand", "It was ended by hand (no step was running)."),
        (
            "deadline",
            "It was ended by its deadline of 60 seconds; raise platform.deadline, or see which "
            "step took the time.",
        ),
        (
            "bad_path",
            "Plan the run: gs://setlist/nothing/here.parquet: there are no files in it; correct "
            "the path.",
        ),
        (
            "pod_deleted",
            "Train the two-tower: its pod was ended from outside (exit code 143), as in a drain; "
            "start the run again: what is finished comes from the cache.",
        ),
    ],
)
def test_what_a_real_cluster_says_of_runs_whose_steps_wrote_nothing(
    tmp_path, monkeypatch, name, said
):
    """The last of them wrote its reason, too: its pod says the same."""
    recorded = json.loads(gzip.decompress((RECORDINGS / f"story_{name}.json.gz").read_bytes()))
    monkeypatch.setenv(TASK_VARIABLE, "announce-failure")
    monkeypatch.setenv(TITLES_VARIABLE, json.dumps({"train": "Train the two-tower"}))
    with kubernetes(tmp_path, monkeypatch, recorded["pods"]["items"], recorded["workflow"]):
        read = read_run_pods(RUN, "kubeflow")
    assert read
    assert "announce-failure" not in {pod.task for pod in read.pods}
    assert explain_failure(RUN, [], read)[0] == said


def test_a_pod_that_was_taken_away_is_known_from_the_workflow(tmp_path, monkeypatch):
    node = {
        "name": "w(0).root(0).train-2(0).executor(0)",
        "type": "Pod",
        "phase": "Error",
        "message": "pod deleted",
        "startedAt": "2026-05-01T05:00:00Z",
    }
    group = node | {"name": "w(0).root(0).train-2(0).executor", "type": "Retry"}
    driver = node | {"name": "w(0).root(0).train-2-driver(0)"}
    never_begun = node | {"name": "w(0).root(0).train(0).executor(0)", "startedAt": None}
    document = workflow(7_200)
    document["status"]["nodes"] = {"1": node, "2": group, "3": driver, "4": never_begun}
    with kubernetes(tmp_path, monkeypatch, [recorded_pod("OOMKilled", "plan")], document):
        read = read_run_pods(RUN, "team")
    assert read
    (gone, _) = read.pods
    assert (gone.task, gone.exit_code) == ("train-2", None)
    assert explain_failure(RUN, [], RunPods((gone,)))[0] == (
        "train-2: its pod was lost (Gone: pod deleted); start the run again, or give it more "
        "platform.steps.train.retries."
    )


def test_an_account_without_the_rights_is_a_line(tmp_path, monkeypatch, capsys):
    with kubernetes(tmp_path, monkeypatch, [], status=403):
        assert read_run_pods(RUN, "team") is None
    said = capsys.readouterr().out
    assert said.startswith("what the pods of the run say is not known: status 403")
    with kubernetes(tmp_path, monkeypatch, [recorded_pod("OOMKilled")]):
        read = read_run_pods(RUN, "team")
    assert read
    assert len(read.pods) == 1
    said = capsys.readouterr().out
    assert said.startswith("whether the run was ended by hand is not known: status 403")


def test_a_cluster_that_does_not_answer_is_a_line(tmp_path, monkeypatch, capsys):
    with kubernetes(tmp_path, monkeypatch, []):
        pass
    assert read_run_pods(RUN, "team") is None
    assert capsys.readouterr().out.startswith("what the pods of the run say is not known: ")
