from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from setlist.errors import SetlistError
from setlist.evaluation.metric_names import BUILT_IN, RANGES, parse_metric
from setlist.evaluation.ranking import EMPTY, FOREIGN, Catalogue, Ragged, Ranking

PER_USER = {name: one for name, one in BUILT_IN.items() if one.per == "listener"}
CORPUS = {name: one for name, one in BUILT_IN.items() if one.per == "corpus"}
SHARES = (
    "ndcg",
    "ndcg_graded",
    "ndcg_graded_exp",
    "recall",
    "recall_capped",
    "precision",
    "hit_rate",
    "mrr",
    "map",
    "serendipity",
    "intra_list_diversity",
)


def rows(lists) -> Ragged:
    offsets = np.cumsum([0, *map(len, lists)])
    return Ragged(offsets, np.array([code for row in lists for code in row], np.int32))


def ranking(
    top, truth, history=None, *, listeners=None, training=1, tags=None, items=10, gains=None
):
    counts = np.ones(items, np.int64) if listeners is None else np.array(listeners, np.int64)
    table = np.zeros((len(counts), 1), np.bool_) if tags is None else np.array(tags, np.bool_)
    return Ranking(
        top=np.array(top, np.int32).reshape(len(truth), -1),
        truth=rows(truth),
        history=rows(history or [[] for _ in truth]),
        catalogue=Catalogue(counts, csr_array(table), training),
        gains=None if gains is None else np.concatenate(gains).astype(np.float64),
    )


# Six items, eight training listeners, five listeners who are evaluated.
#
#   item              0    1     2    3     4      5
#   tags              x    x y   y    z     -      -
#   listeners         8    4     4    2     1      0
#   phi               1    1/2   1/2  1/4   1/8    0, for novelty half a listener: 1/16
#   -log2 phi         0    1     1    2     3      4
#
#   listener          list            relevant     gains     history   hits at ranks
#   0                 1 0 3           0 3          1 3       1 2       2 3
#   1                 2               2            2         0         1
#   2                 nothing         0 1 2 3      1 1 1 1   -         -
#   3                 4 foreign 5     1 5          2 1       3         3
#   4                 0 1 2           0 1 2        1 2 0     4         1 2 3
TABLE = ranking(
    top=[[1, 0, 3], [2, EMPTY, EMPTY], [EMPTY] * 3, [4, FOREIGN, 5], [0, 1, 2]],
    truth=[[0, 3], [2], [0, 1, 2, 3], [1, 5], [0, 1, 2]],
    history=[[1, 2], [0], [], [3], [4]],
    listeners=[8, 4, 4, 2, 1, 0],
    training=8,
    tags=[[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]],
    gains=[[1, 3], [2], [1, 1, 1, 1], [2, 1], [1, 2, 0]],
)
D2, D3 = 1 / np.log2(3), 1 / 2  # the discounts of ranks 2 and 3; rank 1 has 1

BY_HAND = {
    "dcg@3": [D2 + D3, 1, 0, D3, 1 + D2 + D3],
    # Ideal lists have 2, 1, 3 (cut at k), 2 and 3 hits.
    "ndcg@3": [(D2 + D3) / (1 + D2), 1, 0, D3 / (1 + D2), 1],
    "ndcg@2": [D2 / (1 + D2), 1, 0, 0, 1],
    # Ideal lists have gains 3 1, 2, 1 1 1, 2 1 and 2 1 0; cut at 1 only the first of these.
    "ndcg_graded@3": [
        (1 * D2 + 3 * D3) / (3 + 1 * D2),
        1,
        0,
        1 * D3 / (2 + 1 * D2),
        (1 + 2 * D2) / (2 + 1 * D2),
    ],
    "ndcg_graded@1": [0, 1, 0, 0, 1 / 2],
    # The same with 2^g - 1: gains of 3, 2 and 1 weigh 7, 3 and 1.
    "ndcg_graded_exp@3": [
        (1 * D2 + 7 * D3) / (7 + 1 * D2),
        1,
        0,
        1 * D3 / (3 + 1 * D2),
        (1 + 3 * D2) / (3 + 1 * D2),
    ],
    "ndcg_graded_exp@1": [0, 1, 0, 0, 1 / 3],
    "recall@3": [2 / 2, 1 / 1, 0, 1 / 2, 3 / 3],
    "recall@2": [1 / 2, 1 / 1, 0, 0, 2 / 3],
    "recall_capped@2": [1 / 2, 1 / 1, 0, 0, 2 / 2],
    "precision@3": [2 / 3, 1 / 3, 0, 1 / 3, 3 / 3],
    "hit_rate@2": [1, 1, 0, 0, 1],
    "mrr@3": [1 / 2, 1, 0, 1 / 3, 1],
    # Listener 0: (1/2 + 2/3) / min(3, 2); listener 3: (1/3) / min(3, 2).
    "map@3": [7 / 12, 1, 0, 1 / 6, 1],
    # Listener 0: 1-0 share x of x y: 1/2, the other two pairs nothing: (1/2 + 1 + 1) / 3.
    # Listener 3: one pair, no tags: 1. Listener 4: (1/2 + 1 + 1/2) / 3.
    "intra_list_diversity@3": [2.5 / 3, 0, 0, 1, 2 / 3],
    "intra_list_diversity@2": [1 / 2, 0, 0, 0, 1 / 2],
    # Listener 0: item 0 is like item 1 by 1/2 and not like item 2, item 3 is like neither:
    # (1 - 1/4 + 1) / 3. The others' hits share no tag with what they played.
    "serendipity@3": [1.75 / 3, 1 / 3, 0, 1 / 3, 3 / 3],
    # Listener 0: p = x 1/4, y 3/4; q = x 1/2, y 1/6, z 1/3. Listeners 1 and 3: nothing of what they
    # play is in the list, only the mixed-in hundredth is left. 2 and 4: no history, or no tags.
    "calibration@3": [
        1 / 4 * np.log(1 / 4 / (0.99 / 2 + 0.01 / 4))
        + 3 / 4 * np.log(3 / 4 / (0.99 / 6 + 0.01 * 3 / 4)),
        np.log(100),
        0,
        np.log(100),
        0,
    ],
    "novelty@3": [(1 + 0 + 2) / 3, 1, 0, (3 + 4) / 2, (0 + 1 + 1) / 3],
    "popularity@3": [(4 + 8 + 2) / 3, 4, 0, (1 + 0) / 2, (8 + 4 + 4) / 3],
    "coverage@3": 6 / 6,
    "coverage@2": 4 / 6,  # 0, 1, 2 and 4
    # Exposures 1 1 1 2 2 2: (-5 - 3 - 1 + 2 (1 + 3 + 5)) / (6 * 9).
    "gini@3": 1 / 6,
    # Exposures 0 0 1 1 2 2: (-1 + 1 + 2 (3 + 5)) / (6 * 6).
    "gini@2": 16 / 36,
    # Of the ten pairs, 0-4 share items 0 and 1, and 1-4 share item 2: 1 - (2/3 + 1/3) / 10.
    "personalization@3": 1 - 1 / 10,
    # Histories: (1/2 + 1 + 1/4 + 1/8) / 4 = .46875; listener 2 has none and is left out.
    # Lists: (7/12 + 1/2 + 1/16 + 2/3) / 4 = .453125. (.453125 - .46875) / .46875 = -1/30.
    "popularity_lift@3": -1 / 30,
}


def value(one: Ranking, text: str):
    return parse_metric(text)(one)


@pytest.mark.parametrize("text", BY_HAND)
def test_by_hand(text):
    np.testing.assert_allclose(value(TABLE, text), BY_HAND[text], atol=1e-6)


def test_every_metric_is_worked_out_by_hand():
    assert {parse_metric(text).metric.name for text in BY_HAND} == {*PER_USER, *CORPUS}


# The traps.


def test_gini_counts_items_that_are_never_shown():
    top = np.tile(np.arange(10), (50, 1))
    same_ten = ranking(top, [[0]] * 50, items=10_000)
    assert CORPUS["gini"](same_ten, 10) == pytest.approx(0.999)
    assert CORPUS["coverage"](same_ten, 10) == pytest.approx(0.001)
    assert CORPUS["personalization"](same_ten, 10) == pytest.approx(0)


def test_gini_of_equal_exposure_is_0_and_of_no_exposure_1():
    everything = ranking([[0, 1], [2, 3]], [[0], [0]], items=4)
    assert CORPUS["gini"](everything, 2) == pytest.approx(0)
    assert CORPUS["gini"](ranking([[EMPTY]], [[0]]), 1) == 1.0


def test_diversity_divides_by_the_pairs():
    all_apart = ranking([range(10)], [[0]], tags=np.eye(10))
    assert PER_USER["intra_list_diversity"](all_apart, 10) == pytest.approx(1)  # and not 4.5
    all_alike = ranking([range(10)], [[0]], tags=np.ones((10, 2)))
    assert PER_USER["intra_list_diversity"](all_alike, 10) == pytest.approx(0)


def test_ndcg_of_one_relevant_item_ranked_first_is_1():
    assert PER_USER["ndcg"](ranking([range(10)], [[0]]), 10) == pytest.approx(1)  # and not .22


def test_the_ideal_of_graded_ndcg_holds_what_the_list_missed():
    missed = ranking([[0]], [[0, 1, 2]], gains=[[1, 5, 3]])
    assert PER_USER["ndcg_graded"](missed, 1) == pytest.approx(1 / 5)  # and not 1
    assert PER_USER["ndcg_graded"](missed, 2) == pytest.approx(1 / (5 + 3 * D2))
    assert PER_USER["ndcg_graded_exp"](missed, 1) == pytest.approx(1 / 31)


def test_gains_in_the_thousands_do_not_overflow():
    played_often = ranking([[1, 0]], [[0, 1]], gains=[[5_000, 4_999]])
    # Twice the worth at rank 2 of what is at rank 1.
    expected = (1 / 2 + D2) / (1 + D2 / 2)
    assert PER_USER["ndcg_graded_exp"](played_often, 2) == pytest.approx(expected)


def test_gains_that_are_all_0_score_0():
    nothing = ranking([[0]], [[0]], gains=[[0]])
    for name in ("ndcg_graded", "ndcg_graded_exp"):
        assert PER_USER[name](nothing, 1) == [0]


def test_a_short_list_is_not_forgiven():
    short = ranking([[0, 1, *[EMPTY] * 8]], [range(10)])
    narrow = ranking([[0, 1]], [range(10)])  # the model's catalogue has two items
    for one in (short, narrow):
        assert PER_USER["precision"](one, 10) == pytest.approx(2 / 10)
        assert PER_USER["recall"](one, 10) == pytest.approx(2 / 10)
        assert PER_USER["ndcg"](one, 10) < 0.5


@pytest.mark.parametrize("top", [[[EMPTY] * 3], [[FOREIGN] * 3], [[]]])
@pytest.mark.parametrize("name", PER_USER)
def test_a_list_without_known_items_scores_0(name, top):
    # A catalogue of one item, too, where -2 is no position from the end.
    for items in (1, 5):
        assert PER_USER[name](ranking(top, [[0]], items=items), 3) == [0]


def test_no_history_at_all_has_no_popularity_lift():
    assert CORPUS["popularity_lift"](ranking([[0]], [[0]]), 1) == 0


def test_one_listener_is_not_personalized():
    assert CORPUS["personalization"](ranking([[0]], [[0]]), 1) == 0


@pytest.mark.parametrize("items", [30, 3_000_000])  # many listeners a block, or one
def test_hits_of_more_listeners_than_a_block(items):
    rng = np.random.default_rng(0)
    people = 100_000 if items == 30 else 5
    top = rng.integers(FOREIGN, items, (people, 2), dtype=np.int32)
    top[:, 1] = np.where(top[:, 0] == top[:, 1], EMPTY, top[:, 1])
    relevant = rng.integers(0, items, people, dtype=np.int32)
    relevant[::5] = np.maximum(top[::5, 1], 0)
    one = Ranking(
        top,
        Ragged(np.arange(people + 1), relevant),
        rows([[]] * people),
        Catalogue(np.ones(items, np.int64), csr_array((items, 1), dtype=np.bool_), 1),
    )
    np.testing.assert_array_equal(
        PER_USER["dcg"](one, 2), (top == relevant[:, None]) @ [1, 1 / np.log2(3)]
    )


@pytest.mark.parametrize("name", PER_USER)
def test_more_listeners_than_a_block_are_each_as_if_alone(name):
    rng = np.random.default_rng(0)
    people, items = 2_100, 200
    tags = rng.random((items, 12)) < 0.2
    top = rng.permuted(np.tile(np.arange(items), (people, 1)), axis=1)[:, :20]
    truth = [row[: 1 + place % 7] for place, row in enumerate(rng.permuted(top, axis=1).tolist())]
    gains = [[1 + code % 3 for code in row] for row in truth]
    history = [[place % items, *range(place % 4)] for place in range(4, people + 4)]
    history = [sorted({*row}) for row in history]

    def only(part):
        return ranking(
            top[part], truth[part], history[part], tags=tags, items=items, gains=gains[part]
        )

    many, last = (PER_USER[name](only(part), 15) for part in (slice(0, None), slice(-3, None)))
    np.testing.assert_allclose(many[-3:], last, atol=1e-6)


# The laws.

laws = settings(max_examples=60)


@st.composite
def rankings(draw) -> Ranking:
    items = draw(st.integers(1, 7))
    codes = st.integers(0, items - 1)
    people = draw(st.integers(1, 5))
    width = draw(st.integers(1, 6))

    def listed():
        row = draw(st.lists(codes, unique=True, max_size=width))
        holes = draw(st.lists(st.sampled_from([EMPTY, FOREIGN]), min_size=width, max_size=width))
        return draw(st.permutations([*row, *holes[len(row) :]]))

    some = st.lists(codes, unique=True)
    truth = [draw(st.lists(codes, unique=True, min_size=1)) for _ in range(people)]
    grades = st.integers(1, 5)
    gains = [draw(st.lists(grades, min_size=len(row), max_size=len(row))) for row in truth]
    training = draw(st.integers(items, 20))
    counts = st.lists(st.integers(1, training), min_size=items, max_size=items)
    tags = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=items, max_size=items)
    return ranking(
        [listed() for _ in range(people)],
        truth,
        [draw(some) for _ in range(people)],
        listeners=draw(counts),
        training=training,
        tags=draw(tags),
        gains=draw(st.sampled_from([gains, None])),
    )


cutoffs = st.integers(1, 8)


def lists_of(table: Ragged) -> list[list[int]]:
    return parted(table, table.codes)


def parted(table: Ragged, values) -> list[list]:
    return [part.tolist() for part in np.split(values, table.offsets[1:-1])]


@laws
@given(rankings(), cutoffs)
def test_bounds(one, k):
    counts = one.catalogue.listeners
    bounds = {
        **dict.fromkeys((*SHARES, "coverage", "gini", "personalization"), (0, 1)),
        "dcg": (0, (1 / np.log2(np.arange(2, k + 2))).sum()),
        "novelty": (0, np.log2(2 * one.catalogue.training_listeners)),
        "popularity": (0, counts.max()),
        "calibration": (0, np.log(100)),
        "popularity_lift": (-1, counts.max() / counts.min() - 1),
    }
    assert bounds.keys() == PER_USER.keys() | CORPUS.keys()
    for name, (least, most) in bounds.items():
        assert RANGES[name][0] == least
        assert RANGES[name][1] >= most
        values = BUILT_IN[name](one, k)
        assert values.shape == ((len(one.top),) if name in PER_USER else ())
        assert values.dtype == np.float64
        assert ((values >= least - 1e-6) & (values <= most + 1e-6)).all(), name


@laws
@given(rankings(), cutoffs, st.randoms(use_true_random=False))
def test_renaming_the_items_changes_nothing(one, k, random):
    order = list(range(one.catalogue.size))
    random.shuffle(order)
    renamed = np.array(order, np.int32)  # old code to new code
    back = np.argsort(renamed)
    other = Ranking(
        top=np.where(one.top >= 0, renamed[np.maximum(one.top, 0)], one.top),
        truth=Ragged(one.truth.offsets, renamed[one.truth.codes]),
        history=Ragged(one.history.offsets, renamed[one.history.codes]),
        catalogue=Catalogue(
            one.catalogue.listeners[back],
            one.catalogue.tags[back],
            one.catalogue.training_listeners,
        ),
        gains=one.gains,
    )
    for name, metric in (PER_USER | CORPUS).items():
        np.testing.assert_allclose(metric(other, k), metric(one, k), atol=1e-6, err_msg=name)


@laws
@given(rankings(), cutoffs, st.randoms(use_true_random=False))
def test_reordering_the_listeners_reorders_the_values(one, k, random):
    order = list(range(len(one.top)))
    random.shuffle(order)
    truth, history = lists_of(one.truth), lists_of(one.history)
    gains = [] if one.gains is None else parted(one.truth, one.gains)
    other = Ranking(
        one.top[order],
        rows([truth[place] for place in order]),
        rows([history[place] for place in order]),
        one.catalogue,
        None if one.gains is None else np.concatenate([gains[place] for place in order]),
    )
    for name, metric in PER_USER.items():
        np.testing.assert_allclose(metric(other, k), metric(one, k)[order], atol=1e-6, err_msg=name)
    for name, corpus in CORPUS.items():
        assert corpus(other, k) == pytest.approx(corpus(one, k)), name


@laws
@given(rankings(), cutoffs, st.randoms(use_true_random=False))
def test_truth_and_history_have_no_order(one, k, random):
    def shuffled(table):
        order = np.arange(len(table.codes))
        parts = [part.tolist() for part in np.split(order, table.offsets[1:-1])]
        for part in parts:
            random.shuffle(part)
        order = np.array([place for part in parts for place in part], np.int64)
        return Ragged(table.offsets, table.codes[order]), order

    (truth, order), (history, _) = shuffled(one.truth), shuffled(one.history)
    gains = None if one.gains is None else one.gains[order]
    other = Ranking(one.top, truth, history, one.catalogue, gains)
    for name, metric in BUILT_IN.items():
        np.testing.assert_allclose(metric(other, k), metric(one, k), atol=1e-6, err_msg=name)


@laws
@given(rankings(), cutoffs)
def test_a_longer_list_never_loses(one, k):
    for name in ("hit_rate", "dcg", "recall", "mrr"):
        assert (PER_USER[name](one, k + 1) >= PER_USER[name](one, k)).all(), name
    for name in ("precision", "serendipity"):  # as sums, before they are divided by k
        longer, shorter = (k + 1) * PER_USER[name](one, k + 1), k * PER_USER[name](one, k)
        assert (longer >= shorter - 1e-6).all(), name
    assert CORPUS["coverage"](one, k + 1) >= CORPUS["coverage"](one, k)


@laws
@given(rankings(), cutoffs)
def test_graded_ndcg_with_equal_gains_is_ndcg(one, k):
    for gain in (None, 1, 3):
        gains = None if gain is None else np.full(len(one.truth.codes), float(gain))
        same = Ranking(one.top, one.truth, one.history, one.catalogue, gains)
        for name in ("ndcg_graded", "ndcg_graded_exp"):
            np.testing.assert_allclose(PER_USER[name](same, k), PER_USER["ndcg"](one, k))


@laws
@given(rankings(), cutoffs)
def test_the_ideal_list_has_1(one, k):
    truth = lists_of(one.truth)
    if one.gains is not None:  # the largest gains first
        worth = parted(one.truth, one.gains)
        truth = [
            [code for _, code in sorted(zip(own, row, strict=True), key=lambda pair: -pair[0])]
            for own, row in zip(worth, truth, strict=True)
        ]
    width = max(k, one.catalogue.size)
    top = [[*row, *[EMPTY] * (width - len(row))] for row in truth]
    ideal = Ranking(np.array(top, np.int32), one.truth, one.history, one.catalogue, one.gains)
    names = ("ndcg", "ndcg_graded", "ndcg_graded_exp", "recall_capped", "hit_rate", "mrr", "map")
    for name in names:
        np.testing.assert_allclose(PER_USER[name](ideal, k), 1, err_msg=name)


@laws
@given(rankings(), cutoffs)
def test_graded_ndcg_is_its_definition(one, k):
    """Against the definition: each gain where its item stands, over the gains in falling order."""
    truth = lists_of(one.truth)
    gains = [[1.0] * len(row) for row in truth]
    gains = gains if one.gains is None else parted(one.truth, one.gains)
    for name, worth in (("ndcg_graded", float), ("ndcg_graded_exp", lambda gain: 2**gain - 1)):
        values = PER_USER[name](one, k)
        for place, row in enumerate(one.top[:, :k].tolist()):
            own = dict(zip(truth[place], map(worth, gains[place]), strict=True))
            best = sorted(own.values(), reverse=True)[:k]
            found, ideal = (
                sum(gain / np.log2(rank + 2) for rank, gain in enumerate(line))
                for line in ([own.get(code, 0) for code in row], best)
            )
            assert values[place] == pytest.approx(found / ideal)


@laws
@given(rankings(), cutoffs)
def test_empty_and_foreign_positions_are_the_same_miss(one, k):
    for hole in (EMPTY, FOREIGN):
        top = np.where(one.top >= 0, one.top, np.int32(hole))
        other = Ranking(top, one.truth, one.history, one.catalogue, one.gains)
        for metric in (PER_USER | CORPUS).values():
            np.testing.assert_array_equal(metric(other, k), metric(one, k))


@laws
@given(rankings(), cutoffs)
def test_one_listener_at_a_time(one, k):
    """Hits, averages over lists and pairs, written as the definitions say them."""
    truth = lists_of(one.truth)
    tags = [set(np.flatnonzero(row)) for row in one.catalogue.tags.toarray()]
    for place, row in enumerate(one.top[:, :k].tolist()):
        known = [code for code in row if code >= 0]
        hits = len(set(known) & set(truth[place]))
        assert PER_USER["recall"](one, k)[place] == pytest.approx(hits / len(truth[place]))
        assert PER_USER["precision"](one, k)[place] == pytest.approx(hits / k)
        counts = [one.catalogue.listeners[code] for code in known]
        assert PER_USER["popularity"](one, k)[place] == pytest.approx(np.mean(counts or [0]))
        ranks = [rank for rank, code in enumerate(row, 1) if code in truth[place]]
        precisions = [number / rank for number, rank in enumerate(ranks, 1)]
        ideal = min(k, len(truth[place]))
        assert PER_USER["map"](one, k)[place] == pytest.approx(sum(precisions) / ideal)
        assert PER_USER["mrr"](one, k)[place] == pytest.approx(1 / ranks[0] if ranks else 0)
        distances = [
            1 - len(tags[a] & tags[b]) / len(tags[a] | tags[b]) if tags[a] | tags[b] else 1
            for a, b in combinations(known, 2)
        ]
        diversity = PER_USER["intra_list_diversity"](one, k)[place]
        assert diversity == pytest.approx(np.mean(distances or [0]), abs=1e-6)


@laws
@given(rankings(), cutoffs)
def test_personalization_is_the_mean_over_pairs(one, k):
    lists = [{code for code in row if code >= 0} for row in one.top[:, :k].tolist()]
    overlaps = [len(a & b) / k for a, b in combinations(lists, 2)]
    expected = 1 - np.mean(overlaps) if overlaps else 0
    assert CORPUS["personalization"](one, k) == pytest.approx(expected)


# Names.


@laws
@given(st.sampled_from([*PER_USER, *CORPUS]), st.integers(1, 10**6))
def test_names_are_read(name, k):
    found = parse_metric(f"{name}@{k}")
    assert (found.metric.name, found.k) == (name, k)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "choose from dcg, ndcg"),
        ("auc@10", "'auc@10' is not known"),
        ("NDCG@10", "'NDCG@10' is not known"),
        ("ndcg", "for example ndcg@10"),
        ("ndcg@", "for example ndcg@10"),
        ("ndcg@0", "for example ndcg@10"),
        ("ndcg@-1", "for example ndcg@10"),
        ("ndcg@1.5", "for example ndcg@10"),
        ("ndcg@10@10", "for example ndcg@10"),
        ("gini@²", "for example gini@10"),
        ("ndcg@10 shared", "for example ndcg@10"),
    ],
)
def test_a_wrong_name_is_one_sentence(text, says):
    with pytest.raises(SetlistError) as caught:
        parse_metric(text)
    message = str(caught.value)
    assert says in message
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message
