"""The lists of several models for the same listener, side by side, and how they differ."""

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from setlist.data.schema import HISTORY_AGE
from setlist.explorer.catalogue import Catalogue, Item
from setlist.models.saved_model import SavedModel
from setlist.report.templates import templates

MADE_OF = 3
"""How many of the most frequent tags of a list are named."""
MOST, UNUSUAL = 0.7, 3.0
"""A tag strikes on more than this share of a list, and this many times its share of the history."""


@dataclass(frozen=True)
class Told:
    """What a model is told of a listener.

    Attributes:
        history: ids, oldest first.
        ages: of each play, in days.
        exclude: ids that must not be listed.
        inputs: named inputs; a model takes those it knows.
    """

    history: Sequence[str]
    ages: Sequence[float]
    exclude: Sequence[str]
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """One position of a list.

    Attributes:
        hit: whether the listener played it in the test period.
        move: by how many ranks it stands higher than in the list compared with; None where it is
            not in that one.
        alone: no other column lists it.
    """

    item: Item
    hit: bool
    move: int | None
    alone: bool


@dataclass(frozen=True)
class Column:
    """One model's list.

    Attributes:
        against: the list it is compared with; "" for none.
        shared: how many items it has in common with that.
        about: what is known of the list or its model, one short text each.
        usual: the share of the listener's history on which each tag stands.
    """

    label: str
    entries: list[Entry]
    against: str
    shared: int
    about: list[str]
    usual: Mapping[str, float]

    @property
    def hits(self) -> int:
        """How many of the entries the listener played."""
        return sum(entry.hit for entry in self.entries)

    @property
    def made_of(self) -> list[tuple[str, int, bool]]:
        """The most frequent tags, on how many entries they stand, and whether that strikes.

        It does where most of the list carries a tag that the listener's history does not explain:
        one region for everybody.
        """
        size = len(self.entries)
        return [
            (tag, count, count > size * max(MOST, UNUSUAL * self.usual.get(tag, 0.0)))
            for tag, count in _tags(entry.item for entry in self.entries).most_common(MADE_OF)
        ]

    @property
    def striking(self) -> set[str]:
        """The tags that strike."""
        return {tag for tag, _, strikes in self.made_of if strikes}

    @property
    def place(self) -> float:
        """The median popularity of its entries, 1 for the most popular item."""
        known = [entry.item.place for entry in self.entries if entry.item.place]
        return median(known) if known else 0


def lists(model: SavedModel, told: Sequence[Told], k: int) -> list[list[str]]:
    """The ids that the model lists for each of several listeners, best first, asked for together.

    Raises:
        SetlistError: when the model answers outside the contract.
    """
    names = model.info.categorical_inputs
    aged = HISTORY_AGE in model.info.inputs
    ids, _ = model.recommend(
        [one.history for one in told],
        [one.exclude for one in told],
        k,
        {name: [one.inputs.get(name, "") for one in told] for name in names},
        [one.ages for one in told] if aged else None,
    )
    return [row[row != ""].tolist() for row in ids]


def side_by_side(
    listed: Mapping[str, list[str]],
    against: Mapping[str, tuple[str, list[str]]],
    catalogue: Catalogue,
    history: Sequence[str],
    played: Sequence[str],
    about: Mapping[str, list[str]],
) -> list[Column]:
    """The columns of several models.

    Args:
        listed: the ids of each model, best first.
        against: for each model what its list is compared with: how that is called, and its ids.
        catalogue: where the items are looked up.
        history: what the listener played before it.
        played: what the listener played in the test period.
        about: more to say of a column.
    """
    times = Counter(item for ids in listed.values() for item in ids)
    relevant = set(played)
    known = catalogue.look(dict.fromkeys(history))
    usual = {tag: count / len(known) for tag, count in _tags(known).items()}
    columns = []
    for label, ids in listed.items():
        called, other = against.get(label, ("", []))
        ranks = {item: rank for rank, item in enumerate(other)}
        entries = [
            Entry(
                item=item,
                hit=item.item_id in relevant,
                move=ranks[item.item_id] - rank if item.item_id in ranks else None,
                alone=len(listed) > 1 and times[item.item_id] == 1,
            )
            for rank, item in enumerate(catalogue.look(ids))
        ]
        shared = len(set(ids) & set(other))
        columns.append(Column(label, entries, called, shared, about.get(label, []), usual))
    return columns


def _tags(items: Iterable[Item]) -> Counter[str]:
    """On how many of the items each tag stands."""
    return Counter(tag for item in items for tag in dict.fromkeys(item.tags))


MARKS = str.maketrans(dict.fromkeys(string.punctuation, " "))


def plain(name: str) -> str:
    """The words of a name, to stand in a label: Streamlit reads those as Markdown.

    Without the marks there is nothing to read: no image to fetch and no link. Values may not stand
    in a label at all, for they have to be shown as they are.
    """
    return " ".join(name.translate(MARKS).split())


_TEMPLATES = templates(Path(__file__).parent)


def render(template: str, **values: object) -> str:
    """HTML from a template beside this file; text is escaped."""
    return _TEMPLATES.get_template(template).render(**values)
