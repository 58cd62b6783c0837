"""HEAD of a name: the one object that decides every race, and the one place that writes it."""

from collections.abc import Callable

from setlist.store.manifest import Pointer
from setlist.store.objects import Objects
from setlist.store.race import Race
from setlist.store.reader import StoreReader

Change = Callable[[Pointer | None], Pointer]
"""Decides what HEAD becomes, from what it is; it may be asked several times, and may raise."""


def write_head(objects: Objects, pointer: Pointer, version: str | None) -> bool:
    """Write HEAD if the object still has this version; whether it had.

    Raises:
        StoreRefusedError: the store does not take it, or it is too large.
    """
    key = f"{pointer.name}/HEAD"
    content = pointer.to_writable_bytes(f"store {objects.uri}: {key}")
    return objects.write(key, content, expected=version) is not None


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
        if changed == pointer or write_head(store.objects, changed, version):
            return changed
        race.lost()
