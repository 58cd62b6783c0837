"""A Google Cloud Storage prefix as a place of objects."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google_crc32c import Checksum

from setlist.errors import SetlistError
from setlist.store.counted import Count, Counted, ignore

TIMEOUT_SECONDS = 60.0  # for one answer of Google Cloud Storage
RETRY_SECONDS = 60.0  # no new attempt after this
CHUNK = 8 * 1024 * 1024  # bytes of a file in memory at a time; the library's own choice is 100 MiB


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
                    content_type="text/markdown" if key.endswith(".md") else "application/json",
                    if_generation_match=int(expected or 0),
                    checksum="crc32c",
                    **self._patience,
                )
            except PreconditionFailed:
                return None
        return str(blob.generation)

    def upload(self, source: Path, key: str, count: Count = ignore) -> None:
        """Copy a file in, `CHUNK` by `CHUNK`, and compare what arrived with it by CRC32C."""
        blob = self._bucket.blob(self._prefix + key, chunk_size=CHUNK)
        with self._fault("write", key), Counted(source, "rb", count) as file:
            blob.upload_from_file(
                file,
                size=source.stat().st_size,
                content_type="application/octet-stream",
                checksum="crc32c",
                **self._patience,
            )
            # The server should have refused it; one that takes no notice of the sum it is sent
            # (an emulator, a proxy) is found out here.
            if blob.crc32c != (ours := _crc32c(source)):
                raise SetlistError(
                    f"store {self.uri}: {key} did not arrive whole (CRC32C {blob.crc32c}, sent "
                    f"{ours}); push again."
                )

    def holds(self, source: Path, key: str) -> bool:
        """Whether size and CRC32C are those of the file."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(self._prefix + key)
        with self._fault("read", key):
            try:
                blob.reload(**self._patience)
            except NotFound:
                return False
            # Of equal size: only then is it worth reading the file.
            return blob.size == source.stat().st_size and blob.crc32c == _crc32c(source)

    def download(self, key: str, target: Path, count: Count = ignore) -> None:
        """Copy a file out, block by block, its CRC32C checked."""
        blob = self._bucket.blob(self._prefix + key)
        with self._fault("read", key), Counted(target, "wb", count) as file:
            blob.download_to_file(file, checksum="crc32c", **self._patience)

    def remove(self, key: str) -> None:
        """Delete the object, whatever its generation."""
        from google.api_core.exceptions import NotFound

        with self._fault("remove", key):
            try:
                self._bucket.blob(self._prefix + key).delete(**self._patience)
            except NotFound:
                return

    def sweep(self) -> int:
        """Nothing to do: an upload that was cut off is no object, and the server forgets it."""
        return 0

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


def _crc32c(source: Path) -> str:
    """As the server writes it: big-endian, base64."""
    checksum = Checksum()
    with source.open("rb") as file:
        while block := file.read(CHUNK):
            checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()
