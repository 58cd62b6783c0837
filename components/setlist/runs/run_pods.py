"""What the pods of a run say of their end: some die without a word, as when memory runs out.

Only the exit handler asks, in a pod of the same run. Its account may get and list pods and get the
run's Workflow (manifests/cluster/roles.yaml), which also knows of pods that are gone.
"""

import base64
import json
import os
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from setlist.runs.step_failure import TASK_VARIABLE, TITLE_VARIABLE

NAMESPACE_VARIABLE = "SETLIST_NAMESPACE"
"""The namespace of the exit handler's pod; only there are pods asked for."""
TITLES_VARIABLE = "SETLIST_TITLES"
"""The display names of all steps by their names in the compiled pipeline, in JSON."""
RUN_LABEL, WORKFLOW_LABEL = "pipeline/runid", "workflows.argoproj.io/workflow"
GONE = "Gone"
"""Argo's reason where a pod was taken away before it had ended."""
MAIN = "main"
"""The container that runs the step."""
READ_SECONDS = 10
MOST_BYTES = 64 << 20
"""Of the nodes of a Workflow, unpacked."""
MOST_PODS = 1_000
"""A run has 34 pods, and each retry of a step some more."""
WORKFLOWS = ("argoproj.io", "v1alpha1")
NODE_LABEL = "workflows.argoproj.io/node-name"
STEP_NODE = re.compile(r"\.([a-z0-9-]+)(?:\(\d+\))?\.executor(?:\(\d+\))?")
"""The end of the name of a node of Argo that is the pod of a step."""
EXIT_CODE = re.compile(r"\(exit code (\d+)\)(?:: )?")
EARLY = timedelta(seconds=5)
"""The controller ends a run by its own clock, which may be ahead of the one here."""


@dataclass(frozen=True)
class Pod:
    """An attempt at a step.

    Attributes:
        task: the step's name in the compiled pipeline.
        title: its display name.
        node: the name of its node in the Workflow.
        started: when the pod was made.
        succeeded: whether it ended well.
        failed: whether it ended otherwise.
        reason: of its end, or of why it does not start, in a word such as OOMKilled; may be "".
        message: what the step, or Kubernetes, says of its end; may be "".
        exit_code: of the step; None where it has not ended.
        memory_limit: as in the settings; "" for none.
    """

    task: str
    title: str
    node: str
    started: datetime
    succeeded: bool
    failed: bool
    reason: str
    message: str
    exit_code: int | None
    memory_limit: str

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Pod | None":
        """Read a document of Kubernetes; None where it is no pod of a step of ours."""
        containers = document["spec"]["containers"]
        main = next((each for each in containers if each["name"] == MAIN), None)
        values = {each["name"]: each.get("value") for each in (main or {}).get("env") or ()}
        if not main or not values.get(TASK_VARIABLE):
            return None
        status = document.get("status") or {}
        phase = status.get("phase")
        state = next(
            (
                each.get("state") or {}
                for each in status.get("containerStatuses") or ()
                if each["name"] == MAIN
            ),
            {},
        )
        ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        code = ended.get("exitCode")
        # Beside the step another container reports its end, and may be the one that fails.
        lost = phase == "Failed" and not ended
        of_container = ended.get("reason") or waiting.get("reason")
        return cls(
            task=values[TASK_VARIABLE],
            title=values.get(TITLE_VARIABLE) or values[TASK_VARIABLE],
            node=(document["metadata"].get("annotations") or {}).get(NODE_LABEL, ""),
            started=datetime.fromisoformat(document["metadata"]["creationTimestamp"]),
            succeeded=phase == "Succeeded" or code == 0,
            failed=bool(code) or lost,
            reason=status.get("reason") or of_container or "",
            message=ended.get("message") or status.get("message") or waiting.get("message") or "",
            exit_code=code,
            memory_limit=str((main.get("resources") or {}).get("limits", {}).get("memory", "")),
        )

    @classmethod
    def of_node(cls, node: dict[str, Any], titles: dict[str, str]) -> "Pod | None":
        """Read a node of a Workflow, whose pod may be gone; None where it is no failed step."""
        step = STEP_NODE.search(node.get("name", "")) if node.get("type") == "Pod" else None
        phase, started = node.get("phase"), node.get("startedAt")
        if not (step and step.end() == len(node["name"]) and started):
            return None
        if phase not in ("Failed", "Error"):
            return None
        message = node.get("message") or ""
        code = EXIT_CODE.search(message)
        return cls(
            task=step[1],
            title=titles.get(step[1], step[1]),
            node=node["name"],
            started=datetime.fromisoformat(started),
            succeeded=False,
            failed=True,
            reason=GONE if phase == "Error" else "",
            message=message[code.end() :] if code else message,
            exit_code=int(code[1]) if code else None,
            memory_limit="",
        )


@dataclass(frozen=True)
class RunPods:
    """What a cluster says of a run.

    Attributes:
        pods: of its steps, the oldest first, without the one that asks.
        ended_by_hand: whether somebody ended it.
        deadline: the seconds that it had, where they have passed; else None.
    """

    pods: tuple[Pod, ...]
    ended_by_hand: bool = False
    deadline: int | None = None


def kubernetes_client() -> Any:  # noqa: ANN401 - the library has no types
    """A client of the cluster that kubectl would ask, or of the cluster that this pod is in.

    Raises:
        ConfigException: there is none.
    """
    from kubernetes import client, config  # type: ignore[import-untyped]

    settings = client.Configuration()
    # The library reads the variable once, when it is imported.
    if path := os.environ.get("KUBECONFIG"):
        config.load_kube_config(config_file=path, client_configuration=settings)
    else:
        config.load_config(client_configuration=settings)
    settings.retries = False
    return client.ApiClient(settings)


def read_run_pods(run_id: str, namespace: str) -> RunPods | None:
    """Ask the cluster about a run; None, and a line that says why, where it does not answer."""
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

    try:
        api = kubernetes_client()
        listed = client.CoreV1Api(api).list_namespaced_pod(
            namespace,
            label_selector=f"{RUN_LABEL}={run_id}",
            limit=MOST_PODS,
            _request_timeout=READ_SECONDS,
        )
        documents = [api.sanitize_for_serialization(each) for each in listed.items]
    except (config.ConfigException, ApiException, HTTPError, OSError) as fault:
        print(f"what the pods of the run say is not known: {_short(fault)}", flush=True)
        return None
    steps = [pod for pod in map(Pod.of, documents) if pod]
    labels = (each["metadata"].get("labels") or {} for each in documents)
    workflow = next((each[WORKFLOW_LABEL] for each in labels if WORKFLOW_LABEL in each), None)
    if workflow is None:
        return RunPods(_in_order(steps))
    try:
        document = client.CustomObjectsApi(api).get_namespaced_custom_object(
            *WORKFLOWS, namespace, "workflows", workflow, _request_timeout=READ_SECONDS
        )
    except (ApiException, HTTPError, OSError) as fault:
        print(f"whether the run was ended by hand is not known: {_short(fault)}", flush=True)
        return RunPods(_in_order(steps))
    titles = json.loads(os.environ.get(TITLES_VARIABLE, "{}"))
    nodes = nodes_of(document.get("status") or {})
    known = {pod.node for pod in steps}
    gone = (Pod.of_node(node, titles) for node in nodes.values() if node.get("name") not in known)
    return _with_deadline(_in_order([*steps, *(pod for pod in gone if pod)]), document)


def nodes_of(status: dict[str, Any]) -> dict[str, Any]:
    """The nodes of a Workflow by id; Argo packs more than a mebibyte of them. None if damaged."""
    try:
        if packed := status.get("compressedNodes"):
            unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
            text = unpacked.decompress(base64.b64decode(packed), MOST_BYTES)
            return dict(json.loads(text))
        return dict(status.get("nodes") or {})
    except (ValueError, TypeError, zlib.error):
        return {}


def _in_order(pods: list[Pod]) -> tuple[Pod, ...]:
    """The oldest first, without the one that asks."""
    others = (pod for pod in pods if pod.task != os.environ.get(TASK_VARIABLE))
    return tuple(sorted(others, key=lambda pod: pod.started))


def _with_deadline(pods: tuple[Pod, ...], workflow: dict[str, Any]) -> RunPods:
    seconds = workflow["spec"].get("activeDeadlineSeconds")
    if seconds == 0:  # so the API's server ends a run
        return RunPods(pods, ended_by_hand=True)
    started = (workflow.get("status") or {}).get("startedAt")
    if not (seconds and started):
        return RunPods(pods)
    end = datetime.fromisoformat(started) + timedelta(seconds=seconds)
    return RunPods(pods, deadline=seconds if datetime.now(UTC) > end - EARLY else None)


def _short(fault: Exception) -> str:
    """A fault in a few words; that of the client holds headers and body."""
    status = getattr(fault, "status", None)
    return f"status {status} {getattr(fault, 'reason', '')}" if status else type(fault).__name__
