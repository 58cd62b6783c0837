"""The `schedules` section of the settings: when runs start by themselves, and with what changes."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = {
    "second": (0, 59, ()),
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day of the month": (1, 31, ()),
    "month": (1, 12, MONTHS),
    "day of the week": (0, 6, DAYS),
}
"""The six fields, their least and greatest number, and the names that stand for these in order."""
PART = re.compile(r"(?:(?P<all>[*?])|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[1-9]\d*))?")
CLOSEST = timedelta(minutes=5)
"""Two fire times may not be closer: none could be replaced between them."""
OWN = ("as_of", "name", "store", "schedules")
"""What a schedule may not set: the moment is its own, name and store are how it is found again."""

ScheduleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class Schedule(BaseModel):
    """Runs by the clock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cron: str = Field(description="second minute hour day-of-month month day-of-week, in UTC")
    time_zone: str = Field("UTC", description="in which times are shown besides; cron is in UTC")
    set: dict[str, Any] = Field({}, description="settings of these runs, by their dotted keys")
    concurrency: int = Field(1, ge=1, le=10, description="how many of its runs may go on at once")
    catch_up: bool = Field(
        False, description="whether each missed time is run later; else only the latest of them"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_cron(self.cron)
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, OSError, ValueError) as fault:
            raise ValueError(
                f"there is no time zone {self.time_zone!r}; write it like Europe/Stockholm"
            ) from fault
        for key in self.set:
            if key.partition(".")[0] in OWN:
                raise ValueError(f"a schedule cannot set {key}; leave it out")
        return self


@cache
def check_cron(cron: str) -> None:
    """Hold a cron line against what the backend and we read alike.

    The backend parses with robfig/cron v1. It takes five fields, too, but as seconds first; its
    days of the week end at 6; it joins a day of the month and one of the week by "or" unless either
    has a star, with a step or without; and it knows neither L nor ranges that wrap around.

    Raises:
        ValueError: what to write instead.
    """
    fields = cron.split()
    if len(fields) != len(FIELDS):
        raise ValueError(
            f"{cron!r} has {len(fields)} fields; write six: second, minute, hour, day of the "
            'month, month, day of the week, e.g. "0 0 5 * * *" for 05:00 UTC every day'
        )
    for (name, (least, greatest, names)), text in zip(FIELDS.items(), fields, strict=True):
        for part in text.split(","):
            if not _fits(part, least, greatest, names):
                raise ValueError(
                    f"{part!r} is no {name}; write *, a number from {least} to {greatest}, a range "
                    "like 1-5 or a step like */2"
                )
    if not any(field in "*?" for field in (fields[3], fields[5])):
        raise ValueError(f"{cron!r} limits the day of the month and the day of the week; write *")
    times = croniter(cron, datetime(2024, 1, 1, tzinfo=UTC), second_at_beginning=True)
    try:
        moments = [times.get_next(datetime) for _ in range(300)]
    except CroniterBadDateError as fault:
        raise ValueError(f"{cron!r} names a day that never comes") from fault
    if any(second - first < CLOSEST for first, second in pairwise(moments)):
        raise ValueError(
            f"{cron!r} fires twice within five minutes; let more time pass between two runs"
        )


def _fits(part: str, least: int, greatest: int, names: tuple[str, ...]) -> bool:
    match = PART.fullmatch(part.lower())
    if not match or match["all"]:
        return bool(match)
    ends = [
        names.index(end) + least if end in names else int(end) if end.isdecimal() else -1
        for end in (match["low"], match["high"] or match["low"])
    ]
    return least <= ends[0] <= ends[1] <= greatest


def next_time(cron: str, after: datetime) -> datetime:
    """The first fire time after a moment."""
    return croniter(cron, after, second_at_beginning=True).get_next(datetime)
