"""Why a run failed, from what its steps have written and, for those that could not, from its pods.

In this order, the first that is known: somebody ended it; a step has written its reason; a pod was
killed or lost; its time was over; a pod's last message.
"""

import re
from datetime import datetime

from setlist.printable import one_line
from setlist.runs.run_pods import GONE, Pod, RunPods
from setlist.runs.step_failure import MOST_CHARACTERS, StepFailure

OUT_OF_MEMORY, OUT_OF_TIME = "OOMKilled", "DeadlineExceeded"
LOST = (GONE, "Evicted", "NodeLost", "Preempting", "Shutdown", "Terminated", "NodeShutdown")
"""Reasons of a pod that was taken away."""
ENDED_FROM_OUTSIDE = (128 + 15, 128 + 9)
"""Exit codes of a process that got SIGTERM or SIGKILL."""
NUMBER_OF_COPY = re.compile(r"-\d+$")
"""The second task of a component is NAME-2."""


def explain_failure(
    run_id: str, failures: list[StepFailure], cluster: RunPods | None
) -> tuple[str, list[StepFailure]]:
    """One sentence, "" where nothing is known, and the failures of steps that it rests on.

    Args:
        run_id: of the run.
        failures: what the steps have written, in the order of their ends.
        cluster: what the pods say; None on a laptop, or where they are not known.
    """
    pods = cluster.pods if cluster else ()
    if cluster and cluster.ended_by_hand:
        if failures and not _was_repeated(failures[-1], pods):
            return f"{failures[-1].sentence} (After that it was ended by hand.)", failures
        begun = [pod for pod in pods if not pod.succeeded]
        steps = ", ".join(dict.fromkeys(pod.title for pod in begun)) or "no step was running"
        return one_line(f"It was ended by hand ({steps})."), failures
    open_failures = [failure for failure in failures if not _was_repeated(failure, pods)]
    if open_failures:
        return open_failures[-1].sentence, failures
    silent = [(pod, _of_pod(pod, pods, run_id)) for pod in pods if _is_last_failure(pod, pods)]
    kinds = (OUT_OF_MEMORY, OUT_OF_TIME, *LOST)
    killed = [failure for pod, failure in silent if pod.reason in kinds]
    if killed:
        return killed[-1].sentence, [*failures, *killed]
    if cluster and cluster.deadline is not None:
        return (
            f"It was ended by its deadline of {cluster.deadline:,} seconds; raise "
            "platform.deadline, or see which step took the time.",
            failures,
        )
    if silent:
        last = silent[-1][1]
        return last.sentence, [*failures, last]
    return "", failures


def _is_last_failure(pod: Pod, pods: tuple[Pod, ...]) -> bool:
    later = [each for each in pods if each.task == pod.task and each.started > pod.started]
    return pod.failed and not later


def _was_repeated(failure: StepFailure, pods: tuple[Pod, ...]) -> bool:
    """Whether the step was started again after this failure, and has another end."""
    ended = datetime.fromisoformat(failure.ended)
    return any(pod.task == failure.task and pod.started > ended for pod in pods)


def _of_pod(pod: Pod, pods: tuple[Pod, ...], run_id: str) -> StepFailure:
    """The failure of a step that wrote nothing."""
    setting = f"platform.steps.{NUMBER_OF_COPY.sub('', pod.task)}"
    remedy = ""
    if pod.reason == OUT_OF_MEMORY:
        limit = f" of {pod.memory_limit}" if pod.memory_limit else ""
        reason = f"it needed more than its memory limit{limit} and was killed"
        remedy = f"raise {setting}.memory_limit"
    elif pod.reason == OUT_OF_TIME:
        reason, remedy = "it took longer than it may and was ended", f"raise {setting}.timeout"
    elif pod.reason in LOST:
        reason = f"its pod was lost ({pod.reason}{': ' * bool(pod.message)}{pod.message})"
        remedy = f"start the run again, or give it more {setting}.retries"
    elif pod.message:
        reason = pod.message
    elif pod.exit_code in ENDED_FROM_OUTSIDE:
        reason = f"its pod was ended from outside (exit code {pod.exit_code}), as in a drain"
        remedy = "start the run again: what is finished comes from the cache"
    else:
        reason = f"it ended with exit code {pod.exit_code} and does not say why"
        remedy = f"look at its log with `setlist runs logs {run_id} {pod.task}`"
    attempt = 1 + sum(each.task == pod.task and each.started < pod.started for each in pods)
    return StepFailure(
        task=pod.task,
        title=pod.title,
        attempt=attempt,
        reason=one_line(reason)[:MOST_CHARACTERS],
        remedy=remedy,
        ended=pod.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
