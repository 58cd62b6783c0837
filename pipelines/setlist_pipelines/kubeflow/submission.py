"""Runs on a Kubeflow cluster: each is submitted once, followed, and described afterwards."""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from setlist.errors import (
    ClusterConflictError,
    ClusterError,
    ClusterUnreachableError,
    SettingsError,
)
from setlist_pipelines.kubeflow.api import CredentialsError, Json, Kubeflow
from setlist_pipelines.kubeflow.packages import Package, check_arguments, ensure_version
from setlist_pipelines.kubeflow.pod_logs import RUN_LABEL, reason_of_failure
from setlist_pipelines.kubeflow.run_records import RunStory
from setlist_pipelines.kubeflow.run_steps import (
    ENDED_STATES,
    PlannedStep,
    failed_step,
    steps_of,
    was_ended_by_hand,
)

RUN_KEY = re.compile(r"[A-Za-z0-9._-]{1,60}")
RUN_POLL_SECONDS = 5.0
MOST_UNANSWERED_POLLS = 10
"""In a row. Each takes half a minute with its retries, so an upgrade of the server fits in."""
MOST_REFUSED_POLLS = 2
"""In a row, because of the credentials."""
MOST_ARGUMENT_BYTES = 100_000
"""Of all arguments of a run, as JSON. The backend hands them to the first container of the run in
one argument of its process, which Linux limits to 131,072 bytes (MAX_ARG_STRLEN); the rest is for
what the backend adds for a step: the addresses of its artifacts, and the escapes of its JSON."""
MOST_PIPELINE_BYTES = 700_000
"""Of a compiled pipeline, as JSON. The backend makes one object of Kubernetes of it, which holds at
most 1 MiB, and adds a template for each kind of node."""


@dataclass(frozen=True)
class Submitted:
    """A run at the server.

    Attributes:
        run_id: the server's id of the run.
        name: the display name.
        created: False when an earlier call had started the run.
        version: of the pipeline.
        uploaded: whether this call uploaded the version.
    """

    run_id: str
    name: str
    created: bool
    version: str
    uploaded: bool


def ensure_experiment(kubeflow: Kubeflow, name: str) -> str:
    """The id of the experiment of this name, which is created if it does not exist."""
    experiment, _ = kubeflow.ensure(
        lambda: kubeflow.find_by_name("experiments", "experiments", name, **kubeflow.scope),
        lambda: kubeflow.post("experiments", {"display_name": name} | kubeflow.scope),
    )
    return str(experiment["experiment_id"])


def submit_run(
    kubeflow: Kubeflow,
    package: Package,
    arguments: Json,
    name: str,
    key: str = "",
    service_account: str = "",
) -> Submitted:
    """Start a run once: with the same key, a later call finds the run of an earlier one.

    Args:
        kubeflow: the API.
        package: the compiled pipeline; uploaded only if the server does not have this content.
        arguments: of the run; checked before anything is sent.
        name: the experiment that the run belongs to, and the first part of the run's name.
        key: the second part of the run's name; a new one if left out.
        service_account: that the steps run as; the cluster's default if left out.

    Raises:
        SettingsError: the key or an argument is wrong, or the arguments or the pipeline too large.
        ClusterConflictError: a run of this key exists, with other arguments.
        ClusterUnreachableError: no answer; where the run may have been started, the remedy names
            the key to repeat.
        ClusterError: any other fault of the server.
    """
    check_arguments(arguments, package.parameters)
    check_sizes(package, arguments)
    if key and not RUN_KEY.fullmatch(key):
        raise SettingsError(
            f"--id {key} is not valid", "use up to 60 letters, digits, dots, dashes, underscores"
        )
    key = key or uuid.uuid4().hex[:12]
    version, uploaded = ensure_version(kubeflow, package)
    place = {"experiment_id": ensure_experiment(kubeflow, name)}
    body: Json = place | {
        "display_name": f"{name}-{key}",
        "pipeline_version_reference": version,
        "runtime_config": {"parameters": arguments},
    }
    if service_account:
        body["service_account"] = service_account
    try:
        run, created = kubeflow.ensure(
            lambda: kubeflow.find_by_name("runs", "runs", body["display_name"], **place),
            lambda: kubeflow.post("runs", body),
        )
    except ClusterUnreachableError as fault:
        raise ClusterUnreachableError(
            f"{fault.message}, and the run may have been started",
            f"repeat with --id {key}, which starts no second run",
        ) from fault
    for part in ("pipeline_version_reference", "runtime_config"):
        if run.get(part) and not _contains(run[part], body[part]):
            raise ClusterConflictError(
                f"--id {key}: the run {body['display_name']} was started with another pipeline or "
                "other arguments",
                "choose another --id",
            )
    return Submitted(run["run_id"], body["display_name"], created, package.version, uploaded)


def check_sizes(package: Package, arguments: Json) -> None:
    """Refuse what no step could start with, before anything is sent.

    Raises:
        SettingsError: the arguments or the pipeline are too large; the largest part is named.
    """
    sizes = {name: len(json.dumps(value).encode()) for name, value in arguments.items()}
    if (total := len(json.dumps(arguments).encode())) > MOST_ARGUMENT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise SettingsError(
            f"the settings of a run are {total:,} bytes, of which {largest} has "
            f"{sizes[largest]:,}, and a step of a cluster takes {MOST_ARGUMENT_BYTES:,}",
            f"shorten {largest}, for example its lists of values",
        )
    documents = yaml.load_all(package.content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if (size := sum(len(json.dumps(each)) for each in documents)) > MOST_PIPELINE_BYTES:
        raise SettingsError(
            f"the compiled pipeline is {size:,} bytes, and a cluster takes {MOST_PIPELINE_BYTES:,}",
            "take out candidates, or values of `platform`",
        )


def _contains(stored: Any, sent: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a stored document has all that was sent; the server may add fields."""
    if isinstance(stored, dict) and isinstance(sent, dict):
        return all(key in stored and _contains(stored[key], sent[key]) for key in sent)
    return bool(stored == sent)


def watch_run(kubeflow: Kubeflow, run_id: str) -> Iterator[Json]:
    """The run as it is now and again every few seconds, for the last time when it has ended.

    Where the credentials have expired, it signs in again once: the token file is read for every
    call, and whoever writes it gets the pause of one poll to write a new one.

    Raises:
        CredentialsError: the credentials are refused twice in a row; the run goes on.
        ClusterError: the server does not answer, or refuses the call; the run goes on.
    """
    unanswered = refused = 0
    while True:
        try:
            run = kubeflow.get(f"runs/{run_id}")
        except ClusterUnreachableError:
            unanswered += 1
            if unanswered == MOST_UNANSWERED_POLLS:
                raise
        except CredentialsError:
            refused += 1
            if refused == MOST_REFUSED_POLLS:
                raise
        else:
            unanswered = refused = 0
            yield run
            if run.get("state") in ENDED_STATES:
                return
        time.sleep(RUN_POLL_SECONDS)


def run_link(kubeflow: Kubeflow, run_id: str) -> str:
    """The URL of a run's page, below KF_PIPELINES_UI_ENDPOINT if set, else below the API's host."""
    place = os.environ.get("KF_PIPELINES_UI_ENDPOINT") or kubeflow.access.host
    return f"{place.rstrip('/')}/#/runs/details/{run_id}"


def describe_end(kubeflow: Kubeflow, run: Json, plan: list[PlannedStep], story: RunStory) -> str:
    """How a run ended, in one line: the step that failed, its reason and where to look.

    Args:
        kubeflow: the server.
        run: its document.
        plan: the steps of the pipeline.
        story: what the run has written into its store.
    """
    state = str(run.get("state"))
    if state == "SUCCEEDED":
        return state
    if story.record and story.record.outcome == "failed":
        return f"{state}: {story.record.sentence}"
    if was_ended_by_hand(run):
        return f"{state}: it was ended by hand"
    step = failed_step(steps_of(run, plan))
    if step is None:
        error = (run.get("error") or {}).get("message", "")
        return f"{state}: {error or 'no step failed; perhaps platform.deadline ended it'}"
    try:
        reason = reason_of_failure(kubeflow, run, step)
    except ClusterError:  # whoever may see runs may not be allowed to see logs
        reason = f"you may not see its log; ask for `kubectl logs -l {RUN_LABEL}={run['run_id']}`"
    return f"{state}: {step.name}: {reason}"


def flat_arguments(run: Json) -> dict[str, str]:
    """The arguments of a run as texts, with a dotted key for each: `window.test_days` -> "14"."""

    def flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON
        if isinstance(value, dict) and value:
            for key in value:
                yield from flat(f"{prefix}.{key}", value[key])
        else:
            # The server stores every number as a double: its 14.0 is 14 in the settings.
            whole = isinstance(value, float) and value.is_integer()
            yield prefix, str(int(value) if whole else value)

    arguments = run.get("runtime_config", {}).get("parameters", {})
    return dict(pair for key in sorted(arguments) for pair in flat(key, arguments[key]))
