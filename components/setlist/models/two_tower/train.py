"""Training of the two-tower: what is held out, the start, the descent, the prior, the export."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from setlist.arrays import Float64s, Int32s
from setlist.data.features import Features
from setlist.errors import DataError
from setlist.models.item_table import write_item_table
from setlist.models.profile import write_profile
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf
from setlist.models.training_record import TrainingRecord
from setlist.models.two_tower.descent import Checkpoint, descend
from setlist.models.two_tower.examples import HeldOut, Histories, hold_out
from setlist.models.two_tower.holdout import fit_prior, likelihood_and_ndcg
from setlist.models.two_tower.initialization import (
    item_start,
    read_former,
    spectral,
    start_user_tower,
)
from setlist.models.two_tower.network import ItemStart, TwoTower, UserTower
from setlist.models.two_tower.prior import recency
from setlist.models.two_tower.saved_towers import DAY_SECONDS, SavedTowers, days_since, tag_weights

# 40 MB of float32.
HOLDOUT_CELLS = 10_000_000
"""Scores of held-out listeners in memory."""


def train(
    features: Features,
    settings: ModelSettings,
    output: Path,
    record: Path,
    label: str = "candidate",
    *,
    live: Path | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingRecord:
    """Train a two-tower on the features and write it as a model folder.

    The last plays of some listeners are held out. Training stops when these have not become
    likelier for `patience` epochs and ships the epoch at which they were likeliest.

    Args:
        features: what `transform` wrote.
        settings: the `model` section.
        output: the model folder.
        record: the folder for the record of the training (`setlist.models.training_record`).
        label: the candidate's name in the record.
        live: a model folder to start from, where it is a two-tower of the same dimension.
        checkpoint: where the state of the training is kept, and found after a restart.

    Returns:
        The record.

    Raises:
        DataError: when there is nothing to learn from, or the loss is not finite.
    """
    began = time.perf_counter()
    size = len(features.items)
    if size < 2:
        raise DataError(
            f"the catalogue has {size} item",
            "a model needs at least two to choose from: widen the "
            "window or lower curation.min_item_events",
        )
    histories = Histories.of(features)
    if not (np.diff(histories.offsets) >= 2).any():
        raise DataError(
            "no listener has two plays in the training period, so there is nothing to learn from: "
            "widen window.train_days."
        )
    tf.keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    former = read_former(live, settings) if live else None
    # What the live model has seen proves nothing of a model that starts from it.
    latest = np.inf
    if former:
        latest = (features.window.cutoff - former.window.cutoff).total_seconds() / DAY_SECONDS
    held = hold_out(histories, latest, settings.history_length, max(1, HOLDOUT_CELLS // size))
    dimension = settings.dimension or (
        former.dimension if former else scaled_dimension(size, int(held.learn.first.sum()))
    )
    batch = settings.batch or scaled_batch(len(held.learn.offsets) - 1)
    settings = settings.model_copy(update={"dimension": dimension, "batch": batch})
    vocabularies = {name: sorted(set(features.users[name]) - {""}) for name in features.inputs}
    tags = sorted({tag for item_tags in features.items["tags"] for tag in item_tags})
    generator = np.random.default_rng(settings.seed)
    towers = build(held.learn, features, settings, dimension, tags, vocabularies, former, generator)
    inputs = encode_inputs(features, vocabularies)
    logs = record / "tensorboard" / label
    course = descend(towers, held, inputs, settings, batch, generator, logs, checkpoint)
    released = days_since(features.items["released"], features.window.cutoff)
    recencies = recency_before_and_now(histories, held, size, settings.recency_days)
    prior = fit_prior(towers, held, inputs, recencies, released)
    added = prior.at(released, towers.plays > 0)
    loss, ndcg = likelihood_and_ndcg(towers, held, inputs, added)
    training = TrainingRecord(
        label=label,
        settings=settings,
        epochs=course.epochs,
        best=course.best,
        listeners=held.listeners,
        loss=loss,
        ndcg=ndcg,
        seconds=round(time.perf_counter() - began, 3),
        warm=former is not None,
    )
    SavedTowers(
        catalogue=features.items["item_id"].tolist(),
        tags=tags,
        vocabularies=vocabularies,
        history_length=settings.history_length,
        weights=towers.weights(),
        plays=towers.plays,
        prior=prior,
        window=features.window,
    ).export(features.items, features.window.cutoff, output)
    write_item_table(output, features.items)
    write_profile(output, features)
    training.write(record)
    if checkpoint:
        checkpoint.clear()
    return training


def scaled_dimension(items: int, plays: int) -> int:
    """A power of two from 16 to 128, near the root of the items that have enough plays for it.

    Args:
        items: of the catalogue.
        plays: distinct pairs of listener and item.
    """
    root = np.sqrt(min(items, max(plays, 1) / 16))
    return int(np.clip(2 ** round(np.log2(root)), 16, 128))


def scaled_batch(listeners: int) -> int:
    """Up to 256 examples, and about 24 batches an epoch where listeners are few."""
    return int(np.clip(listeners // 24, 16, 256))


def build(
    learn: Histories,
    features: Features,
    settings: ModelSettings,
    dimension: int,
    tags: list[str],
    vocabularies: dict[str, list[str]],
    former: SavedTowers | None,
    generator: np.random.Generator,
) -> TwoTower:
    """The towers as they start."""
    size = len(features.items)
    rows, items = learn.listeners[learn.first], learn.items[learn.first]
    plays = np.bincount(items, minlength=size).astype(np.float32)
    weights = tag_weights(features.items["tags"], tags)
    user_tower = UserTower([*map(len, vocabularies.values())], settings.history_length, dimension)
    if former:
        catalogue = features.items["item_id"].tolist()
        start = item_start(former, catalogue, tags, weights, plays)
        start_user_tower(user_tower, former, vocabularies)
    else:
        shape = (len(learn.offsets) - 1, size)
        table = sparse.csr_array((np.ones(len(rows), np.float32), (rows, items)), shape=shape)
        start = ItemStart.split(spectral(table, dimension, generator), weights, plays)
    full = size <= settings.full_softmax_items
    return TwoTower(user_tower, start, tags=weights, plays=plays, full_softmax=full)


def recency_before_and_now(
    histories: Histories, held: HeldOut, size: int, days: tuple[float, ...]
) -> tuple[Float64s, Float64s]:
    """float64[items, half-lives] each: before the held-out plays, and at the end of training."""
    since = held.since or 0.0
    before = histories.ages >= since
    return (
        recency(histories.items[before], histories.ages[before] - since, size, days),
        recency(histories.items, histories.ages, size, days),
    )


def encode_inputs(features: Features, vocabularies: dict[str, list[str]]) -> Int32s:
    """int32[users, inputs]: the code of each value, -1 where it is not known."""
    columns = [
        pd.Index(values).get_indexer(pd.Index(features.users[name].replace("", None)))
        for name, values in vocabularies.items()
    ]
    return np.array(columns, np.int32).reshape(len(columns), len(features.users)).T
