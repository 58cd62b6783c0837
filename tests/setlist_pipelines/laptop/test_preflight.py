"""What would make a run fail is said in one sentence before its first step."""

import contextlib
import subprocess

import pytest
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
def test_a_work_folder_that_tensorflow_takes_for_a_pattern(tmp_path, name):
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


def test_paths_that_no_file_can_have(tmp_path):
    assert "NUL" in refused(tmp_path, "--set", 'store="a\\0b"')
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
