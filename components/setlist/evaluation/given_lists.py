"""Lists that somebody gives: any recommender's answers as a table, as codes of a catalogue.

    user_id, item_id    who is listed what; `user` and `item` are names of the same
    rank or score       the order: the lowest rank is first, or the highest score; with both, the
                        rank counts

What may be odd about them has a defined outcome each, which `CodedLists.notes` tells in words:

    a list shorter than k         its open positions are misses
    a listener of the truth without a list    a list without a hit
    a listener without truth      left aside
    an item outside the catalogue a miss that keeps its position
    an item twice in a list       the second mention is a miss
    equal scores in a list        in the order of the catalogue
    ranks with gaps               the order counts, and the gaps close
    equal ranks in a list         refused, as are missing ids and numbers that are not finite
    nobody's or nothing's id known  refused: the ids are of another kind
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Float64s, Int32s
from setlist.errors import DataError
from setlist.evaluation.given_tables import Given, read_given
from setlist.evaluation.ranking import EMPTY, FOREIGN


@dataclass(frozen=True)
class GivenLists:
    """Lists as they were given.

    Attributes:
        label: the name of the table in messages.
        users: of each row.
        items: of each row.
        order: float64[rows], ascending from the best of a list.
        ranked: whether `order` is a rank; else it is a score below 0.
    """

    label: str
    users: pd.Categorical
    items: pd.Categorical
    order: Float64s
    ranked: bool

    @classmethod
    def read(cls, table: Given, label: str) -> "GivenLists":
        """Read a table of lists.

        Raises:
            DataError: when it cannot be read, or has neither a rank nor a score.
        """
        given = read_given(table, f"lists {label}", ("user_id", "item_id"), ("rank", "score"))
        if "rank" not in given and "score" not in given:
            raise DataError(
                f"{given.label}: there is neither a column rank nor a column score",
                "add one: rank 1 is the first of a list, or the highest score is",
            )
        ranked = "rank" in given
        order = given.numbers("rank") if ranked else -given.numbers("score")
        return cls(given.label, given.ids("user_id"), given.ids("item_id"), order, ranked)


@dataclass(frozen=True)
class CodedLists:
    """Lists as codes of a catalogue.

    Attributes:
        top: int32[listeners, k], best first; EMPTY and FOREIGN as of a model.
        scores: float32[listeners, k], falling; -inf where nothing is listed.
        known: the share of the catalogue that stands in any list, of any length.
        notes: what is odd about the lists, a sentence each.
    """

    top: Int32s
    scores: Float32s
    known: float
    notes: list[str]


def code_lists(lists: GivenLists, user_ids: pd.Series, item_ids: pd.Index, k: int) -> CodedLists:
    """The lists of the listeners of an evaluation.

    Args:
        lists: as given.
        user_ids: of the listeners, in their order.
        item_ids: of the catalogue, in the order of the codes.
        k: how many of each list are read.

    Raises:
        DataError: when no listener or no item of the lists is known, or a rank stands twice.
    """
    user_of = pd.Index(user_ids).get_indexer(lists.users.categories).astype(np.int32)
    item_of = item_ids.get_indexer(lists.items.categories).astype(np.int32)
    _check_known(lists, "listener", lists.users, user_of, "the truth", user_ids)
    _check_known(lists, "item", lists.items, item_of, "the catalogue", item_ids)
    item_of[item_of < 0] = FOREIGN
    rows = user_of[lists.users.codes]
    kept = np.flatnonzero(rows >= 0)
    rows, items, order = rows[kept], item_of[lists.items.codes[kept]], lists.order[kept]
    # Of equal scores the first of the catalogue is first; items outside of it come last.
    place_of_item = np.where(items < 0, len(item_ids), items)
    sorting = np.lexsort((place_of_item, order, rows))
    rows, items, order = rows[sorting], items[sorting], order[sorting]
    equal = np.flatnonzero((rows[1:] == rows[:-1]) & (order[1:] == order[:-1]))
    if len(equal) and lists.ranked:
        first = int(equal[0])
        raise DataError(
            f"{lists.label}: listener {user_ids.iloc[rows[first]]} has two items of rank "
            f"{order[first]:g}, and {len(equal) - 1:,} more ranks stand twice in a list",
            "give each item of a list a rank of its own, or a score instead of ranks",
        )
    counts = np.bincount(rows, minlength=len(user_ids))
    place = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
    within = place < k
    top = np.full((len(user_ids), k), EMPTY, np.int32)
    top[rows[within], place[within]] = items[within]
    # Whatever was given, the scores of an answer fall with the rank.
    scores = np.where(top == EMPTY, np.float32(-np.inf), -np.arange(k, dtype=np.float32))
    listed = np.unique(items[items >= 0])
    ties = int((within[equal]).sum())
    return CodedLists(
        top=top,
        scores=scores.astype(np.float32),
        known=len(listed) / len(item_ids),
        notes=_notes(top, counts, k, len(lists.order) - len(kept), user_of, ties),
    )


def _check_known(
    lists: GivenLists,
    word: str,
    column: pd.Categorical,
    places: Int32s,
    where: str,
    known: pd.Series | pd.Index,
) -> None:
    if not (places >= 0).any():
        raise DataError(
            f"{lists.label}: no {word} of the lists stands in {where}; the lists have ids such as "
            f"{str(column.categories[0])[:60]!r}, {where} has ids such as "
            f"{str(known.tolist()[0])[:60]!r}",
            "write the same ids into both",
        )


def _notes(
    top: Int32s, counts: np.ndarray, k: int, strangers: int, user_of: Int32s, ties: int
) -> list[str]:
    ordered = np.sort(top, axis=1)
    repeated = int(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).sum())
    numbers = (
        (
            int((counts == 0).sum()),
            f"of {len(counts):,} listeners have no list, which counts as a list without a hit",
        ),
        (
            int(((counts > 0) & (counts < k)).sum()),
            f"lists are shorter than {k}, and their open positions count as misses",
        ),
        (
            strangers,
            f"rows belong to {int((user_of < 0).sum()):,} listeners who are not evaluated, and "
            "are left aside",
        ),
        (
            int((top == FOREIGN).sum()),
            "positions hold an item that is not in the catalogue; each counts as a miss",
        ),
        (
            repeated,
            "positions hold an item that stands further up in the same list; each counts as a miss",
        ),
        (
            ties,
            "positions have the score of the next one; such items are in the order of the "
            "catalogue",
        ),
    )
    return [f"{number:,} {sentence}" for number, sentence in numbers if number]
