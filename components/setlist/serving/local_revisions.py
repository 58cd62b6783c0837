"""Revisions on the local disk: verified after the download, and again after a restart.

FOLDER/REVISION-IDENTITY/  the files of a model, exactly those of its manifest
FOLDER/.downloads/         revisions on their way
FOLDER/good.json           the revision that was last handed over without a fault, with its manifest
FOLDER/.lock               locked by the process that uses the folder

IDENTITY is the beginning of the SHA-256 of the manifest. In a store that was made anew, the number
is another model's, whose files must not take the place of those in use.
"""

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from setlist.errors import ModelError, SettingsError
from setlist.serving.wanted import Followed
from setlist.store.manifest import Document, Manifest, NonEmptyText
from setlist.store.model_store import describe_file
from setlist.store.signatures import revision_digests
from setlist.store.signing import TrustedKeys

GOOD_FILE = "good.json"
DOWNLOADS = ".downloads"


class LastGood(Document):
    """The revision that was last handed over without a fault.

    store, name     of the model
    promoted        when it went live last (UTC, ISO), "" if the store does not remember
    manifest        of the revision
    number, origin  of the HEAD that was followed; the previous version wrote neither
    signature       of the revision, where signatures are checked
    """

    store: NonEmptyText
    name: NonEmptyText
    promoted: str
    manifest: Manifest
    number: int = 0
    origin: str = ""
    signature: str = ""

    @property
    def followed(self) -> Followed:
        """The HEAD that was followed."""
        return Followed(self.number, self.origin)


class LocalRevisions:
    """The revisions of one model of one store in a folder of the local disk."""

    def __init__(
        self, folder: Path, store: str, name: str, trusted: TrustedKeys | None = None
    ) -> None:
        """Nothing is read or written yet.

        Args:
            folder: for this follower alone; it is created if it does not exist.
            store: the store's address.
            name: of the model in the store.
            trusted: the keys of which one must have signed the last good revision.
        """
        self.folder = folder.absolute()
        self._store, self._name, self._trusted = store, name, trusted
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

    def find(self, manifest: Manifest) -> Path | None:
        """The folder of a revision that is here and intact; one that is not intact is removed."""
        folder = self._folder_of(manifest)
        if folder.exists():
            try:
                verify_files(folder, manifest)
            except ModelError:
                shutil.rmtree(folder)
            else:
                return folder
        return None

    def new_download(self) -> Path:
        """A path for a download, which `place` puts in place.

        Earlier downloads are removed: their process was killed, or nobody waits for them any more.
        """
        downloads = self.folder / DOWNLOADS
        shutil.rmtree(downloads, ignore_errors=True)
        return downloads / uuid.uuid4().hex

    def place(self, download: Path, manifest: Manifest) -> Path:
        """Give a verified download the name of its revision; return the folder."""
        return download.replace(self._folder_of(manifest))

    def record_good(
        self, manifest: Manifest, promoted: str, followed: Followed, signature: str = ""
    ) -> None:
        """Record that a revision was handed over without a fault, and the HEAD that named it."""
        document = LastGood(
            store=self._store,
            name=self._name,
            promoted=promoted,
            manifest=manifest,
            number=followed.number,
            origin=followed.origin,
            signature=signature,
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
            SetlistError: the record or a file was changed meanwhile, or no trusted key has signed
                the revision.
        """
        path = self.folder / GOOD_FILE
        if not path.is_file():
            return None
        document = LastGood.parse(path.read_bytes(), str(path))
        if (document.store, document.name) != (self._store, self._name):
            return None
        if self._trusted:
            # It may be older than the keys, or signed with one that is trusted no more.
            self._trusted.check(
                f"{path}: revision {document.manifest.revision}",
                revision_digests(document.manifest, document.manifest.identity),
                document.signature.encode() or None,
            )
        folder = self._folder_of(document.manifest)
        # The previous version kept a revision under its number alone.
        if not folder.exists() and (old := self.folder / str(document.manifest.revision)).is_dir():
            old.rename(folder)
        verify_files(folder, document.manifest)
        return folder, document

    def remove_others(self, keep: Collection[Path]) -> None:
        """Remove all folders of revisions but these, and downloads that came to nothing."""
        for entry in self.folder.iterdir():
            # The previous version has left `7` and `.7.0123...`, an unfinished download.
            stale = entry.name == DOWNLOADS or re.fullmatch(
                r"\d+(-[0-9a-f]{12})?|\.\d+\.[0-9a-f]{32}", entry.name
            )
            if stale and entry not in keep and entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)

    def _folder_of(self, manifest: Manifest) -> Path:
        return self.folder / f"{manifest.revision}-{manifest.identity[:12]}"


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
