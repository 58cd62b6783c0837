"""What the lists are made of: on catalogues whose answer is plain."""

import re

import numpy as np
import pandas as pd
import pytest

from setlist.report.popularity import PLAYS, Popularity
from setlist.report.tags import MOST, PLAYED, Tags

COUNTRIES = ("SE", "BR", "JP")
NAMES = ("sweden", "brazil", "japan")
EACH, K = 40, 4
"""Listeners of a country, who play items of their own; items and positions of a list."""


# Popularity.


def test_a_hit_parade_and_an_even_spread():
    tops = {
        "candidate": np.arange(8, dtype=np.int32).reshape(4, 2),
        "hits": np.tile(np.int32([3, 5]), (4, 1)),
    }
    found = Popularity.of(tops, np.full(8, 5), "candidate")
    by_label = {spread.label: spread for spread in found.spreads}
    assert list(by_label) == [PLAYS, "candidate", "hits"]
    assert [(one.items, one.half) for one in by_label.values()] == [(8, 4), (8, 4), (2, 1)]
    assert by_label["hits"].shares.tolist() == [0.5, *[1.0] * 7]
    assert by_label["candidate"].shares == pytest.approx(np.arange(1, 9) / 8)
    assert by_label["hits"].first == 1
    assert "hits: half falls on 1 items, 100% on the first ten, 2 items get any." in found.drawing


def test_positions_without_an_item_do_not_count():
    top = np.int32([[0, -1], [-2, 1], [0, -1]])
    (_, spread) = Popularity.of({"a": top}, np.array([1, 1]), "a").spreads
    assert spread.shares == pytest.approx([2 / 3, 1])
    assert len(Popularity.of({"a": np.full((3, 2), -1)}, np.array([1, 1]), "a").spreads) == 1


def test_a_large_catalogue_is_drawn_small():
    plays = np.arange(1_000_000)
    found = Popularity.of({"a": np.arange(90, dtype=np.int32).reshape(9, 10)}, plays, "a")
    assert len(found.drawing) < 60_000
    assert {"1", "1,000", "1,000,000"} <= set(re.findall(r">([\d,]+)</text>", found.drawing))


def test_a_catalogue_of_one_item_is_drawn():
    found = Popularity.of({"a": np.zeros((3, 1), np.int32)}, np.array([7]), "a")
    assert [spread.half for spread in found.spreads] == [1, 1]


# Tags.


def test_shares_are_of_positions():
    tags = Tags([["a", "b"], ["a", "a"], [], ["b"]])
    assert tags.names == ["a", "b"]
    assert tags.shares(np.int32([[0, 1], [2, 3]])).tolist() == [0.5, 0.5]
    assert tags.shares(np.int32([[0, -1], [-2, -1]])).tolist() == [1, 1]
    assert tags.shares(np.int32([[-1, -1]])).tolist() == [0, 0]


def test_the_tags_that_the_learned_models_change_most_come_in_order():
    names = [f"t{number:02}" for number in range(20)]
    tags = Tags([[name] for name in names])
    plays = np.full(20, 10)
    only = np.tile(np.int32([7, 3, 7, 7]), (5, 1))
    found = tags.compare(plays, {"candidate": only, "flat": np.arange(20)[None]}, ["candidate"])
    assert found.tags[:2] == ["t07", "t03"]
    assert len(found.tags) == MOST
    assert found.unshown == 20 - MOST
    assert found.plays == pytest.approx([0.05] * MOST)
    assert found.models["candidate"] == pytest.approx([0.75, 0.25, *[0.0] * (MOST - 2)])
    assert found.models["flat"] == pytest.approx([0.05] * MOST)


def world() -> tuple[Tags, pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
    """Three countries that play their own music; a model that knows it, and one that does not."""
    tags = Tags([[name, "music"] for name in NAMES for _ in range(K)])
    home = np.repeat(np.arange(3), EACH)
    users = pd.DataFrame(
        {
            "country": np.array(COUNTRIES)[home],
            "listener": np.tile(["light", "heavy"], len(home) // 2),
            "mood": np.tile(["bright", "dark"], len(home) // 2),
        }
    )
    own = (home[:, None] * K + np.arange(K)).astype(np.int32)
    truth = pd.DataFrame({"user": np.repeat(np.arange(len(home)), K), "item": own.ravel()})
    flood = np.tile(np.arange(K, 2 * K, dtype=np.int32), (len(home), 1))
    return tags, users, truth, {"honest": own, "one region": flood}


def test_one_region_for_everybody_is_a_column():
    tags, users, truth, tops = world()
    places = tags.places(users, ["listener", "mood", "country"], truth, tops)
    assert places is not None
    assert places.name == "country", "what people play depends neither on activity nor on mood"
    order = [COUNTRIES.index(place) for place in places.places]
    assert places.tags == [NAMES[place] for place in order]
    played, honest, flood = places.squares
    assert played.label == PLAYED
    assert played.shares == honest.shares == np.eye(3).tolist()
    assert (honest.own, honest.astray) == (1, None)
    column = places.tags.index("brazil")
    assert np.array(flood.shares)[:, column].tolist() == [1, 1, 1]
    assert np.array(flood.shares).sum() == 3
    assert flood.own == pytest.approx(1 / 3)
    assert flood.astray is not None
    assert flood.astray[0] != "BR"
    assert flood.astray[1:] == ("brazil", 1, 0)


def test_groups_that_play_the_same_are_not_set_apart():
    tags, users, truth, tops = world()
    assert tags.places(users, ["listener", "mood"], truth, tops) is None
    assert tags.places(users.assign(country="SE"), ["country"], truth, tops) is None


def test_few_and_unknown_listeners_are_no_place():
    tags, users, truth, tops = world()
    users.loc[users.index[:EACH], "country"] = [""] * EACH
    users.loc[users.index[-15:], "country"] = "NG"
    users.loc[users.index[-EACH:-15], "country"] = "NO"
    assert tags.places(users, ["country"], truth, tops) is None, "one of them is left"
