"""Reads the logs of a run's steps from Kubeflow Pipelines, pod by pod.

The v2beta1 API has no call for logs. The sources of the backend and of its web page show:

- The API's server returns a log at /apis/v1alpha1/runs/RUN/nodes/POD/log. The web page's server,
  which forwards only other paths to the API, returns it at /k8s/pod/logs. Both take the pod's name,
  and both read it from an archive, if one is configured, when the pod is gone.
- A run names no pods: `pod_name` stays empty, and `child_tasks` hold the ids of Argo's nodes,
  WORKFLOW-HASH, where the hash is FNV-1a (32 bits) of the node's name. The pod of a node is
  WORKFLOW-TEMPLATE-HASH. A step's only child is the node of its container; with retries, the pods
  are the children of that node, and "(0)", "(1)" and so on are appended to its name.
"""

from collections.abc import Iterator

from setlist.errors import ClusterNotFoundError
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.submission import Task, begun_steps

TEMPLATE, RETRIED_TEMPLATE = "system-container-impl", "retry-system-container-impl"
"""Argo's templates of a container: for a step without retries, and for a step with retries."""
FNV_PRIME = 16777619
MOST_ATTEMPTS = 11
"""The settings allow ten retries."""
RUN_LABEL = "pipeline/runid"
"""The label that all pods of a run have."""


def select_steps(run: Json, name: str) -> list[Task]:
    """The steps of a run by this name, or all of them for "".

    Raises:
        ClusterNotFoundError: no step of this name has begun.
    """
    begun = begun_steps(run)
    selected = [step for step in begun if name in ("", step.name)]
    if not selected:
        known = ", ".join(step.name for step in begun) or "none"
        raise ClusterNotFoundError(
            f"{f'no step {name}' if name else 'no step'} of this run has begun; "
            f"those that have: {known}."
        )
    return selected


def step_logs(kubeflow: Kubeflow, run: Json, step: Task) -> Iterator[tuple[str, str]]:
    """The name of the pod and its log, for each attempt at a step that left a log."""
    for pod in step.pods:
        if (log := _pod_log(kubeflow, run, pod)) is not None:
            yield pod, log
    for node in step.children:
        workflow, _, node_hash = node.rpartition("-")
        if not workflow or not node_hash.isdecimal():
            continue
        pod = f"{workflow}-{TEMPLATE}-{node_hash}"
        if (log := _pod_log(kubeflow, run, pod)) is not None:
            yield pod, log
            continue
        # The run does not tell how many attempts there were: ask until a pod has no log.
        for attempt in range(MOST_ATTEMPTS):
            pod = f"{workflow}-{RETRIED_TEMPLATE}-{_extend_hash(int(node_hash), f'({attempt})')}"
            if (log := _pod_log(kubeflow, run, pod)) is None:
                break
            yield pod, log


def kubectl_logs_command(kubeflow: Kubeflow, run: Json) -> str:
    """The command that prints the logs of a run without Kubeflow Pipelines."""
    namespace = kubeflow.access.namespace or "kubeflow"
    return (
        f"kubectl -n {namespace} logs -l {RUN_LABEL}={run.get('run_id')} -c main --prefix --tail=-1"
    )


def _pod_log(kubeflow: Kubeflow, run: Json, pod: str) -> str | None:
    """The log of a pod from the API's server, or else from the web page's; None for no log."""
    log = kubeflow.text(f"apis/v1alpha1/runs/{run['run_id']}/nodes/{pod}/log")
    if log is not None:
        return log
    place = {"podnamespace": kubeflow.access.namespace} if kubeflow.access.namespace else {}
    return kubeflow.text("k8s/pod/logs", podname=pod, runid=str(run["run_id"]), **place)


def _extend_hash(text_hash: int, suffix: str) -> int:
    """FNV-1a of a text plus a suffix, from that of the text: the hash is the whole state."""
    for byte in suffix.encode():
        text_hash = (text_hash ^ byte) * FNV_PRIME % 2**32
    return text_hash
