"""Nothing grows without end: old runs go, one that is worked on never does."""

import os
import time

import pytest
from typer.testing import CliRunner

from setlist.store.model_store import open_store
from setlist_pipelines.cli.main import app
from setlist_pipelines.laptop.cleaning import clean_runs, cleaned_in_words
from setlist_pipelines.laptop.run_state import STATE_FOLDER, RunState
from setlist_pipelines.settings.file import SAMPLE, read_settings

SETTINGS = read_settings(SAMPLE)


def begun(workdir, number: int) -> RunState:
    """A run whose id says that it is the so-manieth."""
    state = RunState.create(workdir, "retraining", "", SETTINGS)
    name = f"2026010{number}-000000-x"
    state.root.rename(workdir / f"retraining-{name}")
    (workdir / f"run-{name}.log").write_text("log")
    state.root = workdir / f"retraining-{name}"
    return state


def names(workdir) -> list[str]:
    return sorted(path.name for path in workdir.iterdir())


@pytest.fixture
def five(tmp_path):
    for number in range(1, 6):
        begun(tmp_path, number).close()
    return tmp_path


def test_the_newest_stay_with_their_logs(five):
    left = five / "retraining-20260105-000000-x" / STATE_FOLDER / "tmp"
    left.mkdir()
    cleaned = clean_runs(five, keep=2)
    assert len(cleaned.removed) == 7
    assert cleaned_in_words(cleaned, five, 2) == [
        "6 folders and logs of runs before the newest 2 (--keep)",
        "what steps that were ended had left in 1 runs; the runs stay",
    ]
    assert names(five) == [
        "retraining-20260104-000000-x",
        "retraining-20260105-000000-x",
        "run-20260104-000000-x.log",
        "run-20260105-000000-x.log",
    ]
    assert cleaned_in_words(clean_runs(five, keep=2), five, 2) == []


def test_logs_of_this_version_and_of_former_ones_are_told_by_their_runs(tmp_path):
    for name in ("20260101-000000-x", "retraining-20260102-000000-x"):
        (tmp_path / f"run-{name}.log").touch()
        (tmp_path / f"retraining-{name.removeprefix('retraining-')}" / STATE_FOLDER).mkdir(
            parents=True
        )
    assert not clean_runs(tmp_path, keep=2).removed
    clean_runs(tmp_path, keep=1)
    assert names(tmp_path) == [
        "retraining-20260102-000000-x",
        "run-retraining-20260102-000000-x.log",
    ]


def test_a_dry_run_removes_nothing(five):
    before = names(five)
    assert len(clean_runs(five, 2, dry_run=True).removed) == 6
    assert names(five) == before


def test_a_run_that_is_worked_on_stays_however_old(tmp_path):
    old = begun(tmp_path, 1)
    begun(tmp_path, 2).close()
    cleaned = clean_runs(tmp_path, keep=0)
    assert cleaned.running == [old.root]
    assert names(tmp_path) == [old.root.name, "run-20260101-000000-x.log"]
    old.close()
    clean_runs(tmp_path, keep=0)
    assert names(tmp_path) == []


def test_the_temporary_folder_of_a_killed_step_goes(tmp_path):
    state = begun(tmp_path, 1)
    scratch = state.root / STATE_FOLDER / "tmp" / "train"
    scratch.mkdir(parents=True)
    clean_runs(tmp_path, keep=1)
    assert scratch.exists(), "the step may still run"
    state.close()
    clean_runs(tmp_path, keep=1)
    assert not scratch.exists()
    assert state.root.exists()


def test_the_folder_of_somebody_else_stays(tmp_path):
    (tmp_path / "retraining-notes").mkdir()
    (tmp_path / "store").mkdir()
    clean_runs(tmp_path, keep=0)
    assert names(tmp_path) == ["retraining-notes", "store"]


def test_the_command_says_what_goes(five, setlist):
    done = setlist("clean", "--workdir", five, "--keep", 4, "--dry-run")
    assert done.code == 0
    assert f"would remove  {five / 'retraining-20260101-000000-x'}" in done.out
    assert setlist("clean", "--workdir", five, "--keep", 4).code == 0
    assert f"nothing to remove in {five}" in setlist("clean", "--workdir", five, "--keep", 4).out


def test_a_store_is_cleaned_as_well_when_it_is_named(five):
    store = five / "store"
    open_store(str(store)).objects.write("checkpoints/old", b"1", expected=None)
    then = time.time() - 30 * 86_400
    os.utime(store / "checkpoints" / "old", (then, then))
    options = ["clean", "--workdir", str(five), "--store", str(store)]
    dry = CliRunner().invoke(app, [*options, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "store    old checkpoints of trainings: 1" in dry.output
    assert (store / "checkpoints" / "old").exists()
    assert CliRunner().invoke(app, options).exit_code == 0
    assert not (store / "checkpoints" / "old").exists()
    mistyped = CliRunner().invoke(app, [*options[:-1], str(five / "sotre")])
    assert mistyped.exit_code
    assert not (five / "sotre").exists()


def test_what_a_link_leads_to_stays(tmp_path):
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    for folder in ("tmp", "workspace"):
        (elsewhere / folder).mkdir(parents=True)
        (elsewhere / folder / "precious").touch()
    run = begun(work, 1)
    run.close()
    (run.root / STATE_FOLDER).rename(tmp_path / "state")
    (run.root / STATE_FOLDER).symlink_to(elsewhere)
    other = begun(work, 2)
    other.close()
    (other.root / STATE_FOLDER / "tmp").symlink_to(elsewhere / "tmp")
    (work / "retraining-20260103-000000-c").symlink_to(begun(tmp_path / "other", 3).root)
    before = sorted(elsewhere.rglob("*"))
    for keep in (3, 0):
        assert not clean_runs(work, keep).fault
        assert sorted(elsewhere.rglob("*")) == before
    assert (tmp_path / "other" / "retraining-20260103-000000-x").is_dir()


def test_files_of_others_stay_whose_names_are_alike(tmp_path):
    (tmp_path / "retraining-2025").mkdir()
    (tmp_path / "retraining-2025" / "settings.yaml").write_text("store: store")
    (tmp_path / "run-production.log").write_text("mine")
    clean_runs(tmp_path, keep=0)
    assert names(tmp_path) == ["retraining-2025", "run-production.log"]


def test_a_lock_that_cannot_be_taken_is_said_and_the_rest_is_cleaned(five):
    lock = five / "retraining-20260105-000000-x" / STATE_FOLDER / "lock"
    lock.unlink()
    lock.symlink_to(five / "victim")
    cleaned = clean_runs(five, keep=0)
    assert str(lock) in cleaned.fault
    assert names(five) == ["retraining-20260105-000000-x", "run-20260105-000000-x.log"]
