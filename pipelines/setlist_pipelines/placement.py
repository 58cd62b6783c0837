"""The `platform` settings, put on the tasks of a graph that is being compiled."""

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from setlist.runs.announcement import PUSH_GATEWAY_VARIABLE, WEBHOOK_VARIABLE
from setlist_pipelines.settings.platform import Platform, seconds

NOTIFICATIONS = "setlist-notifications"
"""The Secret with the addresses of those who listen; a cluster without it is fine."""
KEYS = {"webhook": WEBHOOK_VARIABLE, "pushgateway": PUSH_GATEWAY_VARIABLE}
"""Its keys, and the variables that the steps read."""
ACCELERATOR = "SETLIST_ACCELERATOR"
"""Tells the steps that train what they were given, in vain where TensorFlow does not see it."""
BACKOFF = {"backoff_duration": "30s", "backoff_factor": 2.0, "backoff_max_duration": "600s"}


def pipeline_config(platform: Platform) -> dsl.PipelineConfig:
    """What the pipeline as a whole gets."""
    return dsl.PipelineConfig(
        ttl_seconds_after_finished=seconds(platform.ttl) if platform.ttl else None,
        active_deadline_seconds=seconds(platform.deadline) if platform.deadline else None,
    )


def place(platform: Platform, task: PipelineTask) -> None:
    """Give a task what its step gets, and every step the secrets that the settings name."""
    step = task.component_spec.name
    needs = platform.of(step)
    for kind in ("cpu_request", "cpu_limit", "memory_request", "memory_limit"):
        if value := getattr(needs, kind):
            getattr(task, f"set_{kind}")(value)
    if needs.retries:
        task.set_retry(needs.retries, **BACKOFF)
    if needs.timeout:
        kubernetes.set_timeout(task, seconds(needs.timeout))
    if needs.accelerator:
        task.set_accelerator_type(needs.accelerator.type)
        task.set_accelerator_limit(needs.accelerator.count)
        task.set_env_variable(ACCELERATOR, needs.accelerator.type)
    for label, value in (needs.node_selector or {}).items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in needs.tolerations or ():
        kubernetes.add_toleration(task, **toleration.model_dump())
    if platform.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(platform.image_pull_secrets))
    for name, keys in platform.secrets.items():
        kubernetes.use_secret_as_env(task, name, keys)
    for name, keys in platform.config_maps.items():
        kubernetes.use_config_map_as_env(task, name, keys)
    if step.startswith("announce"):
        kubernetes.use_secret_as_env(task, NOTIFICATIONS, KEYS, optional=True)
