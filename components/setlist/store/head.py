"""HEAD of a name: the one object that decides every race, and the one place that writes it."""

from collections.abc import Callable

from setlist.store.manifest import Pointer
from setlist.store.race import Race
from setlist.store.reader import StoreReader

Change = Callable[[Pointer | None], Pointer]
"""Decides what HEAD becomes, from what it is; it may be asked several times, and may raise."""


def write_head(store: StoreReader, pointer: Pointer, before: tuple[bytes, str] | None) -> bool:
    """Write HEAD and, before it, its signature, if the object has not changed; whether it had not.

    Args:
        store: where.
        pointer: what HEAD will hold.
        before: the bytes that it holds now, and their version; None where there is no HEAD.

    Raises:
        StoreRefusedError: the store does not take it, it is too large, or HEAD is signed and there
            is no key.
    """
    key = f"{pointer.name}/HEAD"
    content = pointer.to_writable_bytes(f"store {store.uri}: {key}")
    store.signatures.sign_head(pointer.name, content, before[0] if before else None)
    version = before[1] if before else None
    return store.objects.write(key, content, expected=version) is not None


def change_head(store: StoreReader, name: str, change: Change) -> Pointer:
    """Replace HEAD by what a function makes of it, and do so again where others were faster.

    Returns:
        HEAD as it is now; where the function changes nothing, nothing is written.

    Raises:
        StoreConflictError: others were faster each time.
    """
    race = Race(f"store {store.uri}: {name}/HEAD")
    while True:
        pointer, version = store.read_pointer(name)
        changed = change(pointer)
        before = (pointer.to_bytes(), version) if pointer and version else None
        if changed == pointer or write_head(store, changed, before):
            return changed
        race.lost()
