"""Ids as text, exactly as they were written, from every type in which files hold them.

Each file's column becomes text from its own type before the columns of several files are put
together. Otherwise one file with floats would turn the integers of all others into floats, and two
ids above 2**53 that differ in their last digit would become one.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from setlist.arrays import Bools
from setlist.errors import DataError

EXACT = 2**53
"""From here on float64 does not hold every integer."""
FLOAT_TEXT = r"^[+-]?\d+(\.0*([eE][+-]?\d+)?|\.\d+[eE][+-]?\d+|[eE][+-]?\d+)$"
"""How a program writes an integral float: 5.0, 9.007199254740993e+15, 1e6."""
CONTROL = r"[\x00-\x1f\x7f\x{85}\x{2028}\x{2029}]"
"""Control characters and line breaks, which end a line of catalogue.txt or forge one in a log."""
TEXT_OR_INTEGERS = "export ids as text or integers"


def key_text(column: pa.ChunkedArray, label: str, name: str, first_row: int = 1) -> pa.ChunkedArray:
    """The ids of one file's column as text.

    Integers keep all digits. A float that holds an integer below 2**53 loses its ".0". Text keeps
    its digits ("007" stays "007") and loses spaces at both ends, unless every value of the column
    is written like a float: then the column counts as floats.

    Args:
        column: [rows] of one file.
        label: the file's name in messages.
        name: the column's name in messages.
        first_row: the number of the first row in messages.

    Returns:
        large_string[rows]; null where there is no id.

    Raises:
        DataError: for a fraction, a float of 2**53 or more, bytes or text that are not UTF-8, and a
            control character; with the file, the column, the row and an example.
    """

    def fail(bad: Bools, what: str, remedy: str, show: Callable[[object], str] = repr) -> None:
        places = np.flatnonzero(bad)
        if len(places):
            place = int(places[0])
            value = show(column[place].as_py())
            others = f", and {len(places) - 1:,} more rows" if len(places) > 1 else ""
            raise DataError(
                f"{label}: column {name}, row {first_row + place:,}: {what} ({value}){others}",
                remedy,
            )

    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.large_string())
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_floating(kind):
        values = column.cast(pa.float64()).to_numpy()
        known = np.isfinite(values)
        _check_floats(np.where(known, values, 0), fail)
        integers = pa.array(np.where(known, values, 0).astype(np.int64), mask=~known)
        return pa.chunked_array([integers.cast(pa.large_string())])
    if pa.types.is_decimal(kind):
        if kind.scale > 0:
            whole = pc.equal(pc.floor(column), column).fill_null(True).to_numpy()
            fail(~whole, "an id with a fraction", TEXT_OR_INTEGERS, str)
        text = pc.replace_substring_regex(column.cast(pa.string()), r"\.0+$", "")
        return text.cast(pa.large_string())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.large_string())
    if (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    ):
        fail(
            _not_utf8(column),
            "bytes that are not UTF-8 text",
            "export the ids as hex or text",
            lambda value: "0x" + bytes(value).hex(),
        )
        column = column.cast(pa.large_binary()).cast(pa.large_string())
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(
            f"{label}: column {name} holds {kind} values, which are no ids", TEXT_OR_INTEGERS
        )
    elif (bad := _not_utf8(column)).any():
        column = column.cast(pa.large_binary())
        fail(bad, "text that is not UTF-8", "export the table as UTF-8")
    text = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    control = pc.match_substring_regex(text, CONTROL).fill_null(False).to_numpy()
    fail(control, "a control character or line break in an id", "remove it from the id")
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.large_string()), text)
    return _written_as_floats(text, fail)


def _written_as_floats(text: pa.ChunkedArray, fail: Callable[..., None]) -> pa.ChunkedArray:
    """Text of a file without types: as integers where every value is written like a float."""
    like = pc.match_substring_regex(text, FLOAT_TEXT)
    if text.null_count == len(text) or not pc.all(like).as_py():
        return text
    missing = pc.is_null(text).to_numpy()
    values = pc.fill_null(text, "0").cast(pa.float64()).to_numpy()
    _check_floats(values, fail)
    integers = pa.array(values.astype(np.int64), mask=missing)
    return pa.chunked_array([integers.cast(pa.large_string())])


def _check_floats(values: np.ndarray, fail: Callable[..., None]) -> None:
    fail(values != np.floor(values), "an id with a fraction", TEXT_OR_INTEGERS)
    fail(
        np.abs(values) >= EXACT,
        "a float of 2**53 or more, whose last digits are lost",
        f"{TEXT_OR_INTEGERS}, from where they have not been floats",
        lambda value: f"{float(value):.0f}" if not isinstance(value, str) else value,
    )


def _not_utf8(column: pa.ChunkedArray) -> Bools:
    """bool[rows]: the rows whose bytes are not UTF-8; values are looked at only where some are."""
    try:
        column.cast(pa.large_binary()).cast(pa.large_string()).validate(full=True)
    except pa.ArrowInvalid:
        return np.array([_undecodable(value) for value in column.cast(pa.large_binary())])
    return np.zeros(len(column), bool)


def _undecodable(value: pa.Scalar) -> bool:
    try:
        (value.as_py() or b"").decode()
    except UnicodeDecodeError:
        return True
    return False
