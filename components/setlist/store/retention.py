"""Which revisions a store keeps: pruning, and which numbers are never given again.

HEAD decides everything here, by compare-and-swap. It holds the pins, what is live, and which
numbers are retired; so a pin, a promotion and a prune that meet write one after the other, and
each sees what came before it. The argument, step by step:

1. A pin is a part of HEAD. Prune decides from one HEAD and writes the next one only if nobody wrote
   between. So a pin that was acknowledged is either seen by prune, or came later and found the
   revision retired, and was refused. The same holds for a promotion.
2. Prune removes files of a number only after the HEAD that retires it was written. A number that
   HEAD retires is read, promoted and pinned by nobody, and no later HEAD takes that back.
3. HEAD does not list all that was ever retired. It has a floor: each number up to it was given to a
   run, and of these only those in `kept` are not retired. The floor never falls, and `kept` only
   loses numbers, except for what prune finds complete below a floor that it raises. A run under way
   holds the floor below its number, until LEFTOVER_AGE after its claim; then it counts as dead, and
   its number is retired. So `retired` and `kept` are no longer than what there is at one time.
4. A slow run that was taken for dead looks at HEAD before it writes its manifest and after. If it
   falls between, its manifest is there, and retired: it is no revision, and the next prune removes
   it.
5. A number is never given twice. A new one is above the floor and above every number that is
   listed, and its claim is written only where there is none. Claims are removed up to the floor
   only, after the HEAD with that floor was written. A run that listed the claims before, and claims
   a number that was free again, reads HEAD after its claim, sees that the number is not above the
   floor, and takes another. The claim of the highest number stays, so that this holds even where
   HEAD is lost.
"""

import re
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from setlist.errors import StoreDamagedError, StoreNotFoundError, StoreUntrustedError
from setlist.store.files import Entry
from setlist.store.head import change_head
from setlist.store.manifest import (
    MANIFEST,
    NUMBER,
    Claim,
    Manifest,
    Pointer,
)
from setlist.store.model_store import ModelStore
from setlist.store.pins import pin_objects, remove_pin_objects, with_pins
from setlist.store.reader import StoreReader, checked_name
from setlist.store.signatures import SIGNATURES, head_signature_key
from setlist.store.sizes import SMALL_BYTES
from setlist.store.transfer import TRANSFER_THREADS

LEFTOVER_AGE = timedelta(days=1)
"""A run whose claim is older than this and has no manifest counts as dead."""
SIGNATURE_OF_REVISION = rf"{NUMBER}\.[0-9a-f]{{64}}\.sig"
CONTENT_OF_REVISION = rf"{NUMBER}(?:/.+|\.card\.md|\.report\.html|\.[0-9a-f]{{64}}\.sig)"
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


def prune(
    store: ModelStore,
    name: str,
    keep: int | None,
    dependency: Dependency,
    *,
    dry_run: bool = False,
) -> Pruned:
    """Remove all but the newest revisions, and what dead runs and killed uploads have left.

    These stay in any case: the live revision, the previous one, pinned revisions, and the
    revisions on which a kept revision depends.

    Args:
        store: the store.
        name: of the model.
        keep: how many of the newest revisions stay; None for all.
        dependency: which other revision a revision needs.
        dry_run: report what would be removed, and remove nothing.

    Raises:
        StoreNotFoundError: nothing is live.
        StoreDamagedError: a document that decides is damaged. What was retired before is removed
            by the next call.
        StoreConflictError: others wrote HEAD each time.
        StoreRefusedError: the store does not take it.
    """
    pruned = Pruned([], [], 0)
    objects = pin_objects(store, name)

    def retire(pointer: Pointer | None) -> Pointer:
        nonlocal pruned
        if pointer is None:
            raise StoreNotFoundError(
                f"store {store.uri}: nothing is live under {name}, so nothing is pruned."
            )
        pointer = with_pins(pointer, objects)
        numbers = Numbers.listed(store, name)
        complete = [each for each in numbers.complete if not pointer.retires(each)]
        staying = _kept(store, name, complete, pointer, keep, dependency)
        doomed = [each for each in complete if each not in staying]
        waiting = [
            each for each in numbers.given if each not in complete and not pointer.retires(each)
        ]
        ages = {each: numbers.age(store, name, each) for each in waiting}
        dead = [each for each in waiting if ages[each] > LEFTOVER_AGE]
        pruned = Pruned(
            doomed, sorted({*dead} & numbers.content.keys()), len(complete) - len(doomed)
        )
        alive = [each for each in waiting if each not in dead]
        highest = max([pointer.floor, *pointer.retired, *numbers.given])
        floor = max(pointer.floor, min(alive, default=highest + 1) - 1)
        kept = {*staying, *_kept_in_any_case(pointer)}
        gone = {*pointer.retired, *doomed, *dead} - kept
        return pointer.model_copy(
            update={
                "floor": floor,
                "kept": sorted(each for each in kept if each <= floor),
                "retired": sorted(each for each in gone if each > floor),
            }
        )

    if dry_run:
        retire(store.read_pointer(name)[0])
        return pruned
    pointer = change_head(store, name, retire)
    remove_pin_objects(store, name, objects)
    for revision in store.revision_numbers(name, CONTENT_OF_REVISION):
        if pointer.retires(revision):
            _remove(store, name, revision)
    _remove_signatures(store, name, pointer)
    store.objects.sweep()
    return pruned


def remove_old_claims(store: ModelStore, name: str, *, dry_run: bool = False) -> list[str]:
    """Remove the claims of numbers that have ended: retired, up to the floor, without content.

    Returns:
        The keys that were removed, or would be.

    Raises:
        StoreError: the store cannot be read, or does not let them be removed.
    """
    pointer, _ = store.read_pointer(name)
    if pointer is None:
        return []
    numbers = Numbers.listed(store, name)
    highest = max([pointer.floor, *numbers.given])

    def has_ended(number: int) -> bool:
        return (
            number <= pointer.floor
            and number != highest
            and pointer.retires(number)
            and number not in numbers.content
        )

    def number_of(key: str) -> int:
        stored = store.objects.read(key, SMALL_BYTES)
        # A damaged document says nothing, and stays.
        try:
            return Claim.parse(stored[0], key).revision if stored else highest
        except StoreDamagedError:
            return highest

    # A run's document goes first: without it, a second attempt of the run takes a new number.
    with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
        of_runs = dict(zip(numbers.runs, pool.map(number_of, numbers.runs), strict=True))
    keys = [key for key, number in of_runs.items() if has_ended(number)]
    keys += [key for number, key in numbers.claims.items() if has_ended(number)]
    for key in keys if not dry_run else []:
        store.objects.remove(key)
    return keys


class Numbers(NamedTuple):
    """What lies under NAME/revisions, by the number that it belongs to.

    Attributes:
        claims: the key of each claim.
        content: the files of each number, its card and its report.
        runs: the keys that say which number a run has.
        complete: the numbers with a manifest, ascending.
    """

    claims: dict[int, str]
    content: dict[int, list[Entry]]
    runs: list[str]
    complete: list[int]

    @classmethod
    def listed(cls, store: StoreReader, name: str) -> "Numbers":
        """Look once; what is no revision of ours, such as `007/a`, is left out."""
        folder = f"{checked_name(name)}/revisions/"
        numbers = cls({}, {}, [], [])
        for entry in store.objects.entries(folder):
            key = entry.key.removeprefix(folder)
            if match := re.fullmatch(rf"{NUMBER}\.claim", key):
                numbers.claims[int(match[1])] = entry.key
            elif match := re.fullmatch(CONTENT_OF_REVISION, key):
                numbers.content.setdefault(int(match[1]), []).append(entry)
                if key == f"{match[1]}/{MANIFEST}":
                    numbers.complete.append(int(match[1]))
            elif "/" not in key and key.endswith(".run"):
                numbers.runs.append(entry.key)
        numbers.complete.sort()
        return numbers

    @property
    def given(self) -> list[int]:
        """All numbers that have a claim or content, ascending."""
        return sorted({*self.claims, *self.content})

    def age(self, store: StoreReader, name: str, number: int) -> timedelta:
        """How long ago a number was claimed; without a claim, when its last file was written."""
        key = f"{name}/revisions/{number}.claim"
        moments = [entry.updated for entry in self.content.get(number, [])]
        if stored := store.objects.read(key, SMALL_BYTES):
            claimed = Claim.parse(stored[0], f"store {store.uri}: {key}").created
            try:
                moment = datetime.fromisoformat(claimed)
            except ValueError as fault:
                raise StoreDamagedError(
                    f"store {store.uri}: {key} is damaged (created: {claimed!r} is no time)",
                    Claim.remedy,
                ) from fault
            moments = [moment if moment.tzinfo else moment.replace(tzinfo=UTC)]
        return datetime.now(UTC) - max(moments, default=datetime.now(UTC))


def _kept(
    store: StoreReader,
    name: str,
    revisions: Collection[int],
    pointer: Pointer,
    keep: int | None,
    dependency: Dependency,
) -> set[int]:
    """The revisions that stay: the chosen ones, and the one on which each of them depends.

    What those depend on is not needed: a run looks at the anchor of the live revision only.
    """
    if keep is None:
        return set(revisions)
    newest = sorted(revisions)[-keep:] if keep else []  # [-0:] would be all of them
    in_any_case = _kept_in_any_case(pointer)
    chosen = {*newest, *in_any_case} & {*revisions}
    needed = []
    for revision in sorted(chosen):
        try:
            needed.append(dependency(store.read_manifest(name, revision, pointer)[0]))
        except (StoreDamagedError, StoreUntrustedError):
            # It stays, and needs nothing: it cannot go live. Otherwise one bad revision among the
            # newest would stop every prune.
            if revision in in_any_case:
                raise
    return {*chosen, *(each for each in needed if each is not None and each in revisions)}


def _kept_in_any_case(pointer: Pointer) -> set[int]:
    previous = [] if pointer.previous is None else [pointer.previous]
    return {pointer.live, *previous, *(pin.revision for pin in pointer.pins)}


def _remove(store: ModelStore, name: str, revision: int) -> None:
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
    for ending in ("card.md", "report.html"):
        store.objects.remove(f"{folder}.{ending}")


def _remove_signatures(store: ModelStore, name: str, pointer: Pointer) -> None:
    """Remove the signatures of retired revisions, and of all HEADs but this one.

    Younger ones of HEAD stay: of a HEAD that is written next, or that a replica still shows.
    """
    folder = f"{name}/revisions/"
    for key in store.objects.keys(folder):
        match = re.fullmatch(SIGNATURE_OF_REVISION, key.removeprefix(folder))
        if match and pointer.retires(int(match[1])):
            store.objects.remove(key)
    own = head_signature_key(name, pointer.to_bytes())
    for entry in store.objects.entries(f"{name}/{SIGNATURES}/"):
        if entry.key != own and datetime.now(UTC) - entry.updated > LEFTOVER_AGE:
            store.objects.remove(entry.key)
