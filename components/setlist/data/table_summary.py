"""What each column of a table was read as, with examples, ranges and counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from setlist.data.conversion import numbers, tag_lists
from setlist.data.keys import Column, key_text, label_text
from setlist.data.source import TableSource, read_parts

KINDS = {
    **dict.fromkeys(("user_id", "item_id"), "id"),
    **dict.fromkeys(("timestamp", "released", "valid_from"), "instant (UTC)"),
    "weight": "number",
    "tags": "tags",
}
"""What curation reads a column as, by our name; every other column is a category."""
EXAMPLES = 2
MOST_NAMES = 20
"""Columns that a line lists."""


@dataclass(frozen=True)
class ColumnSummary:
    """One column of a table.

    Attributes:
        name: ours.
        column: the file's.
        read_as: a value of KINDS, or "category".
        examples: a few values, as they were read.
        span: from the lowest to the highest instant or number, or the lengths of other texts.
        missing: rows without a value that could be read.
        distinct: number of distinct values.
        rows: of the table.
    """

    name: str
    column: str
    read_as: str
    examples: tuple[str, ...]
    span: str
    missing: int
    distinct: int
    rows: int


def summarise(
    source: TableSource,
    required: tuple[str, ...],
    optional: tuple[str, ...] | None,
    say: Callable[[str], None] = print,
) -> list[ColumnSummary]:
    """Read a table and summarise its columns.

    Args:
        source: the table.
        required: our names of the columns that it must have.
        optional: of those that it may have; None for all others.
        say: told what was found out about how a file is written, and which columns are not read.

    Raises:
        DataError: when the table cannot be read, or an id is not what was meant.
    """
    values: dict[str, list[pd.Series]] = {}
    columns: dict[str, str] = {}
    unread: set[str] = set()
    rows = 0
    with read_parts(source, required=required, optional=optional, say=say) as parts:
        for part in parts:
            rows += len(part.rows)
            # Of many files alike, the first says it.
            if not unread.issuperset(part.unread):
                unread.update(part.unread)
                say(f"{part.label}: not read: {first_names(part.unread)}")
            for name in part.names:
                columns[name] = part.names[name]
                values.setdefault(name, []).append(_read(name, part[name], source))
    return [
        _summary(name, columns[name], pd.concat(of_parts, ignore_index=True), rows)
        for name, of_parts in values.items()
    ]


def first_names(names: Sequence[str]) -> str:
    """The first names of a list of any length, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def _read(name: str, column: Column, source: TableSource) -> pd.Series:
    """The values as curation reads them; missing where it cannot."""
    kind = KINDS.get(name)
    if kind == "id":
        return key_text(column).to_pandas()
    if kind == "instant (UTC)":
        micros, known = source.instants(column)
        return pd.Series(micros.view("M8[us]")).dt.tz_localize("UTC").where(known)
    if kind == "number":
        return pd.Series(numbers(column, source.decimal))
    if kind == "tags":
        tags = tag_lists(column, source.tags_separator)
        return pd.Series([tuple(row) or None for row in tags], dtype="object")
    text = label_text(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text).to_pandas()


def _summary(name: str, column: str, values: pd.Series, rows: int) -> ColumnSummary:
    given, kind = values.dropna(), KINDS.get(name, "category")
    # A tag counts once, in however many lists it stands.
    distinct = int((given.explode() if kind == "tags" else given).nunique())
    if kind == "tags":
        given = given.str.join(" | ")
    examples = tuple(str(value) for value in given.drop_duplicates().head(EXAMPLES))
    span = ""
    if len(given) and kind in ("instant (UTC)", "number"):
        span = f"{given.min()} to {given.max()}"
    elif len(given) and kind != "tags":
        lengths = given.astype(str).str.len()
        longer = "" if lengths.min() == lengths.max() else f" to {lengths.max()}"
        span = f"length {lengths.min()}{longer}"
    return ColumnSummary(
        name=name,
        column=column,
        read_as=kind,
        examples=examples,
        span=span,
        missing=rows - len(given),
        distinct=distinct,
        rows=rows,
    )
