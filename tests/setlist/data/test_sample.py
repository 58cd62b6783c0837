import hashlib
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from setlist.data.sample import BOT_DAYS, Sample, generate, write
from setlist.data.sample_titles import ENGLISH, LANGUAGES, Wording
from setlist.data.sample_truth import (
    COUNTRIES,
    END,
    START,
    TOPICS,
    describe_playlists,
    draw_truth,
)
from setlist.errors import SetlistError

CUT = pd.Timestamp("2026-04-17", tz="UTC")
TABLES = ("events", "playlists", "listeners")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return generate()


@pytest.fixture(scope="module")
def planted() -> Sample:
    return generate(planted="one_region")


@pytest.fixture(scope="module")
def clean(sample: Sample) -> pd.DataFrame:
    return cleaned(sample)


def instants(events: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(events["played_at"], errors="coerce", utc=True, format="ISO8601")


def cleaned(sample: Sample) -> pd.DataFrame:
    """The rows without any dirt, with their instant `at`."""
    events = sample.events.drop_duplicates().assign(at=lambda rows: instants(rows))
    good = (
        events["listener"].isin(sample.truth.listeners.index)
        & events["playlist"].isin(sample.truth.playlists.index)
        & (events["at"] < END)
    )
    return events[good]


def digest(sample: Sample) -> str:
    text = "".join(getattr(sample, table).to_csv(index=False) for table in TABLES)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.slow
def test_equal_seeds_give_equal_tables_even_in_a_fresh_process(sample: Sample) -> None:
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            "import hashlib; from setlist.data.sample import generate; s = generate();"
            f"t = ''.join(getattr(s, n).to_csv(index=False) for n in {TABLES});"
            "print(hashlib.sha256(t.encode()).hexdigest())",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digest(sample)
    assert digest(generate(8)) != digest(sample)


def test_every_kind_of_dirt_is_counted_exactly(sample: Sample, clean: pd.DataFrame) -> None:
    events, dirt, bot = sample.events, sample.truth.dirt, sample.truth.bot
    at = instants(events)
    a_day = events[events["listener"] == bot].groupby(at.dt.date).size()

    assert dirt["duplicate"] == events.duplicated().sum()
    assert (
        dirt["unknown_playlist"] == (~events["playlist"].isin(sample.playlists["playlist"])).sum()
    )
    assert dirt["missing_listener"] == (events["listener"] == "").sum()
    assert dirt["bad_date"] == at.isna().sum()
    assert dirt["future_date"] == (at >= END).sum()
    assert dirt["bot"] == a_day.sum()
    assert len(a_day) == len(BOT_DAYS)
    assert (a_day > 500).all()
    assert len(events) == len(clean) + sum(dirt.values())
    assert 0.01 < (sum(dirt.values()) - dirt["bot"]) / len(events) < 0.03


def test_only_the_bot_plays_hundreds_of_times_a_day(clean: pd.DataFrame) -> None:
    assert clean.groupby(["listener", clean["at"].dt.date]).size().max() < 200


def test_nobody_plays_before_the_release_or_before_joining(
    sample: Sample, clean: pd.DataFrame
) -> None:
    released = clean["playlist"].map(sample.truth.playlists["released"])
    joined = clean["listener"].map(sample.truth.listeners["joined"])
    assert (clean["at"] >= released).all()
    assert (clean["at"] >= joined).all()
    assert clean["at"].between(START, END, inclusive="left").all()


def test_releases_and_newcomers_are_spread_over_the_whole_period(
    sample: Sample, clean: pd.DataFrame
) -> None:
    playlists, listeners = sample.truth.playlists, sample.truth.listeners
    new = playlists[playlists["new"]]
    assert 0.12 < len(new) / len(playlists) < 0.18
    assert new["released"].nunique() == 17  # every Friday of the period
    assert new["released"].min() >= START
    assert playlists.loc[~playlists["new"], "released"].max() < START
    assert 0.09 < (listeners["joined"] >= START).mean() < 0.15

    in_test = clean.loc[clean["at"] >= CUT, "listener"].unique()
    before = clean[clean["at"] < CUT].groupby("listener").size()
    history = before.reindex(in_test, fill_value=0)
    assert (history == 0).sum() >= 50
    assert history.between(1, 5).sum() >= 30
    assert listeners.loc[history.index[history == 0], "newcomer"].mean() > 0.7


def test_plays_have_a_long_tail_and_listeners_differ_in_activity(clean: pd.DataFrame) -> None:
    plays = clean["playlist"].value_counts()
    assert 200_000 < len(clean) < 300_000
    assert len(plays) > 1150
    assert plays.head(len(plays) // 10).sum() > 0.3 * len(clean)
    assert plays.tail(len(plays) // 2).sum() < 0.25 * len(clean)
    activity = clean["listener"].value_counts()
    assert activity.mean() > 1.3 * activity.median()


def test_about_a_third_of_the_plays_are_relistens(clean: pd.DataFrame) -> None:
    assert 0.3 < clean.duplicated(["listener", "playlist"]).mean() < 0.4


def test_countries_differ_in_what_they_play(sample: Sample, clean: pd.DataFrame) -> None:
    country = clean["listener"].map(sample.truth.listeners["country"])
    region = clean["playlist"].map(sample.truth.playlists["region"])
    shares = pd.crosstab(country, region, normalize="index")
    for home in shares.index:
        foreign = shares.loc[home].drop([home, "global"])
        assert shares.loc[home, home] > 2 * foreign.max()


def test_titles_are_unique_and_plain_words_of_several_languages(sample: Sample) -> None:
    """Nothing that looks like a test: no markup, no number, no "Vol. 2"."""
    titles = sample.playlists["title"]
    assert titles.is_unique
    assert titles.str.casefold().is_unique
    strange = {each for title in titles for each in letters(title) if not each.isalpha()}
    assert strange <= {" ", "-"}
    assert titles.str.len().max() <= 40
    at_home = sample.truth.playlists["region"].to_numpy() == "JP"
    assert 0.45 < titles[at_home].str.contains(r"[\u3040-\u9fff]").mean() < 0.75
    assert not titles[~at_home].str.contains(r"[\u3040-\u9fff]").any()
    assert titles.str.contains(r"[^\x00-\x7f]").sum() > 50


def letters(title: str) -> str:
    """Without the marks that Yoruba puts below and above a letter."""
    return "".join(each for each in title if not unicodedata.combining(each))


def test_every_language_has_words_for_every_topic() -> None:
    assert set(LANGUAGES) == set(COUNTRIES)
    for wording in (ENGLISH, *LANGUAGES.values()):
        assert set(wording.topics) == set(TOPICS)
        assert all(frame.count("{}") == 1 for frame in wording.frames)
        assert size(wording) >= (140 if wording is ENGLISH else 36)
        assert not [text for text in all_titles(wording) if " " * 2 in text or text.strip() != text]


def all_titles(wording: Wording) -> list[str]:
    return [title for topic in TOPICS for title in wording.titles(np.random.default_rng(1), topic)]


def size(wording: Wording) -> float:
    """How many different titles the language has for a topic, on average."""
    return len(set(all_titles(wording))) / len(TOPICS)


@pytest.mark.parametrize("seed", range(5))
def test_any_seed_has_as_many_titles_as_playlists(seed: int) -> None:
    catalogue = np.random.default_rng(seed)
    truth = draw_truth(np.random.default_rng(0), catalogue)
    assert describe_playlists(catalogue, truth)["title"].is_unique


def test_tags_tell_the_topic_and_mostly_the_region(sample: Sample) -> None:
    tags = sample.playlists.set_index("playlist")["tags"].str.get_dummies("|")
    assert 25 <= tags.shape[1] <= 40
    jazz = sample.truth.playlists["topic"] == "jazz"
    assert tags.loc[jazz, "bebop"].mean() > 0.8
    assert tags.loc[~jazz, "bebop"].mean() < 0.1
    japan = sample.truth.playlists["region"] == "JP"
    assert tags.loc[japan, "japan"].mean() > 0.8
    assert tags.loc[~japan, "japan"].mean() == 0


def ndcg_at_10(scores: np.ndarray, known: np.ndarray, truth: np.ndarray) -> float:
    """Mean over listeners with a truth; what they know is not recommended."""
    some = truth.any(axis=1)
    top = np.argsort(-np.where(known, -np.inf, scores)[some], axis=1, kind="stable")[:, :10]
    discount = 1 / np.log2(np.arange(2, 12))
    gain = (np.take_along_axis(truth[some], top, axis=1) * discount).sum(axis=1)
    ideal = np.cumsum(discount)[np.minimum(truth[some].sum(axis=1), 10) - 1]
    return float((gain / ideal).mean())


@pytest.mark.parametrize("weeks_earlier", [0, 1, 2])
def test_the_truth_beats_every_simple_rule_in_discovery(
    sample: Sample, clean: pd.DataFrame, weeks_earlier: int
) -> None:
    truth = sample.truth
    cut = CUT - pd.Timedelta(weeks=weeks_earlier)

    def counts(begin: pd.Timestamp, end: pd.Timestamp) -> np.ndarray:
        rows = clean[(clean["at"] >= begin) & (clean["at"] < end)]
        table = np.zeros((len(truth.listeners), len(truth.playlists)))
        where = (
            truth.listeners.index.get_indexer(pd.Index(rows["listener"])),
            truth.playlists.index.get_indexer(pd.Index(rows["playlist"])),
        )
        np.add.at(table, where, 1)
        return table

    train = counts(cut - pd.Timedelta(days=90), cut)
    known = (train > 0) | (train.sum(axis=0) == 0)
    test = (counts(cut, cut + pd.Timedelta(days=14)) > 0) & ~known

    popular = np.broadcast_to(train.sum(axis=0), train.shape)
    country = truth.listeners["country"].to_numpy()
    by_country = np.zeros_like(train)
    for name in np.unique(country):
        by_country[country == name] = train[country == name].sum(axis=0)
    heard = (train > 0).astype(float)
    together = heard.T @ heard
    norm = np.sqrt(np.maximum(np.diag(together), 1))
    co_visited = heard @ (together / norm / norm[:, None] * ~np.eye(len(norm), dtype=bool))

    rules = (popular, by_country, co_visited, truth.utility(cut))
    most, local, neighbours, oracle = (ndcg_at_10(rule, known, test) for rule in rules)
    assert local > 1.3 * most
    assert local < neighbours
    assert oracle > 1.3 * neighbours
    assert oracle > 1.5 * local


def top_regions(sample: Sample) -> set[str]:
    top = sample.events["playlist"].value_counts().head(10).index
    return set(sample.truth.playlists.loc[top, "region"])


def test_the_planted_flood_makes_one_regions_hits_everybodys(
    sample: Sample, planted: Sample
) -> None:
    assert len(top_regions(sample)) > 1
    assert sample.truth.flooded == ""
    assert sample.truth.flood == 0
    flooded = planted.truth.flooded
    assert flooded == sample.truth.listeners["country"].value_counts().index[0]
    assert top_regions(planted) == {flooded}


def test_the_planted_flood_leaves_everyone_else_as_they_were(
    sample: Sample, planted: Sample, clean: pd.DataFrame
) -> None:
    after = cleaned(planted)
    joined = after.merge(clean, how="outer", indicator=True)
    added = joined[joined["_merge"] == "left_only"]
    assert (joined["_merge"] != "right_only").all()
    assert len(added) == planted.truth.flood > 100_000
    countries = added["listener"].map(planted.truth.listeners["country"])
    assert set(countries) == {planted.truth.flooded}
    np.testing.assert_array_equal(planted.truth.utility(CUT), sample.truth.utility(CUT))


def test_written_tables_read_back_as_they_were(sample: Sample, tmp_path: Path) -> None:
    write(sample, tmp_path / "raw")
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [
        "events.csv",
        "listeners.csv",
        "playlists.csv",
    ]
    for name in TABLES:
        read = pd.read_csv(tmp_path / "raw" / f"{name}.csv", dtype=str, keep_default_na=False)
        pd.testing.assert_frame_equal(read, getattr(sample, name))


def test_a_folder_that_cannot_be_written_is_named(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetlistError, match="the sample cannot be written") as raised:
        write(sample, tmp_path / "file")
    assert str(tmp_path / "file") in str(raised.value)
