"""Tables of lists that are compared: the first is the candidate, the others are its rivals."""

import re
from collections.abc import Mapping, Sequence

from setlist.errors import SettingsError
from setlist.evaluation.contenders import ListContender
from setlist.evaluation.given_lists import GivenLists
from setlist.evaluation.given_tables import Given

LABEL = re.compile(r"\w[\w.-]{0,99}")
FILES = (".parquet", ".json")
"""Ends of names that files of an evaluation folder have."""
MAX_TABLES = 16
"""Of lists, in one evaluation."""
CANDIDATE = "candidate"
"""The label of lists that are given without one."""

Lists = Given | Mapping[str, Given]


def named_lists(lists: Lists) -> dict[str, GivenLists]:
    """The tables of lists by name, each read.

    Raises:
        DataError: when a table cannot be read.
        SettingsError: for a name that is none, no table or too many.
    """
    tables = dict(lists) if isinstance(lists, Mapping) else {CANDIDATE: lists}
    if not 0 < len(tables) <= MAX_TABLES:
        raise SettingsError(
            f"lists: there are {len(tables)} tables of lists", f"give 1 to {MAX_TABLES}"
        )
    for label in tables:
        if not isinstance(label, str):
            raise SettingsError(
                f"lists: {label!r:.60} is of type {type(label).__name__} and no name for lists",
                'name tables by texts, such as "mine"',
            )
        if not LABEL.fullmatch(label) or label.lower().endswith(FILES):
            raise SettingsError(
                f"lists: {label[:60]!r} is no name for lists",
                "use up to 100 letters, digits, _, - and ., and no end of a file's name",
            )
    return {label: GivenLists.read(table, label) for label, table in tables.items()}


def list_contenders_of(
    tables: Mapping[str, GivenLists], not_asked: Sequence[str]
) -> list[ListContender]:
    """The first as candidate, the others as what it has to beat."""
    first = next(iter(tables))
    return [
        ListContender(
            table, label, "candidate" if label == first else "heuristic", tuple(not_asked)
        )
        for label, table in tables.items()
    ]
