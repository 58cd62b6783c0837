"""The tables of items and users as of the cutoff: one row for each id."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from setlist.data.conversion import tag_lists
from setlist.data.keys import key_text, label_text
from setlist.data.remedies import release_remedy
from setlist.data.schema import instant_microseconds
from setlist.data.source import Part, TableSource, read_parts
from setlist.errors import DataError

Notes = list[str]


def read_items(source: TableSource, cutoff: pd.Timestamp, notes: Notes) -> pd.DataFrame:
    """Read the items table as of the cutoff.

    Args:
        source: the table.
        cutoff: rows that are valid only later are dropped.
        notes: sentences on what was dropped or could not be read are appended to it.

    Returns:
        ITEM_COLUMNS, one row for each item.

    Raises:
        DataError: when the table or all of its release dates cannot be read, or an id is not what
            was meant.
    """
    written, unreadable, example = 0, 0, ""

    def convert(part: Part) -> dict[str, object]:
        nonlocal written, unreadable, example
        columns: dict[str, object] = {"title": "", "tags": [[]] * len(part.rows)}
        if "title" in part:
            columns["title"] = label_text(part["title"]).to_pandas()
        if "tags" in part:
            columns["tags"] = tag_lists(part["tags"], source.tags_separator)
        columns["released"] = pd.Series(pd.NaT, range(len(part.rows)), "datetime64[us, UTC]")
        if "released" in part:
            micros, known = source.instants(part["released"])
            columns["released"] = _instants(micros, known)
            text = label_text(part["released"]).to_pandas()
            written += int(text.notna().sum())
            wrong = text[text.notna() & ~known]
            unreadable += len(wrong)
            example = example or "".join(wrong.head(1))
        return columns

    optional = ("title", "tags", "released", "valid_from")
    items = _as_of(source, "item_id", optional, convert, cutoff, notes)
    untitled = items["title"].isna() | (items["title"] == "")
    items["title"] = items["title"].where(~untitled, items["item_id"])
    if unreadable and unreadable == written:
        raise DataError(
            f"data.items: none of the {written:,} release dates can be read, such as "
            f"{example!r:.60}",
            release_remedy(example, source.timestamp_format),
        )
    if unreadable:
        notes.append(
            f"items: {unreadable:,} of {written:,} release dates cannot be read, such as "
            f"{example!r:.60}; taken as not known."
        )
    return items[["item_id", "title", "tags", "released"]]


def read_users(source: TableSource, cutoff: pd.Timestamp, notes: Notes) -> pd.DataFrame:
    """user_id and every other column as strings, "" is not known; one row for each user.

    Raises:
        DataError: when the table cannot be read, or an id is not what was meant.
    """

    def convert(part: Part) -> dict[str, object]:
        names = [name for name in part.names if name not in ("user_id", "valid_from")]
        return {name: label_text(part[name]).to_pandas() for name in names}

    users = _as_of(source, "user_id", None, convert, cutoff, notes)
    others = users.columns.drop("user_id")
    users[others] = users[others].fillna("").astype("str")
    return users


def _as_of(
    source: TableSource,
    key: str,
    optional: tuple[str, ...] | None,
    convert: Callable[[Part], dict[str, object]],
    cutoff: pd.Timestamp,
    notes: Notes,
) -> pd.DataFrame:
    """One row for each id: the latest one valid at the cutoff, or the last without valid_from."""
    table = key.removesuffix("_id") + "s"
    tables, since, dated, versioned = [], [], [], False
    with read_parts(source, required=[key], optional=optional) as parts:
        for part in parts:
            ids = key_text(part[key]).to_pandas()
            frame = pd.DataFrame({key: ids} | convert(part), index=range(len(part.rows)))
            tables.append(frame)
            versioned = versioned or "valid_from" in part
            micros, known = (
                source.instants(part["valid_from"])
                if "valid_from" in part
                else (np.zeros(len(frame), np.int64), np.zeros(len(frame), bool))
            )
            since.append(micros)
            dated.append(known)
    rows = pd.concat(tables, ignore_index=True)
    instants, known = np.concatenate(since), np.concatenate(dated)
    named = rows[key].notna().to_numpy()
    if not named.all():
        notes.append(f"{table}: {int((~named).sum()):,} rows without {key}; dropped.")
        rows, instants, known = rows[named], instants[named], known[named]
    if versioned:
        limit = instant_microseconds(cutoff)
        valid = known & (instants <= limit)
        notes.append(
            f"{table}: as of the cutoff; {int((known & ~valid).sum()):,} rows are valid only later "
            f"and {int((~known).sum()):,} have no valid_from; dropped."
        )
        order = np.argsort(instants[valid], kind="stable")
        rows = rows[valid].iloc[order]
    else:
        repeated = int(rows[key].duplicated().sum())
        note = f"{table}: a present-day snapshot (there is no valid_from)."
        if repeated:
            note += f" {repeated:,} rows repeat an earlier {key}; the last row counts."
        notes.append(note)
    rows = rows.drop_duplicates(key, keep="last").reset_index(drop=True)
    rows[key] = rows[key].astype("str")
    return rows


def _instants(micros: np.ndarray, known: np.ndarray) -> pd.Series:
    times = pd.Series(micros.view("M8[us]")).dt.tz_localize("UTC")
    return times.where(known)
