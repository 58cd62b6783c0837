"""A poll that does not end is left behind: the follower says so, and polls again."""

import gc
import subprocess
import sys
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry
from tests.setlist.serving.models import promote
from tests.waiting import PATIENCE, until

from setlist.errors import SetlistError
from setlist.serving import asked_store
from setlist.serving import follower as follow
from setlist.serving.asked_store import AskedStore
from setlist.serving.attempts import ABANDONED_AT_MOST, Attempts, OverdueError
from setlist.serving.follower import ModelFollower
from setlist.serving.monitoring import FollowerMetrics
from setlist.store.manifest import File, Manifest
from setlist.store.model_store import open_store

UNREAD = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""The client library leaves the answers that it gave up on to the garbage collector."""


@pytest.fixture
def taken():
    return []


@pytest.fixture
def follower(gcs_uri, tmp_path, taken):
    made = ModelFollower(
        gcs_uri,
        "home",
        tmp_path / "kept",
        lambda revision, _: taken.append(revision),
        timedelta(seconds=0.1),
    )
    yield made
    began = time.monotonic()
    made.stop()
    assert time.monotonic() - began < 20  # an answer that it waits for takes 30
    gc.collect()


def threads_of(follower):
    return [one for one in threading.enumerate() if one.name == f"ask for {follower.name}"]


@UNREAD
def test_a_store_that_drips_is_a_fault_and_is_followed_again(
    gcs_uri, proxy, follower, taken, monkeypatch, capfd
):
    follower.start()
    until(lambda: taken == [1])
    monkeypatch.setattr(asked_store, "READ_SECONDS", 1.0)
    proxy.be("drip")
    until(lambda: follower.faults["head"] >= ABANDONED_AT_MOST + 3)
    assert "did not answer within 1 s" in follower.health()["fault"]
    assert len(threads_of(follower)) == ABANDONED_AT_MOST, "no more, however long it lasts"
    assert follower.in_use.revision == 1
    monkeypatch.setattr(asked_store, "READ_SECONDS", 30.0)
    proxy.be("pass")
    promote(gcs_uri, 2)
    until(lambda: taken == [1, 2])
    until(lambda: follower.health()["fault"] is None)
    until(lambda: not threads_of(follower))
    assert taken == [1, 2], "what came late is ignored"
    assert capfd.readouterr().out.count("did not answer") == 1


@UNREAD
def test_a_download_that_drips_ends_at_its_deadline(
    gcs_uri, proxy, follower, taken, monkeypatch, tmp_path
):
    follower.start()
    until(lambda: taken == [1])
    monkeypatch.setattr(asked_store, "DOWNLOAD_SECONDS", 1.0)
    proxy.drip_after = 1 << 15  # HEAD and the manifest pass
    proxy.be("drip")
    promote(gcs_uri, 2)
    until(lambda: follower.faults["fetch"] > 0)
    assert "did not answer within 1 s" in follower.health()["fault"]
    assert (follower.in_use.revision, follower.target) == (1, 2)
    monkeypatch.setattr(asked_store, "DOWNLOAD_SECONDS", 60.0)
    proxy.be("pass")
    follower._retry_at = 0.0
    until(lambda: taken == [1, 2])
    until(lambda: follower.health()["fault"] is None)
    folders = [one.name for one in (tmp_path / "kept").iterdir() if one.is_dir()]
    assert sorted(name[:2] for name in folders) == ["1-", "2-"]


@UNREAD
def test_a_stuck_poll_does_not_keep_its_follower_from_stopping(proxy, follower, taken):
    follower.start()
    until(lambda: taken == [1])
    proxy.be("drip")
    until(lambda: threads_of(follower) and follower._thread.is_alive())
    time.sleep(0.3)  # by now it waits for an answer, which takes 30 s
    began = time.monotonic()
    follower.stop()
    assert time.monotonic() - began < 20
    assert not follower._thread.is_alive()
    assert sum(follower.faults.values()) == 0, "to be stopped is no fault"


@UNREAD
def test_a_stuck_download_does_not_keep_its_process_from_ending(gcs_uri, proxy, tmp_path):
    proxy.drip_after = 1 << 15
    proxy.be("drip")
    code = (
        "import sys; from pathlib import Path; from setlist.serving import asked_store, follower\n"
        "asked_store.DOWNLOAD_SECONDS = 1.0\n"
        "one = follower.ModelFollower(sys.argv[1], 'home', Path(sys.argv[2]), lambda *_: None)\n"
        "one.lock_folder(); assert not one.poll(); print(one.health()['fault']); one.stop()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, gcs_uri, str(tmp_path / "kept")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert "did not answer within 1 s" in out
    assert process.returncode == 0


def test_a_large_model_has_more_time(uri, tmp_path):
    sizes = {"a": 500_000_000, "b": 1_500_000_000}
    manifest = Manifest(
        name="home",
        revision=1,
        run_id="run-1",
        created="2026-05-01T00:00:00+00:00",
        digest="d",
        files={path: File(sha256="0" * 64, size=size) for path, size in sizes.items()},
        training_window={},
        metadata={},
    )
    assert asked_store.download_seconds(manifest) == 60 + 1000


def test_nothing_that_succeeds_for_long_is_a_fault_whatever_the_reason(uri, tmp_path, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: clock.now, time=time.time, now=0.0)
    monkeypatch.setattr(follow, "time", clock)
    entered, let_go = threading.Event(), threading.Event()

    def swap(revision, _):
        if revision == 2:
            entered.set()
            assert let_go.wait(PATIENCE)

    follower = ModelFollower(uri, "home", tmp_path / "kept", swap, timedelta(seconds=10))
    registry = CollectorRegistry()
    registry.register(FollowerMetrics([follower]))

    def faulty():
        return registry.get_sample_value("setlist_faulty", {"name": "home", "follows": "HEAD"})

    assert follower.poll()
    promote(uri, 2)
    polling = threading.Thread(target=follower.poll)
    polling.start()
    assert entered.wait(PATIENCE)
    clock.now = 3 * 10 + asked_store.READ_SECONDS
    assert follower.health()["fault"] is None, "a download may take longer than that"
    clock.now = 200.0
    fault = follower.health()["fault"]
    assert "nothing has succeeded for more than 120 s" in fault
    assert "handing over revision 2" in fault
    assert follower.fault.stage == "hand over"
    assert faulty() == 1
    let_go.set()
    polling.join()
    assert follower.health()["fault"] is None
    assert faulty() == 0
    assert follower.in_use.revision == 2


def test_what_is_not_done_in_time_is_left_behind():
    attempts, let_go = Attempts("test"), threading.Event()
    assert attempts.run(lambda: 7, PATIENCE) == 7
    for _ in range(ABANDONED_AT_MOST):
        with pytest.raises(OverdueError):
            attempts.run(let_go.wait, 0.01)
    begun = []
    with pytest.raises(OverdueError):
        attempts.run(lambda: begun.append(1), PATIENCE)
    assert begun == [], "nothing new begins"
    let_go.set()
    until(lambda: not [one for one in threading.enumerate() if one.name == "test"])
    assert attempts.run(lambda: 8, PATIENCE) == 8


def test_a_client_that_did_not_answer_is_asked_nothing_more(uri, monkeypatch):
    let_go, opened = threading.Event(), []

    def open_one(uri, **more):
        opened.append(open_store(uri, **more))
        if len(opened) == 1:
            opened[0].read_pointer = lambda _: let_go.wait(PATIENCE)
        return opened[-1]

    monkeypatch.setattr(asked_store, "open_reader", open_one)
    monkeypatch.setattr(asked_store, "READ_SECONDS", 0.05)
    asked = AskedStore(uri, "home")
    with pytest.raises(SetlistError, match=f"the store {uri} did not answer within 0 s; check"):
        asked.wanted(None)
    monkeypatch.setattr(asked_store, "READ_SECONDS", 30.0)
    assert asked.wanted(None).revision == asked.wanted(None).revision == 1
    assert len(opened) == 2, "one that answers is kept"
    let_go.set()


def test_a_fault_of_the_work_is_its_own():
    def fail():
        raise TimeoutError("the socket's")

    with pytest.raises(TimeoutError, match="the socket's"):
        Attempts("test").run(fail, PATIENCE)


def test_who_stops_does_not_wait():
    attempts, let_go, ended = Attempts("test"), threading.Event(), []

    def wait():
        with pytest.raises(OverdueError):
            attempts.run(let_go.wait, PATIENCE)
        ended.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    attempts.stop()
    waiting.join(PATIENCE)
    assert ended == [True]
    with pytest.raises(OverdueError):
        attempts.run(lambda: 7, PATIENCE)
    let_go.set()


@UNREAD
def test_a_store_that_answers_with_faults_says_which(proxy, follower, taken, monkeypatch):
    """The client tries again for a shorter time than the deadline, so its own reason is seen."""
    follower.start()
    until(lambda: taken == [1])
    follower.stop()
    monkeypatch.setattr(asked_store, "READ_SECONDS", 4.0)
    again = ModelFollower(follower.store, "home", follower._local.folder, lambda *_: None)
    proxy.be("pass")
    assert again.poll()
    proxy.be("500")
    assert not again.poll()
    assert "cannot read home/HEAD" in again.health()["fault"]
    assert "500" in again.health()["fault"]
