"""The follower: what it hands over, what it refuses, and that it keeps what works."""

import errno
import gc
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry
from tests.setlist.serving.models import promote, stage
from tests.setlist.serving.processes import SETLIST
from tests.waiting import PATIENCE, until

from setlist.errors import EXTRAS, SetlistError
from setlist.serving import follower as follow
from setlist.serving import tf_serving
from setlist.serving.follower import ModelFollower
from setlist.serving.local_revisions import LocalRevisions
from setlist.serving.monitoring import FollowerMetrics
from setlist.serving.tf_serving import WORK_FOLDER, BasePath
from setlist.store import bucket
from setlist.store.model_store import open_store

UNREAD = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""The client library leaves the answers that it gave up on to the garbage collector."""


class Service:
    """Anybody's service: it takes a model unless it is told not to."""

    def __init__(self):
        self.models = []
        self.refuses = set()

    def swap(self, revision, folder):
        if revision in self.refuses:
            raise RuntimeError("out of memory")
        assert (folder / "saved_model" / "saved_model.pb").is_file()
        self.models.append((revision, folder))

    @property
    def revisions(self):
        return [revision for revision, _ in self.models]


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def follower(uri, tmp_path, service):
    return ModelFollower(uri, "home", tmp_path / "kept", service.swap, timedelta(seconds=0.05))


def corrupt(uri: str, revision: int, path: str = "saved_model/saved_model.pb") -> None:
    file = Path(uri) / "home" / "revisions" / str(revision) / path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_it_hands_over_what_is_live_and_what_goes_live(uri, follower, service):
    assert follower.poll()
    assert not follower.poll(), "nothing moved"
    promote(uri, 2)
    assert follower.poll()
    promote(uri, 1)
    assert follower.poll()
    assert service.revisions == [1, 2, 1]
    assert follower.health()["fault"] is None
    assert follower.health()["promoted"] >= open_store(uri).history("home")[-1].when


def test_in_a_thread_it_follows_by_itself(uri, follower, service):
    follower.start()
    until(lambda: service.revisions == [1])
    promote(uri, 2)
    until(lambda: service.revisions == [1, 2])
    follower.stop()
    assert not follower._thread.is_alive()
    promote(uri, 1)
    assert service.revisions == [1, 2], "nobody looks any more"


def test_a_damaged_file_is_refused_by_name_and_the_old_model_stays(uri, follower, service):
    follower.poll()
    corrupt(uri, 2)
    promote(uri, 2)
    assert not follower.poll()
    assert service.revisions == [1]
    health = follower.health()
    assert "revisions/2/saved_model/saved_model.pb is damaged" in health["fault"]
    assert (health["revision"], health["wanted"]) == (1, 2)
    corrupt(uri, 2)  # the bit flips back
    follower._retry_at = 0.0  # the pause after a fault is over
    assert follower.poll()
    assert service.revisions == [1, 2]
    assert follower.health()["fault"] is None
    assert "is damaged" in follower.health()["last_error"]["sentence"], "it is not forgotten"


def test_a_model_that_fails_its_warm_up_is_left_alone_for_a_while(
    uri, follower, service, monkeypatch
):
    clock = SimpleNamespace(monotonic=lambda: 1_000.0, time=time.time)  # no time passes
    monkeypatch.setattr(follow, "time", clock)
    service.refuses = {2}
    follower.poll()
    promote(uri, 2)
    for _ in range(20):
        assert not follower.poll()
    assert follower.faults["hand over"] == 1, "it was tried once"
    assert follower.in_use.revision == 1
    assert follower.health()["fault"] == "RuntimeError: out of memory"
    pauses = []
    for _ in range(9):
        follower._retry_at = 0.0
        follower.poll()
        pauses.append(follower._retry_at - clock.monotonic())
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_it_is_tried_at_once_when_head_moves(uri, follower, service):
    service.refuses = {2}
    follower.poll()
    promote(uri, 2)
    follower.poll()
    promote(uri, 1)
    assert not follower.poll(), "revision 1 is still in use"
    assert follower.health()["fault"] is None
    service.refuses = set()
    promote(uri, 2)
    assert follower.poll()
    assert service.revisions == [1, 2]


def test_after_a_restart_the_last_good_model_serves_without_a_store(
    uri, tmp_path, follower, service
):
    follower.poll()
    Path(uri).rename(tmp_path / "gone")
    Path(uri).write_text("the store is away")
    again = Service()
    other = ModelFollower(uri, "home", tmp_path / "kept", again.swap, timedelta(seconds=0.05))
    other.start()
    until(lambda: again.revisions == [1])
    until(lambda: other.faults["head"] > 1)
    assert "cannot open" in other.health()["fault"]
    assert other.health()["promoted"], "known without the store"
    Path(uri).unlink()
    (tmp_path / "gone").rename(uri)
    until(lambda: other.health()["fault"] is None)
    other.stop()
    assert again.revisions == [1], "it was not loaded twice"


@pytest.mark.parametrize("harm", ["changed", "missing", "extra"])
def test_what_is_remembered_is_verified_again(uri, tmp_path, follower, service, harm):
    follower.poll()
    _, folder = service.models[0]
    if harm == "changed":
        (folder / "catalogue.txt").write_text("others\n")
    elif harm == "missing":
        (folder / "catalogue.txt").unlink()
    else:
        (folder / "saved_model" / "more").write_text("")
    again = Service()
    other = ModelFollower(uri, "home", tmp_path / "kept", again.swap)
    assert not other.restore()
    named = "saved_model/more" if harm == "extra" else "catalogue.txt"
    assert named in other.health()["fault"]
    assert other.poll(), "it is fetched anew"
    assert (again.models[0][1] / "catalogue.txt").read_text().startswith("r1-")


def test_a_disk_that_cannot_be_read_does_not_end_it(uri, tmp_path, service, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(LocalRevisions, "last_good", fail)
    follower = ModelFollower(uri, "home", tmp_path / "kept", service.swap, timedelta(seconds=0.05))
    follower.start()
    until(lambda: service.revisions == [1])
    assert "Input/output error" in follower.health()["last_error"]["sentence"]
    follower.stop()


def test_what_could_not_be_remembered_is_until_it_can(uri, tmp_path, follower, service):
    (tmp_path / "kept" / ".good.json").mkdir(parents=True)
    assert follower.poll()
    assert not follower.poll()
    assert service.revisions == [1], "it is in use all the same"
    assert "Is a directory" in follower.health()["fault"]
    (tmp_path / "kept" / ".good.json").rmdir()
    assert not follower.poll()
    assert follower.health()["fault"] is None
    assert ModelFollower(uri, "home", tmp_path / "kept", service.swap).restore()


def test_what_is_remembered_of_another_store_is_not_served(tmp_path, follower, service):
    follower.poll()
    other = ModelFollower(str(tmp_path / "other"), "home", tmp_path / "kept", service.swap)
    assert not other.restore()
    assert other.health()["fault"] is None


def test_a_folder_is_one_followers(follower, uri, tmp_path, service):
    follower.start()
    other = ModelFollower(uri, "home", tmp_path / "kept", service.swap)
    with pytest.raises(SetlistError, match="another follower uses it"):
        other.start()
    follower.stop()
    other.start()
    other.stop()


def test_old_folders_stay_for_one_more_swap(uri, follower, service, towers):
    store = open_store(uri)
    third = store.fetch("home", 2, Path(uri).parent / "third")
    (third / "catalogue.txt").touch()
    follower.poll()
    promote(uri, 2)
    follower.poll()
    (first, one), (second, two) = service.models
    assert one.is_dir(), "somebody may still read it"
    (third / "note.txt").write_text("another model")
    promote(uri, stage(uri, third, "run-3"))
    follower.poll()
    assert not one.exists()
    assert two.is_dir()
    assert (first, second, follower.in_use.revision) == (1, 2, 3)


def test_a_rollback_to_the_revision_before_downloads_nothing(uri, follower, service):
    follower.poll()
    promote(uri, 2)
    follower.poll()
    for file in (Path(uri) / "home" / "revisions" / "1" / "saved_model").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")  # it could not be downloaded
    promote(uri, 1)
    assert follower.poll()
    assert service.revisions == [1, 2, 1]


def test_a_pinned_one_does_not_follow(uri, tmp_path, service):
    follower = ModelFollower(uri, "home", tmp_path / "kept", service.swap, revision=2)
    follower.poll()
    follower.poll()
    assert service.revisions == [2]


@UNREAD
@pytest.mark.parametrize("mode", ["500", "reset", "stall", "away"])
def test_an_outage_of_the_bucket_is_survived(gcs_uri, proxy, tmp_path, service, monkeypatch, mode):
    monkeypatch.setattr(bucket, "TIMEOUT_SECONDS", proxy.time_out)
    monkeypatch.setattr(bucket, "RETRY_SECONDS", 0.3)
    follower = ModelFollower(
        gcs_uri, "home", tmp_path / "kept", service.swap, timedelta(seconds=0.1)
    )
    follower.start()
    until(lambda: service.revisions == [1])
    proxy.be(mode)
    until(lambda: follower.faults["head"] > 0)
    assert "cannot read home/HEAD" in follower.health()["fault"]
    assert follower.in_use.revision == 1
    proxy.be("pass")
    promote(gcs_uri, 2)
    until(lambda: service.revisions == [1, 2])
    until(lambda: follower.health()["fault"] is None)
    follower.stop()
    gc.collect()


def test_the_pause_grows_with_every_miss_up_to_the_usual_one(uri, tmp_path, service):
    follower = ModelFollower(
        str(tmp_path / "empty"), "home", tmp_path / "kept", service.swap, timedelta(minutes=10)
    )
    pauses = []
    for _ in range(9):
        follower.poll()
        pauses.append(follower._pause())
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert "there is no store at" in follower.health()["fault"], "a reader makes none"
    follower._failed_polls = 100_000
    assert follower._pause() == 600, "also after weeks"


def test_the_metrics_say_what_health_says(uri, follower, service):
    registry = CollectorRegistry()
    registry.register(FollowerMetrics([follower]))
    labels = {"name": "home", "follows": "HEAD"}
    assert registry.get_sample_value("setlist_model_revision", labels) is None
    follower.poll()
    corrupt(uri, 2)
    promote(uri, 2)
    follower.poll()

    def value(name, **more):
        return registry.get_sample_value(f"setlist_{name}", labels | more)

    assert (value("model_revision"), value("wanted_revision")) == (1, 2)
    assert (value("swaps_total"), value("faulty")) == (1, 1)
    assert value("faults_total", stage="fetch") == 1
    assert value("faults_total", stage="head") == 0
    assert value("last_poll_timestamp_seconds") > value("last_success_timestamp_seconds")
    assert 0 <= value("model_age_seconds", since="promotion") < 3600
    months = (time.time() - 1775001600) / 86400  # 2026-04-01, the end of its training window
    assert value("model_age_seconds", since="training") / 86400 == pytest.approx(months, abs=0.1)


@pytest.mark.slow
def test_a_base_path_is_as_it_was_after_a_fault_and_untouched_by_who_comes_second(
    uri, tmp_path, follower, service, monkeypatch
):
    follower.poll()
    base = BasePath(tmp_path / "base")
    base.install(*service.models[0])
    (model := tmp_path / "model").mkdir()
    monkeypatch.setattr(tf_serving, "warm_up_in_subprocess", lambda *_: None)
    with pytest.raises(FileNotFoundError):
        base.install(2, model)
    work = tmp_path / "base" / WORK_FOLDER / "serving"
    assert [*work.iterdir()] == []
    assert {path.name for path in (tmp_path / "base").iterdir()} == {WORK_FOLDER, "1"}
    (work / "half a copy").mkdir()
    BasePath(tmp_path / "base")
    assert (work / "half a copy").exists(), "it is another follower's"


@pytest.mark.slow
def test_the_command_keeps_the_base_path_of_tensorflow_serving(uri, tmp_path):
    """Forward and back; something whole at every look; SIGTERM."""
    base = tmp_path / "base"
    process = subprocess.Popen(
        [*SETLIST, "follow", "--store", uri, "--to", str(base), "--every", "0.1s"],
        stdout=subprocess.DEVNULL,
    )
    seen, torn, over = [], [], threading.Event()

    def watch():
        """What TensorFlow Serving sees: the highest number, which has to be whole."""
        while not over.wait(0.001):
            numbers = [int(entry.name) for entry in base.glob("[0-9]*")]
            if numbers and (not seen or seen[-1] != max(numbers)):
                seen.append(max(numbers))
            if not numbers and seen:
                torn.append("nothing is there")
            for folder in [base / str(number) for number in numbers]:
                try:
                    before = folder.stat().st_ino
                    files = {entry.name for entry in folder.iterdir()}
                    moved = folder.stat().st_ino != before
                except FileNotFoundError:
                    continue  # it has vanished, whole
                if not moved and not {"saved_model.pb", "variables", "assets.extra"} <= files:
                    torn.append((folder, files))

    watcher = threading.Thread(target=watch)
    try:
        until(base.is_dir)
        watcher.start()
        until(lambda: seen == [1])
        promote(uri, 2)
        until(lambda: not (base / "1").exists() and seen == [1, 2])
        promote(uri, 1)
        until(lambda: not (base / "2").exists() and seen == [1, 2, 1])
        assert {path.name for path in (base / "1" / "assets.extra").iterdir()} >= {
            "model.json",
            "catalogue.txt",
            "items.parquet",
        }
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        over.set()
        watcher.join()
    assert torn == []


def test_it_follows_with_the_base_installation_only(uri, tmp_path):
    """In a process in which no package of an extra can be imported."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({list(EXTRAS)}))\n"
        "from pathlib import Path; from setlist.serving.follower import ModelFollower\n"
        "follower = ModelFollower(sys.argv[1], 'home', Path(sys.argv[2]), lambda *_: None)\n"
        "follower.lock_folder(); assert follower.poll(), follower.health()"
    )
    subprocess.run([sys.executable, "-c", code, uri, str(tmp_path / "kept")], check=True)
