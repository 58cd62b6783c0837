"""Transforms the curated tables into features: a catalogue, a code for each id, the histories.

Everything is fitted on the training period. The parts that serving needs (the catalogue, the
vocabularies of the named inputs) are stored inside each model when it is fitted, so serving has no
second implementation that could differ from this one.
"""

import re
from pathlib import Path

import pandas as pd

from setlist.data.features import Features
from setlist.data.profile import Weeks
from setlist.data.schema import (
    DAY_MICROSECONDS,
    HISTORY_AGE,
    UNBOUNDED_END,
    Window,
    column_microseconds,
    instant_microseconds,
    tie_order,
)
from setlist.errors import SettingsError

RESERVED_INPUTS = {
    "user_id",
    "history",
    "exclude",
    "k",
    HISTORY_AGE,
    "relevant",
    "listener",
    "item_part",
}
"""Names that no input may have: the tables, the models' signature and the evaluation use them."""


def transform(dataset: Path, window: Window, inputs: tuple[str, ...], output: Path) -> Features:
    """Fit the features on a curated dataset and write them to `output`.

    The catalogue holds the items known at the cutoff: items of the table released before it and
    items with a training event. Listeners of the test period without a training event are kept in
    a table of their own: they are evaluated, and nothing is fitted on them.

    Args:
        dataset: the folder that `curate` wrote.
        window: the run's window; ages are counted back from its cutoff.
        inputs: columns of the users table that become named inputs of the models.
        output: the features folder to write.

    Raises:
        SettingsError: when an input is not a column of the users table, or cannot have its name.
    """
    train = pd.read_parquet(dataset / "train.parquet")
    test_listeners = set(pd.read_parquet(dataset / "test.parquet", columns=["user_id"])["user_id"])
    return _fit(dataset, train, test_listeners, window, inputs, output)


def transform_whole(
    dataset: Path, window: Window, inputs: tuple[str, ...], output: Path
) -> Features:
    """Like `transform`, but as of the end of the window, so that the test period is trained on too.

    The cutoff is the end of the window, or just after the last event where the window has no end.
    There are no newcomers, because no event is later. Rare items (`curation.min_item_events`) are
    missing from the training period only.
    """
    events = pd.concat(
        [pd.read_parquet(dataset / f"{part}.parquet") for part in ("train", "test")],
        ignore_index=True,
    )
    end = window.end
    if end == UNBOUNDED_END:
        end = events["timestamp"].max() + pd.Timedelta(1, "us")
    # A window needs a test period; this one is empty.
    all_days = Window(window.start, end, end + pd.Timedelta(1, "us"))
    return _fit(dataset, events, set(), all_days, inputs, output)


def _fit(
    dataset: Path,
    train: pd.DataFrame,
    test_listeners: set[str],
    window: Window,
    inputs: tuple[str, ...],
    output: Path,
) -> Features:
    """The features of the events of `train`, which are in time order and before the cutoff."""
    check_inputs(inputs)
    items = catalogue(pd.read_parquet(dataset / "items.parquet"), train, window.cutoff)
    table = pd.read_parquet(dataset / "users.parquet")
    known = set(train["user_id"])
    users = listeners(table, known, inputs)

    # From integers: as float32, plays of three seconds would lose their order after a few years.
    cutoff = instant_microseconds(window.cutoff)
    age = (cutoff - column_microseconds(train["timestamp"])) / DAY_MICROSECONDS
    plays = pd.DataFrame(
        {
            "user": pd.Index(users["user_id"]).get_indexer(train["user_id"]).astype("int32"),
            "item": pd.Index(items["item_id"]).get_indexer(train["item_id"]).astype("int32"),
            "age_days": age,
        }
        | ({} if (train["weight"] == 1).all() else {"weight": train["weight"].to_numpy()})
    ).sort_values(
        "user", kind="stable", ignore_index=True
    )  # stable, because curated events are in time order
    items["plays"] = plays["item"].value_counts().reindex(items.index, fill_value=0).astype("int64")
    items["listeners"] = (
        plays.drop_duplicates(["user", "item"])["item"]
        .value_counts()
        .reindex(items.index, fill_value=0)
        .astype("int64")
    )
    features = Features(
        items=items,
        users=users,
        newcomers=listeners(table, test_listeners - known, inputs),
        plays=plays,
        window=window,
        inputs=inputs,
        data_profile=Weeks.of(
            train, pd.read_parquet(dataset / "items.parquet"), table, window.cutoff
        ).profile(inputs),
    )
    features.write(output)
    if "weight" in plays:
        print("weight: plays count by it as targets of the two-tower; heuristics count each as one")
    return features


def check_inputs(inputs: tuple[str, ...]) -> None:
    """Refuse names that an input cannot have.

    Raises:
        SettingsError: for the first such name.
    """
    for place, name in enumerate(inputs):
        # The name becomes an argument of the model's signature.
        plain = re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        if name in RESERVED_INPUTS or name in inputs[:place] or not plain:
            raise SettingsError(
                f"inputs: {name!r} cannot be the name of an input, because it is reserved, appears "
                "twice or holds more than letters, digits and _",
                "give the column another name in data.users.columns",
            )


def catalogue(items: pd.DataFrame, train: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The items known at the cutoff, in tie order: released or played before it."""
    known = (items["released"] < cutoff) | items["item_id"].isin(train["item_id"].unique())
    eligible = items[known].set_index("item_id")
    return eligible.loc[tie_order(eligible.index)].reset_index()


def listeners(users: pd.DataFrame, ids: set[str], inputs: tuple[str, ...]) -> pd.DataFrame:
    """user_id and the inputs of the listeners `ids`, sorted by id; "" is not known.

    Raises:
        SettingsError: when an input is not a column of the users table.
    """
    missing = [name for name in inputs if name not in users.columns]
    if missing:
        present = ", ".join(column for column in users.columns if column != "user_id") or "none"
        raise SettingsError(
            f"inputs: the users table has no column {missing[0]!r} (it has: {present})",
            "correct the name, or take it out of `inputs`",
        )
    index = pd.Index(sorted(ids), name="user_id", dtype="str")
    table = users.set_index("user_id")[list(inputs)].reindex(index)
    return table.fillna("").astype(str).reset_index()
