"""Training of the two-tower: what is held out, the loop, the recency prior, the export."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import sparse

from components.data.features import Features
from components.errors import SetlistError
from components.models.adam import AveragedAdam
from components.models.examples import Examples, HeldOut, Histories, epoch, hold_out
from components.models.recency import fit, recency
from components.models.settings import ModelSettings
from components.models.spectral import spectral
from components.models.two_tower import Codes, Floats, Servable, TwoTower, UserTower

HELD_OUT, MOST = 0.1, 1_000
"""The share of the first plays that lie in the days of the check, and the most listeners of it."""
UNCHECKED = 10
"""Epochs where nobody can be held out."""
KNOWN = 0.9
"""In each batch so many of the items have their own embedding; the others learn to be placed by
their tags, as an item without plays will be."""
CELLS = 10_000_000
"""Scores in memory while the recency prior is fitted."""


class Epoch(NamedTuple):
    """How far training is: the mean loss of an epoch, and that of the held-out plays after it."""

    number: int
    loss: float
    check: float | None
    """None where nobody could be held out."""


def train(
    features: Features,
    settings: ModelSettings,
    output: Path,
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train a two-tower on the features and write it as a model folder.

    The last plays of some listeners are held out. Training stops when these have not become
    likelier for `patience` epochs and ships the epoch at which they were likeliest.

    Args:
        features: what `transform` wrote.
        settings: the `model` section.
        output: the model folder.
        report: called after each epoch.

    Returns:
        All epochs.

    Raises:
        SetlistError: when there is nothing to learn from, or the loss is not finite.
    """
    size = len(features.items)
    if size < 2:
        raise SetlistError(
            f"the catalogue has {size} item; a model needs at least two to choose from: widen the "
            "window or lower curation.min_item_events."
        )
    histories = Histories.of(features)
    if not (np.diff(histories.offsets) >= 2).any():
        raise SetlistError(
            "no listener has two plays in the training period, so there is nothing to learn from: "
            "widen window.train_days."
        )
    tf.keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    generator = np.random.default_rng(settings.seed)
    vocabularies = {name: sorted(set(features.users[name]) - {""}) for name in features.inputs}
    inputs = encode_inputs(features, vocabularies)
    held = hold_out(histories, HELD_OUT, MOST, settings.history_length, generator)
    towers = build(held.learn, features, settings, [*map(len, vocabularies.values())], generator)
    epochs = descend(towers, held, inputs, settings, generator, report)
    prior = recency_prior(towers, histories, held, inputs, settings)
    catalogue = features.items["item_id"].tolist()
    Servable(catalogue, towers, vocabularies, prior).export(output, "two_tower", features.window)
    return epochs


def build(
    learn: Histories,
    features: Features,
    settings: ModelSettings,
    input_sizes: list[int],
    generator: np.random.Generator,
) -> TwoTower:
    """The towers as they start."""
    size = len(features.items)
    plays = sparse.csr_array(
        (
            np.ones(int(learn.first.sum()), np.float32),
            (learn.listeners[learn.first], learn.items[learn.first]),
        ),
        shape=(len(learn.offsets) - 1, size),
    )
    dimension = settings.dimension or scaled_dimension(plays.nnz)
    return TwoTower(
        UserTower(input_sizes, settings.history_length, dimension),
        tags=tag_weights(features),
        plays=plays.sum(axis=0).astype(np.float32),
        start=spectral(plays, dimension, generator),
        full_softmax=size <= settings.full_softmax_items,
    )


def scaled_dimension(plays: int) -> int:
    """A power of two from 16 to 128, about a tenth of the root of the number of distinct plays."""
    return int(np.clip(2 ** round(np.log2(np.sqrt(plays) / 10)), 16, 128))


def scaled_batch(listeners: int) -> int:
    """Up to 256 examples, and about 24 batches an epoch where listeners are few."""
    return int(np.clip(listeners // 24, 16, 256))


def descend(
    towers: TwoTower,
    held: HeldOut,
    inputs: Codes,
    settings: ModelSettings,
    generator: np.random.Generator,
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train until the held-out plays get no likelier; the towers end with the best weights."""
    variables = towers.trainable_variables
    adam = AveragedAdam(variables, settings.learning_rate)
    everything = np.ones(len(towers.played), np.float32)

    @tf.function(reduce_retracing=True)
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = towers.compute_loss(batch)
        adam.apply(tape.gradient(loss, variables))
        return loss

    @tf.function(reduce_retracing=True)
    def check(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return towers.compute_loss(batch)

    def place(values: list[npt.NDArray[np.float32]]) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    epochs: list[Epoch] = []
    best, best_weights = np.inf, [one.numpy() for one in variables]
    since = 0
    batch = settings.batch or scaled_batch(len(held.learn.offsets) - 1)
    most = settings.epochs if held.check else min(settings.epochs, UNCHECKED)
    checked = tensors(held.check, inputs, everything) if held.check else None
    for number in range(1, most + 1):
        losses = []
        for examples in epoch(held.learn, batch, settings.history_length, generator):
            known = (generator.random(len(everything)) < KNOWN).astype(np.float32)
            losses.append(step(tensors(examples, inputs, known)))
        loss = float(np.mean([one.numpy() for one in losses]))
        running = [one.numpy() for one in variables]
        averaged = [one.numpy() for one in adam.averages]
        value = None
        if checked:
            place(averaged)
            value = float(check(checked))
            place(running)
        if not np.isfinite([loss, loss if value is None else value]).all():
            raise SetlistError(
                f"the loss of epoch {number} is {loss}, of the held-out plays {value}; lower "
                f"model.learning_rate (now {settings.learning_rate})."
            )
        epochs.append(Epoch(number, loss, value))
        report(epochs[-1])
        if value is None or value < best:
            best, best_weights, since = np.inf if value is None else value, averaged, 0
        else:
            since += 1
            if since == settings.patience:
                break
    place(best_weights)
    return epochs


def tensors(examples: Examples, inputs: Codes, known: Floats) -> dict[str, tf.Tensor]:
    """What `TwoTower.compute_loss` takes."""
    batch = dict(vars(examples))
    batch["inputs"] = inputs[batch.pop("listeners")]
    return {name: tf.constant(values) for name, values in (batch | {"known": known}).items()}


def recency_prior(
    towers: TwoTower,
    histories: Histories,
    held: HeldOut,
    inputs: Codes,
    settings: ModelSettings,
) -> Floats:
    """float32[items]: the prior as of the end of training; 0 where nobody could be held out."""
    size = len(towers.played)
    days = settings.recency_days
    if not days or held.check is None:
        return np.zeros(size, np.float32)
    checked = held.check
    few = min(len(checked.listeners), max(1, CELLS // size))
    vectors, bias = towers.item_tower()
    own = checked.rows < few
    rows, items, ranks = (one[own] for one in (checked.rows, checked.items, checked.ranks))
    named = tf.unstack(tf.constant(inputs[checked.listeners[:few]]), axis=1) if inputs.size else []
    users = towers.user_tower(
        towers.user_tower.bag_of_pairs(vectors, rows, items, ranks, few), named
    )
    scores = (tf.matmul(users, vectors, transpose_b=True) + bias).numpy().astype(np.float64)
    scores[rows, items] = -np.inf  # a first play is of something else
    scores[:, towers.played.numpy() == 0] = -np.inf
    target = (checked.target_rows < few) & np.isfinite(
        scores[np.minimum(checked.target_rows, few - 1), checked.targets]
    )
    before = histories.ages >= held.since
    beta = fit(
        scores,
        recency(histories.items[before], histories.ages[before] - held.since, size, days),
        checked.targets[target],
        checked.weights[target],
    )
    now = recency(histories.items, histories.ages, size, days)
    return (now @ beta).astype(np.float32)


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
