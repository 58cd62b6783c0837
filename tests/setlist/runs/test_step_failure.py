"""A step that fails writes why, before it ends, into the real store of its run."""

import subprocess
import sys
from uuid import uuid4

import pytest
from tests.conftest import BUCKET
from tests.hostile_text import HOSTILE, check_plain

from setlist.errors import DataError, StoreDamagedError
from setlist.runs.step_failure import (
    MOST_CHARACTERS,
    NAME_VARIABLE,
    STORE_VARIABLE,
    TASK_VARIABLE,
    TITLE_VARIABLE,
    StepFailure,
    keep_failure,
    read_failures,
    remove_failures,
)
from setlist.store.objects import open_objects
from setlist.termination import RUN_VARIABLE

STEP = """
from setlist.step_process import begin_step
from setlist.errors import DataError
begin_step("train")
"""


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return str(tmp_path / "store")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs_bucket"))
    return f"gs://{BUCKET}/{uuid4().hex}"


@pytest.fixture
def place(store):
    """The environment of a step on a cluster."""
    return {
        RUN_VARIABLE: "run-1",
        STORE_VARIABLE: store,
        NAME_VARIABLE: "home",
        TASK_VARIABLE: "train-2",
        TITLE_VARIABLE: "Train wide",
    }


def step(code, environment, monkeypatch):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    return subprocess.run(
        [sys.executable, "-c", STEP + code], capture_output=True, text=True, check=False
    )


def kept(store):
    return read_failures(open_objects(store), "home", "run-1")


def test_a_step_writes_its_sentence_before_it_ends(store, place, monkeypatch):
    done = step("raise DataError('a.csv: no column user', 'name it')", place, monkeypatch)
    assert done.returncode == 1
    assert "Traceback" in done.stderr, "the log has all of it, as before"
    (failure,) = kept(store)
    assert (failure.task, failure.attempt) == ("train-2", 1)
    assert (failure.reason, failure.remedy) == ("a.csv: no column user", "name it")
    assert failure.sentence == "Train wide: a.csv: no column user; name it."
    step("raise ValueError('no such bin')", place, monkeypatch)
    assert [each.attempt for each in kept(store)] == [1, 2]
    assert kept(store)[1].sentence == "Train wide, attempt 2: ValueError: no such bin"


def test_a_step_that_ends_well_writes_nothing_nor_does_a_process_that_it_starts(
    store, place, monkeypatch
):
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STEP!r} + '1/0'])"
    done = step(child, place, monkeypatch)
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stderr
    assert kept(store) == []


def test_without_a_run_nothing_is_written(tmp_path, monkeypatch):
    place = {STORE_VARIABLE: str(tmp_path / "store"), NAME_VARIABLE: "home"}
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    assert step("1/0", place, monkeypatch).returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_gone_is_a_line_and_the_step_fails_as_it_would(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    place = {
        RUN_VARIABLE: "run-1",
        STORE_VARIABLE: str(tmp_path / "file" / "store"),
        NAME_VARIABLE: "home",
    }
    done = step("raise DataError('bad rows', 'mend them')", place, monkeypatch)
    assert done.returncode == 1
    assert "bad rows; mend them." in done.stderr
    assert done.stdout.startswith("the reason is not kept in the store: ")


def test_two_tasks_of_one_component_do_not_meet(store, place):
    for task, title in (("train", "Train narrow"), ("train-2", "Train wide")):
        own = place | {TASK_VARIABLE: task, TITLE_VARIABLE: title}
        keep_failure("train", DataError("no"), own)
    assert [(each.title, each.attempt) for each in kept(store)] == [
        ("Train narrow", 1),
        ("Train wide", 1),
    ]
    remove_failures(open_objects(store), "home", "run-1")
    assert kept(store) == []


def test_a_fault_without_end_is_cut_and_foreign_text_is_plain(store, place):
    keep_failure("train", DataError(HOSTILE + "x" * 10**6, HOSTILE), place)
    (failure,) = kept(store)
    assert len(failure.reason) == MOST_CHARACTERS
    check_plain(failure.sentence)


def test_half_a_character_is_no_reason_to_say_nothing(store, place):
    keep_failure("train", ValueError("a\ud800b"), place)
    assert kept(store)[0].reason == "ValueError: a?b"


def test_another_document_in_its_place_is_named(store, place):
    keep_failure("train", DataError("no"), place)
    key = "home/failures/run-1/train-2-2.json"
    open_objects(store).write(key, b"[]", expected=None)
    with pytest.raises(StoreDamagedError, match=f"{key} is no failure of a step"):
        kept(store)


def test_the_document_says_what_is_documented():
    assert set(StepFailure.model_fields) == {
        "task", "title", "attempt", "reason", "remedy", "ended",
    }  # fmt: skip
