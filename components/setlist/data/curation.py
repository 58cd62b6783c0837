"""Curates the raw tables into a clean dataset, divided in time into training and test period.

The rules for events are in `setlist.data.event_rules`; items and users are taken as of the cutoff.
"""

import shutil
import uuid
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pydantic

from setlist.data.curation_report import CurationReport, DayCount
from setlist.data.engine import Engine, EngineSettings
from setlist.data.engines import open_engine
from setlist.data.event_rules import (
    BOT,
    KEPT,
    EventRules,
    apply_rules,
    count_rules,
    id_table,
    refuse_empty,
    rejected_examples,
    rejected_query,
)
from setlist.data.events import OPTIONAL, REQUIRED, STAGED_EVENTS, Fate, staged_events
from setlist.data.keys import key_text
from setlist.data.schema import (
    DAY_MICROSECONDS,
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    UNBOUNDED_END,
    UNBOUNDED_START,
    Window,
    check_instant,
    instant,
    instant_microseconds,
    parse_instant,
)
from setlist.data.snapshots import read_items, read_users
from setlist.data.source import TableSource, in_streams, listing, read_parts
from setlist.errors import DataError
from setlist.section import MOST_DAYS, Section

TRAIN_DAYS, TEST_DAYS = 90, 14
A_MINUTE = 1 / 1_440
"""In days; the shortest period of a window."""

# Explicit, because a column without values (no tags, no release dates) would lose its type.
_INSTANT = pa.timestamp("us", "UTC")
_EVENTS = pa.schema(
    zip(EVENT_COLUMNS, (pa.large_string(), pa.large_string(), _INSTANT, pa.float64()), strict=True)
)
_ITEMS = pa.schema(
    zip(
        ITEM_COLUMNS,
        (pa.large_string(), pa.large_string(), pa.list_(pa.large_string()), _INSTANT),
        strict=True,
    )
)

_TEXT_COLUMNS = ("user_id", "item_id", "timestamp", "weight", "reason")
_REJECTED = pa.schema([("row", pa.int64()), *((name, pa.large_string()) for name in _TEXT_COLUMNS)])


class WindowSettings(Section):
    """The period of a run.

    Attributes:
        train_days, test_days: lengths of the two periods. Where they are left out, they are 90 and
            14, or unbounded if `split_at` is set. Each is from a minute to 100 years.
        split_at: the cutoff, as ISO text or Unix seconds, from 1971 to 2100; None places the window
            before `as_of`.
    """

    train_days: float | None = pydantic.Field(None, ge=A_MINUTE, le=MOST_DAYS)
    test_days: float | None = pydantic.Field(None, ge=A_MINUTE, le=MOST_DAYS)
    split_at: str | int | None = None

    @pydantic.field_validator("split_at")
    @classmethod
    def _is_instant(cls, split_at: str | int | None) -> str | int | None:
        if split_at is not None:
            check_instant(split_at)
        return split_at


class CurationSettings(Section):
    """The bounds of the rules for events.

    Attributes:
        min_item_events: a training event stays if its item has at least as many; applied first.
        min_user_events: a training event stays if its user then has at least as many.
        max_events_per_day: a user with more events on one UTC day is a bot, and the events of that
            day are rejected; the day of the cutoff counts as two.

    The first two are at most a million, the last a billion, which no listener reaches.

    Models and evaluation do not see the training events that the first two bounds remove. So with
    a bound above 1, a listener's list may hold a rare item that she has played already, and the
    evaluation counts it as a discovery.
    """

    min_item_events: int = pydantic.Field(1, ge=1, le=1_000_000)
    min_user_events: int = pydantic.Field(1, ge=1, le=1_000_000)
    max_events_per_day: int = pydantic.Field(500, ge=1, le=1_000_000_000)


class DataSettings(Section):
    """The raw tables; without `items` or `users` only the ids in the events are known.

    Attributes:
        exclude: listeners (`user_id`) and items (`item_id`) that are removed before anything else:
            erased accounts, staff, bots, withdrawn titles.
    """

    events: TableSource
    items: TableSource | None = None
    users: TableSource | None = None
    exclude: TableSource | None = None


def resolve_window(settings: WindowSettings, as_of: str, now: pd.Timestamp) -> Window:
    """The window around `split_at` or, where that is not set, of the days before `as_of`.

    Args:
        settings: the period of a run.
        as_of: the end of the window as text; "" is `now`, without fractions of a second.
        now: the current time.

    Raises:
        SettingsError: when a date cannot be read.
    """
    if settings.split_at is not None:
        cutoff = parse_instant(settings.split_at, "window.split_at")
        start = cutoff - _days(settings.train_days) if settings.train_days else UNBOUNDED_START
        end = cutoff + _days(settings.test_days) if settings.test_days else UNBOUNDED_END
        return Window(start, cutoff, end)
    end = parse_instant(as_of or now.floor("s").isoformat(), "as_of")
    cutoff = end - _days(settings.test_days or TEST_DAYS)
    return Window(cutoff - _days(settings.train_days or TRAIN_DAYS), cutoff, end)


def _days(days: float) -> pd.Timedelta:
    return pd.Timedelta(days=days).as_unit("us")


def curate(
    data: DataSettings,
    window: Window,
    settings: CurationSettings,
    output: Path,
    engine: EngineSettings = EngineSettings(),  # noqa: B008 - it is frozen
) -> CurationReport:
    """Read the tables, clean them, keep the window and write the dataset folder.

    train.parquet, test.parquet: EVENT_COLUMNS by timestamp, then user_id and item_id.
    items.parquet: ITEM_COLUMNS by item_id. It holds items released after the cutoff too, so code
        that builds a catalogue must check `released`. Without an items table: the items of the
        training events.
    users.parquet: user_id and every other column as strings, "" is not known. Without a users
        table: the ids of the events.
    rejected.parquet: row (from 1, counted through all files), the values as text, reason. A
        timestamp and a weight that could not be read are as the file holds them; other timestamps
        are in ISO 8601, and other weights are left out.
    report.md, counts.json: the report.

    Args:
        data: the raw tables.
        window: the period of the run.
        settings: the bounds of the rules.
        output: the dataset folder; it must not exist, or be empty.
        engine: where the events are held.

    Raises:
        DataError: when a table cannot be read, no event is left in the window or in one of its two
            periods, or `output` exists and is not empty. Nothing is written then.
        SettingsError: when the settings of a table do not fit its columns.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output}: it exists already", "remove it or name another folder")
    notes: list[str] = []
    items = None if data.items is None else read_items(data.items, window.cutoff, notes)
    users = None if data.users is None else read_users(data.users, window.cutoff, notes)
    excluded = _excluded_ids(data.exclude)
    if items is not None:
        items = items[~items["item_id"].isin(excluded["item_id"])]
    if users is not None:
        users = users[~users["user_id"].isin(excluded["user_id"])]
    rules = EventRules(
        window,
        settings.max_events_per_day,
        settings.min_item_events,
        settings.min_user_events,
        excluding=data.exclude is not None,
        knowing=items is not None,
    )
    # Opened here, so that all workers read one snapshot.
    events = in_streams(data.events, REQUIRED, OPTIONAL)
    with open_engine(engine) as sql:
        sql.load_files(
            "staged", partial(staged_events, events), len(listing(events)), STAGED_EVENTS
        )
        for name, ids in (
            ("known_items", set() if items is None else items["item_id"]),
            ("excluded_listeners", excluded["user_id"]),
            ("excluded_items", excluded["item_id"]),
        ):
            table = id_table(ids)
            sql.load(name, table.to_batches(), table.schema)
        if not sql.rows("select count(*) from staged where size is null")[0][0]:
            condition = " that `where` keeps" if data.events.where else ""
            raise DataError(
                f"{data.events.name}: there are no events{condition}", "correct the source"
            )
        print("applying the rules", flush=True)
        apply_rules(sql, rules)
        counts = count_rules(sql, rules)
        refuse_empty(sql, rules, counts)
        if items is None:
            # Items of the test period only are unknown at the cutoff.
            notes.append("items: there is no table; the items are those of the training events.")
            played = _ids(sql, "item", rules.training)
            items = pd.DataFrame({"item_id": played, "title": played})
            items["tags"], items["released"] = [[] for _ in played], pd.NaT
        present = _ids(sql, "listener", f"rule = {KEPT}")
        if users is None:
            notes.append("users: there is no table; the users are those of the events.")
            users = pd.DataFrame({"user_id": present})
        unknown = int((~present.isin(users["user_id"])).sum())
        if unknown:
            notes.append(f"users: {unknown:,} users of the events are not in the table; kept.")
        removed = {
            fate: {count.rule: count.removed for count in counts if count.fate == fate}
            for fate in get_args(Fate)
        }
        ((latest,),) = sql.rows(f"select max(time) from ruled where rule > {BOT}")
        report = CurationReport(
            window=window.to_json(),
            counts=counts,
            read=counts[0].rows,
            train=counts[-2].rows,
            test=counts[-1].rows,
            excluded=sum(removed["excluded"].values()),
            rejected=removed["rejected"],
            outside=sum(removed["outside"].values()),
            below_support=sum(removed["not trained on"].values()),
            unknown_users=unknown,
            items=len(items),
            users=len(users),
            items_table=data.items is not None,
            users_table=data.users is not None,
            examples=rejected_examples(sql, rules),
            days=_daily_counts(sql, window),
            latest=instant(latest).isoformat(),
            notes=notes,
        )
        print("writing the dataset", flush=True)
        _write(sql, rules, items, users, report, output)
    for count in report.counts:
        removed_rows = f" ({count.removed:,} {count.fate})" if count.fate else ""
        print(f"{count.rule}: {count.rows:,} events{removed_rows}")
    return report


def _ids(sql: Engine, kind: Literal["listener", "item"], condition: str) -> pd.Series:
    """The distinct ids of some events, sorted."""
    column, code = ("user_id", "u") if kind == "listener" else ("item_id", "i")
    ids = sql.arrow(
        f"""
        select c.{column} from {kind}_codes c
        join (select distinct {code} as code from ruled where {condition}) r on c.code = r.code
        order by c.code
        """
    )
    return pd.Series(ids[column].to_pandas(), dtype="str")


def _daily_counts(sql: Engine, window: Window) -> list[DayCount]:
    """The kept events of each day of the window, and the duplicates among those of no bot."""
    day = sql.dialect.div("time", DAY_MICROSECONDS)
    start, end = map(instant_microseconds, (window.start, window.end))
    days = sql.rows(
        f"""
        select day, sum(kept), sum(repeated) from (
            select {day} as day, count(*) as kept, 0 as repeated
            from ruled where rule = {KEPT} group by {day}
            union all select {day} as day, 0 as kept, count(*) as repeated
            from repeated where not of_bot and time >= {start} and time < {end} group by {day}) d
        group by day order by day
        """
    )
    return [
        DayCount(day=str(np.datetime64(int(day), "D")), events=int(kept), duplicates=int(repeated))
        for day, kept, repeated in days
    ]


def _excluded_ids(source: TableSource | None) -> dict[str, set[str]]:
    """The ids of the table of exclusions, by column."""
    ids: dict[str, set[str]] = {"user_id": set(), "item_id": set()}
    if source is None:
        return ids
    found_column = False
    with read_parts(source, required=(), optional=tuple(ids)) as parts:
        for part in parts:
            for name in ids.keys() & part.names.keys():
                found_column = True
                ids[name].update(key for key in key_text(part[name]).to_pylist() if key is not None)
    if not found_column:
        raise DataError(
            f"{source.name}: the table of exclusions has neither user_id nor item_id",
            "name one of them, like columns: {user_id: NAME}",
        )
    return ids


def _write(
    sql: Engine,
    rules: EventRules,
    items: pd.DataFrame,
    users: pd.DataFrame,
    report: CurationReport,
    output: Path,
) -> None:
    """Write the dataset folder, whole or not at all."""
    # Renamed at the end: a process that is killed leaves no folder that looks complete.
    scratch = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    tables = {
        "items": pa.Table.from_pandas(items.sort_values("item_id"), _ITEMS, preserve_index=False),
        "users": pa.Table.from_pandas(users.sort_values("user_id"), preserve_index=False),
    }
    try:
        scratch.mkdir(parents=True)
        for name, table in tables.items():
            # pandas puts its version into the metadata; without it equal rows give equal bytes.
            plain = table.replace_schema_metadata()
            pyarrow.parquet.write_table(plain, scratch / f"{name}.parquet")
        for name, condition in (("train", rules.training), ("test", rules.testing)):
            query = f"""
                select l.user_id, i.item_id, r.time as timestamp, r.weight
                from ruled r join listener_codes l on r.u = l.code join item_codes i on r.i = i.code
                where {condition} order by r.time, r.u, r.i
            """
            sql.write(query, scratch / f"{name}.parquet", _EVENTS)
        sql.write(rejected_query(sql, rules), scratch / "rejected.parquet", _REJECTED)
        (scratch / "report.md").write_text(report.markdown(), "utf-8")
        (scratch / "counts.json").write_text(report.model_dump_json(indent=1) + "\n", "utf-8")
        scratch.rename(output)
    except OSError as fault:
        raise DataError(
            f"{output}: the dataset cannot be written ({fault.strerror})",
            "name a folder that you may write to",
        ) from fault
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
