"""`setlist schedule`: what the settings say should run by itself, and what does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from setlist.errors import SetlistError
from setlist.runs.scheduled_time import scheduled
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.recurring_runs import (
    MARK,
    Recurring,
    digest,
    finish,
    make,
    of_other_stores,
    recurring_runs,
    replace,
    retire,
)
from setlist_pipelines.kubeflow.submission import (
    Package,
    check_arguments,
    experiment,
    package,
    publish,
)
from setlist_pipelines.settings.file import Settings
from setlist_pipelines.settings.schedule import Schedule

Say = Callable[[str, str], None]
"""Shows a line about a schedule."""


@dataclass(frozen=True)
class Wanted:
    """A schedule as the settings have it."""

    schedule: Schedule
    settings: Settings
    """Those of its runs."""

    @property
    def arguments(self) -> Json:
        """The arguments of its runs; the backend puts the time of each into `as_of`."""
        return self.settings.arguments() | {"as_of": scheduled(self.schedule.cron)}

    @property
    def service_account(self) -> str:
        """What the steps run as, "" for the cluster's own."""
        return self.settings.platform.service_account

    @property
    def content(self) -> str:
        """What tells it from another one, but for the version of the pipeline."""
        return digest(
            {
                "cron": self.schedule.cron,
                "concurrency": self.schedule.concurrency,
                "catch_up": self.schedule.catch_up,
                "arguments": self.arguments,
                "service_account": self.service_account,
            }
        )


def wanted(settings: Settings, name: str) -> Wanted:
    """A schedule of the settings, and the settings of its runs.

    They end early when there are no new data, unless the schedule says otherwise.

    Raises:
        SetlistError: one sentence that names the key that cannot be set.
    """
    if name not in settings.schedules:
        known = ", ".join(settings.schedules) or "none"
        raise SetlistError(f"there is no schedule {name!r} in the settings; they have {known}.")
    schedule = settings.schedules[name]
    document = settings.document() | {"schedules": {}, "only_new_data": True}
    for key, value in schedule.set.items():
        _put(document, key, value, f"schedules.{name}.set.{key}")
    try:
        return Wanted(schedule, Settings.model_validate(document))
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = "there is no such setting"
        raise SetlistError(f"schedules.{name}.set: {where}: {what}.") from fault


def check_schedules(settings: Settings) -> dict[str, Wanted]:
    """All schedules, by name.

    Raises:
        SetlistError: one sentence about the first that cannot be.
    """
    return {name: wanted(settings, name) for name in settings.schedules}


def apply(kubeflow: Kubeflow, settings: Settings, image: str, say: Say) -> dict[str, str]:
    """Bring the cluster in step with the settings; once more, it changes nothing.

    What runs for a model of this name in another store is left alone, and told.

    Returns:
        What was done, by schedule: created, replaced, unchanged or deleted.

    Raises:
        SetlistError: before anything is sent when the settings are at fault.
    """
    schedules = check_schedules(settings)
    packages: dict[str, Package] = {}
    for name, one in schedules.items():
        say(name, "compiles the pipeline")
        packages[name] = package(one.settings, image)
        check_arguments(one.arguments, packages[name].parameters)
    there = recurring_runs(kubeflow, settings.name, settings.store)
    for name, other in of_other_stores(kubeflow, settings.name, settings.store):
        say(
            name,
            f"one of the store {other.store} is there, too, and stays; `setlist schedule delete "
            f"{name} --config FILE --set store={other.store}` removes it",
        )
    done = {}
    for name, one in schedules.items():
        old = finish(kubeflow, there.get(name, []), partial(say, name))
        if old and in_step(old, one, packages[name].version):
            done[name] = "unchanged"
            continue
        body, said = _body(kubeflow, settings.name, name, one, packages[name])
        if old:
            replace(kubeflow, old, body, said, partial(say, name))
        else:
            make(kubeflow, body, said, enabled=True)
        done[name] = "replaced" if old else "created"
    for name in there.keys() - schedules.keys():
        for gone in there[name]:
            retire(kubeflow, gone, partial(say, name))
        done[name] = "deleted"
    return done


def in_step(one: Recurring, wanted: Wanted, version: str = "") -> bool:
    """Whether a recurring run is as wanted; without a version, whatever its pipeline is."""
    same = one.said.get("content") == wanted.content
    return same and (not version or one.said.get("version") == version)


def _body(
    kubeflow: Kubeflow, model: str, name: str, one: Wanted, compiled: Package
) -> tuple[Json, dict[str, str]]:
    reference, _ = publish(kubeflow, compiled)
    body: Json = kubeflow.scope | {
        "display_name": f"{model}-{name}",
        "experiment_id": experiment(kubeflow, model),
        "pipeline_version_reference": reference,
        "runtime_config": {"parameters": one.arguments},
        "max_concurrency": str(one.schedule.concurrency),
        "no_catchup": not one.schedule.catch_up,
        "trigger": {"cron_schedule": {"cron": one.schedule.cron}},
    }
    if one.service_account:
        body["service_account"] = one.service_account
    said = {MARK: f"{model}/{name}", "content": one.content, "version": compiled.version}
    return body, said


def _put(document: Json, key: str, value: Any, where: str) -> None:  # noqa: ANN401 - any YAML
    *parents, last = key.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise SetlistError(f"{where}: {parent} is not a section.")
    section[last] = value
