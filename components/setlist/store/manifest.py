"""The documents of a model store, and how each is read: strictly, or not at all."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PositiveInt,
    ValidationError,
)

from setlist.errors import SetlistError

MANIFEST = "manifest.json"


def _inside(path: str) -> str:
    """The path of a model's file, relative to its folder, with forward slashes."""
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/"):
        raise ValueError(f"{path!r} leaves the model's folder")
    if not parts or "/".join(parts) != path or "\\" in path or not path.isprintable():
        raise ValueError(f"{path!r} is no plain relative path")
    if path == MANIFEST:
        raise ValueError(f"{path!r} is where the store keeps its own list of files")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]
Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Action = Literal["promote", "rollback"]


class Document(BaseModel):
    """A JSON object with fixed keys; `D.parse(d.to_bytes(), name) == d` for every document d."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    remedy: ClassVar[str] = "restore it"

    def to_bytes(self) -> bytes:
        """JSON text, the same bytes for equal documents."""
        return _json(self.model_dump()).encode()

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """The document that `to_bytes` wrote.

        Raises:
            SetlistError: it is not one; the sentence says `name`, the key and what is wrong.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as fault:
            raise SetlistError(f"{name} is damaged ({_first(fault)}); {cls.remedy}.") from fault

    @classmethod
    def checked(cls, what: str, values: Mapping[str, object]) -> Self:
        """A new document.

        Raises:
            SetlistError: a value is unfit; the sentence says `what`, the key and what is wrong.
        """
        try:
            document = cls.model_validate(dict(values))
            document.to_bytes()
        except ValidationError as fault:
            raise SetlistError(f"{what} cannot be written: {_first(fault)}.") from fault
        except ValueError as fault:  # not a number, or infinite
            raise SetlistError(f"{what} cannot be written: {fault}.") from fault
        return document


class Sealed(Document):
    """A document whose bytes end with a checksum of its content, so that no edit goes unseen.

    It is no signature: whoever means to can compute it anew.
    """

    checksum: str = ""
    """SHA-256, in the bytes only."""

    def to_bytes(self) -> bytes:
        """JSON text with the checksum, the same bytes for equal documents."""
        content = self.model_dump(exclude={"checksum"})
        checksum = hashlib.sha256(_json(content).encode()).hexdigest()
        return _json(content | {"checksum": checksum}).encode()

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """The document that `to_bytes` wrote, to the byte.

        Raises:
            SetlistError: it is not one, or was changed since; the sentence says `name`.
        """
        document = super().parse(content, name).model_copy(update={"checksum": ""})
        try:
            if document.to_bytes() == content:
                return document
        except ValueError:
            pass  # a number that JSON does not have
        raise SetlistError(
            f"{name} is damaged (its checksum does not fit its content); {cls.remedy}."
        )


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False)


def _first(fault: ValidationError) -> str:
    error = fault.errors()[0]
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    what = error["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where and where.isprintable() else what


class File(Document):
    """What one file of a model must be: lower-case hexadecimal SHA-256, and bytes."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Manifest(Sealed):
    """The complete list of a revision's files, and where the model came from.

    name, revision   where the revision stands in the store
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

    name: Text
    revision: PositiveInt
    run_id: Text
    created: Text
    digest: Text
    files: Annotated[dict[RelativePath, File], Field(min_length=1)]
    training_window: dict[str, str]
    metadata: dict[str, JsonValue]


class Claim(Sealed):
    """That a run owns a revision number, for the one model with this digest."""

    revision: PositiveInt
    run_id: Text
    digest: Text
    created: Text


class Pin(Sealed):
    """That a revision is to be kept: who asked for it, when (UTC, ISO) and why."""

    remedy: ClassVar[str] = "remove it with `setlist models unpin REVISION` and pin again"

    name: Text
    revision: PositiveInt
    who: Text
    when: Text
    why: str


class Promotion(Document):
    """That a revision, staged by the run `run_id`, went live at `when` (UTC, ISO).

    who     a person's account and machine, or a pod
    why     the verdict's sentence for a run's push, what a person gave else
    action  rollback where it had been live before
    """

    revision: PositiveInt
    when: Text
    run_id: Text
    who: Text
    why: str
    action: Action


class Pointer(Sealed):
    """What HEAD holds.

    name               whose HEAD it is
    move               a new random token with every promotion: what a caller saw
    live, previous     the live revision, and the one before
    live_manifest      SHA-256 of the manifest's bytes, so that no other can take its place
    previous_manifest
    promotions         the last ones, oldest first
    retired            revisions that are gone, or are being removed; they never go live
    """

    remedy: ClassVar[str] = (
        "restore it, or point it anew with `setlist models promote REVISION --force-head`"
    )

    name: Text
    move: Text
    live: PositiveInt
    live_manifest: Sha256
    previous: PositiveInt | None
    previous_manifest: Sha256 | None
    promotions: list[Promotion]
    retired: list[PositiveInt]
