"""Training of the two-tower: what is held out, the start, the descent, the prior, the export."""

import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int32s
from setlist.data.features import Features
from setlist.errors import DataError, ModelError
from setlist.models.histories import Histories
from setlist.models.inner_split import InnerSplit, inner_split
from setlist.models.item_table import write_item_table
from setlist.models.learners.factors import play_matrix
from setlist.models.learners.ials import IalsSettings, choose_ials, ials
from setlist.models.learners.item_item import ItemItemSettings, choose_item_item, neighbours
from setlist.models.learners.spectral import SpectralSettings, choose_spectral, spectral
from setlist.models.learners.trials import Trials
from setlist.models.profile import write_profile
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf
from setlist.models.training_record import Recipe, TrainingRecord
from setlist.models.two_tower.descent import Descent, mean
from setlist.models.two_tower.holdout import Holdout
from setlist.models.two_tower.initialization import (
    input_start,
    item_start,
    read_former,
    start_user_tower,
)
from setlist.models.two_tower.neighbourhood import Neighbourhood
from setlist.models.two_tower.network import ItemStart, TwoTower, UserTower
from setlist.models.two_tower.prior import recency
from setlist.models.two_tower.saved_towers import DAY_SECONDS, SavedTowers, days_since, tag_weights
from setlist.models.two_tower.stages import Checkpoint, Stages

MOST_TAGS = 2_000
"""The most frequent ones have a vector. Their start is the solution of a system of so many."""
VECTOR_SCALE = 0.1
"""Root mean square of the coordinates that the vectors start with."""


def train(
    features: Features,
    settings: ModelSettings,
    output: Path,
    record: Path,
    label: str = "candidate",
    *,
    live: Path | None = None,
    checkpoint: Checkpoint | None = None,
    recipe: Recipe | None = None,
) -> TrainingRecord:
    """Train a two-tower on the features and write it as a model folder.

    It starts at the spectral model or iALS, whichever ranks the plays that the inner split holds
    out better, and stops when `patience` epochs have ranked them no better. The epochs that ranked
    them better are then repeated on all plays; where they are better by no more than chance, the
    start is the model.

    Args:
        features: what `transform` wrote.
        settings: the `model` section.
        output: the model folder.
        record: the folder for the record of the training (`setlist.models.training_record`).
        label: the candidate's name in the record.
        live: a model folder to start from, where it is a two-tower of the same dimension.
        checkpoint: where the state of the training is kept, and found after a restart.
        recipe: of a training to repeat; nothing is chosen again.

    Returns:
        The record.

    Raises:
        DataError: when there is nothing to learn from.
        ModelError: when the loss is not finite, or the recipe starts from a live model that is not
            given.
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
    # What is repeated starts as it did: cold, or from the live model.
    former = read_former(live, settings) if live and not (recipe and recipe.learner) else None
    latest = np.inf
    if former:
        # Half of what is new to it is learnt, so that the other half can show what that brings.
        latest = (features.window.cutoff - former.window.cutoff).total_seconds() / DAY_SECONDS / 2
    split = inner_split(histories, size, latest, settings.history_length)
    if former and not split.check:
        # What the live model has seen proves nothing of a model that starts from it.
        print("cold start: too few listeners played since the live model was trained", flush=True)
        former, split = None, inner_split(histories, size, np.inf, settings.history_length)
    if former:
        print(f"warm start from the model of {former.window.cutoff:%Y-%m-%d}", flush=True)
    if recipe and not recipe.learner and not former:
        raise ModelError(
            f"{label} was trained from the live model, and cannot be trained again without it",
            "set refit to false, or warm_start to false",
        )
    stages = Stages(checkpoint)
    origin: SavedTowers | SpectralSettings | IalsSettings
    if former:
        origin = former
    elif recipe:
        origin = settings_of(recipe.learner)
    else:
        origin = choose_start(split, size, settings.dimension, stages.trials)
    dimension = origin.dimension
    batch = settings.batch or scaled_batch(len(split.learn.offsets) - 1)
    settings = settings.model_copy(update={"dimension": dimension, "batch": batch})
    vocabularies = {name: sorted(set(features.users[name]) - {""}) for name in features.inputs}
    counts = Counter(tag for item_tags in features.items["tags"] for tag in item_tags)
    tags = sorted(tag for tag, _ in counts.most_common(MOST_TAGS))
    inputs = encode_inputs(features, vocabularies)
    released = days_since(features.items["released"], features.window.cutoff)
    recencies = recency_before_and_now(histories, split, size, settings.recency_days)
    holdout = Holdout(split, inputs, recencies, released)

    def start(learn: Histories) -> Descent:
        towers = build(learn, features, settings, tags, vocabularies, inputs, origin)
        return Descent(towers, settings)

    inner = start(split.learn)
    towers = inner.towers
    heat = recipe.heat if recipe else 0.0
    if split.check and not former and not recipe:
        heat = holdout.log_temperature(towers)
    inner.warm(heat)
    stages.begin("inner", inner)
    logs = record / "tensorboard" / label
    # Where nobody can be held out, nothing could show that training helps: the start is the model.
    plan = recipe.rates if recipe else None if split.check else []
    judge = partial(holdout.judge, towers) if plan is None else None
    inner.fit(split.learn, inputs, plan, judge, stages.save, logs)
    judgement, neighbourhood, item_item = None, None, None
    if split.check:
        item_item, neighbourhood = neighbours_of(holdout, towers, size, stages.trials, recipe)
        judgement = holdout.judge(towers, neighbourhood)
        print(f"learning all plays: {len(inner.rates)} epochs", flush=True)
        whole = start(histories)
        whole.warm(heat)
        stages.begin("whole", whole)
        whole.fit(histories, inputs, inner.rates, None, stages.save, None)
        towers = whole.towers
        if neighbourhood and item_item:
            neighbourhood = neighbourhood.refitted(play_matrix(histories, size), item_item)
    training = TrainingRecord(
        label=label,
        settings=settings,
        epochs=inner.epochs,
        best=inner.best,
        listeners=split.listeners,
        loss=judgement.loss if judgement else None,
        ndcg=float(judgement.ndcg.mean()) if judgement else None,
        seconds=round(time.perf_counter() - began, 3),
        warm=former is not None,
        share=features.share,
        recipe=Recipe(
            learner={} if isinstance(origin, SavedTowers) else vars(origin),
            heat=heat,
            rates=inner.rates,
            item_item=vars(item_item) if item_item else {},
            share=neighbourhood.share if neighbourhood else 0.0,
        ),
        start=f"the model of {former.window.cutoff:%Y-%m-%d}" if former else str(origin),
        start_ndcg=mean(inner.start),
        timeless=bool(split.check) and split.since is None,
        trials=stages.trials.in_full,
        neighbours=f"{item_item} with a share of {neighbourhood.share:.0%}"
        if neighbourhood
        else "",
    )
    SavedTowers(
        catalogue=features.items["item_id"].tolist(),
        tags=tags,
        vocabularies=vocabularies,
        history_length=settings.history_length,
        weights=towers.values(),
        plays=towers.plays,
        prior=judgement.prior if judgement else holdout.no_prior(),
        window=features.window,
        neighbourhood=neighbourhood,
        approximate_items=settings.approximate_items,
    ).export(features.items, features.window.cutoff, output)
    write_item_table(output, features.items)
    write_profile(output, features)
    training.write(record)
    if checkpoint:
        checkpoint.clear()
    return training


def choose_start(
    split: InnerSplit, items: int, dimension: int | None, trials: Trials | None = None
) -> SpectralSettings | IalsSettings:
    """The learner whose item vectors rank the held-out plays best.

    Args:
        split: of the training period.
        items: of the catalogue.
        dimension: of the vectors, where it is set.
        trials: where what was measured is kept.
    """
    settings, worth = choose_spectral(split, items, dimension, trials)
    other, other_worth = choose_ials(split, items, dimension, trials)
    return other if (other_worth or 0.0) > (worth or 0.0) else settings


def neighbours_of(
    holdout: Holdout, towers: TwoTower, items: int, trials: Trials, recipe: Recipe | None
) -> tuple[ItemItemSettings | None, Neighbourhood | None]:
    """The item-item learner, and its weights where they have a share of the score.

    Args:
        holdout: to choose on.
        towers: trained on what is not held out.
        items: of the catalogue.
        trials: where what was measured is kept.
        recipe: the choice, where it was made before.
    """
    plays = play_matrix(holdout.split.learn, items)
    if not recipe:
        settings = choose_item_item(holdout.split, items, trials)
        weights = holdout.scaled(towers, Neighbourhood(*neighbours(plays, settings)))
        return settings, holdout.share(towers, weights)
    if not recipe.item_item:
        return None, None
    settings = ItemItemSettings(**recipe.item_item)
    if not recipe.share:
        return settings, None
    weights = holdout.scaled(towers, Neighbourhood(*neighbours(plays, settings)))
    return settings, replace(weights, share=recipe.share)


def settings_of(learner: dict[str, float]) -> SpectralSettings | IalsSettings:
    """The settings that `Recipe.learner` holds."""
    dimension = int(learner["dimension"])
    if "unobserved" in learner:
        return IalsSettings(learner["weight"], learner["unobserved"], dimension)
    return SpectralSettings(
        row_exponent=learner["row_exponent"],
        column_exponent=learner["column_exponent"],
        dimension=dimension,
        strength=learner["strength"],
        own_share=bool(learner["own_share"]),
    )


def scaled_batch(listeners: int) -> int:
    """Up to 256 examples, and about 24 batches an epoch where listeners are few."""
    return int(np.clip(listeners // 24, 16, 256))


def build(
    learn: Histories,
    features: Features,
    settings: ModelSettings,
    tags: list[str],
    vocabularies: dict[str, list[str]],
    inputs: Int32s,
    origin: SavedTowers | SpectralSettings | IalsSettings,
) -> TwoTower:
    """The towers as they start: at the live model, or at the learner of these settings."""
    size, dimension = len(features.items), settings.dimension or 1
    plays = np.bincount(learn.items[learn.first], minlength=size).astype(np.float32)
    weights = tag_weights(features.items["tags"], tags)
    user_tower = UserTower([*map(len, vocabularies.values())], settings.history_length, dimension)
    if isinstance(origin, SavedTowers):
        catalogue = features.items["item_id"].tolist()
        start = item_start(origin, catalogue, tags, weights, plays)
        start_user_tower(user_tower, origin, vocabularies)
    else:
        table = play_matrix(learn, size)
        if isinstance(origin, SpectralSettings):
            factors = spectral(table, origin)
        else:
            factors = ials(table, origin)
        root = np.sqrt(np.square(factors.vectors[plays > 0]).mean())
        vectors = factors.vectors * (VECTOR_SCALE / max(root, 1e-9))
        start = ItemStart.split(vectors, factors.weights, weights, plays)
        user_tower.bag_scale.assign(factors.scale)
        for column, embedding in enumerate(user_tower.input_embeddings):
            values = embedding.shape[0] - 1
            embedding.assign(input_start(vectors, table, inputs[:, column], values))
    return TwoTower(user_tower, start, tags=weights, plays=plays)


def recency_before_and_now(
    histories: Histories, held: InnerSplit, size: int, days: tuple[float, ...]
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
