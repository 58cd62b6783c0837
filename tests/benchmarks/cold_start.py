"""Cold start, on generated data whose taste is planted and visible only through names and tags.

    python tests/benchmarks/cold_start.py [SEED ...]

The bundled sample (`components/setlist/data/sample.py`) with several seeds, their listeners pooled;
the cut lies four weeks before its end.

Newcomers: .15 of the listeners are held out of training altogether, and some joined after the cut
anyhow. Each model is asked after the first 0, 1, 2, 3 and 5 plays that a listener makes after the
cut, told her country and age band, and has to name the next ones. Who joined after the cut is what
a newcomer is; who was held out is known to have gone through the hits long ago, and is shown apart.

New items: a playlist that is released after the cut is known by its tags alone. Two weeks after the
cut the model, which is not trained again, is given the new table of items by `refresh_items`. The
new playlists are ranked among themselves for listeners of the training period; truth is what they
discover of them in the two weeks that follow. The rules are told tags, release dates, countries and
histories, and like the model no play after the cut.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

# isort: split
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csr_array

from setlist.data.curation import CurationSettings, DataSettings, curate
from setlist.data.features import Features
from setlist.data.schema import Window, tie_order
from setlist.data.source import TableSource
from setlist.data.transformation import transform
from setlist.evaluation.accuracy import ndcg
from setlist.evaluation.catalogue import catalogue_of
from setlist.evaluation.ranking import Catalogue, Ragged, Ranking
from setlist.evaluation.statistics import bootstrap
from setlist.models.heuristics import fit_heuristics
from setlist.models.saved_model import SavedModel
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.two_tower.refresh import refresh_items
from setlist.models.two_tower.train import train

SEEDS = (7, 8, 9, 10, 11)
END = pd.Timestamp("2026-05-01", tz="UTC").as_unit("us")
CUT = END - pd.Timedelta(days=28)
WINDOW = Window(CUT - pd.Timedelta(days=90), CUT, END)
INPUTS = ("country", "age_band")
HELD_OUT = 0.15
REFRESHED = CUT + pd.Timedelta(days=14)
FIRST_PLAYS = (0, 1, 2, 3, 5)
K = 10
OURS = "ours"

Values = dict[str, np.ndarray]
"""By model the NDCG@10 of each listener, float64[listeners]."""


@dataclass(frozen=True)
class World:
    """One seed of the sample: trained on without the strangers."""

    folder: Path
    features: Features
    later: pd.DataFrame
    """The plays after the cut, in order of time: user_id, item_id, timestamp."""
    users: pd.DataFrame
    """By user_id: the inputs, `joined`."""
    items: pd.DataFrame
    """ITEM_COLUMNS, those released after the cut among them."""

    @classmethod
    def make(cls, seed: int, folder: Path) -> "World":
        """Curate, take the strangers out, transform, fit the rules, train."""
        dataset = folder / "dataset"
        curate(sample(seed), WINDOW, CurationSettings(), dataset)
        plays = pd.read_parquet(dataset / "train.parquet")
        later = pd.read_parquet(dataset / "test.parquet")
        users = pd.read_parquet(dataset / "users.parquet").set_index("user_id")
        drawn = np.random.default_rng(seed).random(len(users)) < HELD_OUT
        plays[~plays["user_id"].isin(users.index[drawn])].to_parquet(dataset / "train.parquet")
        transform(dataset, WINDOW, INPUTS, folder / "features")
        features = Features.read(folder / "features")
        fit_heuristics(folder / "features", HeuristicSettings(), folder / "rules")
        train(features, ModelSettings(seed=seed), folder / "model", folder / "record")
        items = pd.read_parquet(dataset / "items.parquet")
        return cls(folder, features, later, users, items)


def sample(seed: int) -> DataSettings:
    """The sources of the sample."""
    names = {"user_id": "listener", "item_id": "playlist", "timestamp": "played_at"}

    def source(table: str, *columns: str) -> TableSource:
        path = f"sample://{table}?seed={seed}"
        return TableSource(path=path, columns={name: names[name] for name in columns})

    return DataSettings(
        events=source("events", *names),
        items=source("playlists", "item_id"),
        users=source("listeners", "user_id"),
    )


# Newcomers.


def newcomers(world: World) -> Iterator[tuple[tuple[str, int], Values]]:
    """By group and number of plays, what each model is worth to each stranger."""
    features, later = world.features, world.later
    ids = pd.Index(features.items["item_id"])
    strange = later[~later["user_id"].isin(features.users["user_id"])]
    strange = strange[strange["item_id"].isin(ids)]
    joined = pd.to_datetime(world.users["joined"], utc=True).reindex(strange["user_id"])
    new = (joined >= CUT).to_numpy()
    models = {path.name: SavedModel(path) for path in sorted((world.folder / "rules").iterdir())}
    models[OURS] = SavedModel(world.folder / "model")
    catalogue = catalogue_of(features)
    for group, plays in (
        ("joined after the cut", strange[new]),
        ("held out of training", strange[~new]),
    ):
        user, names = plays["user_id"].factorize()
        item = ids.get_indexer(plays["item_id"])
        place = plays.groupby("user_id").cumcount().to_numpy()
        for count in FIRST_PLAYS:
            history, truth = first_and_next(user, item, place, count, len(ids))
            asked = np.flatnonzero(truth.lengths > 0)
            history, truth = (table.take(asked) for table in (history, truth))
            told = world.users.loc[names[asked]]
            inputs = {name: told[name].tolist() for name in INPUTS}
            values = {}
            for name, model in models.items():
                ages = np.zeros(len(history.codes), np.float32)
                top, _ = model.lists(ids, history, history, K, inputs, ages)
                values[name] = ndcg(Ranking(top, truth, history, catalogue), K)
            yield (group, count), values


def first_and_next(
    user: np.ndarray, item: np.ndarray, place: np.ndarray, count: int, size: int
) -> tuple[Ragged, Ragged]:
    """The first plays of each listener, and the other items that follow; none where too few."""
    number = user.max() + 1
    first = place < count
    enough = np.bincount(user, minlength=number) > count
    order = np.lexsort([place[first], user[first]])
    history = Ragged.from_pairs(user[first][order], item[first][order], number)
    known = user[first] * size + item[first]
    follow = np.setdiff1d((user * size + item)[~first & enough[user]], known)
    return history, Ragged.from_pairs(*np.divmod(follow, size), number)


# New items.


def new_items(world: World) -> Values:
    """What each order of the new playlists is worth to the listeners who discover any of them."""
    features, items, later = world.features, world.items, world.later
    fresh = items[(items["released"] >= CUT) & (items["released"] <= REFRESHED)]
    fresh = fresh.set_index("item_id").loc[tie_order(fresh["item_id"])].reset_index()
    ids, everybody = pd.Index(fresh["item_id"]), pd.Index(features.users["user_id"])
    later = later[later["user_id"].isin(everybody) & later["item_id"].isin(ids)]
    pairs = everybody.get_indexer(later["user_id"]) * len(ids) + ids.get_indexer(later["item_id"])
    early = (later["timestamp"] < REFRESHED).to_numpy()
    rows, codes = np.divmod(np.setdiff1d(pairs[~early], pairs[early]), len(ids))
    users, rows = np.unique(rows, return_inverse=True)
    truth = Ragged.from_pairs(rows, codes, len(users))
    known = np.zeros((len(everybody), len(ids)), np.bool_)
    known.ravel()[pairs[early]] = True
    known = known[users]
    tops = {
        name: np.argsort(np.where(known, np.inf, -scores), axis=1, kind="stable")[:, :K]
        for name, scores in rules(features, fresh, users).items()
    }
    tops[OURS] = of_refreshed(world, fresh, users, known)
    size = len(ids)
    catalogue = Catalogue(
        np.zeros(size, np.int64), csr_array((size, 1), dtype=np.bool_), len(everybody)
    )
    history = Ragged.from_pairs(*np.nonzero(known), len(users))
    return {
        name: ndcg(Ranking(top.astype(np.int32), truth, history, catalogue), K)
        for name, top in tops.items()
    }


def of_refreshed(
    world: World, fresh: pd.DataFrame, users: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """int32[listeners, K]: lists of new items by the model that was not trained again."""
    features, output = world.features, world.folder / "refreshed"
    refresh_items(world.folder / "model", world.items, REFRESHED, output)
    # The new items have the first codes, as in the truth; all others are excluded.
    ids = pd.Index([*fresh["item_id"], *features.items["item_id"]])
    codes = features.plays["item"].to_numpy(np.int32) + np.int32(len(fresh))
    history = Ragged(features.offsets, codes).take(users)
    waited = (REFRESHED - CUT).days
    ages = (features.plays["age_days"].to_numpy() + waited).astype(np.float32)
    ages = Ragged(features.offsets, ages).take(users)
    old = np.ones((len(users), len(features.items)), np.bool_)
    exclude = Ragged.from_pairs(*np.nonzero(np.hstack([known, old])), len(users))
    told = features.users.iloc[users]
    inputs = {name: told[name].tolist() for name in INPUTS}
    top, _ = SavedModel(output).lists(ids, history, exclude, K, inputs, ages.codes)
    return top


def rules(features: Features, fresh: pd.DataFrame, users: np.ndarray) -> Values:
    """float64[listeners, new items] by name: how simple rules order the new items."""
    tags = sorted(
        {tag for table in (features.items, fresh) for own in table["tags"] for tag in own}
    )
    old, new = (tag_table(table["tags"], tags) for table in (features.items, fresh))
    plays = sparse.csr_array(
        (np.ones(len(features.plays)), (features.plays["user"], features.plays["item"])),
        shape=(len(features.users), len(features.items)),
    )
    of_listener = plays @ old  # how often each listener played each tag
    per_item = np.maximum(old.sum(axis=0), 1)
    popularity = of_listener.sum(axis=0) / per_item
    country, names = features.users["country"].factorize()
    of_country = np.array(
        [of_listener[country == one].sum(axis=0) / per_item for one in range(len(names))]
    )
    rarity = np.log(len(old) / np.maximum(old.sum(axis=0), 1))
    profile = unit(of_listener[users] * rarity)
    newest = (fresh["released"] - CUT).dt.total_seconds().to_numpy()
    one = np.ones((len(users), 1))
    random = np.random.default_rng(1).random((len(users), len(fresh)))
    return {
        "random": random,
        "newest first": one * newest + random,
        "oldest first": random - one * newest,
        "popularity of its tags": one * (new @ popularity),
        "popularity of its tags in the country": of_country[country[users]] @ new.T,
        "tags like the history's": profile @ unit(new * rarity).T,
        "share of the history with its tags": unit(of_listener[users]) @ unit(new).T,
    }


def tag_table(tags: pd.Series, names: list[str]) -> np.ndarray:
    """float64[items, tags]: 1 where the item has the tag."""
    code = {name: place for place, name in enumerate(names)}
    table = np.zeros((len(tags), len(names)))
    for row, own in enumerate(tags):
        table[row, [code[tag] for tag in own]] = 1
    return table


def unit(rows: np.ndarray) -> np.ndarray:
    """The rows divided by their lengths."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


# The tables.


def row(case: str, values: Values) -> str:
    """Ours beside the best of the others, which is chosen by these very values."""
    others = {name: one.mean() for name, one in values.items() if name != OURS}
    best = max(others, key=others.__getitem__)
    [lift] = bootstrap((values[OURS] - values[best])[:, None])
    return (
        f"| {case} | {len(values[OURS]):,} | {values[OURS].mean():.4f} | {best} "
        f"| {others[best]:.4f} | {lift.mean:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}] |"
    )


def every(values: Values) -> str:
    return ", ".join(
        f"{name} {one.mean():.4f}"
        for name, one in sorted(values.items(), key=lambda v: -v[1].mean())
    )


def pooled(parts: list[Values]) -> Values:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def main() -> None:
    """Print a table for each case."""
    seeds = [int(seed) for seed in sys.argv[1:]] or SEEDS
    cases: dict[tuple[str, int], list[Values]] = defaultdict(list)
    items: list[Values] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as name, redirect_stdout(sys.stderr):
            world = World.make(seed, Path(name))
            for case, values in newcomers(world):
                cases[case].append(values)
            items.append(new_items(world))
    head = f"listeners | ours, NDCG@{K} | best rule | NDCG@{K} | difference |"
    print(f"| listeners who | plays | {head}\n|---|--:|--:|--:|---|--:|---|")
    for (group, count), parts in cases.items():
        print(row(f"{group} | {count}", pooled(parts)))
    print(f"\n| items | {head}\n|---|--:|--:|---|--:|---|")
    print(row("released after training", pooled(items)))
    print(f"\nAll orders of the new items: {every(pooled(items))}.")


if __name__ == "__main__":
    main()
