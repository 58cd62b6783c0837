"""What every model has to do, whatever it is: one suite, and two lines for each model."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import pytest

from setlist.data.schema import tie_order
from setlist.errors import SetlistError
from setlist.models.contract import EMPTY, FOREIGN, folder_digest, read_catalogue
from setlist.models.item_table import read_item_table
from setlist.models.saved_model import SavedModel
from setlist.models.two_tower.saved_towers import SavedTowers

CHILE = {"country": ["Chile"]}
PLAIN_LOADER = """
import json, sys

for name in ("tf_keras", "tensorflow_recommenders", "components", "pipelines"):
    sys.modules[name] = None  # as if it were not installed
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
strings = lambda rows: tf.constant(rows, tf.string, shape=(len(rows), len(rows[0])))
inputs = {
    name: tf.constant([[0.0, 0.0]] if name == "history_age_days" else ["Chile"])
    for name in json.loads(sys.argv[2])
}
arguments = {"history": strings([["i0", "i2"]]), "exclude": strings([["i4"]]), **inputs}
full = model.signatures["recommend"](k=tf.constant(100), **arguments)
fixed = model.signatures["serving_default"](**arguments)
assert (full["item_ids"].numpy() == fixed["item_ids"].numpy()).all()
assert (full["scores"].numpy() == fixed["scores"].numpy()).all()
print(json.dumps([item.decode() for item in full["item_ids"].numpy()[0]]))
"""


class Rows(NamedTuple):
    """Codes of each listener, one after the other."""

    offsets: np.ndarray
    codes: np.ndarray


def coded(item_ids: pd.Index, lists: list[list[str]]) -> Rows:
    codes = item_ids.get_indexer([item for row in lists for item in row]).astype(np.int32)
    assert (codes >= 0).all()
    return Rows(np.cumsum([0, *map(len, lists)]), codes)


def assert_alike(expected, got, tolerance=1e-4):
    """The same scores place by place, and another item only where the scores are that close."""
    np.testing.assert_array_equal(expected[0] == EMPTY, got[0] == EMPTY)
    np.testing.assert_allclose(expected[1], got[1], rtol=0, atol=tolerance)
    for row, place in zip(*np.nonzero(expected[0] != got[0]), strict=True):
        score = expected[1][row, place]
        at = np.flatnonzero(got[0][row] == expected[0][row, place])
        own = got[1][row, at[0]] if len(at) == 1 else got[1][row, -1]
        assert abs(own - score) <= tolerance, f"place {place} of listener {row}"


class ModelConformance:
    """The contract, test by test; a subclass names the model."""

    model: ClassVar[str]
    items: ClassVar[int] = 25

    @pytest.fixture
    def folder(self, models: Path) -> Path:
        return models / self.model

    @pytest.fixture
    def loaded(self, folder: Path) -> SavedModel:
        return SavedModel(folder)

    @pytest.fixture
    def size(self, folder: Path) -> int:
        return len(read_catalogue(folder))

    def test_describes_itself(self, loaded, folder, size):
        assert loaded.info.name == self.model
        assert loaded.info.catalogue_size == size == self.items
        assert loaded.info.training_window["end"].startswith("2026-04-01")
        assert read_catalogue(folder) == tie_order(read_catalogue(folder))

    def test_lists_each_item_at_most_once_best_first(self, loaded, size):
        ids, scores = loaded.recommend([["i0", "i2"]], [[]], size, CHILE)
        listed = [item for item in ids[0] if item]
        assert len(listed) == len(set(listed)) > 0
        assert (np.diff(scores[0][np.isfinite(scores[0])]) <= 0).all()

    def test_unfilled_positions_are_empty_and_minus_infinity(self, loaded, size):
        ids, scores = loaded.recommend([["i0"]], [[]], size, CHILE)
        assert ((ids == "") == (scores == -np.inf)).all()

    def test_unknown_ids_change_nothing(self, loaded):
        ids, scores = loaded.recommend([["i0", "i2"]], [["i4"]], 10, CHILE)
        more, same = loaded.recommend(
            [["nobody-knows", "i0", "", "i2", "ünknown"]], [["i4", "neither-this", ""]], 10, CHILE
        )
        assert (ids == more).all()
        np.testing.assert_allclose(scores, same, rtol=1e-5)

    @pytest.mark.parametrize("history", [[], ["", ""], ["nobody-knows"]])
    def test_empty_history_is_answered(self, loaded, history):
        ids, scores = loaded.recommend([history], [[]], 5, CHILE)
        assert ids.shape == scores.shape == (1, 5)

    def test_unknown_input_is_answered(self, loaded):
        unknown, _ = loaded.recommend([["i0"]], [[]], 5, {"country": ["Atlantis"]})
        nothing, _ = loaded.recommend([["i0"]], [[]], 5, {"country": [""]})
        assert (unknown == nothing).all()

    def test_batch_of_none(self, loaded):
        ids, scores = loaded.recommend([], [], 5, {"country": []})
        assert ids.shape == scores.shape == (0, 5)

    def test_excluded_never_stand_in_the_list_and_others_keep_their_order(self, loaded, size):
        ids, _ = loaded.recommend([["i0", "i2"]], [[]], size, CHILE)
        out = [item for item in ids[0] if item][:2]
        fewer, _ = loaded.recommend([["i0", "i2"]], [out], size, CHILE)
        assert [item for item in ids[0] if item and item not in out] == [
            item for item in fewer[0] if item
        ]

    def test_everything_excluded_leaves_nothing(self, loaded, folder, size):
        ids, scores = loaded.recommend([["i0"]], [read_catalogue(folder)], size, CHILE)
        assert (ids == "").all()
        assert (scores == -np.inf).all()

    @pytest.mark.parametrize("k", [-1, 0, 1, 25, 1_000])
    def test_k_is_clipped(self, loaded, k):
        ids, scores = loaded.recommend([["i0"], ["i1"]], [[], []], k, {"country": ["Chile", ""]})
        assert ids.shape == scores.shape == (2, max(0, min(k, self.items)))

    def test_shorter_lists_are_prefixes(self, loaded, size):
        ids, _ = loaded.recommend([["i0"]], [[]], size, CHILE)
        for k in (1, 3, 10):
            assert (loaded.recommend([["i0"]], [[]], k, CHILE)[0] == ids[:, :k]).all()

    def test_equal_scores_are_in_tie_order(self, loaded, size):
        ids, scores = loaded.recommend([["i0"]], [[]], size, CHILE)
        for score in np.unique(scores[np.isfinite(scores)]):
            tied = ids[scores == score].tolist()
            assert tied == tie_order(tied)

    def test_a_listener_is_answered_alike_alone_and_in_a_batch(self, loaded):
        histories = [["i0", "i2"], [], ["i1"] * 40, ["i1", "i3", "i5"]]
        countries = ["Chile", "", "Japan", "Japan"]
        excludes = [["i4"], [], ["i7", "i9"], []]
        ids, scores = loaded.recommend(histories, excludes, 8, {"country": countries})
        for row, history in enumerate(histories):
            alone, own = loaded.recommend(
                [history], [excludes[row]], 8, {"country": [countries[row]]}
            )
            np.testing.assert_allclose(own[0], scores[row], rtol=1e-5, atol=1e-5)
            swapped = alone[0] != ids[row]
            np.testing.assert_allclose(own[0][swapped], scores[row][swapped], atol=1e-5)

    def test_only_the_latest_plays_count(self, loaded):
        keep = loaded.info.history_length
        suffix = (["i0", "i2", "i6"] * keep)[-keep:]
        ids, scores = loaded.recommend([suffix], [[]], 8, CHILE)
        arguments = {"history": [["i1"] * 30 + suffix], "exclude": [[""]]}
        longer = loaded.signature(**arguments, k=8, inputs=CHILE)
        assert (ids == longer[0]).all()
        np.testing.assert_allclose(scores, longer[1], rtol=1e-5)

    @pytest.mark.parametrize("k", [0, 1, 7, 24, 200])
    def test_lists_of_an_audience_are_those_of_recommend(self, loaded, folder, k):
        # The caller's catalogue is in another order, lacks two items and has two of its own.
        own = sorted(read_catalogue(folder))
        item_ids = pd.Index([*own[2:], "only-the-caller", "knows-these"])
        generator = np.random.default_rng(7)
        plays = [[], ["only-the-caller"], [*own[2:9], "knows-these"]]
        exclude = [[], own[2:], ["knows-these", *own[2:5]]]
        for length in generator.integers(1, 40, 300):
            plays.append(generator.choice(item_ids, length).tolist())
            exclude.append(sorted({*plays[-1], *generator.choice(item_ids, 3)}))
        countries = generator.choice(["Chile", "Japan", "", "Atlantis"], len(plays)).tolist()
        ids, scores = loaded.recommend(plays, exclude, k, {"country": countries})
        expected = np.full((len(plays), k), EMPTY), np.full((len(plays), k), -np.inf, np.float32)
        codes = np.reshape(item_ids.get_indexer(ids.ravel()), ids.shape)
        expected[0][:, : ids.shape[1]] = np.where((codes < 0) & (ids != ""), FOREIGN, codes)
        expected[1][:, : ids.shape[1]] = scores
        got = loaded.lists(
            item_ids, coded(item_ids, plays), coded(item_ids, exclude), k, {"country": countries}
        )
        assert got[0].dtype == np.int32
        assert got[1].dtype == np.float32
        assert_alike(expected, got)

    def test_an_audience_of_none(self, loaded, folder):
        item_ids = pd.Index(read_catalogue(folder))
        nobody = coded(item_ids, [])
        codes, scores = loaded.lists(item_ids, nobody, nobody, 5, {"country": []})
        assert codes.shape == scores.shape == (0, 5)

    def test_loads_without_keras_tfrs_and_this_project(self, loaded, folder):
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-c",
                PLAIN_LOADER,
                str(folder / "saved_model"),
                json.dumps(loaded.info.inputs),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={key: text for key, text in os.environ.items() if not key.startswith("TF_")},
        )
        assert done.returncode == 0, done.stderr
        ids, _ = loaded.recommend([["i0", "i2"]], [["i4"]], 100, CHILE)
        assert json.loads(done.stdout) == ids[0].tolist()

    def test_digest_names_the_files(self, folder, tmp_path):
        assert folder_digest(folder) == folder_digest(folder)
        (tmp_path / "model.json").write_text("{}")
        assert folder_digest(tmp_path) != folder_digest(folder)


class TestMostPopular(ModelConformance):
    model = "most_popular"


class TestRecentlyPopular(ModelConformance):
    model = "recently_popular"


class TestPopularBySegment(ModelConformance):
    model = "popular_by_segment"


class TestRelisten(ModelConformance):
    model = "relisten"

    def test_empty_history_is_answered(self, loaded):
        ids, scores = loaded.recommend([[]], [[]], 5)
        assert (ids == "").all()
        assert (scores == -np.inf).all()


class TestCoVisited(ModelConformance):
    model = "co_visited"


class TestSpectral(ModelConformance):
    model = "spectral"
    items = 24


class TestItemItem(ModelConformance):
    model = "item_item"
    items = 24


class TestIals(ModelConformance):
    model = "ials"
    items = 24


class TestTwoTower(ModelConformance):
    model = "two_tower"

    def test_lists_of_an_audience_come_from_its_vectors(self, loaded, folder, monkeypatch):
        item_ids = pd.Index(read_catalogue(folder))
        plays = coded(item_ids, [["i0", "i2"], ["i1"]])
        arguments = (item_ids, plays, plays, 5, {"country": ["Chile", "Japan"]})
        codes, _ = loaded.lists(*arguments)
        monkeypatch.setattr(SavedModel, "_recommend", None)
        assert (loaded.lists(*arguments)[0] == codes).all()

    def test_the_ages_of_plays_count_the_same_both_ways(self, folder, tmp_path):
        """Its histories hold both sides of the board, so that which of them is old matters."""
        item_ids = pd.Index(read_catalogue(folder))
        plays = [["i0", "i1", "i2"], ["i3"], []]
        ages = [[40.0, 20.0, 2.0], [3.0], []]
        countries = {"country": ["", "Japan", "Chile"]}
        codes = coded(item_ids, plays)
        flat = np.array([age for own in ages for age in own], np.float32)
        former = SavedTowers.read(folder)
        by_age = {"age_weight": np.arange(16, dtype=np.float32) / 4}
        items = read_item_table(folder)
        aged = replace(former, weights=former.weights | by_age)
        aged.export(items, former.window.cutoff, tmp_path / "aged")
        loaded = SavedModel(tmp_path / "aged")
        lists = loaded.lists(item_ids, codes, codes, 6, countries, flat)
        ids, scores = loaded.recommend(plays, plays, 6, countries, ages)
        assert_alike((item_ids.get_indexer(ids.ravel()).reshape(ids.shape), scores), lists)
        unaged = loaded.recommend(plays, plays, 6, countries)
        assert abs(unaged[1][0] - scores[0]).max() > 1e-4

    def test_a_catalogue_that_its_vectors_do_not_fit_is_refused(self, folder, tmp_path):
        shorter = tmp_path / "model"
        shutil.copytree(folder, shorter)
        (shorter / "catalogue.txt").write_text("i0\ni1\n")
        item_ids = pd.Index(["i0", "i1"])
        plays = coded(item_ids, [["i0"]])
        with pytest.raises(SetlistError, match="for each of the 2 lines"):
            SavedModel(shorter).lists(item_ids, plays, plays, 5)
