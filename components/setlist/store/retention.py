"""Which revisions a store keeps: pins, and pruning.

Prune first writes a revision into HEAD as retired, by compare-and-swap against the HEAD that names
the live revision; only then are the revision's files removed. So a promotion at the same moment
either comes first, and prune starts again, or finds the revision retired. A pin at the same moment
is seen when prune reads the pins a second time, or finds the revision retired. Claims stay, so that
a number is never used again.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from setlist.errors import StoreError, StoreNotFoundError
from setlist.store.manifest import (
    MANIFEST,
    Claim,
    Manifest,
    Pin,
    Pointer,
    this_person,
    utc_text,
)
from setlist.store.reader import StoreReader, checked_name

LEFTOVER_AGE = timedelta(days=1)
"""A run whose claim is older than this and has no manifest counts as dead."""
CONTENT_OF_REVISION = r"(\d+)(?:/.+|\.card\.md)"
"""Matches the keys that belong to a number, except its claim and its pin."""

Dependency = Callable[[Manifest], int | None]
"""Which other revision a revision needs, such as the anchor that its verdict names."""


class Pruned(NamedTuple):
    """What was removed, or would be.

    Attributes:
        revisions: complete revisions.
        leftovers: numbers whose run died before it wrote a manifest.
        kept: how many revisions stay.
    """

    revisions: list[int]
    leftovers: list[int]
    kept: int


def pins(store: StoreReader, name: str) -> dict[int, Pin]:
    """The pins of a name, by revision.

    Raises:
        StoreDamagedError: a pin cannot be read.
    """
    by_revision = {}
    for revision in store.revision_numbers(name, r"(\d+)\.pin"):
        key = _pin_key(name, revision)
        # A pin may be taken off between the listing and this moment.
        if stored := store.objects.read(key):
            by_revision[revision] = Pin.parse(stored[0], f"store {store.uri}: {key}")
    return by_revision


def pin(store: StoreReader, name: str, revision: int, why: str) -> Pin:
    """Keep a revision until it is unpinned; an existing pin stays as it is.

    Raises:
        StoreNotFoundError: there is no such revision, or it is being pruned.
    """
    store.manifest(name, revision)
    new_pin = Pin(name=name, revision=revision, who=this_person(), when=utc_text(), why=why)
    key = _pin_key(name, revision)
    store.objects.write(key, new_pin.to_bytes(), expected=None)
    try:
        # After the pin is written: a prune that did not see it has retired the revision by now.
        store.refuse_pruned(name, revision, store.read_pointer(name)[0])
    except StoreError:
        store.objects.remove(key)
        raise
    return pins(store, name).get(revision, new_pin)


def unpin(store: StoreReader, name: str, revision: int) -> None:
    """Remove a pin.

    Raises:
        StoreNotFoundError: the revision is not pinned.
    """
    key = _pin_key(checked_name(name), revision)
    if store.objects.read(key) is None:
        raise StoreNotFoundError(f"store {store.uri}: revision {revision} of {name} is not pinned.")
    store.objects.remove(key)


def prune(
    store: StoreReader, name: str, keep: int, dependency: Dependency, *, dry_run: bool = False
) -> Pruned:
    """Remove all but the newest revisions, and what dead runs and killed uploads have left.

    These stay in any case: the live revision, the previous one, pinned revisions, and the
    revisions on which a kept revision depends.

    Args:
        store: the store.
        name: of the model.
        keep: how many of the newest revisions stay.
        dependency: which other revision a revision needs.
        dry_run: report what would be removed, and remove nothing.

    Raises:
        StoreNotFoundError: nothing is live.
        StoreDamagedError: a document that decides is damaged. What was retired before is removed
            by the next call.
    """
    while True:
        pointer, version = store.read_pointer(name)
        if pointer is None:
            raise StoreNotFoundError(
                f"store {store.uri}: nothing is live under {name}, so nothing is pruned."
            )
        pinned = set(pins(store, name))
        complete = store.revision_numbers(name, rf"(\d+)/{re.escape(MANIFEST)}")
        revisions = [revision for revision in complete if revision not in pointer.retired]
        kept = _kept(store, name, revisions, pointer, pinned, keep, dependency)
        doomed = [revision for revision in revisions if revision not in kept]
        leftovers = _leftovers(store, name, {*complete, *pointer.retired})
        pruned = Pruned(doomed, leftovers, len(revisions) - len(doomed))
        if dry_run:
            return pruned
        retired = sorted({*pointer.retired, *doomed, *leftovers} - pinned)
        if retired != pointer.retired:
            new_pointer = pointer.model_copy(update={"retired": retired})
            content = new_pointer.to_bytes()
            if store.objects.write(f"{name}/HEAD", content, expected=version) is None:
                continue  # HEAD moved meanwhile: decide again
        # A pin that came after the first look wins: the next pass takes the revision back.
        if not set(pins(store, name)) & set(retired):
            break
    for revision in store.revision_numbers(name, CONTENT_OF_REVISION):
        if revision in retired:
            _remove(store, name, revision)
    store.objects.sweep()
    return pruned


def _kept(
    store: StoreReader,
    name: str,
    revisions: list[int],
    pointer: Pointer,
    pinned: set[int],
    keep: int,
    dependency: Dependency,
) -> set[int]:
    """The revisions that stay: the chosen ones, and everything on which they depend."""
    newest = revisions[-keep:] if keep else []  # [-0:] would be all of them
    chosen = {pointer.live, pointer.previous, *pinned, *newest}
    waiting = [revision for revision in chosen if revision in revisions]
    kept: set[int] = set()
    while waiting:
        revision = waiting.pop()
        if revision not in kept:
            kept.add(revision)
            needed = dependency(store.read_manifest(name, revision, pointer)[0])
            waiting += [needed] if needed in revisions else []
    return kept


def _leftovers(store: StoreReader, name: str, known: set[int]) -> list[int]:
    """Numbers that have files and no manifest, and whose claim is older than LEFTOVER_AGE."""
    numbers = []
    for revision in store.revision_numbers(name, CONTENT_OF_REVISION):
        key = f"{name}/revisions/{revision}.claim"
        stored = None if revision in known else store.objects.read(key)
        if stored:
            created = Claim.parse(stored[0], f"store {store.uri}: {key}").created
            if datetime.now(UTC) - datetime.fromisoformat(created) > LEFTOVER_AGE:
                numbers.append(revision)
    return numbers


def _remove(store: StoreReader, name: str, revision: int) -> None:
    """Remove everything of a retired revision but its claim.

    The manifest goes first: without it, a half-removed revision is not listed as complete.
    """
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


def _pin_key(name: str, revision: int) -> str:
    return f"{name}/revisions/{revision}.pin"
