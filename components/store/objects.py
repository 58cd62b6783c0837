"""Where objects live: a local folder or a Google Cloud Storage prefix behind one small interface.

A key is a relative path with forward slashes. A version is an opaque token for what a key holds;
it changes with every write, so that a document can be replaced by compare-and-swap.
"""

import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from components.errors import SetlistError

TIMEOUT_SECONDS = 60.0  # for one answer of Google Cloud Storage
RETRY_SECONDS = 60.0  # no new attempt after this


class Objects(Protocol):
    """What the model store asks of a place. Every fault is a SetlistError that names the key."""

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

    def upload(self, source: Path, key: str) -> None:
        """Copy a file into the store; the key holds all of it or is as it was."""

    def download(self, key: str, target: Path) -> None:
        """Copy a file out of the store."""

    def remove(self, key: str) -> None:
        """Make the key hold nothing, whatever it held; no fault where it holds nothing."""


def open_objects(uri: str) -> Objects:
    """The place that a store's address names: "gs://bucket/prefix" or a local folder, made if new.

    Raises:
        SetlistError: the scheme is unknown, the bucket is missing, or access is denied.
    """
    if match := re.fullmatch(r"gs://([^/]+)/*(.*?)/*", uri):
        return GoogleCloudStorage(match[1], match[2])
    if not uri or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", uri):
        raise SetlistError(
            f"store: {uri!r} is no address of a store; write gs://bucket/prefix or a local folder."
        )
    return LocalFolder(Path(uri).expanduser())


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
        """All keys below a folder, in order."""
        with self._fault("list", folder):
            return sorted(
                (Path(parent) / name).relative_to(self.root).as_posix()
                for parent, _, names in os.walk(self.root / folder, onerror=_raise_unless_absent)
                for name in names
            )

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small document and the digest of its content, or None."""
        with self._fault("read", key):
            try:
                content = (self.root / key).read_bytes()
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

    def upload(self, source: Path, key: str) -> None:
        """Copy a file in: beside first, then renamed to its key."""
        with self._fault("write", key), self._beside(key) as file:
            shutil.copyfile(source, file)

    def download(self, key: str, target: Path) -> None:
        """Copy a file out."""
        with self._fault("read", key):
            shutil.copyfile(self.root / key, target)

    def remove(self, key: str) -> None:
        """Unlink the file."""
        with self._fault("remove", key), self._locked():
            (self.root / key).unlink(missing_ok=True)

    @contextmanager
    def _beside(self, key: str) -> Iterator[Path]:
        """A new file to fill; it becomes the key's when the block ends well."""
        file, target = self._partial / uuid.uuid4().hex, self.root / key
        try:
            yield file
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as filled:
                os.fsync(filled)  # a rename that survives a power cut must not outlive the content
            file.replace(target)
        finally:
            file.unlink(missing_ok=True)

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


class GoogleCloudStorage:
    """Objects below a prefix of a bucket; `STORAGE_EMULATOR_HOST` is honoured."""

    def __init__(self, bucket: str, prefix: str) -> None:
        # Imported here, so that a local store does not pay for it.
        from google.cloud.storage import Client
        from google.cloud.storage.retry import DEFAULT_RETRY

        self.uri = f"gs://{bucket}/{prefix}".rstrip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._patience = {
            "timeout": TIMEOUT_SECONDS,
            "retry": DEFAULT_RETRY.with_timeout(RETRY_SECONDS),
        }
        with self._fault("open", "the bucket"):
            self._client = Client()  # anonymous where STORAGE_EMULATOR_HOST is set
            self._bucket = self._client.bucket(bucket)
            # A listing finds out whether the bucket exists and may be used; asking for the bucket
            # itself needs a permission that those who may use its objects often lack.
            first = self._client.list_blobs(
                bucket, prefix=self._prefix, max_results=1, **self._patience
            )
            next(iter(first), None)

    def keys(self, folder: str) -> list[str]:
        """All keys below a folder, in order."""
        with self._fault("list", folder):
            blobs = self._client.list_blobs(
                self._bucket, prefix=self._prefix + folder, **self._patience
            )
            return sorted(blob.name.removeprefix(self._prefix) for blob in blobs)

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small document and its generation, or None."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(self._prefix + key)
        with self._fault("read", key):
            try:
                content = blob.download_as_bytes(checksum="crc32c", **self._patience)
            except NotFound:
                return None
        return content, str(blob.generation)

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Put a document where `expected` still is; None when the key holds something else.

        A write whose answer was lost on the way is sent again and then reported as None although
        it succeeded: after None, look at what is there.
        """
        from google.api_core.exceptions import PreconditionFailed

        blob = self._bucket.blob(self._prefix + key)
        blob.cache_control = "no-store"  # a public bucket serves an old copy for an hour otherwise
        with self._fault("write", key):
            try:
                # One request, never a resumable upload: the emulator decides races in these only.
                blob.upload_from_string(
                    content,
                    content_type="application/json",
                    if_generation_match=int(expected or 0),
                    checksum="crc32c",
                    **self._patience,
                )
            except PreconditionFailed:
                return None
        return str(blob.generation)

    def upload(self, source: Path, key: str) -> None:
        """Copy a file in; the server refuses it when its CRC32C differs from ours."""
        blob = self._bucket.blob(self._prefix + key)
        with self._fault("write", key):
            blob.upload_from_filename(
                source,
                content_type="application/octet-stream",
                checksum="crc32c",
                **self._patience,
            )

    def download(self, key: str, target: Path) -> None:
        """Copy a file out, its CRC32C checked."""
        blob = self._bucket.blob(self._prefix + key)
        with self._fault("read", key):
            blob.download_to_filename(target, checksum="crc32c", **self._patience)

    def remove(self, key: str) -> None:
        """Delete the object, whatever its generation."""
        from google.api_core.exceptions import NotFound

        with self._fault("remove", key):
            try:
                self._bucket.blob(self._prefix + key).delete(**self._patience)
            except NotFound:
                return

    @contextmanager
    def _fault(self, action: str, what: str) -> Iterator[None]:
        from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthorized
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

        try:
            yield
        except (Forbidden, Unauthorized, GoogleAuthError) as fault:
            reason, remedy = fault, "sign in with an account that may use this bucket"
        except NotFound as fault:
            reason, remedy = fault, "create the bucket or correct the address"
        except (GoogleAPIError, DataCorruption, InvalidResponse, OSError) as fault:
            reason, remedy = fault, "check the connection and try again"
        else:
            return
        said = " ".join(str(reason).split())
        raise SetlistError(
            f"store {self.uri}: cannot {action} {what} ({said}); {remedy}."
        ) from reason


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _raise_unless_absent(fault: OSError) -> None:
    if not isinstance(fault, FileNotFoundError):
        raise fault
