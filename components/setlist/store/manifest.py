"""The JSON documents of a model store, and how each is read: strictly, or not at all."""

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    ValidationError,
)

from setlist.documents import first_fault
from setlist.errors import StoreDamagedError, StoreRefusedError
from setlist.store.sizes import (
    DOCUMENT_BYTES,
    DOCUMENT_VALUES,
    HEAD_BYTES,
    MANIFEST_BYTES,
    MANIFEST_FILES,
    REVISION_DIGITS,
    SMALL_BYTES,
)

MANIFEST = "manifest.json"
NUMBER = rf"([1-9][0-9]{{0,{REVISION_DIGITS - 1}}})"
"""The number of a revision in a key; `\\d` would take the digits of other scripts, too."""


def utc_text() -> str:
    """The present moment as the documents write it: UTC, ISO, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def this_person() -> str:
    """The name of whoever acts: SETLIST_WHO, else account@machine; in a pod the machine is the pod.

    Written into the history and into pins.
    """
    if name := os.environ.get("SETLIST_WHO", "").strip():
        return name
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        account = f"uid {os.getuid()}"
    return f"{account}@{socket.gethostname()}"


def _check_relative(path: str) -> str:
    """Accept the path of a model's file, relative to its folder, with forward slashes.

    A manifest decides where `fetch` writes files, so a path must not lead out of the folder.
    """
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/"):
        raise ValueError(f"{path!r} leaves the model's folder")
    if not parts or "/".join(parts) != path or "\\" in path or not path.isprintable():
        raise ValueError(f"{path!r} is no plain relative path")
    if path == MANIFEST:
        raise ValueError(f"{path!r} is where the store keeps its own list of files")
    return path


RelativePath = Annotated[str, AfterValidator(_check_relative)]
NonEmptyText = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Revision = Annotated[int, Field(ge=1, lt=10**REVISION_DIGITS)]
Action = Literal["promote", "rollback"]


class Document(BaseModel):
    """A JSON object with fixed keys; `D.parse(d.to_bytes(), name) == d` for every document d."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    remedy: ClassVar[str] = "restore it"
    limit: ClassVar[int] = DOCUMENT_BYTES
    """No document of this class has more bytes."""

    def to_bytes(self) -> bytes:
        """The document as JSON text: the same bytes for equal documents."""
        return _json(self.model_dump()).encode()

    def to_writable_bytes(self, title: str) -> bytes:
        """The document as JSON text that is small enough to be read again.

        Args:
            title: of the document, for the message of an error.

        Raises:
            StoreRefusedError: it is too large.
        """
        if len(content := self.to_bytes()) > self.limit:
            raise StoreRefusedError(
                f"{title} cannot be written: it has {len(content):,} bytes, and can have "
                f"{self.limit:,} at most",
                "shorten its texts",
            )
        if (count := _count_values(content)) > DOCUMENT_VALUES:
            raise StoreRefusedError(
                f"{title} cannot be written: it has {count:,} values, and can have "
                f"{DOCUMENT_VALUES:,} at most",
                "leave some out",
            )
        return content

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """Read what `to_bytes` wrote.

        Args:
            content: the bytes.
            name: of the document, for the message of an error.

        Raises:
            StoreDamagedError: the bytes are no such document; the key at fault is named.
        """
        # Before any value is made: nobody knows yet who wrote it.
        if (count := _count_values(content)) > DOCUMENT_VALUES:
            raise StoreDamagedError(
                f"{name} is damaged (it has {count:,} values, and can have {DOCUMENT_VALUES:,} at "
                "most)",
                cls.remedy,
            )
        try:
            return cls.model_validate_json(content)
        except ValidationError as fault:
            raise StoreDamagedError(
                f"{name} is damaged ({first_fault(fault)})", cls.remedy
            ) from fault

    @classmethod
    def create(cls, title: str, values: Mapping[str, object]) -> Self:
        """Make a new document of values that a caller chose.

        Args:
            title: of the document, for the message of an error.
            values: by key.

        Raises:
            StoreRefusedError: a value does not fit; its key is named.
        """
        try:
            document = cls.model_validate(dict(values))
            document.to_writable_bytes(title)
        except ValidationError as fault:
            raise StoreRefusedError(f"{title} cannot be written: {first_fault(fault)}.") from fault
        except ValueError as fault:  # not a number, or infinite: JSON has neither
            raise StoreRefusedError(f"{title} cannot be written: {fault}.") from fault
        return document


class Sealed(Document):
    """A document whose bytes end with a checksum of its content, so that every edit is noticed.

    The checksum is no signature: an attacker can compute it again.
    """

    absent_by_default: ClassVar[frozenset[str]] = frozenset()
    """Keys that the previous version did not have; the bytes have none with its default."""

    checksum: str = ""
    """SHA-256; only in the bytes, "" in memory."""

    def to_bytes(self) -> bytes:
        """The document as JSON text with the checksum: the same bytes for equal documents."""
        content = self.model_dump(exclude={"checksum"})
        for key in self.absent_by_default:
            if content[key] == type(self).model_fields[key].default:
                del content[key]
        checksum = hashlib.sha256(_json(content).encode()).hexdigest()
        return _json(content | {"checksum": checksum}).encode()

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """Read what `to_bytes` wrote, equal to the byte.

        Raises:
            StoreDamagedError: the bytes are no such document, or were changed since.
        """
        document = super().parse(content, name).model_copy(update={"checksum": ""})
        try:
            if document.to_bytes() == content:
                return document
        except ValueError:
            pass  # an infinite number, which Python's JSON reads but does not write here
        raise StoreDamagedError(
            f"{name} is damaged (its checksum does not fit its content)", cls.remedy
        )


def _count_values(content: bytes) -> int:
    """At least as many as the values in a JSON text: what stands in its texts counts, too."""
    return sum(content.count(mark) for mark in (b",", b"[", b"{"))


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False)


class File(Document):
    """What a file of a model must be: SHA-256 in lower-case hexadecimal, and size in bytes."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0, lt=2**63)]


class Manifest(Sealed):
    """The complete list of a revision's files, and where the model came from.

    name, revision   of which model it is which revision
    run_id           the run that staged it
    created          UTC, ISO
    digest           the model's digest as its caller computes it
    files            relative path of every file -> its hash and size
    training_window  the period that the model has seen, as ISO text
    metadata         any JSON values without NaN, such as the verdict
    """

    remedy: ClassVar[str] = (
        "restore it, or make another revision live with `setlist models rollback --to REVISION`"
    )
    limit: ClassVar[int] = MANIFEST_BYTES

    name: NonEmptyText
    revision: Revision
    run_id: NonEmptyText
    created: NonEmptyText
    digest: NonEmptyText
    files: Annotated[dict[RelativePath, File], Field(min_length=1, max_length=MANIFEST_FILES)]
    training_window: dict[str, str]
    metadata: dict[str, JsonValue]

    @property
    def identity(self) -> str:
        """SHA-256 of its bytes: what says whether two revisions are one, as a number does not.

        In a store that was made anew, revision 1 is another model.
        """
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def verdict_digest(self) -> str:
        """SHA-256 of the verdict in the metadata; "" where there is none."""
        verdict = self.metadata.get("verdict")
        return hashlib.sha256(_json({"verdict": verdict}).encode()).hexdigest() if verdict else ""


class Claim(Sealed):
    """That a run owns a revision number, for the model with this digest and no other model."""

    limit: ClassVar[int] = SMALL_BYTES

    revision: Revision
    run_id: NonEmptyText
    digest: NonEmptyText
    created: NonEmptyText


class Pin(Document):
    """That a revision is kept by `prune`: who pinned it, when (UTC, ISO) and why; part of HEAD."""

    revision: Revision
    who: NonEmptyText
    when: NonEmptyText
    why: str


class PinObject(Sealed):
    """A pin as former versions wrote it: an object of its own beside the revision."""

    remedy: ClassVar[str] = "remove it with `setlist models unpin REVISION` and pin again"
    limit: ClassVar[int] = SMALL_BYTES

    name: NonEmptyText
    revision: Revision
    who: NonEmptyText
    when: NonEmptyText
    why: str


class Promotion(Document):
    """That a revision, staged by the run `run_id`, went live at `when` (UTC, ISO).

    who     a person's account and machine, or a pod
    why     the verdict's sentence for a push by a run; otherwise what a person wrote
    action  rollback where the revision had been live before
    """

    revision: Revision
    when: NonEmptyText
    run_id: NonEmptyText
    who: NonEmptyText
    why: str
    action: Action


class Pointer(Sealed):
    """What HEAD holds.

    name               the model to which HEAD belongs
    number             rises by one with every promotion: the lower one of two is the older HEAD
    origin             a random token of the first HEAD, which all that follow keep; only numbers of
                       one origin are compared
    move               a new random token with every promotion, which identifies what a caller saw
    live, previous     the live revision, and the revision that was live before
    live_manifest      SHA-256 of the manifest's bytes, so that no other can take its place
    previous_manifest  the same of the previous revision
    promotions         the last promotions, oldest first
    retired            revisions above the floor that are removed or being removed
    floor              every number up to this one is given; of these, only `kept` may go live
    kept               the revisions up to the floor that are kept, ascending
    pins               which revisions prune keeps in any case
    live_verdict       SHA-256 of the verdict in the live manifest; "" where it has none

    Former versions wrote no number and no origin, and nothing from floor on: these have their
    defaults, and are not in the bytes.
    """

    absent_by_default: ClassVar[frozenset[str]] = frozenset(
        {"number", "origin", "floor", "kept", "pins", "live_verdict"}
    )

    remedy: ClassVar[str] = (
        "restore it, or point it anew with `setlist models promote REVISION --force-head`"
    )
    limit: ClassVar[int] = HEAD_BYTES

    name: NonEmptyText
    move: NonEmptyText
    live: Revision
    live_manifest: Sha256
    previous: Revision | None
    previous_manifest: Sha256 | None
    promotions: list[Promotion]
    retired: list[Revision]
    number: NonNegativeInt = 0
    origin: str = ""
    floor: NonNegativeInt = 0
    kept: list[Revision] = []
    pins: list[Pin] = []
    live_verdict: Sha256 | Literal[""] = ""

    def retires(self, revision: int) -> bool:
        """Whether a number never goes live again: it was pruned, or its run is taken for dead."""
        return revision in self.retired or (
            revision <= self.floor and revision not in {*self.kept, self.live, self.previous}
        )
