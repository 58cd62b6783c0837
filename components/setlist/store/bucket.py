"""Google Cloud Storage: a bucket that is read, and a prefix of it as a place of objects."""

import base64
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from google_crc32c import Checksum

from setlist.errors import StoreDamagedError
from setlist.store.files import (
    ByteCallback,
    CountedFile,
    Entry,
    LimitedBuffer,
    ignore_bytes,
)
from setlist.store.folder import check_count
from setlist.store.refusals import (
    BILLING_VARIABLE,
    NO_ANSWER,
    PROXY_AUTHENTICATION,
    SIGN_IN,
    WEB_PAGE,
    Answer,
    Meaning,
    meaning_of,
    parse_answer,
    sentence,
)
from setlist.store.sizes import DOCUMENT_BYTES

if TYPE_CHECKING:
    from google.cloud.storage import Blob

TIMEOUT_SECONDS = 60.0
"""For one answer of Google Cloud Storage."""
RETRY_SECONDS = 60.0
"""After this, no new attempt is started."""
CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes of a file in memory at a time; the library's own choice is 100 MiB."""
CONTENT_TYPES = {".md": "text/markdown", ".html": "text/html"}
"""Of what people open; all other documents are JSON."""
WRITE_ATTEMPTS = 3
"""How often a key is found as it was expected after a write was answered with 412, before that
counts as refused: once may be a race in which the key was written and removed."""
WRITE_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class ListedObject:
    """An object of a listing: its whole name, size in bytes, generation and last write."""

    name: str
    size: int
    generation: str
    updated: datetime


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
            payer = os.environ.get(BILLING_VARIABLE, "").strip() or None
            self._bucket = self._client.bucket(bucket, user_project=payer)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def listing(self, prefix: str) -> list[ListedObject]:
        """The objects whose names begin with the prefix, by name."""
        with self._store_errors("list", prefix):
            listed = []
            for blob in self._client.list_blobs(self._bucket, prefix=prefix, **self._limits):
                updated = blob.updated or datetime.now(UTC)
                generation = str(blob.generation)
                listed.append(ListedObject(blob.name, int(blob.size or 0), generation, updated))
                check_count(len(listed), self.uri, prefix)
            return listed

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
        from google.api_core.exceptions import GoogleAPIError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

        try:
            yield
        except (
            GoogleAPIError,
            GoogleAuthError,
            DataCorruption,
            InvalidResponse,
            OSError,
        ) as fault:
            cause = fault.cause if isinstance(fault, RetryError) and fault.cause else fault
            answer = _answer_of(cause)
            meaning = meaning_of(answer) if answer else _meaning_of_fault(cause)
            reason = answer.sentence if answer else sentence(str(fault))
            raise meaning.error(
                f"store {self.uri}: cannot {action} {target} ({reason})", meaning.remedy
            ) from fault

    def _check_answered(self, blob: "Blob", target: str) -> None:
        """Raise StoreUnreachableError if an answer was no object of Google Cloud Storage."""
        if blob.generation is None:
            raise WEB_PAGE.error(
                f"store {self.uri}: cannot read {target} (200 without a generation)",
                WEB_PAGE.remedy,
            )


def _answer_of(fault: BaseException) -> Answer | None:
    """The answer of the server in a fault of the client; None where there was none."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.storage.exceptions import InvalidResponse

    if isinstance(fault, InvalidResponse):  # of a transfer that was tried until time was over
        return parse_answer(fault.response.status_code, fault.response.content)
    status = getattr(fault, "code", None)
    if not isinstance(fault, GoogleAPICallError) or not isinstance(status, int):
        return None
    if (response := fault.response) is not None:
        return parse_answer(int(status), response.content)
    return Answer(int(status), message=sentence(fault.message))


def _meaning_of_fault(fault: BaseException) -> Meaning:
    """What a fault of the client means in which there is no answer of the server."""
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption
    from requests.exceptions import JSONDecodeError  # type: ignore[import-untyped]

    if isinstance(fault, JSONDecodeError):  # with status 200
        return WEB_PAGE
    # Of a proxy that is asked for a tunnel, the client knows only this text.
    if "407 Proxy Auth" in str(fault):
        return PROXY_AUTHENTICATION
    if isinstance(fault, GoogleAuthError) and not isinstance(fault, TransportError):
        return SIGN_IN
    if isinstance(fault, DataCorruption):
        return Meaning(StoreDamagedError, NO_ANSWER.remedy)
    return NO_ANSWER


class GoogleCloudStorage(BucketReader):
    """Objects below a prefix of a bucket."""

    def __init__(self, bucket: str, prefix: str, retry_seconds: float | None = None) -> None:
        super().__init__(bucket, f"gs://{bucket}/{prefix}".rstrip("/"), retry_seconds)
        self._prefix = f"{prefix}/" if prefix else ""
        with self._store_errors("open", "the bucket"):
            self._check_bucket()

    def keys(self, folder: str) -> list[str]:
        """List all keys below a folder, in order."""
        return [entry.key for entry in self.entries(folder)]

    def entries(self, folder: str) -> list[Entry]:
        """List all keys below a folder with size and time of the last write, in order."""
        return sorted(
            Entry(each.name.removeprefix(self._prefix), each.size, each.updated)
            for each in self.listing(self._prefix + folder)
        )

    def read(self, key: str, limit: int = DOCUMENT_BYTES) -> tuple[bytes, str] | None:
        """Return a document and its generation, or None."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(self._prefix + key)
        content = LimitedBuffer(self.uri, key, limit)
        with self._store_errors("read", key):
            try:
                # As it is stored: of a compressed object, the limit is one of stored bytes, too.
                blob.download_to_file(content, raw_download=True, checksum="crc32c", **self._limits)
            except NotFound as fault:
                if (answer := _answer_of(fault)) and answer.page:
                    raise
                # The answer is the same for an object and for a bucket that does not exist.
                self._check_bucket()
                return None
        self._check_answered(blob, key)
        if blob.content_encoding:
            raise StoreDamagedError(
                f"store {self.uri}: {key} is damaged (it is stored with content encoding "
                f"{sentence(blob.content_encoding)})",
                "restore it, without compression",
            )
        return content.getvalue(), str(blob.generation)

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        """Write a document if the key holds the generation `expected`; None if it does not.

        Status 412 is no proof of a race: the answer to a first attempt of the library may have been
        lost, or a policy or a proxy may refuse every write. So the key is read back.
        """
        from google.api_core.exceptions import PreconditionFailed

        for attempt in range(WRITE_ATTEMPTS):
            blob = self._bucket.blob(self._prefix + key)
            blob.cache_control = "no-store"  # a public bucket serves an old copy for an hour else
            with self._store_errors("write", key):
                try:
                    # A document of a store is small enough for one request. The emulator checks the
                    # generation in single requests only, not in resumable uploads.
                    blob.upload_from_string(
                        content,
                        content_type=CONTENT_TYPES.get(Path(key).suffix, "application/json"),
                        if_generation_match=int(expected or 0),  # 0: there is no such object
                        checksum="crc32c",
                        **self._limits,
                    )
                except PreconditionFailed as fault:
                    refusal = fault
                else:
                    self._check_answered(blob, key)
                    return str(blob.generation)
            try:
                stored = self.read(key, max(DOCUMENT_BYTES, len(content)))
            except StoreDamagedError:
                return None  # it holds something, which is not this content
            if stored and stored[0] == content:
                return stored[1]
            if (stored and stored[1]) != expected:
                return None
            if attempt < WRITE_ATTEMPTS - 1:
                time.sleep(random.uniform(0, WRITE_PAUSE_SECONDS))  # noqa: S311 - no secret
        answer = _answer_of(refusal) or Answer(412)
        meaning = meaning_of(answer)
        raise meaning.error(
            f"store {self.uri}: cannot write {key} ({answer.sentence}), and nobody else wrote it",
            meaning.remedy,
        ) from refusal

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

    def download(
        self,
        key: str,
        target: Path,
        report: ByteCallback = ignore_bytes,
        limit: int | None = None,
    ) -> None:
        """Copy a file out as it is stored, and check its CRC32C."""
        blob = self._bucket.blob(self._prefix + key)
        with (
            self._store_errors("read", key),
            CountedFile(target, "wb", report, limit, self.uri, key) as file,
        ):
            blob.download_to_file(file, raw_download=True, checksum="crc32c", **self._limits)
        self._check_answered(blob, key)

    def remove(self, key: str) -> None:
        """Delete the object, whatever its generation."""
        from google.api_core.exceptions import NotFound

        with self._store_errors("remove", key):
            try:
                self._bucket.blob(self._prefix + key).delete(**self._limits)
            except NotFound:
                return

    def sweep(self, *, dry_run: bool = False) -> int:  # noqa: ARG002
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
