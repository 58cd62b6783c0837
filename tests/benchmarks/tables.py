"""Tables on which models are compared: real ones, and a generated one that is unlike the sample.

Each table is one or several cuts: what may be learnt, and who is evaluated. The generated ones have
no times, no tags and few plays.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cut import Cut

from setlist.data.curation import CurationSettings, DataSettings, curate, resolve_window
from setlist.data.schema import Window
from setlist.evaluation.results import EvaluationSettings
from setlist_pipelines.settings.file import read_settings

DATA = Path("../shared/data")
LEARNT, CUT, TESTED = 1_697_408_000, 1_700_000_000, 1_700_086_400
"""Instants of tables without times: of all plays to learn from, of the cut, of those tested."""
FOLDS = 5
CUTS = (0.7, 0.8, 0.9)
LISTENERS, PLACES, PLAYS = 5_500, 13_500, 101_000
ALBUMS, SONGS = 1_500, 8


def instant(second: float) -> pd.Timestamp:
    return pd.Timestamp(int(second), unit="s", tz="UTC").as_unit("us")


def cut(
    folder: Path,
    data: dict[str, Any],
    window: Window,
    inputs: tuple[str, ...] = (),
    settings: EvaluationSettings = EvaluationSettings(newcomers=False),  # noqa: B008 - frozen
) -> Cut:
    """Curate the tables and transform them."""
    curation = CurationSettings(max_events_per_day=1_000_000)
    curate(DataSettings.model_validate(data), window, curation, folder / "dataset")
    return Cut.of_dataset(folder / "dataset", window, inputs, settings, folder / "features")


def timeless(folder: Path, pairs: pd.DataFrame, tested: np.ndarray) -> Cut:
    """Learnt at one instant, tested at another."""
    folder.mkdir(parents=True, exist_ok=True)
    events = pairs.astype(str).assign(timestamp=np.where(tested, TESTED, LEARNT))
    events.to_parquet(folder / "events.parquet")
    window = Window(instant(1_600_000_000), instant(CUT), instant(1_800_000_000))
    return cut(folder, {"events": {"path": str(folder / "events.parquet")}}, window)


def movielens_in_time(folder: Path) -> Iterator[Cut]:
    """Temporal MovieLens-1M, as the settings file of the examples says."""
    settings = read_settings(Path("pipelines/setlist_pipelines/examples/movielens-1m.yaml"))
    window = resolve_window(settings.window, settings.as_of, pd.Timestamp.now("UTC"))
    curate(settings.data, window, settings.curation, folder / "dataset")
    yield Cut.of_dataset(
        folder / "dataset", window, settings.inputs, settings.evaluation, folder / "features"
    )


def movielens_in_folds(folder: Path) -> Iterator[Cut]:
    """MovieLens-1M, ratings of 4 and more, each of five random fifths in turn to be found."""
    rows = pd.read_parquet(DATA / "ml-1m/interactions.parquet")
    pairs = rows.loc[rows["rating"] >= 4, ["user_id", "item_id"]].reset_index(drop=True)
    fold = np.random.default_rng(0).permutation(len(pairs)) % FOLDS
    for number in range(FOLDS):
        yield timeless(folder / str(number), pairs, fold == number)


def small_movielens(
    name: str, items: dict[str, Any], users: bool, inputs: tuple[str, ...]
) -> Callable[[Path], Iterator[Cut]]:
    """Three cuts in time, each with the next tenth as the test period; newcomers take part."""

    def cuts(folder: Path) -> Iterator[Cut]:
        source = DATA / name / "interactions.parquet"
        rows = pd.read_parquet(source)
        times = np.sort(rows.loc[rows["rating"] >= 4, "timestamp"].to_numpy(np.int64))
        at = [times[min(int(len(times) * share), len(times) - 1)] for share in (*CUTS, 1.0)]
        moments = [instant(second) for second in at]
        moments[-1] += pd.Timedelta(seconds=1)
        data = {
            "events": {"path": str(source), "where": [["rating", ">=", 4]]},
            "items": {"path": str(DATA / name / "items.parquet"), **items},
        }
        if users:
            data["users"] = {"path": str(DATA / name / "users.parquet")}
        for number, pair in enumerate(pairwise(moments)):
            window = Window(instant(times[0]), *pair)
            yield cut(folder / str(number), data, window, inputs, EvaluationSettings())

    return cuts


def lastfm(folder: Path) -> Iterator[Cut]:
    """The protocol Last.fm: a fifth of each listener at random, no times and no tags."""
    window = Window(instant(1_600_000_000), instant(CUT), instant(1_800_000_000))
    yield cut(folder, {"events": {"path": str(DATA / "lastfm-2k/events.parquet")}}, window)


def generated_map(folder: Path) -> Iterator[Cut]:
    """Listeners who play what is near them."""
    generator = np.random.default_rng(3)
    listeners, places = generator.random((LISTENERS, 2)), generator.random((PLACES, 2))
    popularity = generator.permutation(1 / np.arange(1, PLACES + 1) ** 0.7)
    activity = generator.lognormal(0, 0.8, LISTENERS)
    plays = np.maximum(2, (activity / activity.sum() * PLAYS).astype(int))
    chosen = []
    for place, number in zip(listeners, plays, strict=True):
        distance = ((places - place) ** 2).sum(axis=1)
        odds = popularity * (np.exp(-distance / 0.004) + 0.02 * np.exp(-distance / 0.1))
        chosen.append(generator.choice(PLACES, number, replace=False, p=odds / odds.sum()))
    pairs = pd.DataFrame(
        {"user_id": np.repeat(np.arange(LISTENERS), plays), "item_id": np.concatenate(chosen)}
    )
    yield a_fifth_tested(folder, pairs, generator)


def generated_albums(folder: Path) -> Iterator[Cut]:
    """Listeners who play songs of a few albums: far more tastes than vectors have dimensions."""
    generator = np.random.default_rng(4)
    popularity = 1 / np.arange(1, ALBUMS + 1) ** 0.6
    chosen = []
    for _ in range(LISTENERS):
        albums = generator.choice(ALBUMS, 4, replace=False, p=popularity / popularity.sum())
        songs = (albums[:, None] * SONGS + np.arange(SONGS)).ravel()
        heard = songs[generator.random(len(songs)) < 0.5]
        chosen.append(np.union1d(heard, generator.integers(0, ALBUMS * SONGS, 4)))
    lengths = [len(own) for own in chosen]
    pairs = pd.DataFrame(
        {"user_id": np.repeat(np.arange(LISTENERS), lengths), "item_id": np.concatenate(chosen)}
    )
    yield a_fifth_tested(folder, pairs, generator)


def a_fifth_tested(folder: Path, pairs: pd.DataFrame, generator: np.random.Generator) -> Cut:
    """A random fifth of the pairs, in random order, is the test period."""
    order = generator.permutation(len(pairs))
    tested = generator.random(len(pairs)) < 0.2
    return timeless(folder, pairs.iloc[order].reset_index(drop=True), tested)


TABLES: dict[str, Callable[[Path], Iterator[Cut]]] = {
    "MovieLens-1M in time": movielens_in_time,
    "MovieLens-1M in five random folds": movielens_in_folds,
    "MovieLens-100k in time": small_movielens(
        "ml-100k",
        {"columns": {"tags": "class", "title": "movie_title"}, "tags_separator": " "},
        users=True,
        inputs=("gender", "occupation"),
    ),
    "MovieLens latest small in time": small_movielens(
        "ml-latest-small",
        {"columns": {"tags": "genres"}, "tags_separator": "|"},
        users=False,
        inputs=(),
    ),
    "Last.fm, no times": lastfm,
    "generated map, no times": generated_map,
    "generated albums, no times": generated_albums,
}
