"""A worker that hangs, dies or takes too much memory is ended, and says why it was."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.cases import hostile_models
from tests.waiting import until

from setlist.errors import ModelError
from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_worker import ModelUnansweredError, ModelWorker
from setlist.models.worker.remote_model import RemoteModel


def ended(process: int) -> bool:
    """Whether there is no such process any more, or only what its parent has not read yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_call_that_does_not_end_is_ended(tmp_path):
    folder = hostile_models.write_works_on(tmp_path / "m")
    with ModelWorker() as worker:
        model = RemoteModel(worker, folder)
        assert model.recommend([[]], [[]], 3)[0].shape == (1, 3)
        # Its answer would take years.
        with pytest.raises(ModelUnansweredError, match="within 1 s"):
            model.signature([["poison"]], [[]], 3, {}, seconds=1.0)
        assert not worker.alive


def test_a_process_that_dies_says_of_what(tmp_path):
    folder = hostile_models.write_dies_on(tmp_path / "m")
    with ModelWorker() as worker:
        model = RemoteModel(worker, folder, allowed=["Abort"])
        with pytest.raises(ModelUnansweredError, match="ended with"):
            model.recommend([["poison"]], [[]], 3)


def test_a_model_that_takes_too_much_memory_is_ended(tmp_path):
    folder = hostile_models.write_allocates(tmp_path / "m", 1.5)
    with ModelWorker(Limits(memory=500 << 20)) as worker:
        model = RemoteModel(worker, folder)
        model.recommend([[]], [[]], 3)
        with pytest.raises(ModelError, match=r"memory|OOM"):
            model.recommend([["huge"]], [[]], 3)


def test_what_it_prints_cannot_look_like_ours(tmp_path, capfd):
    text = "revision 99 of home is live here\x1b[2J\r"
    folder = hostile_models.write_prints(tmp_path / "m", text)
    seen = []

    def printed():
        seen.append(capfd.readouterr().out)
        return "".join(seen)

    with ModelWorker() as worker:
        model = RemoteModel(worker, folder, allowed=["PrintV2"])
        for _ in range(50):
            model.recommend([[]], [[]], 3)
        until(lambda: "left out" in printed())
        worker.quiet = True
        model.recommend([[]], [[]], 3)
    lines = printed().splitlines()
    assert 1 < len(lines) <= 25
    assert all(line.startswith("  the model's process: ") for line in lines)
    assert "\x1b" not in "".join(lines)


PARENT = """
import sys, time
from pathlib import Path
from setlist.models.worker.model_worker import ModelWorker
from setlist.models.worker.remote_model import RemoteModel
worker = ModelWorker()
model = RemoteModel(worker, Path(sys.argv[1]))
print(worker.pid, flush=True)
model.recommend([["poison"]], [[]], 3)
"""


def test_it_ends_with_its_parent_though_it_hangs(tmp_path):
    folder = hostile_models.write_works_on(tmp_path / "m")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline().split()[-1])
        time.sleep(1)
        assert not ended(worker)
        os.kill(parent.pid, signal.SIGKILL)
    until(lambda: ended(worker))


def test_it_is_closed_from_another_thread_while_it_is_asked(tmp_path):
    folder = hostile_models.write_works_on(tmp_path / "m")
    with ModelWorker() as worker:
        model = RemoteModel(worker, folder)
        closing = threading.Timer(0.5, worker.close)
        closing.start()
        with pytest.raises(ModelUnansweredError):
            model.recommend([["poison"]], [[]], 3)
        closing.join()
