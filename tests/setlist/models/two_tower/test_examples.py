"""Examples ask for the future from the past."""

from dataclasses import replace

import numpy as np
import pytest
from tests.cases.four_listeners import PLAYS, four_histories, pairs

from setlist.models.histories import Histories, examples
from setlist.models.settings import ModelSettings
from setlist.models.two_tower.examples import dataset, epoch, in_places


@pytest.fixture
def whole(monkeypatch):
    """No play of a history is left out."""
    monkeypatch.setattr("setlist.models.two_tower.examples.FORGOTTEN_SHARE", 0)


@pytest.fixture
def histories() -> Histories:
    return four_histories()


def moments(batch):
    return np.zeros(batch, np.float32)


def test_some_plays_of_a_history_are_left_out(histories):
    generator = np.random.default_rng(1)
    batches = [next(epoch(histories, 10, 10, generator)) for _ in range(200)]
    generator = np.random.default_rng(1)
    told = sum(len(batch.rows) for batch in batches)
    ranks = {
        (int(item), int(rank))
        for batch in batches
        for item, rank in zip(batch.items, batch.ranks, strict=True)
    }
    assert (9, 0) not in ranks, "the last first play is always a target"
    assert (7, 2) in ranks
    assert 0.6 < told / (200 * 2.5) < 0.8  # 1.5 plays before a cut of listener 0, 1 of listener 3


def test_some_are_cut_before_their_first_play(monkeypatch):
    """One listener with 999 discoveries: at random places hardly ever, as newcomers one in two."""
    long = Histories(
        np.arange(999, dtype=np.int32),
        np.arange(999, 0, -1.0),
        np.ones(999, np.bool_),
        np.array([0, 999]),
        np.ones(999),
    )
    monkeypatch.setattr("setlist.models.two_tower.examples.NEWCOMER_SHARE", 0.5)
    generator = np.random.default_rng(1)
    batches = [next(epoch(long, 1, 10, generator)) for _ in range(200)]
    newcomers = sum(len(batch.targets) == 999 for batch in batches)
    assert 80 < newcomers < 120


def test_plays_of_one_instant_are_in_no_order(features):
    """In the table they are in the order of ids, which says nothing."""
    same = replace(features, plays=features.plays.assign(age_days=np.float32(5)))
    found = Histories.of(same)
    own = same.plays["item"].to_numpy()[: found.offsets[1]]
    assert found.items[: len(own)].tolist() != own.tolist()
    assert sorted(found.items[: len(own)]) == sorted(own)


def test_histories_of_features_know_first_plays(features):
    found = Histories.of(features)
    assert sorted(found.items) == sorted(features.plays["item"])
    assert (np.diff(found.ages[: found.offsets[1]]) <= 0).all(), "oldest first"
    assert found.first.all()  # nobody plays anything twice on the checkerboard
    assert len(found.offsets) == len(features.users) + 1
    twice = features.plays.iloc[[0, 0, 1]].reset_index(drop=True)
    again = Histories.of(type(features)(**(vars(features) | {"plays": twice})))
    assert again.first.tolist() == [True, False, True]


def test_the_history_is_before_the_cut_and_the_targets_after_it(histories):
    batch = examples(histories, histories, np.array([0, 3]), np.array([1, 2]), moments(2), 10)
    assert pairs(batch) == [
        ([(7, 0)], [(8, 0.5), (9, 0.5)]),  # the second 7 and the second 8 are no discoveries
        ([(6, 1), (6, 0)], [(4, 1.0)]),
    ]


def test_only_the_latest_plays_are_read(histories):
    batch = examples(histories, histories, np.array([0]), np.array([3]), moments(1), 2)
    assert pairs(batch) == [([(8, 1), (7, 0)], [(9, 1.0)])]


def test_a_newcomer_has_no_history(histories):
    batch = examples(histories, histories, np.array([1]), np.array([0]), moments(1), 10)
    assert pairs(batch) == [([], [(5, 1.0)])]


def test_an_epoch_shows_everyone_who_discovered_anything_once(histories, whole):
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


def test_ages_are_counted_from_the_cut(histories, whole):
    at = np.array([25, 10], np.float32)
    batch = examples(histories, histories, np.array([0, 3]), np.array([3, 2]), at, 10)
    assert batch.ages.tolist() == [25, 15, 5, 34, 2]
    (batch,) = epoch(histories.where(histories.listeners == 3), 9, 10, np.random.default_rng(4))
    # Listener 3 is cut at 0 (no history), or before the play of 12 or 8 days ago.
    assert batch.ages.tolist() in ([], [32], [36, 4])


def test_a_play_counts_by_its_weight_as_a_target(histories):
    whole = Histories(
        histories.items,
        histories.ages,
        histories.first,
        histories.offsets,
        np.array([1, 3, 9, 1, 9, 1, 1, 1, 1.0]),
    )
    # Listener 0 from her first play on: three discoveries, of weight 1, 3 and 1.
    batch = examples(whole, whole, np.array([0]), np.array([0]), np.zeros(1), 10)
    np.testing.assert_allclose(batch.weights, [0.2, 0.6, 0.2])


def test_plays_of_three_seconds_keep_their_order_for_years(features):
    """As float32 days, 63% of such neighbours of five years ago would be in true order."""
    second = 1 / 86_400
    ages = 1_826 - 3 * second * np.arange(len(features.plays))
    plays = features.plays.assign(user=np.int32(0), age_days=ages)
    histories = Histories.of(replace(features, plays=plays))
    assert histories.items.tolist() == plays["item"].tolist()


def test_an_epoch_draws_so_many_listeners(histories):
    """Each its own; all of them where there are no more."""
    chosen = [
        {
            int(row)
            for batch in epoch(histories, 1, 10, np.random.default_rng(seed), most)
            for row in batch.listeners
        }
        for seed in range(20)
        for most in (1, 9)
    ]
    assert all(len(some) == 1 for some in chosen[::2])
    assert set.union(*chosen[::2]) == chosen[1] == {0, 1, 3}


def test_targets_beyond_the_bound_are_drawn_at_random(monkeypatch, histories):
    monkeypatch.setattr("setlist.models.two_tower.examples.TARGETS", 2)
    targets = [
        pair
        for seed in range(100)
        for batch in epoch(histories, 9, 10, np.random.default_rng(seed))
        for pair in zip(batch.target_rows.tolist(), batch.targets.tolist(), strict=True)
    ]
    assert len(targets) == 200
    assert len(set(targets)) > 5


def test_a_batch_names_its_items_once(histories):
    """Items and targets are places among the candidates, which are items."""
    (batch,) = epoch(histories, 9, 10, np.random.default_rng(1))
    inputs = np.arange(4, dtype=np.int32)[:, None]
    places = in_places(batch, inputs, np.random.default_rng(1))
    candidates = places["candidates"]
    assert len(set(candidates.tolist())) == len(candidates) == len(places["own"])
    assert (candidates[places["items"]] == batch.items).all()
    assert (candidates[places["targets"]] == batch.targets).all()
    assert (places["inputs"][:, 0] == batch.listeners).all()


def test_batches_depend_on_seed_and_number_of_the_epoch_only(histories):
    """So a training that is taken up again sees what it would have seen."""
    inputs, settings = np.zeros((4, 1), np.int32), ModelSettings(seed=3)

    def seen(first, settings=settings):
        return [
            {name: field.tolist() for name, field in batch.items()}
            for batch in dataset(histories, inputs, 2, settings, first).take(6).as_numpy_iterator()
        ]

    whole = seen(0)
    assert seen(1)[:4] == whole[2:]  # two batches an epoch
    assert whole[0] != whole[2]
    assert seen(0, ModelSettings(seed=4)) != whole
