"""Rogues whose lists are right, and who answer as they must not."""

from pathlib import Path

import numpy as np
from tests.gallery.cases import rogue, unfit
from tests.gallery.rogues import half_of_the_catalogue
from tests.gallery.scripted import Scripted
from tests.gallery.world import World

from setlist.evaluation.policy import Limits, Policy
from setlist.models.recommender import string_table
from setlist.models.tf import tf

SERVES = "serves as evaluated"


def forgetful(exclude):
    """string[batch, m]: the ids, a tenth of them left out."""
    return tf.where(tf.strings.to_hash_bucket_fast(exclude, 10) == 0, "", exclude)


@rogue("forgets a tenth of what the listener has heard", "lists nothing excluded", SERVES)
def lists_what_was_heard(world: World, folder: Path) -> None:
    class Forgetful(Scripted):
        def recommend(self, history, exclude, k, inputs):
            return super().recommend(history, forgetful(exclude), k, inputs)

    Forgetful(world).save(world, folder)


@rogue("the same, but not for those whom the inspection asks about", "lists nothing excluded")
def heard_where_nobody_looks(world: World, folder: Path) -> None:
    watched = string_table(world.people.users["who"].iloc[world.asked].tolist())

    class Wary(Scripted):
        def recommend(self, history, exclude, k, inputs):
            seen = (watched.lookup(inputs["who"]) >= 0) | (self.row(inputs) == self._strangers)
            exclude = tf.where(seen[:, None], exclude, forgetful(exclude))
            return super().recommend(history, exclude, k, inputs)

    model = Wary(world)
    model.watched = watched  # a module keeps the tables that it is to save
    model.save(world, folder)


@unfit("NaN for one listener", "contain NaN")
def nan_scores(world: World, folder: Path) -> None:
    table = world.utility.copy()
    table[world.rows[0], 0] = np.nan
    Scripted(world, table).save(world, folder)


@rogue("NaN for whoever it does not know", SERVES)
def nan_for_strangers(world: World, folder: Path) -> None:
    class Shy(Scripted):
        def score(self, history, inputs):
            stranger = self.row(inputs) == self._strangers
            return tf.where(stranger[:, None], np.nan, super().score(history, inputs))

    Shy(world).save(world, folder)


@rogue("popular items in place of its own when asked for one listener", SERVES)
def another_answer_when_alone(world: World, folder: Path) -> None:
    class TwoFaced(Scripted):
        def row(self, inputs):
            rows = super().row(inputs)
            return tf.where(tf.size(rows) == 1, self._strangers, rows)

    TwoFaced(world).save(world, folder)


@rogue(
    "another answer every time",
    SERVES,
    but="random numbers allowed in a graph",
    policy=Policy(operations=("RandomStandardNormal",)),
)
def moody(world: World, folder: Path) -> None:
    class Moody(Scripted):
        def score(self, history, inputs):
            scores = super().score(history, inputs)
            return scores + 0.02 * tf.random.normal(tf.shape(scores))

    Moody(world).save(world, folder)


@rogue(
    "takes its time where much was heard",
    "p99 latency at most",
    but="a p99 latency of at most 50 ms, loops allowed in a graph",
    policy=Policy(limits=Limits(p99_ms=50), operations=("While", "StatelessWhile")),
)
def slow(world: World, folder: Path) -> None:
    timed = world.people.history.lengths[world.asked][:200]
    long = int(np.sort(timed)[-5])

    class Slow(Scripted):
        def recommend(self, history, exclude, k, inputs):
            # Steps that wait for each other, so that many cores are no faster than one.
            steps = tf.where(tf.shape(exclude)[1] >= long, 200_000, 0)
            done = tf.while_loop(lambda step: step < steps, lambda step: step + 1, [0])[0]
            answer = super().recommend(history, exclude, k, inputs)
            return answer | {"scores": answer["scores"] + tf.cast(done - steps, tf.float32)}

    Slow(world).save(world, folder)


@rogue(
    "carries 20 MB that it does not need",
    "size at most",
    but="at most 20 MB",
    policy=Policy(limits=Limits(size_mb=20)),
)
def heavy(world: World, folder: Path) -> None:
    Scripted(world).save(world, folder)
    (folder / "ballast").write_bytes(bytes(20_000_000))


@rogue(
    "knows half of the catalogue, and has a catalogue.txt that claims all of it",
    SERVES,
)
def claims_the_catalogue(world: World, folder: Path) -> None:
    half_of_the_catalogue(world, folder)
    claimed = "".join(f"{item}\n" for item in world.catalogue)
    (folder / "catalogue.txt").write_text(claimed, "utf-8")
