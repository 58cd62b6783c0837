"""Arrays and a document come back as they went in, and nothing else is read."""

import pickle
import shutil

import numpy as np
import pytest

from setlist.errors import SetlistError
from setlist.models.two_tower.saved_towers import TOWERS, SavedTowers, pack, unpack


def test_round_trip():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(3), "c": np.zeros(0)}
    found, document = unpack(pack(arrays, {"who": ["é", ""], "state": 2**90}), "it")
    assert document == {"who": ["é", ""], "state": 2**90}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_same_is_the_same_bytes():
    arrays = {"a": np.ones(3)}
    assert pack(arrays, {"x": 1}) == pack(arrays, {"x": 1})


def test_objects_are_refused():
    with pytest.raises(ValueError):
        pack({"a": np.array([{}], dtype=object)}, {})


@pytest.mark.parametrize("content", [b"", b"no zip", pickle.dumps({}), pack({}, {})[:-30]], ids=str)
def test_damage_is_named(content):
    with pytest.raises(SetlistError, match="that file is damaged"):
        unpack(content, "that file")


def test_towers_of_another_version_are_named(models, tmp_path):
    shutil.copytree(models / "two_tower", tmp_path / "older")
    path = tmp_path / "older" / TOWERS
    arrays, document = unpack(path.read_bytes(), "it")
    del arrays["item_weight"], arrays["bag_scale"]
    path.write_bytes(pack(arrays, document))
    with pytest.raises(
        SetlistError, match=r"lacks 'bag_scale, item_weight', as of another version"
    ):
        SavedTowers.read(tmp_path / "older")
