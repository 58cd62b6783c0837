"""The gate for data: whether a model may be trained on these tables.

The rules read the curated dataset, the report of its curation, and the profile of the data that the
live model was trained on. `setlist.evaluation.gate` does the same for models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.data.curation_report import CurationReport
from setlist.data.policy import Bound, DataPolicy
from setlist.data.profile import (
    TAG,
    DataProfile,
    WeeklyCounts,
    Weeks,
    distance,
    hashed,
    newest,
    past_distances,
    read_weeks,
)
from setlist.data.schema import Window
from setlist.data.verdict import DataOutcome, DataReason, DataVerdict

MIN_LISTENERS = 30
"""Shares of fewer listeners are too coarse for a bound."""
MIN_DAY_EVENTS = 20
"""A weekday with fewer events in its median may well have a day without any."""
QUIET_DAY = 0.1
DOUBLED_DAY = 0.4


def judge_data(
    dataset: Path,
    window: Window,
    report: CurationReport,
    inputs: tuple[str, ...],
    live: DataProfile | None,
    policy: DataPolicy,
    now: pd.Timestamp,
) -> DataVerdict:
    """Apply every rule to a curated dataset.

    Args:
        dataset: the folder that `curate` wrote.
        window: of the run.
        report: of the curation.
        inputs: columns of the users table that the models will read.
        live: the profile of the data that the live model was trained on; None for a first run.
        policy: the bounds.
        now: events later than this are from the future.
    """
    weeks = read_weeks(dataset, window, training_only=False)
    judge = _Judge(weeks, window, report, inputs, live, policy, now)
    reasons = [
        *judge.rejections(),
        *judge.ids(),
        *judge.inputs(),
        *judge.items(),
        *judge.expectations(),
        *judge.days(),
        *judge.newest_week(),
        *(judge.drift() if live else ()),
    ]
    return DataVerdict.of(reasons)


def _reason(
    rule: str, value: float, bound: Bound, sentence: str, remedy: str, most: DataOutcome = "stop"
) -> DataReason:
    """The outcome of a share under its bound, at most `most`."""
    outcome: DataOutcome = (
        "stop"
        if value > bound.stop and most == "stop"
        else "warn"
        if value > bound.warn
        else "pass"
    )
    limit = bound.stop if outcome == "stop" else bound.warn
    return DataReason(
        rule=rule,
        outcome=outcome,
        value=round(value, 6),
        bound=limit,
        sentence=f"{sentence} (allowed: {limit:.1%})",
        remedy="" if outcome == "pass" else remedy,
    )


@dataclass(frozen=True)
class _Judge:
    """The rules, over what they share."""

    weeks: Weeks
    window: Window
    report: CurationReport
    names: tuple[str, ...]
    live: DataProfile | None
    policy: DataPolicy
    now: pd.Timestamp

    def rejections(self) -> Iterator[DataReason]:
        """The rows that curation rejected, in sum and for each reason."""
        read = self.report.read - self.report.excluded
        if not read:
            return
        rows = self.report.rejected
        total = sum(rows.values())
        worst = max(rows, key=lambda reason: rows[reason]) if total else ""
        example = self.report.examples.get(worst)
        sentence = f"{total:,} of {read:,} events ({total / read:.1%}) are rejected"
        if example:
            sentence += f", most for {worst}: {example.row}"
        yield _reason(
            "rejected rows",
            total / read,
            self.policy.rejected,
            sentence,
            example.remedy if example else "",
        )
        for reason, bound in self.policy.rejected_for.items():
            if not (number := rows.get(reason, 0)):
                continue
            shown = self.report.examples[reason]
            yield _reason(
                f"rejected for {reason}",
                number / read,
                bound,
                f"{number:,} of {read:,} events ({number / read:.1%}) are rejected for {reason}: "
                f"{shown.row}",
                shown.remedy,
            )
        latest = pd.Timestamp(self.report.latest) if self.report.latest else self.now
        if latest > self.now + pd.Timedelta(days=1):
            yield DataReason(
                rule="future events",
                outcome="warn",
                value=float((latest - self.now) / pd.Timedelta(days=1)),
                bound=1,
                sentence=f"the latest event is dated {latest.isoformat()}, which is in the future",
                remedy="see timestamp_unit, and the clocks of the devices that log plays",
            )

    def ids(self) -> Iterator[DataReason]:
        """Ids that have to be the same in two tables, and in the data of the live model."""
        listeners = self.weeks.events["user_id"].unique()
        if self.report.unknown_users and self.report.users_table:
            unknown = sorted(set(listeners) - set(self.weeks.users["user_id"]))
            if unknown:
                yield _reason(
                    "unknown listeners",
                    len(unknown) / len(listeners),
                    self.policy.unknown_listeners,
                    f"{len(unknown):,} of {len(listeners):,} listeners of the events are not in "
                    f"the table of users, such as {unknown[0]!r}",
                    "see whether both tables use the same ids "
                    f"(the table of users has {self.weeks.users['user_id'].iloc[0]!r})",
                )
        if not self.live or pd.Timestamp(self.live.end) <= self.window.start:
            return
        present = {
            "listeners": {*map(hashed, listeners), *map(hashed, self.weeks.users["user_id"])},
            "items": set(map(hashed, self.weeks.items["item_id"])),
        }
        for name, known in present.items():
            sketched: list[str] = getattr(self.live, name)
            if len(sketched) >= MIN_LISTENERS:
                lost = sum(each not in known for each in sketched) / len(sketched)
                yield _reason(
                    f"lost {name}",
                    lost,
                    self.policy.lost_ids,
                    f"{lost:.0%} of the {name} that the live model was trained on are not in the "
                    "data",
                    "see whether ids are hashed or counted in another way now",
                )

    def inputs(self) -> Iterator[DataReason]:
        """Inputs that nobody has, that are different for everybody, or that differ in case."""
        users = self.weeks.users.set_index("user_id")
        active = self.weeks.events["user_id"].unique()
        if len(active) < MIN_LISTENERS:
            return
        for name in self.names:
            if name not in users.columns:
                continue
            values = users[name].reindex(active).fillna("")
            given = values[values != ""]
            missing = 1 - len(given) / len(values)
            yield _reason(
                f"missing {name}",
                missing,
                self.policy.missing_values,
                f"no listener has a {name}"
                if missing == 1
                else f"{missing:.1%} of the listeners have no {name}",
                "see whether the ids of both tables match, and whether the column is filled, or "
                f"take {name} out of inputs",
            )
            if not len(given):
                continue
            distinct = given.nunique() / len(given)
            yield _reason(
                f"values of {name}",
                distinct,
                self.policy.distinct_values,
                f"{name} is different for every listener"
                if distinct == 1
                else f"{name} has {given.nunique():,} values for {len(given):,} listeners, such as "
                f"{given.iloc[0]!r}",
                f"bin {name} before it comes here, or take it out of inputs",
            )
            folded = given.str.casefold()
            spellings = given.groupby(folded).nunique()
            if (spellings > 1).any():
                value = str(spellings.index[spellings.to_numpy() > 1][0])
                pair = sorted(given[folded == value].unique())[:2]
                yield DataReason(
                    rule=f"spelling of {name}",
                    outcome="warn",
                    value=float((spellings > 1).mean()),
                    bound=0,
                    sentence=f"{name} has values that differ in case only, such as {pair[0]!r} and "
                    f"{pair[1]!r}",
                    remedy="write them alike: they are two values for a model",
                )
            if given.nunique() == 1 and len(given) == len(values):
                yield DataReason(
                    rule=f"constant {name}",
                    outcome="warn",
                    value=1,
                    bound=1,
                    sentence=f"{name} is {given.iloc[0]!r} for every listener",
                    remedy=f"see where {name} comes from, or take it out of inputs",
                )

    def items(self) -> Iterator[DataReason]:
        """Tags that say nothing, and items without a title."""
        items = self.weeks.items
        counts = items["tags"].explode().dropna().value_counts()
        if len(counts):
            single = counts.index[counts.to_numpy() == 1]
            share = len(single) / len(counts)
            separators = [
                mark for mark in ",;|/" if counts.index.str.contains(mark, regex=False).mean() > 0.5
            ]
            remedy = "see tags_separator"
            if separators:
                remedy = f'set tags_separator: "{separators[0]}"'
            yield _reason(
                "distinct tags",
                share if len(items) >= MIN_LISTENERS else 0.0,
                self.policy.distinct_tags,
                f"{len(single):,} of {len(counts):,} tags are of one item only"
                + (f", such as {single[0]!r}" if len(single) else ""),
                remedy,
            )
        if self.report.items_table and len(items) >= MIN_LISTENERS:
            untitled = float((items["title"] == items["item_id"]).mean())
            yield _reason(
                "missing titles",
                untitled,
                self.policy.missing_titles,
                f"{untitled:.1%} of {len(items):,} items have no title",
                "name the column of titles, like columns: {title: NAME}",
            )

    def expectations(self) -> Iterator[DataReason]:
        """Columns and tags against what the team expects of them."""
        expected = self.policy.expected.shares(self.weeks.users, self.weeks.items)
        for name, share, sentence, remedy in expected:
            yield _reason(f"expected {name}", share, self.policy.unexpected, sentence, remedy)

    def days(self) -> Iterator[DataReason]:
        """Days that are missing, and days that were loaded twice."""
        counted = pd.DataFrame(
            [day.model_dump() for day in self.report.days],
            columns=["day", "events", "duplicates"],
        )
        first, last = (
            day.floor("D") for day in (self.weeks.events["timestamp"].min(), self.weeks.end)
        )
        if counted.empty:
            return
        if self.live:
            # Days that the live model was trained on have to be there, too.
            weeks = pd.Timedelta(days=7 * self.live.weeks)
            first = min(first, (pd.Timestamp(self.live.end) - weeks).ceil("D"))
        first = max(first, self.window.start.ceil("D"))
        end = min(self.window.end, self.now).floor("D")
        # Where the window has no end, the data say where they end.
        last = last if (end - last) > pd.Timedelta(days=3650) else max(last, end)
        span = pd.date_range(first, last, freq="D", inclusive="left")
        counted.index = pd.to_datetime(counted.pop("day"), utc=True)
        counted = counted.reindex(span, fill_value=0)
        if len(counted) < 14:
            return
        # Of the days that have any events, so that many missing days do not become the usual.
        present = counted["events"].where(counted["events"] > 0)
        usual = present.groupby(span.day_of_week).transform("median")
        quiet = span[(usual >= MIN_DAY_EVENTS) & (counted["events"] < QUIET_DAY * usual)]
        yield _reason(
            "missing days",
            len(quiet) / len(counted),
            self.policy.missing_days,
            f"{len(quiet)} of {len(counted)} days have less than a tenth of the events of their "
            f"weekday{_days(quiet)}",
            "load the days that are missing",
        )
        doubled = span[
            (counted["events"] >= MIN_DAY_EVENTS)
            & (counted["duplicates"] >= DOUBLED_DAY * (counted["events"] + counted["duplicates"]))
        ]
        yield _reason(
            "doubled days",
            len(doubled) / len(counted),
            self.policy.doubled_days,
            f"{len(doubled)} of {len(counted)} days seem to be loaded twice{_days(doubled)}",
            "load each day once",
        )

    def newest_week(self) -> Iterator[DataReason]:
        """The volume of the newest week, and what in it was never seen before."""
        weekly = np.bincount(self.weeks.events["week"], minlength=self.weeks.number)
        if len(weekly) < 3:
            return
        usual, this = float(np.median(weekly[:-1])), float(weekly[-1])
        lost = max(0.0, 1 - this / usual) if usual else 0.0
        gained = max(0.0, 1 - usual / this) if this else 0.0
        sentence = f"the newest week has {this:,.0f} events, the median week {usual:,.0f}"
        remedy = "see whether the newest days are complete, and loaded once"
        yield _reason("lost volume", lost, self.policy.lost_volume, sentence, remedy)
        yield _reason("gained volume", gained, self.policy.gained_volume, sentence, remedy)
        for name, column, bound in (
            ("new items", "item_id", self.policy.new_items),
            ("new listeners", "user_id", self.policy.new_listeners),
        ):
            shares = [self._new(column, week) for week in (len(weekly) - 2, len(weekly) - 1)]
            yield _reason(
                name,
                max(0.0, shares[1] - shares[0]),
                bound,
                f"{shares[1]:.1%} of the newest week is {name}, {shares[0]:.1%} the week before",
                "see whether ids are hashed or counted in another way now",
            )

    def _new(self, column: str, week: int) -> float:
        """The share of a week that no earlier week has: of events for items, else of listeners."""
        events = self.weeks.events
        before = set(events.loc[events["week"] < week, column])
        values = events.loc[events["week"] == week, column]
        if column == "user_id":
            values = values.drop_duplicates()
        return float((~values.isin(before)).mean()) if len(values) else 0.0

    def drift(self) -> Iterator[DataReason]:
        """The newest week against the weeks of the live model's data."""
        if not self.live:
            return
        needed = int(np.ceil(1 / self.policy.drift.false_alarms - 1))
        counted = self.weeks.counts(self.names)
        for name in TAG, *self.names:
            if name in self.live.distributions and name not in counted:
                yield DataReason(
                    rule=f"drift of {name}",
                    outcome="warn",
                    value=1,
                    bound=self.policy.drift.categories.warn,
                    sentence=f"no event has a {name}, and the data of the live model had",
                    remedy=f"see what happened to {name} since the live model was trained",
                )
        for name, counts in counted.items():
            reference = self.live.distributions.get(name)
            if reference is None or not counts.counts[-1].any():
                continue
            size, worst = distance(reference, newest(counts))
            yield self._drifted(name, counts, size, worst, needed)

    def _drifted(
        self, name: str, counts: WeeklyCounts, size: float, worst: str, needed: int
    ) -> DataReason:
        past = past_distances(counts)
        # The observed distance has the same chance to be the largest as each past one.
        allowed = sorted(past)[-max(1, int((len(past) + 1) * self.policy.drift.false_alarms)) :]
        usual = allowed[0] if allowed else 0.0
        enough = len(past) >= needed
        bounds = self.policy.drift.categories
        if counts.kind == "numbers":
            bounds = self.policy.drift.numbers
        bound = Bound(
            warn=min(1.0, max(bounds.warn, usual)), stop=min(1.0, max(bounds.stop, usual))
        )
        note = "" if enough else f", and a stop needs {needed}"
        return _reason(
            f"drift of {name}",
            min(size, 1.0),
            bound,
            f"{name} is {size:.3f} away from the data of the live model, most at "
            f"{worst or 'rarer values'!r}; {len(past)} past weeks were at most "
            f"{max(past, default=0.0):.3f} away{note}",
            f"see what happened to {name} since the live model was trained",
            most="stop" if enough else "warn",
        )


def _days(days: pd.DatetimeIndex) -> str:
    shown = ", ".join(day.date().isoformat() for day in days[:5])
    return f": {shown}{' and others' if len(days) > 5 else ''}" if len(days) else ""
