"""The lists of several models for the same listener, side by side, and how they differ."""

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from setlist.data.schema import HISTORY_AGE
from setlist.explorer.item_directory import ItemDirectory, ShownItem
from setlist.models.worker.remote_model import RemoteModel
from setlist.printable import one_line
from setlist.report.untrusted_text import html_templates

TOP_TAGS = 3
"""How many of the most frequent tags of a list are named."""
# A tag is marked if it is on more than STRIKING_SHARE of a list, and on more than STRIKING_RATIO
# times its share of the listener's history: the history does not explain it then.
STRIKING_SHARE = 0.7
STRIKING_RATIO = 3.0


@dataclass(frozen=True)
class ListenerQuery:
    """What the models are asked for one listener.

    Attributes:
        history: item ids, oldest first.
        ages: of each play, in days.
        exclude: item ids that must not be listed.
        inputs: named inputs; each model takes those that it knows.
    """

    history: Sequence[str]
    ages: Sequence[float]
    exclude: Sequence[str]
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class ColumnEntry:
    """One position of a list.

    Attributes:
        hit: whether the listener played the item in the test period.
        move: by how many ranks the item stands higher than in the list that this one is compared
            with; None if it is not in that list.
        alone: whether no other column lists the item.
    """

    item: ShownItem
    hit: bool
    move: int | None
    alone: bool


@dataclass(frozen=True)
class ModelColumn:
    """One model's list.

    Attributes:
        against: name of the list that this one is compared with; "" for none.
        shared: how many items both lists have.
        about: facts about the list or its model, one short text each.
        history_shares: the share of the listener's history that carries each tag.
    """

    label: str
    entries: list[ColumnEntry]
    against: str
    shared: int
    about: list[str]
    history_shares: Mapping[str, float]

    @property
    def hits(self) -> int:
        """How many items of the list the listener played in the test period."""
        return sum(entry.hit for entry in self.entries)

    @property
    def top_tags(self) -> list[tuple[str, int, bool]]:
        """The most frequent tags: name, number of entries, and whether the tag is striking.

        A tag is striking if most of the list carries it and the listener's history does not
        explain that. A model that lists the items of one region for everybody has such a tag.
        """
        size = len(self.entries)
        return [
            (tag, count, count > size * self._striking_share(tag))
            for tag, count in _tag_counts(entry.item for entry in self.entries).most_common(
                TOP_TAGS
            )
        ]

    def _striking_share(self, tag: str) -> float:
        return max(STRIKING_SHARE, STRIKING_RATIO * self.history_shares.get(tag, 0.0))

    @property
    def striking_tags(self) -> set[str]:
        """Those of the most frequent tags that are striking."""
        return {tag for tag, _, striking in self.top_tags if striking}

    @property
    def median_place(self) -> float:
        """The median place by popularity, 1 for the most popular item; 0 if no item is known."""
        places = [entry.item.place for entry in self.entries if entry.item.place]
        return median(places) if places else 0


ANSWER_SECONDS = 20.0
"""For a visitor who waits; the first call of a model takes a second, on a busy node several."""


def recommend_lists(
    model: RemoteModel, queries: Sequence[ListenerQuery], k: int
) -> list[list[str]]:
    """Ask a model for several listeners at once: for each, up to `k` item ids, best first.

    Raises:
        ModelError: when the answer breaks the contract, or does not come.
    """
    names = model.info.categorical_inputs
    takes_ages = HISTORY_AGE in model.info.inputs
    ids, _ = model.signature(
        [query.history for query in queries],
        [query.exclude for query in queries],
        k,
        {name: [query.inputs.get(name, "") for query in queries] for name in names},
        [query.ages for query in queries] if takes_ages else None,
        seconds=ANSWER_SECONDS,
    )
    return [row[row != ""].tolist() for row in ids]


def side_by_side(
    lists: Mapping[str, list[str]],
    against: Mapping[str, tuple[str, list[str]]],
    directory: ItemDirectory,
    history: Sequence[str],
    played: Sequence[str],
    about: Mapping[str, list[str]],
) -> list[ModelColumn]:
    """Compare the lists of several models, one column for each.

    Args:
        lists: the item ids of each model, best first.
        against: for each model the list that its own is compared with: a name for it, and its ids.
        directory: where the items are looked up.
        history: what the listener played before the lists were made.
        played: what the listener played in the test period.
        about: facts that are shown in the head of a column.
    """
    columns_with = Counter(item for ids in lists.values() for item in ids)
    relevant = set(played)
    # A repeated item counts once: the shares are those of different items.
    history_items = directory.items(dict.fromkeys(history))
    shares = {tag: count / len(history_items) for tag, count in _tag_counts(history_items).items()}
    columns = []
    for label, ids in lists.items():
        other_name, other_ids = against.get(label, ("", []))
        ranks = {item: rank for rank, item in enumerate(other_ids)}
        entries = [
            ColumnEntry(
                item=item,
                hit=item.item_id in relevant,
                move=ranks[item.item_id] - rank if item.item_id in ranks else None,
                alone=len(lists) > 1 and columns_with[item.item_id] == 1,
            )
            for rank, item in enumerate(directory.items(ids))
        ]
        shared = len(set(ids) & set(other_ids))
        columns.append(
            ModelColumn(label, entries, other_name, shared, about.get(label, []), shares)
        )
    return columns


def _tag_counts(items: Iterable[ShownItem]) -> Counter[str]:
    """On how many of the items each tag stands."""
    return Counter(tag for item in items for tag in dict.fromkeys(item.tags))


PUNCTUATION_TO_SPACES = str.maketrans(dict.fromkeys(string.punctuation, " "))


def label_words(name: str) -> str:
    """The words of a name, without punctuation, for the label of a control.

    Streamlit reads labels as Markdown. Without punctuation there is none: no image is fetched and
    no link appears. A value may not stand in a label at all, because it has to be shown unchanged.
    """
    return " ".join(one_line(name).translate(PUNCTUATION_TO_SPACES).split())


_TEMPLATES = html_templates(Path(__file__).parent)


def render(template: str, **values: object) -> str:
    """Render a template of this package to HTML; all values are escaped."""
    return _TEMPLATES.get_template(template).render(**values)
