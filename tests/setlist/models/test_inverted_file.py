"""Approximate lists: how far they are the exact ones, and in what they have to be."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tests.setlist.models.conftest import WINDOW

from setlist.data.schema import HISTORY_AGE, tie_order
from setlist.models.contract import ModelInfo, read_info
from setlist.models.inverted_file import InvertedFile
from setlist.models.saved_model import SavedModel
from setlist.models.tf import tf
from setlist.models.two_tower.approximation import approximate
from setlist.models.two_tower.network import ItemStart, TwoTower, UserTower
from setlist.models.two_tower.refresh import refresh_items
from setlist.models.two_tower.saved_towers import SavedTowers
from setlist.models.two_tower.servable import Servable

DIMENSION, LENGTH, ITEMS, GROUPS = 16, 7, 4_000, 40
COUNTRIES = {"country": ["Chile", "Japan"]}


def grouped(seed=1):
    """float32[ITEMS, DIMENSION]: 40 groups, far from each other."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(GROUPS, DIMENSION))
    near = generator.normal(size=(ITEMS, DIMENSION)) * 0.3
    return (centres[np.arange(ITEMS) % GROUPS] + near).astype(np.float32)


def model(vectors, catalogue=None):
    """A two-tower whose listener is the mean of the plays."""
    items = len(vectors)
    start = ItemStart(
        vectors,
        np.linspace(0, 1, items, dtype=np.float32),
        np.ones(items, np.float32),
        np.zeros((2, vectors.shape[1]), np.float32),
        np.zeros(2, np.float32),
    )
    tags = sparse.csr_array((items, 1), dtype=np.float32)
    user_tower = UserTower([2], LENGTH, vectors.shape[1])
    towers = TwoTower(user_tower, start, tags=tags, plays=np.ones(items, np.float32))
    ids = catalogue or tie_order([f"item-{item:06}" for item in range(items)])
    return Servable(ids, towers, COUNTRIES, np.zeros((items, 2), np.float32))


def brute_force(vectors, user, exclude, k):
    """Codes and scores, by sorting all of them."""
    scores = vectors @ user
    scores[exclude] = -np.inf
    order = np.lexsort([np.arange(len(scores)), -scores])[:k]
    return order, scores[order]


@pytest.fixture(scope="module")
def clustered():
    made = model(grouped())
    approximate(made, COUNTRIES, np.ones(ITEMS, np.float32))
    return made


@pytest.fixture(scope="module")
def served(clustered, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clustered")
    clustered.export(folder, "two_tower", WINDOW)
    return folder


def test_the_recall_that_is_recorded_is_that_against_brute_force(clustered):
    inverted = clustered.inverted_file
    assert inverted.clusters < 1.5 * np.sqrt(ITEMS)
    assert inverted.probes <= inverted.clusters / 4
    recorded = float(clustered.approximation.partition("recall@100 ")[2].split()[0])
    assert 0.95 <= recorded <= 1
    vectors = clustered.vectors.numpy()
    generator = np.random.default_rng(7)
    history = generator.integers(0, ITEMS, (60, LENGTH)).astype(np.int32)
    history = np.where(np.arange(LENGTH) < generator.integers(0, LENGTH, 60)[:, None], -1, history)
    inputs = {"country": tf.fill([60], ""), HISTORY_AGE: tf.zeros(history.shape)}
    codes, scores = clustered.best(history, history, 100, inputs)
    users = clustered.embed(history, inputs).numpy()
    shares = []
    for user, row, listed, score in zip(users, history, codes.numpy(), scores.numpy(), strict=True):
        expected, _ = brute_force(vectors, user, row[row >= 0], 100)
        shares.append(np.isin(listed, expected).mean())
        np.testing.assert_allclose(score, (vectors @ user)[listed], rtol=1e-5, atol=1e-6)
        assert (np.diff(score) <= 0).all()
        assert len(set(listed)) == 100
        assert not set(listed) & set(row)
    assert np.mean(shares) >= 0.93, "other listeners than those on whom probes were chosen"


def test_with_all_clusters_read_it_is_exact_ties_and_exclusions_included():
    generator = np.random.default_rng(3)
    vectors = generator.integers(-2, 3, (500, 3)).astype(np.float32)  # many equal scores
    inverted = InvertedFile.of(vectors, np.ones((1, 3), np.float32))
    inverted.probes = inverted.clusters
    for k in (0, 1, 50, 400):
        user = generator.integers(-2, 3, 3).astype(np.float32)
        exclude = np.append(generator.integers(0, 500, 30), [-1, -1]).astype(np.int32)
        codes, scores, filled = inverted.best(
            tf.constant(user), tf.constant(vectors), tf.constant(exclude), tf.constant(k)
        )
        expected = brute_force(vectors, user, exclude[:-2], k)
        np.testing.assert_array_equal(codes, expected[0])
        np.testing.assert_array_equal(scores, expected[1])
        assert filled


def test_minus_zero_is_zero():
    vectors = np.array([[-1, 0], [1, 0], [-1, 0]], np.float32)
    inverted = InvertedFile.of(vectors, np.ones((1, 2), np.float32))
    inverted.probes = inverted.clusters
    zero = tf.constant([-0.0, 0.0])
    codes, _, _ = inverted.best(zero, tf.constant(vectors), tf.constant([], tf.int32), 3)
    np.testing.assert_array_equal(codes, [0, 1, 2])


def asked(folder, history, exclude, k):
    return SavedModel(folder).recommend(history, exclude, k, {"country": [""] * len(history)})


def test_a_list_that_the_clusters_do_not_fill_is_the_exact_one(clustered, served):
    ids = clustered.catalogue.tolist()
    near = [item for place, item in enumerate(ids) if place % GROUPS == 3]
    history = [near[:5]] * 3
    exclude = [near, [], ids[5:]]
    listed, scores = asked(served, history, exclude, ITEMS + 7)
    assert [sum(row != "") for row in listed] == [ITEMS - len(near), ITEMS, 5]
    for row, out in zip(listed, exclude, strict=True):
        assert not set(row) & set(out)
    user = clustered.embed(
        tf.constant([[3, 43, 83, 123, 163]]),
        {"country": tf.constant([""]), HISTORY_AGE: tf.zeros([1, 5])},
    )
    expected, _ = brute_force(clustered.vectors.numpy(), user.numpy()[0], [], ITEMS)
    np.testing.assert_array_equal(listed[1], np.array(ids, dtype=object)[expected])
    assert (scores[2][5:] == -np.inf).all()


def test_a_newcomer_is_answered_exactly(clustered, served):
    """What is popular is in all groups alike: the bias of an item is its place."""
    listed, _ = asked(served, [[], ["no such item"]], [[], []], 100)
    for row in listed:
        np.testing.assert_array_equal(row, clustered.catalogue[::-1][:100])


def test_a_list_does_not_depend_on_who_else_is_asked_for(clustered, served):
    ids = clustered.catalogue.tolist()
    near = [[item for place, item in enumerate(ids) if place % GROUPS == group] for group in (3, 8)]
    history, exclude = [near[0][:3], near[1][:3], []], [[], ids[:-120], []]
    together = asked(served, history, exclude, 100)
    for row in range(3):
        alone = asked(served, history[row : row + 1], exclude[row : row + 1], 100)
        np.testing.assert_array_equal(together[0][row], alone[0][0])
        np.testing.assert_allclose(together[1][row], alone[1][0], rtol=1e-4, atol=1e-5)
    assert asked(served, [], [], 100)[0].shape == (0, 100)


def test_what_is_evaluated_is_what_is_served(served):
    signatures = set(tf.saved_model.load(str(served / "saved_model")).signatures)
    assert signatures == {"recommend", "serving_default"}
    assert "recall@100" in read_info(served).approximation


def test_where_clusters_find_too_little_it_stays_exact_and_says_so(capsys, tmp_path):
    made = model(np.random.default_rng(5).normal(size=(ITEMS, 64)).astype(np.float32))
    approximate(made, COUNTRIES, np.ones(ITEMS, np.float32))
    assert made.inverted_file is None
    assert made.approximation == ""
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("exact retrieval, since less than 0.95:")
    made.export(tmp_path, "two_tower", WINDOW)
    assert {"embed", "items"} <= set(tf.saved_model.load(str(tmp_path / "saved_model")).signatures)


def test_nan_is_an_error(clustered, monkeypatch):
    monkeypatch.setattr(clustered, "embed", lambda *_: tf.fill([1, DIMENSION + 3], np.nan))
    ages = {"country": tf.constant([""]), HISTORY_AGE: tf.constant([[0.0]])}
    with pytest.raises(tf.errors.InvalidArgumentError, match="contain NaN"):
        clustered.best(tf.constant([[3]]), tf.constant([[-1]]), 5, ages)


@pytest.mark.parametrize(("bound", "approximates"), [(None, False), (27, False), (5, True)])
def test_only_beyond_the_setting(models, features, tmp_path, bound, approximates, monkeypatch):
    """Of the small two-tower of the suite; whether it reaches the recall is not the question."""
    monkeypatch.setattr("setlist.models.two_tower.approximation.LEAST_RECALL", 0.0)
    towers = replace(SavedTowers.read(models / "two_tower"), neighbourhood=None)
    assert len(towers.catalogue) <= 27
    towers = replace(towers, approximate_items=bound)
    towers.export(features.items, WINDOW.cutoff, tmp_path / "m")
    assert bool(read_info(tmp_path / "m").approximation) is approximates
    assert SavedTowers.read(tmp_path / "m").approximate_items == bound


def test_a_refresh_keeps_the_setting(models, features, tmp_path, monkeypatch):
    monkeypatch.setattr("setlist.models.two_tower.approximation.LEAST_RECALL", 0.0)
    towers = SavedTowers.read(models / "two_tower")
    towers = replace(towers, neighbourhood=None, approximate_items=5)
    towers.export(features.items, WINDOW.cutoff, tmp_path / "m")
    for name in ("items.parquet", "profile.json"):
        (tmp_path / "m" / name).write_bytes((models / "two_tower" / name).read_bytes())
    items = features.items.assign(released=pd.Series(pd.NaT, dtype="datetime64[us, UTC]"))
    refresh_items(tmp_path / "m", items, WINDOW.cutoff, tmp_path / "new")
    assert read_info(tmp_path / "new").approximation


def test_an_older_description_of_a_model_is_exact():
    older = {
        "name": "two_tower",
        "kind": "two_tower",
        "catalogue_size": 3,
        "history_length": 5,
        "training_window": {},
        "code_version": "0",
    }
    assert ModelInfo.model_validate(older).approximation == ""


LOAD = """
import sys

import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
answer = model.signatures["recommend"](
    history=tf.constant([["item-000003", "no such item"]]),
    exclude=tf.constant([["item-000007"]]),
    k=tf.constant(10),
    country=tf.constant([""]),
    history_age_days=tf.constant([[1.0, 0.0]]),
)
assert "setlist" not in sys.modules
print(*(item.decode() for item in answer["item_ids"][0].numpy()))
"""


def test_it_loads_without_this_project(served):
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(served / "saved_model")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ages = [[1.0, 0.0]]
    ids, _ = SavedModel(served).recommend(
        [["item-000003", "no such item"]], [["item-000007"]], 10, {"country": [""]}, ages
    )
    assert done.stdout.split() == ids[0].tolist()
