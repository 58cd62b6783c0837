"""`setlist schedule`: runs by the clock on a Kubeflow cluster."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SetlistError
from setlist_pipelines.cli.connection import (
    Cookies,
    Host,
    Image,
    Namespace,
    TokenFile,
    add_row,
    command,
    connect,
    examples,
    new_table,
)
from setlist_pipelines.cli.options import Set

if TYPE_CHECKING:
    from setlist_pipelines.kubeflow.api import Kubeflow
    from setlist_pipelines.kubeflow.recurring_runs import Recurring
    from setlist_pipelines.kubeflow.scheduling import Wanted
    from setlist_pipelines.settings.file import Settings

schedule = typer.Typer(
    no_args_is_help=True,
    help="The schedules of the settings on a cluster.",
    epilog=examples(
        "In home.yaml, at 05:00 UTC every day (second minute hour day month weekday):",
        'schedules: {daily: {cron: "0 0 5 * * *", time_zone: Europe/Stockholm}}',
        "setlist schedule apply --config home.yaml",
    ),
)

Config = Annotated[Path, typer.Option("--config", "-c", help="Settings file.")]
"""Never the sample: what the settings do not name is deleted."""
Name = Annotated[str, typer.Argument(help="The schedule, as the settings name it.")]


@schedule.command(
    epilog=examples(
        "setlist schedule apply --config home.yaml",
        "setlist schedule apply --config home.yaml --image registry.example/setlist@sha256:...",
    )
)
def apply(
    config: Config,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Bring the cluster in step with the settings: what is new, changed or gone there.

    Applied twice, it changes nothing. A changed schedule is replaced without a gap or a double, for
    which this may wait: for a time that is near, and for a run that goes on. It may be stopped at
    any moment and started again.
    """
    from setlist_pipelines.kubeflow.scheduling import apply

    settings = _settings(config, change)
    done = apply(connect(host, namespace, token_file, cookies), settings, image, _Lines())
    for name, what in done.items():
        typer.echo(f"{name:<12} {what}")
    if not done:
        typer.echo("no schedules, neither in the settings nor on the cluster")


@schedule.command(name="list", epilog=examples("setlist schedule list --config home.yaml"))
def list_(
    config: Config,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Show the schedules, when they run next, and whether the cluster is in step with the settings.

    Without an image, the versions of the pipeline are not compared.
    """
    from setlist_pipelines.cli.screen import screen
    from setlist_pipelines.kubeflow.recurring_runs import of_other_stores, recurring_runs
    from setlist_pipelines.kubeflow.scheduling import check_schedules

    settings = _settings(config, change)
    schedules = check_schedules(settings)
    kubeflow = connect(host, namespace, token_file, cookies)
    there = recurring_runs(kubeflow, settings.name, settings.store)
    table = new_table("schedule", "cron", "next", "state", "in step", "last run")
    for name in schedules | there:
        group, one = there.get(name, []), schedules.get(name)
        current = group[-1] if group else None
        cron = current.cron if current else one.schedule.cron if one else ""
        add_row(
            table,
            name,
            cron,
            _next(cron, one.schedule.time_zone if one else "UTC"),
            _state(group),
            _step(current, one, image),
            _last(kubeflow, current),
        )
    for name, other in of_other_stores(kubeflow, settings.name, settings.store):
        add_row(table, name, other.cron, "", _state([other]), f"no: of {other.store}", "")
    screen().print(table)


@schedule.command(epilog=examples("setlist schedule pause daily --config home.yaml"))
def pause(
    name: Name,
    config: Config,
    change: Set = None,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start no runs of a schedule until it is resumed; one that goes on, goes on."""
    from setlist_pipelines.kubeflow.recurring_runs import pause

    kubeflow = connect(host, namespace, token_file, cookies)
    pause(kubeflow, _current(kubeflow, config, change, name))
    typer.echo(f"{name} is paused")


@schedule.command(epilog=examples("setlist schedule resume daily --config home.yaml"))
def resume(
    name: Name,
    config: Config,
    change: Set = None,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start the runs of a schedule again; what was missed is run only with `catch_up`."""
    from setlist_pipelines.kubeflow.recurring_runs import resume

    kubeflow = connect(host, namespace, token_file, cookies)
    current = _current(kubeflow, config, change, name)
    if not current.enabled:
        resume(kubeflow, current, partial(_Lines(), name))
    typer.echo(f"{name} runs")


@schedule.command(epilog=examples("setlist schedule delete weekly --config home.yaml"))
def delete(
    name: Name,
    config: Config,
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
    for one in recurring_runs(kubeflow, settings.name, settings.store).get(name, []):
        retire(kubeflow, one, partial(lines, name))
    typer.echo(f"{name} is not on the cluster")


@schedule.command(epilog=examples("setlist schedule run-now daily --config home.yaml"))
def run_now(
    name: Name,
    config: Config,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start a run of a schedule now, as of the present moment, and print its link."""
    from setlist_pipelines.kubeflow.recurring_runs import now
    from setlist_pipelines.kubeflow.scheduling import wanted
    from setlist_pipelines.kubeflow.submission import link, package, submit

    settings = _settings(config, change)
    one = wanted(settings, name)
    compiled = package(one.settings, image)
    kubeflow, moment = connect(host, namespace, token_file, cookies), now()
    done = submit(
        kubeflow,
        compiled,
        one.arguments | {"as_of": f"{moment:%Y-%m-%dT%H:%M:%SZ}"},
        settings.name,
        f"{name}-{moment:%Y%m%d%H%M%S}",
        one.service_account,
    )
    typer.echo(f"run       {done.name} {done.run_id}")
    typer.echo(f"link      {link(kubeflow, done.run_id)}")


class _Lines:
    """Prints what is said about a schedule, and nothing twice in a row."""

    def __init__(self) -> None:
        self.last: tuple[str, str] | None = None

    def __call__(self, name: str, line: str) -> None:
        if self.last != (name, line):
            typer.echo(f"{name:<12} {line}")
        self.last = (name, line)


def _settings(config: Path, change: list[str] | None) -> "Settings":
    from setlist_pipelines.settings.file import read_settings

    return read_settings(config, change)


def _current(
    kubeflow: "Kubeflow", config: Path, change: list[str] | None, name: str
) -> "Recurring":
    from setlist_pipelines.kubeflow.recurring_runs import finish, recurring_runs

    settings = _settings(config, change)
    group = recurring_runs(kubeflow, settings.name, settings.store).get(name, [])
    current = finish(kubeflow, group, partial(_Lines(), name))
    if current is None:
        raise SetlistError(
            f"the cluster has no schedule {name} of {settings.name} in {settings.store}; run "
            f"`{command('setlist schedule apply', config, change)}`."
        )
    return current


def _next(cron: str, zone: str) -> str:
    from zoneinfo import ZoneInfo

    from setlist_pipelines.kubeflow.recurring_runs import now
    from setlist_pipelines.settings.schedule import next_time

    moment = next_time(cron, now())
    text = f"{moment:%a %Y-%m-%d %H:%M} UTC"
    return text if zone == "UTC" else f"{text}\n{moment.astimezone(ZoneInfo(zone)):%a %H:%M %Z}"


def _state(group: "list[Recurring]") -> str:
    if len(group) > 1:
        return "being replaced"
    return "absent" if not group else "running" if group[0].enabled else "paused"


def _step(current: "Recurring | None", one: "Wanted | None", image: str) -> str:
    from setlist_pipelines.kubeflow.scheduling import in_step
    from setlist_pipelines.kubeflow.submission import package

    if not one:
        return "no: not in the settings"
    if not current:
        return "no: apply"
    version = package(one.settings, image).version if image else ""
    return "yes" if in_step(current, one, version) else "no: apply"


def _last(kubeflow: "Kubeflow", current: "Recurring | None") -> str:
    from setlist_pipelines.kubeflow.recurring_runs import latest_run

    run = latest_run(kubeflow, current) if current else None
    return f"{run.get('created_at')} {run.get('state')}" if run else ""
