"""Nothing grows without end: old runs go, one that is worked on never does."""

import os
import time

import pytest
from typer.testing import CliRunner

from setlist.store.model_store import open_store
from setlist_pipelines.cli.main import app
from setlist_pipelines.laptop.cleaning import clean_runs
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
    cleaned = clean_runs(five, keep=2)
    assert len(cleaned.removed) == 6
    assert names(five) == [
        "retraining-20260104-000000-x",
        "retraining-20260105-000000-x",
        "run-20260104-000000-x.log",
        "run-20260105-000000-x.log",
    ]
    assert not clean_runs(five, keep=2).removed


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
