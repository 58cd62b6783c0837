"""What a store promises, over a folder and over Google Cloud Storage alike."""

import json
import re
from pathlib import Path

import pytest

from setlist.errors import SetlistError
from setlist.store import transfer
from setlist.store.model_store import Head, ModelStore, open_store
from setlist.store.reader import RESERVED

from .conftest import Behind, Stage, read_tree, write_model

TREE = {
    "model.json": b'{"name": "two_tower"}',
    "saved_model.pb": bytes(range(256)) * 50,
    "variables/variables.data-00000-of-00001": b"\x00" * 9_000_000,  # beyond a one-request upload
    "variables/variables.index": b"",
    "assets/deep/er/vocabulary with spaces é.txt": "ö\n".encode(),
    ".hidden": b"x",
}


def refused(pattern: str):
    """Exactly one sentence, with the pattern in it."""
    return pytest.raises(SetlistError, match=rf"^(?!.*\n).*{pattern}.*\.$")


def test_a_new_store_is_empty(store: ModelStore):
    assert store.head("home") is None
    assert (
        store.revisions("home") == store.history("home") == store.promoted_revisions("home") == []
    )


def test_what_is_staged_is_what_is_fetched(store: ModelStore, tmp_path: Path):
    model = write_model(tmp_path / "model", TREE)
    window = {"start": "2026-01-01T00:00:00+00:00", "cut": "2026-05-01T00:00:00+00:00"}
    metadata = {"verdict": {"decision": "promote", "lift": 0.031, "rules": [1, None, True, "ü"]}}
    revision = store.stage(
        "home", model, run_id="run/1 ü", digest="d1", training_window=window, metadata=metadata
    )
    assert revision == 1
    fetched = store.fetch("home", 1, tmp_path / "new" / "fetched")
    assert read_tree(fetched) == TREE == read_tree(model)
    assert fetched.stat().st_mode & 0o777 == (tmp_path / "new").stat().st_mode & 0o777
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fetched"]
    manifest = store.manifest("home", 1)
    assert (manifest.name, manifest.revision, manifest.run_id) == ("home", 1, "run/1 ü")
    assert (manifest.digest, manifest.training_window, manifest.metadata) == (
        "d1",
        window,
        metadata,
    )
    assert {path: file.size for path, file in manifest.files.items()} == {
        path: len(content) for path, content in TREE.items()
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest.created)


def test_a_store_is_the_same_however_its_address_is_written(uri: str, stage: Stage):
    stage("run-1")
    assert open_store(f"{uri}/").revisions("home") == [1]


def test_staging_makes_nothing_live(store: ModelStore, stage: Stage):
    assert [stage("run-1"), stage("run-2"), stage("run-3")] == [1, 2, 3]
    assert store.revisions("home") == [1, 2, 3]
    assert store.head("home") is None


def test_a_run_has_one_revision_a_name(stage: Stage, behind: Behind):
    assert [stage("run-1"), stage("run-2"), stage("run-1")] == [1, 2, 1]
    assert stage("run-1", name="shortcuts") == 1
    assert stage("9") == 3  # a run's id is not taken for a number
    before = behind.objects.keys("")
    with refused("run run-1 has claimed revision 1 of home for another model .*start a new run"):
        stage("run-1", digest="another")
    assert behind.objects.keys("") == before


def test_promotions_are_remembered(store: ModelStore, stage: Stage):
    for run in ("run-1", "run-2", "run-3"):
        stage(run)
    first = store.promote("home", 1, expected=None)
    assert (first.live, first.previous) == (1, None)
    assert store.head("home") == first
    third = store.promote("home", 3, expected=first)
    assert store.head("home") == third == Head(3, 1, third.version)
    again = store.promote("home", 1, expected=third)
    assert (again.live, again.previous) == (1, 3)
    assert [(entry.revision, entry.run_id) for entry in store.history("home")] == [
        (1, "run-1"),
        (3, "run-3"),
        (1, "run-1"),
    ]
    assert store.promoted_revisions("home") == [1, 3]


def test_only_the_last_fifty_promotions_are_kept(store: ModelStore, stage: Stage):
    stage("run-1"), stage("run-2")
    head = None
    for count in range(53):
        head = store.promote("home", 1 + count % 2, expected=head)
    history = store.history("home")
    assert len(history) == 50
    assert [entry.revision for entry in history[-2:]] == [2, 1]


def test_head_moves_only_from_where_the_caller_saw_it(store: ModelStore, stage: Stage):
    for run in ("run-1", "run-2", "run-3", "run-4", "run-5"):
        stage(run)
    seen = store.promote("home", 3, expected=None)
    moved = store.promote("home", 4, expected=seen)
    with refused(
        "HEAD of home moved from revision 3 to 4 since this run was planned; "
        "nothing was promoted, run again"
    ):
        store.promote("home", 5, expected=seen)
    with refused("HEAD of home moved from no revision to 4 since"):
        store.promote("home", 5, expected=None)
    back = store.promote("home", 3, expected=moved)
    with refused("HEAD of home moved from revision 3 to 3 since"):  # there and back is a move
        store.promote("home", 5, expected=seen)
    assert store.head("home") == back


def test_promoting_what_is_live_changes_nothing(store: ModelStore, stage: Stage):
    stage("run-1")
    head = store.promote("home", 1, expected=None)
    assert store.promote("home", 1, expected=None) == head
    assert store.promote("home", 1, expected=head) == head
    assert len(store.history("home")) == 1


def test_head_that_the_caller_saw_must_exist(store: ModelStore, stage: Stage, behind: Behind):
    stage("run-1"), stage("run-2")
    head = store.promote("home", 1, expected=None)
    behind.remove("home/HEAD")
    with refused("moved from revision 1 to no revision"):
        store.promote("home", 2, expected=head)


def test_names_within_names_do_not_meet(store: ModelStore, stage: Stage, tmp_path: Path):
    stage("run-1", name="home")
    stage("run-1", name="home/discovery")
    stage("run-2", name="home/discovery")
    store.promote("home/discovery", 2, expected=None)
    assert store.revisions("home") == [1]
    assert store.revisions("home/discovery") == [1, 2]
    assert store.head("home") is None
    assert read_tree(store.fetch("home", 1, tmp_path / "a")) == {"saved_model.pb": b"run-1"}
    assert read_tree(store.fetch("home/discovery", 2, tmp_path / "b")) == {
        "saved_model.pb": b"run-2"
    }


@pytest.mark.parametrize(
    "name",
    ["", "/", "Home", "home/", "/home", "a//b", "../x", "a b", "home\n", "a/head", *RESERVED],
)
def test_a_bad_name_is_refused(store: ModelStore, stage: Stage, name: str, tmp_path: Path):
    for use in (
        lambda: store.head(name),
        lambda: store.history(name),
        lambda: store.revisions(name),
        lambda: store.promote(name, 1, expected=None),
        lambda: store.fetch(name, 1, tmp_path / "to"),
        lambda: stage("run-1", name=name),
    ):
        with refused(
            "is no model name; .* none of them revisions, runs, monitoring, checkpoints, head"
        ):
            use()


def test_an_unknown_revision_is_refused(store: ModelStore, stage: Stage, tmp_path: Path):
    with refused("home has no revision 1; its revisions are: none"):
        store.promote("home", 1, expected=None)
    stage("run-1"), stage("run-2")
    with refused("home has no revision 7; its revisions are: 1, 2"):
        store.fetch("home", 7, tmp_path / "to")
    with refused("home never had a revision -1: numbers begin at 1"):
        store.manifest("home", -1)
    assert not (tmp_path / "to").exists()


KEY = "home/revisions/1/saved_model.pb"


def test_one_changed_byte_is_found(store: ModelStore, stage: Stage, behind: Behind, tmp_path: Path):
    stage("run-1")
    behind.put(KEY, b"run-2")
    with refused(f"{KEY} is damaged .it has 5 bytes"):
        store.fetch("home", 1, tmp_path / "to" / "model")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_file_cut_short_is_found(store: ModelStore, stage: Stage, behind: Behind, tmp_path: Path):
    stage("run-1")
    behind.put(KEY, b"run")
    with refused(f"{KEY} is damaged .it has 3 bytes, its manifest says 5"):
        store.fetch("home", 1, tmp_path / "to")


def test_a_missing_file_is_named(store: ModelStore, stage: Stage, behind: Behind, tmp_path: Path):
    stage("run-1")
    behind.remove(KEY)
    with refused(f"{KEY} is missing"):
        store.fetch("home", 1, tmp_path / "to")


def test_an_unlisted_file_is_named(store: ModelStore, stage: Stage, behind: Behind, tmp_path: Path):
    stage("run-1")
    behind.put("home/revisions/1/assets/more.txt", b"x")
    with refused("home/revisions/1/assets/more.txt is not in the manifest"):
        store.fetch("home", 1, tmp_path / "to")


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/etc/x", "..", "a\\..\\x", "./a", "a\nb", "", "a\0b", "C:\\x", "a/../b"],
)
def test_a_manifest_cannot_name_a_path_outside(
    store: ModelStore, stage: Stage, behind: Behind, tmp_path: Path, path: str
):
    stage("run-1")
    document = json.loads(behind.get("home/revisions/1/manifest.json"))
    document["files"][path] = document["files"].pop("saved_model.pb")
    behind.put("home/revisions/1/manifest.json", json.dumps(document).encode())
    with refused("manifest.json is damaged .*" + re.escape(repr(path))):
        store.fetch("home", 1, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_copied_manifest_is_refused(store: ModelStore, stage: Stage, behind: Behind):
    stage("run-1"), stage("run-2")
    behind.put("home/revisions/2/manifest.json", behind.get("home/revisions/1/manifest.json"))
    with refused("home/revisions/2/manifest.json is the manifest of home revision 1"):
        store.promote("home", 2, expected=None)


@pytest.mark.parametrize("key", ["home/HEAD", "home/revisions/1/manifest.json"])
def test_a_damaged_document_is_named(store: ModelStore, stage: Stage, behind: Behind, key: str):
    stage("run-1")
    store.promote("home", 1, expected=None)
    behind.put(key, behind.get(key)[:-20])
    with refused(f"{key} is damaged"):
        store.promote("home", 1, expected=store.head("home"))


def test_a_folder_that_is_taken_is_left_alone(store: ModelStore, stage: Stage, tmp_path: Path):
    stage("run-1")
    taken = write_model(tmp_path / "taken", {"mine": b"1"})
    with refused("taken: cannot hold home revision 1 .* name a new or empty folder"):
        store.fetch("home", 1, taken)
    assert read_tree(taken) == {"mine": b"1"}
    (tmp_path / "empty").mkdir()
    assert read_tree(store.fetch("home", 1, tmp_path / "empty")) == {"saved_model.pb": b"run-1"}
    with refused("cannot hold home revision 1"):
        store.fetch("home", 1, taken / "mine" / "below-a-file")


def test_a_model_that_cannot_be_stored_leaves_no_trace(
    store: ModelStore, stage: Stage, behind: Behind, tmp_path: Path
):
    link = write_model(tmp_path / "link", {"a": b"1"})
    (link / "b").symlink_to("a")
    (tmp_path / "empty" / "assets").mkdir(parents=True)
    own = write_model(tmp_path / "own", {"manifest.json": b"{}"})
    odd = write_model(tmp_path / "odd", {"a\nb": b"1"})
    some = {"run_id": "run-1", "digest": "d", "training_window": {}, "metadata": {}}
    for model, pattern in (
        (tmp_path / "nowhere", "there is no model folder"),
        (tmp_path / "empty", "the model folder is empty"),
        (link, "link/b: a model holds plain files only"),
        (own, "'manifest.json' is where the store keeps its own list"),
        (odd, "is no plain relative path"),
    ):
        with refused(pattern):
            store.stage("home", model, **some)
    with refused("manifest of home cannot be written: Out of range float values"):
        stage("run-1", metadata={"lift": float("nan")})
    with refused("manifest of home cannot be written: run_id"):
        stage("")
    assert behind.objects.keys("") == [key for key in behind.objects.keys("") if key[0] == "."]


def promoted(store: ModelStore, stage: Stage, *ends: str) -> Head | None:
    """Revisions whose data end then, each made live in its turn."""
    head = None
    for number, end in enumerate(ends, 1):
        stage(f"run-{number}", training_window={"end": end} if end else {})
        head = store.promote("home", number, expected=head, allow_older=True)
    return head


def test_older_data_do_not_replace_newer_ones_unless_asked(store: ModelStore, stage: Stage):
    head = promoted(store, stage, "2026-04-02T00:00:00+00:00")
    stage("old", training_window={"end": "2026-04-01"})
    with refused(
        "revision 2 of home was trained on data until 2026-04-01 00:00, the live revision 1 until "
        "2026-04-02 00:00; nothing was promoted, ask for it with --older or roll back"
    ):
        store.promote("home", 2, expected=head)
    assert store.head("home") == head
    assert store.promote("home", 2, expected=head, allow_older=True).live == 2


@pytest.mark.parametrize("end", ["2026-04-02T02:00:00+02:00", "2026-04-02", "2026-04-03", ""])
def test_data_as_new_or_of_unknown_age_may_replace(store: ModelStore, stage: Stage, end: str):
    head = promoted(store, stage, "2026-04-02T00:00:00+00:00")
    stage("next", training_window={"end": end} if end else {})
    assert store.promote("home", 2, expected=head).live == 2


def test_an_end_that_is_no_date_is_refused(store: ModelStore, stage: Stage):
    head = promoted(store, stage, "2026-04-02")
    stage("next", training_window={"end": "spring"})
    with refused("training_window.end of home revision 2 is 'spring', no date"):
        store.promote("home", 2, expected=head)


def test_the_history_says_who_when_and_why(
    store: ModelStore, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage("run-1"), stage("run-2")
    head = store.promote("home", 1, expected=None, who="ann@desk", why="better")
    monkeypatch.setenv("SETLIST_WHO", "bob@pod")
    head = store.promote("home", 2, expected=head)
    monkeypatch.delenv("SETLIST_WHO")
    store.promote("home", 1, expected=head, action="rollback")
    said = [(one.who, one.why, one.action) for one in store.history("home")]
    assert said[:2] == [("ann@desk", "better", "promote"), ("bob@pod", "", "promote")]
    assert re.fullmatch(r".+@.+", said[2][0])
    assert said[2][2] == "rollback"


def test_what_is_there_whole_is_not_sent_again(
    store: ModelStore, stage: Stage, behind: Behind, uri: str
):
    stage("run-1")
    behind.remove("home/revisions/1/manifest.json")

    def written() -> object:
        found = behind.objects.read(KEY)
        assert found
        return found[1] if uri.startswith("gs:") else (Path(uri) / KEY).stat().st_ino

    before = written()
    assert stage("run-1") == 1
    assert written() == before
    for half in (b"run", b"run-x"):  # cut short, and as long but another
        behind.remove("home/revisions/1/manifest.json")
        behind.put(KEY, half)
        assert stage("run-1") == 1
        assert behind.get(KEY) == b"run-1"


def test_a_long_way_is_told(
    store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
):
    monkeypatch.setattr(transfer, "QUIET_SECONDS", -1.0)
    model = write_model(tmp_path / "model", {"a": b"x" * 3_000_000, "b": b"y"})
    some = {"run_id": "run-1", "digest": "d", "training_window": {}, "metadata": {}}
    store.stage("home", model, **some)
    store.fetch("home", 1, tmp_path / "to")
    said = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in said} == {"uploading,", "downloading,"}
    for line in said:
        assert re.fullmatch(r"\d{1,3}% (up|down)loading, \d of 3 MB", line)


def test_a_card_lies_beside_its_revision(store: ModelStore, stage: Stage, behind: Behind, tmp_path):
    stage("run-1", card=lambda number: f"# card of {number}\nü\n")
    stage("run-2")
    assert store.card("home", 1) == "# card of 1\nü\n"
    assert store.card("home", 2) is None
    assert store.revisions("home") == [1, 2]
    assert read_tree(store.fetch("home", 1, tmp_path / "to")) == {"saved_model.pb": b"run-1"}
    assert store.verify("home", 1) == []
    behind.put("home/revisions/1.card.md", b"# another\n")
    with refused("home/revisions/1.card.md is damaged"):
        store.card("home", 1)
    assert "1.card.md is damaged" in str(store.verify("home", 1)[0])


def test_verify_names_every_fault(store: ModelStore, behind: Behind, tmp_path: Path):
    model = write_model(tmp_path / "model", {"a": b"1", "b": b"2", "c/d": b"3", "e": b"4"})
    some = {"run_id": "run-1", "digest": "d", "training_window": {}, "metadata": {}}
    store.stage("home", model, **some)
    assert store.verify("home", 1) == []
    behind.put("home/revisions/1/a", b"x")
    behind.remove("home/revisions/1/b")
    behind.put("home/revisions/1/f", b"5")
    faults = store.verify("home", 1)
    assert len(faults) == 3
    for fault, words in zip(
        faults, ("1/f is not in the manifest", "1/b is missing", "1/a is damaged"), strict=True
    ):
        assert words in str(fault)
    behind.put("home/revisions/1/manifest.json", b"{}")
    (fault,) = store.verify("home", 1)
    assert "manifest.json is damaged" in str(fault)


@pytest.mark.parametrize("revision", [1, 2])
def test_head_vouches_for_the_manifests_that_were_live(
    store: ModelStore, stage: Stage, behind: Behind, revision: int, tmp_path: Path
):
    """One that is right in itself is refused, too."""
    head = promoted(store, stage, "", "", "")
    head = store.promote("home", 1, expected=head)
    head = store.promote("home", 2, expected=head)
    key = f"home/revisions/{revision}/manifest.json"
    forged = store.manifest("home", revision).model_copy(update={"digest": "another"}).to_bytes()
    behind.put(key, forged)
    with refused(f"{key} is damaged .it is not the one that went live"):
        store.fetch("home", revision, tmp_path / "to")
    behind.remove(key)
    with refused(f"{key} is missing, though HEAD names it"):
        store.manifest("home", revision)
    # The way out.
    assert store.promote("home", 3, expected=head, allow_older=True).live == 3


def test_another_models_head_is_refused(store: ModelStore, stage: Stage, behind: Behind):
    promoted(store, stage, "")
    behind.put("shortcuts/HEAD", behind.get("home/HEAD"))
    with refused("shortcuts/HEAD is that of home; .* promote REVISION --force-head"):
        store.head("shortcuts")


@pytest.mark.parametrize("how", ["damaged", "lost"])
def test_a_head_that_is_damaged_or_lost_is_pointed_anew(
    store: ModelStore, stage: Stage, behind: Behind, how: str, tmp_path: Path
):
    promoted(store, stage, "", "")

    def anew(revision: int) -> Head:
        return store.replace_head("home", revision, why="edited", check=lambda _: None)

    with refused("HEAD of home is not damaged; promote or roll back instead"):
        anew(1)
    behind.remove("home/HEAD")
    if how == "damaged":
        behind.put("home/HEAD", b"{}")
    with refused("home has no revision 9; its revisions are: 1, 2"):
        anew(9)
    content = behind.get(KEY)
    behind.put(KEY, b"x")
    with refused(f"{KEY} is damaged"):
        anew(1)
    behind.put(KEY, content)
    head = anew(1)
    assert store.head("home") == head
    assert (head.live, head.previous) == (1, None)
    assert [one.why for one in store.history("home")] == ["edited"]
    assert store.promote("home", 2, expected=head).live == 2


def test_a_link_in_a_folder_is_no_file(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    model = write_model(tmp_path / "model", {"a": b"1", "b/c": b"2"})
    some = {"run_id": "run-1", "digest": "d", "training_window": {}, "metadata": {}}
    store.stage("home", model, **some)
    folder = tmp_path / "store" / "home" / "revisions" / "1"
    (folder / "a").unlink()
    (folder / "a").symlink_to(model / "a")  # the same content, elsewhere
    with refused("home/revisions/1/a is a link"):
        store.fetch("home", 1, tmp_path / "to")
    (folder / "a").unlink()
    write_model(folder, {"a": b"1"})
    (folder / "b" / "c").unlink()
    (folder / "b").rmdir()
    (folder / "b").symlink_to(model / "b")
    with refused("home/revisions/1/b is not in the manifest"):
        store.fetch("home", 1, tmp_path / "to")
    assert not (tmp_path / "to").exists()
