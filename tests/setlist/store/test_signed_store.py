"""A store with signatures: what is refused where keys are given, and what a key vouches for.

Over both backends; every key pair is made in the test.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.signing_keys import KeyPair, make_key
from tests.waiting import PATIENCE

from setlist.errors import StoreError, StoreNotFoundError, StoreRefusedError, StoreUntrustedError
from setlist.runs.promotion import anchor_of
from setlist.store import retention
from setlist.store.manifest import Manifest
from setlist.store.model_store import open_store
from setlist.store.reader import StoreReader, open_reader
from setlist.store.retention import prune
from setlist.store.signatures import head_signature_key
from setlist.store.signing import TrustedKeys
from setlist.store.transfer import describe_file

from .conftest import Behind, read_tree, write_model


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


@pytest.fixture
def signing(pair: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the environment of the step that pushes."""
    monkeypatch.setenv("SETLIST_SIGNING_KEY", str(pair.private))


def push(uri: str, tmp_path: Path, run_id: str, name: str = "home", live: bool = True) -> int:
    """Stage a small model with the key of the environment, and make it live."""
    store = open_store(uri)
    model = write_model(
        tmp_path / "models" / run_id, {"saved_model.pb": run_id.encode(), "assets/a.txt": b"a"}
    )
    revision = store.stage(
        name, model, run_id=run_id, digest=f"of-{run_id}", training_window={}, metadata={}
    )
    if live:
        store.promote(name, revision, expected=store.head(name))
    return revision


def verifying(uri: str, *pairs: KeyPair) -> StoreReader:
    """The store as somebody opens it who has public keys only."""
    return open_reader(uri, trusted=TrustedKeys([str(pair.public) for pair in pairs]))


def refusal(act: Callable[[], object]) -> str:
    """Why a reader refuses."""
    with pytest.raises(StoreUntrustedError) as caught:
        act()
    return str(caught.value).partition(" (")[2].partition(")")[0]


def test_a_store_without_signatures_works_without_a_key_and_is_refused_with_one(
    uri: str, tmp_path: Path, pair: KeyPair
):
    push(uri, tmp_path, "run-1")
    assert open_store(uri).fetch("home", 1, tmp_path / "to").is_dir()
    reader = verifying(uri, pair)
    assert refusal(lambda: reader.head("home")) == "it has no signature"
    assert refusal(lambda: reader.fetch("home", 1, tmp_path / "again")) == "it has no signature"
    assert refusal(lambda: reader.history("home")) == "it has no signature"
    (fault,) = reader.verify("home", 1)
    assert "home/HEAD is not signed by a key that is trusted here" in str(fault)


@pytest.mark.usefixtures("signing")
def test_what_the_key_has_signed_is_read(uri: str, tmp_path: Path, pair: KeyPair):
    push(uri, tmp_path, "run-1")
    push(uri, tmp_path, "run-2")
    push(uri, tmp_path, "run-3", live=False)
    reader = verifying(uri, pair)
    head = reader.head("home")
    assert head is not None
    assert (head.live, head.previous) == (2, 1)
    fetched = reader.fetch("home", 2, tmp_path / "to")
    assert read_tree(fetched) == read_tree(tmp_path / "models" / "run-2")
    assert [reader.verify("home", number) for number in (1, 2, 3)] == [[], [], []]
    assert all(isinstance(each, Manifest) for each in reader.manifests("home").values())


@pytest.mark.usefixtures("signing")
def test_a_strange_key_is_refused_and_two_keys_are_trusted_while_one_replaces_the_other(
    uri: str, tmp_path: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
):
    new = make_key(tmp_path, "new")
    push(uri, tmp_path, "run-1")
    assert refusal(lambda: verifying(uri, new).head("home")) == "another key has signed it"
    assert verifying(uri, pair, new).head("home")
    # From here on the new key signs. It does not vouch for what it does not trust ...
    monkeypatch.setenv("SETLIST_SIGNING_KEY", str(new.private))
    with pytest.raises(StoreUntrustedError, match="another key has signed it"):
        push(uri, tmp_path, "run-2")
    # ... but for what the old one has signed, where that is trusted.
    store = open_store(uri, trusted=TrustedKeys([str(pair.public)]))
    model = write_model(tmp_path / "models" / "run-2", {"saved_model.pb": b"2"})
    values = {"run_id": "run-2", "digest": "2", "training_window": {}, "metadata": {}}
    revision = store.stage("home", model, **values)  # type: ignore[arg-type]
    store.promote("home", revision, expected=store.head("home"))
    assert verifying(uri, pair, new).fetch("home", 2, tmp_path / "both").is_dir()
    assert verifying(uri, new).fetch("home", 2, tmp_path / "new-only").is_dir()
    assert refusal(lambda: verifying(uri, new).manifest("home", 1)) == "another key has signed it"
    assert refusal(lambda: verifying(uri, pair).head("home")) == "another key has signed it"


@pytest.mark.usefixtures("signing")
def test_a_head_that_was_edited_is_refused_though_its_checksum_fits(
    uri: str, tmp_path: Path, pair: KeyPair, behind: Behind
):
    """Whoever may write the bucket can compute every checksum."""
    push(uri, tmp_path, "run-1")
    pointer, _ = open_store(uri).read_pointer("home")
    assert pointer is not None
    forged = pointer.model_copy(update={"live_manifest": "0" * 64}).to_bytes()
    own = behind.get(head_signature_key("home", pointer.to_bytes()))
    behind.put("home/HEAD", forged)
    reader = verifying(uri, pair)
    assert refusal(lambda: reader.head("home")) == "it has no signature"
    behind.put(head_signature_key("home", forged), own)
    assert refusal(lambda: reader.head("home")) == "its signature is for other content"


@pytest.mark.usefixtures("signing")
def test_the_signature_of_another_revision_or_name_vouches_for_nothing(
    uri: str, tmp_path: Path, pair: KeyPair, behind: Behind
):
    push(uri, tmp_path, "run-1")
    push(uri, tmp_path, "run-2")
    push(uri, tmp_path, "run-3", name="shortcuts")
    reader = verifying(uri, pair)
    first, second = (reader.manifest("home", number) for number in (1, 2))
    one, two = (f"home/revisions/{each.revision}.{each.identity}.sig" for each in (first, second))
    # The bundle of revision 1 beside revision 2.
    kept = behind.get(two)
    behind.put(two, behind.get(one))
    assert refusal(lambda: reader.manifest("home", 2)) == "its signature is for other content"
    behind.put(two, kept)
    # Revision 1, signed, in the place of revision 2: HEAD says which manifest it means.
    behind.put("home/revisions/2/manifest.json", first.to_bytes())
    behind.put(f"home/revisions/2.{first.identity}.sig", behind.get(one))
    with pytest.raises(StoreError, match="is the manifest of home revision 1"):
        reader.manifest("home", 2)
    # A HEAD of another name, with its signature.
    other = behind.get("shortcuts/HEAD")
    behind.put("home/HEAD", other)
    behind.put(
        head_signature_key("home", other), behind.get(head_signature_key("shortcuts", other))
    )
    with pytest.raises(StoreError, match="home/HEAD is that of shortcuts"):
        reader.head("home")


@pytest.mark.usefixtures("signing")
def test_files_that_were_swapped_are_refused(
    uri: str, tmp_path: Path, pair: KeyPair, behind: Behind
):
    push(uri, tmp_path, "run-1")
    reader = verifying(uri, pair)
    manifest = reader.manifest("home", 1)
    forged = tmp_path / "forged"
    forged.write_bytes(b"other")
    behind.objects.upload(forged, "home/revisions/1/saved_model.pb")
    with pytest.raises(StoreError, match=r"revisions/1/saved_model\.pb is damaged"):
        reader.fetch("home", 1, tmp_path / "to")
    # A manifest that fits the file, as somebody makes it who can write but not sign.
    files = manifest.files | {"saved_model.pb": describe_file(forged)}
    fitting = manifest.model_copy(update={"files": files})
    behind.put("home/revisions/1/manifest.json", fitting.to_bytes())
    assert refusal(lambda: reader.read_manifest("home", 1, None)) == "it has no signature"


@pytest.mark.usefixtures("signing")
def test_a_key_does_not_vouch_for_what_somebody_else_has_put_there(
    uri: str, tmp_path: Path, pair: KeyPair, behind: Behind, monkeypatch: pytest.MonkeyPatch
):
    push(uri, tmp_path, "run-1")
    with monkeypatch.context() as patch:
        patch.delenv("SETLIST_SIGNING_KEY")
        # Staged elsewhere, without a key, and copied into the place of the next revision.
        elsewhere = str(tmp_path / "elsewhere")
        push(elsewhere, tmp_path, "run-0"), push(elsewhere, tmp_path, "run-2")
    for path in (Path(elsewhere) / "home" / "revisions").rglob("*"):
        if path.is_file() and (path.name.startswith("2.") or "2" in path.parts):
            behind.put(path.relative_to(elsewhere).as_posix(), path.read_bytes())
    store = open_store(uri)
    with pytest.raises(StoreUntrustedError, match=r"revisions/2/manifest\.json is not signed"):
        store.promote("home", 2, expected=store.head("home"))
    # A HEAD that somebody else wrote is not signed by the next one who moves it either.
    behind.put("home/HEAD", behind_head(elsewhere))
    for act in (
        lambda: push(uri, tmp_path, "run-3"),
        lambda: prune(open_store(uri), "home", 1, anchor_of),
    ):
        with pytest.raises(StoreUntrustedError, match="home/HEAD is not signed"):
            act()


def behind_head(uri: str) -> bytes:
    return (Path(uri) / "home" / "HEAD").read_bytes()


@pytest.mark.usefixtures("signing")
def test_without_the_key_nobody_replaces_a_signed_head(
    uri: str, tmp_path: Path, pair: KeyPair, behind: Behind, monkeypatch: pytest.MonkeyPatch
):
    for number in (1, 2, 3):
        push(uri, tmp_path, f"run-{number}")
    before = {key: behind.get(key) for key in behind.objects.keys("")}
    monkeypatch.delenv("SETLIST_SIGNING_KEY")
    store = open_store(uri)
    acts: list[Callable[[], object]] = [
        lambda: store.promote("home", 1, expected=store.head("home"), allow_older=True),
        lambda: store.replace_head("home", 3, why="", check=lambda _: None),
        lambda: prune(store, "home", 0, anchor_of),
        lambda: push(uri, tmp_path, "run-4"),
    ]
    sentence = (
        f"store {uri}: HEAD of home is signed, and SETLIST_SIGNING_KEY names no key; set it to the "
        "file of the private key."
    )
    push(uri, tmp_path, "run-1", name="shortcuts")  # another name has no key
    for act in acts:
        with pytest.raises(StoreRefusedError) as caught:
            act()
        assert str(caught.value) == sentence
    assert {key: behind.get(key) for key in before} == before
    assert verifying(uri, pair).head("home")


@pytest.mark.usefixtures("signing")
def test_an_unsigned_store_gets_its_first_signatures_by_hand(
    uri: str, tmp_path: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.delenv("SETLIST_SIGNING_KEY")
        push(uri, tmp_path, "run-1"), push(uri, tmp_path, "run-2")
    with pytest.raises(StoreUntrustedError, match="it has no signature"):
        push(uri, tmp_path, "run-3")
    open_store(uri).replace_head("home", 2, why="first signature", check=lambda _: None)
    reader = verifying(uri, pair)
    head = reader.head("home")
    assert head is not None
    assert (head.live, reader.verify("home", 2)) == (2, [])
    assert refusal(lambda: reader.manifest("home", 1)) == "it has no signature"
    assert push(uri, tmp_path, "run-3") == 3


@pytest.mark.usefixtures("signing")
def test_prune_removes_the_signatures_of_what_it_removes_and_of_earlier_heads(
    uri: str, tmp_path: Path, pair: KeyPair, behind: Behind, monkeypatch: pytest.MonkeyPatch
):
    for number in range(1, 6):
        push(uri, tmp_path, f"run-{number}")
    prune(open_store(uri), "home", None, anchor_of)
    assert len(behind.objects.keys("home/signatures/")) >= 5, "those of today stay"
    monkeypatch.setattr(retention, "LEFTOVER_AGE", timedelta(minutes=-1))
    pruned = prune(open_store(uri), "home", 1, anchor_of)
    assert pruned.revisions == [1, 2, 3]
    assert behind.objects.keys("home/signatures/") == [
        head_signature_key("home", behind.get("home/HEAD"))
    ]
    signed = [key for key in behind.objects.keys("home/revisions/") if key.endswith(".sig")]
    assert [key.removeprefix("home/revisions/")[:2] for key in signed] == ["4.", "5."]
    reader = verifying(uri, pair)
    assert (reader.verify("home", 4), reader.verify("home", 5)) == ([], [])
    with pytest.raises(StoreNotFoundError, match="was pruned"):
        reader.manifest("home", 1)


@pytest.mark.usefixtures("signing")
def test_a_prune_that_died_after_signing_is_finished_by_the_next(
    uri: str, tmp_path: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
):
    """Its signature lies there, of the very HEAD that the next one writes."""
    for number in range(1, 5):
        push(uri, tmp_path, f"run-{number}")
    store = open_store(uri)
    write = store.objects.write

    def die(key: str, content: bytes, *, expected: str | None) -> str | None:
        if key == "home/HEAD":
            raise StoreRefusedError("killed")
        return write(key, content, expected=expected)

    monkeypatch.setattr(store.objects, "write", die)
    with pytest.raises(StoreRefusedError, match="killed"):
        prune(store, "home", 1, anchor_of)
    prune(open_store(uri), "home", 1, anchor_of)
    assert verifying(uri, pair).head("home")


@pytest.mark.usefixtures("signing")
def test_two_attempts_of_one_run_leave_a_revision_with_its_signature(
    uri: str, tmp_path: Path, pair: KeyPair, behind: Behind
):
    """Each signs its own manifest, which says when it was made; one manifest is published."""
    push(uri, tmp_path, "run-1")
    store = open_store(uri)
    late = store.manifest("home", 1).model_copy(update={"created": "2026-01-01T00:00:00+00:00"})
    store.signatures.sign_revision(late, late.identity)
    assert verifying(uri, pair).verify("home", 1) == []
    assert len([key for key in behind.objects.keys("home/") if key.endswith(".sig")]) == 3


@pytest.mark.usefixtures("signing")
def test_a_plain_copy_of_a_revision_is_verified_by_the_tool_of_the_format(
    tmp_path: Path, pair: KeyPair
):
    """Without setlist: what `cp -r`, or a tool for buckets, brings."""
    uri = str(tmp_path / "store")
    for number in (1, 2, 3):
        push(uri, tmp_path, f"run-{number}")
    copy = tmp_path / "copy"
    copy.mkdir()
    revisions = Path(uri) / "home" / "revisions"
    shutil.copytree(revisions / "3", copy / "3")
    (signature,) = revisions.glob("3.*.sig")
    shutil.copy(signature, copy / "3.sig")
    shutil.copy(Path(uri) / "home" / "HEAD", copy / "HEAD")
    (of_head,) = (Path(uri) / "home").glob(
        head_signature_key("home", (copy / "HEAD").read_bytes()).removeprefix("home/")
    )
    shutil.copy(of_head, copy / "HEAD.sig")

    def tool(path: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "model_signing", "verify", "key", path]
        command += ["--signature", f"{path}.sig", "--public_key", str(pair.public)]
        return subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=PATIENCE)

    for path in ("3", "HEAD"):
        done = tool(path)
        assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr
    (copy / "3" / "saved_model.pb").write_bytes(b"other")
    done = tool("3")
    assert done.returncode == 1
    assert "Hash mismatch for" in done.stderr
    assert "saved_model.pb" in done.stderr
