"""A log with planted structure, of any size: tastes, regions, a long tail, and what is fresh.

A listener has up to six of 50 topics and one of 6 regions, an item one or two topics and a region
or none. A quarter of the plays is of any topic, popularity has a long tail, a third of the items is
released in the course of the period and fresh ones are played more. Tags tell the topics and the
region, not always.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

TOPICS, REGIONS = 50, 6
PERIOD, WEEKS = 182, 26
START = pd.Timestamp("2026-01-01", tz="UTC").as_unit("us")
REACH = np.array([0.5, 0.1])  # of plays that go to items without a region, and to foreign ones
LIKED, ANYTHING = 6, 0.25  # topics of a listener, and the share of plays that are of any topic
TAIL, ACTIVITY = 1.2, 0.9  # standard deviations of the logarithms
FRESH, FRESH_DAYS = 3.0, 21.0
KEPT_TAGS = 0.9
REDRAWN = 1.6  # plays that are drawn for each that is kept: what was played before drops out
WEEK_SECONDS = PERIOD * 86_400 // WEEKS


def write_log(
    folder: Path, listeners: int, items: int, plays: int, held_out: float = 0.1, seed: int = 1
) -> int:
    """Write events, items and users as Parquet files; the instant from which plays are held out.

    Args:
        folder: to write to.
        listeners: of the table of users; those who play nothing are among them.
        items: of the table of items.
        plays: at most; fewer where the pairs run out, since no listener plays an item twice.
        held_out: the share of the plays, the last ones, that lies after the instant.
        seed: of the random numbers.

    Returns:
        The instant, in Unix seconds.
    """
    rng = np.random.default_rng(seed)
    home = rng.integers(REGIONS, size=listeners)
    region = np.where(rng.random(items) < 0.4, REGIONS, rng.integers(REGIONS, size=items))
    topics = rng.integers(TOPICS, size=(items, 2))
    second = rng.uniform(0, 0.5, items) * (rng.random(items) < 0.6)
    released = np.where(rng.random(items) < 0.33, rng.integers(PERIOD, size=items), -1000)
    user, item, seconds = _draw(rng, home, region, topics, second, released, plays)
    kept = np.unique(user * np.int64(items) + item, return_index=True)[1]
    kept = np.sort(rng.choice(kept, min(plays, len(kept)), replace=False))  # in order of time
    user, item, seconds = user[kept], item[kept], seconds[kept]

    folder.mkdir(parents=True)
    user_ids, item_ids = (
        pa.array([f"{letter}{number:08d}" for number in range(size)])
        for letter, size in (("L", listeners), ("P", items))
    )
    instants = START.value // 1000 + seconds.astype(np.int64) * 1_000_000
    _write(
        folder / "events.parquet",
        user_id=user_ids.take(pa.array(user)),
        item_id=item_ids.take(pa.array(item)),
        timestamp=pa.array(instants, pa.timestamp("us", "UTC")),
    )
    told = (rng.random((items, 3)) < KEPT_TAGS) & np.column_stack(
        [np.ones(items, np.bool_), second > 0.2, region < REGIONS]
    )
    named = np.column_stack([topics, TOPICS + region])
    _write(
        folder / "items.parquet",
        item_id=item_ids,
        title=item_ids,
        tags=[
            sorted({f"tag {tag}" for tag in own[kept]})
            for own, kept in zip(named, told, strict=True)
        ],
        released=pa.array(START + pd.to_timedelta(released, unit="D").as_unit("us")),
    )
    _write(folder / "users.parquet", user_id=user_ids, region=home.astype(str))
    return int(START.timestamp()) + int(seconds[int(len(seconds) * (1 - held_out))])


def _draw(
    rng: np.random.Generator,
    home: np.ndarray,
    region: np.ndarray,
    topics: np.ndarray,
    second: np.ndarray,
    released: np.ndarray,
    plays: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who plays what when, in order of time: user, item and second since the start, all int32.

    Weeks are drawn one by one, so that ten million plays need no more memory than their columns.
    """
    listeners, items = len(home), len(region)
    popularity = rng.lognormal(0, TAIL, items)
    taste = rng.integers(TOPICS, size=(listeners, LIKED))
    weight = np.cumsum(rng.dirichlet(np.ones(LIKED), listeners), axis=1).astype(np.float32)
    active = rng.lognormal(0, ACTIVITY, listeners).cumsum()
    # An item lies in the cells of its topics; within a cell it is drawn by its popularity.
    of_item = np.tile(np.arange(items, dtype=np.int32), 2)
    in_cell = topics.T.ravel() * (REGIONS + 1) + region[of_item]
    order = np.argsort(in_cell, kind="stable")
    of_item, in_cell = of_item[order], in_cell[order]
    share = np.concatenate([1 - second, second])[order] * popularity[of_item]
    bounds = np.searchsorted(in_cell, np.arange(TOPICS * (REGIONS + 1) + 1))
    drawn = []
    for week in range(WEEKS):
        size = int(plays * REDRAWN / WEEKS)
        user = np.searchsorted(active, rng.random(size) * active[-1]).astype(np.int32)
        seconds = week * WEEK_SECONDS + np.sort(rng.integers(WEEK_SECONDS, size=size))
        liked = (rng.random(size, np.float32)[:, None] > weight[user]).sum(axis=1)
        topic = taste[user, np.minimum(liked, LIKED - 1)]
        topic = np.where(rng.random(size) < ANYTHING, rng.integers(TOPICS, size=size), topic)
        place = np.searchsorted(REACH.cumsum(), rng.random(size))
        foreign = rng.integers(REGIONS, size=size)
        cell = topic * (REGIONS + 1) + np.choose(place, [REGIONS, foreign, home[user]])
        age = week * PERIOD / WEEKS - released[of_item]
        fresh = 1 + FRESH * np.exp(-np.maximum(age, 0) / FRESH_DAYS)
        mass = np.cumsum(np.where(age >= 0, share * fresh, 0))
        edges = np.append(0, mass)[bounds]
        low, high = edges[cell], edges[cell + 1]
        found = np.searchsorted(mass, low + rng.random(size) * (high - low), side="right")
        item = of_item[np.minimum(found, len(of_item) - 1)]
        there = high > low  # a cell may have no item yet
        drawn.append((user[there], item[there], seconds[there].astype(np.int32)))
    user, item, seconds = (np.concatenate(column) for column in zip(*drawn, strict=True))
    return user, item, seconds


def _write(path: Path, **columns: object) -> None:
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=1_000_000)
