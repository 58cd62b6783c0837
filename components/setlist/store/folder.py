"""A local folder as a place of objects."""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setlist.errors import SetlistError
from setlist.store.counted import Count, Counted, ignore

BLOCK = 1024 * 1024  # bytes that are copied at a time


class LocalFolder:
    """Objects as files below a folder, shared by the processes of one machine.

    Beside the keys it holds `.lock`, under which documents are compared and swapped, and
    `.partial/`, where files are written before they are renamed to their key.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(root)
        self._partial = self.root / ".partial"
        with self._fault("open", "the folder"):
            self._partial.mkdir(parents=True, exist_ok=True)
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise SetlistError(f"store {self.uri}: no permission to write; choose another folder.")

    def keys(self, folder: str) -> list[str]:
        """All keys below a folder, in order; a link to a folder is one, as it is no folder."""
        with self._fault("list", folder):
            return sorted(
                (Path(parent) / name).relative_to(self.root).as_posix()
                for parent, folders, files in os.walk(
                    self.root / folder, onerror=_raise_unless_absent
                )
                for name in [*files, *(one for one in folders if (Path(parent) / one).is_symlink())]
            )

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small document and the digest of its content, or None."""
        with self._fault("read", key):
            try:
                content = self._file(key).read_bytes()
            except FileNotFoundError:
                return None
        return content, _digest(content)

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Put a document where `expected` still is; None when the key holds something else."""
        with self._fault("write", key), self._locked():
            found = self.read(key)
            if (found and found[1]) != expected:
                return None
            with self._beside(key) as file:
                file.write_bytes(content)
        return _digest(content)

    def upload(self, source: Path, key: str, count: Count = ignore) -> None:
        """Copy a file in: beside first, then renamed to its key."""
        with self._fault("write", key), self._beside(key) as file:
            _copy(source, file, count)

    def holds(self, source: Path, key: str) -> bool:
        """Whether size and SHA-256 are those of the file."""
        with self._fault("read", key):
            held = self._file(key)
            try:
                if held.stat().st_size != source.stat().st_size:
                    return False
            except FileNotFoundError:
                return False
            return _digest_of(held) == _digest_of(source)

    def download(self, key: str, target: Path, count: Count = ignore) -> None:
        """Copy a file out."""
        with self._fault("read", key):
            _copy(self._file(key), target, count)

    def remove(self, key: str) -> None:
        """Unlink the file, and the folders that are empty without it."""
        with self._fault("remove", key), self._locked():
            file = self.root / key
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self.root or not _removed(folder):
                    break

    def sweep(self) -> int:
        """Remove the files beside whose writers are dead: nobody holds a lock on them."""
        swept = 0
        with self._fault("clean", ".partial"):
            for file in self._partial.iterdir():
                try:
                    with file.open("rb") as left:
                        fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        file.unlink()
                        swept += 1
                except (BlockingIOError, FileNotFoundError):
                    continue  # it is being written, or was removed or renamed just now
        return swept

    def _file(self, key: str) -> Path:
        """Where a key's content is, which must not be a link nor lie behind one."""
        file = self.root / key
        if os.path.realpath(file) != str(Path(os.path.realpath(self.root)) / key):
            raise SetlistError(
                f"store {self.uri}: {key} is a link, or leaves the store; put the file in its "
                "place, or stage the model again."
            )
        return file

    @contextmanager
    def _beside(self, key: str) -> Iterator[Path]:
        """A new file to fill; it becomes the key's when the block ends well.

        It is locked as long as it is written, and the kernel unlocks it when its writer dies.
        """
        target = self.root / key
        file, held = self._new_file()
        try:
            yield file
            os.fsync(held)  # a rename that survives a power cut must not outlive the content
            for attempt in range(10):
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    file.replace(target)
                    break
                except FileNotFoundError:  # the folder was empty, and another process removed it
                    if attempt == 9:
                        raise
        finally:
            file.unlink(missing_ok=True)
            os.close(held)

    def _new_file(self) -> tuple[Path, int]:
        while True:
            file = self._partial / uuid.uuid4().hex
            held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(held, fcntl.LOCK_EX)
            if os.fstat(held).st_nlink:  # else it was swept before it was locked
                return file, held
            os.close(held)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Opened for reading: whoever may write the store may lock it, whoever made the lock file.
        descriptor = os.open(self.root / ".lock", os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _fault(self, action: str, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise SetlistError(
                f"store {self.uri}: cannot {action} {what} ({fault.strerror or fault}); "
                "check the path, its permissions and the space left."
            ) from fault


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _raise_unless_absent(fault: OSError) -> None:
    if not isinstance(fault, FileNotFoundError):
        raise fault


def _copy(source: Path, target: Path, count: Count) -> None:
    with source.open("rb") as file, Counted(target, "wb", count) as copy:
        shutil.copyfileobj(file, copy, BLOCK)


def _digest_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _removed(folder: Path) -> bool:
    """Whether the folder was empty, and is gone."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
