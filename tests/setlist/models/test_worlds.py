"""Worlds that are unlike the sample, where nothing breaks and the two-tower keeps up.

No tags and no inputs in any of them; times only where the name says so.
"""

import numpy as np
import pandas as pd
import pytest

from setlist.data.features import Features
from setlist.data.schema import Window, parse_instant, tie_order
from setlist.models.heuristics import fit_heuristics
from setlist.models.saved_model import SavedModel
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.two_tower.train import train

WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 4, 5)))
LISTED = 10


def plays_of(odds, plays, generator):
    """What each listener plays: float64[listeners, items], and how many plays each has."""
    return [
        generator.choice(len(row), number, replace=False, p=row / row.sum())
        for row, number in zip(odds, plays, strict=True)
    ]


def no_taste(generator):
    """Everybody plays anything: there is nothing to learn."""
    return plays_of(np.ones((300, 120)), np.full(300, 12), generator)


def one_taste(generator):
    """Everybody plays what is popular."""
    return plays_of(np.tile(1 / np.arange(1, 121.0), (300, 1)), np.full(300, 12), generator)


def blocks(generator):
    """Five kinds of listeners, each with items that nobody else plays."""
    same = np.arange(300)[:, None] % 5 == np.arange(120) % 5
    return plays_of(same + 1e-4, np.full(300, 12), generator)


def very_sparse(generator):
    """Two plays each of more items than there are listeners."""
    near = np.abs(np.arange(300)[:, None] * 2 - np.arange(600))
    return plays_of(np.exp(-near / 8.0) + 1e-6, np.full(300, 3), generator)


def nearly_everything(generator):
    """Everybody plays nearly all of few items."""
    return plays_of(np.ones((200, 30)), np.full(200, 27), generator)


def long_histories(generator):
    """Few listeners with more plays than a model reads."""
    same = np.arange(60)[:, None] % 3 == np.arange(1_500) % 3
    return plays_of(same + 0.02, np.full(60, 350), generator)


def very_unequal(generator):
    """Most listeners have two plays, a few have half the catalogue."""
    same = np.arange(300)[:, None] % 2 == np.arange(200) % 2
    numbers = np.where(np.arange(300) < 12, 100, 3)
    return plays_of(same + 0.01, numbers, generator)


WORLDS = (
    *(no_taste, one_taste, blocks, very_sparse, nearly_everything, long_histories, very_unequal),
)


def split(played, ages):
    """The features without the last tenth of everybody's plays, one at least; and these."""
    ends = [len(own) - max(1, len(own) // 10) for own in played]
    learnt = [own[:end] for own, end in zip(played, ends, strict=True)]
    ids = tie_order([f"i{item}" for item in range(1 + max(own.max() for own in played))])
    code = {item: place for place, item in enumerate(ids)}
    table = pd.DataFrame(
        {
            "user": np.repeat(np.arange(len(learnt)), [len(own) for own in learnt]),
            "item": [code[f"i{item}"] for own in learnt for item in own],
            "age_days": np.concatenate([ages[:end] for end in ends]),
        }
    ).astype({"user": "int32", "item": "int32", "age_days": "float32"})
    counts = table["item"].value_counts().reindex(range(len(ids)), fill_value=0).astype("int64")
    items = pd.DataFrame(
        {
            "item_id": ids,
            "title": ids,
            "tags": [[] for _ in ids],
            "released": pd.Series(pd.NaT, range(len(ids)), dtype="datetime64[us, UTC]"),
            "plays": counts,
            "listeners": counts,
        }
    )
    users = pd.DataFrame({"user_id": [f"u{user:03}" for user in range(len(learnt))]})
    features = Features(
        items=items, users=users, newcomers=users[:0], plays=table, window=WINDOW, inputs=()
    )
    names = [[f"i{item}" for item in own] for own in played]
    return features, [(own[:end], own[end:]) for own, end in zip(names, ends, strict=True)]


def hits(folder, people):
    """float64[listeners]: the share of what was played later that stands in the list."""
    histories = [history for history, _ in people]
    model = SavedModel(folder)
    lists, scores = model.recommend(histories, histories, LISTED, {})
    assert np.isfinite(scores[lists != ""]).all()
    return np.array(
        [
            len({*listed} & {*later}) / min(len(later), LISTED)
            for listed, (_, later) in zip(lists, people, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("world", "timed"),
    [*((world, False) for world in WORLDS), (one_taste, True), (very_sparse, True)],
)
def test_it_keeps_up(world, timed, tmp_path):
    generator = np.random.default_rng(5)
    played = world(generator)
    longest = max(len(own) for own in played)
    ages = np.sort(generator.exponential(20, longest))[::-1] if timed else np.full(longest, 3.0)
    features, people = split(played, ages)
    features.write(tmp_path / "features")
    simple = ("most_popular", "spectral", "item_item", "ials")
    fit_heuristics(tmp_path / "features", HeuristicSettings(fit=simple), tmp_path)
    record = train(features, ModelSettings(epochs=8), tmp_path / "ours", tmp_path / "record")
    ours = hits(tmp_path / "ours", people)
    best = max((hits(tmp_path / name, people) for name in simple), key=np.mean)
    behind = best - ours
    error = behind.std(ddof=1) / np.sqrt(len(behind))
    assert behind.mean() <= max(2.6 * error, 0.02), record.start
