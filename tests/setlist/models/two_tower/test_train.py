"""The two-tower finds what was planted, and says clearly when there is nothing to find."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.waiting import PATIENCE

from setlist.errors import SetlistError
from setlist.models.saved_model import SavedModel
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf
from setlist.models.training_record import read_training_records
from setlist.models.two_tower import descent
from setlist.models.two_tower.network import GAIN_LEARNING_FACTOR, Bag, UserTower
from setlist.models.two_tower.saved_towers import TOWERS, SavedTowers
from setlist.models.two_tower.train import scaled_batch, scaled_dimension, train


def parities(ids):
    return {1 if item == "fresh" else int(item[1:]) % 2 for item in ids}


@pytest.mark.parametrize(("history", "parity"), [(["i0", "i4"], 0), (["i1", "i9", "i3"], 1)])
def test_completes_the_checkerboard_from_history(models, history, parity):
    ids, _ = SavedModel(models / "two_tower").recommend([history], [history], 8, {"country": [""]})
    assert parities(ids[0]) == {parity}


@pytest.mark.parametrize(("country", "parity"), [("Chile", 0), ("Japan", 1)])
def test_serves_a_newcomer_from_the_country_alone(models, country, parity):
    ids, _ = SavedModel(models / "two_tower").recommend([[]], [[]], 8, {"country": [country]})
    assert parities(ids[0]) == {parity}


def test_places_an_unplayed_item_by_its_tags(models):
    model = SavedModel(models / "two_tower")
    inputs = {"country": ["Japan", "Chile"]}
    ids, scores = model.recommend([["i1", "i3"], ["i0", "i2"]], [[], []], 25, inputs)
    japan, chile = (list(row).index("fresh") for row in ids)
    assert japan <= 12, "ahead of every even item, for who plays odd ones"
    assert scores[0][japan] > scores[1][chile] + 1


def test_sampled_softmax_finds_it_too(features, tmp_path):
    settings = ModelSettings(
        dimension=8, epochs=60, learning_rate=0.02, history_length=12, full_softmax_items=0
    )
    epochs = train(features, settings, tmp_path / "model", tmp_path / "record").epochs
    assert epochs[-1].loss < epochs[0].loss
    ids, _ = SavedModel(tmp_path / "model").recommend(
        [["i0", "i4"]], [["i0", "i4"]], 6, {"country": ["Chile"]}
    )
    assert parities(ids[0]) == {0}


def test_same_seed_same_model(features, tmp_path):
    settings = ModelSettings(dimension=8, epochs=2)
    lists = []
    for name in ("one", "two"):
        train(features, settings, tmp_path / name, tmp_path / "record")
        lists.append(SavedModel(tmp_path / name).recommend([["i0"]], [[]], 25))
    assert (lists[0][0] == lists[1][0]).all()
    assert (lists[0][1] == lists[1][1]).all()


def test_says_and_records_every_epoch(features, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(descent, "SHOW_SECONDS", PATIENCE)  # no line within a slow epoch
    settings = ModelSettings(dimension=4, epochs=3, patience=3)
    training = train(features, settings, tmp_path / "m", tmp_path / "record", "narrow")
    lines = [line for line in capsys.readouterr().out.splitlines() if "epoch" in line]
    assert [line.split()[0] for line in lines] == ["33%", "67%", "100%"]
    assert "at most 0 s left" in lines[-1]
    assert [epoch.number for epoch in training.epochs] == [1, 2, 3]
    assert read_training_records(tmp_path / "record") == [training]
    assert (training.label, training.settings.dimension, training.warm) == ("narrow", 4, False)
    assert training.settings.batch == 16, "what was scaled to the data is recorded"


def test_the_curves_are_tensorboard_logs(features, tmp_path):
    settings = ModelSettings(dimension=4, epochs=2, patience=2)
    training = train(features, settings, tmp_path / "m", tmp_path / "record", "one")
    (log,) = (tmp_path / "record" / "tensorboard" / "one").iterdir()
    found = {
        (value.tag, event.step): float(tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(log))
        for value in event.summary.value
    }
    for epoch in training.epochs:
        assert found["loss", epoch.number] == pytest.approx(epoch.loss)
        assert found["held_out_loss", epoch.number] == pytest.approx(epoch.check)
        assert found["held_out_ndcg", epoch.number] == pytest.approx(epoch.ndcg)


def test_a_catalogue_of_one_item_is_refused(features, tmp_path):
    one = replace(features, items=features.items.iloc[:1])
    with pytest.raises(SetlistError, match="the catalogue has 1 item"):
        train(one, ModelSettings(), tmp_path / "m", tmp_path / "record")


def test_nothing_to_learn_from_is_refused(features, tmp_path):
    single = replace(features, plays=features.plays.drop_duplicates("user", ignore_index=True))
    with pytest.raises(SetlistError, match="no listener has two plays"):
        train(single, ModelSettings(), tmp_path / "m", tmp_path / "record")
    assert not (tmp_path / "m").exists()


def test_a_loss_that_explodes_is_refused(features, tmp_path):
    with pytest.raises(SetlistError, match=r"the loss of epoch .* lower model.learning_rate"):
        train(features, ModelSettings(learning_rate=1e30), tmp_path / "m", tmp_path / "record")
    assert not (tmp_path / "m").exists()


def test_training_stops_when_held_out_plays_get_no_likelier(features, tmp_path):
    settings = ModelSettings(dimension=8, epochs=60, learning_rate=0.02, patience=2)
    epochs = train(features, settings, tmp_path / "m", tmp_path / "record").epochs
    checks = [epoch.check for epoch in epochs]
    best = checks.index(min(checks))
    assert len(epochs) == min(best + 3, 60) < 60


def test_what_ships_is_the_epoch_that_was_best(features, tmp_path):
    """Two more epochs of patience change nothing."""
    lists = []
    for name, patience in (("short", 1), ("long", 3)):
        settings = ModelSettings(dimension=8, learning_rate=0.02, patience=patience, seed=3)
        epochs = train(features, settings, tmp_path / name, tmp_path / "record").epochs
        checks = [epoch.check for epoch in epochs]
        lists.append((checks.index(min(checks)), SavedModel(tmp_path / name)))
    (first, one), (second, two) = lists
    if first == second:
        answers = [model.recommend([["i0"], []], [[], []], 25) for model in (one, two)]
        assert (answers[0][0] == answers[1][0]).all()
        np.testing.assert_array_equal(answers[0][1], answers[1][1])


def test_without_times_each_listeners_own_last_plays_are_held_out(features, tmp_path):
    same = replace(features, plays=features.plays.assign(age_days=np.float32(5)))
    training = train(same, ModelSettings(dimension=8), tmp_path / "m", tmp_path / "record")
    assert training.listeners == len(features.users) // 2
    assert training.ndcg > 0.3


def test_where_nobody_can_be_held_out_it_still_learns(features, tmp_path):
    """Two listeners, one of whom discovers one thing only, and nothing afterwards."""
    plays = features.plays[features.plays["user"] == 0].iloc[[0, 0, 0, 1]]
    few = replace(
        features,
        users=features.users.iloc[:1],
        plays=plays.assign(age_days=np.float32([4, 3, 2, 1])).reset_index(drop=True),
    )
    training = train(few, ModelSettings(dimension=2), tmp_path / "m", tmp_path / "record")
    assert (training.listeners, training.loss, training.ndcg) == (0, None, None)
    assert {epoch.check for epoch in training.epochs} == {None}
    losses = [epoch.loss for epoch in training.epochs]
    assert min(losses[1:]) < losses[0]


class Memory:
    """A checkpoint that forgets what is written after the first `keep` times, as a kill does."""

    def __init__(self, keep=10**9):
        self.content, self.keep, self.cleared = None, keep, 0

    def read(self):
        return self.content

    def write(self, content):
        if self.keep == 0:
            raise KeyboardInterrupt
        self.keep -= 1
        self.content = content

    def clear(self):
        self.cleared += 1


def test_a_killed_training_goes_on_to_the_same_model(features, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(descent, "SAVE_SECONDS", -1.0)
    settings = ModelSettings(dimension=8, epochs=12, patience=12, learning_rate=0.01)
    whole = train(features, settings, tmp_path / "whole", tmp_path / "a")
    memory = Memory(keep=5)
    with pytest.raises(KeyboardInterrupt):
        train(features, settings, tmp_path / "killed", tmp_path / "b", checkpoint=memory)
    assert not (tmp_path / "killed").exists()
    memory.keep = 10**9
    resumed = train(features, settings, tmp_path / "resumed", tmp_path / "c", checkpoint=memory)
    assert "taken up again after epoch 5" in capsys.readouterr().out
    assert memory.cleared == 1
    assert [one[:4] for one in resumed.epochs] == [one[:4] for one in whole.epochs]
    assert resumed.epochs[5].seconds > resumed.epochs[4].seconds
    towers = [(tmp_path / name / TOWERS).read_bytes() for name in ("whole", "resumed")]
    assert towers[0] == towers[1], "bit by bit"


def test_a_damaged_checkpoint_is_named(features, tmp_path):
    memory = Memory()
    memory.content = b"half a file"
    with pytest.raises(SetlistError, match="the checkpoint of this training is damaged"):
        train(features, ModelSettings(), tmp_path / "m", tmp_path / "r", checkpoint=memory)


@pytest.mark.parametrize(
    ("items", "plays", "dimension"),
    [
        (20, 100, 16),
        (1_200, 170_000, 32),
        (3_478, 450_000, 64),
        (9_000, 20_000, 32),
        (41_000, 810_000, 128),
        (10**7, 10**9, 128),
    ],
)
def test_the_dimension_grows_with_the_data(items, plays, dimension):
    assert scaled_dimension(items, plays) == dimension


@pytest.mark.parametrize(("listeners", "batch"), [(10, 16), (2_853, 118), (70_000, 256)])
def test_the_batch_grows_with_the_listeners(listeners, batch):
    assert scaled_batch(listeners) == batch


def test_both_ways_to_the_bag_are_one():
    """Of pairs, as in training, and of padded histories, as in serving."""
    tower = UserTower([], history_length=20, dimension=5)
    generator = np.random.default_rng(1)
    for weight in (tower.rank_weight, tower.age_weight, tower.length_weight, tower.input_weight):
        weight.assign(generator.normal(size=weight.shape))
    vectors = tf.constant(generator.normal(size=(9, 5)).astype(np.float32))
    histories = [[3, 3, 8], [], [0], generator.integers(9, size=20).tolist()]
    ages = [generator.exponential(30, len(own)).astype(np.float32) for own in histories]
    padded, padded_ages = np.full((4, 20), -1, np.int32), np.zeros((4, 20), np.float32)
    for row, own in enumerate(histories):
        padded[row, 20 - len(own) :] = own
        padded_ages[row, 20 - len(own) :] = ages[row]
    pairs = {
        "rows": np.repeat(np.arange(4), [len(own) for own in histories]).astype(np.int32),
        "items": np.array([code for own in histories for code in own], np.int32),
        "ranks": np.array([rank for own in histories for rank in range(len(own))[::-1]], np.int32),
        "ages": np.concatenate(ages),
    }
    one = tower.bag_of_pairs(vectors, pairs, tf.constant(4))
    other = tower.bag(vectors, tf.constant(padded), tf.constant(padded_ages))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
    assert one.counts.numpy().tolist() == other.counts.numpy().tolist() == [3, 0, 1, 20]


def test_the_age_of_a_play_counts():
    """By hand: ages of half an hour and of two days are in buckets 0 and 5."""
    tower = UserTower([], history_length=2, dimension=1)
    tower.age_weight.assign(np.log(np.arange(1, 17)).astype(np.float32))
    vectors = tf.constant([[1.0], [0.0]])
    bag = tower.bag(vectors, tf.constant([[0, 1]]), tf.constant([[0.5 / 24, 2.0]]))
    np.testing.assert_allclose(bag.mean, [[1 / (1 + 6)]], rtol=1e-6)


def test_trust_goes_by_the_length_of_the_history():
    """By hand: nobody's history has bucket 0, three plays bucket 2."""
    tower = UserTower([1], history_length=9, dimension=1)
    tower.input_embeddings[0].assign([[1.0], [0.0]])
    tower.length_weight.assign(np.log(np.arange(2, 11)).astype(np.float32) / GAIN_LEARNING_FACTOR)
    tower.input_weight.assign(
        np.log(np.arange(10, 100, 10)).astype(np.float32) / GAIN_LEARNING_FACTOR
    )
    bags = Bag(tf.constant([[0.0], [0.5]]), tf.constant([0.0, 3.0]))
    users = tower(bags, [tf.constant([0, 0])])
    np.testing.assert_allclose(users, [[10], [0.5 * 4 + 30]], rtol=1e-5)


def test_what_few_have_played_is_what_its_tags_say(features, tmp_path, monkeypatch):
    """The own vector of an item with one listener decays; nothing else makes it small."""
    rare = features.items["item_id"].tolist().index("i0")
    plays = features.plays
    few = plays[(plays["item"] != rare) | (plays["user"] == plays["user"].max() - 1)]
    thin = replace(features, plays=few.reset_index(drop=True))
    settings = ModelSettings(dimension=8, epochs=20, patience=20, learning_rate=0.02)
    own = {}
    for shrink in (100.0, 0.0):
        monkeypatch.setattr(descent, "ITEM_DECAY", shrink)
        train(thin, settings, tmp_path / str(shrink), tmp_path / "r")
        weights = SavedTowers.read(tmp_path / str(shrink)).weights
        own[shrink] = np.linalg.norm(weights["item_embedding"][rare])
    assert own[100.0] < own[0.0] / 2


def test_what_is_played_more_of_late_is_put_first(features, tmp_path, monkeypatch):
    """All play i8 and i9 in the last days only, as the held-out listeners do."""
    monkeypatch.setattr("setlist.models.two_tower.examples.MIN_HOLDOUT_LISTENERS", 5)
    late = [features.items["item_id"].tolist().index(item) for item in ("i8", "i9")]
    ages = np.where(features.plays["item"].isin(late), 1.0, features.plays["age_days"] + 30)
    plays = features.plays.assign(age_days=ages.astype(np.float32))
    plays = plays.sort_values(["user", "age_days"], ascending=[True, False], ignore_index=True)
    settings = ModelSettings(dimension=8, epochs=3, recency_days=(3.0,))
    train(replace(features, plays=plays), settings, tmp_path / "m", tmp_path / "r")
    recency = SavedTowers.read(tmp_path / "m").prior.recency
    assert recency[late].min() > 0
    assert set(np.argsort(-recency)[:2]) == set(late)


@pytest.mark.parametrize(("released", "sign"), [(pd.NaT, 0), ("2026-03-30", 0), ("2025-01-01", -1)])
def test_only_what_could_be_known_then_counts_against_the_unplayed(
    features, tmp_path, monkeypatch, released, sign
):
    """Nobody played "fresh": that says something if it was there before the held-out plays."""
    monkeypatch.setattr("setlist.models.two_tower.examples.MIN_HOLDOUT_LISTENERS", 5)
    items = features.items.copy()
    items.loc[items["item_id"] == "fresh", "released"] = pd.to_datetime(released, utc=True)
    settings = ModelSettings(dimension=8, epochs=3)
    train(replace(features, items=items), settings, tmp_path / "m", tmp_path / "r")
    assert np.sign(SavedTowers.read(tmp_path / "m").prior.fresh[-1]) == sign
