"""A small world that is worked out by hand, and models of it; TensorFlow starts when asked for.

Four items are known at the cutoff because they were played by then, and "e" because it was released
by then; "new" was not. Plays are in time order.

    listener   plays before      plays after    relevant: discovery   shortcuts
    ann        a b a             c c a          c                     a c
    bob        b c               a new          a                     a
    cid        a b d             c e            c e                   c e
    dee        -                 a b            a b                   a b
    eve        -                 new            -                     -
    fay        a                 a              -                     a
    gus        c                 -              -                     -
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from setlist.data.features import Features
from setlist.data.schema import HISTORY_AGE, TIMESTAMP_DTYPE, Window, parse_instant, tie_order
from setlist.data.transformation import transform
from setlist.models.contract import ModelInfo, write_info

WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 2, 3)))
TRAIN = [
    *[("ann", item) for item in "aba"],
    *[("bob", item) for item in "bc"],
    *[("cid", item) for item in "abd"],
    ("fay", "a"),
    ("gus", "c"),
]
TEST = [
    *[("ann", item) for item in "cca"],
    *[("bob", item) for item in ("a", "new")],
    *[("cid", item) for item in "ce"],
    *[("dee", item) for item in "ab"],
    ("eve", "new"),
    ("fay", "a"),
]
COUNTRIES = {"ann": "Chile", "bob": "Japan"}


@pytest.fixture(scope="session")
def window() -> Window:
    return WINDOW


@pytest.fixture(scope="session")
def events() -> Callable[..., pd.DataFrame]:
    """One play a day, of (listener, item) pairs."""

    def made(pairs, start: str) -> pd.DataFrame:
        table = pd.DataFrame(pairs, columns=["user_id", "item_id"])
        days = pd.to_timedelta(np.arange(len(table)), unit="D")
        table["timestamp"] = (pd.Timestamp(start, tz="UTC") + days).astype(TIMESTAMP_DTYPE)
        table["weight"] = 1.0
        return table

    return made


@pytest.fixture(scope="session")
def write_dataset(events) -> Callable[..., Path]:
    """A dataset as `curate` writes it, of items with a release date or None."""

    def written(folder: Path, train, test, items) -> Path:
        folder.mkdir(parents=True)
        events(train, "2026-01-02").to_parquet(folder / "train.parquet", index=False)
        events(test, "2026-02-02").to_parquet(folder / "test.parquet", index=False)
        table = pd.DataFrame({"item_id": list(items), "title": list(items)})
        table["tags"] = [["x"] for _ in items]
        table["released"] = pd.to_datetime(pd.Series(list(items.values())), utc=True).astype(
            TIMESTAMP_DTYPE
        )
        table.to_parquet(folder / "items.parquet", index=False)
        users = pd.DataFrame({"user_id": list(COUNTRIES), "country": list(COUNTRIES.values())})
        users.to_parquet(folder / "users.parquet", index=False)
        return folder

    return written


@pytest.fixture(scope="session")
def world(tmp_path_factory, write_dataset) -> tuple[Path, Features]:
    """Dataset and features; the models may read the country."""
    folder = tmp_path_factory.mktemp("world")
    items = dict.fromkeys("abcd") | {"e": "2026-01-15", "new": "2026-02-05"}
    data = write_dataset(folder / "dataset", TRAIN, TEST, items)
    transform(data, WINDOW, ("country",), folder / "features")
    return data, Features.read(folder / "features")


@pytest.fixture(scope="session")
def stranger() -> Callable[..., Path]:
    """Exports a model whose answer is what a function makes of all that it is told.

    The function returns ids, string[batch, n], which all score 0, or ids and their scores.
    """
    from setlist.models.tf import tf

    def export(folder: Path, answer, *, inputs=()) -> Path:
        @tf.function
        def recommend(history, exclude, k, **more):
            answered = answer(history, exclude, k, **more)
            if not isinstance(answered, tuple):
                answered = answered, tf.zeros(tf.shape(answered))
            return dict(zip(("item_ids", "scores"), answered, strict=True))

        strings = tf.TensorSpec([None, None], tf.string)
        signature = recommend.get_concrete_function(
            history=tf.TensorSpec(strings.shape, tf.string, name="history"),
            exclude=tf.TensorSpec(strings.shape, tf.string, name="exclude"),
            k=tf.TensorSpec([], tf.int32, name="k"),
            **{name: tf.TensorSpec([None], tf.string, name=name) for name in inputs},
        )
        module = tf.Module()
        tf.saved_model.save(
            module, str(folder / "saved_model"), signatures={"recommend": signature}
        )
        info = ModelInfo(
            name=folder.name,
            kind="stranger",
            catalogue_size=5,
            history_length=100,
            inputs=inputs,
            training_window={"start": "2026-01-01", "end": "2026-02-01"},
            code_version="0",
        )
        write_info(folder, info, tie_order("abcde"))
        return folder

    return export


@pytest.fixture(scope="session")
def popular() -> Callable[[Path, dict[str, float]], Path]:
    """Exports a model that gives every item a score, the same for everybody."""
    from setlist.models.heuristics import Popular

    def export(folder: Path, scores: dict[str, float]) -> Path:
        ids = tie_order(scores)
        model = Popular(ids, np.array([scores[item] for item in ids], np.float32))
        model.export(folder, folder.name, WINDOW)
        return folder

    return export


@pytest.fixture(scope="session")
def models(tmp_path_factory, popular, stranger) -> Path:
    """Model folders; all of them rank a before b before c."""
    from setlist.models.recommender import Recommender
    from setlist.models.tf import tf

    class Freshest(Recommender):
        """The youngest of the listener's own plays first, by the ages that the caller states."""

        def __init__(self, catalogue) -> None:
            super().__init__(catalogue, inputs=[HISTORY_AGE])

        def score(self, history, inputs):
            codes = tf.one_hot(history, len(self.catalogue))
            return tf.reduce_max(codes / (1 + inputs[HISTORY_AGE][..., None]), axis=1)

    def constant(*ids: str):
        def answer(history, exclude, k):
            return tf.tile(tf.constant([ids]), [tf.shape(history)[0], 1])

        return answer

    folder = tmp_path_factory.mktemp("models")
    popular(folder / "whole", {"a": 5, "b": 4, "c": 3, "d": 2, "e": 1})
    popular(folder / "narrow", {"a": 2, "c": 1})
    popular(folder / "foreign", {"zzz": 9, "a": 2, "c": 1})
    late = shutil.copytree(folder / "whole", folder / "late")
    document = json.loads((late / "model.json").read_text())
    document["training_window"]["end"] = "2026-02-01T00:00:01+00:00"
    (late / "model.json").write_text(json.dumps(document))
    Freshest(tie_order("abcde")).export(folder / "freshest", "freshest", WINDOW)
    stranger(folder / "repeats", constant("c", "c", "a"))
    stranger(folder / "too_long", constant("a", "b", "c", "d"))
    stranger(folder / "silent", constant("", "", ""))
    stranger(folder / "excluded", lambda history, exclude, k: exclude[:, :k])
    stranger(folder / "history", lambda history, exclude, k: history[:, -k:])
    stranger(
        folder / "country",
        lambda history, exclude, k, country: country[:, None],
        inputs=("country",),
    )
    return folder


@pytest.fixture
def uninspected(monkeypatch) -> None:
    """No process is started to inspect the evaluated models; nothing is found of them."""
    monkeypatch.setattr(
        "setlist.evaluation.evaluator.inspect_models", lambda evaluation, models, allowed: {}
    )
