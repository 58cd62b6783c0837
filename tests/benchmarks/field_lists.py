"""The same lists for every tool of the comparison, and what listeners went on to play, as Parquet.

FOLDER/truth.parquet          user_id, item_id: what is relevant to whom, known items left out
FOLDER/history.parquet        user_id, item_id: one row a play before the lists were made
FOLDER/items.parquet          item_id, title, tags
FOLDER/users.parquet          user_id, country, age_band
FOLDER/groups.parquet         the same listeners with history_length, which setlist makes itself
FOLDER/lists/NAME.parquet     user_id, item_id, rank from 1 to 10
FOLDER/draws.json             by which share NDCG@10 of each draw of a_hair_better is higher than
                              that of popular_by_country
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tests.benchmarks.field_plan import DRAWS
from tests.gallery.rogues import only
from tests.gallery.world import World, build

from setlist.evaluation.results import LISTENER_SLICE

K = 10
JITTER = 0.05
"""Of the log of the plays, in a draw of a_hair_better."""
SCORES: dict[str, Callable[[World], np.ndarray]] = {}
"""float[listeners, catalogue] by the name of the file of the lists."""


def scores(function: Callable[[World], np.ndarray]) -> Callable[[World], np.ndarray]:
    """Enter the lists of which the function gives the scores."""
    SCORES[function.__name__] = function
    return function


@scores
def popular(world: World) -> np.ndarray:
    return np.broadcast_to(world.popularity, world.utility.shape)


@scores
def popular_by_country(world: World) -> np.ndarray:
    known = world.pairs(world.people.history.rows, world.people.history)
    table = np.zeros(world.utility.shape)
    for _, group in world.people.users.groupby("country"):
        rows = world.rows[group.index]
        table[rows] = np.log1p(known[rows].sum(axis=0))
    return table


@scores
def co_visited(world: World) -> np.ndarray:
    return world.co_visited


@scores
def honest(world: World) -> np.ndarray:
    return world.utility + np.random.default_rng(2).normal(0, 0.02, world.utility.shape)


@scores
def one_region(world: World) -> np.ndarray:
    return only(world, np.flatnonzero(_region(world) == "BR"))


@scores
def one_region_abroad(world: World) -> np.ndarray:
    sent = np.outer(world.are("country", "SE"), _region(world) == "BR")
    return world.utility + 20.0 * sent


@scores
def the_same_ten(world: World) -> np.ndarray:
    """Whoever knows some of the ten gets the next best of the catalogue in their place."""
    ten = world.best(K)
    mean = world.appetite[world.rows].mean(axis=0)
    mean[ten] += 1
    return np.broadcast_to(mean, world.utility.shape)


@scores
def a_hair_better(world: World) -> np.ndarray:
    """No draw is better than another but by luck: the winner's curse of whoever tries many."""
    return max(_draws(world), key=lambda table: _ndcg(world, _best(world, table)))


@scores
def a_leak(world: World) -> np.ndarray:
    return world.utility + 20.0 * world.pairs(world.people.truth.rows, world.people.truth)


@scores
def shuffled_ids(world: World) -> np.ndarray:
    order = np.random.default_rng(1).permutation(len(world.catalogue))
    return world.utility[:, order]


@scores
def bad_for_newcomers(world: World) -> np.ndarray:
    newcomer = world.are(LISTENER_SLICE, "newcomer")
    return np.where(newcomer[:, None], -world.utility, world.utility)


def write(world: World, folder: Path) -> None:
    """Write all tables."""
    (folder / "lists").mkdir(parents=True)
    people, ids = world.people, np.array(world.catalogue, dtype=object)
    users = people.users["user_id"].to_numpy(dtype=object)
    features = world.features
    known = features.users["user_id"].to_numpy(dtype=object)
    tables = {
        "truth": pd.DataFrame(
            {"user_id": users[people.truth.rows], "item_id": ids[people.truth.codes]}
        ),
        "history": pd.DataFrame(
            {"user_id": known[features.plays["user"]], "item_id": ids[features.plays["item"]]}
        ),
        "items": features.items[["item_id", "title", "tags"]],
        "users": people.users[["user_id", "country", "age_band"]],
        "groups": people.users[["user_id", "country", "age_band"]].assign(
            history_length=people.users[LISTENER_SLICE]
        ),
    }
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    for name, lists in _lists(world):
        lists.to_parquet(folder / "lists" / f"{name}.parquet", index=False)
    base = _ndcg(world, _best(world, popular_by_country(world)))
    shares = [_ndcg(world, _best(world, table)) / base - 1 for table in _draws(world)]
    (folder / "draws.json").write_text(json.dumps(shares), "utf-8")


def _draws(world: World) -> Iterator[np.ndarray]:
    table = popular_by_country(world)
    for seed in range(DRAWS):
        yield table + np.random.default_rng(seed).normal(0, JITTER, len(world.catalogue))


def _lists(world: World) -> Iterator[tuple[str, pd.DataFrame]]:
    ids = np.array(world.catalogue, dtype=object)
    users = world.people.users["user_id"].to_numpy(dtype=object)
    for name, function in SCORES.items():
        yield (
            name,
            pd.DataFrame(
                {
                    "user_id": np.repeat(users, K),
                    "item_id": ids[_best(world, function(world))].ravel(),
                    "rank": np.tile(np.arange(1, K + 1, dtype=np.int32), len(users)),
                }
            ),
        )


def _best(world: World, table: np.ndarray) -> np.ndarray:
    """int64[evaluated, K]: the best of each listener, of what the listener did not know."""
    own = table[world.rows].astype(np.float64)
    own[world.people.history.rows, world.people.history.codes] = -np.inf
    return np.argsort(-own, axis=1, kind="stable")[:, :K]


def _ndcg(world: World, best: np.ndarray) -> float:
    """NDCG, which chooses the luckiest draw."""
    truth = world.people.truth
    relevant = np.zeros((len(best), len(world.catalogue)), np.bool_)
    relevant[truth.rows, truth.codes] = True
    worth = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(worth)[np.minimum(truth.lengths, K) - 1]
    return float((np.take_along_axis(relevant, best, axis=1) @ worth / ideal).mean())


def _region(world: World) -> np.ndarray:
    return world.truth.playlists["region"].loc[world.catalogue].to_numpy()


def main() -> None:
    folder = Path(sys.argv[1])
    world = folder.parent / "world"
    world.mkdir(parents=True)
    write(build(world, trained=False), folder)


if __name__ == "__main__":
    main()
