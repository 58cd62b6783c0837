"""Events on their way into an engine: each file's columns, converted from their own types."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pydantic

from setlist.arrays import Bools
from setlist.data.conversion import numbers
from setlist.data.keys import Column, key_text
from setlist.data.source import Part, TableSource, read_parts

Fate = Literal["excluded", "rejected", "outside", "not trained on"]

REQUIRED, OPTIONAL = ("user_id", "item_id", "timestamp"), ("weight",)
"""The columns of the events table, by our names."""
FILE_ROWS = 2**40
"""The place of an event is the number of its file times this, plus its row in the file, from 0."""
STAGED_EVENTS = pa.schema(
    [
        ("place", pa.int64()),
        ("user_id", pa.large_string()),
        ("item_id", pa.large_string()),
        ("time", pa.int64()),
        ("weight", pa.float64()),
        ("raw_time", pa.large_string()),
        ("raw_weight", pa.large_string()),
        ("size", pa.int64()),
    ]
)
"""place: see FILE_ROWS. user_id, item_id: null where there is none. time: microseconds since 1970
in UTC, weight: finite; both null where the value cannot be read, and then the value as the file
holds it is in raw_time, raw_weight. The last row of a file has no event, but in `size` the number
of the file's rows."""


class RuleCount(pydantic.BaseModel, extra="forbid", frozen=True):
    """The rows that are left after a rule, and the rows that the rule removed.

    Attributes:
        rule: its name.
        rows, users, items: how many are left.
        removed: the rows that the rule removed.
        fate: why these are not trained on; None where a count removes nothing.
    """

    rule: str
    rows: int
    users: int
    items: int
    removed: int = 0
    fate: Fate | None = None


def staged_events(source: TableSource, only: int | None = None) -> Iterator[pa.RecordBatch]:
    """The events of a source as STAGED_EVENTS, file by file.

    Args:
        source: the events table.
        only: read one file, by its number from 0.

    Raises:
        DataError: when a file cannot be read, or an id is not what was meant.
    """
    with read_parts(source, required=REQUIRED, optional=OPTIONAL, only=only) as parts:
        for part in parts:
            if only is None and part.files > 1:
                done = 100 * part.number // part.files
                print(f"{done}% reading file {part.number + 1:,} of {part.files:,}", flush=True)
            yield from _staged(part, source).to_batches()


def _staged(part: Part, source: TableSource) -> pa.Table:
    time, dated = source.instants(part["timestamp"])
    size = len(part.rows)
    weight, weighed = np.ones(size), np.ones(size, bool)
    raw_weight: pa.Array | pa.ChunkedArray = pa.nulls(size, pa.large_string())
    if "weight" in part:
        weight = numbers(part["weight"], source.decimal)
        weighed = np.isfinite(weight)
        raw_weight = _raw(part["weight"], weighed & (weight > 0))
    first = part.number * FILE_ROWS
    events = pa.table(
        [
            pa.array(first + part.rows),
            key_text(part["user_id"]),
            key_text(part["item_id"]),
            pa.array(time, mask=~dated),
            pa.array(weight, mask=~weighed),
            _raw(part["timestamp"], dated),
            raw_weight,
            pa.nulls(size, pa.int64()),
        ],
        schema=STAGED_EVENTS,
    )
    end = pa.Table.from_pylist([{"place": first + part.size, "size": part.size}], STAGED_EVENTS)
    return pa.concat_tables([events, end])


def _raw(column: Column, known: Bools) -> pa.Array:
    """large_string[rows]: the values as text where they are not known, else null."""
    text: list[str | None] = [None] * len(known)
    for place in np.flatnonzero(~known):
        value = column.values[int(place)].as_py()
        text[place] = (
            ""
            if value is None
            else value.decode(errors="replace")
            if isinstance(value, bytes)
            else str(value)
        )
    return pa.array(text, pa.large_string())
