"""Lists side by side, on lists so short that every mark is worked out by hand."""

import pandas as pd
import pytest

from setlist.explorer.columns import ModelColumn, label_words, render, side_by_side
from setlist.explorer.item_directory import ItemDirectory

DIRECTORY = ItemDirectory(
    [
        pd.DataFrame(
            {
                "item_id": ["a", "b", "c", "d", "e"],
                "title": ["A", "B", "C", "", "<E>"],
                "tags": [["folk", "brazil"], ["jazz", "brazil"], ["brazil"], [], ["folk", "folk"]],
                "listeners": [50, 40, 30, 20, 0],
            }
        )
    ]
)


def columns(
    listed: dict[str, str], against: dict[str, tuple[str, str]], history: str = "", played: str = ""
) -> list[ModelColumn]:
    """Each list is a word, every letter of it an item."""
    lists = {label: [*ids] for label, ids in listed.items()}
    others = {label: (called, [*ids]) for label, (called, ids) in against.items()}
    return side_by_side(lists, others, DIRECTORY, [*history], [*played], {"one": ["fact"]})


def test_moves_are_ranks_gained_on_the_list_compared_with():
    (column,) = columns({"one": "badx"}, {"one": ("other", "abcd")})
    assert [entry.move for entry in column.entries] == [1, -1, 1, None]
    assert (column.against, column.shared, column.about) == ("other", 3, ["fact"])


def test_without_a_list_to_compare_with_nothing_has_moved():
    (column,) = columns({"one": "ab"}, {})
    assert [entry.move for entry in column.entries] == [None, None]
    assert (column.against, column.shared) == ("", 0)


def test_an_item_is_alone_where_no_other_column_lists_it():
    first, second, third = columns({"one": "abc", "two": "bcd", "three": "cbe"}, {})
    assert [entry.alone for entry in first.entries] == [True, False, False]
    assert [entry.alone for entry in second.entries] == [False, False, True]
    assert [entry.alone for entry in third.entries] == [False, False, True]


def test_a_single_column_has_nothing_alone():
    (column,) = columns({"one": "abc"}, {})
    assert not any(entry.alone for entry in column.entries)


def test_hits_are_what_was_played_later():
    (column,) = columns({"one": "abcd"}, {}, played="dbz")
    assert [entry.hit for entry in column.entries] == [False, True, False, True]
    assert column.hits == 2


def test_it_is_made_of_the_most_frequent_tags_counted_once_an_item():
    (column,) = columns({"one": "abcde"}, {})
    assert [(tag, count) for tag, count, _ in column.top_tags] == [
        ("brazil", 3),
        ("folk", 2),
        ("jazz", 1),
    ]


@pytest.mark.parametrize(
    ("listed", "history", "striking"),
    [
        ("abc", "", True),  # all of it, and nothing is known of the listener
        ("abcd", "", True),  # three of four are more than 7 in 10
        ("abdx", "", False),  # two of four are not
        ("abc", "adex", True),  # one in four of the history: four times its share
        ("abc", "ade", False),  # one in three of it: what the listener likes, among others
        ("abc", "ddddddaa", False),  # the same item again and again is one item
    ],
)
def test_a_tag_strikes_where_the_history_does_not_explain_it(listed, history, striking):
    (column,) = columns({"one": listed}, {}, history=history)
    assert column.top_tags[0][0] == "brazil"
    assert column.top_tags[0][2] == striking
    assert not any(strikes for _, _, strikes in column.top_tags[1:])


def test_the_popularity_of_a_list_is_its_median_place():
    first, second, third = columns({"one": "abe", "two": "ad", "three": "xy"}, {})
    assert (first.median_place, second.median_place, third.median_place) == (2, 2.5, 0)


def test_items_are_shown_as_they_are_known():
    (column,) = columns({"one": "dex"}, {})
    assert [entry.item.title for entry in column.entries] == ["d", "<E>", "x"]
    assert [entry.item.listeners for entry in column.entries] == [20, 0, 0]
    assert [entry.item.place for entry in column.entries] == [4, 5, 0]


def test_a_model_that_lists_nothing_is_a_column():
    first, second = columns({"one": "", "two": "a"}, {"one": ("two", "a")})
    assert (first.entries, first.shared, first.hits, first.top_tags, first.median_place) == (
        [],
        0,
        0,
        [],
        0,
    )
    assert second.entries[0].alone


def test_the_table_says_all_of_it():
    html = render(
        "lists.html.j2",
        columns=columns(
            {"one": "baex", "two": "ab"}, {"one": ("two", "ab")}, history="c", played="a"
        ),
        history=True,
        depth=4,
        items=len(DIRECTORY),
        played=1,
        reference="two",
        what_if=False,
        who="<listener>",
    )
    for said in (
        "&lt;listener&gt;",
        "▲ 1",
        "▼ 1",
        "2 of 4 as in <bdi>two</bdi>",
        "the others are compared with it",
        "1 played later",
        "<bdi>&lt;E&gt;</bdi>",
        "nobody has played it",
        "new item",
        "unknown item",
        "#2, 40 listeners",
        "nothing listed",
    ):
        assert said in html, said
    assert html.count("only here") == 2


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("age_band", "age band"),
        ("देश", "देश"),
        ("![x](http://a.example/x.png)", "x http a example x png"),
        ("**b** $x$ :red[y] `z`", "b x red y z"),
    ],
)
def test_a_name_in_a_label_is_nothing_but_words(name: str, label: str):
    assert label_words(name) == label
