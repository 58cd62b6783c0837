"""Curates the raw tables into a clean dataset, divided in time into training and test period.

The rules for events are in `setlist.data.cleaning`; items and users are taken as of the cutoff.
"""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pydantic

from setlist.data.cleaning import Events, RuleCount, clean, split
from setlist.data.conversion import instants, labels, tag_lists, text
from setlist.data.schema import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    UNBOUNDED_END,
    UNBOUNDED_START,
    Window,
    parse_instant,
)
from setlist.data.source import TableSource, read
from setlist.errors import DataError

TRAIN_DAYS, TEST_DAYS = 90, 14

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


class WindowSettings(pydantic.BaseModel, extra="forbid", frozen=True):
    """The period of a run.

    Attributes:
        train_days, test_days: lengths of the two periods. Where they are left out, they are 90 and
            14, or unbounded if `split_at` is set.
        split_at: the cutoff, as ISO text or Unix seconds; None places the window before `as_of`.
    """

    train_days: float | None = pydantic.Field(None, gt=0, le=36_500)
    test_days: float | None = pydantic.Field(None, gt=0, le=36_500)
    split_at: str | int | None = None


class CurationSettings(pydantic.BaseModel, extra="forbid", frozen=True):
    """The bounds of the rules for events.

    Attributes:
        min_item_events: a training event stays if its item has at least as many; applied first.
        min_user_events: a training event stays if its user then has at least as many.
        max_events_per_day: a user with more events on one UTC day is a bot, and the events of that
            day are rejected; the day of the cutoff counts as two.

    Models and evaluation do not see the training events that the first two bounds remove. So with
    a bound above 1, a listener's list may hold a rare item that she has played already, and the
    evaluation counts it as a discovery.
    """

    min_item_events: int = pydantic.Field(1, ge=1)
    min_user_events: int = pydantic.Field(1, ge=1)
    max_events_per_day: int = pydantic.Field(500, ge=1)


class DataSettings(pydantic.BaseModel, extra="forbid", frozen=True):
    """The raw tables; without `items` or `users` only the ids in the events are known."""

    events: TableSource
    items: TableSource | None = None
    users: TableSource | None = None


class CurationReport(pydantic.BaseModel, extra="forbid", frozen=True):
    """The counts of a curation; `read == train + test + rejected + outside + below_support`.

    Attributes:
        window: as `Window.to_json` returns it.
        counts: "read", then one for each rule in order, then "training period" and "test period".
        read, train, test: rows of events.
        rejected: rows by reason, including the reasons without rows.
        outside: rows outside the window.
        below_support: rows of the training period whose item or user is too rare.
        unknown_users: users of the dataset that the users table lacks.
        items, users: rows of the two tables written.
        notes: sentences on the tables of items and users.
    """

    window: dict[str, str]
    counts: list[RuleCount]
    read: int
    train: int
    test: int
    rejected: dict[str, int]
    outside: int
    below_support: int
    unknown_users: int
    items: int
    users: int
    notes: list[str]

    def markdown(self) -> str:
        """The report as a page of Markdown."""
        lines = [
            "# Curation",
            "",
            f"Training period {self.window['start']} to {self.window['cut']}, "
            f"test period to {self.window['end']} (each without its end).",
            "",
            "| after | events | users | items | removed | |",
            "|---|--:|--:|--:|--:|---|",
            *(
                f"| {count.rule} | {count.rows:,} | {count.users:,} | {count.items:,} "
                f"| {count.removed:,} | {count.fate or ''} |"
                for count in self.counts
            ),
            "",
            f"Rejected: {sum(self.rejected.values()):,} events (rejected.parquet).",
            "",
            *(f"- {reason}: {rows:,}" for reason, rows in self.rejected.items()),
            "",
            "Notes:",
            "",
            *(f"- {note}" for note in self.notes),
        ]
        return "\n".join(lines) + "\n"


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
    data: DataSettings, window: Window, settings: CurationSettings, output: Path
) -> CurationReport:
    """Read the tables, clean them, keep the window and write the dataset folder.

    train.parquet, test.parquet: EVENT_COLUMNS by timestamp, then user_id and item_id.
    items.parquet: ITEM_COLUMNS by item_id. It holds items released after the cutoff too, so code
        that builds a catalogue must check `released`. Without an items table: the items of the
        training events.
    users.parquet: user_id and every other column as strings, "" is not known. Without a users
        table: the ids of the events.
    rejected.parquet: row (from 1, counted through all files), the raw values as text, reason.
    report.md, counts.json: the report.

    Args:
        data: the raw tables.
        window: the period of the run.
        settings: the bounds of the rules.
        output: the dataset folder; it must not exist, or be empty.

    Raises:
        DataError: when a table cannot be read, no event is left in the window or in one of its two
            periods, or `output` exists and is not empty. Nothing is written then.
        SettingsError: when the settings of a table do not fit its columns.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output}: it exists already", "remove it or name another folder")
    notes: list[str] = []
    raw = read(data.events, required=("user_id", "item_id", "timestamp"), optional=("weight",))
    if raw.empty:
        condition = " that `where` keeps" if data.events.where else ""
        raise DataError(f"{data.events.path}: there are no events{condition}", "correct the source")
    items = None if data.items is None else read_items(data.items, window.cutoff, notes)
    users = None if data.users is None else _users(data.users, window.cutoff, notes)

    events = Events(raw, data.events.timestamp_unit)
    known = None if items is None else items["item_id"]
    clean(events, known, window.cutoff, settings.max_events_per_day)
    train, test = split(events, window, settings.min_item_events, settings.min_user_events)

    if items is None:
        # Items of the test period only are unknown at the cutoff.
        notes.append("items: there is no table; the items are those of the training events.")
        played = events.items[np.unique(events.item[train])]
        items = pd.DataFrame({"item_id": played, "title": played})
        items["tags"], items["released"] = [[] for _ in played], pd.NaT
    present = events.users[np.unique(events.user[events.keep])]
    if users is None:
        notes.append("users: there is no table; the users are those of the events.")
        users = pd.DataFrame({"user_id": present})
    unknown = int((~present.isin(users["user_id"])).sum())
    if unknown:
        notes.append(f"users: {unknown:,} users of the events are not in the table; kept.")

    report = CurationReport(
        window=window.to_json(),
        counts=[
            *events.counts,
            events.count("training period", train),
            events.count("test period", test),
        ],
        read=len(raw),
        train=int(train.sum()),
        test=int(test.sum()),
        rejected=events.removed("rejected"),
        outside=sum(events.removed("outside").values()),
        below_support=sum(events.removed("not trained on").values()),
        unknown_users=unknown,
        items=len(items),
        users=len(users),
        notes=notes,
    )
    tables = {
        "train": pa.Table.from_pandas(events.table(train), _EVENTS, preserve_index=False),
        "test": pa.Table.from_pandas(events.table(test), _EVENTS, preserve_index=False),
        "items": pa.Table.from_pandas(items.sort_values("item_id"), _ITEMS, preserve_index=False),
        "users": pa.Table.from_pandas(users.sort_values("user_id"), preserve_index=False),
        "rejected": pa.Table.from_pandas(events.rejected(), preserve_index=False),
    }
    _write(tables, report, output)
    for count in report.counts:
        removed = f" ({count.removed:,} {count.fate})" if count.fate else ""
        print(f"{count.rule}: {count.rows:,} events{removed}")
    return report


def read_items(source: TableSource, cutoff: pd.Timestamp, notes: list[str]) -> pd.DataFrame:
    """Read the items table as of the cutoff.

    Args:
        source: the table.
        cutoff: rows that are valid only later are dropped.
        notes: sentences on what was dropped or could not be read are appended to it.

    Returns:
        ITEM_COLUMNS, one row for each item.

    Raises:
        DataError: when the table cannot be read.
        SettingsError: when the settings of the table do not fit its columns.
    """
    raw = read(source, required=["item_id"], optional=["title", "tags", "released", "valid_from"])
    raw = _as_of(raw, "item_id", source, cutoff, notes)
    items = pd.DataFrame({"item_id": raw["item_id"]})
    title = text(raw["title"]) if "title" in raw else items["item_id"]
    items["title"] = title.where(title != "", items["item_id"])
    tags = tag_lists(raw["tags"], source.tags_separator) if "tags" in raw else [[]] * len(raw)
    items["tags"] = pd.Series(tags, index=items.index, dtype=object)
    if "released" in raw:
        items["released"] = instants(raw["released"], source.timestamp_unit)
        unreadable = int((items["released"].isna() & (text(raw["released"]) != "")).sum())
        if unreadable:
            notes.append(f"items: {unreadable:,} release dates cannot be read; taken as not known.")
    else:
        items["released"] = pd.NaT
    return items


def _users(source: TableSource, cutoff: pd.Timestamp, notes: list[str]) -> pd.DataFrame:
    """user_id and every other column as strings, one row for each user, as of the cutoff."""
    raw = _as_of(
        read(source, required=["user_id"], optional=None), "user_id", source, cutoff, notes
    )
    others = raw.drop(columns=["user_id", "valid_from"], errors="ignore")
    columns = {name: labels(column) for name, column in others.items()}
    return pd.DataFrame({"user_id": raw["user_id"]} | columns)


def _as_of(
    raw: pd.DataFrame, key: str, source: TableSource, cutoff: pd.Timestamp, notes: list[str]
) -> pd.DataFrame:
    """One row for each id: the latest one valid at the cutoff, or the last without valid_from."""
    table = key.removesuffix("_id") + "s"
    raw = raw.reset_index(drop=True)
    raw[key] = labels(raw[key])
    nameless = int((raw[key] == "").sum())
    if nameless:
        notes.append(f"{table}: {nameless:,} rows without {key}; dropped.")
        raw = raw[raw[key] != ""]
    if "valid_from" in raw:
        since = instants(raw["valid_from"], source.timestamp_unit)
        valid = since <= cutoff
        notes.append(
            f"{table}: as of the cutoff; {int((since > cutoff).sum()):,} rows are valid only later "
            f"and {int(since.isna().sum()):,} have no valid_from; dropped."
        )
        raw = raw.loc[since[valid].sort_values(kind="stable").index]
    else:
        repeated = int(raw[key].duplicated().sum())
        note = f"{table}: a present-day snapshot (there is no valid_from)."
        if repeated:
            note += f" {repeated:,} rows repeat an earlier {key}; the last row counts."
        notes.append(note)
    return raw.drop_duplicates(key, keep="last").reset_index(drop=True)


def _write(tables: Mapping[str, pa.Table], report: CurationReport, output: Path) -> None:
    """Write the dataset folder, whole or not at all."""
    # Renamed at the end: a process that is killed leaves no folder that looks complete.
    scratch = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        scratch.mkdir(parents=True)
        for name, table in tables.items():
            # pandas puts its version into the metadata; without it equal rows give equal bytes.
            plain = table.replace_schema_metadata()
            pyarrow.parquet.write_table(plain, scratch / f"{name}.parquet")
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
