"""The profile of the training listeners: its shares, worked out by hand, and its bytes."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from setlist.data.schema import HISTORY_AGE
from setlist.errors import SetlistError
from setlist.models.contract import ModelInfo, folder_digest
from setlist.models.profile import (
    AGE_BINS,
    LENGTH_BINS,
    MAX_VALUES,
    PROFILE,
    parse_profile,
    profile_of,
    read_profile,
    write_profile,
)
from setlist.models.two_tower.refresh import refresh_items

PLAYS = {0: [9.0, 0.5], 1: [40.0], 2: [6.9] * 6, 3: [7.0] * 60}
"""The ages of each listener's plays, oldest first."""


def info(length=50, inputs=("country", HISTORY_AGE)):
    return ModelInfo(
        name="m", kind="heuristic", catalogue_size=1, history_length=length, inputs=inputs,
        training_window={}, code_version="0",
    )  # fmt: skip


@pytest.fixture
def small(features):
    """Four listeners of the training period, and a newcomer."""
    plays = [(user, 0, age) for user, ages in PLAYS.items() for age in ages]
    table = pd.DataFrame(plays, columns=["user", "item", "age_days"])
    ids = [f"u{user}" for user in PLAYS]
    users = pd.DataFrame({"user_id": ids, "country": ["SE", "", "SE", "BR"]})
    newcomers = pd.DataFrame({"user_id": ["u9"], "country": ["JP"]})
    return replace(features, users=users, newcomers=newcomers, plays=table)


def test_the_shares_are_those_of_the_training_listeners(small):
    profile = profile_of(small, info())
    assert profile.listeners == 4
    assert list(profile.inputs) == ["country"]
    country = profile.inputs["country"]
    assert list(country.shares.items()) == [("SE", 0.5), ("", 0.25), ("BR", 0.25)]
    assert country.rest == 0
    assert profile.lengths == dict(zip(LENGTH_BINS, (0, 0.5, 0.5, 0, 0), strict=True)), (
        "60 read as 50"
    )
    assert profile.ages == dict(zip(AGE_BINS, (0.25, 0.25, 0.25, 0.25), strict=True))


def test_a_history_counts_as_far_as_the_model_reads_it(small):
    assert profile_of(small, info(100)).lengths["51 to 200"] == 0.25
    assert profile_of(small, info(1)).lengths["1 to 5"] == 1


def test_a_model_that_reads_neither_has_neither(small):
    profile = profile_of(small, info(inputs=()))
    assert profile.inputs == {}
    assert profile.ages is None


def test_rare_values_are_one_number(small):
    cities = [f"c{row // 2:03}" for row in range(2 * MAX_VALUES)] + ["a", "b"]
    users = pd.DataFrame({"user_id": [f"u{row:03}" for row in range(402)], "country": cities})
    plays = pd.DataFrame({"user": range(402), "item": 0, "age_days": 1.0})
    country = profile_of(replace(small, users=users, plays=plays), info()).inputs["country"]
    assert len(country.shares) == MAX_VALUES
    assert country.shares["c000"] == pytest.approx(2 / 402)
    assert country.rest == pytest.approx(2 / 402), "the two that came once"


def test_nothing_of_the_test_period_is_in_it(small):
    assert "JP" not in profile_of(small, info()).to_json()
    nobody = replace(small, newcomers=small.newcomers[:0])
    assert profile_of(nobody, info()).to_json() == profile_of(small, info()).to_json()


@pytest.fixture
def copied(models, tmp_path):
    """A model folder of one's own."""
    return lambda name: shutil.copytree(models / name, tmp_path / name)


@pytest.mark.parametrize("name", ["two_tower", "most_popular", "popular_by_segment"])
def test_every_model_of_ours_has_it_always_in_the_same_bytes(copied, features, name):
    model = copied(name)
    before = (model / PROFILE).read_bytes()
    assert read_profile(model).listeners == len(features.users)
    mixed = replace(features, plays=features.plays.sample(frac=1, random_state=1))
    write_profile(model, mixed)
    assert (model / PROFILE).read_bytes() == before
    assert parse_profile(before, "here").to_json().encode() == before


def test_it_is_part_of_the_digest(copied):
    model = copied("relisten")
    own = folder_digest(model)
    (model / PROFILE).write_bytes((model / PROFILE).read_bytes().replace(b"120", b"121"))
    assert folder_digest(model) != own


def test_a_refreshed_model_keeps_the_profile_of_its_training(models, features, tmp_path):
    items = features.items.assign(released=pd.to_datetime(features.items["released"], utc=True))
    refresh_items(models / "two_tower", items, pd.Timestamp("2026-04-08", tz="UTC"), tmp_path / "m")
    before = (models / "two_tower" / PROFILE).read_bytes()
    assert (tmp_path / "m" / PROFILE).read_bytes() == before


def test_one_that_was_made_without_is_refreshed_without(copied, features, tmp_path):
    items = features.items.assign(released=pd.to_datetime(features.items["released"], utc=True))
    model = copied("two_tower")
    (model / PROFILE).unlink()
    assert read_profile(model) is None
    refresh_items(model, items, pd.Timestamp("2026-04-08", tz="UTC"), tmp_path / "m")
    assert read_profile(tmp_path / "m") is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda said: said["lengths"].pop("0"), "the bins are 0, 1 to 5"),
        (lambda said: said["lengths"].update({"0": 0.5}), "the shares do not add up to 1"),
        (lambda said: said["inputs"]["country"].update(rest=-0.5), "inputs.country.rest"),
        (lambda said: said["inputs"]["country"]["shares"].update(SE=float("nan")), "country"),
        (lambda said: said.update(listeners=0), "listeners"),
    ],
)
def test_a_damaged_one_is_refused_by_name(small, tmp_path, change, sentence):
    document = json.loads(profile_of(small, info()).to_json())
    change(document)
    (tmp_path / PROFILE).write_text(json.dumps(document))
    with pytest.raises(SetlistError) as refused:
        read_profile(tmp_path)
    assert str(tmp_path / PROFILE) in str(refused.value)
    assert sentence in str(refused.value)
