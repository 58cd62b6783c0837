"""What a model learns from is bounded: a fixed share of the listeners, read part by part."""

import numpy as np
import pandas as pd
import pytest
from tests.setlist.models.conftest import checkerboard

from setlist.data.features import Features
from setlist.errors import SetlistError
from setlist.models.heuristics import fit_heuristics
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.trainers import train_candidate

MOST = 500
"""Plays, of 1,320."""


@pytest.fixture
def folder(tmp_path):
    """Written in parts of 100 rows."""
    features = checkerboard()
    features.write(tmp_path)
    for table in ("users", "plays"):
        rows = pd.read_parquet(tmp_path / f"{table}.parquet")
        rows.to_parquet(tmp_path / f"{table}.parquet", row_group_size=100, index=False)
    return tmp_path


def histories(features):
    """The plays of each listener by names."""
    plays = features.plays.assign(
        user_id=features.users["user_id"].to_numpy()[features.plays["user"]],
        item_id=features.items["item_id"].to_numpy()[features.plays["item"]],
    )
    return {
        user: own[["item_id", "age_days"]].values.tolist() for user, own in plays.groupby("user_id")
    }


def test_a_listener_of_the_sample_has_all_her_plays(folder):
    whole, some = Features.read(folder), Features.sample(folder, MOST)
    assert 0.5 * MOST < len(some.plays) < 1.5 * MOST
    assert some.share == pytest.approx(MOST / len(whole.plays))
    assert abs(len(some.users) / len(whole.users) - some.share) < 0.15
    everybody = histories(whole)
    assert {user: everybody[user] for user in some.users["user_id"]} == histories(some)
    assert some.users.merge(whole.users).equals(some.users), "with their inputs"
    assert some.items.equals(whole.items)
    assert some.offsets[-1] == len(some.plays)
    assert some.plays.dtypes.equals(whole.plays.dtypes)


def test_the_same_people_are_in_the_sample_whoever_else_joins(folder, tmp_path_factory):
    before = set(Features.sample(folder, MOST).users["user_id"])
    whole = Features.read(folder)
    more = tmp_path_factory.mktemp("more")
    # Newer listeners have names before all others, so that all codes move.
    joined = whole.users.assign(user_id="a" + whole.users["user_id"])
    later = pd.concat([joined, whole.users], ignore_index=True)
    moved = whole.plays.assign(user=(whole.plays["user"] + len(joined)).astype(np.int32))
    Features(
        items=whole.items,
        users=later,
        newcomers=whole.newcomers,
        plays=pd.concat([whole.plays, moved], ignore_index=True),
        window=whole.window,
        inputs=whole.inputs,
    ).write(more)
    after = set(Features.sample(more, 2 * MOST).users["user_id"])
    assert {user for user in after if user[0] == "u"} == before
    assert any(user[0] == "a" for user in after)


def test_what_fits_is_read_whole(folder):
    whole = Features.sample(folder, 1_320)
    assert whole.share == 1.0
    pd.testing.assert_frame_equal(whole.plays, Features.read(folder).plays)


def test_a_model_of_a_sample_says_so(folder, tmp_path):
    settings = ModelSettings(dimension=4, epochs=1, most_plays=MOST)
    features = Features.sample(folder, MOST)
    record = train_candidate(features, settings, tmp_path / "m", tmp_path / "r", "one")
    assert record.share == pytest.approx(MOST / 1_320)


def test_learners_learn_from_the_sample(folder, tmp_path, monkeypatch):
    asked = []
    sample = Features.sample
    monkeypatch.setattr(
        Features, "sample", lambda folder, most: asked.append(most) or sample(folder, most)
    )
    settings = HeuristicSettings(fit=("most_popular", "ials"), most_plays=MOST)
    assert fit_heuristics(folder, settings, tmp_path / "models") == ["most_popular", "ials"]
    assert asked == [MOST]


def test_a_sample_of_nobody_is_refused(folder):
    with pytest.raises(SetlistError, match=r"is nobody; raise model\.most_plays"):
        Features.sample(folder, 1)
