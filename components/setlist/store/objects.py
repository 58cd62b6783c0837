"""Where objects live: a local folder or a Google Cloud Storage prefix behind one small interface.

A key is a relative path with forward slashes. A version is an opaque token for what a key holds;
it changes with every write, so that a document can be replaced by compare-and-swap.
"""

import re
from pathlib import Path
from typing import Protocol

from setlist.addresses import folders_fault
from setlist.errors import SettingsError
from setlist.store.folder import ByteCallback, Entry, LocalFolder, ignore_bytes
from setlist.store.sizes import DOCUMENT_BYTES


class Objects(Protocol):
    """What the model store needs of a place of objects. Several threads may use one at once.

    Every method raises the `StoreError` that fits, with the key in its message:
    StoreNotFoundError for a bucket, folder or object that does not exist; StoreDamagedError for
    content that did not arrive whole or is larger than allowed, or a key on which something else
    lies; StoreRefusedError where permissions, retention or space forbid it; StoreUnreachableError
    where there is no answer, or somebody else answers. A key that holds another version than
    expected is no fault; see `write`.
    """

    uri: str

    def keys(self, folder: str) -> list[str]:
        """List all keys below a folder ("" or "a/b/"), however deep, in order."""

    def entries(self, folder: str) -> list[Entry]:
        """List the same with size and time of the last write."""

    def read(self, key: str, limit: int = DOCUMENT_BYTES) -> tuple[bytes, str] | None:
        """Return a document and its version, or None where the key holds nothing.

        Args:
            key: of the document.
            limit: more bytes than this are a StoreDamagedError, and are not read.
        """

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Write a small document if the key holds the version `expected` (None: nothing).

        There are three answers. Written: the new version. Lost: None, the key holds something
        else, because somebody else was faster; of several writers that expect the same version,
        one succeeds. Refused: StoreRefusedError, the key holds what was expected, and the place
        does not take the write.
        """

    def upload(self, source: Path, key: str, report: ByteCallback = ignore_bytes) -> None:
        """Copy a file into the store; after a fault, the key holds what it held before."""

    def holds(self, source: Path, key: str) -> bool:
        """Whether the key holds what the file holds, by size and checksum."""

    def download(
        self,
        key: str,
        target: Path,
        report: ByteCallback = ignore_bytes,
        limit: int | None = None,
    ) -> None:
        """Copy a file out of the store; more bytes than the limit are a StoreDamagedError."""

    def remove(self, key: str) -> None:
        """Make the key hold nothing; no fault where it holds nothing already."""

    def sweep(self, *, dry_run: bool = False) -> int:
        """Remove what killed uploads have left; return how many files that are or were."""


def open_objects(uri: str, retry_seconds: float | None = None) -> Objects:
    """Open the place that an address names, for writing: "gs://bucket/prefix", or a local folder.

    A local folder is created when it is missing.

    Args:
        uri: the address.
        retry_seconds: after this, a bucket that answers with faults is not asked again; for a
            caller with a deadline, who wants to hear the fault before it.

    Raises:
        SettingsError: the text is no address, or has an unknown scheme.
        StoreError: the place cannot be used; see `Objects`.
    """
    return _open(uri, retry_seconds) or LocalFolder(Path(uri).expanduser())


def read_only_objects(
    uri: str, retry_seconds: float | None = None, *, new: bool = False
) -> Objects:
    """Open the same for reading: nothing is created, and no permission to write is needed.

    Args:
        uri: the address.
        retry_seconds: see `open_objects`.
        new: whether a local folder that does not exist counts as one that holds nothing, as
            before the first run.

    Raises:
        SettingsError: the text is no address, or has an unknown scheme.
        StoreNotFoundError: there is no such folder or bucket, or the folder is empty.
        StoreError: the place cannot be used; see `Objects`.
    """
    return _open(uri, retry_seconds) or LocalFolder(Path(uri).expanduser(), writable=False, new=new)


def _open(uri: str, retry_seconds: float | None) -> Objects | None:
    """The bucket that an address names; None for a local folder."""
    if match := re.fullmatch(r"gs://([^/]+)/*(.*?)/*", uri):
        if sentence := folders_fault(uri):
            raise SettingsError(f"store: {sentence}.")
        # Imported here, so that a local store does not pay for the import.
        from setlist.store.bucket import GoogleCloudStorage

        return GoogleCloudStorage(match[1], match[2], retry_seconds)
    if not uri or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", uri):
        raise SettingsError(
            f"store: {uri!r} is no address of a store", "write gs://bucket/prefix or a local folder"
        )
    return None
