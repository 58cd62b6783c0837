"""`setlist dashboard`: what it looks at and what it refuses; the app itself is in tests/browser."""

import shutil
import socket
import sys
from pathlib import Path

import pytest

from setlist_pipelines.cli.dashboard import judged_runs, readable_runs
from setlist_pipelines.cli.main import main
from setlist_pipelines.settings.file import SAMPLE


def refused(monkeypatch, capsys, *arguments: str) -> str:
    """The sentence with which it ends."""
    monkeypatch.setattr(sys, "argv", ["setlist", "dashboard", *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    return capsys.readouterr().err


def left(workdir: Path, name: str, *parts: str) -> Path:
    """A run's folder with empty files."""
    for part in parts:
        (workdir / name / part).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name / part).touch()
    return workdir / name


def test_runs_without_a_verdict_are_passed_over(tmp_path):
    whole = left(tmp_path, "retraining-2", "settings.yaml", "gate/verdict")
    left(tmp_path, "retraining-3", "settings.yaml")  # found no new data
    left(tmp_path, "retraining-4", "gate/verdict")  # still runs
    left(tmp_path, "backtest", "settings.yaml", "gate/verdict")
    assert judged_runs(tmp_path) == [whole]


def test_a_run_that_cannot_be_read_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    old = left(tmp_path, "retraining-3", "settings.yaml", "gate/verdict")
    (old / "settings.yaml").write_text(SAMPLE.read_text() + "\nsurprise: 1\n")
    new = left(tmp_path, "retraining-2", "settings.yaml", "gate/verdict")
    (new / "settings.yaml").write_bytes(SAMPLE.read_bytes())
    (run,), (fault,) = readable_runs(tmp_path)
    assert run.name == "retraining-2"
    assert fault.startswith(f"retraining-3 is left out: {old / 'settings.yaml'}")
    assert "surprise" in fault
    shutil.rmtree(new)
    said = refused(monkeypatch, capsys, "--workdir", str(tmp_path), "--store", str(tmp_path / "no"))
    assert said.startswith(f"{fault}\n")
    assert "there is no run" in said
    assert "surprise" in refused(monkeypatch, capsys, str(old)), "it was asked for by name"


def test_where_there_is_nothing_it_says_how_to_begin(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = refused(monkeypatch, capsys)
    assert "no run in .setlist and no revision of home in .setlist/store" in said
    assert "setlist run" in said


def test_a_folder_that_is_no_run_is_named(tmp_path, monkeypatch, capsys):
    run = left(tmp_path, "retraining-3", "settings.yaml")
    said = refused(monkeypatch, capsys, str(run))
    assert f"{run} is not the folder of a run that came to a verdict" in said
    assert str(run / "gate" / "verdict") in said


def test_a_taken_port_is_one_sentence(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(monkeypatch, capsys, "--port", str(port))
    assert said.count("\n") == 1
    assert f"127.0.0.1:{port}: cannot listen there (Address already in use)" in said
