"""What people see of items, whichever model lists them, and how they find one by its title."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from components.dashboard.listeners import TAG, TAGS, TITLE, clip


@dataclass(frozen=True)
class Item:
    """One item as it is shown.

    Attributes:
        listeners: who played it in the training period; 0 marks a new item.
        place: of its popularity, 1 for the most popular; 0 where the item is not known.
    """

    item_id: str
    title: str
    tags: tuple[str, ...]
    listeners: int
    place: int

    @property
    def named(self) -> str:
        """Title and id: no two items are named the same."""
        return self.item_id if self.title == self.item_id else f"{self.title} · {self.item_id}"


class Catalogue:
    """Items by id, from the tables of a run and of models."""

    def __init__(self, tables: Sequence[pd.DataFrame]) -> None:
        """Join the tables; of an item that several know, the first is shown.

        Args:
            tables: item_id, title, tags, listeners.
        """
        items = pd.concat(
            [table[["item_id", "title", "tags", "listeners"]] for table in tables],
            ignore_index=True,
        ).drop_duplicates("item_id", ignore_index=True)
        items = items.sort_values("listeners", ascending=False, kind="stable", ignore_index=True)
        self._items = items
        self._row = pd.Index(items["item_id"])
        self._titles = items["title"].where(items["title"] != "", items["item_id"])
        self._folded = self._titles.str.casefold()

    def __len__(self) -> int:
        return len(self._items)

    def look(self, item_ids: Iterable[str]) -> list[Item]:
        """The items with these ids; one that nobody knows has its id for a title."""
        wanted = list(item_ids)
        return [
            Item(item_id, clip(item_id, TITLE), (), 0, 0) if row < 0 else self._item(row)
            for item_id, row in zip(wanted, self._row.get_indexer(wanted).tolist(), strict=True)
        ]

    def search(self, words: str, most: int) -> list[Item]:
        """Items whose titles hold all the words, or whose id is that, the most popular first."""
        found = self._items["item_id"] == words
        holds = pd.Series(True, self._items.index)
        for word in words.casefold().split():
            holds &= self._folded.str.contains(word, regex=False)
        return [self._item(row) for row in self._items.index[found | holds][:most].tolist()]

    def _item(self, row: int) -> Item:
        one = self._items.iloc[row]
        return Item(
            item_id=one["item_id"],
            title=clip(self._titles.iloc[row], TITLE),
            tags=tuple(clip(tag, TAG) for tag in list(one["tags"])[:TAGS]),
            listeners=int(one["listeners"]),
            place=row + 1,
        )
