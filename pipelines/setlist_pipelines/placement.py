"""Puts the `platform` settings on the tasks of a pipeline while it is compiled."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from setlist.runs.announcement import PAGE_VARIABLE, PUSH_GATEWAY_VARIABLE, WEBHOOK_VARIABLE
from setlist.runs.run_pods import NAMESPACE_VARIABLE, RUN_LABEL, TITLES_VARIABLE
from setlist.runs.step_failure import (
    NAME_VARIABLE,
    STORE_VARIABLE,
    TASK_VARIABLE,
    TITLE_VARIABLE,
)
from setlist.store.signing import KEY_VARIABLE, PASSWORD_VARIABLE
from setlist.termination import RUN_VARIABLE
from setlist_pipelines.settings.platform import Platform, parse_seconds

NOTIFICATION_ADDRESSES = "setlist-notifications"
"""The Secret with the addresses that hear of the end of a run; a cluster may be without it."""
NOTIFICATION_VARIABLES = {
    "webhook": WEBHOOK_VARIABLE,
    "pushgateway": PUSH_GATEWAY_VARIABLE,
    "page": PAGE_VARIABLE,
}
"""The variable of the environment that each key of the Secret becomes."""
SIGNING_FOLDER = "/etc/setlist/signing"
"""Where the step that pushes finds the key that signs."""
ACCELERATOR_VARIABLE = "SETLIST_ACCELERATOR"
"""Tells a step which accelerator it was given, so that it fails if TensorFlow does not see it."""
HANDLER = "announce-failure"
"""The exit handler, which asks the cluster about steps that died without a word."""
RETRY_PAUSES = {"backoff_duration": "30s", "backoff_factor": 2.0, "backoff_max_duration": "600s"}


def pipeline_config(platform: Platform) -> dsl.PipelineConfig:
    """The settings that hold for the pipeline as a whole."""
    ttl = parse_seconds(platform.ttl) if platform.ttl else None
    return dsl.PipelineConfig(
        # All three: a stock controller has an hour for success and for failure, and each wins over
        # the time after completion.
        ttl_seconds_after_finished=ttl,
        ttl_seconds_after_success=ttl,
        ttl_seconds_after_failure=ttl,
        active_deadline_seconds=parse_seconds(platform.deadline) if platform.deadline else None,
    )


@dataclass(frozen=True)
class Placement:
    """Where the steps of a pipeline run on a cluster, and the model and store that they work for.

    Attributes:
        platform: of the settings.
        store: of the settings.
        name: of the model in the store.
    """

    platform: Platform
    store: str
    name: str

    def place(self, tasks: Collection[PipelineTask]) -> None:
        """Give the tasks of a pipeline all that they get on a cluster."""
        for task in tasks:
            give(self.platform, task)
            identify(self.store, self.name, task)
            if task.component_spec.name == HANDLER:
                kubernetes.use_field_path_as_env(task, NAMESPACE_VARIABLE, "metadata.namespace")
                titles = {each.name: title(each) for each in tasks}
                task.set_env_variable(TITLES_VARIABLE, json.dumps(titles, sort_keys=True))


def title(task: PipelineTask) -> str:
    """The display name of a task, which kfp has no public way to read."""
    return task._task_spec.display_name or task.name


def identify(store: str, name: str, task: PipelineTask) -> None:
    """Tell a step where it is, so that it can write why it fails into the store of its run.

    The run's id comes from a label of the pod, the rest is compiled in: no argument of a step
    changes, on which the cache depends.
    """
    kubernetes.use_field_path_as_env(task, RUN_VARIABLE, f"metadata.labels['{RUN_LABEL}']")
    task.set_env_variable(STORE_VARIABLE, store)
    task.set_env_variable(NAME_VARIABLE, name)
    task.set_env_variable(TASK_VARIABLE, task.name)
    task.set_env_variable(TITLE_VARIABLE, title(task))


def give(platform: Platform, task: PipelineTask) -> None:
    """Give a task what its step gets, and the secrets and variables that every step gets."""
    step = task.component_spec.name
    needs = platform.for_step(step)
    for kind in ("cpu_request", "cpu_limit", "memory_request", "memory_limit"):
        if value := getattr(needs, kind):
            getattr(task, f"set_{kind}")(value)
    if needs.retries:
        task.set_retry(needs.retries, **RETRY_PAUSES)
    if needs.timeout:
        kubernetes.set_timeout(task, parse_seconds(needs.timeout))
    if needs.accelerator:
        task.set_accelerator_type(needs.accelerator.type)
        task.set_accelerator_limit(needs.accelerator.count)
        task.set_env_variable(ACCELERATOR_VARIABLE, needs.accelerator.type)
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
    # A pod that names a missing Secret never starts: nothing is pushed unsigned by mistake.
    if step == "push" and platform.signing_secret:
        kubernetes.use_secret_as_volume(task, platform.signing_secret, SIGNING_FOLDER)
        task.set_env_variable(KEY_VARIABLE, f"{SIGNING_FOLDER}/key.pem")
        kubernetes.use_secret_as_env(
            task, platform.signing_secret, {"password": PASSWORD_VARIABLE}, optional=True
        )
    # Only the steps that announce see the addresses. The Secret is optional, because a pod that
    # names a missing Secret never starts.
    if step.startswith("announce"):
        kubernetes.use_secret_as_env(
            task, NOTIFICATION_ADDRESSES, NOTIFICATION_VARIABLES, optional=True
        )
