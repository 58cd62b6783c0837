"""Revisions on the local disk: verified after the download, and again after a restart.

FOLDER/REVISION/    the files of a model, exactly those of its manifest
FOLDER/good.json    the revision that was last handed over without a fault, with its manifest
FOLDER/.lock        locked by the process that uses the folder
"""

import fcntl
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from setlist.errors import ModelError, SettingsError
from setlist.store.manifest import Document, Manifest, NonEmptyText
from setlist.store.model_store import ModelStore, describe_file

GOOD_FILE = "good.json"


class LastGood(Document):
    """The revision that was last handed over without a fault.

    store, name  of the model
    promoted     when it went live last (UTC, ISO), "" if the store does not remember
    manifest     of the revision
    """

    store: NonEmptyText
    name: NonEmptyText
    promoted: str
    manifest: Manifest


class LocalRevisions:
    """The revisions of one model of one store in a folder of the local disk."""

    def __init__(self, folder: Path, store: str, name: str) -> None:
        """Nothing is read or written yet.

        Args:
            folder: for this follower alone; it is created if it does not exist.
            store: the store's address.
            name: of the model in the store.
        """
        self.folder = folder.absolute()
        self._store, self._name = store, name
        self._lock: int | None = None

    def lock(self) -> None:
        """Reserve the folder for this process until `unlock`.

        Raises:
            SettingsError: another follower uses the folder, or it cannot be written.
        """
        if self._lock is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
            # The kernel releases the lock of a killed process, so none is ever left behind.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            self.unlock()
            reason = fault.strerror or fault
            if isinstance(fault, BlockingIOError):
                reason = "another follower uses it"
            raise SettingsError(
                f"{self.folder}: cannot hold models ({reason})", "name another folder"
            ) from fault

    def unlock(self) -> None:
        """Let another process use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def fetch(self, store: ModelStore, manifest: Manifest) -> Path:
        """The folder of a revision; it is downloaded unless it is here and intact.

        Raises:
            StoreError: the store could not deliver every file as the manifest describes it.
        """
        folder = self.folder / str(manifest.revision)
        if folder.exists():
            try:
                verify_files(folder, manifest)
            except ModelError:
                shutil.rmtree(folder)
            else:
                return folder
        return store.fetch(self._name, manifest.revision, folder)

    def record_good(self, manifest: Manifest, promoted: str) -> None:
        """Record that a revision was handed over without a fault."""
        document = LastGood(
            store=self._store, name=self._name, promoted=promoted, manifest=manifest
        )
        # Written beside and renamed, so that a crash leaves the old record or the new one.
        copy = self.folder / f".{GOOD_FILE}"
        with copy.open("wb") as file:
            file.write(document.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        copy.replace(self.folder / GOOD_FILE)

    def last_good(self) -> tuple[Path, LastGood] | None:
        """The folder and record of the last good revision, verified again; None without a record.

        Raises:
            SetlistError: the record or a file was changed meanwhile.
        """
        path = self.folder / GOOD_FILE
        if not path.is_file():
            return None
        document = LastGood.parse(path.read_bytes(), str(path))
        if (document.store, document.name) != (self._store, self._name):
            return None
        folder = self.folder / str(document.manifest.revision)
        verify_files(folder, document.manifest)
        return folder, document

    def remove_others(self, keep: Collection[int]) -> None:
        """Remove all revisions but these, and unfinished downloads of a killed process."""
        for entry in self.folder.iterdir():
            # An unfinished download has a hidden name with a random ending: `.7.0123...`.
            match = re.fullmatch(r"\.?(\d+)(\.[0-9a-f]{32})?", entry.name)
            stale = match and (entry.name.startswith(".") or int(match[1]) not in keep)
            if stale and entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Check that a folder holds exactly the files of the manifest.

    Raises:
        ModelError: a file is missing, unlisted or changed; the message names it.
    """
    files = {
        entry.relative_to(folder).as_posix(): entry
        for entry in sorted(folder.rglob("*"))
        if entry.is_symlink() or not entry.is_dir()
    }
    for path in sorted(files.keys() | manifest.files.keys()):
        if path not in files:
            problem = "is missing"
        elif path not in manifest.files or files[path].is_symlink():
            problem = "is not a file of the model"
        elif describe_file(files[path]) != manifest.files[path]:
            problem = "is damaged"
        else:
            continue
        raise ModelError(
            f"{folder / path} {problem}; it is downloaded again when the store answers."
        )
