"""Reads the logs of a run's steps from Kubeflow Pipelines, pod by pod.

The v2beta1 API has no call for logs. The sources of the backend and of its web page show four
doors, which are tried in this order:

- The API's server returns the log of a pod, or of its archive, at
  /apis/v1alpha1/runs/RUN/nodes/POD/log. Where there is none, it answers 200 with an error in JSON.
- The web page's server, which forwards only other paths to the API, returns it at /k8s/pod/logs.
- Argo stores the log of a pod that has ended as its artifact `main-logs`, and the API's server
  returns that in Base64, also when pod and workflow are gone.
- The launcher stores what the step prints as the artifact `executor-logs-0`. Argo does not know of
  it, so the API's server does not return it (404): the web page's server does, at /artifacts/get.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from functools import cached_property

from setlist.errors import ClusterNotFoundError
from setlist.runs.failed_run import OUT_OF_MEMORY
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.run_steps import (
    CACHED,
    LEFT_OUT,
    NOT_BEGUN,
    Step,
    read_plan,
    steps_of,
)
from setlist_pipelines.kubeflow.stored_workflow import (
    pod_end,
    published_log_address,
    workflow_nodes,
)

TEMPLATE, RETRIED_TEMPLATE = "system-container-impl", "retry-system-container-impl"
"""Argo's templates of a container: for a step without retries, and for a step with retries."""
STORED_LOG = "main-logs"
RUN_LABEL = "pipeline/runid"
"""The label that all pods of a run have."""
FAULT = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\w*: (.+)")
"""The last line of a traceback."""
LAUNCHER_FAULT = re.compile(
    r"F\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] (?:failed to execute component: )?(.+)"
)
"""The last line of a launcher that fails."""
OF_THE_STEP = re.compile(r"exit status \d+")
"""What the launcher says of a step that failed by itself."""
KILLED = "signal: killed"
"""What it says of one that was killed, by Linux, beyond the memory of its container."""
PAGE_SOURCES = {"minio": "minio", "s3": "s3", "gs": "gcs"}
"""What the web page's server calls a store, by the scheme of an address."""
LONGEST_REASON = 500


def select_steps(kubeflow: Kubeflow, run: Json, name: str) -> list[Step]:
    """The steps of a run by this name or display name, or all that have a pod for "".

    Raises:
        ClusterNotFoundError: no such step has begun.
    """
    steps = steps_of(run, read_plan(kubeflow, run))
    begun = [step for step in steps if step.state not in (LEFT_OUT, NOT_BEGUN)]
    if not name:
        selected = [step for step in begun if step.state != CACHED]
    else:
        selected = [step for step in begun if name in (step.task, step.name)]
    if not selected:
        known = ", ".join(step.task for step in begun) or "none"
        raise ClusterNotFoundError(
            f"{f'no step {name}' if name else 'no step'} of this run has begun; "
            f"those that have: {known}."
        )
    return selected


class RunLogs:
    """The logs of a run's steps; what Argo saw of its pods is read once, where it is needed."""

    def __init__(self, kubeflow: Kubeflow, run: Json) -> None:
        """Keep the API and the server's document of the run."""
        self._kubeflow = kubeflow
        self._run = run

    @cached_property
    def _nodes(self) -> dict[str, Json]:
        return workflow_nodes(self._kubeflow, self._run)

    def of(self, step: Step) -> Iterator[tuple[str, str]]:
        """The name of the pod and its log, for each attempt at a step that left a log."""
        if step.state == CACHED:
            return
        templates = (RETRIED_TEMPLATE, TEMPLATE) if step.repeats else (TEMPLATE, RETRIED_TEMPLATE)
        for node in step.pods:
            workflow, _, node_hash = node.rpartition("-")
            for template in templates:
                pod = f"{workflow}-{template}-{node_hash}"
                if log := _pod_log(self._kubeflow, self._run, pod):
                    yield pod, log
                    break
            else:
                log = _stored_log(self._kubeflow, self._run, node)
                log = log or _published_log(
                    self._kubeflow, published_log_address(self._nodes, node)
                )
                if log:
                    yield f"{workflow}-{templates[0]}-{node_hash}", log

    def address(self, step: Step) -> str:
        """Where the launcher stored the log of the last attempt; "" where that is not known.

        It may be there although no server returned it: only that of the web page can.
        """
        return published_log_address(self._nodes, step.pods[-1]) if step.pods else ""

    def reason_of_failure(self, step: Step) -> str:
        """Why a step failed, in one line, and what to do where the step itself does not say so.

        The step writes its sentence into the termination message of its pod, which Argo keeps.
        Where there is none, the end of the log tells who ended it: the step, the launcher, or
        Linux.
        """
        reason, words = pod_end(self._nodes, step.pods[-1] if step.pods else "")
        memory = f"raise platform.steps.{step.task}.memory_limit"
        if reason == OUT_OF_MEMORY:
            return f"it needed more memory than it may have; {memory}"
        if words:
            return _short(words)
        lines = next((log.splitlines() for _, log in reversed([*self.of(step)])), [])
        launcher = _last(LAUNCHER_FAULT, lines)
        if launcher == KILLED:
            return f"it was killed, most likely beyond its memory; {memory}"
        if "upload" in launcher:
            return (
                f"its outputs could not be stored: {_short(launcher)}; see whether the bucket is "
                "full or refuses, then submit again: the steps before it come from the cache"
            )
        if launcher and not OF_THE_STEP.fullmatch(launcher):
            return f"the launcher of Kubeflow Pipelines failed: {_short(launcher)}"
        if fault := _last(FAULT, lines):
            return _short(fault)
        if reason and reason != "Error":
            return f"its pod: {_short(reason)}"
        nothing = "its log does not say why" if lines else "it left neither a sentence nor a log"
        return (
            f"{nothing}: see `kubectl describe pod` for its reason; a step beyond its memory is "
            f"killed without a word: then {memory}"
        )


def _last(pattern: re.Pattern[str], lines: list[str]) -> str:
    """The group of the last line that is of a pattern; "" for none."""
    matches = (pattern.fullmatch(line.strip()) for line in reversed(lines))
    return next((match[1] for match in matches if match), "")


def _short(text: str) -> str:
    """A text on one line, cut where it is long."""
    return " ".join(text.split())[:LONGEST_REASON]


def kubectl_logs_command(kubeflow: Kubeflow, run: Json) -> str:
    """The command that prints the logs of a run without Kubeflow Pipelines."""
    namespace = kubeflow.access.namespace or "kubeflow"
    return (
        f"kubectl -n {namespace} logs -l {RUN_LABEL}={run.get('run_id')} -c main --prefix --tail=-1"
    )


def without_error(log: str) -> str:
    """A log without the server's error: the whole answer, or the end of a log that was cut off."""
    start = log.rfind('{"error_message"')
    try:
        document = json.loads(log[start:]) if start >= 0 else None
    except ValueError:
        return log
    if isinstance(document, dict) and document.keys() <= {"error_message", "error_details"}:
        return log[:start]
    return log


def _pod_log(kubeflow: Kubeflow, run: Json, pod: str) -> str:
    """The log of a pod from the API's server, or else from the web page's; "" for no log."""
    log = kubeflow.text(f"apis/v1alpha1/runs/{run['run_id']}/nodes/{pod}/log")
    if log is not None and (log := without_error(log)):
        return log
    place = {"podnamespace": kubeflow.access.namespace} if kubeflow.access.namespace else {}
    log = kubeflow.text("k8s/pod/logs", podname=pod, runid=str(run["run_id"]), **place)
    return without_error(log or "")


def _stored_log(kubeflow: Kubeflow, run: Json, node: str) -> str:
    """The log that Argo stored when a pod ended; "" for none."""
    path = f"apis/v2beta1/runs/{run['run_id']}/nodes/{node}/artifacts/{STORED_LOG}:read"
    try:
        document = json.loads(kubeflow.text(path) or "{}")
        return base64.b64decode(document.get("data") or "", validate=True).decode(
            "utf-8", "replace"
        )
    except (ValueError, AttributeError, TypeError, binascii.Error):
        return ""


def _published_log(kubeflow: Kubeflow, address: str) -> str:
    """The log that the launcher stored at an address, from the web page's server; "" for none."""
    scheme, _, place = address.partition("://")
    bucket, _, key = place.partition("/")
    if scheme not in PAGE_SOURCES or not key:
        return ""
    query = {"source": PAGE_SOURCES[scheme], "bucket": bucket, "key": key}
    return without_error(kubeflow.text("artifacts/get", **query, **kubeflow.scope) or "")
