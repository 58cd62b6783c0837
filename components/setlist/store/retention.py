"""What a store keeps and what it lets go: pins, and pruning that HEAD decides.

A revision is first written into HEAD as retired, by compare-and-swap against the HEAD that said
what is live; only then are its files removed. So a promotion at the same moment either comes first,
and prune looks again, or finds the revision gone. A pin at the same moment is seen by the second
look at the pins, or finds the revision gone likewise. Claims stay: a number is never used again.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from setlist.errors import SetlistError
from setlist.store.manifest import MANIFEST, Claim, Manifest, Pin, Pointer
from setlist.store.reader import StoreReader, checked
from setlist.store.who import now, this_person

LEFTOVER_AGE = timedelta(days=1)
"""A number that was claimed so long ago and has no manifest belongs to a run that is dead."""
UNDER = r"(\d+)(?:/.+|\.card\.md)"
"""What lies under a number beside its claim and its pin."""

Needs = Callable[[Manifest], int | None]
"""Which other revision one cannot do without, such as the anchor that its verdict names."""


class Pruned(NamedTuple):
    """What is gone, or would be.

    Attributes:
        revisions: complete ones.
        leftovers: numbers whose run died before its manifest.
        kept: how many revisions stay.
    """

    revisions: list[int]
    leftovers: list[int]
    kept: int


def pins(store: StoreReader, name: str) -> dict[int, Pin]:
    """The pins of a name, by revision."""
    found = {}
    for revision in store.numbers(name, r"(\d+)\.pin"):
        key = _key(name, revision)
        if content := store.objects.read(key):
            found[revision] = Pin.parse(content[0], f"store {store.uri}: {key}")
    return found


def pin(store: StoreReader, name: str, revision: int, why: str) -> Pin:
    """Keep a revision until it is unpinned; one that is pinned already stays as it is.

    Raises:
        SetlistError: there is no such revision, or it is being pruned.
    """
    store.manifest(name, revision)
    pinned = Pin(name=name, revision=revision, who=this_person(), when=now(), why=why)
    key = _key(name, revision)
    store.objects.write(key, pinned.to_bytes(), expected=None)
    try:
        store.not_gone(name, revision, store.look(name)[0])
    except SetlistError:
        store.objects.remove(key)
        raise
    return pins(store, name).get(revision, pinned)


def unpin(store: StoreReader, name: str, revision: int) -> None:
    """Take a pin off.

    Raises:
        SetlistError: the revision is not pinned.
    """
    key = _key(checked(name), revision)
    if store.objects.read(key) is None:
        raise SetlistError(f"store {store.uri}: revision {revision} of {name} is not pinned.")
    store.objects.remove(key)


def prune(
    store: StoreReader, name: str, keep: int, needs: Needs, *, dry_run: bool = False
) -> Pruned:
    """Remove all but the newest revisions, and what dead runs and killed uploads left.

    The live revision, the one before, pinned ones, and what any kept one needs stay.

    Args:
        store: the store.
        name: of the model.
        keep: how many of the newest stay.
        needs: which other revision one needs.
        dry_run: say what would be removed, and remove nothing.

    Raises:
        SetlistError: nothing is live, or a document that decides is damaged; what was retired
            before that is removed by the next call.
    """
    while True:
        pointer, version = store.look(name)
        if pointer is None:
            raise SetlistError(
                f"store {store.uri}: nothing is live under {name}, so nothing is pruned."
            )
        pinned = set(pins(store, name))
        complete = store.numbers(name, rf"(\d+)/{re.escape(MANIFEST)}")
        there = [one for one in complete if one not in pointer.retired]
        kept = _kept(store, name, there, pointer, pinned, keep, needs)
        doomed = [revision for revision in there if revision not in kept]
        leftovers = _leftovers(store, name, {*complete, *pointer.retired})
        found = Pruned(doomed, leftovers, len(there) - len(doomed))
        if dry_run:
            return found
        retired = sorted({*pointer.retired, *doomed, *leftovers} - pinned)
        if retired != pointer.retired:
            moved = pointer.model_copy(update={"retired": retired})
            if store.objects.write(f"{name}/HEAD", moved.to_bytes(), expected=version) is None:
                continue  # HEAD moved: look again
        if not set(pins(store, name)) & set(retired):
            break  # else somebody pinned one meanwhile: it is taken back
    for revision in store.numbers(name, UNDER):
        if revision in retired:
            _remove(store, name, revision)
    store.objects.sweep()
    return found


def _kept(
    store: StoreReader,
    name: str,
    there: list[int],
    pointer: Pointer,
    pinned: set[int],
    keep: int,
    needs: Needs,
) -> set[int]:
    newest = there[-keep:] if keep else []
    waiting = [one for one in {pointer.live, pointer.previous, *pinned, *newest} if one in there]
    kept: set[int] = set()
    while waiting:
        revision = waiting.pop()
        if revision not in kept:
            kept.add(revision)
            other = needs(store.read_manifest(name, revision, pointer)[0])
            waiting += [other] if other in there else []
    return kept


def _leftovers(store: StoreReader, name: str, known: set[int]) -> list[int]:
    """Numbers under which files lie, and whose run did not come to its manifest in time."""
    found = []
    for revision in store.numbers(name, UNDER):
        key = f"{name}/revisions/{revision}.claim"
        claim = None if revision in known else store.objects.read(key)
        if claim:
            created = Claim.parse(claim[0], f"store {store.uri}: {key}").created
            if datetime.now(UTC) - datetime.fromisoformat(created) > LEFTOVER_AGE:
                found.append(revision)
    return found


def _remove(store: StoreReader, name: str, revision: int) -> None:
    """Take everything of a retired revision away but its claim, the manifest first."""
    folder = f"{name}/revisions/{revision}"
    manifest = f"{folder}/{MANIFEST}"
    keys = store.objects.keys(f"{folder}/")
    if manifest in keys:
        store.objects.remove(manifest)
    for key in keys:
        if key != manifest:
            store.objects.remove(key)
    if store.objects.read(f"{folder}.card.md"):
        store.objects.remove(f"{folder}.card.md")


def _key(name: str, revision: int) -> str:
    return f"{name}/revisions/{revision}.pin"
