"""`setlist schedule`: applies, shows, pauses and removes schedules on a Kubeflow cluster."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import ClusterNotFoundError
from setlist_pipelines.cli.answer import Answer, Cell, JsonOption, Records
from setlist_pipelines.cli.connection import (
    Cookies,
    Host,
    Image,
    Namespace,
    Set,
    TokenFile,
    command,
    connect,
    say,
)
from setlist_pipelines.cli.help_page import Commands, examples

if TYPE_CHECKING:
    from setlist_pipelines.kubeflow.api import Kubeflow
    from setlist_pipelines.kubeflow.recurring_runs import RecurringRun
    from setlist_pipelines.kubeflow.schedule_sync import DesiredSchedule
    from setlist_pipelines.settings.file import Settings

schedule = Commands(
    help="The schedules of the settings on a cluster.",
    epilog=examples(
        "In home.yaml, at 05:00 UTC every day (second minute hour day month weekday):",
        'schedules: {daily: {cron: "0 0 5 * * *", time_zone: Europe/Stockholm}}',
        "setlist schedule apply --config home.yaml",
    ),
)

RequiredConfig = Annotated[Path, typer.Option("--config", "-c", help="Settings file.")]
"""Without the sample as a default: `apply` deletes what the settings do not name."""
ScheduleArgument = Annotated[str, typer.Argument(help="The schedule, as the settings name it.")]


@schedule.command(
    epilog=examples(
        "setlist schedule apply --config home.yaml",
        "setlist schedule apply --config home.yaml --image registry.example/setlist@sha256:...",
    )
)
def apply(
    config: RequiredConfig,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Bring the cluster in step with the settings: create, replace and delete schedules.

    A second call changes nothing. To replace a changed schedule without missing or repeating a
    run, it may wait until a fire time has passed and a run has ended. It may be stopped at any
    moment and started again.
    """
    from setlist_pipelines.kubeflow.schedule_sync import apply_schedules

    settings = _settings(config, change)
    kubeflow = connect(host, namespace, token_file, cookies)
    outcomes = apply_schedules(kubeflow, settings, image, _Lines())
    for name, outcome in outcomes.items():
        say(f"{name:<12} {outcome}")
    if not outcomes:
        say("no schedules, neither in the settings nor on the cluster")


@schedule.command(name="list", epilog=examples("setlist schedule list --config home.yaml"))
def list_(
    config: RequiredConfig,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
    json: JsonOption = False,
) -> None:
    """Show the schedules, when they run next, and whether the cluster is in step with the settings.

    Without an image, the versions of the pipeline are not compared.
    """
    from setlist_pipelines.kubeflow.recurring_runs import of_other_stores, recurring_runs
    from setlist_pipelines.kubeflow.schedule_sync import check_schedules

    settings = _settings(config, change)
    desired = check_schedules(settings)
    kubeflow = connect(host, namespace, token_file, cookies)
    existing = recurring_runs(kubeflow, settings.name, settings.store)
    columns = {"schedule": "schedule", "cron": "cron", "next": "next", "state": "state"}
    records = Records(columns | {"in_step": "in step", "last_run": "last run"})
    for name in desired | existing:
        group, entry = existing.get(name, []), desired.get(name)
        current = group[-1] if group else None
        cron = current.cron if current else entry.schedule.cron if entry else ""
        records.add(
            name,
            cron,
            _next_time(cron, entry.schedule.time_zone if entry else "UTC"),
            _state(group),
            _in_step(_fault(current, entry, image)),
            _last_run(kubeflow, current),
        )
    for name, other in of_other_stores(kubeflow, settings.name, settings.store):
        records.add(name, other.cron, None, _state([other]), _in_step(f"of {other.store}"), None)
    with Answer(json) as answer:
        answer.put_rows("schedules", records)


@schedule.command(epilog=examples("setlist schedule pause daily --config home.yaml"))
def pause(
    name: ScheduleArgument,
    config: RequiredConfig,
    change: Set = None,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start no runs of a schedule until it is resumed; a run that goes on is not ended."""
    from setlist_pipelines.kubeflow.recurring_runs import pause

    kubeflow = connect(host, namespace, token_file, cookies)
    pause(kubeflow, _current(kubeflow, config, change, name))
    say(f"{name} is paused")


@schedule.command(epilog=examples("setlist schedule resume daily --config home.yaml"))
def resume(
    name: ScheduleArgument,
    config: RequiredConfig,
    change: Set = None,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start the runs of a schedule again; missed times are run only with `catch_up`."""
    from setlist_pipelines.kubeflow.recurring_runs import resume

    kubeflow = connect(host, namespace, token_file, cookies)
    current = _current(kubeflow, config, change, name)
    if not current.enabled:
        resume(kubeflow, current, partial(_Lines(), name))
    say(f"{name} runs")


@schedule.command(epilog=examples("setlist schedule delete weekly --config home.yaml"))
def delete(
    name: ScheduleArgument,
    config: RequiredConfig,
    change: Set = None,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Take a schedule off the cluster once its runs have ended; `apply` brings it back."""
    from setlist_pipelines.kubeflow.recurring_runs import recurring_runs, retire

    settings, lines = _settings(config, change), _Lines()
    kubeflow = connect(host, namespace, token_file, cookies)
    existing = recurring_runs(kubeflow, settings.name, settings.store).get(name, [])
    for recurring in existing:
        retire(kubeflow, recurring, partial(lines, name))
    say(f"{name} is taken off the cluster" if existing else f"{name} was not on the cluster")


@schedule.command(epilog=examples("setlist schedule run-now daily --config home.yaml"))
def run_now(
    name: ScheduleArgument,
    config: RequiredConfig,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start a run of a schedule now, as of the present moment, and print its link."""
    from setlist_pipelines.kubeflow.recurring_runs import utc_now
    from setlist_pipelines.kubeflow.schedule_sync import desired_schedule
    from setlist_pipelines.kubeflow.submission import run_link, submit_run

    settings = _settings(config, change)
    desired = desired_schedule(settings, name)
    package = desired.package(image, say)
    kubeflow, moment = connect(host, namespace, token_file, cookies), utc_now()
    submitted = submit_run(
        kubeflow,
        package,
        desired.arguments | {"as_of": f"{moment:%Y-%m-%dT%H:%M:%SZ}"},
        settings.name,
        f"{name}-{moment:%Y%m%d%H%M%S}",
        desired.service_account,
    )
    say(f"run       {submitted.name} {submitted.run_id}")
    say(f"link      {run_link(kubeflow, submitted.run_id)}")


class _Lines:
    """Prints lines about schedules, but no line twice in a row: a wait repeats its line."""

    def __init__(self) -> None:
        self.last: tuple[str, str] | None = None

    def __call__(self, name: str, line: str) -> None:
        if self.last != (name, line):
            say(f"{name:<12} {line}")
        self.last = (name, line)


def _settings(config: Path, change: list[str] | None) -> "Settings":
    from setlist_pipelines.settings.file import read_settings

    return read_settings(config, change)


def _current(
    kubeflow: "Kubeflow", config: Path, change: list[str] | None, name: str
) -> "RecurringRun":
    """The recurring run of a schedule, after an interrupted replacement was completed."""
    from setlist_pipelines.kubeflow.recurring_runs import finish, recurring_runs

    settings = _settings(config, change)
    group = recurring_runs(kubeflow, settings.name, settings.store).get(name, [])
    current = finish(kubeflow, group, partial(_Lines(), name))
    if current is None:
        raise ClusterNotFoundError(
            f"the cluster has no schedule {name} of {settings.name} in {settings.store}",
            f"run `{command('setlist schedule apply', config, change)}`",
        )
    return current


def _next_time(cron: str, zone: str) -> Cell:
    from zoneinfo import ZoneInfo

    from rich.text import Text

    from setlist_pipelines.kubeflow.recurring_runs import utc_now
    from setlist_pipelines.settings.cron_schedule import next_time

    moment = next_time(cron, utc_now())
    text = f"{moment:%a %Y-%m-%d %H:%M} UTC"
    if zone != "UTC":
        text += f"\n{moment.astimezone(ZoneInfo(zone)):%a %H:%M %Z}"
    return Cell(f"{moment:%Y-%m-%dT%H:%M:%SZ}", Text(text))


def _state(group: "list[RecurringRun]") -> str:
    if len(group) > 1:
        return "being replaced"
    return "absent" if not group else "running" if group[0].enabled else "paused"


def _in_step(fault: str) -> Cell:
    return Cell({"yes": not fault, "why_not": fault or None}, f"no: {fault}" if fault else "yes")


def _fault(current: "RecurringRun | None", desired: "DesiredSchedule | None", image: str) -> str:
    """Why a schedule is not in step with the settings; "" where it is."""
    from setlist_pipelines.kubeflow.schedule_sync import is_in_step

    if not desired:
        return "not in the settings"
    if not current:
        return "apply"
    version = desired.package(image).version if image else ""
    return "" if is_in_step(current, desired, version) else "apply"


def _last_run(kubeflow: "Kubeflow", current: "RecurringRun | None") -> Cell | None:
    from setlist_pipelines.kubeflow.recurring_runs import latest_run

    run = latest_run(kubeflow, current) if current else None
    if not run:
        return None
    created, state = run.get("created_at"), run.get("state")
    return Cell({"created": created, "state": state}, f"{created} {state}")
