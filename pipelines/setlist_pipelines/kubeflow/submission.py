"""Runs on a Kubeflow cluster: submitted once each, followed, and looked at afterwards."""

import hashlib
import math
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from setlist.errors import SetlistError
from setlist_pipelines.kubeflow.api import Json, Kubeflow, UnansweredError
from setlist_pipelines.settings.file import Settings
from setlist_pipelines.settings.platform import DIGEST

KEY = re.compile(r"[A-Za-z0-9._-]{1,60}")
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
POLL = 5.0
"""Seconds between two looks at a run."""
MISSES = 10
"""So many looks in a row may go unanswered, each half a minute long: room for an upgrade."""
STRUCTURE = re.compile(
    r"root|executor(\(\d+\))?|.*-driver(\(\d+\))?|(condition(-branches)?|exit-handler|for-loop)-\d+|"
)
"""Nodes of a run that are no steps."""
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "STRING": ((str,), "a text"),
    "NUMBER_INTEGER": ((int,), "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list,), "a list"),
    "STRUCT": ((dict,), "a mapping"),
}
"""The types of Python values that a parameter of a type takes, and how to say it."""


@dataclass(frozen=True)
class Package:
    """A compiled pipeline without defaults: the run brings every argument.

    So another window or another store is another run of the same version, not another version.
    """

    name: str
    content: bytes
    parameters: dict[str, Json]
    """The declarations in the compiled pipeline, by name: `parameterType` and the like."""

    @property
    def version(self) -> str:
        """The name of the version: the first 80 bits of the content's SHA-256."""
        return hashlib.sha256(self.content).hexdigest()[:20]


@dataclass(frozen=True)
class Submitted:
    """A run at the server."""

    run_id: str
    name: str
    created: bool
    """False when a run of this name was there before."""
    version: str
    uploaded: bool


@dataclass(frozen=True)
class Task:
    """A step of a run; seconds are None until it has ended."""

    key: str
    name: str
    state: str
    seconds: float | None
    error: str
    pods: tuple[str, ...] = ()
    """Its pods, where the server names them."""
    children: tuple[str, ...] = ()
    """The ids of the nodes below it: see `setlist_pipelines.kubeflow.pod_logs`."""


def package(settings: Settings, image: str) -> Package:
    """Compile the pipeline for these settings, every step in this image.

    Raises:
        SetlistError: when the image is no digest reference or a path lies on this machine.
    """
    if not DIGEST.fullmatch(image):
        raise SetlistError(
            f"the image {image or '(none)'} can mean something else tomorrow; name it by digest, "
            "registry/name@sha256:..., in SETLIST_IMAGE or --image."
        )
    from setlist.steps import IMAGE
    from setlist_pipelines.kubeflow.compilation import compile_pipeline

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(settings, path)
        documents = list(yaml.safe_load_all(path.read_text("utf-8")))
    spec = documents[0]
    for executor in spec["deploymentSpec"]["executors"].values():
        if executor.get("container", {}).get("image") == IMAGE:
            executor["container"]["image"] = image
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for declared in parameters.values():
        declared.pop("defaultValue", None)
    content = yaml.safe_dump_all(documents, sort_keys=True, width=100).encode()
    return Package(spec["pipelineInfo"]["name"], content, parameters)


def check_arguments(arguments: Mapping[str, Any], parameters: Mapping[str, Json]) -> None:
    """Hold the arguments of a run against the parameters that a compiled pipeline declares.

    The server takes an unknown argument without a word, and a wrong one until a step fails.

    Raises:
        SetlistError: one sentence that names the first key at fault.
    """
    for key in sorted(arguments.keys() - parameters.keys()):
        raise SetlistError(
            f"{key}: the pipeline has no such parameter; it takes {', '.join(sorted(parameters))}."
        )
    for key, declared in sorted(parameters.items()):
        if key not in arguments:
            if "defaultValue" in declared or declared.get("isOptional"):
                continue
            raise SetlistError(f"{key}: the pipeline needs this argument; give it a value.")
        types, words = KINDS[declared["parameterType"]]
        value = arguments[key]
        fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            raise SetlistError(f"{key}: the pipeline takes {words} here, not {value!r:.60}.")


def publish(kubeflow: Kubeflow, package: Package) -> tuple[Json, bool]:
    """The reference to this version of the pipeline, and whether it was uploaded for it."""
    pipeline, _ = kubeflow.ensure(
        lambda: kubeflow.named("pipelines", "pipelines", package.name, **kubeflow.scope),
        lambda: kubeflow.post(
            "pipelines", {"name": package.name, "display_name": package.name} | kubeflow.scope
        ),
    )
    pipeline_id = pipeline["pipeline_id"]
    version, uploaded = kubeflow.ensure(
        lambda: kubeflow.named(
            f"pipelines/{pipeline_id}/versions", "pipeline_versions", package.version
        ),
        lambda: kubeflow.upload(
            "pipelines/upload_version",
            package.content,
            name=package.version,
            pipelineid=pipeline_id,
        ),
    )
    version_id = version["pipeline_version_id"]
    return {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}, uploaded


def experiment(kubeflow: Kubeflow, name: str) -> str:
    """The id of the experiment of this name, which is made if it is not there."""
    found, _ = kubeflow.ensure(
        lambda: kubeflow.named("experiments", "experiments", name, **kubeflow.scope),
        lambda: kubeflow.post("experiments", {"display_name": name} | kubeflow.scope),
    )
    return str(found["experiment_id"])


def submit(
    kubeflow: Kubeflow,
    package: Package,
    arguments: Json,
    name: str,
    key: str = "",
    service_account: str = "",
) -> Submitted:
    """Start a run, once: the same key finds the run that an earlier call has started.

    Args:
        kubeflow: where.
        package: what; it is uploaded only if the server does not have this content.
        arguments: checked before anything is sent.
        name: the experiment that the run belongs to, and the first part of the run's name.
        key: the second part of the run's name; a new one if left out.
        service_account: that its steps run as; the cluster's own if left out.

    Raises:
        SetlistError: one sentence; where the run may have been started, it names the key to repeat.
    """
    check_arguments(arguments, package.parameters)
    if key and not KEY.fullmatch(key):
        raise SetlistError(f"--id {key}: use up to 60 letters, digits, dots, dashes, underscores.")
    key = key or uuid.uuid4().hex[:12]
    version, uploaded = publish(kubeflow, package)
    place = {"experiment_id": experiment(kubeflow, name)}
    body: Json = place | {
        "display_name": f"{name}-{key}",
        "pipeline_version_reference": version,
        "runtime_config": {"parameters": arguments},
    }
    if service_account:
        body["service_account"] = service_account
    try:
        run, created = kubeflow.ensure(
            lambda: kubeflow.named("runs", "runs", body["display_name"], **place),
            lambda: kubeflow.post("runs", body),
        )
    except UnansweredError as fault:
        raise SetlistError(
            f"{str(fault).rstrip('.')}; the run may have been started, so repeat with --id {key}, "
            "which starts no second one."
        ) from fault
    for part in ("pipeline_version_reference", "runtime_config"):
        if run.get(part) and not _holds(run[part], body[part]):
            raise SetlistError(
                f"--id {key}: the run {body['display_name']} was started with another pipeline or "
                "other arguments; choose another --id."
            )
    return Submitted(run["run_id"], body["display_name"], created, package.version, uploaded)


def _holds(there: Any, here: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether what is there has all that is here; the server may add fields."""
    if isinstance(there, dict) and isinstance(here, dict):
        return all(key in there and _holds(there[key], here[key]) for key in here)
    return bool(there == here)


def watch(kubeflow: Kubeflow, run_id: str) -> Iterator[Json]:
    """The run as it is now, and again every few seconds, last when it has ended."""
    missed = 0
    while True:
        try:
            run = kubeflow.get(f"runs/{run_id}")
        except UnansweredError:
            missed += 1
            if missed == MISSES:
                raise
        else:
            missed = 0
            yield run
            if run.get("state") in ENDED:
                return
        time.sleep(POLL)


def tasks(run: Json) -> list[Task]:
    """The steps of a run that have begun, in that order, without the backend's own machinery."""
    details = run.get("run_details", {}).get("task_details", ())
    found = []
    for detail in sorted(details, key=lambda detail: str(detail.get("start_time", ""))):
        name = str(detail.get("display_name", ""))
        if STRUCTURE.fullmatch(name) or name == run.get("display_name"):
            continue
        state, error = detail.get("state", "PENDING"), detail.get("error", {}).get("message", "")
        seconds = duration(detail.get("start_time"), detail.get("end_time"))
        key = str(detail.get("task_id") or name)
        pods = (detail["pod_name"],) if detail.get("pod_name") else ()
        children = [str(child.get("pod_name", "")) for child in detail.get("child_tasks", ())]
        found.append(
            Task(
                key, name, state, seconds if state in ENDED else None, error, pods, tuple(children)
            )
        )
    return found


def duration(start: str | None, end: str | None) -> float | None:
    """Seconds between two of the API's instants; None where one is missing or the epoch."""
    instants = [datetime.fromisoformat(text) for text in (start, end) if text]
    if len(instants) < 2 or instants[1] < instants[0]:
        return None
    return (instants[1] - instants[0]).total_seconds()


def link(kubeflow: Kubeflow, run_id: str) -> str:
    """The page of a run; under KF_PIPELINES_UI_ENDPOINT where that is not the API's host."""
    place = os.environ.get("KF_PIPELINES_UI_ENDPOINT") or kubeflow.access.host
    return f"{place.rstrip('/')}/#/runs/details/{run_id}"


def parameters(run: Json) -> dict[str, str]:
    """The arguments of a run as text, sections spelled out: `window.test_days` -> "14"."""

    def flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON
        if isinstance(value, dict) and value:
            for key in value:
                yield from flat(f"{prefix}.{key}", value[key])
        else:
            # The server keeps every number as a double: 14.0 there is 14 in the settings.
            whole = isinstance(value, float) and value.is_integer()
            yield prefix, str(int(value) if whole else value)

    given = run.get("runtime_config", {}).get("parameters", {})
    return dict(pair for key in sorted(given) for pair in flat(key, given[key]))
