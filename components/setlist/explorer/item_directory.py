"""Items by id and by title, as the explorer shows them for every model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from setlist.printable import one_line
from setlist.report.untrusted_text import TAG_LENGTH, TAGS_PER_ITEM, TITLE_LENGTH, clip


@dataclass(frozen=True)
class ShownItem:
    """One item as it is shown.

    Attributes:
        listeners: how many listeners played it in the training period; 0 for a new item.
        place: its place by popularity, 1 for the most popular item; 0 for an unknown item.
    """

    item_id: str
    title: str
    tags: tuple[str, ...]
    listeners: int
    place: int

    @property
    def name(self) -> str:
        """Title and id, which no other item has."""
        shown = one_line(self.item_id)
        return (
            shown if self.title == clip(self.item_id, TITLE_LENGTH) else f"{self.title} · {shown}"
        )


class ItemDirectory:
    """All items of a run and of models, by id and by title."""

    def __init__(self, tables: Sequence[pd.DataFrame]) -> None:
        """Join the tables; an item that stands in several is taken from the first.

        Args:
            tables: item_id, title, tags, listeners.
        """
        items = pd.concat(
            [table[["item_id", "title", "tags", "listeners"]] for table in tables],
            ignore_index=True,
        ).drop_duplicates("item_id", ignore_index=True)
        items = items.sort_values("listeners", ascending=False, kind="stable", ignore_index=True)
        titles = items["title"].where(items["title"] != "", items["item_id"])
        # Lists and a dict, because a cell of a DataFrame takes longer to read than a whole item
        # of these.
        self._ids: list[str] = items["item_id"].tolist()
        self._titles: list[str] = titles.tolist()
        self._tags: list[Sequence[str]] = items["tags"].tolist()
        self._listeners: list[int] = items["listeners"].tolist()
        self._row = {item_id: row for row, item_id in enumerate(self._ids)}
        self._folded = titles.str.casefold()

    def __len__(self) -> int:
        return len(self._ids)

    def contains_all(self, item_ids: Iterable[str]) -> bool:
        """Whether the directory holds all of these ids."""
        return self._row.keys() >= set(item_ids)

    def items(self, item_ids: Iterable[str]) -> list[ShownItem]:
        """The items with these ids; an unknown item has its id for a title."""
        return [
            self._item(self._row[item_id])
            if item_id in self._row
            else ShownItem(item_id, clip(item_id, TITLE_LENGTH), (), 0, 0)
            for item_id in item_ids
        ]

    def search(self, words: str, limit: int) -> list[ShownItem]:
        """Find at most `limit` items by title or id, the most popular first.

        An item matches if its title contains every word in any case, or if `words` is its id.
        """
        matches = pd.Series(True, self._folded.index)
        for word in words.casefold().split():
            matches &= self._folded.str.contains(word, regex=False)
        if words in self._row:
            matches[self._row[words]] = True
        return [self._item(row) for row in matches.to_numpy().nonzero()[0][:limit].tolist()]

    def _item(self, row: int) -> ShownItem:
        return ShownItem(
            item_id=self._ids[row],
            title=clip(self._titles[row], TITLE_LENGTH),
            tags=tuple(clip(tag, TAG_LENGTH) for tag in self._tags[row][:TAGS_PER_ITEM]),
            listeners=self._listeners[row],
            place=row + 1,
        )
