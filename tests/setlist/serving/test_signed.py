"""Servers and followers that are given keys: they swap to what is signed, and keep it otherwise."""

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from tests.setlist.serving.models import promote, stage
from tests.setlist.serving.processes import SETLIST, serving
from tests.signing_keys import KeyPair, make_key
from tests.waiting import PATIENCE, until

from setlist.errors import StoreUntrustedError
from setlist.runs.promotion import resolve_live
from setlist.serving.follower import ModelFollower
from setlist.store.model_store import open_store
from setlist.store.signatures import head_signature_key
from setlist.store.signing import TrustedKeys


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


@pytest.fixture
def signed(
    uri: str, towers: dict[int, Path], pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The store with revision 1 live and signed by hand, and revision 3 staged with the key."""
    monkeypatch.setenv("SETLIST_SIGNING_KEY", str(pair.private))
    open_store(uri).replace_head("home", 1, why="", check=lambda _: None)
    assert stage(uri, towers[2], "run-3") == 3
    return uri


def signature_of_head(uri: str) -> Path:
    store = open_store(uri)
    pointer, _ = store.read_pointer("home")
    assert pointer
    return Path(uri) / head_signature_key("home", pointer.to_bytes())


def follower_of(uri: str, folder: Path, pair: KeyPair, models: list[int]) -> ModelFollower:
    trusted = TrustedKeys([str(pair.public)])
    every = timedelta(seconds=0.05)
    return ModelFollower(
        uri, "home", folder, lambda revision, _: models.append(revision), every, trusted=trusted
    )


def test_a_server_swaps_to_what_is_signed_and_keeps_it_whatever_is_put_there(
    signed: str, pair: KeyPair, tmp_path: Path
):
    arguments = ["--store", signed, "--every", "0.2s", "--folder", str(tmp_path / "kept")]
    with serving(*arguments, "--verify", str(pair.public)) as server:
        server.wait(1)
        promote(signed, 3)
        server.wait(3)
        # Somebody who may write the store makes revision 2 live, which nobody has signed.
        head = Path(signed) / "home" / "HEAD"
        kept = head.read_bytes()
        pointer, _ = open_store(signed).read_pointer("home")
        assert pointer
        manifest, sha256 = open_store(signed).read_unsigned_manifest("home", 2, pointer)
        forged = pointer.model_copy(
            update={"live": 2, "live_manifest": sha256, "number": pointer.number + 1}
        )
        forged = forged.model_copy(update={"live_verdict": manifest.verdict_digest})
        head.write_bytes(forged.to_bytes())
        until(lambda: server.get("/healthz")[1]["live"]["fault"] is not None)
        fault = server.get("/healthz")[1]["live"]["fault"]
        assert "home/HEAD is not signed by a key that is trusted here" in fault
        assert "(it has no signature)" in fault
        assert re.search(r"^setlist_faulty{[^}]*} 1.0$", server.get("/metrics")[1], re.M)
        assert server.get("/v1/model")[1]["revision"] == 3, "the last good model stays"
        assert server.post({"k": 5})[0] == 200
        head.write_bytes(kept)
        until(lambda: server.get("/healthz")[1]["live"]["fault"] is None)
        assert [revision for _, revision in server.swaps()] == [1, 3]
    assert not any("signatures are not checked" in line for _, line in server.lines)


def test_without_a_key_a_server_says_that_it_checks_no_signatures(uri: str, tmp_path: Path):
    with serving("--store", uri, "--folder", str(tmp_path / "kept")) as server:
        server.wait(1)
    lines = [line for _, line in server.lines if "signatures are not checked" in line]
    assert lines == [
        "signatures are not checked; --verify KEY refuses what that key has not signed"
    ]


def test_an_unsigned_store_is_never_followed(uri: str, pair: KeyPair, tmp_path: Path):
    models: list[int] = []
    follower = follower_of(uri, tmp_path / "kept", pair, models)
    assert not follower.poll()
    assert models == []
    assert "it has no signature" in str(follower.health()["fault"])


def test_an_older_signed_head_is_not_followed(
    signed: str, pair: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Played back with its signature, which was valid once: the number says that it is older."""
    head = Path(signed) / "home" / "HEAD"
    models: list[int] = []
    follower = follower_of(signed, tmp_path / "kept", pair, models)
    assert follower.poll()
    old = head.read_bytes()
    assert signature_of_head(signed).is_file()
    promote(signed, 3)
    assert follower.poll()
    head.write_bytes(old)
    assert not follower.poll()
    assert not follower.poll()
    assert models == [1, 3]
    # When it lasts, it is a fault that says so.
    monkeypatch.setattr(follower, "_patience", -1.0)
    follower.poll()
    assert "HEAD of home is an older copy" in str(follower.health()["fault"])
    # A restart with the same folder knows it as well; one with an empty folder cannot.
    follower.stop()
    again: list[int] = []
    restarted = follower_of(signed, tmp_path / "kept", pair, again)
    assert restarted.restore()
    assert not restarted.poll()
    assert again == [3]
    unknowing: list[int] = []
    follower_of(signed, tmp_path / "empty", pair, unknowing).poll()
    assert unknowing == [1]


def test_a_head_of_an_earlier_history_is_not_followed_again(
    signed: str, pair: KeyPair, tmp_path: Path
):
    """`--force-head` begins a new history; a copy of the one before is signed, too."""
    head = Path(signed) / "home" / "HEAD"
    models: list[int] = []
    follower = follower_of(signed, tmp_path / "kept", pair, models)
    assert follower.poll()
    old = head.read_bytes()
    promote(signed, 3)
    assert follower.poll()
    open_store(signed).replace_head("home", 3, why="", check=lambda _: None)
    follower.poll()
    head.write_bytes(old)
    assert not follower.poll()
    assert models == [1, 3]


def test_a_restart_does_not_serve_what_its_keys_have_not_signed(
    signed: str, pair: KeyPair, tmp_path: Path
):
    """From the folder: a model from before the keys, or of a key that was taken away."""
    models: list[int] = []
    unchecked = ModelFollower(
        signed, "home", tmp_path / "kept", lambda revision, _: models.append(revision)
    )
    assert unchecked.poll()
    unchecked.stop()
    checked = follower_of(signed, tmp_path / "kept", pair, models)
    assert not checked.restore()
    assert "good.json: revision 1 is not signed" in str(checked.health()["fault"])
    assert checked.poll(), "the store has its signature"
    checked.stop()
    assert follower_of(signed, tmp_path / "kept", pair, models).restore()
    other = make_key(tmp_path, "other")
    assert not follower_of(signed, tmp_path / "kept", other, models).restore()


def test_a_follower_of_the_command_line_takes_keys(signed: str, tmp_path: Path):
    other = make_key(tmp_path, "other")
    command = [*SETLIST, "follow", "--store", signed, "--to", str(tmp_path / "to")]
    process = subprocess.Popen(
        [*command, "--every", "0.2s", "--verify", str(other.public)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        assert "(another key has signed it)" in process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert not list((tmp_path / "to").glob("[0-9]*"))


def test_the_pipeline_fetches_no_live_model_that_is_not_signed(
    signed: str, pair: KeyPair, tmp_path: Path
):
    keys = [pair.public.read_text()]
    assert resolve_live(signed, "home", [1], tmp_path / "live", keys) == ["live-1"]
    with pytest.raises(StoreUntrustedError, match="it has no signature"):
        resolve_live(signed, "home", [2], tmp_path / "again", keys)
    shutil.rmtree(Path(signed) / "home" / "signatures")
    with pytest.raises(StoreUntrustedError, match="home/HEAD is not signed"):
        resolve_live(signed, "home", [1], tmp_path / "third", keys)


def test_both_keys_are_followed_while_one_replaces_the_other(
    signed: str,
    pair: KeyPair,
    towers: dict[int, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    new = make_key(tmp_path, "new")
    both = TrustedKeys([str(pair.public), str(new.public)])
    models: list[int] = []
    follower = ModelFollower(
        signed,
        "home",
        tmp_path / "kept",
        lambda revision, _: models.append(revision),
        trusted=both,
    )
    assert follower.poll()
    monkeypatch.setenv("SETLIST_SIGNING_KEY", str(new.private))
    store = open_store(signed, trusted=both)
    store.promote("home", 3, expected=store.head("home"))
    assert follower.poll()
    assert models == [1, 3]
