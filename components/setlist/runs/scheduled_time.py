"""The `as_of` of a run that a schedule started: the time for which the schedule fired.

Kubeflow Pipelines 2.17 expands the macro `[[ScheduledTime]]` for some recurring runs and passes it
on unchanged to others, such as runs that are pinned to a version of their pipeline. So the
parameter carries the macro and the cron line. Where the macro was not expanded, the last fire time
until now is taken. It is the same time, unless the run has waited for longer than a period.
"""

from datetime import UTC, datetime, timedelta

from setlist.data.schema import date_error

MACRO = "[[ScheduledTime]]"
"""What the backend replaces by the time of a scheduled run, 14 digits in UTC."""
SEPARATOR = " by "


def scheduled(cron: str) -> str:
    """The `as_of` for the runs of a cron line (six fields, UTC); `resolve_scheduled` reads it."""
    return f"{MACRO}{SEPARATOR}{cron}"


def resolve_scheduled(as_of: str) -> str:
    """The instant that a text of `scheduled` stands for, as text; any other `as_of` unchanged.

    Raises:
        SettingsError: the cron line cannot be read.
    """
    if SEPARATOR not in as_of:
        return as_of
    instant, _, cron = as_of.partition(SEPARATOR)
    if instant != MACRO:
        return instant
    try:
        return last_time(cron, datetime.now(UTC)).isoformat()
    except ValueError as fault:
        raise date_error(as_of, "as_of") from fault


def last_time(cron: str, until: datetime) -> datetime:
    """The last fire time of a cron line (six fields, UTC) that is not after an instant."""
    from croniter import croniter  # type: ignore[import-untyped]

    # croniter looks strictly before its start; one second later includes the instant itself.
    start = until.replace(microsecond=0) + timedelta(seconds=1)
    return croniter(cron, start, second_at_beginning=True).get_prev(datetime)
