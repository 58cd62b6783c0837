"""Models that must not go live. All of them know the planted truth, and each has one fault.

But for its fault a rogue is better than anything that could be trained, so that nothing but the
rule that is meant for it can stop it. Where the fault cannot be had without bad lists (random,
shuffled, constant), several rules see it. Those whose lists are right are in `answers`.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from tests.gallery.cases import ALONE, rogue, unfit
from tests.gallery.scripted import Scripted
from tests.gallery.world import LEARNER, World

from setlist.evaluation.policy import Guardrail, Policy
from setlist.models.tf import tf

WORSE = ("better than ", "not worse than ", "no group by ")


def only(world: World, codes) -> np.ndarray:
    """The planted truth on some items, and all others far behind them."""
    table = world.utility - 1e3
    table[:, codes] = world.utility[:, codes]
    return table


# What it lists.


@rogue(
    "adds popularity to everything it knows",
    "popularity_lift@10 at most of co_visited's",
    but="at most twice the best heuristic's popularity lift",
    policy=Policy(
        guardrails=(Guardrail(metric="popularity_lift@10", at_most=2, of="best_heuristic"),)
    ),
)
def popularity_in_disguise(world: World, folder: Path) -> None:
    Scripted(world, world.utility + 1.5 * world.popularity).save(world, folder)


@rogue(
    "has 58 items for everybody, each listener's ten of them in the right order",
    "coverage@10 at least",
    but="nothing live",
    policy=ALONE,
    live="",
)
def a_handful_of_hits(world: World, folder: Path) -> None:
    Scripted(world, only(world, world.best(58))).save(world, folder)


@rogue(
    "the same ten items for everybody",
    "coverage@10 at least",
    "no group by country",
    but="nothing live, most_popular the only heuristic",
    policy=ALONE,
    live="",
    heuristics=("most_popular",),
)
def the_same_ten(world: World, folder: Path) -> None:
    ten = world.best(10)
    table = np.full_like(world.utility, -1e3)
    table[:, ten] = world.appetite[world.rows][:, ten].mean(axis=0)
    Scripted(world, table).save(world, folder)


@rogue(
    "leans to the favourite topic of each listener",
    "intra_list_diversity@10 at least of live-3's",
    but="at least .9 of the live model's diversity",
    policy=Policy(
        guardrails=(Guardrail(metric="intra_list_diversity@10", at_least=0.9, of="live"),)
    ),
)
def too_much_of_the_same(world: World, folder: Path) -> None:
    topic = world.truth.playlists["topic"].loc[world.catalogue].to_numpy()
    favourite = world.truth.taste_end.idxmax(axis=1).to_numpy()
    Scripted(world, world.utility + 2.0 * (topic == favourite[:, None])).save(world, folder)


@rogue("hits of Brazil for everybody", *WORSE)
def hits_of_one_region(world: World, folder: Path) -> None:
    region = world.truth.playlists["region"].loc[world.catalogue]
    Scripted(world, only(world, np.flatnonzero(region == "BR"))).save(world, folder)


@rogue("hits of Brazil for Sweden", "no group by country worse off than with live-3")
def hits_of_one_region_abroad(world: World, folder: Path) -> None:
    region = world.truth.playlists["region"].loc[world.catalogue].to_numpy()
    sent = np.outer(world.are("country", "SE"), region == "BR")
    Scripted(world, world.utility + 20.0 * sent).save(world, folder)


@rogue(
    "right for everybody but newcomers",
    "no group by history length worse off than with live-3",
)
def bad_for_newcomers(world: World, folder: Path) -> None:
    newcomer = world.are("listener", "newcomer")
    Scripted(world, np.where(newcomer[:, None], -world.utility, world.utility)).save(world, folder)


@rogue("a random order", *WORSE)
def random_order(world: World, folder: Path) -> None:
    draws = np.random.default_rng(1).random(world.utility.shape)
    Scripted(world, draws.astype(np.float32)).save(world, folder)


@rogue("the same score for every item", *WORSE, "coverage@10 at least")
def constant_scores(world: World, folder: Path) -> None:
    Scripted(world, np.zeros_like(world.utility)).save(world, folder)


@rogue("right scores under wrong ids", *WORSE)
def shuffled_ids(world: World, folder: Path) -> None:
    order = np.random.default_rng(1).permutation(len(world.catalogue))
    Scripted(world, world.utility[:, order]).save(world, folder)


@rogue(
    "co-visitation, and the planted truth for 4% of the listeners",
    "better than co_visited",
    but="nothing live",
    policy=ALONE,
    live="",
)
def a_hair_better(world: World, folder: Path) -> None:
    lucky = np.random.default_rng(1).random(len(world.listeners)) < 0.04
    Scripted(world, np.where(lucky[:, None], world.utility, world.co_visited)).save(world, folder)


@rogue(
    "co-visitation: better than what is popular, worse than a learner of a second",
    "better than spectral",
    "no group by history length worse off than with spectral",
    but="nothing live; popularity of three kinds and the spectral learner",
    policy=ALONE,
    live="",
    heuristics=("most_popular", "recently_popular", "popular_by_segment", "spectral"),
)
def loses_to_a_learner_of_one_second(world: World, folder: Path) -> None:
    Scripted(world, world.co_visited).save(world, folder)


def declined(world: World, share: float) -> np.ndarray:
    """The planted truth, for a share of the listeners reversed: the same ones, and more of them."""
    fallen = np.random.default_rng(1).random(len(world.listeners)) < share
    return np.where(fallen[:, None], -world.utility, world.utility)


@rogue(
    "a little worse than the live model, which is a little worse than the one before, and so on",
    "not worse than anchor-2",
    but="its predecessor live, the planted truth as anchor",
    live="decliner-3",
    anchor="anchor-2",
)
def slow_decliner(world: World, folder: Path) -> None:
    Scripted(world, declined(world, 0.024)).save(world, folder)


# What it knows.


@rogue("knows the test period by heart", "not too good to be true")
def leaks_the_test_period(world: World, folder: Path) -> None:
    future = world.pairs(world.people.truth.rows, world.people.truth)
    Scripted(world, world.utility + 20.0 * future).save(world, folder)


@unfit("was trained two weeks past the cutoff, and says so", "it has seen the test period")
def trained_past_the_cut(world: World, folder: Path) -> None:
    Scripted(world).save(world, folder)
    path = folder / "model.json"
    document = json.loads(path.read_text("utf-8"))
    document["training_window"]["end"] = world.features.window.end.isoformat()
    path.write_text(json.dumps(document), "utf-8")


@rogue("knows the better half of the catalogue", "knows the catalogue")
def half_of_the_catalogue(world: World, folder: Path) -> None:
    known = np.argsort(-world.popularity)[: len(world.catalogue) // 2]
    Scripted(world, catalogue=[world.catalogue[code] for code in known]).save(world, folder)


@rogue("claims the whole catalogue, and lists the better half of it", "knows the catalogue")
def silent_on_half_of_it(world: World, folder: Path) -> None:
    unheard = np.argsort(world.popularity)[: len(world.catalogue) // 2]
    table = world.utility.copy()
    table[:, unheard] = -np.inf
    Scripted(world, table).save(world, folder)


@rogue(
    "is good only when told the slice that a listener is tested in", *WORSE, "coverage@10 at least"
)
def knows_when_it_is_tested(world: World, folder: Path) -> None:
    class Asking(Scripted):
        def score(self, history, inputs):
            told = tf.cast(inputs["listener"] != "", tf.float32)[:, None]
            return super().score(history, inputs) * (2 * told - 1)

    model = Asking(world)
    model.inputs = (*model.inputs, "listener")
    model.save(world, folder)


@rogue("yesterday's model under a new name", "another model than live-3")
def yesterdays_model(world: World, folder: Path) -> None:
    shutil.copytree(world.folder / "heuristics" / LEARNER, folder)
    path = folder / "model.json"
    document = json.loads(path.read_text("utf-8")) | {"name": folder.name}
    path.write_text(json.dumps(document), "utf-8")
