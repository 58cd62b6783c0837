import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation.ask import BATCH, batches, listed, without_repeats
from components.evaluation.ranking import EMPTY, FOREIGN, Ragged


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 1_000), max_size=1_500))
def test_batches_cover_everyone_once(lengths):
    sizes = np.array(lengths, np.int64)
    parts = list(batches(sizes))
    assert all(0 < len(part) <= BATCH for part in parts)
    everyone = np.concatenate([*parts, np.array([], np.int64)])
    assert sorted(everyone.tolist()) == list(range(len(sizes)))
    assert (np.diff(sizes[everyone.astype(int)]) >= 0).all()  # alike in length


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-2, 4), min_size=6, max_size=6), min_size=1, max_size=4))
def test_without_repeats_the_first_mention_stays(rows):
    expected = [
        [FOREIGN if code >= 0 and code in row[:place] else code for place, code in enumerate(row)]
        for row in rows
    ]
    assert without_repeats(np.array(rows, np.int32)).tolist() == expected


def test_listed_counts_positions_that_hold_an_excluded_item():
    # The first listener excludes 1 and 4, the second nothing, the third 0.
    excluded = Ragged(np.array([0, 2, 2, 3]), np.array([1, 4, 0], np.int32))
    top = np.array([[4, 0, 1], [1, 4, 0], [2, EMPTY, FOREIGN]], np.int32)
    assert listed(top, excluded) == 2
    assert listed(np.array([[5, 1], [1, 0], [0, 4]], np.int32), excluded) == 2
    assert listed(np.full((3, 2), EMPTY, np.int32), excluded) == 0
    assert listed(top, Ragged(np.zeros(4, np.int64), np.zeros(0, np.int32))) == 0
