"""Pins: revisions that no prune removes; they are a part of HEAD, see `setlist.store.retention`.

Former versions wrote a pin as an object beside its revision. Such pins are honoured; the next pin
or prune takes them into HEAD.
"""

from collections.abc import Collection

from setlist.errors import StoreNotFoundError
from setlist.store.head import change_head
from setlist.store.manifest import NUMBER, Pin, PinObject, Pointer, this_person, utc_text
from setlist.store.model_store import ModelStore
from setlist.store.reader import StoreReader, checked_name
from setlist.store.sizes import SMALL_BYTES


def pins(store: StoreReader, name: str) -> dict[int, Pin]:
    """The pins of a name, by revision.

    Raises:
        StoreDamagedError: HEAD, or a pin of a former version, cannot be read.
    """
    pointer, _ = store.read_pointer(name)
    of_head = {pin.revision: pin for pin in pointer.pins} if pointer else {}
    return dict(sorted((pin_objects(store, name) | of_head).items()))


def pin(store: ModelStore, name: str, revision: int, why: str) -> Pin:
    """Keep a revision until it is unpinned; an existing pin stays as it is.

    Raises:
        StoreNotFoundError: there is no such revision, it is being pruned, or nothing is live.
        StoreConflictError: others wrote HEAD each time.
        StoreRefusedError: the store does not take it.
    """
    store.manifest(name, revision)
    new_pin = Pin(revision=revision, who=this_person(), when=utc_text(), why=why)
    objects = pin_objects(store, name)

    def add(pointer: Pointer | None) -> Pointer:
        if pointer is None:
            raise StoreNotFoundError(
                f"store {store.uri}: nothing is live under {name}, so nothing is pruned and no pin "
                "is needed."
            )
        store.refuse_pruned(name, revision, pointer)
        return with_pins(pointer, {revision: new_pin} | objects)

    pointer = change_head(store, name, add)
    remove_pin_objects(store, name, objects)
    return next(pin for pin in pointer.pins if pin.revision == revision)


def unpin(store: ModelStore, name: str, revision: int) -> None:
    """Remove a pin.

    Raises:
        StoreNotFoundError: the revision is not pinned.
        StoreConflictError: others wrote HEAD each time.
        StoreRefusedError: the store does not take it.
    """
    pointer, _ = store.read_pointer(checked_name(name))
    # Not parsed: a damaged pin of a former version is removed by this.
    is_object = store.objects.read(_pin_key(name, revision), SMALL_BYTES) is not None
    is_in_head = bool(pointer and any(pin.revision == revision for pin in pointer.pins))
    if not (is_object or is_in_head):
        raise StoreNotFoundError(f"store {store.uri}: revision {revision} of {name} is not pinned.")
    # Before HEAD: a prune that still sees the object takes it into HEAD.
    remove_pin_objects(store, name, [revision] if is_object else [])

    def take_off(pointer: Pointer | None) -> Pointer:
        if pointer is None:
            raise StoreNotFoundError(f"store {store.uri}: nothing is live under {name}.")
        left = [pin for pin in pointer.pins if pin.revision != revision]
        return pointer.model_copy(update={"pins": left})

    if is_in_head:
        change_head(store, name, take_off)


def with_pins(pointer: Pointer, additional: dict[int, Pin]) -> Pointer:
    """HEAD with more pins; one that it has already stays as it is."""
    of_head = {pin.revision: pin for pin in pointer.pins}
    more = {each: pin for each, pin in additional.items() if not pointer.retires(each)}
    merged = dict(sorted((more | of_head).items()))
    return pointer.model_copy(update={"pins": list(merged.values())})


def pin_objects(store: StoreReader, name: str) -> dict[int, Pin]:
    """The pins that former versions wrote."""
    by_revision = {}
    for revision in store.revision_numbers(name, rf"{NUMBER}\.pin"):
        key = _pin_key(name, revision)
        # A pin may be taken off between the listing and this moment.
        if stored := store.objects.read(key, SMALL_BYTES):
            old = PinObject.parse(stored[0], f"store {store.uri}: {key}")
            by_revision[revision] = Pin(revision=revision, who=old.who, when=old.when, why=old.why)
    return by_revision


def remove_pin_objects(store: ModelStore, name: str, revisions: Collection[int]) -> None:
    """Remove the pins that former versions wrote, once HEAD has them."""
    for revision in revisions:
        store.objects.remove(_pin_key(name, revision))


def _pin_key(name: str, revision: int) -> str:
    return f"{name}/revisions/{revision}.pin"
