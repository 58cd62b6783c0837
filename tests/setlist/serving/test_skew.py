"""Served requests beside training listeners: what differs is found, what does not is let be."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from prometheus_client import CollectorRegistry
from tests.setlist.serving.trained import NOON, features_of, listeners

from setlist.data.case import MIN_LISTENERS
from setlist.data.policy import ServingBounds
from setlist.data.schema import HISTORY_AGE
from setlist.errors import SetlistError
from setlist.models.contract import ModelInfo
from setlist.models.profile import profile_of
from setlist.serving import log_reader
from setlist.serving.log_reader import HISTORY_ITEMS, HISTORY_LENGTH, LAST_PLAY_AGE
from setlist.serving.request_log import RequestLog
from setlist.serving.skew import chance_distance, find_skew

TRAINED = listeners(1_000)
SOME = [TRAINED[row] for row in np.random.default_rng(1).choice(1_000, 300, replace=False)]
BOUNDS = ServingBounds()
CATALOGUE = [f"r1-{item:05d}" for item in range(60)]
INFO = ModelInfo(
    name="m", kind="two_tower", catalogue_size=60, history_length=50,
    inputs=("country", HISTORY_AGE), training_window={}, code_version="0",
)  # fmt: skip


@pytest.fixture(scope="module")
def profile():
    return profile_of(features_of(TRAINED), INFO)


def write(to, entries):
    """Through the log of the server."""
    log = RequestLog(str(to), 1.0, CollectorRegistry())
    log.start()
    for entry in entries:
        log.put(entry)
    log.stop()
    assert log.fault is None


@pytest.fixture
def look(profile, tmp_path):
    """What comes of a log of these entries."""

    def found(entries, **other):
        write(tmp_path / "log", entries)
        return find_skew(
            str(tmp_path / "log"),
            "home",
            1,
            other.pop("profile", profile),
            CATALOGUE,
            BOUNDS,
            **other,
        )

    return found


def alerts(skew):
    return {one.feature for one in skew.features if one.outcome != "pass"}


def of(skew, feature):
    return next(one for one in skew.features if one.feature == feature)


def test_a_sample_of_the_training_listeners_is_no_alert(look, profile):
    skew = look([one.entry() for one in SOME])
    assert alerts(skew) == set()
    assert [one.feature for one in skew.features] == [
        "country",
        HISTORY_LENGTH,
        LAST_PLAY_AGE,
        HISTORY_ITEMS,
    ]
    assert (skew.listeners, skew.requests, skew.empty) == (300, 0, 0)
    country = of(skew, "country")
    value = country.value.strip("'")
    assert country.trained == profile.inputs["country"].shares[value]
    assert country.served == sum(one.country == value for one in SOME) / 300
    assert country.distance == pytest.approx(abs(country.served - country.trained))
    assert country.distance < country.chance < country.allowed == 0.1
    assert of(skew, HISTORY_ITEMS).distance == 0


def test_all_of_the_training_listeners_are_no_distance_away(look):
    """Length and age are binned by the same rule on both sides."""
    skew = look([one.entry() for one in TRAINED])
    assert [one.distance for one in skew.features] == [0, 0, 0, 0]


def test_an_input_that_nobody_sends_is_named(look):
    skew = look([one.entry(inputs={"country": ""}) for one in SOME])
    assert alerts(skew) == {"country"}
    country = of(skew, "country")
    assert (country.value, country.trained, country.served) == ("''", 0, 1)
    assert (country.distance, country.unknown) == (1, 0), "not known, but no unknown value"


def test_an_input_that_the_log_lacks_is_the_same(look):
    country = of(look([one.entry(inputs={"city": "Chile"}) for one in SOME]), "country")
    assert (country.value, country.served, country.outcome) == ("''", 1, "stop")


def test_values_in_lower_case_are_unknown(look):
    skew = look([one.entry(inputs={"country": one.country.lower()}) for one in SOME])
    assert alerts(skew) == {"country"}
    country = of(skew, "country")
    assert country.value == "unknown values, most often 'chile'"
    assert (country.unknown, country.rare, country.served) == (1, 0, 1)


def test_a_value_that_takes_over_is_named(look):
    skew = look([one.entry(inputs={"country": "Sweden"}) for one in SOME])
    assert of(skew, "country").value == "'Sweden'"
    assert of(skew, "country").served == 1


def test_where_the_profile_leaves_out_rare_values_unknown_ones_are_held_against_these(look):
    users = [replace(one, country=f"c{row % 400}") for row, one in enumerate(TRAINED)]
    skew = look(
        [one.entry(inputs={"country": "never heard of"}) for one in SOME],
        profile=profile_of(features_of(users), INFO),
    )
    country = of(skew, "country")
    assert country.value == "rare or unknown values, most often 'never heard of'"
    assert country.rare == pytest.approx(0.4)
    assert (country.unknown, country.distance) == (1, pytest.approx(0.6))


def test_what_a_stranger_sends_is_shown_harmlessly(look):
    sent = "\x1b[31m\u202e" + "x" * 4_000
    country = of(look([one.entry(inputs={"country": sent}) for one in SOME]), "country")
    assert country.value.isprintable()
    assert len(country.value) < 100


@pytest.mark.parametrize(
    ("feature", "change"),
    [
        (LAST_PLAY_AGE, lambda one: {"ages": [0.0] * len(one.ages)}),  # only ids are sent
        (LAST_PLAY_AGE, lambda one: {"ages": [24 * age for age in one.ages]}),  # in hours
        (LAST_PLAY_AGE, lambda one: {"ages": one.ages[::-1]}),  # newest first
        (HISTORY_LENGTH, lambda one: {"history": one.history[-3:]}),
        (HISTORY_ITEMS, lambda one: {"history": [item.upper() for item in one.history]}),
    ],
)
def test_histories_that_are_sent_otherwise_are_found(look, feature, change):
    skew = look([replace(one, **change(one)).entry() for one in SOME])
    assert alerts(skew) == {feature}
    assert of(skew, feature).distance > 0.4


def test_more_active_listeners_are_not_a_mistake(look):
    """Who comes daily has the longer history: this is why the bound of numbers is wider."""
    often = sorted(TRAINED, key=lambda one: len(one.history))[200:]
    skew = look([one.entry() for one in often])
    assert 0.1 < of(skew, HISTORY_LENGTH).distance < 0.3
    assert alerts(skew) == set()


def test_newcomers_are_counted_and_held_against_nothing(look):
    new = [one.entry(listener=f"new {one.name}", history=[], ages=[]) for one in SOME[:100]]
    skew = look([*(one.entry() for one in SOME), *new])
    assert alerts(skew) == set()
    assert skew.empty == 0.25
    assert [of(skew, one).counted for one in ("country", HISTORY_LENGTH, LAST_PLAY_AGE)] == [
        400,
        300,
        300,
    ]
    only = look(new, days=1)
    assert only.listeners == 400, "the log was added to"


def test_nothing_is_said_of_histories_where_there_are_none(look):
    skew = look([one.entry(history=[], ages=[]) for one in SOME])
    assert [one.feature for one in skew.features] == ["country"]
    assert skew.empty == 1


def test_a_few_requests_do_not_alert(look):
    few = [one.entry(inputs={"country": ""}) for one in SOME]
    skew = look(few[: MIN_LISTENERS - 1])
    assert alerts(skew) == set()
    assert of(skew, "country").distance == 1
    assert alerts(look(few[:MIN_LISTENERS])) == {"country"}


@pytest.mark.parametrize(("times", "alert"), [(1, set()), (10, {"country"})])
def test_what_chance_reaches_is_no_alert(look, times, alert):
    """Of 40 listeners a share may be .15 too high by chance, of 400 it may not."""
    told = (["Chile"] * 26 + ["Japan"] * 8 + ["Sweden"] * 6) * times
    pairs = zip(TRAINED, told, strict=False)
    skew = look([one.entry(inputs={"country": country}) for one, country in pairs])
    assert of(skew, "country").distance == pytest.approx(0.153)
    assert alerts(skew) == alert


@pytest.mark.parametrize("counted", [50, 400, 5_000])
def test_chance_is_the_quantile_of_a_binomial(counted):
    bound = chance_distance(np.array([0.3, 0.7]), 10**9, counted)
    shares = np.arange(counted + 1) / counted
    weights = scipy.stats.binom.pmf(np.arange(counted + 1), counted, 0.3)
    order = np.argsort(np.abs(shares - 0.3))
    exact = np.abs(shares - 0.3)[order][np.searchsorted(weights[order].cumsum(), 0.99)]
    assert bound == pytest.approx(exact, rel=0.1)


def test_chance_counts_the_listeners_of_training_as_a_sample_too():
    shares = np.array([0.3, 0.7])
    one, both = chance_distance(shares, 10**9, 1_000), chance_distance(shares, 1_000, 1_000)
    assert both == pytest.approx(np.sqrt(2) * one, rel=0.1)


def test_false_alarms_are_as_rare_as_they_say(profile):
    """Among 500 samples of 60 listeners each, the bound is passed by about 1 in 100."""
    shares = np.array([*profile.inputs["country"].shares.values()])
    bound = chance_distance(shares, 1_000, 60)
    drawn = np.random.default_rng(8).multinomial(60, shares, 500) / 60
    assert (np.abs(drawn - shares).max(axis=1) > bound).mean() < 0.025


@pytest.mark.parametrize("waiting", [500_000, 100])
def test_a_listener_counts_once_by_the_last_request(look, monkeypatch, waiting):
    monkeypatch.setattr(log_reader, "MAX_WAITING_ROWS", waiting)
    wrong = {"country": ""}
    early = [one.entry(inputs=wrong, time=NOON - 60 * turn) for turn in (1, 2) for one in SOME]
    skew = look([*early[:300], *(one.entry() for one in SOME), *early[300:]])
    assert alerts(skew) == set()
    assert (skew.listeners, skew.requests) == (300, 0)
    assert skew.first == pd.Timestamp(NOON - 120, unit="s", tz="UTC")
    assert skew.last == pd.Timestamp(NOON, unit="s", tz="UTC")


def test_a_request_without_an_id_counts_by_itself(look):
    alone = [one.entry(listener="", inputs={"country": ""}) for one in SOME]
    skew = look([*(one.entry() for one in SOME), *alone])
    assert (skew.listeners, skew.requests) == (300, 300)
    assert of(skew, "country").served == pytest.approx(0.5)


def test_only_the_revision_and_what_listeners_saw_of_it(look):
    wrong = {"inputs": {"country": ""}, "listener": "another"}
    others = [
        SOME[0].entry(**wrong | one)
        for one in ({"role": "shadow"}, {"revision": 2}, {"name": "evening"})
        for _ in range(300)
    ]
    skew = look([*(one.entry(role="candidate") for one in SOME), *others])
    assert (skew.listeners, alerts(skew)) == (300, set())


def test_the_newest_days_of_the_log(look, tmp_path, profile):
    write(tmp_path / "log", [one.entry(inputs={"country": ""}) for one in TRAINED])
    (day,) = (tmp_path / "log" / "requests").iterdir()
    month_ago = datetime.now(UTC).date() - timedelta(days=30)
    day.rename(day.with_name(f"date={month_ago}"))
    entries = [one.entry(time=NOON + 5) for one in SOME]
    assert alerts(look(entries, days=1)) == set()
    again = find_skew(str(tmp_path / "log"), "home", 1, profile, CATALOGUE, BOUNDS, 2)
    assert alerts(again) == {"country"}
    assert again == find_skew(str(tmp_path / "log"), "home", 1, profile, CATALOGUE, BOUNDS)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_bucket_says_the_same_as_a_folder(gcs_uri, tmp_path, profile):
    entries = [one.entry(inputs={"country": "Sweden"}) for one in SOME]
    for to in (f"{gcs_uri}/log", tmp_path / "log"):
        write(to, entries)
    one, other = (
        find_skew(str(to), "home", 1, profile, CATALOGUE, BOUNDS)
        for to in (f"{gcs_uri}/log", tmp_path / "log")
    )
    assert one == other
    assert alerts(one) == {"country"}


def test_what_cannot_be_read_is_named(look, tmp_path, profile):
    log = tmp_path / "log"
    with pytest.raises(SetlistError, match="no request that revision 1 of home answered"):
        find_skew(str(log), "home", 1, profile, CATALOGUE, BOUNDS)
    assert not log.exists(), "looking makes no folder"
    look([one.entry() for one in SOME])
    (file,) = log.glob("requests/*/*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SetlistError, match=f"{file} cannot be read"):
        find_skew(str(log), "home", 1, profile, CATALOGUE, BOUNDS)
    (other,) = log.glob("impressions/*/*.parquet")
    shutil.copy(other, file)
    with pytest.raises(SetlistError, match=f"{file} is not a file of the request log"):
        find_skew(str(log), "home", 1, profile, CATALOGUE, BOUNDS)
