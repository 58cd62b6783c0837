"""What a step does first: it warns before its memory ends, once, and only then."""

import subprocess
import sys
import threading
import time

import pytest
from kfp.dsl.base_component import BaseComponent

from setlist import memory, step_process, steps
from setlist.memory import MemoryUse, memory_bytes, memory_use
from setlist.step_process import describe_use, watch_memory

GROWING_PROGRAM = """
import sys, time
from setlist.memory import memory_use
from setlist.step_process import watch_memory
share = float(sys.argv[1])
limit = memory_use().used + 200_000_000
watch_memory("train", limit, poll_seconds=0.01)
held = bytearray(b"x") * int(share * limit - memory_use(limit).used)
time.sleep(1)
print("the step ends")
"""


def grown(share: float) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", GROWING_PROGRAM, str(share)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_process_that_grows_says_once_which_setting_to_change():
    warning, end = grown(0.95)
    assert warning.startswith("warning: train uses 0.")
    assert warning.endswith("raise platform.steps.train.memory_limit, or lower window.train_days.")
    assert end == "the step ends"


def test_a_process_that_stays_below_is_silent():
    assert grown(0.8) == ["the step ends"]


def test_without_a_limit_it_is_silent(capsys):
    watch_memory("train", poll_seconds=0.01)
    time.sleep(0.1)
    assert capsys.readouterr().out == ""


def test_a_system_that_does_not_say_ends_the_watch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    before = set(threading.enumerate())
    watch_memory("train", limit=1, poll_seconds=0.01)
    for watcher in set(threading.enumerate()) - before:
        watcher.join(timeout=10)
        assert not watcher.is_alive()
    assert capsys.readouterr().out == ""


def test_the_sentence_names_the_memory_of_the_machine_where_no_limit_is_lower():
    use = MemoryUse(used=14_500_000_000, limit=16_000_000_000, of_machine=True)
    assert describe_use("transform", use) == (
        "warning: transform uses 14.5 GB of the 16.0 GB that this machine has for it, and may be "
        "killed; lower engine.memory, or use a larger machine."
    )


@pytest.mark.parametrize(
    ("files", "limit", "used"),
    [
        ({"memory.max": "4000\n", "memory.stat": "anon 3000\nfile 900\nshmem 7\n"}, 4000, 3007),
        (
            {
                "memory/memory.limit_in_bytes": "5000\n",
                "memory/memory.stat": "rss 1\ntotal_rss 3000\ntotal_cache 90\ntotal_shmem 7\n",
            },
            5000,
            3007,
        ),
    ],
)
def test_a_pod_counts_all_its_processes_and_no_cache(files, limit, used, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory_bytes() == limit
    assert memory_use() == MemoryUse(used, limit, of_machine=False)


@pytest.mark.parametrize("files", [{"memory.max": "max\n"}, {"memory.max": "9" * 19}, {}])
def test_without_a_lower_limit_the_machine_counts(files, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    use = memory_use()
    assert use.of_machine
    assert 0 < use.used < use.limit <= 2 * memory_bytes()


def test_a_look_costs_less_than_a_thousandth_of_the_time():
    looks = 200
    began = time.process_time()
    for _ in range(looks):
        memory_use()
    assert (time.process_time() - began) / looks < step_process.POLL_SECONDS / 1000


def test_every_step_begins_under_its_name(monkeypatch):
    components = [each for each in vars(steps).values() if isinstance(each, BaseComponent)]
    assert len(components) == 20

    class BegunError(Exception):
        """Ends a step after its first line."""

    def begin(step: str) -> None:
        raise BegunError(step)

    monkeypatch.setattr(step_process, "begin_step", begin)
    for component in components:
        arguments = dict.fromkeys(component.python_func.__annotations__)
        arguments.pop("return", None)
        with pytest.raises(BegunError) as begun:
            component.python_func(**arguments)
        assert str(begun.value) == component.name
