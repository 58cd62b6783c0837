"""Simple learners find what was planted, are what their formulas say, and serve newcomers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from setlist.data.features import Features
from setlist.models.histories import Histories
from setlist.models.inner_split import inner_split
from setlist.models.learners import item_item
from setlist.models.learners.factors import ItemFactors, bag, play_matrix, search_matrix
from setlist.models.learners.ials import IalsSettings, choose_ials, ials, least
from setlist.models.learners.item_item import (
    ItemItemSettings,
    _score,
    choose_item_item,
    ease,
    neighbours,
)
from setlist.models.learners.learnable import Learnable
from setlist.models.learners.spectral import (
    SpectralSettings,
    Spectrum,
    choose_spectral,
    spectral,
)
from setlist.models.saved_model import SavedModel

LEARNERS = ("spectral", "item_item", "ials")


def blocks(listeners=60, items=20, seed=1) -> sparse.csr_array:
    """Two groups of listeners, each with its own half of the items, and some noise."""
    generator = np.random.default_rng(seed)
    same = np.arange(listeners)[:, None] % 2 == np.arange(items) % 2
    own = generator.random((listeners, items)) < np.where(same, 0.7, 0.05)
    return sparse.csr_array(own.astype(np.float32))


def histories_of(plays: sparse.csr_array) -> Histories:
    """All plays at one instant, in random order."""
    generator = np.random.default_rng(2)
    items = [
        generator.permutation(plays.indices[start:stop])
        for start, stop in zip(plays.indptr, plays.indptr[1:], strict=False)
    ]
    return Histories(
        np.concatenate(items).astype(np.int32),
        np.full(plays.nnz, 3.0),
        np.ones(plays.nnz, np.bool_),
        plays.indptr.astype(np.int64),
        np.ones(plays.nnz),
    )


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(("history", "parity"), [(["i0", "i4"], 0), (["i1", "i9", "i3"], 1)])
def test_it_completes_the_checkerboard(models, name, history, parity):
    ids, _ = SavedModel(models / name).recommend([history], [history], 8)
    assert {int(item[1:]) % 2 for item in ids[0]} == {parity}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_newcomer_is_shown_what_is_popular(models, name):
    ids, _ = SavedModel(models / name).recommend([[], ["nobody knows this"]], [[], []], 24)
    popular, _ = SavedModel(models / "most_popular").recommend([[]], [[]], 24)
    assert ids.tolist() == [popular[0].tolist()] * 2


@pytest.mark.parametrize("name", LEARNERS)
def test_what_nobody_played_is_not_in_its_catalogue(models, name):
    catalogue = (models / name / "catalogue.txt").read_text().split()
    assert len(catalogue) == 24
    assert "fresh" not in catalogue


def test_the_spectrum_is_that_of_the_full_decomposition():
    plays = blocks()
    spectrum = Spectrum.of(plays, 0.5, 0.5, 3)
    table = plays.toarray()
    scaled = table / np.sqrt(table.sum(axis=1, keepdims=True)) / np.sqrt(table.sum(axis=0))
    _, values, exact = np.linalg.svd(scaled, full_matrices=False)
    signs = np.sign((spectrum.vectors.T * exact[:3]).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(spectrum.vectors.T * signs, exact[:3], atol=5e-3)
    np.testing.assert_allclose(spectrum.values, values[:3], rtol=1e-3)


def test_directions_that_are_not_there_are_zero():
    few = sparse.csr_array(np.eye(3, 5, dtype=np.float32))
    factors = spectral(few, SpectralSettings(0.5, 0.5, 8, 1.0, own_share=True))
    assert factors.vectors.shape == (5, 8)
    assert (factors.vectors[:, 3:] == 0).all()
    assert (factors.vectors[3:] == 0).all(), "of items that nobody played"
    assert np.isfinite(factors.vectors).all()


def test_with_all_directions_it_is_ease():
    """The whole spectrum, its filter and the own share are EASE, but for i = j."""
    plays = blocks()
    spectrum = Spectrum.of(plays, 0.0, 0.0, 20)
    median = np.median(spectrum.values**2)
    factors = spectrum.factors(SpectralSettings(0.0, 0.0, 20, 2.0, own_share=True))
    weights = factors.into @ factors.vectors.T
    gram = (plays.T @ plays).toarray()
    expected = ease(plays, 2.0 * median / np.diag(gram).mean())
    off = ~np.eye(20, dtype=bool)
    np.testing.assert_allclose(weights[off], expected[off], atol=2e-3)


@pytest.mark.parametrize("listeners", [60, 15])
def test_ease_is_the_best_linear_model_without_its_own_item(listeners):
    """By the formula's source: each column is ridge regression on all other items."""
    plays = blocks(listeners)
    strength = 0.5
    found = ease(plays, strength)
    table = plays.toarray().astype(np.float64)
    penalty = strength * np.diag(table.T @ table).mean()
    for item in (0, 7):
        others = np.delete(np.arange(20), item)
        left = table[:, others]
        square = left.T @ left + penalty * np.eye(19)
        np.testing.assert_allclose(
            found[others, item], np.linalg.solve(square, left.T @ table[:, item]), atol=1e-4
        )


def test_neighbours_are_the_strongest_of_the_whole(monkeypatch):
    plays = blocks()
    monkeypatch.setattr(item_item, "NEIGHBOURS", 5)
    monkeypatch.setattr(item_item, "BLOCK_CELLS", 60)
    codes, weights = neighbours(plays, ItemItemSettings(1.0, None))
    whole = ease(plays, 1.0)
    for item in range(20):
        strongest = np.sort(np.abs(whole[item]))[-5:]
        np.testing.assert_allclose(np.sort(np.abs(weights[item])), strongest)
        np.testing.assert_array_equal(whole[item, codes[item]], weights[item])


def test_the_graph_filter_is_the_scaled_gram_matrix(monkeypatch):
    plays = blocks()
    monkeypatch.setattr(item_item, "NEIGHBOURS", 20)
    codes, weights = neighbours(plays, ItemItemSettings(None, 0.25))
    table = plays.toarray()
    scaled = table / np.sqrt(table.sum(axis=1, keepdims=True)) / table.sum(axis=0) ** 0.25
    expected = scaled.T @ scaled
    np.fill_diagonal(expected, 0)
    found = np.zeros((20, 20), np.float32)
    np.add.at(found, (np.arange(20)[:, None], codes), weights)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_graph_filter_keeps_the_strongest_in_blocks(monkeypatch):
    plays = blocks()
    settings = ItemItemSettings(None, 0.5)
    whole = np.zeros((20, 20), np.float32)
    codes, weights = neighbours(plays, settings)
    np.add.at(whole, (np.arange(20)[:, None], codes), weights)
    monkeypatch.setattr(item_item, "NEIGHBOUR_CELLS", 100)
    monkeypatch.setattr(item_item, "BLOCK_CELLS", 700)
    codes, weights = neighbours(plays, settings)
    assert codes.shape == weights.shape == (20, 5)
    for item in range(20):
        np.testing.assert_array_equal(np.sort(weights[item]), np.sort(whole[item])[-5:])
        np.testing.assert_array_equal(whole[item, codes[item]], weights[item])


def test_all_directions_alike_are_no_learner(features):
    """Whoever scores by identity alone ranks what is not known by the rounding of float32."""
    learnable = Learnable(features)
    settings, _ = choose_spectral(learnable.split, learnable.items)
    assert settings.strength > 0 or settings.dimension < 24


def test_ranking_by_vectors_is_ranking_by_scores(features):
    learnable = Learnable(features)
    vectors = np.random.default_rng(1).normal(size=(learnable.items, 4)).astype(np.float32)
    by_scores = learnable.split.ndcg(
        lambda batch: bag(batch, learnable.items) @ vectors @ vectors.T
    )
    by_vectors = learnable.split.ndcg_by_vectors(
        lambda batch: bag(batch, learnable.items) @ vectors, vectors
    )
    assert len(by_scores) > 10
    np.testing.assert_allclose(by_vectors, by_scores)


def test_directions_that_the_plays_do_not_have_count_nothing():
    """Forty listeners with five histories: five directions, and no more."""
    histories = np.random.default_rng(2).random((5, 30)) < 0.3
    plays = sparse.csr_array(np.repeat(histories, 8, axis=0).astype(np.float32))
    spectrum = Spectrum.of(plays, 0.0, 0.0, 12)
    assert (spectrum.values > 0).tolist() == [True] * 5 + [False] * 7
    for strength in (0.0, 1.0):
        settings = SpectralSettings(0.0, 0.0, 12, strength, own_share=False)
        scale = spectrum.factors(settings).scale
        assert (scale > 0).tolist() == [True] * 5 + [False] * 7
    assert np.median(scale[:5]) == pytest.approx(0.5), "the strength is the median of what is there"


def test_the_graph_filter_scores_in_blocks(monkeypatch):
    plays = blocks()
    split = inner_split(histories_of(plays), 20, np.inf, 200)
    score = _score(plays, ItemItemSettings(None, 0.5))
    (batch,) = split.check
    whole = score(batch)
    monkeypatch.setattr("setlist.models.learners.item_item.BLOCK_CELLS", 3 * plays.shape[0])
    np.testing.assert_array_equal(_score(plays, ItemItemSettings(None, 0.5))(batch), whole)


def test_ials_finds_the_blocks_and_more_rounds_find_no_others():
    plays, settings = blocks(), IalsSettings(0.1, 0.2, 2)
    scores = []
    for rounds in (30, 60):
        factors = ials(plays, settings, rounds)
        scores.append(plays @ factors.into @ factors.vectors.T)
    same = np.arange(60)[:, None] % 2 == np.arange(20) % 2
    assert scores[0][same].mean() > 3 * abs(scores[0][~same].mean())
    np.testing.assert_allclose(scores[0], scores[1], atol=0.01)


def test_ials_is_where_its_loss_is_least_for_short_and_for_long_rows():
    """The step for one side, by hand, with more plays than dimensions and with fewer."""
    generator = np.random.default_rng(1)
    diagonal = generator.uniform(0.5, 2, 5).astype(np.float32)
    for entries in (3, 9):
        own = generator.normal(size=(2, entries, 5)).astype(np.float32)
        expected = [
            np.linalg.solve(np.diag(diagonal) + row.T @ row, row.sum(axis=0)) for row in own
        ]
        np.testing.assert_allclose(least(own, diagonal), expected, rtol=1e-4)


def test_ials_folds_a_history_in_as_it_was_fitted():
    """Everybody played everything: with all weights 1 every score is 1, but for what is shrunk."""
    plays = sparse.csr_array(np.ones((30, 6), np.float32))
    factors = ials(plays, IalsSettings(1e-4, 1.0, 2))
    scores = plays[[0]] @ factors.into @ factors.vectors.T
    np.testing.assert_allclose(scores, np.ones((1, 6)), atol=0.03)


def test_a_history_is_scored_as_the_sum_of_its_plays(models, features):
    """The SavedModel is the formula of the factors."""
    learnable = Learnable(features)
    settings, _ = choose_spectral(learnable.split, learnable.items)
    factors = spectral(play_matrix(learnable.histories, learnable.items), settings)
    code = {item: place for place, item in enumerate(features.items["item_id"])}
    history = ["i0", "i4", "i0"]
    rows = [code[item] for item in history]
    expected = factors.into[rows].sum(axis=0) @ factors.vectors.T
    ids, scores = SavedModel(models / "spectral").recommend([history], [[]], 24)
    np.testing.assert_allclose(scores[0], [expected[code[item]] for item in ids[0]], atol=1e-5)


def test_the_held_out_plays_choose():
    """Two tastes and nothing else: a few directions are as good as many, and better than one."""
    plays = blocks(400, 60)
    split = inner_split(histories_of(plays), 60, np.inf, 200)
    settings, worth = choose_spectral(split, 60)
    random = split.ndcg(
        lambda batch: np.random.default_rng(1).random((len(batch.listeners), 60), np.float32)
    )
    assert worth > random.mean() + 0.1
    reached = {
        "ials": choose_ials(split, 60, 8)[1],
        "popular": ItemFactors.plain(np.asarray(plays.sum(axis=0))[:, None]).worth(split),
    }
    assert min(worth, reached["ials"]) > reached["popular"] + 0.1
    assert choose_item_item(split, 60).strength is not None
    assert settings.dimension >= 32


def test_the_search_for_ials_is_bounded(monkeypatch):
    split = inner_split(histories_of(blocks()), 20, np.inf, 200)
    fitted = []

    def counted(plays, settings, rounds=12):
        fitted.append((settings, rounds))
        value = len(fitted) / 100  # always better: the search never ends by itself
        return type("Factors", (), {"worth": lambda self, split: value})()

    monkeypatch.setattr("setlist.models.learners.ials.ials", counted)
    choose_ials(split, 20)
    # Two to begin with. Around the first are four, around each other three, less what was tried;
    # the last two are fitted as they would be.
    assert 2 + 2 < len(fitted) == len(set(fitted)) <= 2 + 4 + 3 + 3 + 2
    assert [settings.dimension for settings, _ in fitted] == [64] * (len(fitted) - 1) + [128]
    assert [rounds for _, rounds in fitted] == [4] * (len(fitted) - 2) + [12] * 2
    share = split.learn.first.sum() / (60 * 20)
    assert share / 10**0.25 < fitted[1][0].unobserved < share * 10**0.25


def test_a_weight_that_drowns_the_plays_is_not_where_the_climb_ends(monkeypatch):
    """Only weights below 0.03 are worth something: all four steps from 0.1 would be level."""
    split = inner_split(histories_of(blocks()), 2_000, np.inf, 200)

    def fitted(plays, settings, rounds=12):
        value = 0.5 if settings.unobserved < 0.1**1.5 else 0.1
        return type("Factors", (), {"worth": lambda self, split: value})()

    monkeypatch.setattr("setlist.models.learners.ials.ials", fitted)
    settings, worth = choose_ials(split, 2_000)
    assert worth == 0.5
    assert settings.unobserved < 0.01


def test_settings_are_compared_on_a_bounded_number_of_plays(monkeypatch):
    split = inner_split(histories_of(blocks()), 20, np.inf, 200)
    whole = search_matrix(split, 20)
    assert whole.nnz == len(split.learn.items)
    monkeypatch.setattr("setlist.models.learners.factors.SEARCH_PLAYS", 100)
    some = search_matrix(split, 20)
    assert 80 < some.nnz <= 100
    assert (np.diff(some.indptr) > 0).sum() < 60, "of some listeners everything"


def test_nobody_to_choose_on():
    plays = sparse.csr_array(np.eye(3, 5, dtype=np.float32))
    split = inner_split(histories_of(plays), 5, np.inf, 10)
    assert split.check == ()
    assert choose_spectral(split, 5)[1] is None
    assert choose_ials(split, 5)[1] is None
    assert choose_item_item(split, 5).strength is not None


def test_what_comes_after_the_cut_is_nowhere_in_what_is_learnt(features: Features):
    """Everybody's last play is of one item that nobody played before."""
    plays = features.plays.assign(age_days=features.plays["age_days"] + np.float32(1))
    late = plays.groupby("user").tail(1).assign(item=np.int32(24), age_days=np.float32(0.01))
    table = pd.concat([plays[plays["item"] != 24], late]).sort_values(
        ["user", "age_days"], ascending=[True, False], ignore_index=True
    )
    split = Learnable(replace(features, plays=table)).split
    assert split.since is not None
    assert 24 not in split.learn.items
    assert {24} == {int(item) for batch in split.check for item in batch.targets} & {24}
    assert not any(24 in batch.items for batch in split.check)
