"""A run that is told to end takes its step with it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import PATIENCE, until

SETLIST = [sys.executable, "-m", "setlist_pipelines"]


def processes_in(folder: Path) -> list[int]:
    """All processes with that working folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return found


def logs_in(folder: Path) -> list[Path]:
    """The logs of the runs that were started there."""
    return list(folder.glob(".setlist/run-*.log"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_and_says_so(tmp_path, number):
    with (tmp_path / "screen").open("w") as screen:
        run = subprocess.Popen([*SETLIST, "run"], cwd=tmp_path, stdout=screen, stderr=screen)
        until(lambda: any("Executing task" in log.read_text() for log in logs_in(tmp_path)))
        run.send_signal(number)
        assert run.wait(timeout=PATIENCE) == 1
    assert processes_in(tmp_path) == []
    said = " ".join((tmp_path / "screen").read_text().split())
    assert "ended the run in step" in said
    assert "Traceback" not in said
    if number == signal.SIGTERM:
        assert "SIGTERM" in said
