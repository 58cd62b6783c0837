"""What a process that fails leaves for Kubernetes to show."""

import subprocess
import sys

import pytest

from setlist.termination import MAX_MESSAGE_BYTES

FAILING_PROGRAM = """
import pathlib, subprocess, sys
from setlist.errors import SetlistError
from setlist.termination import explain_exit
explain_exit(pathlib.Path(sys.argv[1]))
"""


def run(code, log):
    if log.parent.is_dir():
        log.touch()  # as Kubernetes does
    return subprocess.run(
        [sys.executable, "-c", FAILING_PROGRAM + code, log],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SetlistError('data.items: ünknown; name it.')", "data.items: ünknown; name it."),
        ("raise ValueError('no such bin')", "ValueError: no such bin"),
        ("class Custom(SetlistError): pass\nraise Custom('mend it.')", "mend it."),
    ],
)
def test_what_ends_the_process_is_written_and_printed(code, message, tmp_path):
    log = tmp_path / "termination-log"
    done = run(code, log)
    assert log.read_text("utf-8") == message
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert message in done.stderr


def test_a_long_message_is_cut_to_what_kubernetes_takes_and_stays_text(tmp_path):
    log = tmp_path / "termination-log"
    run(f"raise SetlistError('a' + 'ü' * {MAX_MESSAGE_BYTES})", log)
    assert log.read_bytes().decode() == "a" + "ü" * (MAX_MESSAGE_BYTES // 2 - 1)


def test_nothing_is_written_at_a_good_end_nor_for_a_process_that_was_started(tmp_path):
    log = tmp_path / "termination-log"
    child = f"""
import os
code = {FAILING_PROGRAM!r} + "raise SetlistError('of the child')"
subprocess.run([sys.executable, "-c", code, sys.argv[1]], check=False)
"""
    done = run(child, log)
    assert "of the child" in done.stderr
    assert done.returncode == 0
    assert log.read_bytes() == b""


def test_a_log_that_cannot_be_written_hides_nothing(tmp_path):
    done = run("raise SetlistError('mend it.')", tmp_path / "absent" / "log")
    assert done.returncode == 1
    assert "SetlistError: mend it." in done.stderr


def test_outside_of_a_pod_nothing_is_changed():
    code = "import sys, setlist.steps; sys.exit(sys.excepthook is not sys.__excepthook__)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
