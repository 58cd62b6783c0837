"""Which of several candidates meets the gate, on trainings that are written by hand."""

import json
from pathlib import Path

import pytest

from setlist.errors import SetlistError
from setlist.models.selection import (
    ALONE,
    candidate_settings,
    check_compiled,
    choose,
    chosen,
    differences,
    settings_of,
    winner,
)
from setlist.models.settings import ModelSettings
from setlist.models.training_record import Epoch, TrainingRecord, read_training_records


def training(label, ndcg, listeners=50, **settings) -> TrainingRecord:
    return TrainingRecord(
        label=label,
        settings=ModelSettings(**settings),
        epochs=[Epoch(1, 7.0, 7.5, 0.1, 1.5)],
        best=1,
        listeners=listeners,
        loss=7.25,
        ndcg=ndcg,
        seconds=2.5,
    )


@pytest.fixture
def trained(tmp_path):
    """A model folder and the folder of its training, whose NDCG@100 is given."""

    def made(label: str, ndcg: float | None, **more) -> tuple[Path, Path]:
        model, record = tmp_path / label / "model", tmp_path / label / "training"
        model.mkdir(parents=True)
        (model / "model.json").write_text(label)
        (record / "tensorboard" / label).mkdir(parents=True)
        (record / "tensorboard" / label / "events").write_text(label)
        training(label, ndcg, **more).write(record)
        return model, record

    return made


def test_the_better_model_is_kept_and_both_trainings(trained, tmp_path):
    better, record = tmp_path / "better", tmp_path / "record"
    best = choose(*trained("low", 0.25), *trained("high", 0.5), better, record)
    assert best.label == "high"
    assert (better / "model.json").read_text() == "high"
    assert [one.label for one in read_training_records(record)] == ["high", "low"]
    assert json.loads((record / "chosen.json").read_text()) == {"chosen": "high"}
    assert (record / "tensorboard" / "low" / "events").read_text() == "low"
    assert (record / "tensorboard" / "high" / "events").read_text() == "high"


@pytest.mark.parametrize(
    ("values", "best"),
    [((0.1, 0.3, 0.2), "b"), ((0.3, 0.2, 0.3), "a"), ((0.1, 0.2, 0.3), "c"), ((0.2,) * 3, "a")],
)
def test_folded_over_three_the_best_of_all_is_kept_and_of_equals_the_first(
    trained, tmp_path, values, best
):
    a, b, c = (trained(label, value) for label, value in zip("abc", values, strict=True))
    once, again = tmp_path / "once", tmp_path / "again"
    choose(*a, *b, once / "model", once / "training")
    choose(once / "model", once / "training", *c, again / "model", again / "training")
    assert (again / "model" / "model.json").read_text() == best
    assert chosen(again / "training").label == best
    assert len(read_training_records(again / "training")) == 3


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_cannot_be_compared_is_not_chosen(value):
    with pytest.raises(SetlistError, match=r"^candidates: b has no NDCG@100 .* so that a, b"):
        winner([training("a", 0.5), training("b", value)])
    with pytest.raises(SetlistError, match=r"^candidates: b has no NDCG@100"):
        winner([training("b", value), training("a", 0.5)])


def test_one_alone_needs_no_comparison():
    alone = training("a", None)
    assert winner([alone]) is alone


def test_other_held_out_plays_are_no_comparison():
    with pytest.raises(SetlistError, match=r"50 \(a\) and 7 \(b\) listeners"):
        winner([training("a", 0.5), training("b", 0.5, listeners=7)])
    warm = training("a", 0.5).model_copy(update={"warm": True})
    with pytest.raises(SetlistError, match="b could not start from the live model"):
        winner([warm, training("b", 0.5)])


def test_two_candidates_of_one_name_are_refused(trained, tmp_path):
    model, record = trained("a", 0.5)
    with pytest.raises(SetlistError, match="same name"):
        choose(model, record, model, record, tmp_path / "x", tmp_path / "y")
    assert not (tmp_path / "x").exists()


def test_a_record_that_does_not_say_which_is_refused(tmp_path):
    training("a", 0.5).write(tmp_path)
    assert chosen(tmp_path).label == "a"
    training("b", 0.25).write(tmp_path)
    for said in (None, {"chosen": "c"}, {}):
        if said is not None:
            (tmp_path / "chosen.json").write_text(json.dumps(said))
        with pytest.raises(SetlistError, match="does not say which candidate was chosen"):
            chosen(tmp_path)


# What each is trained with.


def test_a_candidate_changes_what_it_names_and_nothing_else():
    model = ModelSettings(dimension=32, epochs=5)
    changes = {"wide": ModelSettings(dimension=128), "same": ModelSettings()}
    assert settings_of(model, changes, "wide") == ModelSettings(dimension=128, epochs=5)
    assert settings_of(model, changes, "same") == model
    assert settings_of(model, {}, ALONE) == model


def test_sections_may_come_as_kubeflow_delivers_them():
    got = candidate_settings({"epochs": 5.0}, {"wide": {"dimension": 128.0}}, "wide")
    assert got == ModelSettings(dimension=128, epochs=5)


@pytest.mark.parametrize("changes", [{}, {"narrow": ModelSettings()}])
def test_a_name_that_the_run_lacks_is_one_sentence(changes):
    with pytest.raises(SetlistError, match=r"^candidates: wide is none of this run's \([\w-]+\)"):
        settings_of(ModelSettings(), changes, "wide")


@pytest.mark.parametrize(
    ("named", "compiled", "fits"),
    [
        (["b", "a"], ["a", "b"], True),
        ([], [ALONE], True),
        ([ALONE], [ALONE], True),
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a"], False),
        ([], ["a"], False),
    ],
)
def test_a_run_has_the_candidates_that_its_graph_was_compiled_for(named, compiled, fits):
    if fits:
        check_compiled(named, compiled)
    else:
        with pytest.raises(SetlistError, match=r"^candidates: this run names .* was compiled for"):
            check_compiled(named, compiled)


def test_only_what_differs_is_told():
    found = differences(
        [
            training("a", 0.1, dimension=8, epochs=5),
            training("b", 0.1, dimension=16, epochs=5, recency_days=()),
        ]
    )
    assert found == {
        "a": "dimension 8, recency_days 3.0 30.0",
        "b": "dimension 16, recency_days none",
    }
    assert differences([training("a", 0.1)]) == {"a": ""}
