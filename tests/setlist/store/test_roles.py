"""Who only reads needs no right to write, makes nothing, and sees a store that is not there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from setlist.errors import StoreNotFoundError, StoreRefusedError
from setlist.store.model_store import open_store
from setlist.store.pins import pin, pins
from setlist.store.reader import open_reader

from .conftest import read_tree, write_model

READ = """
import sys
from pathlib import Path
from setlist.errors import SetlistError
from setlist.runs.record import RunRecord
from setlist.store.model_store import open_store
from setlist.store.reader import open_reader
from setlist.store.pins import pins
uri, to = sys.argv[1:]
store = open_reader(uri)
print(store.head("home").live, store.revisions("home"), sorted(pins(store, "home")))
print(store.verify("home", 1), store.fetch("home", 1, Path(to) / "to").name)
print(len(store.history("home")), [each.run_id for each in RunRecord.all(uri, "home")])
try: open_store(uri)
except SetlistError as fault: print(fault)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with one live revision, which is pinned."""
    store = open_store(str(tmp_path / "store"))
    model = write_model(tmp_path / "model", {"a": b"1"})
    store.stage("home", model, run_id="run-1", digest="d", training_window={}, metadata={})
    store.promote("home", 1, expected=None)
    pin(store, "home", 1, "liked")
    return tmp_path / "store"


def test_a_store_on_a_read_only_mount_is_read(folder: Path, tmp_path: Path):
    """Fault 12: a bind mount that is really read-only, also for root."""
    (tmp_path / "out").mkdir()
    (tmp_path / "mount").mkdir()
    mount = 'mount --bind "$1" "$2" && mount -o remount,ro,bind "$2" && exec "$3" -c "$4" "$2" "$5"'
    command = ["unshare", "-m", "sh", "-c", mount, "sh", str(folder), str(tmp_path / "mount")]
    command += [sys.executable, READ, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    read, verified, history, written = done.stdout.splitlines()
    assert (read, verified, history) == ("1 [1] [1]", "[] to", "1 []")
    assert "Read-only file system" in written or "no permission to write" in written
    assert read_tree(tmp_path / "out" / "to") == {"a": b"1"}


def test_a_reader_makes_nothing(folder: Path, tmp_path: Path):
    before = sorted(folder.rglob("*"))
    reader = open_reader(str(folder))
    assert reader.head("home").live == 1
    assert pins(reader, "home")[1].why == "liked"
    for use in (
        lambda: reader.objects.write("a", b"1", expected=None),
        lambda: reader.objects.upload(tmp_path / "model" / "a", "a"),
        lambda: reader.objects.remove("home/HEAD"),
    ):
        with pytest.raises(StoreRefusedError, match="opened for reading only"):
            use()
    assert sorted(folder.rglob("*")) == before
    for nowhere in (tmp_path / "nowhere", tmp_path / "model" / "a" / "b"):
        with pytest.raises(StoreNotFoundError, match=f"there is no store at {nowhere}"):
            open_reader(str(nowhere))
        assert not nowhere.exists()


def test_before_the_first_run_a_store_may_be_missing(tmp_path: Path):
    reader = open_reader(str(tmp_path / "new"), new=True)
    assert (reader.head("home"), reader.revisions("home")) == (None, [])
    assert not (tmp_path / "new").exists()
    open_store(str(tmp_path / "new"))
    assert reader.revisions("home") == []
    shutil.rmtree(tmp_path / "new")
    with pytest.raises(StoreNotFoundError):
        reader.revisions("home")  # it was there


@pytest.mark.parametrize("copied", [False, True])
def test_a_drive_that_vanished_is_no_empty_store(folder: Path, copied: bool):
    """Its mount point is there, and holds nothing."""
    if copied:
        (folder / ".partial").rmdir()
    reader = open_reader(str(folder))
    assert reader.revisions("home") == [1]
    away = folder.rename(folder.with_name("away"))
    folder.mkdir()
    for use in (reader.head, reader.revisions, reader.history):
        with pytest.raises(StoreNotFoundError, match="there is no store at"):
            use("home")
    with pytest.raises(StoreNotFoundError, match="there is no store at"):
        open_reader(str(folder))
    folder.rmdir()
    away.rename(folder)
    assert reader.head("home").live == 1, "mounted again"


def test_a_named_pipe_in_place_of_a_document_keeps_nobody_waiting(folder: Path):
    (folder / "home" / "HEAD").unlink()
    os.mkfifo(folder / "home" / "HEAD")
    with pytest.raises(Exception, match="HEAD is no plain file"):
        open_reader(str(folder)).head("home")
