"""Google Cloud Storage: a bucket that is read, and a prefix of it as a place of objects."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google_crc32c import Checksum

from setlist.errors import (
    StoreDamagedError,
    StoreError,
    StoreNotFoundError,
    StoreRefusedError,
    StoreUnreachableError,
)
from setlist.store.folder import ByteCallback, CountedFile, ignore_bytes

TIMEOUT_SECONDS = 60.0
"""For one answer of Google Cloud Storage."""
RETRY_SECONDS = 60.0
"""After this, no new attempt is started."""
CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes of a file in memory at a time; the library's own choice is 100 MiB."""


@dataclass(frozen=True)
class ListedObject:
    """An object of a listing: its whole name, its size in bytes, and its generation."""

    name: str
    size: int
    generation: str


class BucketReader:
    """A bucket by the whole names of its objects; `STORAGE_EMULATOR_HOST` is honoured.

    Nothing is asked before the first listing, so an account that may read a part of the bucket only
    can use it. Every fault is a StoreError.
    """

    def __init__(self, bucket: str, uri: str = "", retry_seconds: float | None = None) -> None:
        # Imported here, so that a local store does not pay for the import.
        from google.cloud.storage import Client
        from google.cloud.storage.retry import DEFAULT_RETRY

        self.uri = uri or f"gs://{bucket}"
        self._limits = {
            "timeout": TIMEOUT_SECONDS,
            "retry": DEFAULT_RETRY.with_timeout(min(RETRY_SECONDS, retry_seconds or RETRY_SECONDS)),
        }
        with self._store_errors("open", "the bucket"):
            self._client = Client()  # anonymous where STORAGE_EMULATOR_HOST is set
            self._bucket = self._client.bucket(bucket)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def listing(self, prefix: str) -> list[ListedObject]:
        """The objects whose names begin with the prefix, by name."""
        with self._store_errors("list", prefix):
            blobs = self._client.list_blobs(self._bucket, prefix=prefix, **self._limits)
            return [ListedObject(blob.name, blob.size, str(blob.generation)) for blob in blobs]

    def fetch(self, listed: ListedObject, target: Path) -> None:
        """Copy an object out in the generation that was listed, and check its CRC32C."""
        blob = self._bucket.blob(listed.name)
        with self._store_errors("read", listed.name):
            blob.download_to_filename(
                target,
                if_generation_match=int(listed.generation),
                checksum="crc32c",
                **self._limits,
            )

    @contextmanager
    def _store_errors(self, action: str, target: str) -> Iterator[None]:
        """Raise an error of the client as the `StoreError` that says what it means.

        Args:
            action: such as "read".
            target: what the action was applied to, such as a key.
        """
        from google.api_core.exceptions import (
            ClientError,
            Forbidden,
            GoogleAPIError,
            NotFound,
            TooManyRequests,
            Unauthorized,
        )
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

        retry = "check the connection and try again"
        # The first row that fits counts: later rows contain classes of earlier rows.
        meanings: tuple[tuple[tuple[type[Exception], ...], type[StoreError], str], ...] = (
            ((NotFound,), StoreNotFoundError, "create the bucket or correct the address"),
            ((TransportError, TooManyRequests), StoreUnreachableError, retry),
            (
                (Forbidden, Unauthorized, GoogleAuthError),
                StoreRefusedError,
                "sign in with an account that may use this bucket",
            ),
            ((ClientError,), StoreRefusedError, "check the address and the settings of the bucket"),
            ((DataCorruption,), StoreDamagedError, retry),
            ((GoogleAPIError, InvalidResponse, OSError), StoreUnreachableError, retry),
        )
        try:
            yield
        except (
            GoogleAPIError,
            GoogleAuthError,
            DataCorruption,
            InvalidResponse,
            OSError,
        ) as fault:
            error, remedy = next(
                (error, remedy) for kinds, error, remedy in meanings if isinstance(fault, kinds)
            )
            reason = " ".join(str(fault).split())
            raise error(f"store {self.uri}: cannot {action} {target} ({reason})", remedy) from fault


class GoogleCloudStorage(BucketReader):
    """Objects below a prefix of a bucket."""

    def __init__(self, bucket: str, prefix: str, retry_seconds: float | None = None) -> None:
        super().__init__(bucket, f"gs://{bucket}/{prefix}".rstrip("/"), retry_seconds)
        self._prefix = f"{prefix}/" if prefix else ""
        with self._store_errors("open", "the bucket"):
            self._check_bucket()

    def keys(self, folder: str) -> list[str]:
        """List all keys below a folder, in order."""
        listed = self.listing(self._prefix + folder)
        return sorted(each.name.removeprefix(self._prefix) for each in listed)

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a small document and its generation, or None."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(self._prefix + key)
        with self._store_errors("read", key):
            try:
                content = blob.download_as_bytes(checksum="crc32c", **self._limits)
            except NotFound:
                # The answer is the same for an object and for a bucket that does not exist.
                self._check_bucket()
                return None
        return content, str(blob.generation)

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Write a document if the key holds the generation `expected`; None if it does not.

        A write whose answer was lost is sent again by the library and then reported as None,
        although it succeeded. So a caller reads the key after None.
        """
        from google.api_core.exceptions import PreconditionFailed

        blob = self._bucket.blob(self._prefix + key)
        blob.cache_control = "no-store"  # a public bucket serves an old copy for an hour otherwise
        with self._store_errors("write", key):
            try:
                # A document of a store is small enough for one request. The emulator checks the
                # generation in single requests only, not in resumable uploads.
                blob.upload_from_string(
                    content,
                    content_type="text/markdown" if key.endswith(".md") else "application/json",
                    if_generation_match=int(expected or 0),  # 0: there is no such object
                    checksum="crc32c",
                    **self._limits,
                )
            except PreconditionFailed:
                return None
        return str(blob.generation)

    def upload(self, source: Path, key: str, report: ByteCallback = ignore_bytes) -> None:
        """Copy a file in, `CHUNK_BYTES` at a time, and compare the CRC32C of both."""
        blob = self._bucket.blob(self._prefix + key, chunk_size=CHUNK_BYTES)
        with self._store_errors("write", key), CountedFile(source, "rb", report) as file:
            blob.upload_from_file(
                file,
                size=source.stat().st_size,
                content_type="application/octet-stream",
                checksum="crc32c",
                **self._limits,
            )
            # Google's server refuses a file whose checksum is not the one sent with it. An emulator
            # or a proxy may ignore the checksum, so it is compared here, too.
            if blob.crc32c != (sent := _crc32c(source)):
                raise StoreDamagedError(
                    f"store {self.uri}: {key} did not arrive whole (CRC32C {blob.crc32c}, sent "
                    f"{sent})",
                    "push again",
                )

    def holds(self, source: Path, key: str) -> bool:
        """Whether size and CRC32C of the object are those of the file."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(self._prefix + key)
        with self._store_errors("read", key):
            try:
                blob.reload(**self._limits)
            except NotFound:
                return False
            # The size first: a file of another size need not be read.
            return blob.size == source.stat().st_size and blob.crc32c == _crc32c(source)

    def download(self, key: str, target: Path, report: ByteCallback = ignore_bytes) -> None:
        """Copy a file out, and check its CRC32C."""
        blob = self._bucket.blob(self._prefix + key)
        with self._store_errors("read", key), CountedFile(target, "wb", report) as file:
            blob.download_to_file(file, checksum="crc32c", **self._limits)

    def remove(self, key: str) -> None:
        """Delete the object, whatever its generation."""
        from google.api_core.exceptions import NotFound

        with self._store_errors("remove", key):
            try:
                self._bucket.blob(self._prefix + key).delete(**self._limits)
            except NotFound:
                return

    def sweep(self) -> int:
        """Remove nothing: an interrupted upload is no object, and the server discards it."""
        return 0

    def _check_bucket(self) -> None:
        """Raise the client's error if the bucket does not exist or may not be used.

        A listing shows both. Asking for the bucket itself needs a permission that accounts with
        access to its objects often lack.
        """
        first_page = self._client.list_blobs(
            self._bucket, prefix=self._prefix, max_results=1, **self._limits
        )
        next(iter(first_page), None)


def _crc32c(source: Path) -> str:
    """The CRC32C of a file as the server writes it: big-endian, base64."""
    checksum = Checksum()
    with source.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()
