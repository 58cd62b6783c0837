"""Models that must go live, and the rivals beside which all of them are judged."""

import shutil
from pathlib import Path

import numpy as np
from tests.gallery.cases import ALONE, Case, Export
from tests.gallery.rogues import declined
from tests.gallery.scripted import Scripted
from tests.gallery.world import LEARNER, World

from setlist.models.contract import ModelInfo, write_info
from setlist.models.tf import tf


def planted_truth(world: World, folder: Path) -> None:
    Scripted(world).save(world, folder)


def two_tower(world: World, folder: Path) -> None:
    shutil.copytree(world.folder / "two_tower", folder)


def learner(world: World, folder: Path) -> None:
    shutil.copytree(world.folder / "heuristics" / LEARNER, folder)


def a_little_noise(world: World, folder: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 0.02, world.utility.shape)
    Scripted(world, world.utility + noise).save(world, folder)


def many_ties(world: World, folder: Path) -> None:
    Scripted(world, np.round(2 * world.utility) / 2).save(world, folder)


def a_smaller_catalogue(world: World, folder: Path) -> None:
    known = np.argsort(-world.popularity)[: round(0.96 * len(world.catalogue))]
    Scripted(world, catalogue=[world.catalogue[code] for code in known]).save(world, folder)


class Stranger(tf.Module):
    """The planted truth by a program that shares nothing with ours but the contract."""

    def __init__(self, world: World) -> None:
        super().__init__()
        script = tf.constant(np.vstack([world.utility, world.popularity]))
        names = {"items": world.catalogue, "people": world.listeners.index.tolist()}
        for name, values in names.items():
            pairs = tf.lookup.KeyValueTensorInitializer(values, tf.range(len(values)))
            setattr(self, name, tf.lookup.StaticHashTable(pairs, default_value=len(values)))
        ids = tf.constant(world.catalogue)
        strings = tf.TensorSpec([None, None], tf.string)

        @tf.function(
            input_signature=[
                strings,
                strings,
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([None], tf.string),
            ]
        )
        def recommend(history, exclude, k, who):
            scores = tf.gather(script, self.people.lookup(who))
            out = tf.RaggedTensor.from_tensor(self.items.lookup(exclude))
            cells = tf.stack([tf.cast(out.value_rowids(), tf.int32), out.values], axis=1)
            cells = tf.boolean_mask(cells, out.values < len(world.catalogue))
            banned = tf.scatter_nd(cells, tf.ones(tf.shape(cells)[0]), tf.shape(scores)) > 0
            scores = tf.where(banned, -np.inf, scores)
            best, codes = tf.math.top_k(scores, tf.minimum(k, len(world.catalogue)))
            return {
                "item_ids": tf.where(tf.math.is_inf(best), "", tf.gather(ids, codes)),
                "scores": best,
            }

        self.recommend = recommend


def a_stranger(world: World, folder: Path) -> None:
    model = Stranger(world)
    tf.saved_model.save(
        model, str(folder / "saved_model"), signatures={"recommend": model.recommend}
    )
    info = ModelInfo(
        name="model",
        kind="stranger",
        catalogue_size=len(world.catalogue),
        history_length=1,
        inputs=("who",),
        training_window={"start": "", "end": world.features.window.cutoff.isoformat()},
        code_version="",
    )
    write_info(folder, info, world.catalogue)


HONEST: dict[str, Case] = {
    case.name: case
    for case in (
        Case("planted_truth", "knows what everybody likes at the cutoff", planted_truth),
        Case(
            "two_tower",
            "the trained two-tower, while nothing is live",
            two_tower,
            but="nothing live",
            policy=ALONE,
            live="",
        ),
        Case("a_little_noise", "the planted truth, not quite", a_little_noise),
        Case(
            "retrained",
            "nearly the lists of the live model",
            a_little_noise,
            but="the planted truth live",
            live="anchor-2",
        ),
        Case("a_stranger", "the planted truth by a program that is not ours", a_stranger),
        Case("many_ties", "the planted truth in steps of a half", many_ties),
        Case("a_smaller_catalogue", "lacks the rarest 4% of the catalogue", a_smaller_catalogue),
    )
}

RIVALS: dict[str, Export] = {
    # The two-tower is better for who plays much than what was planted for the cutoff.
    "live-3": learner,
    "anchor-2": planted_truth,
    "decliner-3": lambda world, folder: Scripted(world, declined(world, 0.0215)).save(
        world, folder
    ),
}
