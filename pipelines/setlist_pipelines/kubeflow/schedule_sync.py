"""Brings the recurring runs on a cluster in step with the `schedules` section of the settings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from setlist.errors import SettingsError
from setlist.runs.scheduled_time import scheduled
from setlist.section import no_such_setting
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.packages import (
    Package,
    check_arguments,
    check_sizes,
    compile_package,
    ensure_version,
)
from setlist_pipelines.kubeflow.recurring_runs import (
    MARK,
    RecurringRun,
    content_digest,
    create,
    finish,
    of_other_stores,
    recurring_runs,
    replace,
    retire,
)
from setlist_pipelines.kubeflow.submission import ensure_experiment
from setlist_pipelines.settings.cron_schedule import Schedule
from setlist_pipelines.settings.file import Settings
from setlist_pipelines.settings.limits import ShowLine, ignore_line, with_memory_limits

ShowScheduleLine = Callable[[str, str], None]
"""Shows a line about a schedule: (name of the schedule, line)."""


@dataclass(frozen=True)
class DesiredSchedule:
    """A schedule as the settings have it.

    Attributes:
        schedule: its entry in the settings.
        settings: of its runs.
    """

    schedule: Schedule
    settings: Settings

    @property
    def arguments(self) -> Json:
        """The arguments of its runs; the backend puts the fire time of each into `as_of`."""
        arguments = self.settings.arguments(self.schedule.pipeline)
        return arguments | {"as_of": scheduled(self.schedule.cron)}

    @property
    def service_account(self) -> str:
        """The account that the steps run as; "" for the cluster's default."""
        return self.settings.platform.service_account

    def package(self, image: str, show: ShowLine = ignore_line) -> Package:
        """The pipeline of its runs, with memory limits that follow from the events.

        Args:
            image: of every step, by digest.
            show: gets the line that says what the limits are derived from.

        Raises:
            SettingsError: as `compile_package`.
        """
        pipeline = self.schedule.pipeline
        return compile_package(with_memory_limits(self.settings, pipeline, show), image, pipeline)

    @property
    def content(self) -> str:
        """The digest of all that makes up the recurring run but the version of the pipeline."""
        return content_digest(
            {
                "cron": self.schedule.cron,
                "concurrency": self.schedule.concurrency,
                "catch_up": self.schedule.catch_up,
                "arguments": self.arguments,
                "service_account": self.service_account,
            }
        )


def desired_schedule(settings: Settings, name: str) -> DesiredSchedule:
    """A schedule of the settings, with the settings of its runs.

    Its runs end early when there are no new data, unless the schedule sets `only_new_data`.

    Raises:
        SettingsError: there is no such schedule, or it sets a key that does not exist.
    """
    if name not in settings.schedules:
        known = ", ".join(settings.schedules) or "none"
        raise SettingsError(f"there is no schedule {name!r} in the settings; they have {known}.")
    schedule = settings.schedules[name]
    document = settings.document() | {"schedules": {}, "only_new_data": True}
    for key, value in schedule.set.items():
        _put(document, key, value, f"schedules.{name}.set.{key}")
    try:
        return DesiredSchedule(schedule, Settings.model_validate(document))
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = no_such_setting(Settings, first["loc"])
        raise SettingsError(f"schedules.{name}.set: {key}: {message}.") from fault


def check_schedules(settings: Settings) -> dict[str, DesiredSchedule]:
    """All schedules of the settings, by name.

    Raises:
        SettingsError: a schedule sets a key that does not exist; the first one is named.
    """
    return {name: desired_schedule(settings, name) for name in settings.schedules}


def apply_schedules(
    kubeflow: Kubeflow, settings: Settings, image: str, show: ShowScheduleLine
) -> dict[str, str]:
    """Bring the cluster in step with the settings; a second call changes nothing.

    Recurring runs for a model of this name in another store stay, and are shown.

    Args:
        kubeflow: the API.
        settings: whose schedules the cluster is to have.
        image: of every step, by digest.
        show: shows what is done.

    Returns:
        What was done, by schedule: created, replaced, unchanged or deleted.

    Raises:
        SettingsError: the settings are at fault; nothing was sent.
        ClusterError: the server refuses a call; the schedules before it are applied.
    """
    desired = check_schedules(settings)
    packages: dict[str, Package] = {}
    for name, schedule in desired.items():
        show(name, "compiles the pipeline")
        packages[name] = schedule.package(image, partial(show, name))
        check_arguments(schedule.arguments, packages[name].parameters)
        try:
            check_sizes(packages[name], schedule.arguments)
        except SettingsError as fault:
            raise SettingsError(f"schedules.{name}: {fault.message}", fault.remedy) from fault
    existing = recurring_runs(kubeflow, settings.name, settings.store)
    for name, other in of_other_stores(kubeflow, settings.name, settings.store):
        show(
            name,
            f"a recurring run of the store {other.store} exists, too, and stays; `setlist schedule "
            f"delete {name} --config FILE --set store={other.store}` removes it",
        )
    outcomes = {}
    for name, schedule in desired.items():
        old = finish(kubeflow, existing.get(name, []), partial(show, name))
        if old and is_in_step(old, schedule, packages[name].version):
            outcomes[name] = "unchanged"
            continue
        body, notes = _recurring_run(kubeflow, settings.name, name, schedule, packages[name])
        if old:
            replace(kubeflow, old, body, notes, partial(show, name))
        else:
            create(kubeflow, body, notes, enabled=True)
        outcomes[name] = "replaced" if old else "created"
    for name in existing.keys() - desired.keys():
        for recurring in existing[name]:
            retire(kubeflow, recurring, partial(show, name))
        outcomes[name] = "deleted"
    return outcomes


def is_in_step(recurring: RecurringRun, desired: DesiredSchedule, version: str = "") -> bool:
    """Whether a recurring run is as the settings have it.

    Args:
        recurring: on the cluster.
        desired: in the settings.
        version: of the pipeline; "" to compare all but that.
    """
    same_content = recurring.notes.get("content") == desired.content
    return same_content and (not version or recurring.notes.get("version") == version)


def _recurring_run(
    kubeflow: Kubeflow, model: str, name: str, desired: DesiredSchedule, package: Package
) -> tuple[Json, dict[str, str]]:
    """The body of the call that creates the recurring run, and the notes for its description."""
    reference, _ = ensure_version(kubeflow, package)
    body: Json = kubeflow.scope | {
        "display_name": f"{model}-{name}",
        "experiment_id": ensure_experiment(kubeflow, model),
        "pipeline_version_reference": reference,
        "runtime_config": {"parameters": desired.arguments},
        "max_concurrency": str(desired.schedule.concurrency),
        "no_catchup": not desired.schedule.catch_up,
        "trigger": {"cron_schedule": {"cron": desired.schedule.cron}},
    }
    if desired.service_account:
        body["service_account"] = desired.service_account
    notes = {MARK: f"{model}/{name}", "content": desired.content, "version": package.version}
    return body, notes


def _put(document: Json, key: str, value: Any, setting: str) -> None:  # noqa: ANN401 - any YAML
    """Put a value into a document, at a dotted key; `setting` names the source for a message."""
    *parents, last = key.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise SettingsError(f"{setting}: {parent} is not a section.")
    section[last] = value
