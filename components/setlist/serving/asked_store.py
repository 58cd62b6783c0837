"""A store that is asked with deadlines: a follower never waits for an answer that does not come.

A proxy that sends a byte every few seconds keeps every read of a client from timing out. So the
whole of an answer has a deadline here, and a thread that waits for one is left behind.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from setlist.errors import StoreUnreachableError
from setlist.serving.attempts import Attempts, OverdueError
from setlist.serving.wanted import Wanted, find_wanted
from setlist.store.manifest import Manifest
from setlist.store.reader import StoreReader, open_reader
from setlist.store.signing import TrustedKeys

READ_SECONDS = 30.0
"""For HEAD, and for a manifest: a few KB, which a store that works sends in less than one."""
DOWNLOAD_SECONDS = 60.0
"""For a download of any size: connections, a listing, and what the client tries again."""
DOWNLOAD_BYTES_PER_SECOND = 2_000_000
"""The slowest line worth waiting for: a model of 1 GB takes 8 minutes on it."""

T = TypeVar("T")


class AskedStore:
    """A model in a store; every method raises StoreError, also when the time is over."""

    def __init__(self, uri: str, name: str, trusted: TrustedKeys | None = None) -> None:
        """The store is opened by the first question.

        Args:
            uri: its address.
            name: of the model.
            trusted: the keys of which one must have signed what is read; None: nothing is checked.
        """
        self._uri, self._name, self._trusted = uri, name, trusted
        self._opened: StoreReader | None = None
        self._attempts = Attempts(f"ask for {name}")

    def wanted(self, fixed: int | None) -> Wanted:
        """What should be in use; see `find_wanted`."""
        return self._ask(READ_SECONDS, partial(find_wanted, name=self._name, fixed=fixed))

    def manifest(self, wanted: Wanted) -> Manifest:
        """The manifest of a wanted revision."""
        return self._ask(
            READ_SECONDS,
            lambda store: store.read_manifest(self._name, wanted.revision, wanted.pointer)[0],
        )

    def signature(self, manifest: Manifest) -> str:
        """The signature of a revision as text; "" where it has none."""
        bundle = self._ask(
            READ_SECONDS,
            lambda store: store.signatures.of_revision(manifest, manifest.identity),
        )
        return (bundle or b"").decode("utf-8", "replace")

    def download(self, manifest: Manifest, to: Path) -> None:
        """Copy a revision into a new folder, every file verified.

        When the time is over, the files may appear there all the same, later.
        """
        self._ask(download_seconds(manifest), lambda store: store.download(manifest, to))

    def stop(self) -> None:
        """End a question that is under way, from another thread; none is answered any more."""
        self._attempts.stop()

    def _ask(self, seconds: float, question: Callable[[StoreReader], T]) -> T:
        try:
            if self._opened is None:
                # The client gives up before the deadline, so that its reason is heard.
                opening = partial(
                    open_reader,
                    self._uri,
                    retry_seconds=READ_SECONDS / 2,
                    trusted=self._trusted,
                )
                self._opened = self._attempts.run(opening, READ_SECONDS)
            return self._attempts.run(partial(question, self._opened), seconds)
        except OverdueError:
            # A new client is asked next: a thread that was left behind may hold this one's
            # connections.
            self._opened = None
            raise StoreUnreachableError(
                f"the store {self._uri} did not answer within {seconds:.0f} s",
                "check the connection",
            ) from None


def download_seconds(manifest: Manifest) -> float:
    """The deadline for the download of a revision."""
    size = sum(file.size for file in manifest.files.values())
    return DOWNLOAD_SECONDS + size / DOWNLOAD_BYTES_PER_SECOND
