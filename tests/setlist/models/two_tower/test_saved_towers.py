"""Arrays and a document come back as they went in, and nothing else is read."""

import pickle
import shutil

import numpy as np
import pytest

from setlist.errors import SetlistError
from setlist.models.two_tower.saved_towers import TOWERS, SavedTowers, read_arrays, write_arrays


def test_round_trip(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(3), "c": np.zeros(0)}
    write_arrays(tmp_path / "it.npz", arrays, {"who": ["é", ""], "state": 2**90})
    found, document = read_arrays(tmp_path / "it.npz")
    assert document == {"who": ["é", ""], "state": 2**90}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_same_is_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_arrays(tmp_path / name, {"a": np.ones(3)}, {"x": 1})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_objects_are_refused(tmp_path):
    with pytest.raises(ValueError):
        write_arrays(tmp_path / "it.npz", {"a": np.array([{}], dtype=object)}, {})


def half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"no zip", lambda _: pickle.dumps({}), half]
)
def test_damage_is_named(tmp_path, damage):
    path = tmp_path / "that.npz"
    write_arrays(path, {}, {})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SetlistError, match=r"that\.npz is damaged"):
        read_arrays(path)


def test_towers_of_another_version_are_named(models, tmp_path):
    shutil.copytree(models / "two_tower", tmp_path / "older")
    path = tmp_path / "older" / TOWERS
    arrays, document = read_arrays(path)
    del arrays["item_weight"], arrays["bag_scale"]
    write_arrays(path, arrays, document)
    with pytest.raises(
        SetlistError, match=r"lacks 'bag_scale, item_weight', as of another version"
    ):
        SavedTowers.read(tmp_path / "older")
