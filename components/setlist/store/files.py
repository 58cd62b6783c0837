"""What both places of objects have in common: entries of a listing, and files that count bytes."""

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from setlist.errors import StoreDamagedError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ByteCallback = Callable[[int], object]
"""Called with the number of bytes of a file that were copied since the last call."""


class Entry(NamedTuple):
    """An object of a listing: its key, its size in bytes, and when it was written."""

    key: str
    size: int
    updated: datetime


def ignore_bytes(_: int) -> None:
    """The `ByteCallback` for a copy whose progress nobody follows."""


class CountedFile(io.FileIO):
    """A file that reports how many bytes are read from it or written to it, and has a limit."""

    def __init__(
        self,
        path: Path,
        mode: str,
        report: ByteCallback,
        limit: int | None = None,
        uri: str = "",
        key: str = "",
    ) -> None:
        """Open the file.

        Args:
            path: of the file.
            mode: "rb" or "wb".
            report: hears how many bytes were read or written.
            limit: more bytes than this are not written.
            uri: of the store, for the message of the fault.
            key: of the object, for the same.
        """
        super().__init__(path, mode)
        self._report, self._limit, self._uri, self._key = report, limit, uri, key

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file, and report the number of bytes."""
        content = super().read(-1 if size is None else size)
        self._report(len(content))
        return content

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write like any file, and report the number of bytes.

        Raises:
            StoreDamagedError: the file has more bytes than it may have.
        """
        size = memoryview(content).nbytes
        if self._limit is not None and self.tell() + size > self._limit:
            raise too_large(self._uri, self._key, self._limit)
        written = super().write(content)
        self._report(written)
        return written


class LimitedBuffer(io.BytesIO):
    """Bytes in memory, up to a limit."""

    def __init__(self, uri: str, key: str, limit: int) -> None:
        super().__init__()
        self._uri, self._key, self._limit = uri, key, limit

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write like any buffer.

        Raises:
            StoreDamagedError: there are more bytes than allowed.
        """
        if self.tell() + memoryview(content).nbytes > self._limit:
            raise too_large(self._uri, self._key, self._limit)
        return super().write(content)


def too_large(uri: str, key: str, limit: int, size: int | None = None) -> StoreDamagedError:
    """The fault of an object that is larger than it can be."""
    has = f"has {size:,} bytes" if size is not None else "is larger"
    return StoreDamagedError(
        f"store {uri}: {key} is damaged (it {has}, and can have {limit:,} at most)", "restore it"
    )
