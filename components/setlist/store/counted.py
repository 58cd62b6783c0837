"""Files that tell how many of their bytes have passed."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Count = Callable[[int], object]
"""Told how many more bytes of a file have passed."""


def ignore(_: int) -> None:
    """The `Count` of whoever does not want to know."""


class Counted(io.FileIO):
    """A file that tells how many bytes are read from it or written to it."""

    def __init__(self, path: Path, mode: str, count: Count) -> None:
        super().__init__(path, mode)
        self._count = count

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        content = super().read(-1 if size is None else size)
        self._count(len(content))
        return content

    def write(self, content: "ReadableBuffer", /) -> int:
        """As of any file."""
        written = super().write(content)
        self._count(written)
        return written
