"""Revisions on this disk: verified when they come and when they are found again.

FOLDER/REVISION/    the files of a model, exactly those of its manifest
FOLDER/good.json    the revision that was last handed over well, with its manifest
FOLDER/.lock        held by the process whose folder it is
"""

import fcntl
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from setlist.errors import SetlistError
from setlist.store.manifest import Document, Manifest, NonEmptyText
from setlist.store.model_store import ModelStore, describe_file

GOOD = "good.json"


class Good(Document):
    """A revision that was handed over well.

    store, name  whose revision it is
    promoted     when it went live last (UTC, ISO), "" where the store does not remember
    manifest     of the revision
    """

    store: NonEmptyText
    name: NonEmptyText
    promoted: str
    manifest: Manifest


class KeptRevisions:
    """The revisions of one model of one store in a folder of this disk."""

    def __init__(self, folder: Path, store: str, name: str) -> None:
        """Nothing is read or written yet.

        Args:
            folder: for this follower alone; it is made where it is missing.
            store: the store's address.
            name: of the model in it.
        """
        self.folder = folder.absolute()
        self._store, self._name = store, name
        self._lock: int | None = None

    def claim(self) -> None:
        """Make the folder this process's own until `release`.

        Raises:
            SetlistError: the folder is another follower's, or it cannot be written.
        """
        if self._lock is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            self.release()
            reason = fault.strerror or fault
            if isinstance(fault, BlockingIOError):
                reason = "another follower is at work in it"
            raise SetlistError(
                f"{self.folder}: cannot hold models ({reason}); name another folder."
            ) from fault

    def release(self) -> None:
        """Let another process have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def fetch(self, store: ModelStore, manifest: Manifest) -> Path:
        """The folder of a revision: what is here if it is sound, else fetched anew.

        Raises:
            SetlistError: the store could not give all of it, each file as its manifest says.
        """
        folder = self.folder / str(manifest.revision)
        if folder.exists():
            try:
                verify(folder, manifest)
            except SetlistError:
                shutil.rmtree(folder)
            else:
                return folder
        return store.fetch(self._name, manifest.revision, folder)

    def remember(self, manifest: Manifest, promoted: str) -> None:
        """Note that a revision was handed over well."""
        good = Good(store=self._store, name=self._name, promoted=promoted, manifest=manifest)
        beside = self.folder / f".{GOOD}"
        with beside.open("wb") as file:
            file.write(good.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / GOOD)

    def remembered(self) -> tuple[Path, Good] | None:
        """The revision that was good, verified again; None where there is none.

        Raises:
            SetlistError: there is one, but it was changed meanwhile.
        """
        path = self.folder / GOOD
        if not path.is_file():
            return None
        good = Good.parse(path.read_bytes(), str(path))
        if (good.store, good.name) != (self._store, self._name):
            return None
        folder = self.folder / str(good.manifest.revision)
        verify(folder, good.manifest)
        return folder, good

    def sweep(self, keep: Collection[int]) -> None:
        """Remove all revisions but these, and what a killed download left."""
        for entry in self.folder.iterdir():
            number = re.fullmatch(r"\.?(\d+)(\.[0-9a-f]{32})?", entry.name)
            stale = number and (entry.name.startswith(".") or int(number[1]) not in keep)
            if stale and entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)


def verify(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder that does not hold exactly the files of the manifest.

    Raises:
        SetlistError: a file is missing, unlisted or changed; it is named.
    """
    there = {
        entry.relative_to(folder).as_posix(): entry
        for entry in sorted(folder.rglob("*"))
        if entry.is_symlink() or not entry.is_dir()
    }
    for path in sorted(there.keys() | manifest.files.keys()):
        if path not in there:
            problem = "is missing"
        elif path not in manifest.files or there[path].is_symlink():
            problem = "is not of the model"
        elif describe_file(there[path]) != manifest.files[path]:
            problem = "is damaged"
        else:
            continue
        raise SetlistError(
            f"{folder / path} {problem}; it is fetched again when the store answers."
        )
