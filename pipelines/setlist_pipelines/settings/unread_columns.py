"""What `setlist init` says about the columns of a table that are not read, ratings above all."""

from collections.abc import Sequence

import pandas as pd
import yaml

from setlist.data.table_summary import first_names
from setlist.printable import one_line
from setlist_pipelines.settings.column_names import plain_name
from setlist_pipelines.settings.first_rows import FirstRows

RATING_NAMES = frozenset(
    (
        *("rating", "ratings", "stars", "star", "score", "grade", "overall", "userrating"),
        *("bewertung", "sterne", "valoracion", "puntuacion"),
    )
)
"""What others call a rating, without case and marks."""
LOWEST, HIGHEST = 0.5, (5, 10)
"""Numbers from the one up to one of the others are a rating, whatever they are called ..."""
FEWEST_STEPS, MOST_STEPS = 4, 20
"""... where there are so many of them."""
GOOD = 0.8
"""This share of the highest rating, rounded down, is an example of a good one."""


def unread_columns(rows: FirstRows, read: Sequence[str], *, ratings: bool) -> list[str]:
    """Comments for the settings file on the columns that are not read.

    Args:
        rows: the first of the table.
        read: the file's names of the columns that are read.
        ratings: whether to say what becomes of a column that looks like a rating.

    Returns:
        Lines, none where all columns are read.
    """
    unread = [str(name) for name in rows.values.columns if name not in read]
    if not unread:
        return []
    lines = [f"    # not read: {one_line(first_names(unread), 1000)}"]
    for column in unread if ratings else ():
        if (good := _good_rating(column, rows.values[column])) is not None:
            where = yaml.safe_dump(
                [[column, ">=", good]], default_flow_style=True, allow_unicode=True, width=10**6
            )
            return [
                *lines,
                f"    # {one_line(column)} looks like a rating; each row counts as one play, "
                "whatever it holds.",
                "    # To keep the good ones only:",
                f"    # where: {one_line(where.strip())}",
            ]
    return lines


def _good_rating(column: str, values: pd.Series) -> int | None:
    """A rating that is a good one; None for a column that holds no ratings."""
    given = values.dropna()
    numbers = pd.to_numeric(given, errors="coerce")
    if not len(given) or numbers.isna().any():
        return None
    low, high, steps = float(numbers.min()), float(numbers.max()), int(numbers.nunique())
    named = plain_name(column) in RATING_NAMES and 2 < high < 1000
    scale = low >= LOWEST and high in HIGHEST and FEWEST_STEPS <= steps <= MOST_STEPS
    return int(high * GOOD) if named or scale else None
