"""What the configuration of Argo's controller makes of a step's retries.

Kubeflow Pipelines 2.17 comes with `templateDefaults.retryStrategy` of policy OnError. Argo merges
it into every template while a run goes on, and a compiled pipeline cannot name a policy: a step
whose pod is lost is started again, and a step that fails is not. Without these defaults it is the
other way round, since Argo's documentation names OnFailure as its own policy. Always would repeat
the steps that are given no retries, too. What OnError does was seen on a cluster
(docs/explanation/kubeflow.md); the other policies were not tried there.
"""

import json
import shlex
from typing import Any

import yaml

from setlist.runs.run_pods import kubernetes_client

CONFIGURATION = "workflow-controller-configmap"
STOCK: dict[str, Any] = {
    "spec": {
        "ttlStrategy": {
            "secondsAfterCompletion": 3600,
            "secondsAfterSuccess": 3600,
            "secondsAfterFailure": 3600,
        },
        "templateDefaults": {"retryStrategy": {"limit": "2", "retryPolicy": "OnError"}},
    }
}
"""`workflowDefaults` as 2.17 installs them."""
READ_SECONDS = 10


def workflow_defaults(namespace: str = "kubeflow") -> dict[str, Any] | None:
    """The defaults of the cluster that kubectl would ask; None where they cannot be read."""
    from kubernetes import client, config  # type: ignore[import-untyped]
    from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

    try:
        stored = client.CoreV1Api(kubernetes_client()).read_namespaced_config_map(
            CONFIGURATION, namespace, _request_timeout=READ_SECONDS
        )
        defaults = yaml.safe_load((stored.data or {}).get("workflowDefaults") or "{}")
    except (config.ConfigException, ApiException, HTTPError, OSError, yaml.YAMLError):
        return None
    return defaults if isinstance(defaults, dict) else None


def repeats_failures(defaults: dict[str, Any]) -> bool:
    """Whether a step that fails is started again as often as its retries say."""
    template = (defaults.get("spec") or {}).get("templateDefaults") or {}
    policy = (template.get("retryStrategy") or {}).get("retryPolicy", "OnFailure")
    return policy in ("OnFailure", "Always")


def patch_command(defaults: dict[str, Any], namespace: str = "kubeflow") -> str:
    """The command that takes the default retries out of a controller's configuration."""
    kept = dict(defaults.get("spec") or {})
    kept.pop("templateDefaults", None)
    text = yaml.safe_dump(defaults | {"spec": kept}, default_flow_style=True, width=1000).strip()
    patch = json.dumps({"data": {"workflowDefaults": text}})
    return (
        f"kubectl -n {namespace} patch configmap {CONFIGURATION} --type merge -p "
        f"{shlex.quote(patch)}"
    )
