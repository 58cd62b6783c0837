"""What people see of items, whichever model lists them, and how they find one by its title."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from setlist.report.listeners import TAG, TAGS, TITLE, clip


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
        titles = items["title"].where(items["title"] != "", items["item_id"])
        # Lists and a dict: one cell of a table takes longer to look up than a whole item of these.
        self._ids: list[str] = items["item_id"].tolist()
        self._titles: list[str] = titles.tolist()
        self._tags: list[Sequence[str]] = items["tags"].tolist()
        self._listeners: list[int] = items["listeners"].tolist()
        self._row = {item_id: row for row, item_id in enumerate(self._ids)}
        self._folded = titles.str.casefold()

    def __len__(self) -> int:
        return len(self._ids)

    def knows(self, item_ids: Iterable[str]) -> bool:
        """Whether all of these are in it."""
        return self._row.keys() >= set(item_ids)

    def look(self, item_ids: Iterable[str]) -> list[Item]:
        """The items with these ids; one that nobody knows has its id for a title."""
        return [
            self._item(self._row[item_id])
            if item_id in self._row
            else Item(item_id, clip(item_id, TITLE), (), 0, 0)
            for item_id in item_ids
        ]

    def search(self, words: str, most: int) -> list[Item]:
        """Items whose titles hold all the words, or whose id is that, the most popular first."""
        holds = pd.Series(True, self._folded.index)
        for word in words.casefold().split():
            holds &= self._folded.str.contains(word, regex=False)
        if words in self._row:
            holds[self._row[words]] = True
        return [self._item(row) for row in holds.to_numpy().nonzero()[0][:most].tolist()]

    def _item(self, row: int) -> Item:
        return Item(
            item_id=self._ids[row],
            title=clip(self._titles[row], TITLE),
            tags=tuple(clip(tag, TAG) for tag in self._tags[row][:TAGS]),
            listeners=self._listeners[row],
            place=row + 1,
        )
