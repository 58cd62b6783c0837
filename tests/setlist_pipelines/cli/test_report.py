"""`setlist report` over the folder of a run, its parts written by hand."""

import shutil
from pathlib import Path

import pytest
import yaml
from tests.setlist.report.written import build, counts, trainings
from typer.testing import CliRunner

from setlist.errors import SetlistError
from setlist.runs.announcement import announce
from setlist_pipelines.cli.main import app
from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE
from setlist_pipelines.settings.file import SAMPLE, read_settings


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What `run_local` leaves, as far as the page reads it."""
    build(tmp_path)
    folder = tmp_path / "retraining-1"
    for step, name in (("evaluate", "evaluations"), ("gate", "verdict")):
        (folder / step).mkdir(parents=True)
        (tmp_path / name).rename(folder / step / name)
    trainings(folder / "train" / "training", "two-tower")
    live = folder / "resolve-live" / "live" / "live-7"
    live.mkdir(parents=True)
    (live / "catalogue.txt").write_text("i0\ngone\n")
    dataset = folder / "curate" / "dataset"
    dataset.mkdir(parents=True)
    (dataset / "counts.json").write_text(counts())
    settings = read_settings(SAMPLE, [f"store={tmp_path / 'store'}"])
    (folder / SETTINGS_FILE).write_text(yaml.safe_dump(settings.document()))
    return folder


def test_the_page_is_written_again_and_its_path_printed(run: Path):
    done = CliRunner().invoke(app, ["report", str(run)])
    assert done.exit_code == 0, done.output
    assert done.output == f"{run / 'report.html'}\n"
    page = (run / "report.html").read_text("utf-8")
    for words in ("items only in its catalogue", "Of 1,000 events that were read", "two-tower"):
        assert words in page
    before = page.count("<article")
    other = run / "more.html"
    done = CliRunner().invoke(app, ["report", str(run), "-o", str(other), "--listeners", "4"])
    assert done.output == f"{other}\n"
    assert other.read_text("utf-8").count("<article") > before
    assert (run / "report.html").read_text("utf-8") == page


def test_a_run_is_named_by_its_id_as_well(run: Path):
    (run / "push").mkdir()
    (run / "push" / "pushed").write_text('{"revision": 7}')
    done = CliRunner().invoke(app, ["report", "retraining-1", "--workdir", str(run.parent)])
    assert done.output == f"{run / 'report.html'}\n"
    page = (run / "report.html").read_text("utf-8")
    for words in ("<code>retraining-1</code>", "<!--revision-->7<!--/revision-->"):
        assert words in page
    done = CliRunner().invoke(app, ["report", "1", "--workdir", str(run.parent)])
    assert done.output == f"{run / 'report.html'}\n", "an id of a former version"


def test_of_a_run_that_is_elsewhere_the_kept_report_is_named_or_written(tmp_path: Path):
    store, page = tmp_path / "store", tmp_path / "page"
    build(tmp_path)
    page.write_text("<p>the page")
    announce(str(store), "home", "run-9", tmp_path / "verdict", None, report=page)
    options = ["--workdir", str(tmp_path), "--store", str(store)]
    done = CliRunner().invoke(app, ["report", "run-9", *options])
    assert done.output == f"{store / 'home' / 'runs' / 'run-9.report.html'}\n"
    copy = tmp_path / "copy.html"
    done = CliRunner().invoke(app, ["report", "run-9", *options, "-o", str(copy)])
    assert (done.output, copy.read_text()) == (f"{copy}\n", "<p>the page")
    for words, fault in (
        (["run-9", "--listeners", "3"], "--listeners: the folder of run-9 is not here"),
        (["run-8"], "run-8 is no folder, no run in"),
        (["run-9", "-o", str(tmp_path / "none" / "x")], "cannot be written (No such file"),
        (["run-9", "--name", "evening"], "no record of run run-9 of evening"),
    ):
        done = CliRunner().invoke(app, ["report", *words, *options])
        assert isinstance(done.exception, SetlistError)
        assert fault in str(done.exception)
    announce(str(store), "home", "run-7", tmp_path / "verdict", None)
    done = CliRunner().invoke(app, ["report", "run-7", *options])
    assert f"store {store}: no report of run run-7 is kept" in str(done.exception)


def test_a_run_without_its_dataset_or_live_model_has_a_page_without_them(run: Path):
    shutil.rmtree(run / "curate")
    shutil.rmtree(run / "resolve-live")
    done = CliRunner().invoke(app, ["report", str(run)])
    assert done.exit_code == 0, done.output
    page = (run / "report.html").read_text("utf-8")
    assert "events that were read" not in page
    assert "items only in its catalogue" not in page


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert str(tmp_path) in str(done.exception)
    assert "setlist run" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_one_sentence(run: Path):
    before = sorted(run.rglob("*"))
    for output, said in (
        (run, f"{run} is a folder; name a file in it"),
        (run / "none" / "page", f"{run / 'none' / 'page'} cannot be written (No such file"),
        (
            run / SETTINGS_FILE / "page",
            f"{run / SETTINGS_FILE / 'page'} cannot be written (Not a dir",
        ),
    ):
        done = CliRunner().invoke(app, ["report", str(run), "-o", str(output)])
        assert isinstance(done.exception, SetlistError)
        assert str(done.exception).startswith(said)
    assert sorted(run.rglob("*")) == before


def test_a_run_that_ended_early_says_what_is_missing(run: Path):
    shutil.rmtree(run / "gate")
    done = CliRunner().invoke(app, ["report", str(run)])
    assert done.exit_code == 1
    assert "verdict is missing" in str(done.exception)
