"""The two-tower finds what was planted, and says clearly when there is nothing to find."""

import io
import re
import tarfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tests.waiting import PATIENCE

from setlist.errors import SetlistError
from setlist.models.histories import Histories
from setlist.models.learners.factors import ItemFactors, play_matrix
from setlist.models.learners.ials import ials
from setlist.models.learners.learnable import Learnable
from setlist.models.learners.spectral import SpectralSettings, spectral
from setlist.models.saved_model import SavedModel
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf
from setlist.models.training_record import read_training_records
from setlist.models.two_tower import descent, stages
from setlist.models.two_tower.descent import Descent
from setlist.models.two_tower.examples import dataset
from setlist.models.two_tower.holdout import Holdout, Judgement
from setlist.models.two_tower.network import (
    GAIN_LEARNING_FACTOR,
    Bag,
    ItemStart,
    TwoTower,
    UserTower,
)
from setlist.models.two_tower.prior import fit
from setlist.models.two_tower.saved_towers import TOWERS, SavedTowers, tag_weights
from setlist.models.two_tower.train import choose_start, scaled_batch, train


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
    lines = [line for line in capsys.readouterr().out.splitlines() if "% epoch" in line]
    assert [line.split()[0] for line in lines] == ["33%", "67%", "100%"]
    assert "at most 0 s left" in lines[-1]
    assert [epoch.number for epoch in training.epochs] == [1, 2, 3]
    assert read_training_records(tmp_path / "record") == [training]
    assert (training.label, training.settings.dimension, training.warm) == ("narrow", 4, False)
    assert training.settings.batch == 16, "what was scaled to the data is recorded"


def test_the_curves_are_tensorboard_logs(features, tmp_path):
    settings = ModelSettings(dimension=4, epochs=2, patience=2)
    training = train(features, settings, tmp_path / "m", tmp_path / "record", "one")
    (log,) = (tmp_path / "record" / "tensorboard" / "one" / "train").iterdir()
    found = {
        (value.tag, event.step): float(tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(log))
        for value in event.summary.value
    }
    for epoch in training.epochs:
        place = epoch.number - 1  # as Keras counts
        assert found["epoch_mean_loss", place] == pytest.approx(epoch.loss)
        assert found["epoch_held_out_loss", place] == pytest.approx(epoch.check)
        assert found["epoch_held_out_ndcg", place] == pytest.approx(epoch.ndcg)


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
    settings = ModelSettings().model_copy(update={"learning_rate": 1e30})  # settings allow 100
    with pytest.raises(SetlistError, match=r"the loss of epoch .* lower model.learning_rate"):
        train(features, settings, tmp_path / "m", tmp_path / "record")
    assert not (tmp_path / "m").exists()


def test_training_stops_after_so_many_epochs_that_were_undone(features, tmp_path, capsys):
    settings = ModelSettings(dimension=8, epochs=60, learning_rate=0.02, patience=2)
    training = train(features, settings, tmp_path / "m", tmp_path / "record")
    kept = 0
    if training.best:
        kept = int(re.search(r"learning all plays: (\d+)", capsys.readouterr().out).group(1))
    assert len(training.epochs) < 60
    assert training.best <= len(training.epochs) - 2
    assert kept in (0, len(training.epochs) - 2)


def judged(values):
    """Judges by these values, float64[checked listeners] each, one after the other."""
    values = iter(values)
    return lambda: Judgement(2.0, next(values), None)


def test_an_epoch_that_is_better_by_chance_is_undone(features):
    """A hundred listeners whose gains deviate by 0.05: a standard error of 0.005."""
    descent, (learn, inputs) = small_descent(features, epochs=3)
    start, noise = np.full(100, 0.3), np.tile([0.05, -0.05], 50)
    gains = [start, start + 0.01 - noise, start + 0.014, start + 0.02 - noise]
    descent.fit(learn, inputs, None, judged(gains), lambda: None, None)
    assert descent.rates == pytest.approx([0.01, 0.0025])
    assert [epoch.ndcg for epoch in descent.epochs] == pytest.approx([0.31, 0.314, 0.32])
    assert descent.best == 3


@pytest.fixture
def no_neighbours(monkeypatch):
    """Nothing has a share of the score beside the towers."""
    monkeypatch.setattr(Holdout, "share", lambda own, towers, weights: None)


def test_where_no_epoch_helps_the_start_is_the_model(features, tmp_path, no_neighbours):
    """Steps so small that nothing changes: what ships is what was there before."""
    settings = ModelSettings(dimension=8, epochs=2, learning_rate=1e-9)
    training = train(features, settings, tmp_path / "m", tmp_path / "record")
    assert training.best == 0
    assert training.ndcg == pytest.approx(training.start_ndcg)
    assert "8 dimensions" in training.start


def test_the_start_ranks_as_the_learner_does(features, tmp_path, no_neighbours):
    """The same order but for ties, for histories of played items that are read whole."""
    settings = ModelSettings(dimension=8, epochs=1, learning_rate=1e-9, recency_days=())
    train(features, settings, tmp_path / "m", tmp_path / "record")
    learnable = Learnable(features)
    start = choose_start(learnable.split, learnable.items, 8)
    factors = (spectral if isinstance(start, SpectralSettings) else ials)(
        play_matrix(learnable.histories, learnable.items), start
    )
    ids = features.items["item_id"].tolist()
    generator = np.random.default_rng(1)
    played = np.flatnonzero(learnable.listeners)
    histories = [
        generator.choice(played, generator.integers(1, 9), replace=False) for _ in range(50)
    ]
    lists, _ = SavedModel(tmp_path / "m").recommend(
        [[ids[code] for code in own] for own in histories], [["fresh"]] * 50, 20
    )
    for own, listed in zip(histories, lists, strict=True):
        scores = factors.into[own].sum(axis=0) @ factors.vectors.T
        scores[ids.index("fresh")] = -np.inf
        ours = scores[[ids.index(item) for item in listed]]
        np.testing.assert_allclose(ours, np.sort(scores)[::-1][:20], atol=1e-5 * abs(ours).max())


def test_without_times_each_listeners_own_last_plays_are_held_out(features, tmp_path):
    same = replace(features, plays=features.plays.assign(age_days=np.float32(5)))
    training = train(same, ModelSettings(dimension=8), tmp_path / "m", tmp_path / "record")
    assert training.listeners == len(features.users) // 2
    assert training.ndcg > 0.3


def test_where_nobody_can_be_held_out_the_start_is_the_model(features, tmp_path):
    """A listener who discovers two things; nothing could show that training helps."""
    plays = features.plays[features.plays["user"] == 0].iloc[[0, 0, 0, 1]]
    few = replace(
        features,
        users=features.users.iloc[:1],
        plays=plays.assign(age_days=np.float32([4, 3, 2, 1])).reset_index(drop=True),
    )
    training = train(few, ModelSettings(dimension=2), tmp_path / "m", tmp_path / "record")
    assert (training.listeners, training.loss, training.ndcg) == (0, None, None)
    assert (training.epochs, training.best) == ([], 0)
    _, scores = SavedModel(tmp_path / "m").recommend([["i0"]], [["i0"]], 2, {"country": [""]})
    assert np.isfinite(scores).all()


def test_a_recipe_is_repeated_without_choosing_again(features, tmp_path, monkeypatch):
    """On the same plays it makes the same towers; only the prior is fitted anew."""
    settings = ModelSettings(dimension=8, learning_rate=0.02, epochs=6)
    first = train(features, settings, tmp_path / "first", tmp_path / "a")
    assert first.recipe
    recipe = first.recipe.model_copy(update={"rates": [0.02, 0.02, 0.005], "share": 0.25})
    for choice in ("choose_start", "choose_item_item"):
        monkeypatch.delattr(f"setlist.models.two_tower.train.{choice}")
    made = [
        train(features, first.settings, tmp_path / name, tmp_path / "b", recipe=again)
        for name, again in (("same", first.recipe), ("other", recipe))
    ]
    assert [training.recipe for training in made] == [first.recipe, recipe]
    assert [training.trials for training in made] == [{}, {}]
    assert [len(training.epochs) for training in made] == [len(first.recipe.rates), 3]
    weights = []
    for name in ("first", "same"):
        with np.load(tmp_path / name / TOWERS) as towers:
            weights.append(
                {
                    key: towers[key]
                    for key in towers
                    if key.split("_")[0] not in ("prior", "document")
                }
            )
    assert weights[0].keys() == weights[1].keys()
    for key, values in weights[0].items():
        np.testing.assert_array_equal(values, weights[1][key], err_msg=key)


def test_only_the_most_frequent_tags_have_a_vector(features, tmp_path, monkeypatch):
    monkeypatch.setattr("setlist.models.two_tower.train.MOST_TAGS", 1)
    train(features, ModelSettings(dimension=2, epochs=1), tmp_path / "m", tmp_path / "r")
    assert SavedTowers.read(tmp_path / "m").tags == ["odd"], "of 13 items, even is of 12"


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
    monkeypatch.setattr(stages, "SAVE_SECONDS", -1.0)
    settings = ModelSettings(dimension=8, epochs=12, patience=12, learning_rate=0.01)
    whole = train(features, settings, tmp_path / "whole", tmp_path / "a")
    memory, judge, asked = Memory(), Holdout.judge, []

    def killed(holdout, *towers):
        asked.append(1)
        if len(asked) == 7:  # of the start, and of six epochs
            raise KeyboardInterrupt
        return judge(holdout, *towers)

    monkeypatch.setattr(Holdout, "judge", killed)
    with pytest.raises(KeyboardInterrupt):
        train(features, settings, tmp_path / "killed", tmp_path / "b", checkpoint=memory)
    assert not (tmp_path / "killed").exists()
    resumed = train(features, settings, tmp_path / "resumed", tmp_path / "c", checkpoint=memory)
    assert "taken up again after epoch 5" in capsys.readouterr().out
    assert memory.cleared == 1
    assert [one[:4] for one in resumed.epochs] == [one[:4] for one in whole.epochs]
    assert resumed.epochs[5].seconds > resumed.epochs[4].seconds
    towers = [(tmp_path / name / TOWERS).read_bytes() for name in ("whole", "resumed")]
    assert towers[0] == towers[1], "bit by bit"


def test_a_search_goes_on_after_a_kill_with_what_was_measured(features, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "SAVE_SECONDS", -1.0)
    settings = ModelSettings(dimension=8, epochs=1)
    whole = train(features, settings, tmp_path / "whole", tmp_path / "a")
    memory = Memory(keep=40)
    with pytest.raises(KeyboardInterrupt):
        train(features, settings, tmp_path / "killed", tmp_path / "b", checkpoint=memory)
    measured = []
    worth = ItemFactors.worth
    monkeypatch.setattr(
        ItemFactors, "worth", lambda own, split: measured.append(own) or worth(own, split)
    )
    again = train(features, settings, tmp_path / "k", tmp_path / "c", checkpoint=Memory())
    from_start = len(measured)
    memory.keep = 10**9
    resumed = train(features, settings, tmp_path / "resumed", tmp_path / "d", checkpoint=memory)
    assert len(measured) - from_start == from_start - 40
    assert resumed.trials == again.trials == whole.trials
    assert resumed.start == max(whole.trials, key=whole.trials.__getitem__)


def test_a_damaged_checkpoint_is_named(features, tmp_path):
    memory = Memory()
    memory.content = b"half a file"
    with pytest.raises(SetlistError, match="the checkpoint of this training is damaged"):
        train(features, ModelSettings(), tmp_path / "m", tmp_path / "r", checkpoint=memory)


@pytest.mark.parametrize("kind", ["above", "link"])
def test_a_checkpoint_with_other_than_files_is_refused(features, tmp_path, kind):
    memory, content = Memory(), io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        entry = tarfile.TarInfo("../above" if kind == "above" else "link")
        entry.type = tarfile.REGTYPE if kind == "above" else tarfile.SYMTYPE
        entry.linkname = "/etc/passwd"
        tar.addfile(entry)
    memory.content = content.getvalue()
    with pytest.raises(SetlistError, match="is no file of a checkpoint"):
        train(features, ModelSettings(), tmp_path / "m", tmp_path / "r", checkpoint=memory)


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
    plays = tf.gather(vectors, np.maximum(padded, 0))
    other = tower.bag(plays, tf.constant(padded), tf.constant(padded_ages))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
    assert one.counts.numpy().tolist() == other.counts.numpy().tolist() == [3, 0, 1, 20]


def test_the_age_of_a_play_counts():
    """By hand: ages of half an hour and of two days are in buckets 0 and 5."""
    tower = UserTower([], history_length=2, dimension=1)
    tower.age_weight.assign(np.log(np.arange(1, 17)).astype(np.float32))
    plays = tf.constant([[[1.0], [0.0]]])
    bag = tower.bag(plays, tf.constant([[0, 1]]), tf.constant([[0.5 / 24, 2.0]]))
    np.testing.assert_allclose(bag.mean, [[1 / (1 + 6)]], rtol=1e-6)


def test_trust_and_gates_go_by_the_length_of_the_history():
    """By hand: nobody's history has bucket 0, three plays bucket 2."""
    tower = UserTower([1], history_length=9, dimension=1)
    assert tower.bias_weight.numpy()[1:].tolist() == [0] * 8, "popularity is for newcomers"
    tower.input_embeddings[0].assign([[1.0], [0.0]])
    tower.length_weight.assign(np.log(np.arange(2, 11)).astype(np.float32) / GAIN_LEARNING_FACTOR)
    tower.input_weight.assign(np.arange(10, 100, 10).astype(np.float32) / GAIN_LEARNING_FACTOR)
    bags = Bag(tf.constant([[0.0], [0.5]]), tf.constant([0.0, 3.0]))
    users = tower(bags, [tf.constant([0, 0])])
    np.testing.assert_allclose(users, [[10, 1], [0.5 * 4 + 30, 0]], rtol=1e-5)


def small_descent(features, **settings):
    """On the features; with what it learns from."""
    plays = Learnable(features).listeners
    generator = np.random.default_rng(1)
    vectors = generator.normal(0, 0.1, (len(plays), 2)).astype(np.float32)
    none = sparse.csr_array((len(plays), 1), dtype=np.float32)
    start = ItemStart.split(vectors, np.ones(len(plays), np.float32), none, plays)
    tower = UserTower([], history_length=9, dimension=2)
    towers = TwoTower(tower, start, tags=none, plays=plays)
    descent = Descent(towers, ModelSettings(batch=4, history_length=9, **settings))
    return descent, (Histories.of(features), np.empty((len(features.users), 0), np.int32))


@pytest.mark.parametrize(("lift", "best"), [(0.006, 0), (0.1, 1)])
def test_what_is_better_by_chance_is_not_shipped(features, lift, best):
    """A hundred listeners whose lifts have a standard deviation of 0.05: an interval of 0.01."""
    descent, (learn, inputs) = small_descent(features, epochs=1)
    before = descent.towers.values()
    start, noise = np.full(100, 0.3), np.tile([0.05, -0.05], 50)
    gains = judged([start, start + lift + noise])
    descent.fit(learn, inputs, None, gains, lambda: None, None)
    assert (descent.best, len(descent.rates)) == (best, best)
    after = descent.towers.values()
    same = all((after[name] == value).all() for name, value in before.items())
    assert same == (best == 0)


def test_a_step_reads_and_changes_the_items_of_its_batch_only(features):
    """So a step costs the same however large the catalogue is."""
    descent, (learn, inputs) = small_descent(features, epochs=1)
    towers = descent.towers
    before = towers.values()["item_embedding"]
    (batch,) = dataset(learn, inputs, 1, descent.settings, 0).take(1)
    towers.train_step(batch)
    changed = np.flatnonzero((towers.values()["item_embedding"] != before).any(axis=1))
    assert 0 < len(changed) < len(before)
    assert set(changed) <= set(batch["candidates"].numpy())


def test_an_item_is_the_mean_of_its_tags_and_its_own():
    """By hand: two tags, one tag, none; the last item is placed by its tags alone."""
    tags = tag_weights([["a", "b"], ["b"], [], ["a"]], ["a", "b"])
    start = ItemStart(
        item_embedding=np.array([[1.0], [2], [3], [4]], np.float32),
        item_bias=np.zeros(4, np.float32),
        item_weight=np.log(np.array([1.0, 1, 5, 7], np.float32)),
        tag_embedding=np.array([[10.0], [20], [100]], np.float32),
        tag_bias=np.array([1.0, 2, 4], np.float32),
    )
    plays = np.array([1.0, 1, 1, 0], np.float32)
    towers = TwoTower(UserTower([], 9, 1), start, tags=tags, plays=plays)
    items = towers.item_tower()
    np.testing.assert_allclose(items, [[116, 5.5], [122, 6], [103, 4], [110, 5]])
    np.testing.assert_allclose(towers.item_tower(1, 3), items[1:3])
    np.testing.assert_allclose(towers.play_factors(), [1, 1, 5, 1])
    alone = towers.item_vectors(tf.constant([2, 0]), tf.constant([1.0, 0.0]))
    np.testing.assert_allclose(alone, [[103, 4], [115, 5.5]])


def test_what_is_played_more_of_late_is_put_first(features, tmp_path, monkeypatch):
    """All play i8 and i9 in the last days only, as the held-out listeners do."""
    monkeypatch.setattr("setlist.models.inner_split.HOLDOUT_SHARE", 0.05)
    monkeypatch.setattr("setlist.models.inner_split.MIN_HOLDOUT_LISTENERS", 5)
    late = [features.items["item_id"].tolist().index(item) for item in ("i8", "i9")]
    now = 1 + features.plays["user"] / 100
    ages = np.where(features.plays["item"].isin(late), now, features.plays["age_days"] + 30)
    plays = features.plays.assign(age_days=ages.astype(np.float32))
    plays = plays.sort_values(["user", "age_days"], ascending=[True, False], ignore_index=True)
    settings = ModelSettings(dimension=8, epochs=3, recency_days=(3.0,))
    train(replace(features, plays=plays), settings, tmp_path / "m", tmp_path / "r")
    recency = SavedTowers.read(tmp_path / "m").prior.recency
    assert recency[late].min() > 0
    for column in recency.T:
        assert set(np.argsort(-column)[:2]) == set(late)


def test_newcomers_and_others_have_priors_of_their_own(features, tmp_path, models):
    """Each prior lifts an item of its own above everything else."""
    towers = SavedTowers.read(models / "two_tower")
    recency = np.zeros((len(towers.catalogue), 2), np.float32)
    for column, item in enumerate(("i2", "i7")):
        recency[towers.catalogue.index(item), column] = 1e3
    prior = replace(towers.prior, recency=recency)
    replace(towers, prior=prior).export(features.items, features.window.cutoff, tmp_path)
    ids, _ = SavedModel(tmp_path).recommend([[], ["i0"]], [[], []], 1, {"country": ["", ""]})
    assert [row[0] for row in ids] == ["i2", "i7"]


@pytest.mark.parametrize(("released", "sign"), [(pd.NaT, 0), ("2026-03-30", 0), ("2025-01-01", -1)])
def test_only_what_could_be_known_then_counts_against_the_unplayed(
    features, tmp_path, monkeypatch, released, sign
):
    """Nobody played "fresh": that says something if it was there before the held-out plays."""
    monkeypatch.setattr("setlist.models.inner_split.times_tell", lambda histories: True)
    monkeypatch.setattr("setlist.models.inner_split.MIN_HOLDOUT_LISTENERS", 5)
    items = features.items.copy()
    items.loc[items["item_id"] == "fresh", "released"] = pd.to_datetime(released, utc=True)
    settings = ModelSettings(dimension=8, epochs=3)
    train(replace(features, items=items), settings, tmp_path / "m", tmp_path / "r")
    newcomers, others = SavedTowers.read(tmp_path / "m").prior.fresh[-1]
    assert np.sign(others) == np.sign(newcomers) == sign


def test_who_could_play_nothing_says_nothing_of_the_prior(features, tmp_path, monkeypatch):
    """Half of the held-out plays are of items that nobody could have chosen then."""
    monkeypatch.setattr("setlist.models.inner_split.times_tell", lambda histories: True)
    asked = []

    def spied(scores, features, targets, weights):
        asked.append((scores, targets, weights))
        return fit(scores, features, targets, weights)

    monkeypatch.setattr("setlist.models.two_tower.holdout.fit", spied)
    plays = features.plays.copy()
    fresh = features.items.index[features.items["item_id"] == "fresh"][0]
    latest = plays.groupby("user").tail(1).index[::2]
    plays.loc[latest, ["item", "age_days"]] = [fresh, 0.5]
    plays["age_days"] = plays["age_days"].astype("float32")
    train(
        replace(features, plays=plays),
        ModelSettings(dimension=8, epochs=1),
        tmp_path / "m",
        tmp_path / "r",
    )
    assert asked
    for scores, targets, weights in asked:
        assert fresh not in targets
        assert weights.sum() == pytest.approx(len(scores)), "of each listener they add up to 1"


def test_an_approximate_model_is_asked_for(features, tmp_path, no_neighbours):
    """25 items fall into clusters as any others do, or the model says that it stays exact."""
    settings = ModelSettings(dimension=8, epochs=1, approximate_items=10)
    train(features, settings, tmp_path / "m", tmp_path / "r")
    assert SavedTowers.read(tmp_path / "m").approximate_items == 10
    ids, _ = SavedModel(tmp_path / "m").recommend([["i0"]], [["i0"]], 24, {"country": [""]})
    assert len(set(ids[0])) == 24
