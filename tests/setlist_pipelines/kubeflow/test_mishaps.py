"""What befalls runs on a cluster, and what each command says of it."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.setlist_pipelines.kubeflow.kfp_stories import Story, pod

SUBMIT = "submit --config FILE"
FIRST, SECOND = "00000001-0000", "00000002-0000"
FULL_BUCKET = (
    "[KFP Executor 2026-11-27 23:20:54,042 INFO]: Wrote executor output file to /minio/x.json.\n"
    "I1127 23:20:54.877912      16 launcher_v2.go:867] Executing uploadOutputArtifacts attempt: 1\n"
    "E1127 23:20:55.000000      16 launcher_v2.go:899] All upload artifact attempts failed: x\n"
    "F1127 23:20:55.000000      16 main.go:65] failed to execute component: failed to upload "
    'output artifact "table" to remote storage URI "minio://mlpipeline/v2/x/table": uploadFile(): '
    'unable to complete copying "/minio/x/table" to remote storage "x/table": QuotaExceeded\n'
)


@pytest.fixture
def told(cluster, on_cluster):
    """Submits a run that this befalls, and follows it; the end that is told, and the exit code."""

    def told(story: Story, run_id: str = FIRST) -> tuple[int, str]:
        cluster.stories[run_id] = story
        code, said = on_cluster(f"{SUBMIT} --wait")
        return code, said.partition("ended ")[2].partition(" link ")[0]

    return told


def shown(on_cluster, run_id: str = FIRST) -> str:
    code, said = on_cluster(f"runs show {run_id}")
    assert code == 0
    return said


# Two runs at once


def test_two_runs_at_once_each_have_their_own_end_and_logs(cluster, on_cluster):
    failed = Story("FAILED", message="main: Error (exit code 1): the first one's reason")
    cluster.stories = {FIRST: failed, SECOND: Story()}
    assert on_cluster(f"{SUBMIT} --id a")[0] == on_cluster(f"{SUBMIT} --id b")[0] == 0
    code, said = on_cluster(f"{SUBMIT} --id b --wait")
    assert (code, "ended SUCCEEDED" in said) == (0, True)
    code, said = on_cluster(f"{SUBMIT} --id a --wait")
    assert (code, "ended FAILED: Curate the data: the first one's reason" in said) == (1, True)
    assert "the first one's reason" in shown(on_cluster, FIRST)
    assert "the first one's reason" not in shown(on_cluster, SECOND)
    assert len(cluster.runs) == 2


def test_to_end_a_run_leaves_the_other_alone(cluster, on_cluster):
    assert on_cluster(f"{SUBMIT} --id a")[0] == on_cluster(f"{SUBMIT} --id b")[0] == 0
    assert on_cluster(f"runs stop {FIRST} --yes")[0] == 0
    code, said = on_cluster(f"{SUBMIT} --id b --wait")
    assert (code, "ended SUCCEEDED" in said) == (0, True)
    code, said = on_cluster(f"{SUBMIT} --id a --wait")
    assert (code, "ended FAILED: it was ended by hand" in said) == (1, True)


# Ended by hand


def test_a_run_that_was_ended_by_hand_is_no_step_that_failed(on_cluster, told):
    """Recorded: CANCELING in the history, the step that ran FAILED, the run FAILED."""
    assert told(Story(stopped=True)) == (1, "FAILED: it was ended by hand")
    said = shown(on_cluster)
    assert "state FAILED: it was ended by hand" in said
    assert "memory" not in said


def test_a_run_that_is_being_ended_has_not_ended(cluster, on_cluster):
    cluster.stories = {FIRST: Story(stopped=True), SECOND: Story(stopped=True)}
    for run in (FIRST, SECOND):
        assert on_cluster(SUBMIT)[0] == 0
        assert "state PENDING" in shown(on_cluster, run)
    assert "state CANCELING" in shown(on_cluster, FIRST)
    code, said = on_cluster(f"runs delete {SECOND} --yes")
    assert (code, "goes on" in said) == (1, True)


def test_to_end_a_run_twice_is_to_end_it(cluster, on_cluster):
    """Seen: the second call is refused with 400, and a lost answer makes us ask twice."""
    assert on_cluster(SUBMIT)[0] == 0
    for _ in range(2):
        code, said = on_cluster(f"runs stop {FIRST} --yes")
        assert (code, "is being ended" in said) == (0, True)


def test_a_run_whose_workflow_is_gone_can_be_deleted_after_a_while(cluster, on_cluster):
    """Seen: such a run says CANCELING for ever, and its deletion works."""
    assert on_cluster(SUBMIT)[0] == 0
    for minutes, code in ((1, 1), (11, 0)):
        then = datetime.now(UTC) - timedelta(minutes=minutes)
        cluster.without_workflow = {FIRST: then.isoformat()}
        assert on_cluster(f"runs stop {FIRST} --yes")[0] == 0
        assert on_cluster(f"runs delete {FIRST} --yes")[0] == code
    assert cluster.runs == []


def test_a_run_that_is_deleted_while_it_is_followed_is_no_run_that_goes_on(cluster, on_cluster):
    cluster.deleted_at_once = True
    code, said = on_cluster(f"{SUBMIT} --wait")
    assert (code, "was deleted while it was followed" in said) == (1, True)
    assert "goes on" not in said


# A node that goes away


def test_a_step_whose_node_went_away_is_shown_with_its_attempts_and_both_logs(
    cluster, on_cluster, told
):
    """Argo repeats a lost pod (OnError), as its sources say; see the recording for another way."""
    assert told(Story(attempts=2)) == (0, "SUCCEEDED")
    assert "Curate the data succeeded 180 2 curate" in shown(on_cluster)
    cluster.logs = {pod("curate", 0): "cut off\n", pod("curate", 1): "whole\n"}
    code, said = on_cluster(f"runs logs {FIRST} curate")
    assert (code, said.partition("cut off")[2].endswith("whole")) == (0, True)
    del cluster.logs[pod("curate", 0)]  # it went with its node
    code, said = on_cluster(f"runs logs {FIRST} curate")
    assert (code, said) == (0, f"==> curate succeeded {pod('curate', 1)} whole")


def test_a_step_whose_node_went_away_too_often_says_so(on_cluster, told):
    code, end = told(Story("FAILED", attempts=3, message="pod deleted"))
    assert (code, end) == (1, "FAILED: Curate the data: its pod: pod deleted")
    assert "its pod: pod deleted" in shown(on_cluster)
    code, said = on_cluster(f"runs logs {FIRST} curate")
    assert (code, "no log of curate: the pod is gone" in said) == (1, True)


# A full bucket


def test_a_full_bucket_is_told_in_the_words_of_the_launcher(cluster, on_cluster, told):
    """The step has done its work, so no sentence of ours is in its termination message."""
    cluster.logs = {pod("curate"): FULL_BUCKET}
    code, end = told(Story("FAILED", message="main: Error (exit code 1)"))
    assert code == 1
    assert end.startswith(
        "FAILED: Curate the data: its outputs could not be stored: failed to upload output "
        'artifact "table" to remote storage URI "minio://mlpipeline/v2/x/table"'
    )
    assert "QuotaExceeded; see whether the bucket is full or refuses, then submit again" in end
    assert "memory" not in end
    assert "its outputs could not be stored" in shown(on_cluster)
    code, said = on_cluster(f"runs logs {FIRST} curate")
    assert (code, "All upload artifact attempts failed" in said) == (0, True)


def test_a_full_bucket_whose_pod_is_gone_leaves_no_log_and_no_guess(on_cluster, told):
    """Argo could not store the log there either."""
    code, end = told(Story("FAILED", message="main: Error (exit code 1)"))
    assert code == 1
    assert end.startswith("FAILED: Curate the data: it left neither a sentence nor a log: see")
    code, said = on_cluster(f"runs logs {FIRST} curate")
    assert (code, "no log of curate: the pod is gone" in said) == (1, True)


def test_a_value_that_argo_would_replace_is_refused_before_it_is_sent(cluster, on_cluster):
    """Seen: `{{workflow.name}}` in a path became the name of the Workflow."""
    code, said = on_cluster(SUBMIT, "--set", 'data.events.path="gs://b/{{workflow.name}}"')
    assert (code, "data: a value holds {{, which Argo would replace" in said) == (1, True)
    assert cluster.runs == []
