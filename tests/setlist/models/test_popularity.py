"""Recently popular counts the days that suit the table at hand, and says which."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from setlist.data.features import Features
from setlist.data.schema import Window, parse_instant, tie_order
from setlist.models.contract import read_info
from setlist.models.heuristics import fit_heuristics
from setlist.models.learners.learnable import Learnable
from setlist.models.popularity import choose_recent_days
from setlist.models.saved_model import SavedModel
from setlist.models.settings import HeuristicSettings

LISTENERS = 150
CUTOFF = parse_instant("2026-01-01", "window")


def table(days: float, users: np.ndarray, items: np.ndarray, ages: np.ndarray) -> Features:
    """Plays of so many days of training."""
    plays = pd.DataFrame(
        {"user": users.astype(np.int32), "item": items.astype(np.int32), "age_days": ages}
    ).sort_values(["user", "age_days"], ascending=[True, False], ignore_index=True)
    ids = tie_order([f"i{item}" for item in range(items.max() + 1)])
    size = len(ids)
    pairs = plays.drop_duplicates(["user", "item"])
    return Features(
        items=pd.DataFrame(
            {
                "item_id": ids,
                "title": ids,
                "tags": [[]] * size,
                "released": pd.Series(pd.NaT, range(size), dtype="datetime64[us, UTC]"),
                "plays": np.bincount(plays["item"], minlength=size),
                "listeners": np.bincount(pairs["item"], minlength=size),
            }
        ),
        users=pd.DataFrame({"user_id": [f"u{user:03}" for user in range(users.max() + 1)]}),
        newcomers=pd.DataFrame({"user_id": []}, dtype=str),
        plays=plays,
        window=Window(
            CUTOFF - pd.Timedelta(days=days), CUTOFF, CUTOFF + pd.Timedelta(days=days / 10)
        ),
        inputs=(),
    )


def slow_and_sparse() -> Features:
    """Three plays a day; each 600 days have their own 100 items, liked by Zipf's law."""
    generator = np.random.default_rng(1)
    ages = generator.uniform(0, 1_800, 5_400)
    liked = 1 / np.arange(1, 101)
    items = generator.choice(100, len(ages), p=liked / liked.sum()) + 100 * (ages // 600)
    return table(1_800, generator.integers(0, LISTENERS, len(ages)), items.astype(int), ages)


def fast_and_dense() -> Features:
    """Sixty plays a day, of items that come and go within a month."""
    generator = np.random.default_rng(2)
    ages = generator.uniform(0, 400, 24_000)
    items = (400 - ages) // 4 + generator.integers(0, 8, len(ages))
    return table(400, generator.integers(0, LISTENERS, len(ages)), items.astype(int), ages)


def days_of(features: Features) -> int:
    return choose_recent_days(features.window, lambda: Learnable(features))


@pytest.mark.parametrize(("world", "days"), [(slow_and_sparse, 364), (fast_and_dense, 7)])
def test_the_days_suit_the_table(world, days, tmp_path, capsys):
    features = world()
    features.write(tmp_path / "features")
    lists = []
    for settings in ({}, {"recent_days": days}):
        chosen = HeuristicSettings(fit=("recently_popular",), **settings)
        fit_heuristics(tmp_path / "features", chosen, tmp_path / "models")
        model = tmp_path / "models" / "recently_popular"
        assert f"in the last {days} days follow" in read_info(model).fallback
        lists.append(SavedModel(model).recommend([[]], [[]], 100)[0].tolist())
    assert lists[0] == lists[1]
    said = capsys.readouterr().out
    assert said.count("held-out NDCG@100") == 1, "a number of the settings is taken as it is"
    assert f"recently_popular: {days} days chosen, held-out NDCG@100: 7 days 0." in said


def test_plays_after_the_split_are_not_counted(capsys):
    """Everybody replays old items in the last days: what is held out, discoveries, is the same."""
    features = slow_and_sparse()
    old = features.plays[features.plays["age_days"] > 1_200]
    again = pd.concat([old.assign(age_days=old["age_days"] / 1_000)] * 3)
    plays = pd.concat([features.plays, again]).sort_values(
        ["user", "age_days"], ascending=[True, False], ignore_index=True
    )
    assert days_of(features) == days_of(replace(features, plays=plays)) == 364
    before, after = capsys.readouterr().out.splitlines()
    assert before == after


def test_where_few_return_newcomers_count(capsys):
    """Visitors of a day each."""
    generator = np.random.default_rng(4)
    days = generator.permutation(np.linspace(0, 1_800, 600))
    liked = 1 / np.arange(1, 101)
    users = np.repeat(np.arange(len(days)), 9)
    items = generator.choice(100, len(users), p=liked / liked.sum())
    ages = days[users] + generator.random(len(users))
    items += 100 * (ages // 901).astype(int)
    features = table(1_802, users, items, ages)
    assert Learnable(features).split.since is None
    assert days_of(features) == 364, capsys.readouterr().out


def test_none_of_more_days_than_the_training_period(capsys):
    features = slow_and_sparse()
    start = CUTOFF - pd.Timedelta(days=363)
    days_of(replace(features, window=replace(features.window, start=start)))
    assert "91 days 0." in (said := capsys.readouterr().out)
    assert "364 days" not in said


def test_of_equals_the_fewest(capsys):
    """The week before the held-out days has all that is learnt."""
    generator = np.random.default_rng(3)
    users, items = generator.integers(0, (LISTENERS, 40), (2_000, 2)).T
    ages = items / 10 + generator.uniform(0, 2, len(users))
    assert days_of(table(400, users, items, ages)) == 7
    values = capsys.readouterr().out.strip().rpartition(": ")[2].split(", ")
    assert len(values) == 4
    (value,) = {value.split()[-1] for value in values}
    assert float(value) > 0.1


@pytest.mark.parametrize(
    ("days", "ages", "reason"),
    [
        (6.5, np.linspace(0, 6, 900), "the training period is 6.5 days long"),
        (400, np.full(900, 3.0), "there are no last days of training to choose on"),
    ],
)
def test_a_week_where_nothing_can_be_chosen(days, ages, reason, capsys):
    users, items = np.arange(900) % LISTENERS, np.arange(900) % 37
    assert days_of(table(days, users, items, ages)) == 7
    assert f"recently_popular: 7 days, not chosen, as {reason}" in capsys.readouterr().out
