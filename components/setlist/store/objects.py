"""Where objects live: a local folder or a Google Cloud Storage prefix behind one small interface.

A key is a relative path with forward slashes. A version is an opaque token for what a key holds;
it changes with every write, so that a document can be replaced by compare-and-swap.
"""

import re
from pathlib import Path
from typing import Protocol

from setlist.errors import SetlistError
from setlist.store.counted import Count, ignore
from setlist.store.folder import LocalFolder


class Objects(Protocol):
    """What the model store asks of a place. Every fault is a SetlistError that names the key.

    Several threads may use one at once.
    """

    uri: str

    def keys(self, folder: str) -> list[str]:
        """All keys below a folder ("" or "a/b/"), however deep, in order."""

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small document and its version, or None where the key holds nothing."""

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Put a small document where the version `expected` still is (None: nothing).

        Returns the new version, or None when the key holds something else: of several writers
        that expect the same, one succeeds.
        """

    def upload(self, source: Path, key: str, count: Count = ignore) -> None:
        """Copy a file into the store; the key holds all of it or is as it was."""

    def holds(self, source: Path, key: str) -> bool:
        """Whether the key holds what the file holds, by size and checksum."""

    def download(self, key: str, target: Path, count: Count = ignore) -> None:
        """Copy a file out of the store."""

    def remove(self, key: str) -> None:
        """Make the key hold nothing, whatever it held; no fault where it holds nothing."""

    def sweep(self) -> int:
        """Remove what killed uploads left beside the keys; how many files that were."""


def open_objects(uri: str) -> Objects:
    """The place that a store's address names: "gs://bucket/prefix" or a local folder, made if new.

    Raises:
        SetlistError: the scheme is unknown, the bucket is missing, or access is denied.
    """
    if match := re.fullmatch(r"gs://([^/]+)/*(.*?)/*", uri):
        # Imported here, so that a local store does not pay for it.
        from setlist.store.bucket import GoogleCloudStorage

        return GoogleCloudStorage(match[1], match[2])
    if not uri or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", uri):
        raise SetlistError(
            f"store: {uri!r} is no address of a store; write gs://bucket/prefix or a local folder."
        )
    return LocalFolder(Path(uri).expanduser())
