"""A local folder as a place of objects."""

import errno
import fcntl
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from setlist.errors import (
    StoreDamagedError,
    StoreError,
    StoreNotFoundError,
    StoreRefusedError,
    StoreUnreachableError,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

COPY_BLOCK_BYTES = 1024 * 1024
REPLACE_ATTEMPTS = 10
"""How often a file is renamed to its key before a vanished folder counts as a fault."""

REFUSED = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG)
)
"""Faults of the operating system that remain until somebody changes permissions or frees space."""
OCCUPIED = frozenset((errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP))
"""Faults of a path on which something else lies than the store has written."""

ByteCallback = Callable[[int], object]
"""Called with the number of bytes of a file that were copied since the last call."""


def ignore_bytes(_: int) -> None:
    """The `ByteCallback` for a copy whose progress nobody follows."""


class CountedFile(io.FileIO):
    """A file that reports how many bytes are read from it or written to it."""

    def __init__(self, path: Path, mode: str, report: ByteCallback) -> None:
        super().__init__(path, mode)
        self._report = report

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file, and report the number of bytes."""
        content = super().read(-1 if size is None else size)
        self._report(len(content))
        return content

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write like any file, and report the number of bytes."""
        written = super().write(content)
        self._report(written)
        return written


class LocalFolder:
    """Objects as files below a folder, shared by the processes of one machine.

    Besides the keys, the folder holds `.lock`, under which documents are compared and swapped, and
    `.partial/`, where files are written before they are renamed to their key.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(root)
        self._partial = self.root / ".partial"
        with self._store_errors("open", "the folder", occupied=StoreNotFoundError):
            self._partial.mkdir(parents=True, exist_ok=True)
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise StoreRefusedError(
                f"store {self.uri}: no permission to write", "choose another folder"
            )

    def keys(self, folder: str) -> list[str]:
        """List all keys below a folder, in order.

        A link to a folder is listed as a key, so that it is noticed as a file too many.
        """
        with self._store_errors("list", folder):
            self._check_root()
            return sorted(
                (Path(parent) / name).relative_to(self.root).as_posix()
                for parent, folders, files in os.walk(
                    self.root / folder, onerror=_raise_unless_absent
                )
                for name in [
                    *files,
                    *(name for name in folders if (Path(parent) / name).is_symlink()),
                ]
            )

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a small document and the SHA-256 of its content, or None."""
        with self._store_errors("read", key):
            try:
                content = self._file(key).read_bytes()
            except FileNotFoundError:
                self._check_root()
                return None
        return content, _sha256(content)

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Write a document if the key holds the version `expected`; None if it does not."""
        with self._store_errors("write", key), self._locked():
            stored = self.read(key)
            if (stored and stored[1]) != expected:
                return None
            with self._new_content(key) as file:
                file.write_bytes(content)
        return _sha256(content)

    def upload(self, source: Path, key: str, report: ByteCallback = ignore_bytes) -> None:
        """Copy a file in: into `.partial/` first, then renamed to its key."""
        with self._store_errors("write", key), self._new_content(key) as file:
            _copy(source, file, report)

    def holds(self, source: Path, key: str) -> bool:
        """Whether size and SHA-256 of the key's content are those of the file."""
        with self._store_errors("read", key):
            stored = self._file(key)
            try:
                if stored.stat().st_size != source.stat().st_size:
                    return False
            except FileNotFoundError:
                return False
            return _sha256_of_file(stored) == _sha256_of_file(source)

    def download(self, key: str, target: Path, report: ByteCallback = ignore_bytes) -> None:
        """Copy a file out."""
        with self._store_errors("read", key):
            _copy(self._file(key), target, report)

    def remove(self, key: str) -> None:
        """Unlink the file, and the folders that are empty without it."""
        with self._store_errors("remove", key), self._locked():
            file = self.root / key
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self.root or not _remove_if_empty(folder):
                    break

    def sweep(self) -> int:
        """Remove the partial files whose writers are dead; return how many files that were."""
        swept = 0
        with self._store_errors("clean", ".partial"):
            for file in self._partial.iterdir():
                try:
                    # A living writer holds a lock on its file, so this lock fails at once.
                    with file.open("rb") as partial:
                        fcntl.flock(partial, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        file.unlink()
                        swept += 1
                except (BlockingIOError, FileNotFoundError):
                    continue  # its writer is alive, or has just renamed or removed it
        return swept

    def _file(self, key: str) -> Path:
        """The path of a key's content, which must not be a link or lie behind a link."""
        file = self.root / key
        if os.path.realpath(file) != str(Path(os.path.realpath(self.root)) / key):
            raise StoreDamagedError(
                f"store {self.uri}: {key} is a link, or leaves the store",
                "put the file in its place, or stage the model again",
            )
        return file

    def _check_root(self) -> None:
        """Raise FileNotFoundError if the whole store has vanished since it was opened.

        Without this check, a drive that was unmounted would look like an empty store.
        """
        self._partial.stat()

    @contextmanager
    def _new_content(self, key: str) -> Iterator[Path]:
        """A new file to write, which is renamed to the key when the block ends without a fault.

        The file is locked as long as it is written; the kernel unlocks it when its writer dies.
        """
        target = self.root / key
        file, descriptor = self._new_partial_file()
        try:
            yield file
            # A rename can survive a power cut although the content does not; so content first.
            os.fsync(descriptor)
            for attempt in range(REPLACE_ATTEMPTS):
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    file.replace(target)
                    break
                except FileNotFoundError:
                    # `remove` of another process has taken the folder away while it was empty.
                    if attempt == REPLACE_ATTEMPTS - 1:
                        raise
        finally:
            file.unlink(missing_ok=True)
            os.close(descriptor)

    def _new_partial_file(self) -> tuple[Path, int]:
        """An empty file in `.partial/` and the descriptor that holds its lock."""
        while True:
            file = self._partial / uuid.uuid4().hex
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have swept the file before it was locked; then take a new file.
            if os.fstat(descriptor).st_nlink:
                return file, descriptor
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Opened for reading, so that the lock works for every account that may write the store,
        # whichever account created the lock file.
        descriptor = os.open(self.root / ".lock", os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _store_errors(
        self, action: str, target: str, occupied: type[StoreError] = StoreDamagedError
    ) -> Iterator[None]:
        """Raise an error of the operating system as the `StoreError` that says what it means.

        Args:
            action: such as "read".
            target: what the action was applied to, such as a key.
            occupied: the class for a path on which something else lies.
        """
        try:
            yield
        except OSError as fault:
            if fault.errno in REFUSED:
                error: type[StoreError] = StoreRefusedError
            elif fault.errno == errno.ENOENT:
                error = StoreNotFoundError
            elif fault.errno in OCCUPIED:
                error = occupied
            else:  # such as a network drive that does not answer
                error = StoreUnreachableError
            raise error(
                f"store {self.uri}: cannot {action} {target} ({fault.strerror or fault})",
                "check the path, its permissions and the space left",
            ) from fault


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_of_file(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _raise_unless_absent(fault: OSError) -> None:
    if not isinstance(fault, FileNotFoundError):
        raise fault


def _copy(source: Path, target: Path, report: ByteCallback) -> None:
    with source.open("rb") as file, CountedFile(target, "wb", report) as copy:
        shutil.copyfileobj(file, copy, COPY_BLOCK_BYTES)


def _remove_if_empty(folder: Path) -> bool:
    """Remove a folder if it is empty; whether it was."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
