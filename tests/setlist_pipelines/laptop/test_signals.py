"""A run that is told to end ends its step, and says so; whatever the moment."""

import signal
from pathlib import Path

import pytest
from tests.setlist_pipelines.laptop.small_run import (
    begin,
    logs_in,
    processes_in,
    said_in_logs,
    shown,
)
from tests.waiting import PATIENCE, until

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
WORDS = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C", signal.SIGHUP: "SIGHUP"}


def handles(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal, other than Python's for SIGINT."""
    status = Path(f"/proc/{process}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", SIGNALS)
def test_before_the_first_step_a_signal_is_answered_in_one_sentence(tmp_path, number):
    run = begin(tmp_path, "run")
    # SIGTERM is the first that the command takes, and SIGHUP the last.
    until(lambda: handles(run.pid, signal.SIGHUP))
    run.send_signal(number)
    assert run.wait(PATIENCE) == 1
    assert WORDS[number] in shown(tmp_path)
    assert "nothing is left running" in shown(tmp_path)
    assert "Traceback" not in shown(tmp_path)
    until(lambda: not processes_in(tmp_path))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_step_and_says_how_to_go_on(tmp_path, number):
    run = begin(tmp_path, "run")
    until(lambda: said_in_logs(tmp_path, "Executing task"))
    run.send_signal(number)
    assert run.wait(PATIENCE) == 1
    (log,) = logs_in(tmp_path)
    for words in (WORDS[number], "ended the run in step", f"The log is {log}", "run --resume"):
        assert words in shown(tmp_path)
    assert "ended the run in step" in log.read_text()
    assert "Traceback" not in shown(tmp_path)
    until(lambda: not processes_in(tmp_path))


@pytest.mark.parametrize("number", SIGNALS)
def test_many_signals_leave_nothing_running(tmp_path, number):
    run = begin(tmp_path, "run")
    until(lambda: said_in_logs(tmp_path, "Executing task"))
    while run.poll() is None:
        run.send_signal(number)
    assert run.returncode == 1
    assert "Traceback" not in shown(tmp_path)
    until(lambda: not processes_in(tmp_path))


def test_a_run_that_is_killed_leaves_no_step_behind(tmp_path):
    run = begin(tmp_path, "run")
    until(lambda: said_in_logs(tmp_path, "Executing task"))
    run.kill()
    run.wait(PATIENCE)
    until(lambda: not processes_in(tmp_path))
