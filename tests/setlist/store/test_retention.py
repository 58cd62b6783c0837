"""What is kept, what is let go, and who decides when two want different things at once."""

import json
import os
import signal
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from setlist.errors import SetlistError, StoreConflictError
from setlist.store import retention as keep
from setlist.store.manifest import MANIFEST, Claim, Manifest, PinObject
from setlist.store.model_store import ModelStore
from setlist.store.objects import Objects, open_objects
from setlist.store.pins import pin, pins, unpin
from setlist.store.retention import prune

from .conftest import Behind, Stage, read_tree
from .process import Worker


def nothing(_: Manifest) -> None:
    """What a revision needs that needs none."""


@pytest.fixture
def six(store: ModelStore, stage: Stage) -> ModelStore:
    """Revisions 1 to 6, of which 3 was live and 2 is."""
    for number in range(1, 7):
        stage(f"run-{number}")
    head = store.promote("home", 3, expected=None)
    store.promote("home", 2, expected=head)
    return store


def pin_object(revision: int) -> PinObject:
    """A pin as a former version wrote it."""
    return PinObject(name="home", revision=revision, who="ann@desk", when="2026-05-01", why="")


class Meddled:
    """Objects where something happens right before or after the first write to HEAD."""

    def __init__(self, objects: Objects, before: Callable | None, after: Callable | None) -> None:
        self._objects, self._before, self._after = objects, before, after

    def __getattr__(self, name: str) -> object:
        return getattr(self._objects, name)

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        if not key.endswith("/HEAD"):
            return self._objects.write(key, content, expected=expected)
        before, self._before = self._before, None
        if before:
            before()
        version = self._objects.write(key, content, expected=expected)
        after, self._after = self._after, None
        if after:
            after()
        return version


def meddled(uri: str, before: Callable | None = None, after: Callable | None = None) -> ModelStore:
    return ModelStore(Meddled(open_objects(uri), before, after))  # type: ignore[arg-type]


def test_prune_keeps_the_newest_the_live_the_previous_and_the_pinned(
    six: ModelStore, behind: Behind, tmp_path: Path
):
    pin(six, "home", 1, "for the audit")
    planned = prune(six, "home", 1, nothing, dry_run=True)
    assert (planned.revisions, planned.kept) == ([4, 5], 4)
    assert six.revisions("home") == [1, 2, 3, 4, 5, 6]
    head = six.head("home")
    assert prune(six, "home", 1, nothing) == planned
    assert six.revisions("home") == [1, 2, 3, 6]
    assert six.head("home") == head, "for whoever saw HEAD before, it did not move"
    left = {
        key
        for key in behind.objects.keys("")
        if key.startswith(("home/revisions/4", "home/revisions/5"))
    }
    assert left == {"home/revisions/4.claim", "home/revisions/5.claim"}
    for revision in (1, 2, 3, 6):
        assert read_tree(six.fetch("home", revision, tmp_path / str(revision)))
    with pytest.raises(SetlistError, match="revision 4 of home was pruned"):
        six.promote("home", 4, expected=head)
    assert prune(six, "home", 1, nothing).revisions == []


def test_what_a_kept_revision_needs_is_kept(six: ModelStore):
    needs = {6: 4, 4: 1, 2: 99}
    done = prune(six, "home", 1, lambda manifest: needs.get(manifest.revision))
    assert done.revisions == [1, 5], "what only the anchor of a kept revision needs is not kept"
    assert six.revisions("home") == [2, 3, 4, 6]


def test_a_number_is_never_used_again(six: ModelStore, stage: Stage):
    prune(six, "home", 0, nothing)
    assert six.revisions("home") == [2, 3]
    assert stage("run-7") == 7
    with pytest.raises(SetlistError, match=r"revision 6 of home was pruned; .* start a new run"):
        stage("run-6")
    assert six.revisions("home") == [2, 3, 7]


def test_where_nothing_is_live_nothing_is_pruned(store: ModelStore, stage: Stage):
    stage("run-1")
    with pytest.raises(SetlistError, match="nothing is live under home, so nothing is pruned"):
        prune(store, "home", 0, nothing)
    assert store.revisions("home") == [1]


def test_a_promotion_in_the_middle_of_a_prune_wins(six: ModelStore, uri: str, tmp_path: Path):
    """It moves HEAD after prune has chosen, so prune looks again, and keeps what is live now."""
    seen = six.head("home")
    late = meddled(uri, before=lambda: six.promote("home", 5, expected=seen))
    assert prune(late, "home", 1, nothing).revisions == [1, 3, 4]
    assert six.head("home").live == 5
    assert read_tree(six.fetch("home", 5, tmp_path / "5")) == {"saved_model.pb": b"run-5"}


def test_a_prune_in_the_middle_of_a_promotion_wins(six: ModelStore, uri: str):
    """The promotion has read a manifest that is gone when it writes HEAD."""
    seen = six.head("home")
    late = meddled(uri, before=lambda: prune(six, "home", 1, nothing))
    with pytest.raises(SetlistError, match="revision 5 of home was pruned"):
        late.promote("home", 5, expected=seen)
    assert six.head("home") == seen


def test_a_prune_of_others_does_not_stop_a_promotion(six: ModelStore, uri: str, tmp_path: Path):
    seen = six.head("home")
    late = meddled(uri, before=lambda: prune(six, "home", 1, nothing))
    assert late.promote("home", 6, expected=seen).live == 6
    assert six.revisions("home") == [2, 3, 6]
    assert read_tree(six.fetch("home", 6, tmp_path / "6")) == {"saved_model.pb": b"run-6"}


def test_a_pin_in_the_middle_of_a_prune_wins(six: ModelStore, uri: str, tmp_path: Path):
    late = meddled(uri, before=lambda: pin(six, "home", 4, ""))
    prune(late, "home", 1, nothing)
    assert six.revisions("home") == [2, 3, 4, 6]
    assert read_tree(six.fetch("home", 4, tmp_path / "4")) == {"saved_model.pb": b"run-4"}


def test_a_pin_that_comes_too_late_is_refused(six: ModelStore, uri: str):
    def late() -> None:
        with pytest.raises(SetlistError, match="revision 4 of home was pruned"):
            pin(six, "home", 4, "")

    prune(meddled(uri, after=late), "home", 1, nothing)
    assert pins(six, "home") == {}
    assert six.revisions("home") == [2, 3, 6]


def test_a_pin_says_who_and_why_and_the_first_one_stays(
    six: ModelStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SETLIST_WHO", "ann@desk")
    first = pin(six, "home", 5, "liked")
    monkeypatch.setenv("SETLIST_WHO", "bob@desk")
    assert pin(six, "home", 5, "mine") == first == pins(six, "home")[5]
    assert (first.who, first.why) == ("ann@desk", "liked")
    unpin(six, "home", 5)
    assert pins(six, "home") == {}
    with pytest.raises(SetlistError, match="revision 5 of home is not pinned"):
        unpin(six, "home", 5)
    with pytest.raises(SetlistError, match="home has no revision 9"):
        pin(six, "home", 9, "")


def test_a_damaged_pin_stops_a_prune(six: ModelStore, behind: Behind):
    behind.put("home/revisions/4.pin", pin_object(4).to_bytes().replace(b"4", b"5"))
    with pytest.raises(SetlistError, match=r"home/revisions/4.pin is damaged .* unpin"):
        prune(six, "home", 0, nothing)
    assert six.revisions("home") == [1, 2, 3, 4, 5, 6]


# What it removes, in this order: two files and two manifests, after HEAD was written.
def test_a_bad_revision_among_the_newest_stays_and_stops_no_prune(six: ModelStore, behind: Behind):
    manifest = f"home/revisions/5/{MANIFEST}"
    behind.put(manifest, behind.get(f"home/revisions/6/{MANIFEST}"))
    done = prune(six, "home", 2, nothing)
    assert {5, 6} <= set(six.revisions("home"))
    assert done.revisions


@pytest.mark.parametrize("changes", range(5))
def test_a_prune_killed_half_way_is_taken_up(
    six: ModelStore, workers: Callable[..., Worker], behind: Behind, changes: int, tmp_path: Path
):
    doomed = workers(die_after=changes)
    doomed.send({"do": "prune", "name": "home", "keep": 2})
    assert doomed.answer() == {"died": -signal.SIGKILL}
    assert six.head("home").live == 2
    assert six.revisions("home") == ([1, 2, 3, 4, 5, 6] if changes == 0 else [2, 3, 5, 6])
    for revision in six.revisions("home"):
        assert six.verify("home", revision) == []
    prune(six, "home", 2, nothing)
    assert six.revisions("home") == [2, 3, 5, 6]
    assert six.revision_numbers("home", keep.CONTENT_OF_REVISION) == [2, 3, 5, 6]


def test_what_dead_runs_left_is_removed_after_a_day(
    six: ModelStore, stage: Stage, behind: Behind, monkeypatch: pytest.MonkeyPatch
):
    for number, age in ((7, timedelta(days=2)), (8, timedelta(hours=2))):
        created = (datetime.now(UTC) - age).isoformat(timespec="seconds")
        claim = Claim(revision=number, run_id=f"run-{number}", digest="d", created=created)
        behind.put(f"home/revisions/{number}.claim", claim.to_bytes())
        behind.put(f"home/revisions/run-{number}.run", claim.to_bytes())
        behind.put(f"home/revisions/{number}/saved_model.pb", b"half")
    done = prune(six, "home", 6, nothing)
    assert (done.revisions, done.leftovers) == ([], [7])
    assert six.revision_numbers("home", keep.CONTENT_OF_REVISION) == [1, 2, 3, 4, 5, 6, 8]
    assert stage("run-8", digest="d") == 8, "it is no more than slow"
    with pytest.raises(SetlistError, match="revision 7 of home was pruned"):
        stage("run-7", digest="d")


def test_a_half_written_file_is_swept_once_its_writer_is_dead(tmp_path: Path):
    place = open_objects(str(tmp_path / "store"))
    partial = tmp_path / "store" / ".partial"
    child = os.fork()
    if child == 0:  # it dies while it writes, as by the kernel
        held = place._new_content("a")  # type: ignore[attr-defined]
        held.__enter__().write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [file.read_bytes() for file in partial.iterdir()] == [b"half"]
    with place._new_content("b") as partial_file:  # type: ignore[attr-defined]
        assert place.sweep() == 1
        assert list(partial.iterdir()) == [partial_file]
        partial_file.write_bytes(b"whole")
    assert place.read("b") is not None
    assert list(partial.iterdir()) == []


def test_empty_folders_go_with_the_last_file(tmp_path: Path):
    place = open_objects(str(tmp_path / "store"))
    place.write("a/b/c", b"1", expected=None)
    place.write("a/d", b"1", expected=None)
    place.remove("a/b/c")
    assert [path.name for path in (tmp_path / "store" / "a").iterdir()] == ["d"]
    place.remove("a/d")
    assert not (tmp_path / "store" / "a").exists()
    assert (tmp_path / "store" / ".partial").is_dir()


def test_retired_numbers_survive_a_promotion(six: ModelStore, behind: Behind):
    prune(six, "home", 1, nothing)
    six.promote("home", 6, expected=six.head("home"))
    head = json.loads(behind.get("home/HEAD"))
    assert (head["retired"], head["floor"], head["kept"]) == ([], 6, [2, 3, 6])
    with pytest.raises(SetlistError, match="revision 4 of home was pruned"):
        six.promote("home", 4, expected=six.head("home"))
    assert uuid.UUID(six.head("home").version)


# Pins in HEAD, and those of former versions.


def test_a_pin_between_two_prunes_is_kept_or_refused(six: ModelStore, uri: str, tmp_path: Path):
    """Fault 13: one prune has looked, then a pin is acknowledged, then another prune ends."""

    def between() -> None:
        pin(six, "home", 4, "for the audit")
        prune(six, "home", 0, nothing)

    prune(meddled(uri, before=between), "home", 0, nothing)
    assert list(pins(six, "home")) == [4]
    assert six.verify("home", 4) == []
    unpin(six, "home", 4)
    prune(six, "home", 0, nothing)
    assert six.revisions("home") == [2, 3]
    with pytest.raises(SetlistError, match="revision 4 of home was pruned"):
        pin(six, "home", 4, "")


def test_a_pin_moves_nothing(six: ModelStore):
    head = six.head("home")
    before, _ = six.read_pointer("home")
    pin(six, "home", 5, "liked")
    assert six.head("home") == head
    after, _ = six.read_pointer("home")
    assert (after.number, after.move) == (before.number, before.move)
    unpin(six, "home", 5)
    assert six.read_pointer("home")[0] == before


def test_where_nothing_is_live_no_pin_is_needed(store: ModelStore, stage: Stage):
    stage("run-1")
    with pytest.raises(SetlistError, match="nothing is pruned and no pin is needed"):
        pin(store, "home", 1, "")


def test_pins_of_former_versions_are_honoured_and_taken_over(six: ModelStore, behind: Behind):
    for revision in (4, 5):
        behind.put(f"home/revisions/{revision}.pin", pin_object(revision).to_bytes())
    assert [each.who for each in pins(six, "home").values()] == ["ann@desk"] * 2
    unpin(six, "home", 5)
    assert prune(six, "home", 0, nothing).revisions == [1, 5, 6]
    assert [key for key in behind.objects.keys("") if key.endswith(".pin")] == []
    assert list(pins(six, "home")) == [4]
    unpin(six, "home", 4)
    assert pins(six, "home") == {}


# Numbers: the floor, claims, and slow runs.


def claim(behind: Behind, number: int, age: timedelta, run_id: str = "") -> None:
    created = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    made = Claim(revision=number, run_id=run_id or f"run-{number}", digest="d", created=created)
    behind.put(f"home/revisions/{number}.claim", made.to_bytes())
    behind.put(f"home/revisions/{made.run_id}.run", made.to_bytes())


def test_what_head_and_claims_hold_does_not_grow(store: ModelStore, stage: Stage, behind: Behind):
    sizes, keys = [], []
    for number in range(1, 16):
        assert stage(f"run-{number}") == number
        store.promote("home", number, expected=store.head("home"))
        prune(store, "home", 2, nothing)
        keep.remove_old_claims(store, "home")
        pointer, _ = store.read_pointer("home")
        sizes.append(len(pointer.kept) + len(pointer.retired))
        keys.append(len(behind.objects.keys("home/revisions/")))
    assert max(sizes) == 2
    assert keys[-1] == keys[-5]
    for dead in range(1, 14):
        with pytest.raises(SetlistError, match=f"revision {dead} of home was pruned"):
            store.promote("home", dead, expected=store.head("home"))


def test_a_run_under_way_holds_the_floor_until_it_counts_as_dead(
    six: ModelStore, stage: Stage, behind: Behind
):
    claim(behind, 7, timedelta(hours=2))
    stage("run-8")
    prune(six, "home", 0, nothing)
    pointer, _ = six.read_pointer("home")
    assert (pointer.floor, pointer.kept, pointer.retired) == (6, [2, 3], [8])
    assert stage("run-7", digest="d") == 7
    assert six.revisions("home") == [2, 3, 7]
    prune(six, "home", 1, nothing)
    pointer, _ = six.read_pointer("home")
    assert (pointer.floor, pointer.kept, pointer.retired) == (8, [2, 3, 7], [])


def test_a_slow_run_that_was_taken_for_dead_makes_no_revision(
    six: ModelStore, uri: str, stage: Stage, behind: Behind, tmp_path: Path
):
    """Prune and clean come between its last look at HEAD and its manifest."""
    claim(behind, 7, timedelta(days=2))

    class Slow(Meddled):
        def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
            if key.endswith("/manifest.json"):
                assert prune(six, "home", 6, nothing).leftovers == [7]
                stage("run-8")
                prune(six, "home", 9, nothing)
                assert keep.remove_old_claims(six, "home") != []
            return self._objects.write(key, content, expected=expected)

    slow = ModelStore(Slow(open_objects(uri), None, None))  # type: ignore[arg-type]
    model = tmp_path / "slow"
    model.mkdir()
    (model / "a").write_bytes(b"1")
    some = {"digest": "d", "training_window": {}, "metadata": {}}
    with pytest.raises(SetlistError, match="revision 7 of home was pruned"):
        slow.stage("home", model, run_id="run-7", **some)
    assert six.revisions("home") == [1, 2, 3, 4, 5, 6, 8]
    with pytest.raises(SetlistError, match="revision 7 of home was pruned"):
        six.promote("home", 7, expected=six.head("home"))
    prune(six, "home", 9, nothing)
    assert behind.objects.keys("home/revisions/7/") == []
    assert stage("run-9") == 9


def test_a_run_that_claims_a_number_whose_claim_was_removed_takes_another(
    six: ModelStore, uri: str, stage: Stage, behind: Behind, tmp_path: Path
):
    """It listed the claims before they were removed, and finds a number free that was given."""
    seven_and_eight = [stage("run-7"), stage("run-8")]
    stage("run-9")

    class Late(Meddled):
        def entries(self, folder: str) -> list:
            return self._objects.entries(folder)

        def keys(self, folder: str) -> list[str]:
            gone = tuple(f"{folder}{number}" for number in (*seven_and_eight, 9))
            return [key for key in self._objects.keys(folder) if not key.startswith(gone)]

    late = ModelStore(Late(open_objects(uri), None, None))  # type: ignore[arg-type]
    prune(six, "home", 0, nothing)
    assert {f"home/revisions/{each}.claim" for each in seven_and_eight} <= {
        *keep.remove_old_claims(six, "home")
    }
    model = tmp_path / "late"
    model.mkdir()
    (model / "a").write_bytes(b"1")
    some = {"digest": "d", "training_window": {}, "metadata": {}}
    assert late._claim("home", "run-10", "d").revision == 10
    assert six.stage("home", model, run_id="run-10", **some) == 10


def test_numbers_go_on_where_head_is_lost(six: ModelStore, stage: Stage, behind: Behind):
    prune(six, "home", 0, nothing)
    keep.remove_old_claims(six, "home")
    behind.remove("home/HEAD")
    assert stage("run-7") == 7


def test_others_that_write_head_each_time_end_in_a_conflict(
    six: ModelStore, uri: str, monkeypatch: pytest.MonkeyPatch
):
    class Beaten(Meddled):
        def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
            return None if key.endswith("/HEAD") else super().write(key, content, expected=expected)

    monkeypatch.setattr("setlist.store.race.LONGEST_PAUSE_SECONDS", 0.0)
    beaten = ModelStore(Beaten(open_objects(uri), None, None))  # type: ignore[arg-type]
    for use in (
        lambda: pin(beaten, "home", 4, ""),
        lambda: prune(beaten, "home", 0, nothing),
        lambda: beaten.promote("home", 4, expected=six.head("home")),
    ):
        with pytest.raises(StoreConflictError, match="was written by others each of 20 times"):
            use()


def test_head_names_the_verdict_of_the_live_revision(store: ModelStore, stage: Stage):
    stage("run-1", metadata={"verdict": {"decision": "promote"}})
    stage("run-2")
    store.promote("home", 1, expected=None)
    pointer, _ = store.read_pointer("home")
    assert pointer.live_verdict == store.manifest("home", 1).verdict_digest != ""
    store.promote("home", 2, expected=store.head("home"))
    assert b"live_verdict" not in store.read_pointer("home")[0].to_bytes()
    forged = pointer.model_copy(update={"live_verdict": "0" * 64})
    with pytest.raises(SetlistError, match="its verdict is not the one"):
        store.read_manifest("home", 1, forged)
