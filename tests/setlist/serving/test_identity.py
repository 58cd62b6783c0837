"""Which model is in use is told by its manifest's digest, and which HEAD is newer by its number."""

import json
import random
import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.setlist.serving.models import promote, stage

from setlist.serving import follower as follow
from setlist.serving import tf_serving
from setlist.serving.follower import ModelFollower
from setlist.serving.local_revisions import LocalRevisions
from setlist.serving.monitoring import FollowerMetrics
from setlist.serving.tf_serving import STAND_IN, WORK_FOLDER, BasePath
from setlist.store import folder as store_folder
from setlist.store.model_store import open_store


class Service:
    """Takes every model, and notes the first item of its catalogue."""

    def __init__(self):
        self.models = []

    def swap(self, revision, folder):
        self.models.append((revision, folder))

    @property
    def marks(self):
        return [mark(folder) for _, folder in self.models if folder.exists()]


def mark(folder):
    return (folder / "catalogue.txt").read_text()[:2]


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def following(uri, tmp_path, service):
    """Makes a follower of the store in the same folder, as a restart does."""

    def make(to=service.swap, **more):
        return ModelFollower(uri, "home", tmp_path / "kept", to, timedelta(seconds=0.05), **more)

    return make


def remake(uri, model):
    """A new store at the address, whose revision 1 is this model."""
    shutil.rmtree(uri)
    assert stage(uri, model, "run-1") == 1
    promote(uri, 1)


def head_file(uri):
    return Path(uri) / "home" / "HEAD"


def test_a_store_that_was_made_anew_is_noticed(uri, towers, following, service):
    promote(uri, 2), promote(uri, 1)
    follower = following()
    follower.poll()
    assert follower.followed.number == 3
    remake(uri, towers[2])
    assert follower.poll(), "though its HEAD counts from 1 again"
    assert [revision for revision, _ in service.models] == [1, 1]
    assert service.marks == ["r1", "r2"], "both are there: the first may be read still"
    assert not follower.poll()
    assert follower.health()["fault"] is None


def test_a_store_that_was_made_anew_is_noticed_after_a_restart(uri, towers, following, service):
    following().poll()
    remake(uri, towers[2])
    after = following()
    assert after.restore()
    assert after.poll()
    assert service.marks == ["r1", "r1", "r2"]


def test_a_fixed_revision_is_the_model_of_its_manifest(uri, towers, following, service):
    follower = following(revision=1)
    follower.poll()
    assert not follower.poll()
    remake(uri, towers[2])
    assert follower.poll()
    assert service.marks == ["r1", "r2"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_of_the_previous_version_is_taken_over(uri, tmp_path, following, service, whole):
    following().poll()
    kept = tmp_path / "kept"
    _, folder = service.models[0]
    folder.rename(kept / "1")
    document = json.loads((kept / "good.json").read_text())
    del document["number"], document["origin"]
    (kept / "good.json").write_text(json.dumps(document))
    (kept / "7").mkdir()
    if not whole:
        shutil.rmtree(kept / "1")
    again = Service()
    after = following(again.swap)
    assert after.restore() == whole
    after.poll()
    assert again.marks == ["r1"]
    assert after.health()["fault"] is None
    assert {path.name for path in kept.iterdir() if path.is_dir()} == {again.models[0][1].name}


@pytest.fixture
def backup(uri):
    """The HEAD of before: revision 1 is live; now revision 2 is."""
    content = head_file(uri).read_bytes()
    promote(uri, 2)
    return content


def test_an_older_copy_of_head_is_read_now_and_then(
    uri, following, service, backup, monkeypatch, capsys
):
    chosen = random.Random(4)
    read = store_folder.LocalFolder.read
    stale = []

    def read_any(self, key, *limit):
        if key == "home/HEAD" and chosen.random() < 0.5:
            stale.append(key)
            return backup, "old"
        return read(self, key, *limit)

    follower = following()
    follower.poll()
    monkeypatch.setattr(store_folder.LocalFolder, "read", read_any)
    for _ in range(200):
        assert not follower.poll()
        assert follower.health()["fault"] is None
    assert len(stale) > 50
    assert service.marks == ["r2"]
    assert (follower.target, sum(follower.faults.values())) == (2, 0)
    assert capsys.readouterr().out == ""


@pytest.fixture
def clock(monkeypatch):
    """Time of the follower, as the test says."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(
        follow, "time", SimpleNamespace(monotonic=lambda: now.seconds, time=lambda: now.seconds)
    )
    return now


def test_an_older_copy_that_lasts_is_a_fault_until_somebody_says_that_it_is_meant(
    uri, following, service, backup, clock, capsys
):
    follower = following()
    follower.poll()
    head_file(uri).write_bytes(backup)
    follower.poll()
    assert follower.health()["fault"] is None
    clock.seconds += 1000
    for _ in range(3):
        assert not follower.poll()
    fault = follower.health()["fault"]
    assert "HEAD of home is an older copy (move 1, and move 2 was followed)" in fault
    assert "`setlist models promote 1 --force-head`" in fault
    assert capsys.readouterr().out.count("older copy") == 1
    assert follower.faults["head"] == 3
    after = following()
    assert after.restore()
    assert not after.poll(), "a restart does not forget the number"
    open_store(uri).replace_head("home", 1, why="a backup", check=lambda _: None)
    assert follower.poll()
    assert after.poll()
    assert follower.health()["fault"] is after.health()["fault"] is None
    assert service.marks[-2:] == ["r1", "r1"]
    promote(uri, 2)
    assert follower.poll(), "the new count goes on"


def test_without_a_model_an_older_head_is_better_than_none(uri, following, service, backup):
    def refuse(revision, _):
        if revision == 2:
            raise RuntimeError("out of memory")

    following().poll()
    head_file(uri).write_bytes(backup)
    after = following(refuse)
    assert not after.restore()
    assert after.poll()
    assert after.in_use.revision == 1


def test_the_number_is_kept_where_head_moves_and_the_model_does_not(uri, following, service):
    follower = following()
    follower.poll()
    promote(uri, 2)
    promote(uri, 1)
    assert not follower.poll()
    again = following()
    again.restore()
    assert (again.followed.number, again.followed.origin) == (3, follower.followed.origin)


def test_a_download_takes_the_place_of_those_that_nobody_waits_for(tmp_path):
    local = LocalRevisions(tmp_path, "store", "home")
    (first := local.new_download()).mkdir(parents=True)
    assert local.new_download() != first
    assert not first.exists()


def test_metrics_do_not_grow_with_swaps(uri, following):
    follower = following()
    registry = CollectorRegistry()
    registry.register(FollowerMetrics([follower]))
    follower.poll()
    lines = {len(generate_latest(registry).splitlines())}
    for swap in range(40):
        promote(uri, 2 - swap % 2)
        assert follower.poll()
        lines.add(len(generate_latest(registry).splitlines()))
    assert (follower.swaps, len(lines)) == (41, 1)


def test_tensorflow_serving_is_given_another_number_for_other_content(
    tmp_path, towers, monkeypatch
):
    """It would keep what it has loaded under a number, so the number in place is never reused."""
    monkeypatch.setattr(tf_serving, "warm_up_in_subprocess", lambda *_: None)
    base = BasePath(tmp_path / "base")

    def installed(revision, model):
        base.install(revision, model)
        (folder,) = [one for one in base.folder.iterdir() if one.name != WORK_FOLDER]
        assert mark(folder / "assets.extra") == mark(model)
        return int(folder.name)

    assert installed(1, towers[1]) == 1
    assert installed(1, towers[2]) == STAND_IN + 1
    inode = (base.folder / str(STAND_IN + 1)).stat().st_ino
    assert installed(1, towers[2]) == STAND_IN + 1, "also after a restart"
    assert (base.folder / str(STAND_IN + 1)).stat().st_ino == inode, "it was not touched"
    assert installed(1, towers[1]) == 1
    assert installed(2, towers[2]) == 2
