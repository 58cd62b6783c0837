import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from setlist.evaluation.lists import count_excluded, without_repeats
from setlist.evaluation.ranking import EMPTY, FOREIGN, Catalogue, Ragged

CATALOGUE = Catalogue(np.zeros(6, np.int64), csr_array((6, 0), dtype=np.bool_), 1)


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
    assert count_excluded(top, excluded, CATALOGUE) == 2
    assert count_excluded(np.array([[5, 1], [1, 0], [0, 4]], np.int32), excluded, CATALOGUE) == 2
    assert count_excluded(np.full((3, 2), EMPTY, np.int32), excluded, CATALOGUE) == 0
    assert count_excluded(top, Ragged(np.zeros(4, np.int64), np.zeros(0, np.int32)), CATALOGUE) == 0
