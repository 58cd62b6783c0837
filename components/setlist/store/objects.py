"""Where objects live: a local folder or a Google Cloud Storage prefix behind one small interface.

A key is a relative path with forward slashes. A version is an opaque token for what a key holds;
it changes with every write, so that a document can be replaced by compare-and-swap.
"""

import re
from pathlib import Path
from typing import Protocol

from setlist.errors import SettingsError
from setlist.store.folder import ByteCallback, LocalFolder, ignore_bytes


class Objects(Protocol):
    """What the model store needs of a place of objects. Several threads may use one at once.

    Every method raises the `StoreError` that fits, with the key in its message:
    StoreNotFoundError for a bucket, folder or object that does not exist; StoreDamagedError for
    content that did not arrive whole, or a key on which something else lies; StoreRefusedError
    where permissions, retention or space forbid it; StoreUnreachableError where there is no answer.
    A key that holds another version than expected is no fault; see `write`.
    """

    uri: str

    def keys(self, folder: str) -> list[str]:
        """List all keys below a folder ("" or "a/b/"), however deep, in order."""

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a small document and its version, or None where the key holds nothing."""

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Write a small document if the key holds the version `expected` (None: nothing).

        Returns the new version, or None when the key holds something else: of several writers
        that expect the same version, one succeeds.
        """

    def upload(self, source: Path, key: str, report: ByteCallback = ignore_bytes) -> None:
        """Copy a file into the store; after a fault, the key holds what it held before."""

    def holds(self, source: Path, key: str) -> bool:
        """Whether the key holds what the file holds, by size and checksum."""

    def download(self, key: str, target: Path, report: ByteCallback = ignore_bytes) -> None:
        """Copy a file out of the store."""

    def remove(self, key: str) -> None:
        """Make the key hold nothing; no fault where it holds nothing already."""

    def sweep(self) -> int:
        """Remove what killed uploads have left; return how many files that were."""


def open_objects(uri: str, retry_seconds: float | None = None) -> Objects:
    """Open the place that an address names: "gs://bucket/prefix", or a local folder.

    A local folder is created when it is missing.

    Args:
        uri: the address.
        retry_seconds: after this, a bucket that answers with faults is not asked again; for a
            caller with a deadline, who wants to hear the fault before it.

    Raises:
        SettingsError: the text is no address, or has an unknown scheme.
        StoreError: the place cannot be used; see `Objects`.
    """
    if match := re.fullmatch(r"gs://([^/]+)/*(.*?)/*", uri):
        # Imported here, so that a local store does not pay for the import.
        from setlist.store.bucket import GoogleCloudStorage

        return GoogleCloudStorage(match[1], match[2], retry_seconds)
    if not uri or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", uri):
        raise SettingsError(
            f"store: {uri!r} is no address of a store", "write gs://bucket/prefix or a local folder"
        )
    return LocalFolder(Path(uri).expanduser())
