"""An audience is asked in batches that a graph of any catalogue can hold."""

import numpy as np
import pandas as pd
import pytest
from tests.setlist.models.conftest import WINDOW

from setlist.arrays import Ragged
from setlist.data.schema import tie_order
from setlist.errors import ModelError
from setlist.models import batches, saved_model
from setlist.models.recommender import Recommender
from setlist.models.saved_model import SavedModel
from setlist.models.tf import tf

IDS = tie_order([f"ïtem-{item}" for item in range(30)])
LISTENERS = 9


class AtMostTwo(Recommender):
    """Likes what was not played, and answers for no more than two listeners at once."""

    def score(self, history, inputs):
        tf.debugging.assert_less_equal(tf.shape(history)[0], 2)
        return -tf.reduce_sum(tf.one_hot(history, len(self.catalogue)), axis=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> SavedModel:
    folder = tmp_path_factory.mktemp("model")
    AtMostTwo(IDS).export(folder, "at-most-two", WINDOW)
    return SavedModel(folder)


def lists(model: SavedModel) -> np.ndarray:
    plays = Ragged(np.arange(LISTENERS + 1) * 2, np.arange(2 * LISTENERS, dtype=np.int32))
    nothing = Ragged(np.zeros(LISTENERS + 1, np.int64), np.zeros(0, np.int32))
    return model.lists(pd.Index(IDS), plays, nothing, 30)[0]


def test_fewer_listeners_at_once_where_the_catalogue_is_large(model, monkeypatch):
    with pytest.raises(ModelError):
        lists(model)
    for scores in (60, 89, 30, 1):
        monkeypatch.setattr(saved_model, "BATCH_SCORES", scores)
        found = lists(model)
        assert found[:, :28].tolist() == [
            [code for code in range(30) if code // 2 != listener] for listener in range(LISTENERS)
        ]


def test_fewer_listeners_at_once_where_one_is_heavy(model, monkeypatch):
    """Of 9 listeners with 2 plays each, one excludes 20 items: with all, 9 rows of 22 cells."""
    monkeypatch.setattr(batches, "CELLS", 22)
    monkeypatch.setattr(saved_model, "BATCH", 2)
    plays = Ragged(np.arange(LISTENERS + 1) * 2, np.arange(2 * LISTENERS, dtype=np.int32))
    one = Ragged(np.repeat([0, 20], [5, 5]).astype(np.int64), np.arange(20, dtype=np.int32))
    found = model.lists(pd.Index(IDS), plays, one, 30)[0]
    assert [len(row[row >= 0]) for row in found] == [30, 30, 30, 30, 10, 30, 30, 30, 30]


def test_ids_are_decoded_one_by_one():
    encoded = np.array([["é".encode(), b""], [b"a", b"long" * 9]], dtype=object)
    assert saved_model.decoded(encoded).tolist() == [["é", ""], ["a", "long" * 9]]
    assert saved_model.decoded(encoded[:0]).shape == (0, 2)
    assert saved_model.decoded(encoded[:, :0]).dtype == object
