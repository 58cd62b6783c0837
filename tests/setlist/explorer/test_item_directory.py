"""What people see of items, and how they find one."""

import pandas as pd

from setlist.explorer.item_directory import ItemDirectory, ShownItem
from setlist.report.untrusted_text import TITLE_LENGTH

ITEMS = pd.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "title": ["Quiet Night", "Night Drive", "", "STRASSE der Nacht", "Straße (a|b)"],
        "tags": [["folk"], [], ["x"] * 9, ["rock", "pop"], ["pop"]],
        "listeners": [5, 9, 0, 5, 1],
    }
)
OTHERS = pd.DataFrame(
    {
        "item_id": ["a", "z"],
        "title": ["another title of a", "only here"],
        "tags": [["wrong"], ["own"]],
        "listeners": [1_000, 7],
    }
)


def found_ids(directory: ItemDirectory, words: str, limit: int = 10) -> list[str]:
    """The ids of what a search finds."""
    return [item.item_id for item in directory.search(words, limit)]


def test_an_item_has_its_place_among_all() -> None:
    """By listeners; equal ones stand in the order of the table."""
    items = ItemDirectory([ITEMS]).items(["d", "a", "b", "c"])
    assert items[0] == ShownItem("d", "STRASSE der Nacht", ("rock", "pop"), 5, 3)
    assert [item.place for item in items] == [3, 2, 1, 5]


def test_an_item_without_a_title_is_called_by_its_id() -> None:
    """And is not named twice."""
    item, other = ItemDirectory([ITEMS]).items(["c", "a"])
    assert (item.title, item.name, other.name) == ("c", "c", "Quiet Night · a")
    assert item.tags == ("x",) * 4


def test_an_unknown_id_is_shown_too() -> None:
    """A model may list what no table has; a long one is cut."""
    short, long = ItemDirectory([ITEMS]).items(["?", "q" * 500])
    assert short == ShownItem("?", "?", (), 0, 0)
    assert (long.item_id, len(long.title), long.place) == ("q" * 500, TITLE_LENGTH, 0)


def test_the_first_table_that_knows_an_item_tells_of_it() -> None:
    """Its title, its tags and its listeners, and so its place."""
    directory = ItemDirectory([ITEMS, OTHERS])
    first, second = directory.items(["a", "z"])
    assert len(directory) == 6
    assert (first.title, first.tags, first.listeners) == ("Quiet Night", ("folk",), 5)
    assert (second.title, second.place, first.place) == ("only here", 2, 3)


def test_it_tells_whether_it_knows_all_items() -> None:
    """One that it lacks is enough."""
    directory = ItemDirectory([ITEMS])
    assert directory.contains_all(["a", "e", "a"])
    assert directory.contains_all([])
    assert not directory.contains_all(["a", "z"])


def test_a_search_finds_all_words_in_any_order_and_case() -> None:
    """The most popular first; words are no pattern."""
    directory = ItemDirectory([ITEMS])
    assert found_ids(directory, "NIGHT") == ["b", "a"]
    assert found_ids(directory, "night quiet") == ["a"]
    assert found_ids(directory, "straße") == ["d", "e"]
    assert found_ids(directory, "(a|b)") == ["e"]
    assert found_ids(directory, ".*") == []


def test_a_search_for_an_id_finds_the_item() -> None:
    """Beside those whose titles hold it; the case of an id counts."""
    directory = ItemDirectory([ITEMS])
    assert found_ids(directory, "c") == ["d", "c"]
    assert found_ids(directory, "D") == ["b", "d"]


def test_a_search_without_words_finds_the_most_popular() -> None:
    """No more than are asked for."""
    assert found_ids(ItemDirectory([ITEMS]), " ", limit=3) == ["b", "a", "d"]
