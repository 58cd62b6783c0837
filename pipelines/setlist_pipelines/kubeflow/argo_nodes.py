"""The nodes of a run's Argo workflow: their names, found from the ids that a run's document holds.

A run names no nodes. Its tasks have the last part of a node's name (`plan`, `plan(0)`, `executor`)
and the ids of the nodes below. An id is WORKFLOW-HASH, where the hash is FNV-1a (32 bits) of the
node's full name, such as `retraining-x7k2p(0).root(0).exit-handler-1(0).plan(0).executor(0)`. So
the names are found from the top: a child's name is its parent's with one more part. A part ends in
"(0)", "(1)" and so on where the parent is repeated: 2.17 makes that of every node.
"""

import re
from collections.abc import Iterable

from setlist_pipelines.kubeflow.api import Json

FNV_OFFSET, FNV_PRIME = 2166136261, 16777619
MOST_ATTEMPTS = 11
"""The settings allow ten retries."""
ATTEMPT = re.compile(r"\((\d+)\)$")


def task_details(run: Json) -> list[Json]:
    """The tasks in a run's document; none before it has begun."""
    return list((run.get("run_details") or {}).get("task_details") or ())


def child_ids(task: Json) -> list[str]:
    """The ids of the nodes below a task, and of those that come after it."""
    children = task.get("child_tasks") or ()
    return [str(child["pod_name"]) for child in children if child.get("pod_name")]


def node_names(run: Json, parts: Iterable[str]) -> dict[str, str]:
    """The names of a run's nodes, by id.

    Args:
        run: the server's document.
        parts: what a name can be made of: the tasks of the pipeline.
    """
    ids = {node for task in task_details(run) for node in child_ids(task)}
    if not ids:
        return {}
    workflow = min(ids).rpartition("-")[0]
    suffixes = [f"({attempt})" for attempt in range(MOST_ATTEMPTS)]
    suffixes += [f".{part}" for part in dict.fromkeys((*parts, "root", "executor"))] + [".onExit"]
    names: dict[str, str] = {}
    ahead = [(workflow, fnv(workflow))]
    while ahead:
        name, name_hash = ahead.pop()
        for suffix in suffixes:
            child_hash = fnv(suffix, name_hash)
            node = f"{workflow}-{child_hash}"
            if node in ids and node not in names:
                names[node] = f"{name}{suffix}"
                ahead.append((names[node], child_hash))
    return names


def fnv(text: str, text_hash: int = FNV_OFFSET) -> int:
    """FNV-1a of a text; or of another plus this, from the hash of the other, its whole state."""
    for byte in text.encode():
        text_hash = (text_hash ^ byte) * FNV_PRIME % 2**32
    return text_hash
