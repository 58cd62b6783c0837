"""`setlist report` over the folder of a run, its parts written by hand."""

import shutil
from pathlib import Path

import pytest
import yaml
from tests.setlist.report.written import build, counts, trainings
from typer.testing import CliRunner

from setlist.errors import SetlistError
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
