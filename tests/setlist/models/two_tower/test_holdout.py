"""What is said of held-out plays agrees with hand-worked values and with the evaluation."""

import numpy as np
import pytest

from setlist.evaluation.accuracy import ndcg as evaluated
from setlist.evaluation.ranking import Catalogue, Ragged, Ranking
from setlist.models.two_tower.holdout import ndcg


def test_by_hand():
    """Relevant are places 1 and 3 of the list, of two; and nothing that is listed, of one."""
    scores = np.array([[4.0, 3, 2, 1], [-np.inf, -np.inf, 5, -np.inf]])
    found = ndcg(scores, np.array([0, 0, 1]), np.array([0, 2, 2]))
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(found, [(1 + 1 / np.log2(4)) / ideal, 1])


@pytest.mark.parametrize("items", [30, 400])
def test_it_is_the_metric_of_the_evaluation(items):
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(50, items))
    relevant = [
        generator.choice(items, generator.integers(1, 25), replace=False) for _ in range(50)
    ]
    rows = np.repeat(np.arange(50), [len(own) for own in relevant])
    codes = np.concatenate(relevant).astype(np.int32)
    top = np.argsort(-scores, axis=1)[:, :100].astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in relevant])])
    nothing = Ragged(np.zeros(51, np.int64), np.zeros(0, np.int32))
    order = np.lexsort((codes, rows))
    catalogue = Catalogue(
        listeners=np.ones(items, np.int64), tags=np.zeros((items, 0), bool), training_listeners=1
    )
    ranking = Ranking(top, Ragged(offsets, codes[order]), nothing, catalogue)
    np.testing.assert_allclose(ndcg(scores, rows, codes), evaluated(ranking, 100), atol=1e-12)
