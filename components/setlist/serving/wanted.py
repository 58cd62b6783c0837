"""Which revision should be in use, by the word of a store."""

from dataclasses import dataclass

from setlist.errors import StoreNotFoundError
from setlist.store.manifest import Pointer
from setlist.store.reader import StoreReader


@dataclass(frozen=True)
class Followed:
    """Which HEAD was followed: its number, and the origin from which the number counts."""

    number: int
    origin: str


@dataclass(frozen=True)
class Wanted:
    """The revision that should be in use.

    Attributes:
        revision: its number.
        identity: SHA-256 of its manifest's bytes; of two models with one number, it says which.
        pointer: HEAD when it was read; None where there is none, and the revision is a fixed one.
    """

    revision: int
    identity: str
    pointer: Pointer | None

    @property
    def promoted(self) -> str:
        """When it was promoted last (UTC, ISO); "" if the store does not remember."""
        promotions = self.pointer.promotions if self.pointer else []
        times = [one.when for one in promotions if one.revision == self.revision]
        return times[-1] if times else ""

    @property
    def followed(self) -> Followed:
        """What is remembered of its HEAD when it is followed."""
        return Followed(self.pointer.number, self.pointer.origin) if self.pointer else NO_HEAD

    def older_than(self, followed: Followed) -> bool:
        """Whether HEAD is an older copy of what was followed; unknown of another origin: False."""
        mine = self.followed
        return mine.origin == followed.origin and mine.number < followed.number


NO_HEAD = Followed(0, "")


def find_wanted(store: StoreReader, name: str, fixed: int | None) -> Wanted:
    """The revision that HEAD names, or the fixed one, of which the manifest is read as well.

    Raises:
        StoreNotFoundError: nothing is live, or there is no such revision.
        StoreError: the store cannot be read, or a document is damaged.
    """
    pointer, _ = store.read_pointer(name)
    if fixed is not None:
        return Wanted(fixed, store.read_manifest(name, fixed, pointer)[1], pointer)
    if pointer is None:
        raise StoreNotFoundError(
            f"store {store.uri}: nothing is live under {name} yet",
            "run the pipeline, or promote a staged revision",
        )
    return Wanted(pointer.live, pointer.live_manifest, pointer)
