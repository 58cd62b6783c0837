"""Training of the two-tower: examples, the loop, the recency prior, the export."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.data.features import Features
from components.errors import SetlistError
from components.models.settings import ModelSettings
from components.models.two_tower import Codes, Floats, Servable, TwoTower, UserTower


def train(
    features: Features,
    settings: ModelSettings,
    output: Path,
    report: Callable[[int, float], None],
) -> list[float]:
    """Train a two-tower on the features and write it as a model folder.

    Each epoch visits every listener once: some of the plays become targets, the rest is the
    history, so the user tower never sees what it has to predict.

    Args:
        features: what `transform` wrote.
        settings: the `model` section.
        output: the model folder.
        report: called after each epoch with its number and mean loss.

    Returns:
        The mean loss of each epoch.

    Raises:
        SetlistError: when there is nothing to learn from, or the loss is not finite.
    """
    if len(features.items) < 2:
        raise SetlistError(
            f"the catalogue has {len(features.items)} item; a model needs at least two to choose "
            "from: widen the window or lower curation.min_item_events."
        )
    tf.keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    histories = latest(features, settings.history_length + settings.targets)
    learnable = np.flatnonzero((histories >= 0).sum(axis=1) >= 2)
    if len(learnable) == 0:
        raise SetlistError(
            "no listener has two plays in the training period, so there is nothing to learn from: "
            "widen window.train_days."
        )
    vocabularies = {name: sorted(set(features.users[name]) - {""}) for name in features.inputs}
    inputs = encode_inputs(features, vocabularies)
    sizes = [len(values) for values in vocabularies.values()]
    towers = TwoTower(
        UserTower(sizes, settings.history_length, settings.dimension),
        tags=tag_weights(features),
        plays=features.items["plays"].to_numpy(np.float32),
        full_softmax=len(features.items) <= settings.full_softmax_items,
    )
    towers.compile(optimizer=tf.keras.optimizers.Adam(settings.learning_rate))
    step = tf.function(towers.train_step, reduce_retracing=True)
    generator = np.random.default_rng(settings.seed)
    losses: list[float] = []
    for epoch in range(1, settings.epochs + 1):
        order = generator.permutation(learnable)
        total = 0.0
        steps = range(0, len(order), settings.batch)
        for start in steps:
            rows = order[start : start + settings.batch]
            history, targets = hide(histories[rows], settings.targets, generator)
            batch = {"history": history, "targets": targets, "inputs": inputs[rows]}
            total += float(
                step({name: tf.constant(codes) for name, codes in batch.items()})["loss"]
            )
        losses.append(total / len(steps))
        if not np.isfinite(losses[-1]):
            raise SetlistError(
                f"the loss of epoch {epoch} is {losses[-1]}; lower model.learning_rate "
                f"(now {settings.learning_rate})."
            )
        report(epoch, losses[-1])
    catalogue = features.items["item_id"].tolist()
    prior = recency_prior(features, settings.recency_days)
    Servable(catalogue, towers, vocabularies, prior).export(output, "two_tower", features.window)
    return losses


def latest(features: Features, length: int) -> Codes:
    """int32[users, length]: each listener's latest plays, oldest first, -1 before them."""
    user = features.plays["user"].to_numpy()
    position = length - (features.offsets[user + 1] - np.arange(len(user)))
    table = np.full((len(features.users), length), -1, np.int32)
    keep = position >= 0
    table[user[keep], position[keep]] = features.plays["item"].to_numpy()[keep]
    return table


def hide(plays: Codes, count: int, generator: np.random.Generator) -> tuple[Codes, Codes]:
    """Choose targets at random and take them, wherever they were played, out of the history.

    At most half of a listener's plays are chosen, so that something is left to predict from.

    Args:
        plays: int32[batch, length], -1 is padding.
        count: how many targets at most.
        generator: of the choice.

    Returns:
        history: int32[batch, length], -1 where a target was; targets: int32[batch, count], each
        item once, -1 for none.
    """
    present = plays >= 0
    draw = np.where(present, generator.random(plays.shape), 2.0)
    chosen = np.argsort(draw, axis=1)[:, :count]
    targets = np.take_along_axis(plays, chosen, axis=1)
    allowed = np.maximum(present.sum(axis=1) // 2, 1)
    targets[np.arange(count)[None, : targets.shape[1]] >= allowed[:, None]] = -1
    earlier = np.tril(targets[:, :, None] == targets[:, None, :], -1).any(axis=2)
    targets[earlier] = -1
    hidden = (plays[:, :, None] == np.where(targets < 0, -2, targets)[:, None, :]).any(axis=2)
    return np.where(hidden, np.int32(-1), plays), targets


def encode_inputs(features: Features, vocabularies: dict[str, list[str]]) -> Codes:
    """int32[users, inputs]: the code of each value, -1 where it is not known."""
    columns = [
        np.array([values.index(value) if value else -1 for value in uniques])[codes]
        for values, (codes, uniques) in (
            (values, features.users[name].factorize()) for name, values in vocabularies.items()
        )
    ]
    return np.array(columns, np.int32).reshape(len(columns), len(features.users)).T


def tag_weights(features: Features) -> Floats:
    """float32[items, tags]: 1 / (number of the item's tags) for each of them."""
    tags = features.items["tags"]
    names = sorted({tag for row in tags for tag in row})
    code = {tag: position for position, tag in enumerate(names)}
    weights = np.zeros((len(tags), len(names)), np.float32)
    for row, own in enumerate(tags):
        weights[row, [code[tag] for tag in own]] = 1 / max(len(own), 1)
    return weights


def recency_prior(features: Features, half_life: float) -> Floats:
    """float32[items]: log of how much more an item is played now than over the whole period.

    log((r_i + s) / (a_i + s)), r_i the plays weighted by 2^(-age / half_life) and scaled to the
    total of the plays a_i. The smoothing s, ten plays, keeps rare items at their bias.
    """
    if half_life == 0:
        return np.zeros(len(features.items), np.float32)
    size = len(features.items)
    weight = 0.5 ** (features.plays["age_days"].to_numpy(np.float64) / half_life)
    recent = np.bincount(features.plays["item"], weight, minlength=size)
    plays = features.items["plays"].to_numpy(np.float64)
    recent = recent * plays.sum() / recent.sum()
    return np.log((recent + 10) / (plays + 10)).astype(np.float32)
