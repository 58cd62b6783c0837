"""Tables that somebody gives beside no settings file: a data frame, or a Parquet, CSV or JSON file.

Ids are read as those of a run are (`setlist.data.keys`): integers and whole floats become their
digits, text stays as it is, and what may have lost digits is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from setlist.arrays import Float64s
from setlist.data.formats import SUFFIXES, format_of, open_table
from setlist.data.keys import Column, key_text, label_text
from setlist.errors import DataError

Given = pd.DataFrame | str | Path
MAX_ROWS = 50_000_000
"""Of one table: 200,000 listeners with 250 items each."""
MAX_BYTES = 8_000_000_000
"""Of one file."""
SHORT_NAMES = {"user_id": "user", "item_id": "item"}
"""Names that a column may have instead of ours."""


@dataclass(frozen=True)
class GivenTable:
    """A table with the columns that were asked for, as far as it has them.

    Attributes:
        label: its name in messages.
        columns: by our names.
        others: the names of its other columns.
    """

    label: str
    rows: int
    columns: dict[str, Column]
    others: tuple[str, ...]
    load: Callable[[str], Column]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def ids(self, name: str) -> pd.Categorical:
        """The ids of a column as text; each distinct one is held once.

        Raises:
            DataError: for an id that is missing, or that may have lost digits.
        """
        column = self.columns[name]
        text = key_text(column)
        missing = text.is_null().to_numpy(zero_copy_only=False).astype(np.bool_)
        column.refuse(missing, "an id is missing", "leave such rows out")
        encoded = text.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):  # what combines several chunks may stay chunked
            encoded = encoded.combine_chunks()
        names = encoded.dictionary.to_pandas().to_numpy(dtype=object)
        return pd.Categorical.from_codes(
            encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), names
        )

    def numbers(self, name: str) -> Float64s:
        """The numbers of a column.

        Raises:
            DataError: for a value that is missing, infinite or no number.
        """
        column = self.columns[name]
        remedy = f"write a number into every row of {name}"
        if pa.types.is_dictionary(column.values.type):
            column = column.to(column.values.cast(column.values.type.value_type))
        kind = column.values.type
        if not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        ):
            column = column.to(label_text(column))
            series = pd.to_numeric(column.values.to_pandas(), errors="coerce")
            values = series.to_numpy(np.float64)
            if column.values.to_pandas().str.fullmatch(r"[-+]?\d+,\d+").any():
                remedy = f"write the numbers of {name} with a point and without separators"
        else:
            filled = column.values.cast(pa.float64(), safe=False)
            values = pc.fill_null(filled, float("nan")).to_numpy().astype(np.float64)
        column.refuse(~np.isfinite(values), f"{name} is no finite number", remedy)
        return values

    def labels(self, name: str) -> pd.Series:
        """Titles or categories as text, "" where there is none.

        Raises:
            DataError: for a value that is no text or number.
        """
        column = self.columns.get(name) or self.load(name)
        return label_text(column).to_pandas().fillna("").astype(object)

    def tags(self) -> list[list[str]]:
        """The tags of each row: a list in Parquet, else words between commas or bars."""
        column = self.columns["tags"]
        if pa.types.is_list(column.values.type) or pa.types.is_large_list(column.values.type):
            rows = column.values.to_pylist()
            return [sorted({str(tag) for tag in row or () if tag is not None}) for row in rows]
        text = label_text(column).to_pandas().fillna("")
        return [
            sorted({tag.strip() for tag in row.replace("|", ",").split(",")} - {""}) for row in text
        ]


def read_given(
    table: Given, label: str, required: Sequence[str], optional: Sequence[str] = ()
) -> GivenTable:
    """Read a table that is given in Python or on the command line.

    Args:
        table: a data frame, or the path of a file.
        label: what the table is, in messages, such as "truth".
        required: columns by our names; `user` and `item` stand for `user_id` and `item_id`.
        optional: further columns.

    Raises:
        DataError: when it cannot be read, lacks a column, is empty, or is too large.
    """
    if isinstance(table, pd.DataFrame):
        names: Sequence[str] = [str(name) for name in table.columns]
        load_columns = _frame_loader(table, label)
        rows = len(table)
        _check_rows(label, rows)
    elif isinstance(table, str | Path):
        path = Path(table)
        if not path.is_file():
            raise DataError(f"{label}: there is no file {path}", "correct the path")
        if format_of(path.name) is None:
            raise DataError(
                f"{label}: {path} is of no known format",
                f"name a file that ends with one of {', '.join(SUFFIXES)}",
            )
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(
                f"{label}: {path} has {size:,} bytes, more than {MAX_BYTES:,}",
                "keep only the first items of each list and the listeners of the truth",
            )
        file = open_table(path, path.name)
        names, load_columns, rows, label = file.columns, file.load, -1, f"{label} {path}"
        if path.suffix == ".parquet":  # before anything of it is read
            _check_rows(label, pq.read_metadata(path).num_rows)
    else:
        raise DataError(
            f"{label}: a {type(table).__name__} is no table",
            "give a pandas data frame, or the path of a Parquet or CSV file",
        )

    def load(name: str) -> Column:
        values = load_columns([name]).column(0)
        return Column(values, label, name, np.arange(len(values)))

    chosen = {}
    for name in (*required, *optional):
        present = next((each for each in (name, SHORT_NAMES.get(name)) if each in names), None)
        if present is not None:
            chosen[name] = present
        elif name in required:
            raise DataError(
                f"{label}: there is no column {name} (those are: {', '.join(names) or 'none'})",
                _naming(name, names, table),
            )
    columns = {name: load(present) for name, present in chosen.items()}
    rows = len(next(iter(columns.values())).rows)
    _check_rows(label, rows)
    if not rows:
        raise DataError(f"{label}: the table is empty", "give one with rows")
    others = tuple(name for name in names if name not in chosen.values())
    return GivenTable(label, rows, columns, others, load)


def _naming(name: str, names: Sequence[str], table: Given) -> str:
    """How a table gets the column that it lacks."""
    if isinstance(table, pd.DataFrame) and name in table.index.names:
        return "make columns of its index: reset_index()"
    alike = {name.replace("_", ""), SHORT_NAMES.get(name, name)}
    for other in names:
        if other.strip().lower().replace("_", "") in alike:
            return f"rename its column {other!r} to {name}"
    return f"name the column {name}"


def _check_rows(label: str, rows: int) -> None:
    if rows > MAX_ROWS:
        raise DataError(
            f"{label}: the table has {rows:,} rows, more than {MAX_ROWS:,}",
            "keep only the first items of each list and the listeners of the truth",
        )


def _frame_loader(frame: pd.DataFrame, label: str) -> Callable[[Sequence[str]], pa.Table]:
    names = [str(name) for name in frame.columns]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{label}: two columns are called {repeated}", "rename one of them")

    def load(columns: Sequence[str]) -> pa.Table:
        arrays = []
        for name in columns:
            values = frame.iloc[:, names.index(name)]
            try:
                array = pa.array(values, from_pandas=True)
            except (pa.ArrowException, TypeError, ValueError) as fault:
                raise DataError(
                    f"{label}: column {name} holds values of several types, or none that a table "
                    f"can hold ({str(fault)[:100]})",
                    "make all of its values text, or all of them numbers",
                ) from fault
            arrays.append(pa.chunked_array([array]) if isinstance(array, pa.Array) else array)
        return pa.table(arrays, names=list(columns))

    return load
