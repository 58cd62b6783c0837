"""A model in a process that did not make it: sound ones and those that are not, as SavedModels."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from setlist.data.schema import tie_order
from setlist.evaluation import inspection
from setlist.evaluation.contenders import Contender
from setlist.evaluation.evaluator import evaluate
from setlist.evaluation.inspection import answer_difference, inspect_model, inspect_models
from setlist.evaluation.results import EvaluationSettings
from setlist.models.heuristics import Popular
from setlist.models.tf import tf
from setlist.models.worker.model_host import ModelHost

SCORES = {"a": 0.5, "b": 0.4, "c": 0.3, "d": 0.2, "e": 0.1}
LARGE = {item: 1000 * score for item, score in SCORES.items()}


class Spoilt(Popular):
    """Popularity by hand, whose arguments and answer pass through functions of a test."""

    def __init__(self, scores, spoil, before=None) -> None:
        ids = tie_order(scores)
        super().__init__(ids, np.array([scores[item] for item in ids], np.float32))
        self.spoil = spoil
        self.before = before or (lambda history, exclude, k: (history, exclude, k))

    def recommend(self, history, exclude, k, inputs):
        answer = super().recommend(*self.before(history, exclude, k), inputs)
        ids, scores = self.spoil(answer["item_ids"], answer["scores"], history, k)
        return {"item_ids": ids, "scores": scores}


def as_it_is(ids, scores, history, k):
    return ids, scores


@pytest.fixture(scope="module")
def evaluation(world, tmp_path_factory) -> Path:
    """What `candidate` and `large` answered to all that the evaluation asked."""
    folder = tmp_path_factory.mktemp("evaluated")
    data, features = world
    those = []
    for label, scores in (("candidate", SCORES), ("large", LARGE)):
        Spoilt(scores, as_it_is).export(folder / label, label, features.window)
        those.append(Contender(folder / label, label, "live" if label == "large" else "candidate"))
    settings = EvaluationSettings(only=("ndcg@3",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "setlist.evaluation.evaluator.inspect_models", lambda folder, models, allowed: {}
        )
        evaluate(those, features, data, settings, folder / "out")
    return folder / "out"


@pytest.fixture
def spoilt(tmp_path, window) -> Callable[..., Path]:
    def export(spoil, scores=SCORES, before=None) -> Path:
        Spoilt(scores, spoil, before).export(tmp_path / "model", "model", window)
        return tmp_path / "model"

    return export


@pytest.fixture(scope="module")
def host() -> Iterator[ModelHost]:
    """A worker that the tests share, with the limits of an inspection."""
    with ModelHost(inspection.LIMITS) as shared:
        yield shared


@pytest.fixture
def faults(evaluation, host) -> Callable[..., list[str]]:
    def found(model: Path, label: str = "candidate") -> list[str]:
        return inspect_model(evaluation, label, model, host).faults

    return found


def test_a_sound_model_has_no_faults(evaluation, host):
    inspected = inspect_model(evaluation, "candidate", evaluation.parent / "candidate", host)
    assert inspected.faults == []
    assert inspected.requests == 4
    assert 0 < inspected.p50_ms <= inspected.p99_ms
    assert 0 < inspected.processor_p50_ms <= inspected.processor_p99_ms
    assert 0 < inspected.reference_p50_ms <= inspected.reference_p99_ms
    assert inspected.processors >= 1
    assert inspected.unconfined == host.unconfined
    size = sum(path.stat().st_size for path in (evaluation.parent / "candidate").rglob("*.*"))
    assert 0 < size / 2e6 < inspected.size_mb < size / 1e6 * 2


@pytest.mark.parametrize(("cells", "asked"), [(2_000_000, 4), (14, 2), (3, 1)])
def test_of_a_large_catalogue_fewer_listeners_are_shown_all(
    evaluation, host, monkeypatch, cells, asked
):
    """Of five items and four kept requests."""
    monkeypatch.setattr(inspection, "REACH_CELLS", cells)
    rows = []

    def counted(occasion, requests, k):
        rows.append(len(requests.exclude))
        return ask(occasion, requests, k)

    with host.model(evaluation.parent / "candidate") as model:
        inspector = inspection.Inspector(model, [*"abcde"])
        ask = inspector.ask
        monkeypatch.setattr(inspector, "ask", counted)
        assert inspector.reach(inspection.Requests.read(evaluation)) == 1
    assert rows == [asked]


def test_one_heavy_listener_refuses_no_model(tmp_path, window, host):
    """A thousand requests as wide as the longest of them would be 20 million cells."""
    ids = tie_order([f"lib/ansible/modules/network/item_{item:05}.py" for item in range(35_000)])
    Popular(ids, np.arange(1, 35_001, dtype=np.float32)).export(tmp_path / "m", "m", window)
    history = [ids[row : row + 90] for row in range(256)]
    history[100] = (ids * 2)[: 2 * 13_548 : 2]
    exclude = [[*dict.fromkeys(plays)] for plays in history]
    exclude[100] = exclude[100][:7_339]
    ages = [[1.0] * len(plays) for plays in history]
    pd.DataFrame({"history": history, "exclude": exclude, "history_age_days": ages}).to_parquet(
        tmp_path / "requests.parquet"
    )
    with host.model(tmp_path / "m") as model:
        listed, scores = model.recommend(history, exclude, 10)
    pd.DataFrame({"item_ids": [*listed], "scores": [*scores]}).to_parquet(
        tmp_path / "m" / "answers.parquet"
    )
    inspected = inspect_model(tmp_path, "m", tmp_path / "m", host)
    assert inspected.faults == []
    assert inspected.reach == 1


# What a model does that it must not.


def nan_for_nobody(ids, scores, history, k):
    return ids, tf.where(tf.shape(history)[1] == 0, np.float32(np.nan), scores)


def unprepared(ids, scores, history, k):
    known = tf.reduce_all(history != "no such item")
    with tf.control_dependencies([tf.debugging.Assert(known, ["who is that?"])]):
        return tf.identity(ids), scores


def always_k(ids, scores, history, k):
    more = [[0, 0], [0, tf.maximum(k - tf.shape(ids)[1], 0)]]
    return tf.pad(ids, more, constant_values=""), tf.pad(scores, more, constant_values=-np.inf)


def at_least_one(ids, scores, history, k):
    more = [[0, 0], [0, tf.cast(k == 0, tf.int32)]]
    return tf.pad(ids, more), tf.pad(scores, more, constant_values=-np.inf)


def twice(ids, scores, history, k):
    return tf.concat([ids[:, :1], ids[:, :1], ids[:, 2:]], axis=1)[:, :k], scores


def ascending(ids, scores, history, k):
    return tf.reverse(ids, [1]), tf.reverse(scores, [1])


def scored_blanks(ids, scores, history, k):
    return ids, tf.where(ids == "", np.float32(0), scores)


def unscored(ids, scores, history, k):
    return ids, tf.where(tf.range(tf.shape(ids)[1]) < 2, scores, np.float32(-np.inf))


SPOILT = {
    nan_for_nobody: ["an empty history: model model answered with NaN scores"],
    unprepared: ["unknown ids: "],
    always_k: ["a k beyond the catalogue: 12 positions for k = 12, where 5 were expected"],
    at_least_one: ["a k of 0: 1 positions for k = 0, where 0 were expected"],
    twice: ["a request alone: an item stands twice in a list"],
    ascending: ["a request alone: the scores are not in descending order"],
    scored_blanks: ['everything excluded: "" and -inf do not go together'],
    unscored: [
        'a request alone: "" and -inf do not go together',
        "the evaluated requests: a position is filled that was evaluated as empty",
    ],
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_fault_is_found_and_said(evaluation, host, spoilt, spoil):
    inspected = inspect_model(evaluation, "candidate", spoilt(spoil), host)
    for fault in SPOILT[spoil]:
        assert any(seen.startswith(fault) for seen in inspected.faults), inspected.faults
    assert not any("\n" in seen for seen in inspected.faults)
    assert (inspected.p50_ms, inspected.p99_ms) == (None, None), "an unsound model is not timed"


@pytest.mark.parametrize("spoil", [nan_for_nobody, unprepared, always_k, at_least_one])
def test_hostile_requests_find_what_sound_ones_do_not(faults, spoilt, spoil):
    seen = faults(spoilt(spoil))
    assert seen
    assert not any("request" in fault.partition(":")[0] for fault in seen)


def test_an_excluded_item_that_is_listed(faults, spoilt):
    model = spoilt(as_it_is, before=lambda history, exclude, k: (history, exclude[:, :0], k))
    seen = faults(model)
    assert "everything excluded: an excluded item is listed" in seen
    assert "a request alone: an excluded item is listed" in seen


def test_an_item_that_is_not_in_its_catalogue(evaluation, faults, tmp_path):
    model = shutil.copytree(evaluation.parent / "candidate", tmp_path / "model")
    catalogue = (model / "catalogue.txt").read_text()
    (model / "catalogue.txt").write_text(catalogue.replace("e\n", "f\n"))
    seen = faults(model)
    assert "a request alone: an item that is not in its catalogue.txt" in seen


def test_ids_that_are_no_strings(faults, tmp_path, stranger):
    model = stranger(
        tmp_path / "numbers",
        lambda history, exclude, k: tf.zeros([tf.shape(history)[0], tf.clip_by_value(k, 0, 5)]),
    )
    seen = faults(model)
    assert seen[0].startswith("a request alone: model numbers answered with ids of type float32")


def test_inputs_that_nobody_knows(faults, tmp_path, stranger):
    """A stranger that reads the country, and gives up on one that it was not trained on."""

    def by_country(history, exclude, k, country):
        known = tf.reduce_all(country != "no such value")
        with tf.control_dependencies([tf.debugging.Assert(known, ["where is that?"])]):
            return tf.fill([tf.shape(history)[0], tf.clip_by_value(k, 0, 5)], "")

    model = stranger(tmp_path / "stranger", by_country, inputs=("country",))
    seen = faults(model)
    assert any(fault.startswith("unknown inputs: ") for fault in seen)
    assert any('"" and -inf do not go together' in fault for fault in seen), "it scores all with 0"


# The same answers as when it was evaluated, to a tolerance.


@pytest.mark.parametrize(
    ("more", "differs"), [(5e-5, False), (-5e-5, False), (2e-4, True), (-2e-4, True)]
)
def test_a_score_may_differ_by_the_tolerance(faults, spoilt, more, differs):
    seen = faults(spoilt(lambda ids, scores, history, k: (ids, scores + more)))
    assert seen == [
        f"{occasion}: a score differs from the evaluated one by 0.0002"
        for occasion in ("a request alone", "the evaluated requests", "1,000 requests at once")
        if differs
    ]


@pytest.mark.parametrize(("more", "differs"), [(0.008, False), (0.06, True)])
def test_of_large_scores_the_tolerance_is_relative(faults, spoilt, more, differs):
    """Of 500 to 100, at most .05 to .01."""
    model = spoilt(lambda ids, scores, history, k: (ids, scores + more), LARGE)
    assert bool(faults(model, "large")) == differs


def answer(*items, scores) -> tuple[np.ndarray, np.ndarray]:
    return np.array([items], dtype=object), np.array([scores], dtype=np.float32)


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (answer("a", "b", "c", scores=(0.9, 0.8, 0.7)), ""),
        # b and c change places: their scores are .1 apart, or not at all.
        (answer("a", "c", "b", scores=(0.9, 0.8, 0.7)), "'b' is not where it was evaluated"),
        # Another item at the end whose score is not that of the one evaluated.
        (answer("a", "b", "d", scores=(0.9, 0.8, 0.7)), ""),
        (answer("d", "b", "c", scores=(0.9, 0.8, 0.7)), "'a' is not where it was evaluated"),
        (answer("a", "b", "c", scores=(0.9, 0.8, 0.7002)), "a score differs"),
        (answer("a", "b", "c", scores=(0.9, 0.8, 0.70005)), ""),
        (answer("a", "b", "", scores=(0.9, 0.8, -np.inf)), "a position is filled"),
        (answer("a", "b", scores=(0.9, 0.8)), "2 positions, where more were evaluated"),
    ],
)
def test_where_two_answers_differ(got, says):
    difference = answer_difference(answer("a", "b", "c", scores=(0.9, 0.8, 0.7)), got)
    assert difference.startswith(says)
    assert bool(difference) == bool(says)


@pytest.mark.parametrize(("apart", "differs"), [(5e-5, False), (4e-4, True)])
def test_two_items_may_change_places_within_the_tolerance(apart, differs):
    expected = answer("a", "b", "c", scores=(0.9, 0.8 + apart / 2, 0.8 - apart / 2))
    got = answer("a", "c", "b", scores=(0.9, 0.8 + apart / 2, 0.8 - apart / 2))
    assert bool(answer_difference(expected, got)) == differs


def test_what_is_empty_or_foreign_is_not_compared():
    expected = answer("a", None, "", scores=(0.9, 0.8, -np.inf))
    assert answer_difference(expected, answer("a", "z", "", scores=(0.9, 0.8, -np.inf))) == ""
    assert answer_difference(expected, answer("a", "z", scores=(0.9, 0.8))) == ""


def test_a_swap_inside_the_saved_model_is_found(faults, spoilt):
    """The scores stay as they were, and the first two items change places."""

    def swapped(ids, scores, history, k):
        return tf.concat([ids[:, 1:2], ids[:, :1], ids[:, 2:]], axis=1)[:, :k], scores

    seen = faults(spoilt(swapped))
    assert len(seen) == 3, seen
    assert all("is not where it was evaluated" in fault for fault in seen)


# A folder that is no model, and workers that come to nothing.


def test_a_folder_that_cannot_be_loaded(evaluation, host, tmp_path):
    inspected = inspect_model(evaluation, "candidate", tmp_path, host)
    assert len(inspected.faults) == 1
    assert inspected.faults[0].startswith("it cannot be loaded: ")
    assert "is not a model folder" in inspected.faults[0]
    model = shutil.copytree(evaluation.parent / "candidate", tmp_path / "model")
    (model / "saved_model" / "saved_model.pb").write_bytes(b"no graph")
    inspected = inspect_model(evaluation, "candidate", model, host)
    assert inspected.faults[0].startswith("it cannot be loaded: ")
    assert inspected.size_mb > 0


def test_a_fresh_process_finds_the_same(evaluation, faults, spoilt):
    """One start of TensorFlow for a sound model and one that is not."""
    model = spoilt(ascending)
    (evaluation / "odd").mkdir()
    shutil.copy(evaluation / "candidate" / "answers.parquet", evaluation / "odd")
    inspections = inspect_models(
        evaluation,
        [
            Contender(evaluation.parent / "candidate", "candidate", "candidate"),
            Contender(model, "odd", "heuristic"),
        ],
    )
    assert list(inspections) == ["candidate", "odd"]
    assert (inspections["candidate"].faults, inspections["candidate"].requests) == ([], 4)
    assert inspections["candidate"].p99_ms >= inspections["candidate"].p50_ms > 0
    assert inspections["odd"].faults == faults(model)


def test_nothing_to_inspect_starts_no_process(evaluation, monkeypatch):
    monkeypatch.setattr(inspection, "ModelHost", None)
    assert inspect_models(evaluation, []) == {}


def test_a_process_that_does_not_start_is_a_fault_of_each_model(evaluation, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    those = [Contender(Path("nowhere"), label, "heuristic") for label in ("one", "two")]
    found = inspect_models(evaluation, those)
    assert [inspected.faults for inspected in found.values()] == [
        ["it cannot be loaded: its process ended with code 1 in 'start'"]
    ] * 2
