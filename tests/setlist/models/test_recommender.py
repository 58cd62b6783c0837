"""What stands where in a SavedModel, and that a batch is answered in blocks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from tensorflow.core.protobuf import saved_model_pb2
from tests.setlist.models.conftest import WINDOW

from setlist.data.schema import HISTORY_AGE, tie_order
from setlist.models import recommender
from setlist.models.heuristics import CoVisited, Popular, PopularBySegment
from setlist.models.learners.factors import ItemFactors
from setlist.models.learners.learnable import Bag, ItemItem
from setlist.models.recommender import DotProduct, Recommender, frozen
from setlist.models.saved_model import SavedModel
from setlist.models.tf import tf
from setlist.models.two_tower.neighbourhood import Neighbourhood
from setlist.models.two_tower.network import ItemStart, TwoTower, UserTower
from setlist.models.two_tower.servable import Servable, ServableWithNeighbours

DIMENSION, NEIGHBOURS, LENGTH = 16, 5, 7


class Played:
    """As much of `Learnable` as a learner that is fitted elsewhere asks for."""

    def __init__(self, items: int) -> None:
        self.listeners = np.ones(items, np.float32)
        self.popularity = np.ones(items, np.float32)
        self.played = catalogue(items)


def catalogue(items: int) -> list[str]:
    return tie_order([f"item-{item:06}" for item in range(items)])


def whole(*shape: int, seed: int = 1) -> np.ndarray:
    """Small whole numbers, whose products are exact."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def towers(items: int) -> TwoTower:
    start = ItemStart(
        whole(items, DIMENSION),
        whole(items, seed=2),
        whole(items, seed=3) / 4,
        whole(2, DIMENSION, seed=4),
        whole(2, seed=5),
    )
    tags, plays = sparse.csr_array(np.eye(items, 1, dtype=np.float32)), whole(items, seed=6)
    return TwoTower(UserTower([1], LENGTH, DIMENSION), start, tags=tags, plays=plays)


def near(items: int) -> tuple[np.ndarray, np.ndarray]:
    codes = np.random.default_rng(7).integers(0, items, (items, NEIGHBOURS)).astype(np.int32)
    return codes, whole(items, NEIGHBOURS, seed=8)


def two_tower(items: int) -> Servable:
    return Servable(catalogue(items), towers(items), {"country": ["Chile"]}, whole(items, 2))


def with_neighbours(items: int) -> Servable:
    prior, neighbourhood = whole(items, 2), Neighbourhood(*near(items), share=0.5)
    parts = catalogue(items), towers(items), {"country": ["Chile"]}, prior
    return ServableWithNeighbours(*parts, neighbourhood)


def bag(items: int) -> Bag:
    weights = np.random.default_rng(9).choice([0.5, 1.0], items).astype(np.float32)
    scale = np.arange(DIMENSION, dtype=np.float32)
    return Bag(Played(items), ItemFactors(whole(items, DIMENSION), weights, scale))


MODELS = {
    two_tower: DIMENSION + 4,  # the vector, the bias, two priors, the factor of a play
    with_neighbours: DIMENSION + 4 + 2 * NEIGHBOURS,
    bag: DIMENSION + 2,
    lambda items: ItemItem(Played(items), *near(items)): 2 * NEIGHBOURS + 1,
    lambda items: CoVisited(catalogue(items), *near(items)): 2 * NEIGHBOURS,
    lambda items: Popular(catalogue(items), whole(items)): 1,
    lambda items: PopularBySegment(catalogue(items), "country", ["Chile"], whole(2, items)): 2,
}
"""A model of so many items, and how many numbers it has to hold of each."""


def graph(folder: Path) -> list:
    """All nodes of a SavedModel."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    functions = (node for one in meta.graph_def.library.function for node in one.node_def)
    return [*meta.graph_def.node, *functions]


@pytest.mark.parametrize(("make", "numbers"), MODELS.items())
def test_what_grows_with_the_catalogue_stands_beside_the_graph_and_once(make, numbers, tmp_path):
    sizes = {}
    for items in (100, 2_100):
        make(items).export(tmp_path / str(items), "model", WINDOW)
        folder = tmp_path / str(items) / "saved_model"
        sizes[items] = [
            (folder / name).stat().st_size
            for name in ("saved_model.pb", "variables/variables.data-00000-of-00001")
        ]
    more = np.subtract(sizes[2_100], sizes[100])
    assert abs(more[0]) < 200
    ids = len("item-000000") + 1  # each string has its length before it
    assert more[1] == 2_000 * (4 * numbers + ids)


@pytest.mark.parametrize("make", MODELS)
def test_no_large_variable_is_gathered_from_which_would_make_every_read_a_copy(make, tmp_path):
    model = make(100)
    model.export(tmp_path, "model", WINDOW)
    gathered = {
        node.name for node in graph(tmp_path / "saved_model") if "ResourceGather" in node.op
    }
    small = UserTower([1], LENGTH, DIMENSION).variables if isinstance(model, Servable) else ()
    assert len(gathered) <= len(small)


def test_the_vectors_are_made_in_blocks(monkeypatch):
    made = towers(30)
    prior = whole(30, 2, seed=9)
    once = Servable(catalogue(30), made, {"country": ["Chile"]}, prior)
    monkeypatch.setattr("setlist.models.two_tower.servable.ROWS", 7)
    blocks = Servable(catalogue(30), made, {"country": ["Chile"]}, prior)
    np.testing.assert_array_equal(blocks.vectors, once.vectors)
    np.testing.assert_array_equal(once.vectors[:, :-2], made.item_tower())
    np.testing.assert_array_equal(once.vectors[:, -2:], prior)


def test_a_learner_counts_plays_as_its_factors_say():
    model = bag(20)
    weights = model._weights.numpy()
    history = np.array([[-1, 3, 5], [-1, -1, -1]], np.int32)
    into = model.vectors.numpy()[:, :-1] * model._scale.numpy() * weights[:, None]
    expected = np.array([into[3] + into[5], np.zeros(DIMENSION)])
    np.testing.assert_array_equal(model.embed(history, {})[:, :-1], expected)


def asked(model: SavedModel, ids: list[str], listeners: int, k: int):
    """An answer to listeners of any length, with exclusions."""
    generator = np.random.default_rng(listeners)
    plays = [generator.choice(ids, generator.integers(0, 12)).tolist() for _ in range(listeners)]
    inputs = {"country": generator.choice(["Chile", "", "Peru"], listeners).tolist()}
    ages = [generator.integers(0, 9, len(row)).tolist() for row in plays]
    return model.recommend(plays, [row[1:] for row in plays], k, inputs, ages)


@pytest.mark.parametrize("make", MODELS)
def test_blocks_of_listeners_are_answered_as_all_at_once(make, tmp_path, monkeypatch):
    ids = catalogue(40)
    make(40).export(tmp_path / "whole", "model", WINDOW)
    monkeypatch.setattr(recommender, "BLOCK_SCORES", 3 * 40 + 1)
    make(40).export(tmp_path / "blocks", "model", WINDOW)
    at_once, in_blocks = SavedModel(tmp_path / "whole"), SavedModel(tmp_path / "blocks")
    assert "For" in {node.op for node in graph(tmp_path / "blocks" / "saved_model")}
    for listeners in (0, 1, 2, 3, 4, 10):
        for k in (0, 1, 6, 99):
            expected, got = (asked(model, ids, listeners, k) for model in (at_once, in_blocks))
            np.testing.assert_array_equal(got[0], expected[0])
            np.testing.assert_allclose(got[1], expected[1], rtol=1e-6)


class Counting(DotProduct):
    """Fails when it is asked for the scores of more than some listeners."""

    def __init__(self, most: int, items: int) -> None:
        super().__init__(catalogue(items), inputs=(HISTORY_AGE,))
        self.vectors = frozen(whole(items, 2))
        self.most = most

    def embed(self, history, inputs):
        tf.debugging.assert_less_equal(tf.shape(history)[0], self.most)
        ages = tf.reduce_sum(inputs[HISTORY_AGE], axis=1, keepdims=True)
        return tf.concat([ages, ages + 1], axis=1)


def answered(model: Recommender, listeners: int) -> tf.Tensor:
    strings = tf.fill([listeners, 3], "")
    ages = tf.zeros([listeners, 3])
    return model.recommend(strings, strings, 5, {HISTORY_AGE: ages})["item_ids"]


def test_a_block_holds_a_bounded_number_of_scores(monkeypatch):
    monkeypatch.setattr(recommender, "BLOCK_SCORES", 200)
    assert answered(Counting(200 // 30, 30), 50).shape == (50, 5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        answered(Counting(200 // 30 - 1, 30), 50)


def test_of_a_catalogue_beyond_a_block_one_listener_is_scored_at_a_time(monkeypatch):
    monkeypatch.setattr(recommender, "BLOCK_SCORES", 20)
    assert answered(Counting(1, 30), 4).shape == (4, 5)


def test_a_small_catalogue_is_answered_without_a_loop(tmp_path):
    two_tower(40).export(tmp_path, "model", WINDOW)
    operations = {node.op for node in graph(tmp_path / "saved_model")}
    assert not {"For", "While", "StatelessWhile"} & operations


SESSION = """
import sys

import tensorflow as tf

with tf.compat.v1.Session(graph=tf.Graph()) as session:
    meta = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
    signature = meta.signature_def["serving_default"]
    rows = {"history": [["item-000003", "no such item"]], "exclude": [["item-000007"]]}
    answer = session.run(
        signature.outputs["item_ids"].name,
        {signature.inputs[name].name: values for name, values in rows.items()},
    )
print(*(item.decode() for item in answer[0]))
"""


def test_a_session_restores_the_variables_before_it_fills_the_lookup(tmp_path):
    """As TensorFlow Serving loads a model: restore, then initialize."""
    bag(40).export(tmp_path, "bag", WINDOW)
    done = subprocess.run(
        [sys.executable, "-c", SESSION, str(tmp_path / "saved_model")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ids, _ = SavedModel(tmp_path).recommend([["item-000003"]], [["item-000007"]], 100)
    assert done.stdout.split() == [item for item in ids[0] if item]
    assert len(done.stdout.split()) == 39


class Width(Recommender):
    """Its scores are the number of columns that it was given."""

    def score(self, history, inputs):
        tf.debugging.assert_equal(tf.shape(history), tf.shape(inputs[HISTORY_AGE]))
        columns = tf.cast(tf.shape(history)[1], tf.float32)
        return tf.fill([tf.shape(history)[0], len(self.catalogue)], columns)


@pytest.mark.parametrize(("plays", "columns"), [([], 0), ([""] * 40, 0), (["item-000001"] * 3, 3)])
def test_a_model_gets_no_wider_history_than_it_reads(tmp_path, plays, columns):
    """A vector for each of 2,000 plays of 1,000 listeners takes more memory than a server has."""
    model = Width(catalogue(4), history_length=LENGTH, inputs=[HISTORY_AGE])
    model.export(tmp_path, "width", WINDOW)
    loaded = SavedModel(tmp_path)
    _, scores = loaded.signature([plays], [[]], 1, {}, [[1.0] * len(plays)])
    assert scores[0] == columns
    many = ["item-000000", *["item-000002"] * 2_000]
    _, scores = loaded.signature(
        [plays, many], [[], []], 1, {}, [[1.0] * len(plays), [2.0] * 2_001]
    )
    assert (scores == LENGTH).all()
