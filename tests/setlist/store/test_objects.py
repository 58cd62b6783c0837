"""One sentence for every place that cannot be used, and the network's bad manners."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from setlist.errors import SetlistError
from setlist.store import bucket
from setlist.store.model_store import ModelStore, open_store
from setlist.store.objects import open_objects

from .conftest import Behind, read_tree, write_model
from .proxy import Proxy


def refused(pattern: str):
    return pytest.raises(SetlistError, match=rf"^(?!.*\n)store.*{pattern}.*\.$")


def test_the_first_writer_of_a_version_wins(behind: Behind):
    place = behind.objects
    assert place.read("a/b") is None
    first = place.write("a/b", b"1", expected=None)
    assert first is not None
    assert place.read("a/b") == (b"1", first)
    assert place.write("a/b", b"2", expected=None) is None
    second = place.write("a/b", b"2", expected=first)
    assert second not in (None, first)
    assert place.write("a/b", b"3", expected=first) is None
    assert place.read("a/b") == (b"2", second)
    assert place.keys("a/") == ["a/b"]
    assert place.keys("nowhere/") == []


def test_what_is_removed_is_gone_and_nothing_else(behind: Behind, tmp_path: Path):
    place = behind.objects
    file = write_model(tmp_path / "files", {"b": b"2"}) / "b"
    place.upload(file, "a/b")
    place.upload(file, "a/bc")
    for _ in range(2):
        place.remove("a/b")
        assert place.read("a/b") is None
    place.remove("nowhere/at all")
    assert place.keys("a/") == ["a/bc"]
    assert place.write("a/b", b"3", expected=None) is not None


def test_what_cannot_be_removed_is_named(tmp_path: Path):
    place = open_objects(str(tmp_path / "store"))
    (tmp_path / "store" / "a" / "b").mkdir(parents=True)
    with refused("cannot remove a/b"):
        place.remove("a/b")


@pytest.mark.parametrize("uri", ["", "s3://bucket/x", "gs:/bucket/x", "gs://", "file:///tmp/x"])
def test_an_address_that_is_none_is_refused(uri: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("is no address of a store; write gs://bucket/prefix or a local folder"):
        open_store(uri)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/below"])
def test_a_folder_that_cannot_be_made_is_refused(folder: str, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with refused(f"{folder}: cannot open the folder .*; check the p"):
        open_store(str(tmp_path / folder))


@pytest.mark.parametrize("used", [False, True])
def test_a_folder_without_permission_is_refused(used: bool):
    """As nobody, where this user may do everything."""
    script = (
        "import os, sys\n"
        "from setlist.store.model_store import open_store\n"
        "from setlist.errors import SetlistError\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: open_store(sys.argv[1])\n"
        "except SetlistError as fault: print(fault)\n"
    )
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        Path(place).chmod(0o755)
        store = Path(place) / "store"
        (store / ".partial" if used else store).mkdir(parents=True)
        store.chmod(0o555)
        said = run(script, str(store))
        store.chmod(0o755)
    if used:
        assert said == f"store {store}: no permission to write; choose another folder."
    else:
        assert (
            f"store {store}: cannot open the folder (Permission denied); check the permissions"
            in said
        )


def test_a_folder_in_the_way_of_a_document_is_named(tmp_path: Path):
    (tmp_path / "home" / "HEAD").mkdir(parents=True)
    store = open_store(str(tmp_path))
    with refused("cannot read home/HEAD .Is a directory"):
        store.head("home")


def test_a_failed_write_leaves_nothing_beside(tmp_path: Path):
    place = open_objects(str(tmp_path / "store"))
    (tmp_path / "store" / "a").write_text("a file where a folder is needed")
    with refused("cannot write a/b"):
        place.upload(write_model(tmp_path, {"b": b"1"}) / "b", "a/b")
    assert list((tmp_path / "store" / ".partial").iterdir()) == []


def test_a_local_store_does_not_import_google_cloud_storage(tmp_path: Path):
    script = (
        "import sys\n"
        "from setlist.store.model_store import open_store\n"
        "open_store(sys.argv[1]).head('home')\n"
        "print({'google', 'tensorflow', 'pandas'} & set(sys.modules))\n"
    )
    assert run(script, str(tmp_path / "store")) == "set()"


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_missing_bucket_is_refused(gcs_uri: str):
    with refused("cannot open the bucket .* create the bucket or correct the address"):
        open_store(gcs_uri.replace("gs://setlist", "gs://nobodys"))


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(bucket, "RETRY_SECONDS", 0.1)
    with refused("cannot open the bucket .* check the connection and try again"):
        open_store("gs://setlist/x")


def test_missing_credentials_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with refused("cannot open the bucket .* sign in with an account that may use this bucket"):
        open_store("gs://setlist/x")


def test_an_account_without_permission_is_told_so(proxied: str):
    Proxy.refuse_with = 403
    with refused("cannot open the bucket .403.* sign in with an account that may use this bucket"):
        open_store(proxied)


@pytest.mark.parametrize(
    ("lost", "revision"),
    [('"live": 1', 1), ('"created": "20', 1), ("/home/revisions/1/manifest.json", 1)],
    ids=["HEAD", "claim", "manifest"],
)
def test_a_lost_answer_does_not_lose_the_write(
    proxied: str, lost: str, revision: int, tmp_path: Path
):
    """The client sends again, meets its own write, and knows it by its content."""
    store = ModelStore(open_objects(proxied))
    model = write_model(tmp_path / "model", {"a": b"1"})
    Proxy.drop_answer_to = lost.encode()
    staged = store.stage("home", model, run_id="run-1", digest="d", training_window={}, metadata={})
    assert staged == revision
    head = store.promote("home", revision, expected=None)
    assert Proxy.drop_answer_to is None
    assert store.head("home") == head
    assert [entry.revision for entry in store.history("home")] == [revision]
    assert read_tree(store.fetch("home", revision, tmp_path / "to")) == {"a": b"1"}
