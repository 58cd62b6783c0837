"""What people see of items, and how they find one."""

import pandas as pd

from setlist.explorer.catalogue import Catalogue, Item
from setlist.report.listeners import TITLE

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


def found(catalogue: Catalogue, words: str, most: int = 10) -> list[str]:
    """The ids of what a search finds."""
    return [item.item_id for item in catalogue.search(words, most)]


def test_an_item_has_its_place_among_all() -> None:
    """By listeners; equal ones stand in the order of the table."""
    looked = Catalogue([ITEMS]).look(["d", "a", "b", "c"])
    assert looked[0] == Item("d", "STRASSE der Nacht", ("rock", "pop"), 5, 3)
    assert [item.place for item in looked] == [3, 2, 1, 5]


def test_an_item_without_a_title_is_called_by_its_id() -> None:
    """And is not named twice."""
    item, other = Catalogue([ITEMS]).look(["c", "a"])
    assert (item.title, item.named, other.named) == ("c", "c", "Quiet Night · a")
    assert item.tags == ("x",) * 4


def test_an_unknown_id_is_shown_too() -> None:
    """A model may list what no table has; a long one is cut."""
    short, long = Catalogue([ITEMS]).look(["?", "q" * 500])
    assert short == Item("?", "?", (), 0, 0)
    assert (long.item_id, len(long.title), long.place) == ("q" * 500, TITLE, 0)


def test_the_first_table_that_knows_an_item_tells_of_it() -> None:
    """Its title, its tags and its listeners, and so its place."""
    catalogue = Catalogue([ITEMS, OTHERS])
    first, second = catalogue.look(["a", "z"])
    assert len(catalogue) == 6
    assert (first.title, first.tags, first.listeners) == ("Quiet Night", ("folk",), 5)
    assert (second.title, second.place, first.place) == ("only here", 2, 3)


def test_it_tells_whether_it_knows_all_items() -> None:
    """One that it lacks is enough."""
    catalogue = Catalogue([ITEMS])
    assert catalogue.knows(["a", "e", "a"])
    assert catalogue.knows([])
    assert not catalogue.knows(["a", "z"])


def test_a_search_finds_all_words_in_any_order_and_case() -> None:
    """The most popular first; words are no pattern."""
    catalogue = Catalogue([ITEMS])
    assert found(catalogue, "NIGHT") == ["b", "a"]
    assert found(catalogue, "night quiet") == ["a"]
    assert found(catalogue, "straße") == ["d", "e"]
    assert found(catalogue, "(a|b)") == ["e"]
    assert found(catalogue, ".*") == []


def test_a_search_for_an_id_finds_the_item() -> None:
    """Beside those whose titles hold it; the case of an id counts."""
    catalogue = Catalogue([ITEMS])
    assert found(catalogue, "c") == ["d", "c"]
    assert found(catalogue, "D") == ["b", "d"]


def test_a_search_without_words_finds_the_most_popular() -> None:
    """No more than are asked for."""
    assert found(Catalogue([ITEMS]), " ", most=3) == ["b", "a", "d"]
