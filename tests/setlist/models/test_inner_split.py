"""What is held out is not learnt from, and is judged as the evaluation judges."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from tests.cases.four_listeners import four_histories, pairs

from setlist.evaluation.accuracy import ndcg as evaluated
from setlist.evaluation.ranking import Catalogue, Ragged, Ranking
from setlist.models import inner_split as splitting
from setlist.models.histories import Histories
from setlist.models.inner_split import inner_split, ndcg, times_tell


@pytest.fixture
def histories() -> Histories:
    return four_histories()


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
        listeners=np.ones(items, np.int64),
        tags=csr_array((items, 0), dtype=np.bool_),
        training_listeners=1,
    )
    ranking = Ranking(top, Ragged(offsets, codes[order]), nothing, catalogue)
    np.testing.assert_allclose(ndcg(scores, rows, codes), evaluated(ranking, 100), atol=1e-12)


@pytest.fixture
def few(monkeypatch):
    """Two listeners are enough to hold out, and the last days hold four tenths."""
    monkeypatch.setattr(splitting, "times_tell", lambda histories: True)
    monkeypatch.setattr("setlist.models.inner_split.MIN_HOLDOUT_LISTENERS", 2)
    monkeypatch.setattr("setlist.models.inner_split.HOLDOUT_SHARE", 0.4)


def test_what_is_held_out_is_not_learnt_from(histories, few):
    held = inner_split(histories, 10, np.inf, 10)
    assert held.since == pytest.approx(np.quantile([50, 40, 20, 45, 44, 8], 0.4))
    assert held.learn.items.tolist() == [7, 8, 5, 6]  # of listeners 0 and 3 what is older
    assert held.learn.offsets.tolist() == [0, 2, 3, 3, 4]
    assert held.listeners == 2
    (batch,) = held.check
    by_listener = dict(zip(batch.listeners.tolist(), pairs(batch), strict=True))
    assert by_listener == {
        0: ([(7, 1), (8, 0)], [(9, 1.0)]),
        3: ([(6, 0)], [(4, 1.0)]),
    }
    assert sorted(batch.ages.tolist()) == pytest.approx(
        sorted([50 - held.since, 40 - held.since, 44 - held.since])
    )


def test_the_days_begin_at_the_latest_where_they_are_told_to(histories, few):
    held = inner_split(histories, 10, 11, 10)
    assert held.check == held.everybody == (), "one listener is left"
    assert len(held.learn.items) == len(histories.items)
    held = inner_split(histories, 10, 21, 10)
    assert held.since == 21


def test_it_is_the_same_choice_every_time_in_batches(histories, few, monkeypatch):
    one = inner_split(histories, 10, np.inf, 10)
    monkeypatch.setattr(splitting, "HOLDOUT_CELLS", 10)
    other = inner_split(histories, 10, np.inf, 10)
    assert [len(batch.listeners) for batch in other.check] == [1, 1]
    order = [batch.listeners[0] for batch in other.check]
    assert one.check[0].listeners.tolist() == order
    assert one.learn.items.tolist() == other.learn.items.tolist()


def test_never_more_than_half_of_the_listeners_or_the_limit(histories, few, monkeypatch):
    monkeypatch.setattr(splitting, "_checkable", lambda *_, known=True: np.arange(4 * known))
    assert inner_split(histories, 10, np.inf, 10).listeners == 2
    monkeypatch.setattr("setlist.models.inner_split.MAX_HOLDOUT_LISTENERS", 1)
    assert inner_split(histories, 10, np.inf, 10).listeners == 1


def test_nobodys_late_plays_are_learnt_also_of_who_is_not_checked(histories, few, monkeypatch):
    monkeypatch.setattr(splitting, "MAX_HOLDOUT_LISTENERS", 1)
    held = inner_split(histories, 10, np.inf, 10)
    assert held.listeners == 1
    assert (held.learn.ages >= held.since).all()
    assert held.learn.items.tolist() == [7, 8, 5, 6]


@pytest.mark.parametrize(
    ("bound", "value"), [("MAX_HOLDOUT_LISTENERS", 30), ("RANKED_CELLS", 30 * 50)]
)
def test_newcomers_are_held_out_in_their_share(monkeypatch, bound, value):
    """Of a hundred listeners forty come late; half of the sixty others are checked."""
    monkeypatch.setattr(splitting, "times_tell", lambda histories: True)
    monkeypatch.setattr(splitting, "HOLDOUT_SHARE", 0.5)
    monkeypatch.setattr(splitting, bound, value)
    ages = np.tile(np.arange(10.0, 0, -1), 100)
    ages[600:] = 1.0
    plays = late_plays(np.random.default_rng(1), ages)
    held = inner_split(plays, 50, np.inf, 10)
    assert len(held.check[0].listeners) == 30
    assert held.check[0].listeners.max() < 60
    (batch,) = held.everybody
    new = batch.listeners >= 60
    assert (held.listeners, new.sum()) == (50, 20)
    assert set(batch.listeners[~new]) == set(held.check[0].listeners)
    assert not new[batch.rows].any(), "a newcomer has no history"
    assert set(batch.target_rows) == set(range(50))
    assert not np.isin(held.learn.listeners, np.arange(60, 100)).any()


def test_without_times_it_is_each_listeners_own_last_plays(histories):
    """Of three discoveries the last, of two the last, of one none."""
    same = replace(histories, ages=np.full(9, 5.0))
    held = inner_split(same, 10, np.inf, 10)
    assert held.since is None
    found = {
        int(listener): (past, future)
        for batch in held.check
        for listener, (past, future) in zip(batch.listeners, pairs(batch), strict=True)
    }
    assert found == {
        0: ([(7, 2), (8, 1), (7, 0)], [(9, 1.0)]),
        3: ([(6, 1), (6, 0)], [(4, 1.0)]),
    }
    assert held.learn.items.tolist() == [7, 8, 7, 5, 6, 6]


def test_nobody_to_hold_out():
    once = Histories(
        np.array([1, 2], np.int32),
        np.array([3.0, 3.0]),
        np.ones(2, np.bool_),
        np.array([0, 1, 2]),
        np.ones(2),
    )
    held = inner_split(once, 10, np.inf, 10)
    assert held.check == ()
    assert held.learn.items.tolist() == [1, 2]


def late_plays(generator, ages):
    """A hundred listeners with ten plays each of 50 items."""
    return Histories(
        items=generator.integers(0, 50, 1_000).astype(np.int32),
        ages=ages,
        first=np.ones(1_000, np.bool_),
        offsets=np.arange(0, 1_001, 10),
        weights=np.ones(1_000),
    )


@pytest.mark.parametrize("seed", range(5))
def test_equal_or_random_times_say_nothing(seed):
    generator = np.random.default_rng(seed)
    assert not times_tell(late_plays(generator, np.full(1_000, 3.0)))
    assert not times_tell(late_plays(generator, generator.exponential(30, 1_000)))


def test_times_tell_where_listeners_come_and_go():
    generator = np.random.default_rng(1)
    ages = np.repeat(generator.uniform(0, 90, 100), 10) + generator.exponential(30, 1_000)
    assert times_tell(late_plays(generator, ages))


def test_times_tell_where_items_come_and_go():
    generator = np.random.default_rng(1)
    plays = late_plays(generator, np.zeros(1_000))
    ages = generator.uniform(0, 90, 50)[plays.items] + generator.exponential(30, 1_000)
    assert times_tell(replace(plays, ages=ages))


def test_where_times_say_nothing_only_checked_listeners_lose_plays(monkeypatch):
    generator = np.random.default_rng(1)
    plays = late_plays(generator, np.full(1_000, 3.0))
    monkeypatch.setattr(splitting, "MAX_HOLDOUT_LISTENERS", 30)
    held = inner_split(plays, 50, np.inf, 10)
    assert (held.since, held.listeners) == (None, 30)
    assert len(held.learn.items) == 1_000 - 30
    assert held.some(1).listeners == 30, "at least a batch"


def test_what_is_known_is_not_ranked(histories, few):
    """Listener 0 knows 7 and 8, listener 3 knows 6; the best of the rest is what came next."""
    held = inner_split(histories, 10, np.inf, 10)

    def score(batch):
        scores = np.tile(np.float32([0, 0, 0, 0, 0, 0, 9, 8, 7, 6]), (2, 1))
        scores[batch.listeners == 3, 4] = 6.5  # behind 7 and 8, which listener 3 does not know
        return scores

    values = dict(zip(held.check[0].listeners.tolist(), held.ndcg(score), strict=True))
    assert values == {0: pytest.approx(1 / np.log2(3)), 3: pytest.approx(1 / np.log2(4))}
