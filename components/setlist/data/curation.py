"""From raw tables to a clean dataset with one point in time between training and test.

The rules for events are in `events`; items and users are taken as of the cut.
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
from setlist.errors import SetlistError

TRAIN_DAYS, TEST_DAYS = 90, 14

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
        train_days, test_days: lengths. Left out they are 90 and 14; around `split_at`, unbounded.
        split_at: the cut, as ISO text or Unix seconds; None places the window before `as_of`.
    """

    train_days: float | None = pydantic.Field(None, gt=0, le=36_500)
    test_days: float | None = pydantic.Field(None, gt=0, le=36_500)
    split_at: str | int | None = None


class CurationSettings(pydantic.BaseModel, extra="forbid", frozen=True):
    """What is too little, and what is too much.

    Attributes:
        min_item_events: a training event stays if its item has so many; applied first.
        min_user_events: a training event stays if its user has so many of what is left then.
        max_events_per_day: a user with more on one UTC day is a bot, and that day's events are
            rejected; the day of the cut counts as two.

    What falls under the support is unknown to everything downstream: above 1, a listener's list may
    hold an item that she played and that was too rare, and count it as a discovery.
    """

    min_item_events: int = pydantic.Field(1, ge=1)
    min_user_events: int = pydantic.Field(1, ge=1)
    max_events_per_day: int = pydantic.Field(500, ge=1)


class DataSettings(pydantic.BaseModel, extra="forbid", frozen=True):
    """The raw tables; without `items` or `users` the ids of the events are all that is known."""

    events: TableSource
    items: TableSource | None = None
    users: TableSource | None = None


class CurationReport(pydantic.BaseModel, extra="forbid", frozen=True):
    """The account of a curation; `read == train + test + rejected + outside + below_support`.

    Attributes:
        window: as `Window.to_json`.
        counts: "read", then one a rule in order, then "training period" and "test period".
        read, train, test, outside, below_support: rows of events.
        rejected: rows by reason, every reason.
        unknown_users: listeners of the dataset that the users table lacks.
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
        """The report as a page."""
        lines = [
            "# Curation",
            "",
            f"Training period {self.window['start']} to {self.window['cut']}, "
            f"test period to {self.window['end']} (each without its end).",
            "",
            "| after | events | users | items | removed | |",
            "|---|--:|--:|--:|--:|---|",
            *(
                f"| {c.rule} | {c.rows:,} | {c.users:,} | {c.items:,} | {c.removed:,} "
                f"| {c.fate or ''} |"
                for c in self.counts
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
    """The window: around `split_at`, or else the days before `as_of` ("" is `now`, in seconds).

    Raises:
        SetlistError: when a date cannot be read.
    """
    if settings.split_at is not None:
        cut = parse_instant(settings.split_at, "window.split_at")
        start = cut - _days(settings.train_days) if settings.train_days else UNBOUNDED_START
        return Window(
            start, cut, cut + _days(settings.test_days) if settings.test_days else UNBOUNDED_END
        )
    end = parse_instant(as_of or now.floor("s").isoformat(), "as_of")
    cut = end - _days(settings.test_days or TEST_DAYS)
    return Window(cut - _days(settings.train_days or TRAIN_DAYS), cut, end)


def _days(days: float) -> pd.Timedelta:
    return pd.Timedelta(days=days).as_unit("us")


def curate(
    data: DataSettings, window: Window, settings: CurationSettings, output: Path
) -> CurationReport:
    """Read the tables, clean them, cut them to the window and write the dataset folder.

    train.parquet, test.parquet: EVENT_COLUMNS by timestamp, then user_id and item_id.
    items.parquet: ITEM_COLUMNS by item_id; items released after the cut are in it, so whoever
        builds a catalogue must look at `released`. Without an items table: the training events'.
    users.parquet: user_id and every other column as strings, "" is not known. Without a users
        table: the ids of the events.
    rejected.parquet: row (from 1, counted through the files), the raw values as text, reason.
    report.md, counts.json: the report.

    Raises:
        SetlistError: when a table cannot be read, or no event is left in the window or on one of
            its sides; nothing is written then. Also when `output` exists and is not empty.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SetlistError(f"{output}: it exists already; remove it or name another folder.")
    notes: list[str] = []
    raw = read(data.events, required=("user_id", "item_id", "timestamp"), optional=("weight",))
    if raw.empty:
        kept = " that `where` keeps" if data.events.where else ""
        raise SetlistError(f"{data.events.path}: there are no events{kept}; correct the source.")
    items = None if data.items is None else read_items(data.items, window.cutoff, notes)
    users = None if data.users is None else _users(data.users, window.cutoff, notes)

    events = Events(raw, data.events.timestamp_unit)
    known = None if items is None else items["item_id"]
    clean(events, known, window.cutoff, settings.max_events_per_day)
    train, test = split(events, window, settings.min_item_events, settings.min_user_events)

    if items is None:
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
        took = f" ({count.removed:,} {count.fate})" if count.fate else ""
        print(f"{count.rule}: {count.rows:,} events{took}")
    return report


def read_items(source: TableSource, cut: pd.Timestamp, notes: list[str]) -> pd.DataFrame:
    """ITEM_COLUMNS, one row an item, as of the cut."""
    raw = read(source, required=["item_id"], optional=["title", "tags", "released", "valid_from"])
    raw = _as_of(raw, "item_id", source, cut, notes)
    items = pd.DataFrame({"item_id": raw["item_id"]})
    title = text(raw["title"]) if "title" in raw else items["item_id"]
    items["title"] = title.where(title != "", items["item_id"])
    tags = tag_lists(raw["tags"], source.tags_separator) if "tags" in raw else [[]] * len(raw)
    items["tags"] = pd.Series(tags, index=items.index, dtype=object)
    if "released" in raw:
        items["released"] = instants(raw["released"], source.timestamp_unit)
        unread = int((items["released"].isna() & (text(raw["released"]) != "")).sum())
        if unread:
            notes.append(f"items: {unread:,} release dates cannot be read; taken as not known.")
    else:
        items["released"] = pd.NaT
    return items


def _users(source: TableSource, cut: pd.Timestamp, notes: list[str]) -> pd.DataFrame:
    """user_id and every other column as strings, one row a user, as of the cut."""
    raw = _as_of(read(source, required=["user_id"], optional=None), "user_id", source, cut, notes)
    others = raw.drop(columns=["user_id", "valid_from"], errors="ignore")
    return pd.DataFrame({"user_id": raw["user_id"]} | {n: labels(c) for n, c in others.items()})


def _as_of(
    raw: pd.DataFrame, key: str, source: TableSource, cut: pd.Timestamp, notes: list[str]
) -> pd.DataFrame:
    """One row an id: the latest that was valid at the cut, or the last where none says when."""
    table = key.removesuffix("_id") + "s"
    raw = raw.reset_index(drop=True)
    raw[key] = labels(raw[key])
    nameless = int((raw[key] == "").sum())
    if nameless:
        notes.append(f"{table}: {nameless:,} rows without {key}; dropped.")
        raw = raw[raw[key] != ""]
    if "valid_from" in raw:
        since = instants(raw["valid_from"], source.timestamp_unit)
        valid = since <= cut
        notes.append(
            f"{table}: as of the cut; {int((since > cut).sum()):,} rows are valid only later "
            f"and {int(since.isna().sum()):,} do not say since when; dropped."
        )
        raw = raw.loc[since[valid].sort_values(kind="stable").index]
    else:
        twice = int(raw[key].duplicated().sum())
        again = f" {twice:,} rows repeat an earlier {key}; the last one counts." if twice else ""
        notes.append(f"{table}: a present-day snapshot (there is no valid_from).{again}")
    return raw.drop_duplicates(key, keep="last").reset_index(drop=True)


def _write(tables: Mapping[str, pa.Table], report: CurationReport, output: Path) -> None:
    """The dataset folder, whole or not at all."""
    beside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        beside.mkdir(parents=True)
        for name, table in tables.items():
            # Without the metadata of pandas the same rows give the same bytes.
            plain = table.replace_schema_metadata()
            pyarrow.parquet.write_table(plain, beside / f"{name}.parquet")
        (beside / "report.md").write_text(report.markdown(), "utf-8")
        (beside / "counts.json").write_text(report.model_dump_json(indent=1) + "\n", "utf-8")
        beside.rename(output)
    except OSError as fault:
        raise SetlistError(
            f"{output}: the dataset cannot be written ({fault.strerror}); "
            "name a folder that you may write to."
        ) from fault
    finally:
        shutil.rmtree(beside, ignore_errors=True)
