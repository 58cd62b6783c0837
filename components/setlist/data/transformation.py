"""From curated tables to features: one catalogue, one code for each id, histories and counts.

Everything is fitted on the training period. What serving needs of it (the catalogue, the
vocabularies of the named inputs) is written into each model by the model's own fitting, so there
is no second implementation to drift away from this one.
"""

import re
from pathlib import Path

import pandas as pd

from setlist.data.features import Features
from setlist.data.schema import HISTORY_AGE, UNBOUNDED_END, Window, tie_order
from setlist.errors import SetlistError

DAY_SECONDS = 86_400
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
"""No names for inputs: tables, the models' signature or the evaluation have their own of them."""


def transform(dataset: Path, window: Window, inputs: tuple[str, ...], output: Path) -> Features:
    """Fit the features on a curated dataset and write them to `output`.

    The catalogue is what is known at the cut: items of the table released by then and, where the
    table has no release date, items with a training event. Listeners of the test period without
    a training event are kept apart: they are evaluated, and nothing is fitted on them.

    Args:
        dataset: the folder that `curate` wrote.
        window: the run's window; ages are counted back from its cut.
        inputs: columns of the users table that become named inputs of the models.
        output: the features folder to write.

    Raises:
        SetlistError: when an input is not a column of the users table, or cannot have its name.
    """
    train = pd.read_parquet(dataset / "train.parquet")
    later = set(pd.read_parquet(dataset / "test.parquet", columns=["user_id"])["user_id"])
    return _fit(dataset, train, later, window, inputs, output)


def transform_whole(
    dataset: Path, window: Window, inputs: tuple[str, ...], output: Path
) -> Features:
    """`transform` as of the end of the window: the test period is trained on, too.

    Its cut is the end of the window, or just after the last event where the window has no end.
    Nobody is a newcomer, for nothing is later. What curation leaves out of training because it is
    rare (`curation.min_item_events`) is left out of the training period only.
    """
    events = pd.concat(
        [pd.read_parquet(dataset / f"{part}.parquet") for part in ("train", "test")],
        ignore_index=True,
    )
    end = window.end
    if end == UNBOUNDED_END:
        end = events["timestamp"].max() + pd.Timedelta(1, "us")
    now = Window(window.start, end, end + pd.Timedelta(1, "us"))
    return _fit(dataset, events, set(), now, inputs, output)


def _fit(
    dataset: Path,
    train: pd.DataFrame,
    later: set[str],
    window: Window,
    inputs: tuple[str, ...],
    output: Path,
) -> Features:
    """The features of some events, which are in time order and all before the window's cut."""
    check_inputs(inputs)
    items = catalogue(pd.read_parquet(dataset / "items.parquet"), train, window.cutoff)
    table = pd.read_parquet(dataset / "users.parquet")
    known = set(train["user_id"])
    users = listeners(table, known, inputs)

    age = window.cutoff - train["timestamp"]
    plays = pd.DataFrame(
        {
            "user": pd.Index(users["user_id"]).get_indexer(train["user_id"]).astype("int32"),
            "item": pd.Index(items["item_id"]).get_indexer(train["item_id"]).astype("int32"),
            "age_days": (age.dt.total_seconds() / DAY_SECONDS).astype("float32"),
        }
    ).sort_values("user", kind="stable", ignore_index=True)  # curated events are in time order
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
        newcomers=listeners(table, later - known, inputs),
        plays=plays,
        window=window,
        inputs=inputs,
    )
    features.write(output)
    return features


def check_inputs(inputs: tuple[str, ...]) -> None:
    """Refuse names that an input cannot have.

    Raises:
        SetlistError: for the first of them.
    """
    for place, name in enumerate(inputs):
        plain = re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        if name in RESERVED_INPUTS or name in inputs[:place] or not plain:
            raise SetlistError(
                f"inputs: {name!r} is no name for an input, because it is taken, stands twice or "
                "is more than letters, digits and _; give the column another in data.users.columns."
            )


def catalogue(items: pd.DataFrame, train: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """The items known at the cut, in tie order: released before it, or played before it."""
    known = (items["released"] < cut) | items["item_id"].isin(train["item_id"].unique())
    eligible = items[known].set_index("item_id")
    return eligible.loc[tie_order(eligible.index)].reset_index()


def listeners(users: pd.DataFrame, ids: set[str], inputs: tuple[str, ...]) -> pd.DataFrame:
    """user_id and the inputs of the given listeners, sorted by id; "" is not known."""
    missing = [name for name in inputs if name not in users.columns]
    if missing:
        present = ", ".join(column for column in users.columns if column != "user_id") or "none"
        raise SetlistError(
            f"inputs: the users table has no column {missing[0]!r} (it has: {present}); "
            "correct the name, or take it out of `inputs`."
        )
    index = pd.Index(sorted(ids), name="user_id", dtype="str")
    table = users.set_index("user_id")[list(inputs)].reindex(index)
    return table.fillna("").astype(str).reset_index()
