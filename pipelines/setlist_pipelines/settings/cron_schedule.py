"""The `schedules` section of the settings: when runs start by the clock, and with what changes."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]
from pydantic import Field, StringConstraints, model_validator

from setlist.section import MAX_NAMES, Section

MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
CRON_FIELDS = {
    "second": (0, 59, ()),
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day of the month": (1, 31, ()),
    "month": (1, 12, MONTH_NAMES),
    "day of the week": (0, 6, WEEKDAY_NAMES),
}
"""The six fields of a cron line: the least number, the greatest, and the names of the numbers."""
CRON_PART = re.compile(r"(?:(?P<all>[*?])|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[1-9]\d*))?")
"""A part of a field; commas join parts. It is *, a number or a range, with a step or without."""
MIN_PERIOD = timedelta(minutes=5)
"""The least time between two fire times: the replacement of a schedule has to fit between them."""
MAX_CRON = 500
"""Characters of a cron line; each of its lists fits in, written out."""
CHECKED_FIRE_TIMES = 300
"""So many fire times are compared: more than a day has at five minutes between two of them, 288."""
FIXED_SETTINGS = ("as_of", "name", "store", "schedules")
"""What a schedule may not change: its fire time is the `as_of` of a run, and by name and store of
the model its recurring run on the cluster is recognised."""

PipelineName = Literal["retraining", "monitoring"]

ScheduleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class Schedule(Section):
    """Runs that start by the clock, with their changes of the settings."""

    cron: str = Field(
        max_length=MAX_CRON, description="second minute hour day-of-month month day-of-week, in UTC"
    )
    time_zone: str = Field("UTC", description="in which times are also shown; cron is in UTC")
    pipeline: PipelineName = "retraining"
    """Which of the two pipelines runs."""
    set: dict[str, Any] = Field(
        {}, max_length=MAX_NAMES, description="settings of these runs, by their dotted keys"
    )
    concurrency: int = Field(1, ge=1, le=10, description="how many of its runs may overlap")
    catch_up: bool = Field(
        False, description="whether every missed fire time gets a run later; else only the latest"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_cron(self.cron)
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, OSError, ValueError) as fault:
            raise ValueError(
                f"there is no time zone {self.time_zone!r}; write it like Europe/Stockholm"
            ) from fault
        for key in self.set:
            if key.partition(".")[0] in FIXED_SETTINGS:
                raise ValueError(f"a schedule cannot set {key}; leave it out")
        return self


@cache
def check_cron(cron: str) -> None:
    """Check a cron line; only lines that the backend and croniter read alike are allowed.

    The backend of Kubeflow Pipelines parses with robfig/cron v1. It also takes five fields, but
    reads the first of them as seconds; its days of the week end at 6; it joins a day of the month
    and a day of the week by "or" unless one of them has a star, with a step or without; and it
    knows neither L nor ranges that wrap around.

    Raises:
        ValueError: the line is not allowed; the message says what to write instead.
    """
    fields = cron.split()
    if len(fields) != len(CRON_FIELDS):
        raise ValueError(
            f"{cron!r} has {len(fields)} fields; write six: second, minute, hour, day of the "
            'month, month, day of the week, e.g. "0 0 5 * * *" for 05:00 UTC every day'
        )
    for (name, (least, greatest, names)), text in zip(CRON_FIELDS.items(), fields, strict=True):
        for part in text.split(","):
            if not _is_valid_part(part, least, greatest, names):
                raise ValueError(
                    f"{part!r} is no {name}; write *, a number from {least} to {greatest}, a range "
                    "like 1-5 or a step like */2"
                )
    # With numbers in both fields the backend and croniter disagree about "and" and "or".
    if not any(field in "*?" for field in (fields[3], fields[5])):
        raise ValueError(f"{cron!r} limits the day of the month and the day of the week; write *")
    # A fixed start: the same line must not be right on one day and wrong on another.
    times = croniter(cron, datetime(2024, 1, 1, tzinfo=UTC), second_at_beginning=True)
    try:
        moments = [times.get_next(datetime) for _ in range(CHECKED_FIRE_TIMES)]
    except CroniterBadDateError as fault:
        raise ValueError(f"{cron!r} names a day that never comes") from fault
    if any(second - first < MIN_PERIOD for first, second in pairwise(moments)):
        raise ValueError(
            f"{cron!r} fires twice within five minutes; let more time pass between two runs"
        )


def _is_valid_part(part: str, least: int, greatest: int, names: tuple[str, ...]) -> bool:
    """Whether a part of a field is *, ? or a range whose ends are in bounds and in order."""
    match = CRON_PART.fullmatch(part.lower())
    if not match or match["all"]:
        return bool(match)
    # -1 stands for a word that is neither a name nor a number; it is below every least number.
    ends = [
        names.index(end) + least if end in names else int(end) if end.isdecimal() else -1
        for end in (match["low"], match["high"] or match["low"])
    ]
    return least <= ends[0] <= ends[1] <= greatest


def next_time(cron: str, after: datetime) -> datetime:
    """The first fire time of a cron line after a moment, in the moment's time zone."""
    return croniter(cron, after, second_at_beginning=True).get_next(datetime)
