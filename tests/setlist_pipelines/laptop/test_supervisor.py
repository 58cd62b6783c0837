"""The supervisor on steps that misbehave: each a function that kfp's executor runs."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.setlist_pipelines.laptop.small_run import environment, processes_in
from tests.waiting import PATIENCE, until

from setlist_pipelines.laptop.run_state import RunState
from setlist_pipelines.laptop.step_command import StepCommand
from setlist_pipelines.laptop.supervisor import FINISHED_BEFORE, Supervisor
from setlist_pipelines.settings.file import SAMPLE, read_settings

STUBBORN = """
import os, signal, subprocess, time

def stubborn():
    signal.signal(signal.SIGTERM, lambda *_: open("asked", "w").close())
    subprocess.Popen(["sleep", "1000"])
    print("deaf", flush=True)
    time.sleep(1000)
"""
LEAVES = """
import subprocess

def leaves():
    subprocess.Popen(["sleep", "1000"])
"""
ENDS = """
def ends():
    print("up", flush=True)
"""
AT_EVERY_LINE = """
import json, os, signal, sys, threading
from pathlib import Path
from setlist_pipelines.laptop import supervisor as tested
from setlist_pipelines.laptop.run_state import STATE_FOLDER, RunState
from setlist_pipelines.laptop.supervisor import Interrupted, Supervisor
from setlist_pipelines.settings.file import SAMPLE, read_settings

state = RunState.create(Path.cwd(), "retraining", "", read_settings(SAMPLE))
command = json.loads(Path("command.json").read_text())
command[5] = command[5].replace("ROOT", str(state.root))
files = (tested.__file__, threading.__file__)

def run_with_signal(place):
    "Run the step, with a signal at that line of those that are run; None where they are fewer."
    left = place

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGHUP)
        return trace

    supervisor = Supervisor(state)
    with supervisor.interrupted_by_signals():
        try:
            sys.settrace(trace)
            supervisor.run_step(command)
            sys.settrace(None)
            with supervisor.waiting():
                return None if left > 0 else "the signal was lost"
        except Interrupted as ended:
            return ended.word
        finally:
            sys.settrace(None)

place = 1
while answer := run_with_signal(place):
    assert answer == "SIGHUP", (place, answer)
    for mark in (state.root / STATE_FOLDER / "finished").iterdir():
        mark.unlink()
    place += 1
print(place)
"""
DRIVER = """
import json, sys
from pathlib import Path
from setlist_pipelines.laptop.run_state import RunState
from setlist_pipelines.laptop import supervisor as tested
from setlist_pipelines.laptop.supervisor import Interrupted, Supervisor
from setlist_pipelines.settings.file import SAMPLE, read_settings

tested.GRACE_SECONDS = 1000
state = RunState.create(Path.cwd(), "retraining", "", read_settings(SAMPLE))
supervisor = Supervisor(state)
command = json.loads(Path("command.json").read_text())
command[5] = command[5].replace("ROOT", str(state.root))
try:
    with supervisor.interrupted_by_signals():
        supervisor.run_step(command)
except Interrupted as ended:
    print(ended.word, flush=True)
"""


def command(root: object, source: str, function: str, **parameters: object) -> list[str]:
    """A step as kfp would start it."""
    folder = f"{root}/{function}"
    executor_input = {
        "inputs": {"parameterValues": parameters},
        "outputs": {
            "parameters": {"Output": {"outputFile": f"{folder}/Output"}},
            "outputFile": f"{folder}/executor_output.json",
        },
    }
    options = ["--executor_input", json.dumps(executor_input), "--function_to_execute", function]
    return ["sh", "-ec", "", textwrap.dedent(source), *options]


def answer(state: RunState, function: str) -> object:
    """What a step has returned."""
    written = (state.root / function / "executor_output.json").read_text()
    return json.loads(written)["parameterValues"]["Output"]


@pytest.fixture
def state(tmp_path):
    made = RunState.create(tmp_path, "retraining", "", read_settings(SAMPLE))
    yield made
    made.close()


def driven(folder: Path, source: str, function: str, driver: str = DRIVER) -> subprocess.Popen:
    """A supervisor in a process of its own, on one step."""
    (folder / "command.json").write_text(json.dumps(command("ROOT", source, function)))
    return subprocess.Popen(
        [sys.executable, "-c", driver],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_step_that_is_deaf_is_killed_at_the_second_signal(tmp_path):
    run = driven(tmp_path, STUBBORN, "stubborn")
    while run.stdout.readline() != "deaf\n":
        pass
    run.send_signal(signal.SIGINT)
    until((tmp_path / "asked").exists)  # to end, which it does not
    run.send_signal(signal.SIGINT)
    assert run.communicate(timeout=PATIENCE)[0] == "Ctrl-C\n"
    until(lambda: not processes_in(tmp_path))


def test_a_signal_ends_the_step_and_is_not_lost_wherever_the_supervisor_is(tmp_path):
    """Also while a thread is starting, which cannot be joined then."""
    run = driven(tmp_path, ENDS, "ends", AT_EVERY_LINE)
    places = int(run.communicate(timeout=PATIENCE)[0].split()[-1])
    assert run.returncode == 0
    assert places > 50
    until(lambda: not processes_in(tmp_path))


def test_a_deaf_step_does_not_outlive_a_supervisor_that_is_killed(tmp_path):
    run = driven(tmp_path, STUBBORN, "stubborn")
    while run.stdout.readline() != "deaf\n":
        pass
    run.kill()
    run.communicate(timeout=PATIENCE)
    until(lambda: not processes_in(tmp_path))


def test_what_a_step_leaves_running_ends_with_it(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Supervisor(state).run_step(command(state.root, LEAVES, "leaves")) == 0
    monkeypatch.undo()
    until(lambda: not processes_in(tmp_path))


def test_settings_of_any_length_reach_a_step(state, capsys):
    """Linux takes 128 KiB in one argument of a process."""
    source = "def count(text: str) -> int:\n    return len(text)\n"
    assert Supervisor(state).run_step(command(state.root, source, "count", text="x" * 900_000)) == 0
    assert answer(state, "count") == 900_000


def test_a_step_has_one_temporary_folder_which_goes_with_it(state):
    source = """
        import tempfile
        def leave() -> str:
            return tempfile.mkdtemp()
    """
    assert Supervisor(state).run_step(command(state.root, source, "leave")) == 0
    folder = Path(str(answer(state, "leave")))
    assert folder.is_relative_to(state.root)
    assert not folder.parent.exists()


def test_a_file_in_the_working_folder_does_not_stand_in_for_a_package(tmp_path, state, monkeypatch):
    for name in ("yaml", "statistics", "kfp", "json", "google"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run from the working folder')")
    (tmp_path / "of_mine.py").write_text("answer = 42")
    monkeypatch.chdir(tmp_path)
    source = """
        def look() -> int:
            import subprocess, sys, statistics, yaml, of_mine
            import google.cloud.storage
            subprocess.run([sys.executable, "-m", "json.tool", "--help"], check=True)
            return of_mine.answer
    """
    assert Supervisor(state).run_step(command(state.root, source, "look")) == 0
    assert answer(state, "look") == 42


def test_a_finished_step_is_not_done_again_unless_what_it_read_is_another(state, capsys):
    source = "def count(text: str) -> int:\n    return len(text)\n"
    supervisor = Supervisor(state)

    def run(text: str) -> str:
        assert supervisor.run_step(command(state.root, source, "count", text=text)) == 0
        return capsys.readouterr().out

    assert FINISHED_BEFORE not in run("abc")
    assert FINISHED_BEFORE in run("abc")
    assert FINISHED_BEFORE not in run("abcd")
    (state.root / "count" / "executor_output.json").write_text("{}")
    assert FINISHED_BEFORE not in run("abcd"), "its output has been changed"


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"")])
def test_a_step_whose_output_is_gone_or_empty_is_done_again(state, capsys, harm):
    source = """
    from pathlib import Path
    def writes(folder: str):
        Path(folder, "model").mkdir(parents=True)
        Path(folder, "model", "weights").write_text("all of it")
    """
    writes = command(state.root, source, "writes", folder=str(state.root / "writes"))
    for _ in range(2):
        assert Supervisor(state).run_step(writes) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.count(FINISHED_BEFORE) == 1
    weights = state.root / "writes" / "model" / "weights"
    harm(weights)
    assert Supervisor(state).run_step(writes) == 0
    assert weights.read_text() == "all of it"
    assert FINISHED_BEFORE not in capsys.readouterr().out


def test_a_step_that_failed_is_not_finished_and_leaves_nothing_for_the_next_attempt(state, capsys):
    source = """
        def half() -> str:
            from pathlib import Path
            folder = Path(ROOT)
            folder.mkdir(exist_ok=True, parents=True)
            assert not list(folder.glob("begun"))
            (folder / "begun").touch()
            raise SystemExit(3)
    """.replace("ROOT", repr(str(state.root / "half")))
    for _ in range(2):
        assert Supervisor(state).run_step(command(state.root, source, "half")) == 3
    assert FINISHED_BEFORE not in capsys.readouterr().out


def test_kfp_still_starts_a_step_as_this_reads_it():
    """Where this fails, kfp has changed: see what it starts now."""
    with pytest.raises(ValueError, match="in another way"):
        StepCommand.parse(["python", "-m", "other"])
