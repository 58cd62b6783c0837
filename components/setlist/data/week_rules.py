"""Rules for data that look at time: days, the newest week, and drift from the live model's data."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from setlist.data.case import DataCase, conclude
from setlist.data.distributions import WeeklyCounts, distance, newest, past_distances
from setlist.data.policy import Bound
from setlist.data.profile import TAG, IdColumn
from setlist.data.schema import UNBOUNDED_END
from setlist.data.verdict import DataReason

MIN_DAY_EVENTS = 20
"""A weekday with fewer events in its median may well have a day without any."""
QUIET_DAY = 0.1
"""A day with a smaller share of the events of its weekday counts as missing."""
DOUBLED_DAY = 0.4
"""A day with a larger share of exact duplicates was loaded twice: half of the rows, if whole."""


def days(case: DataCase) -> Iterator[DataReason]:
    """Days that are missing, and days that were loaded twice."""
    counted = pd.DataFrame(
        [day.model_dump() for day in case.report.days],
        columns=["day", "events", "duplicates"],
    )
    first, last = (day.floor("D") for day in (case.weeks.first, case.weeks.end))
    if counted.empty:
        return
    own = max(first, case.window.start.ceil("D"))
    if case.live:
        # Days that the live model was trained on have to be there, too.
        weeks = pd.Timedelta(days=7 * case.live.weeks)
        first = min(first, (pd.Timestamp(case.live.end) - weeks).ceil("D"))
    first = max(first, case.window.start.ceil("D"))
    # Where the window has no end, nothing says that the days after the last event are missing.
    if case.window.end != UNBOUNDED_END:
        last = max(last, min(case.window.end, case.now).floor("D"))
    span = pd.date_range(first, last, freq="D", inclusive="left")
    counted.index = pd.to_datetime(counted.pop("day"), utc=True)
    counted = counted.reindex(span, fill_value=0)
    if len(counted) < 14:
        return
    # Of the days that have any events, so that many missing days do not become the usual.
    present = counted["events"].where(counted["events"] > 0)
    usual = present.groupby(span.day_of_week).transform("median")
    quiet = span[(usual >= MIN_DAY_EVENTS) & (counted["events"] < QUIET_DAY * usual)]
    before, other = "", ""
    if case.live and (earlier := int((quiet < own).sum())):
        before = (
            f"; {earlier} of them lie before the first event, on days that the live model was "
            "trained on"
        )
        other = ", or use another `name` where the live model is of other tables"
    against = ""
    if len(quiet):
        against = (
            f", where they are not simply quiet: {quiet[0].date()} is held against "
            f"{usual[quiet[0]]:,.0f} events, the median of the days of its weekday that have any"
        )
    yield conclude(
        "missing days",
        len(quiet) / len(counted),
        case.policy.missing_days,
        "missing_days",
        f"{len(quiet)} of {len(counted)} days have less than a tenth of the events of their "
        f"weekday{_days(quiet)}{before}",
        f"load the days that are missing{against}{other}",
    )
    doubled = span[
        (counted["events"] >= MIN_DAY_EVENTS)
        & (counted["duplicates"] >= DOUBLED_DAY * (counted["events"] + counted["duplicates"]))
    ]
    yield conclude(
        "doubled days",
        len(doubled) / len(counted),
        case.policy.doubled_days,
        "doubled_days",
        f"{len(doubled)} of {len(counted)} days seem to be loaded twice{_days(doubled)}",
        "load each day once",
    )


def newest_week(case: DataCase) -> Iterator[DataReason]:
    """The volume of the newest week, and what in it was never seen before."""
    weekly = case.weeks.sizes()
    # Weeks without any event say nothing about how many events a week usually has.
    earlier = np.flatnonzero(weekly[:-1])
    if len(earlier) < 2:
        return
    usual, this = float(np.median(weekly[earlier])), float(weekly[-1])
    lost = max(0.0, 1 - this / usual)
    gained = max(0.0, 1 - usual / this) if this else 0.0
    sentence = f"the newest week has {this:,.0f} events, the median week {usual:,.0f}"
    remedy = "see whether the newest days are complete, and loaded once"
    yield conclude("lost volume", lost, case.policy.lost_volume, "lost_volume", sentence, remedy)
    yield conclude(
        "gained volume", gained, case.policy.gained_volume, "gained_volume", sentence, remedy
    )
    columns: tuple[tuple[str, IdColumn, Bound], ...] = (
        ("new items", "item_id", case.policy.new_items),
        ("new listeners", "user_id", case.policy.new_listeners),
    )
    for name, column, bound in columns:
        shares = [
            case.weeks.new_share(column, week) for week in (int(earlier[-1]), len(weekly) - 1)
        ]
        yield conclude(
            name,
            max(0.0, shares[1] - shares[0]),
            bound,
            name.replace(" ", "_"),
            f"{shares[1]:.1%} of the newest week is {name}, {shares[0]:.1%} the week before",
            "see whether ids are hashed or counted in another way now",
        )


def drift(case: DataCase) -> Iterator[DataReason]:
    """The newest week against the weeks of the live model's data."""
    if not case.live:
        return
    needed = int(np.ceil(1 / case.policy.drift.false_alarms - 1))
    counted = case.weeks.counts(case.names)
    for name in TAG, *case.names:
        if name in case.live.distributions and name not in counted:
            yield DataReason(
                rule=f"drift of {name}",
                outcome="warn",
                value=1,
                bound=case.policy.drift.categories.warn,
                sentence=f"no event has a {name}, and the data of the live model had",
                remedy=f"see what happened to {name} since the live model was trained",
            )
    for name, counts in counted.items():
        reference = case.live.distributions.get(name)
        if reference is None or not counts.counts[-1].any():
            continue
        size, worst = distance(reference, newest(counts))
        yield _drifted(case, name, counts, size, worst, needed)


def _drifted(
    case: DataCase, name: str, counts: WeeklyCounts, size: float, worst: str, needed: int
) -> DataReason:
    past = past_distances(counts)
    # The observed distance has the same chance to be the largest as each past one.
    allowed = sorted(past)[-max(1, int((len(past) + 1) * case.policy.drift.false_alarms)) :]
    usual = allowed[0] if allowed else 0.0
    enough = len(past) >= needed
    key, bounds = "categories", case.policy.drift.categories
    if counts.kind == "numbers":
        key, bounds = "numbers", case.policy.drift.numbers
    bound = Bound(warn=min(1.0, max(bounds.warn, usual)), stop=min(1.0, max(bounds.stop, usual)))
    note = "" if enough else f", and a stop needs {needed}"
    return conclude(
        f"drift of {name}",
        min(size, 1.0),
        bound,
        f"drift.{key}",
        f"{name} is {size:.3f} away from the data of the live model, most at "
        f"{worst or 'rarer values'!r}; {len(past)} past weeks were at most "
        f"{max(past, default=0.0):.3f} away{note}",
        f"see what happened to {name} since the live model was trained",
        may_stop=enough,
        percent=False,
    )


def _days(days: pd.DatetimeIndex) -> str:
    shown = ", ".join(day.date().isoformat() for day in days[:5])
    return f": {shown}{' and others' if len(days) > 5 else ''}" if len(days) else ""
