"""Features know nothing of what comes after the cut, and say what the tables say."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from setlist.data.curation import (
    CurationSettings,
    DataSettings,
    WindowSettings,
    curate,
    resolve_window,
)
from setlist.data.features import Features
from setlist.data.schema import UNBOUNDED_END, UNBOUNDED_START, Window, tie_order
from setlist.data.source import TableSource
from setlist.data.transformation import transform, transform_whole
from setlist.errors import SetlistError
from setlist.models.heuristics import fit_heuristics
from setlist.models.saved_model import SavedModel
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.two_tower.train import train

NOW = pd.Timestamp("2026-05-01", tz="UTC")
SETTINGS = WindowSettings(train_days=30, test_days=10)
EVENTS = [
    ("ann", "jazz", "2026-04-01"),
    ("ann", "rock", "2026-04-03"),
    ("ann", "jazz", "2026-04-10"),
    ("bob", "rock", "2026-04-05"),
    ("bob", "folk", "2026-04-20"),
    ("cleo", "jazz", "2026-04-20"),
    ("cleo", "rock", "2026-04-20T12:00:00"),
    ("ann", "folk", "2026-04-22"),
    ("dan", "rock", "2026-04-25"),
]
ITEMS = [
    ("jazz", "Late Jazz", "jazz|night", "2025-01-01"),
    ("rock", "Loud Rock", "rock", "2025-01-01"),
    ("folk", "Quiet Folk", "", "2026-04-19"),
    ("soul", "Old Soul", "soul|night", "2024-01-01"),
    ("tomorrow", "Not Yet", "rock", "2026-04-21"),
]
USERS = [("ann", "Chile"), ("bob", "Japan"), ("cleo", ""), ("dan", "Kenya")]


def features_of(folder: Path, events: list, items: list, users: list) -> Path:
    """Write the raw tables, curate and transform them; the folder of the features."""
    folder.mkdir()
    names = {"events": ["user_id", "item_id", "timestamp"], "users": ["user_id", "country"]}
    names["items"] = ["item_id", "title", "tags", "released"]
    for name, rows in (("events", events), ("items", items), ("users", users)):
        pd.DataFrame(rows, columns=names[name]).to_csv(folder / f"{name}.csv", index=False)
    data = DataSettings(**{name: TableSource(path=str(folder / f"{name}.csv")) for name in names})
    window = resolve_window(SETTINGS, NOW.isoformat(), NOW)
    curate(data, window, CurationSettings(), folder / "dataset")
    transform(folder / "dataset", window, ("country",), folder / "features")
    return folder / "features"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != "newcomers.parquet"
    }


def rows(folder: Path) -> dict[str, object]:
    """The rows of all tables of a folder, and its documents."""
    return {
        path.name: pq.read_table(path).to_pylist()
        if path.suffix == ".parquet"
        else path.read_bytes()
        for path in folder.iterdir()
    }


@pytest.fixture
def folder(tmp_path):
    return features_of(tmp_path / "now", EVENTS, ITEMS, USERS)


def test_the_catalogue_is_what_was_known_at_the_cut_in_tie_order(folder):
    items = Features.read(folder).items
    assert items["item_id"].tolist() == tie_order(["jazz", "rock", "folk", "soul"])
    by_id = items.set_index("item_id")
    assert by_id["plays"].to_dict() == {"jazz": 3, "rock": 3, "folk": 1, "soul": 0}
    assert by_id["listeners"].to_dict() == {"jazz": 2, "rock": 3, "folk": 1, "soul": 0}
    assert list(by_id.loc["jazz", "tags"]) == ["jazz", "night"]
    assert list(by_id.loc["folk", "tags"]) == []


def test_histories_are_oldest_first_with_their_age(folder):
    features = Features.read(folder)
    names = features.items["item_id"].to_numpy()
    first, last = features.offsets[:2]
    ann = features.plays.iloc[first:last]
    assert names[ann["item"]].tolist() == ["jazz", "rock", "jazz"]
    np.testing.assert_allclose(ann["age_days"], [20, 18, 11])
    assert features.window.cutoff == pd.Timestamp("2026-04-21", tz="UTC")


def test_plays_of_one_second_keep_their_ages_for_years(tmp_path):
    """As float32 days, seconds of five years ago would be the same age."""
    old = pd.Timestamp("2021-04-21")
    events = [*EVENTS, *[("eve", "jazz", str(old + pd.Timedelta(seconds=n))) for n in range(50)]]
    folder = tmp_path / "old"
    features_of(folder, events, ITEMS, USERS)
    window = Window(UNBOUNDED_START, NOW - pd.Timedelta(days=10), NOW)
    data = DataSettings(
        events=TableSource(path=str(folder / "events.csv")),
        items=TableSource(path=str(folder / "items.csv")),
    )
    curate(data, window, CurationSettings(), folder / "whole")
    transform(folder / "whole", window, (), folder / "all")
    features = Features.read(folder / "all")
    ages = features.plays["age_days"][features.plays["age_days"] > 1_000]
    np.testing.assert_allclose(-np.diff(ages) * 86_400, np.ones(49), atol=1e-6)


def test_newcomers_stand_behind_the_listeners_of_the_training_period(folder):
    features = Features.read(folder)
    assert features.users["user_id"].tolist() == ["ann", "bob", "cleo"]
    assert features.users["country"].tolist() == ["Chile", "Japan", ""]
    assert features.newcomers.to_numpy().tolist() == [["dan", "Kenya"]]
    assert np.diff(features.offsets).tolist() == [3, 2, 2, 0]


def test_write_and_read_round_trip(folder, tmp_path):
    Features.read(folder).write(tmp_path / "again")
    assert rows(tmp_path / "again") == rows(folder)


def test_an_input_that_is_no_column_is_named(folder, tmp_path):
    with pytest.raises(SetlistError, match=r"no column 'city' \(it has: country\)"):
        transform(
            folder.parent / "dataset", Features.read(folder).window, ("city",), tmp_path / "x"
        )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "inputs", [("user_id",), ("k",), ("history",), ("country", "country"), ("age band",)]
)
def test_an_input_that_cannot_have_its_name_is_refused(folder, tmp_path, inputs):
    with pytest.raises(SetlistError, match="cannot be the name of an input"):
        transform(folder.parent / "dataset", Features.read(folder).window, inputs, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_nothing_after_the_cut_moves_a_training_artefact(folder, tmp_path):
    """A future-only item, a future-only listener of a new country, and a flood of future plays."""
    later = features_of(
        tmp_path / "later",
        [
            *EVENTS[:-2],
            ("ann", "hit", "2026-04-23"),
            ("aaa", "hit", "2026-04-24"),
            *[(f"u{n}", "soul", "2026-04-26") for n in range(50)],
            ("bob", "soul", "2026-04-27"),
        ],
        [*ITEMS[:-1], ("hit", "The Hit", "brand-new-tag", "2026-04-22")],
        [*USERS, ("aaa", "Atlantis")],
    )
    assert digests(later) == digests(folder)
    answers = []
    for source in (folder, later):
        features, models = Features.read(source), source.parent / "models"
        fit_heuristics(source, HeuristicSettings(), models)
        settings = ModelSettings(dimension=4, epochs=2)
        train(features, settings, models / "two_tower", source.parent / "training")
        loaded = [SavedModel(models / name) for name in sorted(p.name for p in models.iterdir())]
        asked = [["jazz", "rock"], ["hit", "soul"], []]
        countries = {"country": ["Chile", "Atlantis", "Kenya"]}
        answers.append([one.recommend(asked, [[], [], []], 10, countries) for one in loaded])
    for (ids, scores), (later_ids, later_scores) in zip(*answers, strict=True):
        assert (ids == later_ids).all()
        assert (scores == later_scores).all()


# All days, for a refit.


def test_transform_whole_trains_on_both_periods_as_of_the_end_of_the_window(folder, tmp_path):
    window = Features.read(folder).window
    transform_whole(folder.parent / "dataset", window, ("country",), tmp_path / "whole")
    features = Features.read(tmp_path / "whole")
    assert features.window.start == window.start
    assert features.window.cutoff == window.end == NOW
    assert len(features.plays) == len(EVENTS)
    assert features.users["user_id"].tolist() == ["ann", "bob", "cleo", "dan"]
    assert len(features.newcomers) == 0
    by_id = features.items.set_index("item_id")
    assert set(by_id.index) == {"jazz", "rock", "folk", "soul", "tomorrow"}, "released by now"
    assert features.items["item_id"].tolist() == tie_order(by_id.index)
    assert by_id["plays"].to_dict() == {"jazz": 3, "rock": 4, "folk": 2, "soul": 0, "tomorrow": 0}
    names = features.items["item_id"].to_numpy()
    first, last = features.offsets[:2]
    ann = features.plays.iloc[first:last]
    assert names[ann["item"]].tolist() == ["jazz", "rock", "jazz", "folk"]
    np.testing.assert_allclose(ann["age_days"], [30, 28, 21, 9])
    features.write(tmp_path / "again")
    assert rows(tmp_path / "whole") == rows(tmp_path / "again")


def test_without_an_end_the_window_ends_just_after_the_last_event(folder, tmp_path):
    window = Features.read(folder).window
    endless = Window(window.start, window.cutoff, UNBOUNDED_END)
    transform_whole(folder.parent / "dataset", endless, (), tmp_path / "whole")
    features = Features.read(tmp_path / "whole")
    last = pd.Timestamp("2026-04-25", tz="UTC")
    assert last < features.window.cutoff < last + pd.Timedelta(days=1)
    assert features.plays["age_days"].min() == pytest.approx(0, abs=1e-6)
