"""The whole pipeline several times over one store: promoted, nothing new, refused."""

import pytest
from tests.cluster.conftest import Rehearsal, Rehearse, Run, left


@pytest.fixture(scope="module")
def plain(rehearse: Rehearse) -> Rehearsal:
    """The pipeline as the bundled settings have it: one candidate, no refit."""
    return rehearse()


@pytest.fixture(scope="module")
def promoted(plain: Rehearsal) -> Run:
    run = plain.run()
    assert run.failure is None
    return run


def test_promoted(promoted: Run, plain: Rehearsal):
    assert left(promoted, "gate").parameters["Output"] == "promote"
    assert plain.store("home") == {"live": 1, "revisions": [1]}


def test_the_same_data_where_only_new_ones_matter(promoted: Run, plain: Rehearsal):
    """It ends early and green, and what it announces is that there was nothing to do."""
    again = plain.run(only_new_data=True)
    assert again.failure is None
    assert list(again.left) == ["plan", "news", "announce-3", "announce-failure"]
    assert plain.store("home") == {"live": 1, "revisions": [1]}


def test_the_same_data_once_more(promoted: Run, plain: Rehearsal):
    """The cache keeps what does not depend on the store; the same model is refused."""
    again = plain.run()
    assert again.failure is None
    assert left(again, "gate").parameters["Output"] != "promote"
    assert left(again, "train") == left(promoted, "train"), "trained again"
    assert "push" not in again.left
    assert "announce-2" in again.left
    assert plain.store("home") == {"live": 1, "revisions": [1]}


def test_a_refitted_model_is_no_rival_before_a_test_period_has_passed(
    first: Run, rehearsal: Rehearsal
):
    """The plan says so; the exit handler runs all the same, and tells it."""
    left(first, "push")
    again = rehearsal.run()
    assert "it knows the test period" in str(again.failure)
    assert list(again.left) == ["announce-failure"]
    assert "failed" in again.ended["announce-failure"].log
    assert rehearsal.store("home") == {"live": 1, "revisions": [1]}
