"""HEAD counts its moves: which of two copies is the older one, and where a new count begins."""

import json

import pytest

from setlist.errors import SetlistError
from setlist.runs.promotion import anchor_of
from setlist.store.manifest import Pointer
from setlist.store.model_store import ModelStore
from setlist.store.retention import prune

from .conftest import Behind, Stage
from .test_old_store import HEAD as OLD_HEAD
from .test_old_store import old

__all__ = ["old"]


def pointer_of(store: ModelStore) -> Pointer:
    pointer, _ = store.read_pointer("home")
    assert pointer is not None
    return pointer


def move(store: ModelStore, revision: int) -> Pointer:
    """Make it live, and return HEAD."""
    store.promote("home", revision, expected=store.head("home"))
    return pointer_of(store)


def anew(store: ModelStore, revision: int) -> Pointer:
    """Replace HEAD by force, and return it."""
    store.replace_head("home", revision, why="by hand", check=lambda _: None)
    return pointer_of(store)


def test_every_move_counts_and_keeps_the_origin(store: ModelStore, stage: Stage):
    stage("run-1"), stage("run-2"), stage("run-1", name="shortcuts")
    moves = [move(store, 1), move(store, 2), move(store, 1)]
    assert [pointer.number for pointer in moves] == [1, 2, 3]
    (origin,) = {pointer.origin for pointer in moves}
    assert len(origin) == 32
    again = move(store, 1)
    assert (again.number, again.move) == (3, moves[-1].move), "it is live already"
    prune(store, "home", 1, anchor_of)
    assert pointer_of(store).number == 3, "pruning moves nothing"
    store.promote("shortcuts", 1, expected=None)
    other, _ = store.read_pointer("shortcuts")
    assert other is not None
    assert (other.number, other.origin != origin) == (1, True)


@pytest.mark.parametrize("how", ["damaged", "lost"])
def test_a_head_made_anew_has_a_new_origin(
    store: ModelStore, stage: Stage, behind: Behind, how: str
):
    stage("run-1")
    before = move(store, 1)
    behind.remove("home/HEAD")
    if how == "damaged":
        behind.put("home/HEAD", b"{}")
    after = anew(store, 1)
    assert (after.number, after.origin != before.origin) == (1, True)


def test_a_whole_head_gets_a_new_origin_where_it_names_the_live_revision(
    store: ModelStore, stage: Stage
):
    """What a person says of a HEAD that was restored from a backup."""
    stage("run-1"), stage("run-2")
    move(store, 1)
    before = move(store, 2)
    with pytest.raises(SetlistError, match="HEAD of home is not damaged"):
        anew(store, 1)
    after = anew(store, 2)
    assert after.origin not in ("", before.origin)
    assert (after.live, after.previous, after.number) == (2, 1, 3)
    assert after.move != before.move
    assert [one.revision for one in after.promotions] == [1, 2, 2]
    assert after.promotions[-1].why == "by hand"


def test_an_old_head_is_the_same_to_the_byte_and_older_than_what_follows(
    old: str, store: ModelStore, stage: Stage
):
    before = pointer_of(store)
    assert (before.number, before.origin) == (0, "")
    assert before.to_bytes() == OLD_HEAD.encode()
    stage("run-2")
    after = move(store, 2)
    assert (after.number, after.origin) == (1, ""), "of one origin: an old copy is known as older"


def test_an_old_head_has_one_form_only(store: ModelStore):
    content = json.loads(OLD_HEAD) | {"number": 0, "origin": ""}
    with pytest.raises(SetlistError, match="its checksum does not fit"):
        Pointer.parse(json.dumps(content, indent=2, sort_keys=True).encode(), "HEAD")
