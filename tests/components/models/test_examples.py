"""Examples ask for the future from the past, and what is held out is not learnt from."""

import numpy as np
import pytest

from components.models.examples import Examples, Histories, epoch, examples, hold_out

# Listener 0 plays 7 8 7 9 8, listener 1 plays 5, listener 2 nothing, listener 3 plays 6 6 4.
PLAYS = [[7, 8, 7, 9, 8], [5], [], [6, 6, 4]]
AGES = [[50, 40, 30, 20, 10], [45], [], [44, 12, 8]]


def flat(lists, dtype):
    return np.array([one for own in lists for one in own], dtype)


@pytest.fixture
def histories() -> Histories:
    return Histories(
        items=flat(PLAYS, np.int32),
        ages=flat(AGES, np.float32),
        first=np.array([1, 1, 0, 1, 0, 1, 1, 0, 1], np.bool_),
        offsets=np.array([0, 5, 6, 6, 9]),
    )


def pairs(batch: Examples) -> list[tuple[list, list]]:
    """For each example (item, rank) of the history and (item, weight) of the targets."""
    return [
        (
            list(zip(batch.items[rows].tolist(), batch.ranks[rows].tolist(), strict=True)),
            list(zip(batch.targets[hits].tolist(), batch.weights[hits].tolist(), strict=True)),
        )
        for row in range(len(batch.listeners))
        for rows, hits in [(batch.rows == row, batch.target_rows == row)]
    ]


def test_histories_of_features_know_first_plays(features):
    found = Histories.of(features)
    assert (found.items == features.plays["item"]).all()
    assert found.first.all()  # nobody plays anything twice on the checkerboard
    assert len(found.offsets) == len(features.users) + 1
    twice = features.plays.iloc[[0, 0, 1]].reset_index(drop=True)
    again = Histories.of(type(features)(**(vars(features) | {"plays": twice})))
    assert again.first.tolist() == [True, False, True]


def test_the_history_is_before_the_cut_and_the_targets_after_it(histories):
    batch = examples(histories, histories, np.array([0, 3]), np.array([1, 2]), 10)
    assert pairs(batch) == [
        ([(7, 0)], [(8, 0.5), (9, 0.5)]),  # the second 7 and the second 8 are no discoveries
        ([(6, 1), (6, 0)], [(4, 1.0)]),
    ]


def test_only_the_latest_plays_are_read(histories):
    batch = examples(histories, histories, np.array([0]), np.array([3]), 2)
    assert pairs(batch) == [([(8, 1), (7, 0)], [(9, 1.0)])]


def test_a_newcomer_has_no_history(histories):
    batch = examples(histories, histories, np.array([1]), np.array([0]), 10)
    assert pairs(batch) == [([], [(5, 1.0)])]


def test_an_epoch_shows_everyone_who_discovered_anything_once(histories):
    generator = np.random.default_rng(1)
    histories_seen = set()
    for _ in range(60):
        seen = list(epoch(histories, 2, 10, generator))
        assert [len(batch.listeners) for batch in seen] == [2, 1]
        assert sorted(np.concatenate([b.listeners for b in seen]).tolist()) == [0, 1, 3]
        for batch in seen:
            for listener, (past, future) in zip(batch.listeners, pairs(batch), strict=True):
                assert future, "every example has something to predict"
                items = PLAYS[listener][: len(past)]
                assert [item for item, _ in past] == items
                assert not {item for item, _ in future} & set(items)
                if listener == 0:
                    histories_seen.add(len(past))
    assert histories_seen == {0, 1, 2, 3}  # up to the last first play, of 9


def test_what_is_held_out_is_not_learnt_from(histories):
    held = hold_out(histories, 0.4, 10, 10, np.random.default_rng(0))
    assert held.since == pytest.approx(np.quantile([50, 40, 20, 45, 44, 8], 0.4))
    assert held.learn.items.tolist() == [7, 8, 5, 6]  # of listeners 0 and 3 what is older
    assert held.learn.offsets.tolist() == [0, 2, 3, 3, 4]
    assert held.check is not None
    assert held.check.listeners.tolist() == [0, 3]
    assert pairs(held.check) == [([(7, 1), (8, 0)], [(9, 1.0)]), ([(6, 0)], [(4, 1.0)])]


def test_never_more_than_half_of_the_listeners_or_the_limit(histories):
    held = hold_out(histories, 0.4, 1, 10, np.random.default_rng(0))
    assert held.check is not None
    assert len(held.check.listeners) == 1


def test_nobody_to_hold_out():
    once = Histories(
        np.array([1, 2], np.int32),
        np.array([3, 3], np.float32),
        np.ones(2, np.bool_),
        np.array([0, 1, 2]),
    )
    held = hold_out(once, 0.1, 10, 10, np.random.default_rng(0))
    assert held.check is None
    assert held.learn.items.tolist() == [1, 2]
