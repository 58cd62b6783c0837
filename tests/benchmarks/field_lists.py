"""The same lists for every tool of the comparison, and what listeners went on to play, as Parquet.

    FOLDER/truth.parquet          user_id, item_id: what is relevant to whom, known items left out
    FOLDER/history.parquet        user_id, item_id: one row a play before the lists were made
    FOLDER/items.parquet          item_id, title, tags
    FOLDER/users.parquet          user_id, country, age_band
    FOLDER/groups.parquet         the same listeners with history_length, which setlist makes itself
    FOLDER/lists/NAME.parquet     user_id, item_id, rank from 1 to 10
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tests.gallery.rogues import only
from tests.gallery.world import World

from setlist.evaluation.results import LISTENER_SLICE

K = 10
HONEST = "honest"
LUCKY = 0.006
"""The share of listeners whom a hair better serves better: it gains about 3% by that."""


@dataclass(frozen=True)
class Trial:
    """Lists with one fault, or none, and the lists that they have to beat.

    Attributes:
        name: of the file of the lists.
        does: what is wrong with them, for the table.
        against: names of the files.
        promote: whether they should go live.
        rules: beginnings of the names of the rules of the gate that stop them, which is known from
            the gallery.
    """

    name: str
    does: str
    against: tuple[str, ...] = ("co_visited", "popular")
    promote: bool = False
    rules: tuple[str, ...] = ()


TRIALS = (
    Trial(HONEST, "knows what everybody likes, not quite", promote=True),
    Trial("one_region", "hits of Brazil for everybody", rules=("better than ", "no group by ")),
    Trial("one_region_abroad", "hits of Brazil for Sweden alone", rules=("no group by country",)),
    Trial(
        "the_same_ten",
        "the ten items that serve everybody best, for everybody",
        against=("popular",),
        rules=("coverage@10",),
    ),
    Trial(
        "a_hair_better",
        f"popular, and something better for {LUCKY:.1%} of the listeners",
        against=("popular",),
        rules=("better than popular",),
    ),
    Trial("a_leak", "knows the test period by heart", rules=("not too good to be true",)),
    Trial("shuffled_ids", "right lists under wrong ids", rules=("better than ", "no group by ")),
    Trial(
        "bad_for_newcomers",
        "right for everybody but newcomers",
        rules=("no group by history length",),
    ),
)
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
    lucky = np.random.default_rng(1).random(len(world.listeners)) < LUCKY
    return np.where(lucky[:, None], world.utility, world.popularity)


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


def _lists(world: World) -> Iterator[tuple[str, pd.DataFrame]]:
    """The ten best of each evaluated listener that the listener did not know."""
    people, ids = world.people, np.array(world.catalogue, dtype=object)
    users = people.users["user_id"].to_numpy(dtype=object)
    for name, function in SCORES.items():
        table = function(world)[world.rows].astype(np.float64)
        table[people.history.rows, people.history.codes] = -np.inf
        best = np.argsort(-table, axis=1, kind="stable")[:, :K]
        yield (
            name,
            pd.DataFrame(
                {
                    "user_id": np.repeat(users, K),
                    "item_id": ids[best].ravel(),
                    "rank": np.tile(np.arange(1, K + 1, dtype=np.int32), len(users)),
                }
            ),
        )


def _region(world: World) -> np.ndarray:
    return world.truth.playlists["region"].loc[world.catalogue].to_numpy()
