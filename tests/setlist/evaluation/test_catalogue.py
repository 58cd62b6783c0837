import numpy as np
import pytest
from scipy.sparse import csr_array

from setlist.evaluation.catalogue import catalogue_of, parts_of
from setlist.evaluation.ranking import Catalogue


def catalogue(*listeners: int) -> Catalogue:
    tags = csr_array((len(listeners), 1), dtype=np.bool_)
    return Catalogue(np.array(listeners, np.int64), tags, max(listeners, default=0))


def parts(*listeners: int, live=None) -> dict[str, list[int]]:
    """The codes of the items in each part."""
    found = parts_of(catalogue(*listeners), None if live is None else np.array(live))
    return {name: np.flatnonzero(part).tolist() for name, part in found.items()}


def test_head_torso_and_tail_by_hand():
    # 40 pairs. In descending order 8 7 6 5 4 3 3 2 1 1 0: before each item stand the shares
    # 0, .2, .375, .525, .65, .75, .825, .9, .95, .975 of them, and 1.
    assert parts(3, 1, 8, 0, 4, 5, 7, 3, 2, 6, 1) == {
        "head": [2],
        "torso": [0, 4, 5, 6, 9],
        "tail": [1, 3, 7, 8, 10],
        "new": [3],
    }


def test_of_equally_played_items_the_first_comes_first():
    # Each a fifth of 10 pairs: before them stand 0, 0.2, 0.4, 0.6 and 0.8.
    assert parts(2, 2, 2, 2, 2) == {"head": [0], "torso": [1, 2, 3], "tail": [4], "new": []}


def test_one_hit_is_the_head_and_what_nobody_played_the_tail():
    assert parts(0, 9, 0) == {"head": [1], "torso": [], "tail": [0, 2], "new": [0, 2]}


def test_a_catalogue_without_any_play_is_all_tail():
    assert parts(0, 0) == {"head": [], "torso": [], "tail": [0, 1], "new": [0, 1]}


def test_beside_a_live_model_new_is_what_it_does_not_know():
    assert parts(2, 0, 1, live=[True, True, False])["new"] == [2]
    assert parts(2, 0, 1, live=[True, True, True])["new"] == []


@pytest.mark.parametrize("seed", range(5))
def test_head_torso_and_tail_share_out_the_catalogue(seed):
    rng = np.random.default_rng(seed)
    found = parts_of(catalogue(*rng.geometric(0.2, 60) - 1), None)
    table = np.array([found[name] for name in ("head", "torso", "tail")])
    assert (table.sum(axis=0) == 1).all()


def test_the_catalogue_of_features(world):
    found = catalogue_of(world[1])
    assert world[1].items["item_id"].tolist() == ["d", "c", "b", "e", "a"]
    assert found.listeners.tolist() == [1, 2, 3, 0, 3]
    assert found.training_listeners == 5
    assert found.tags.toarray().tolist() == [[True]] * 5
