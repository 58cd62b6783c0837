"""What a list for one listener is computed from, and the list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A request for one listener.

    Attributes:
        history: item ids of the plays, oldest first.
        ages: of each play, in days.
        exclude: item ids that must not be listed.
        inputs: named inputs; a model reads those it knows, and "" for those that are missing.
        k: the maximal length of the list.
    """

    history: Sequence[str]
    ages: Sequence[float]
    exclude: Sequence[str]
    inputs: Mapping[str, str]
    k: int


@dataclass(frozen=True)
class RankedList:
    """One listener's list, best item first.

    Attributes:
        item_ids: of the items; empty where the caller did not ask for them.
        scores: of the items, or empty as well.
        rendered: the JSON array of the items, with titles, tags and scores.
    """

    item_ids: list[str]
    scores: list[float]
    rendered: bytes = b""
