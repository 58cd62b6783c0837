"""Ids and labels as text, exactly as they were written, from every type in which files hold them.

Each file's column becomes text from its own type before the columns of several files are put
together. Otherwise one file with floats would turn the integers of all others into floats, and two
ids above 2**53 that differ in their last digit would become one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from setlist.arrays import Bools, Float64s, Int64s
from setlist.errors import DataError

EXACT = 2.0**53
"""From here on float64 does not hold every integer."""
FLOAT_TEXT = r"^[+-]?\d+(\.0*([eE][+-]?\d+)?|\.\d+[eE][+-]?\d+|[eE][+-]?\d+)$"
"""How a program writes an integral float: 5.0, 9.007199254740993e+15, 1e6."""
CONTROL = r"[\x00-\x1f\x7f\x{85}\x{2028}\x{2029}]"
"""Control characters and line breaks, which end a line of catalogue.txt or forge one in a log."""
AS_TEXT = "export ids as text or integers"


@dataclass(frozen=True)
class Column:
    """A column of one file, and how messages name its cells.

    Attributes:
        values: [rows].
        label: the file's name.
        name: the column's name in the file.
        rows: int64[rows], the number of each row in the file, from 0.
    """

    values: pa.ChunkedArray
    label: str
    name: str
    rows: Int64s

    def refuse(
        self, bad: Bools, fault: str, remedy: str, show: Callable[[object], str] = repr
    ) -> None:
        """Raise an error that shows the first of the bad rows, if there is one.

        Raises:
            DataError: with file, column, row and value.
        """
        places = np.flatnonzero(bad)
        if len(places):
            place = int(places[0])
            value = show(self.values[place].as_py())[:80]
            more = f", and {len(places) - 1:,} more rows" if len(places) > 1 else ""
            raise DataError(
                f"{self.label}: column {self.name}, row {self.rows[place] + 1:,}: {fault} "
                f"({value}){more}",
                remedy,
            )

    def to(self, values: pa.ChunkedArray) -> "Column":
        """The column with other values for the same cells."""
        return Column(values, self.label, self.name, self.rows)


def key_text(column: Column) -> pa.ChunkedArray:
    """The ids of one file's column as text.

    Integers keep all digits. A float that holds an integer below 2**53 loses its ".0". Text keeps
    its digits ("007" stays "007") and loses spaces at both ends, unless every value of the column
    is written like a float: then the column counts as floats.

    Returns:
        large_string[rows]; null where there is no id.

    Raises:
        DataError: for a fraction, a float of 2**53 or more, bytes or text that are not UTF-8, and a
            control character; with the file, the column, the row and an example.
    """
    column = _plain(column)
    kind = column.values.type
    if pa.types.is_floating(kind):
        return _integers(column, column.values.cast(pa.float64()))
    if pa.types.is_decimal(kind):
        whole = pc.equal(pc.floor(column.values), column.values).fill_null(True)
        column.refuse(~_bools(whole), "an id with a fraction", AS_TEXT, str)
        text = pc.replace_substring_regex(column.values.cast(pa.string()), r"\.0+$", "")
        return text.cast(pa.large_string())
    if _is_text(kind):
        text = _decoded(column, "export the ids as hex or text")
        control = pc.match_substring_regex(text, CONTROL).fill_null(False)
        fault = "a control character or line break in an id"
        column.refuse(_bools(control), fault, "remove it from the id")
        if _all_like_floats(text):
            floats = text.cast(pa.float64())
            fault = "an id in exponent form, whose last digits are lost"
            column.refuse(_rounded(text, floats), fault, AS_TEXT, _shown)
            return _integers(column, floats)
        return text
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column.values.cast(pa.large_string())
    raise DataError(f"{column.label}: column {column.name} holds {kind}, which is no id", AS_TEXT)


def label_text(column: Column) -> pa.ChunkedArray:
    """Titles and categories as text: as `key_text`, but any float and any character may stand.

    Returns:
        large_string[rows]; null where there is no value.

    Raises:
        DataError: for bytes or text that are not UTF-8.
    """
    column = _plain(column)
    kind = column.values.type
    if pa.types.is_floating(kind):
        values = column.values.cast(pa.float64())
        text = [
            None
            if value is None or value != value
            else str(int(value))
            if value.is_integer()
            else repr(value)
            for value in values.unique().to_pylist()
        ]
        places = pc.index_in(values, values.unique())
        return pa.chunked_array([pa.array(text, pa.large_string()).take(places.combine_chunks())])
    if _is_text(kind):
        text = _decoded(column, "export it as text")
        if _all_like_floats(text):
            return label_text(column.to(text.cast(pa.float64())))
        return text
    if pa.types.is_nested(kind):
        raise DataError(
            f"{column.label}: column {column.name} holds {kind}, which is no category or title",
            "name a column of single values, or leave it out",
        )
    return column.values.cast(pa.string()).cast(pa.large_string())


def _all_like_floats(text: pa.ChunkedArray) -> bool:
    """Whether every value is written as a program writes an integral float."""
    if text.null_count == len(text):
        return False
    return bool(pc.all(pc.match_substring_regex(text, FLOAT_TEXT)).as_py())


def _rounded(text: pa.ChunkedArray, floats: pa.ChunkedArray) -> Bools:
    """Which numbers have more digits than are written before their exponent: 1.234e+09 has six."""
    mantissa = pc.replace_substring_regex(text, r"[eE].*$", "")
    written = pc.utf8_length(pc.replace_substring_regex(mantissa, r"[^\d]|^[+-]?0+", ""))
    exponent = pc.match_substring_regex(text, "[eE]")
    digits = np.floor(np.log10(np.maximum(np.abs(floats.to_numpy()), 1))) + 1
    shorter = written.fill_null(0).to_numpy() < digits
    return _bools(exponent.fill_null(False)) & shorter


def _plain(column: Column) -> Column:
    """The values of a dictionary column."""
    kind = column.values.type
    return (
        column.to(column.values.cast(kind.value_type)) if pa.types.is_dictionary(kind) else column
    )


def _is_text(kind: pa.DataType) -> bool:
    tests = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_binary),
        *(pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    )
    return any(test(kind) for test in tests)


def _decoded(column: Column, remedy: str) -> pa.ChunkedArray:
    """large_string[rows]: stripped, null for ""."""
    binary = column.values.cast(pa.large_binary())
    try:
        text = binary.cast(pa.large_string())
        text.validate(full=True)
    except pa.ArrowInvalid:
        bad = np.array([_undecodable(value) for value in binary.to_pylist()])
        surrogate = "half of a character pair (a lone surrogate)"
        shown = column.to(binary)
        first = binary[int(np.flatnonzero(bad)[0])].as_py()
        if _undecodable(first, "surrogatepass"):
            shown.refuse(
                bad, "bytes that are not UTF-8", f"{remedy}, or set the encoding of the table"
            )
        shown.refuse(bad, surrogate, "repair the text where it is exported")
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.large_string()), text)


def _undecodable(value: bytes | None, errors: str = "strict") -> bool:
    try:
        (value or b"").decode(errors=errors)
    except UnicodeDecodeError:
        return True
    return False


def _integers(column: Column, floats: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats that are integers below 2**53, as text; NaN and infinity are missing."""
    values: Float64s = floats.to_numpy()
    known = np.isfinite(values)
    values = np.where(known, values, 0.0)
    column.refuse(values != np.floor(values), "an id with a fraction", AS_TEXT, _shown)
    column.refuse(
        np.abs(values) >= EXACT,
        "a float of 2**53 or more, whose last digits are lost",
        f"{AS_TEXT}, from where they were not floats",
        _shown,
    )
    integers = pa.array(values.astype(np.int64), mask=~known)
    return pa.chunked_array([integers.cast(pa.large_string())])


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _bools(mask: pa.ChunkedArray) -> Bools:
    return np.asarray(mask.to_numpy(), dtype=bool)
