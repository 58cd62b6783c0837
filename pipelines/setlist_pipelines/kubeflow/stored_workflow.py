"""What Argo saw of a run's pods, from the copy of its Workflow object that the backend keeps.

A run's v2beta1 document says nothing of a pod but its state. The v1beta1 document of the same run,
which 2.17 still serves, holds the Workflow object as it was reported last, and holds it when
Workflow and pods are gone (read in the sources of 2.17.0: `toApiRunDetailV1`). Its nodes have the
message of each pod, and a driver's node has the address at which the launcher stores the step's
log. Whatever is missing or of another shape counts as not there.
"""

import json
import re
from typing import Any

from setlist.runs.run_pods import nodes_of
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.argo_nodes import ATTEMPT

PUBLISHED_LOG = "executor-logs"
"""The artifact that the launcher makes of a step's log; "-0", "-1" and so on for its attempts."""
EXIT = re.compile(r"main: (?P<reason>\w+) \(exit code -?\d+\)(?:: (?P<words>.+))?", re.DOTALL)
"""How Argo writes down the end of a container that failed: reason, code, termination message."""


def workflow_nodes(kubeflow: Kubeflow, run: Json) -> dict[str, Json]:
    """The nodes of a run's Workflow by id; none where the server does not have them."""
    document = _parsed(kubeflow.text(f"apis/v1beta1/runs/{run['run_id']}"))
    workflow = _parsed(_below(document, "pipeline_runtime", "workflow_manifest"))
    status = _below(workflow, "status")
    nodes = nodes_of(status) if isinstance(status, dict) else {}
    return {str(key): node for key, node in nodes.items() if isinstance(node, dict)}


def pod_end(nodes: dict[str, Json], node: str) -> tuple[str, str]:
    """The reason for which a pod failed, and the words that it left; "" for what is not known.

    A message of Argo about the pod itself, such as "pod deleted", is a reason without words.
    """
    message = str(nodes.get(node, {}).get("message") or "")
    exit_ = EXIT.fullmatch(message)
    if exit_ is None:
        return message, ""
    return exit_["reason"], exit_["words"] or ""


def published_log_address(nodes: dict[str, Json], node: str) -> str:
    """Where the launcher stores the log of a pod, such as minio://bucket/key; "" if unknown.

    The driver of a step gives the launcher the address without the number of the attempt, which
    the launcher adds.
    """
    name = str(nodes.get(node, {}).get("name") or "")
    attempt = ATTEMPT.search(name)
    task = ATTEMPT.sub("", ATTEMPT.sub("", name).rpartition(".")[0])
    for driver in nodes.values():
        if not task or ATTEMPT.sub("", str(driver.get("name") or "")) != f"{task}-driver":
            continue
        parameters = _below(driver, "outputs", "parameters")
        for parameter in parameters if isinstance(parameters, list) else ():
            if _below(parameter, "name") == "pod-spec-patch":
                address = _address(_parsed(_below(parameter, "value")))
                if address:
                    return f"{address}-{attempt[1] if attempt else 0}"
    return ""


def _address(pod: Any) -> str:  # noqa: ANN401 - any JSON
    """The address of the log in the arguments of a pod's launcher."""
    containers = _below(pod, "containers")
    for container in containers if isinstance(containers, list) else ():
        command = _below(container, "command")
        words = command if isinstance(command, list) else []
        if "--executor_input" not in words[:-1]:
            continue
        given = _parsed(words[words.index("--executor_input") + 1])
        artifacts = _below(given, "outputs", "artifacts", PUBLISHED_LOG, "artifacts")
        if isinstance(artifacts, list) and artifacts:
            return str(_below(artifacts[0], "uri") or "")
    return ""


def _parsed(text: Any) -> Any:  # noqa: ANN401 - any JSON
    """The JSON in a text; None where there is none."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def _below(document: Any, *keys: str) -> Any:  # noqa: ANN401 - any JSON
    """The value at a path of keys; None where there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document
