"""A local folder as a place of objects."""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from setlist.errors import (
    StoreDamagedError,
    StoreError,
    StoreNotFoundError,
    StoreRefusedError,
    StoreUnreachableError,
)
from setlist.store.files import ByteCallback, CountedFile, Entry, ignore_bytes, too_large
from setlist.store.sizes import DOCUMENT_BYTES, LISTED_KEYS

__all__ = ["ByteCallback", "CountedFile", "Entry", "LocalFolder", "ignore_bytes"]

COPY_BLOCK_BYTES = 1024 * 1024
REPLACE_ATTEMPTS = 10
"""How often a file is renamed to its key before a vanished folder counts as a fault."""
NEW_FILE_ATTEMPTS = 10
"""How often a new partial file may be swept before it is locked."""

PERMISSION = "check the permissions of the path, or choose another folder"
REFUSED = {
    errno.EACCES: PERMISSION,
    errno.EPERM: PERMISSION,
    errno.EROFS: "mount it for writing, or choose another folder; to read, nothing is to be done",
    errno.ENOSPC: "free space there, or choose another folder",
    errno.EDQUOT: "free space there, or have the quota of this account raised",
    errno.EFBIG: "raise the limit of the size of a file (ulimit -f), or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOLCK: "choose a folder on a file system with locks",
    errno.EOPNOTSUPP: "choose a folder on a file system with locks",
}
"""Faults of the operating system that remain until somebody acts, each with what to do."""
OCCUPIED = frozenset((errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP))
"""Faults of a path on which something else lies than the store has written."""


class LocalFolder:
    """Objects as files below a folder, shared by the processes of one machine.

    Besides the keys, the folder holds `.lock`, under which documents are compared and swapped, and
    `.partial/`, where files are written before they are renamed to their key.
    """

    def __init__(self, root: Path, *, writable: bool = True, new: bool = False) -> None:
        """Open the folder; one that is writable is created when it is missing.

        Args:
            root: the folder.
            writable: whether this writes into it.
            new: whether a folder that does not exist counts as one that holds nothing.
        """
        self.root = root.absolute()
        self.uri = str(root)
        self._partial = self.root / ".partial"
        self._writable, self._new = writable, new
        with self._store_errors("open", "the folder", occupied=StoreNotFoundError):
            if writable:
                self._partial.mkdir(parents=True, exist_ok=True)
            # A copy of a store may be without this folder, which is empty.
            self._has_partial = self._partial.is_dir()
            if not writable and self._is_missing():
                return
            if not self.root.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(self.root, os.R_OK | os.X_OK | (os.W_OK if writable else 0)):
            raise StoreRefusedError(
                f"store {self.uri}: no permission to {'write' if writable else 'read'}",
                "choose another folder",
            )
        if not writable:
            with self._store_errors("open", "the folder"):
                self._check_root()

    def keys(self, folder: str) -> list[str]:
        """List all keys below a folder, in order.

        A link to a folder is listed as a key, so that it is noticed as a file too many.
        """
        with self._store_errors("list", folder):
            self._check_root()
            keys: list[str] = []
            for parent, folders, files in os.walk(self.root / folder, onerror=_raise_unless_absent):
                links = (name for name in folders if (Path(parent) / name).is_symlink())
                below = Path(parent).relative_to(self.root)
                keys += [(below / name).as_posix() for name in [*files, *links]]
                check_count(len(keys), self.uri, folder)
            return sorted(keys)

    def entries(self, folder: str) -> list[Entry]:
        """List all keys below a folder with size and time of the last write, in order."""
        entries = []
        for key in self.keys(folder):
            with self._store_errors("list", key):
                try:
                    # Of a link, what it leads to: whoever reads it hears that it is a link.
                    found = (self.root / key).stat()
                except FileNotFoundError:
                    continue  # removed since it was listed, or a link that leads nowhere
                updated = datetime.fromtimestamp(found.st_mtime, UTC)
                entries.append(Entry(key, found.st_size, updated))
        return entries

    def read(self, key: str, limit: int = DOCUMENT_BYTES) -> tuple[bytes, str] | None:
        """Return a document and the SHA-256 of its content, or None."""
        with self._store_errors("read", key):
            try:
                content = self._content(key, limit)
            except FileNotFoundError:
                self._check_root()
                return None
        return content, _sha256(content)

    def _content(self, key: str, limit: int) -> bytes:
        """The bytes of a plain file."""
        # Without O_NONBLOCK, a named pipe in place of a document keeps its reader for ever.
        descriptor = os.open(self._file(key), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:  # of a folder, this raises IsADirectoryError
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise StoreDamagedError(
                    f"store {self.uri}: {key} is no plain file", "put the file in its place"
                )
            # It may grow while it is read.
            if found.st_size > limit or len(content := file.read(limit + 1)) > limit:
                raise too_large(self.uri, key, limit, found.st_size)
            return content

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Write a document if the key holds the version `expected`; None if it does not."""
        with self._store_errors("write", key), self._locked():
            stored = self.read(key, max(DOCUMENT_BYTES, len(content)))
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

    def download(
        self,
        key: str,
        target: Path,
        report: ByteCallback = ignore_bytes,
        limit: int | None = None,
    ) -> None:
        """Copy a file out."""
        with self._store_errors("read", key):
            size = (file := self._file(key)).stat().st_size
            if limit is not None and size > limit:
                raise too_large(self.uri, key, limit, size)
            _copy(file, target, report, limit, self.uri, key)

    def remove(self, key: str) -> None:
        """Unlink the file, and the folders that are empty without it."""
        with self._store_errors("remove", key), self._locked():
            file = self.root / key
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self.root or not _remove_if_empty(folder):
                    break

    def sweep(self, *, dry_run: bool = False) -> int:
        """Remove the partial files whose writers are dead; return how many files that were."""
        swept = 0
        with self._store_errors("clean", ".partial"):
            for file in self._partial.iterdir():
                try:
                    # A living writer holds a lock on its file, so this lock fails at once.
                    with file.open("rb") as partial:
                        fcntl.flock(partial, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        if not dry_run:
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

    def _is_missing(self) -> bool:
        """Whether there is no folder yet, where that is no fault.

        Raises:
            StoreNotFoundError: there is no folder, or an empty one, and it is read.
        """
        if self.root.exists():
            return False
        if not self._new:
            raise self._not_found()
        return True

    def _check_root(self) -> None:
        """Raise StoreNotFoundError if the whole store has vanished since it was opened.

        Without this check, a drive that was unmounted would look like an empty store: its folder
        is there, and holds nothing.
        """
        if not self.root.is_dir():
            if self._new and not self._has_partial:
                return  # not made yet
            raise self._not_found()
        if self._partial.is_dir():
            self._has_partial = True
        elif self._has_partial or not (self._new or any(self.root.iterdir())):
            raise self._not_found()

    def _not_found(self) -> StoreNotFoundError:
        return StoreNotFoundError(
            f"there is no store at {self.uri}",
            "correct the address, mount the drive, or run the pipeline, which makes it",
        )

    @contextmanager
    def _new_content(self, key: str) -> Iterator[Path]:
        """A new file to write, which is renamed to the key when the block ends without a fault.

        The file is locked as long as it is written; the kernel unlocks it when its writer dies.
        """
        self._check_writable()
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
        for _ in range(NEW_FILE_ATTEMPTS):
            file = self._partial / uuid.uuid4().hex
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have swept the file before it was locked; then take a new file.
            if os.fstat(descriptor).st_nlink:
                return file, descriptor
            os.close(descriptor)
        raise StoreUnreachableError(
            f"store {self.uri}: each new file in .partial vanishes at once",
            "end what removes files there",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Opened for reading, so that the lock works for every account that may write the store,
        # whichever account created the lock file.
        self._check_writable()
        descriptor = os.open(self.root / ".lock", os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _check_writable(self) -> None:
        if not self._writable:
            raise StoreRefusedError(f"store {self.uri}: it was opened for reading only.")
        self._check_root()

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
            remedy = "check the path, and the disk or the network drive on which it lies"
            if fault.errno in REFUSED:
                error: type[StoreError] = StoreRefusedError
                remedy = REFUSED[fault.errno]
            elif fault.errno == errno.ENOENT:
                error = StoreNotFoundError
            elif fault.errno in OCCUPIED:
                error = occupied
            else:  # such as a network drive that does not answer
                error = StoreUnreachableError
            raise error(
                f"store {self.uri}: cannot {action} {target} ({fault.strerror or fault})", remedy
            ) from fault


def check_count(count: int, uri: str, folder: str) -> None:
    """Raise StoreRefusedError where a listing has more keys than a store can have."""
    if count > LISTED_KEYS:
        raise StoreRefusedError(
            f"store {uri}: more than {LISTED_KEYS:,} objects lie below {folder or 'its address'}",
            "clean it, or give the store a place of its own",
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_of_file(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _raise_unless_absent(fault: OSError) -> None:
    if not isinstance(fault, FileNotFoundError):
        raise fault


def _copy(
    source: Path,
    target: Path,
    report: ByteCallback,
    limit: int | None = None,
    uri: str = "",
    key: str = "",
) -> None:
    with source.open("rb") as file, CountedFile(target, "wb", report, limit, uri, key) as copy:
        shutil.copyfileobj(file, copy, COPY_BLOCK_BYTES)


def _remove_if_empty(folder: Path) -> bool:
    """Remove a folder if it is empty; whether it was."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
