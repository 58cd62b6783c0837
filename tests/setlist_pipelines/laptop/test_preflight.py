"""What would make a run fail is said in one sentence before its first step."""

import contextlib
import os
import subprocess

import pytest
import yaml
from tests.setlist_pipelines.laptop.small_run import (
    begin,
    finish,
    logs_in,
    processes_in,
    shown,
    write_settings,
)
from tests.waiting import until

from setlist.errors import SettingsError
from setlist_pipelines.laptop.preflight import check_space, size_on_disk
from setlist_pipelines.settings.file import SAMPLE, read_settings


def refused(folder, *arguments, **environment: str) -> str:
    """What the command line says; that it is one sentence, and no step was begun."""
    code, screen = finish(folder, "run", *arguments, **environment)
    assert code == 1
    assert screen.count("setlist: ") == 1
    assert "Traceback" not in screen
    assert not logs_in(folder)
    return screen


@pytest.mark.parametrize("name", ["a[x]", "a*", "what?", "b\\c"])
def test_a_work_folder_with_a_path_that_libraries_read_otherwise(tmp_path, name):
    assert "TensorFlow" in refused(tmp_path, "--workdir", name)


def test_a_work_folder_that_the_locale_cannot_read(tmp_path):
    (tmp_path / "ö").mkdir()
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "set PYTHONUTF8=1" in refused(tmp_path, "--workdir", "ö", **locale)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), ("[1]", "holds no credentials"), ("{", "is no JSON")],
)
def test_credentials_that_cannot_be_used(tmp_path, content, words):
    path = tmp_path / "credentials.json"
    if content:
        path.write_text(content)
    named = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}
    assert words in refused(tmp_path, "--set", "store=gs://bucket/x", **named)


def test_credentials_are_not_read_from_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    named = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "pipe")}
    assert "it is no regular file" in refused(tmp_path, "--set", "store=gs://bucket/x", **named)


def test_paths_that_no_file_can_have(tmp_path):
    assert "U+0000" in refused(tmp_path, "--set", 'store="a\\0b"')
    assert "no such user" in refused(tmp_path, "--set", "store=~nosuchuser/x")


def test_what_a_run_needs_of_the_disk_grows_with_its_events(tmp_path):
    settings = read_settings(write_settings(tmp_path))
    small = size_on_disk(settings)
    with (tmp_path / "events.csv").open("a") as file:
        file.truncate(40_000_000_000)  # a hole, which takes no room
    large = size_on_disk(settings)
    assert large.plays > 100 * small.plays
    check = {"settings": settings, "pipeline": "retraining"}
    # Several terabytes of events do not fit here.
    with (tmp_path / "events.csv").open("a") as file:
        file.truncate(8_000_000_000_000)
    with pytest.raises(SettingsError, match=r"MB are free, and the run needs some .* for about"):
        check_space(workdir=tmp_path, **check)


def test_bundled_sample_fits(tmp_path):
    check_space(read_settings(SAMPLE), tmp_path, "retraining")


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_before_the_run(tmp_path, full_disk):
    (full_disk / "other").write_bytes(b"x" * 50_000_000)
    assert "MB are free" in refused(tmp_path, "--workdir", full_disk, "--set", "store=store")


@pytest.mark.slow
def test_a_disk_that_fills_during_the_run(tmp_path, full_disk):
    """Everything that is left is taken while a step runs; then the run goes on where it was."""
    settings = write_settings(tmp_path, store=str(tmp_path / "store"))
    run = begin(tmp_path, "run", "--config", settings, "--workdir", full_disk)

    def log() -> str:
        return "".join(path.read_text() for path in full_disk.glob("run-*.log"))

    until(lambda: "Executing task 'transform'" in log() or run.poll() is not None)
    other = full_disk / "other"
    with other.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert run.wait() == 1
    screen = shown(tmp_path)
    assert "Traceback" not in screen
    assert "No space left on device" in screen
    assert "free some space" in screen
    assert f"The log is {full_disk}" in screen
    until(lambda: not processes_in(tmp_path))
    other.unlink()
    assert finish(tmp_path, "run", "--resume", *full_disk.glob("retraining-*"))[0] == 0


def test_no_temporary_folder_is_needed(tmp_path):
    """Steps have one in the folder of the run."""
    run = begin(tmp_path, "run", TMPDIR="/nonexistent")
    until(lambda: any("finished with status" in log.read_text() for log in logs_in(tmp_path)))
    run.terminate()
    assert run.wait() == 1
    assert "SUCCESS" in logs_in(tmp_path)[0].read_text()


METRIC = """
from pathlib import Path

from setlist.evaluation.metric import metric

Path("imported").touch()


@metric(better="lower")
def mine(ranking, k):
    return (ranking.first_hits == 0) * 1.0


@metric()
def raises(ranking, k):
    _, _ = ranking.hits


@metric()
def too_few(ranking, k):
    return mine.function(ranking, k)[1:]
"""


def test_reading_settings_does_not_run_a_metric_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "of_mine.py").write_text(METRIC)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = read_settings(SAMPLE, ["evaluation.metrics=[ndcg@10, of_mine:mine@10]", GUARDS])
    assert settings.evaluation.own_metrics() == ("of_mine:mine@10",)
    assert not (tmp_path / "imported").exists()


GUARDS = "policy.guardrails=[]"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["evaluation.metrics=[ndcg@10, nowhere:mine@10]"], "cannot be imported"),
        (["evaluation.metrics=[ndcg@10, of_mine:mine]"], "needs a list length"),
        (
            ["evaluation.metrics=[of_mine:mine@10]", "policy.primary=of_mine:mine@10"],
            "is better when it is lower",
        ),
        (
            ["evaluation.metrics=[ndcg@10, of_mine:mine@10]", "policy.primary=of_mine:mine@5"],
            "of_mine:mine@5 is not evaluated",
        ),
        (
            ["evaluation.metrics=[of_mine:mine@1, of_mine:raises@10]"],
            "metric raises raised TypeError: cannot unpack non-iterable Hits object",
        ),
        (["evaluation.metrics=[of_mine:raises@10]"], "of_mine.py, line 16); correct the function"),
        (["evaluation.metrics=[of_mine:too_few@1]"], "metric too_few answered with ndarray of"),
    ],
)
def test_a_metric_of_the_users_own_is_tried_before_the_first_step(tmp_path, changes, words):
    (tmp_path / "of_mine.py").write_text(METRIC)
    options = [part for change in (*changes, GUARDS) for part in ("--set", change)]
    assert words in refused(tmp_path, *options)


def test_a_file_in_the_working_folder_does_not_stand_in_for_a_package(tmp_path):
    for name in ("yaml", "statistics", "typer", "kfp"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run from the working folder')")
    code, screen = finish(tmp_path, "clean")
    assert (code, screen) == (0, "nothing to remove in .setlist")
    run = begin(tmp_path, "run")
    until(lambda: any("finished with status" in log.read_text() for log in logs_in(tmp_path)))
    run.terminate()
    run.wait()
    (log,) = logs_in(tmp_path)
    assert "SUCCESS" in log.read_text()
    assert "run from the working folder" not in log.read_text() + shown(tmp_path)


def test_settings_of_any_length_are_run(tmp_path):
    """A filter of 200 kB, in every step that reads the tables."""
    listed = [f"L{number:04}" for number in range(3_000)]
    listed += [f"of another country {number:06}" for number in range(6_500)]
    settings = write_settings(tmp_path)
    document = yaml.safe_load(settings.read_text())
    document["data"]["events"]["where"] = [["listener", "in", listed]]
    settings.write_text(yaml.safe_dump(document))
    assert settings.stat().st_size > 200_000
    run = begin(tmp_path, "run", "--config", settings)
    until(
        lambda: (
            any(FINISHED in log.read_text() for log in logs_in(tmp_path)) or run.poll() is not None
        )
    )
    run.terminate()
    run.wait()
    (log,) = logs_in(tmp_path)
    assert FINISHED in log.read_text(), shown(tmp_path)


FINISHED = "Task 'curate' finished with status SUCCESS"
