"""The `as_of` of a run that a schedule started: the time for which the schedule fired.

Kubeflow Pipelines 2.17 expands the macro `[[ScheduledTime]]` for some recurring runs and hands it
on as it is to others, those that are pinned to a version of their pipeline among them. So the
parameter carries the macro and the cron line. Where the macro was not expanded, the last fire time
until now is taken: the same time, unless the run waited for longer than a period.
"""

from datetime import UTC, datetime, timedelta

from setlist.data.schema import date_error

MACRO = "[[ScheduledTime]]"
"""What the backend replaces by the time of a scheduled run, 14 digits in UTC."""
SEPARATOR = " by "


def scheduled(cron: str) -> str:
    """The `as_of` of the runs of a cron line (six fields, UTC), for `resolve_scheduled` to read."""
    return f"{MACRO}{SEPARATOR}{cron}"


def resolve_scheduled(as_of: str) -> str:
    """The instant that `scheduled` stands for, as text; any other `as_of` unchanged.

    Raises:
        SetlistError: when the cron line cannot be read.
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
    """The last fire time of a cron line (six fields, UTC) until an instant, that one included."""
    from croniter import croniter  # type: ignore[import-untyped]

    soon = until.replace(microsecond=0) + timedelta(seconds=1)
    return croniter(cron, soon, second_at_beginning=True).get_prev(datetime)
