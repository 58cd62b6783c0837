"""The logs of a run's steps, asked of Kubeflow Pipelines pod by pod.

The v2beta1 API has no call for logs. What was read in the sources of the backend and of the page:

- The API's server gives them at /apis/v1alpha1/runs/RUN/nodes/POD/log, the page's server, which
  hands on only other paths to the API, at /k8s/pod/logs. Both take the pod's name, and both look
  into an archive, if one is configured, when the pod is gone.
- A run names no pods: `pod_name` stays empty, and `child_tasks` hold the ids of Argo's nodes,
  WORKFLOW-HASH, where the hash is FNV-1a (32 bits) of the node's name. The pod of a node is
  WORKFLOW-TEMPLATE-HASH. A step's only child is the node of its container; with retries, the pods
  are that node's children, whose names are its own and "(0)", "(1)" and so on.
"""

from collections.abc import Iterator

from setlist.errors import SetlistError
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.submission import Task, tasks

ONCE, REPEATED = "system-container-impl", "retry-system-container-impl"
"""Argo's templates of a container: for a step without retries, and for one with them."""
FNV_PRIME = 16777619
MOST_ATTEMPTS = 11
"""Ten retries are the most that the settings allow."""
RUN_LABEL = "pipeline/runid"
"""The label that all pods of a run have."""


def chosen(run: Json, step: str) -> list[Task]:
    """The steps of a run by this name, or all of them for "".

    Raises:
        SetlistError: when no step of this name has begun.
    """
    begun = tasks(run)
    found = [task for task in begun if step in ("", task.name)]
    if not found:
        known = ", ".join(task.name for task in begun) or "none"
        raise SetlistError(
            f"{f'no step {step}' if step else 'no step'} of this run has begun; "
            f"those that have: {known}."
        )
    return found


def logs(kubeflow: Kubeflow, run: Json, task: Task) -> Iterator[tuple[str, str]]:
    """Name of the pod and its log, for each attempt at a step that left one."""
    for named in task.pods:
        if (text := _log(kubeflow, run, named)) is not None:
            yield named, text
    for node in task.children:
        workflow, _, hashed = node.rpartition("-")
        if not workflow or not hashed.isdecimal():
            continue
        once = f"{workflow}-{ONCE}-{hashed}"
        if (text := _log(kubeflow, run, once)) is not None:
            yield once, text
            continue
        for attempt in range(MOST_ATTEMPTS):
            pod = f"{workflow}-{REPEATED}-{_continued(int(hashed), f'({attempt})')}"
            if (text := _log(kubeflow, run, pod)) is None:
                break
            yield pod, text


def remedy(kubeflow: Kubeflow, run: Json) -> str:
    """How to look for the logs without Kubeflow Pipelines."""
    namespace = kubeflow.access.namespace or "kubeflow"
    return (
        f"kubectl -n {namespace} logs -l {RUN_LABEL}={run.get('run_id')} -c main --prefix --tail=-1"
    )


def _log(kubeflow: Kubeflow, run: Json, pod: str) -> str | None:
    found = kubeflow.text(f"apis/v1alpha1/runs/{run['run_id']}/nodes/{pod}/log")
    if found is not None:
        return found
    place = {"podnamespace": kubeflow.access.namespace} if kubeflow.access.namespace else {}
    return kubeflow.text("k8s/pod/logs", podname=pod, runid=str(run["run_id"]), **place)


def _continued(hashed: int, text: str) -> int:
    """FNV-1a of a longer text, from that of its beginning: the hash is all of its state."""
    for byte in text.encode():
        hashed = (hashed ^ byte) * FNV_PRIME % 2**32
    return hashed
