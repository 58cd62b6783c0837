"""Runs on a Kubeflow cluster: each is submitted once, followed, and described afterwards."""

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from setlist.errors import (
    ClusterConflictError,
    ClusterError,
    ClusterUnreachableError,
    SettingsError,
)
from setlist_pipelines.kubeflow.api import CredentialsError, ForbiddenError, Json, Kubeflow
from setlist_pipelines.kubeflow.packages import (
    Package,
    check_arguments,
    check_sizes,
    ensure_version,
)
from setlist_pipelines.kubeflow.pod_logs import RUN_LABEL, RunLogs
from setlist_pipelines.kubeflow.run_records import RunStory
from setlist_pipelines.kubeflow.run_steps import (
    ENDED_STATES,
    PlannedStep,
    failed_step,
    steps_of,
    was_ended_by_hand,
)

Result = TypeVar("Result")

RUN_KEY = re.compile(r"[A-Za-z0-9._-]{1,60}")
RUN_POLL_SECONDS = 5.0
MOST_UNANSWERED_POLLS = 10
"""In a row. Each takes half a minute with its retries, so an upgrade of the server fits in."""
MOST_REFUSED_CALLS = 2
"""In a row, because of the credentials."""
MOST_REFUSED_CALLS_WITH_A_FILE = 13
"""The same where a token file is named: whoever writes it has a minute for a new token."""


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


def _contains(stored: Any, sent: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a stored document has all that was sent; the server may add fields."""
    if isinstance(stored, dict) and isinstance(sent, dict):
        return all(key in stored and _contains(stored[key], sent[key]) for key in sent)
    return bool(stored == sent)


def signed_in(kubeflow: Kubeflow, call: Callable[[], Result]) -> Result:
    """The result of a call, which is repeated after a pause while the credentials are refused.

    This signs in again, where it can: the token file is read for every call, and whoever writes it
    gets the pauses to write a new token.

    Raises:
        CredentialsError: the credentials are refused too often in a row.
        SettingsError: the same, and the token file cannot be read.
        ClusterError: as the call itself.
    """
    with_file = kubeflow.access.token_file is not None
    for _ in range((MOST_REFUSED_CALLS_WITH_A_FILE if with_file else MOST_REFUSED_CALLS) - 1):
        try:
            return call()
        except (CredentialsError, SettingsError):
            time.sleep(RUN_POLL_SECONDS)
    return call()


def watch_run(kubeflow: Kubeflow, run_id: str) -> Iterator[Json]:
    """The run as it is now and again every few seconds, for the last time when it has ended.

    Raises:
        CredentialsError, SettingsError: as `signed_in`; the run goes on.
        ClusterError: the server does not answer, or refuses the call; the run goes on.
    """
    unanswered = 0
    while True:
        try:
            run = signed_in(kubeflow, lambda: kubeflow.get(f"runs/{run_id}"))
        except ClusterUnreachableError:
            unanswered += 1
            if unanswered == MOST_UNANSWERED_POLLS:
                raise
        else:
            unanswered = 0
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

    Raises:
        CredentialsError: the credentials are no longer accepted.
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
    if written := [failure for failure in story.failures if failure.task == step.task]:
        return f"{state}: {written[-1].sentence}"
    try:
        reason = RunLogs(kubeflow, run).reason_of_failure(step)
    except ForbiddenError:  # whoever may see runs may not be allowed to see logs
        reason = f"you may not see its log; ask for `kubectl logs -l {RUN_LABEL}={run['run_id']}`"
    except CredentialsError:
        raise
    except ClusterError as fault:
        reason = f"its log cannot be read: {fault.message}"
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
