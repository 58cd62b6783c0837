"""What the lists are made of: on catalogues whose answer is plain."""

import re

import numpy as np
import pandas as pd
import pytest

from setlist.report.popularity import PLAYS_LABEL, Popularity
from setlist.report.tags import TAGS_SHOWN, TEST_PLAYS_LABEL, Tags

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
    assert list(by_label) == [PLAYS_LABEL, "candidate", "hits"]
    assert [(one.items, one.half) for one in by_label.values()] == [(8, 4), (8, 4), (2, 1)]
    assert by_label["hits"].shares.tolist() == [0.5, *[1.0] * 7]
    assert by_label["candidate"].shares == pytest.approx(np.arange(1, 9) / 8)
    assert by_label["hits"].top_ten == 1
    words = (
        "hits: 1 items take half of all positions, the ten most exposed take 100%, "
        "2 items have any."
    )
    assert words in found.drawing


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
    assert len(found.tags) == TAGS_SHOWN
    assert found.hidden == 20 - TAGS_SHOWN
    assert found.plays == pytest.approx([0.05] * TAGS_SHOWN)
    assert found.models["candidate"] == pytest.approx([0.75, 0.25, *[0.0] * (TAGS_SHOWN - 2)])
    assert found.models["flat"] == pytest.approx([0.05] * TAGS_SHOWN)


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
    group_tags = tags.by_group(users, ["listener", "mood", "country"], truth, tops)
    assert group_tags is not None
    assert group_tags.slice == "country", "what people play depends neither on activity nor on mood"
    order = [COUNTRIES.index(place) for place in group_tags.groups]
    assert group_tags.tags == [NAMES[place] for place in order]
    played, honest, flood = group_tags.matrices
    assert played.label == TEST_PLAYS_LABEL
    assert played.shares == honest.shares == np.eye(3).tolist()
    assert (honest.own_share, honest.mismatch) == (1, None)
    column = group_tags.tags.index("brazil")
    assert np.array(flood.shares)[:, column].tolist() == [1, 1, 1]
    assert np.array(flood.shares).sum() == 3
    assert flood.own_share == pytest.approx(1 / 3)
    assert flood.mismatch is not None
    assert flood.mismatch.group != "BR"
    assert (flood.mismatch.tag, flood.mismatch.listed) == ("brazil", 1)
    assert flood.mismatch.played == 0


def test_groups_that_play_the_same_are_not_set_apart():
    tags, users, truth, tops = world()
    assert tags.by_group(users, ["listener", "mood"], truth, tops) is None
    assert tags.by_group(users.assign(country="SE"), ["country"], truth, tops) is None


def test_few_and_unknown_listeners_are_no_place():
    tags, users, truth, tops = world()
    users.loc[users.index[:EACH], "country"] = [""] * EACH
    users.loc[users.index[-15:], "country"] = "NG"
    users.loc[users.index[-EACH:-15], "country"] = "NO"
    assert tags.by_group(users, ["country"], truth, tops) is None, "one of them is left"
