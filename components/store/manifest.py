"""The documents of a model store, and how each is read: strictly, or not at all."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PositiveInt,
    ValidationError,
)

from components.errors import SetlistError

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


class Document(BaseModel):
    """A JSON object with fixed keys; `D.parse(d.to_bytes(), name) == d` for every document d."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def to_bytes(self) -> bytes:
        """JSON text, the same bytes for equal documents."""
        return json.dumps(self.model_dump(), indent=2, sort_keys=True, allow_nan=False).encode()

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """The document that `to_bytes` wrote.

        Raises:
            SetlistError: it is not one; the sentence says `name`, the key and what is wrong.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as fault:
            raise SetlistError(f"{name} is damaged ({_first(fault)}); restore it.") from fault

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


def _first(fault: ValidationError) -> str:
    error = fault.errors()[0]
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    what = error["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where and where.isprintable() else what


class File(Document):
    """What one file of a model must be: lower-case hexadecimal SHA-256, and bytes."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class Manifest(Document):
    """The complete list of a revision's files, and where the model came from.

    name, revision   where the revision stands in the store
    run_id           the run that staged it
    created          UTC, ISO
    digest           the model's digest as its caller computes it
    files            relative path of every file -> its hash and size
    training_window  the period that the model has seen, as ISO text
    metadata         any JSON values without NaN, such as the verdict
    """

    name: Text
    revision: PositiveInt
    run_id: Text
    created: Text
    digest: Text
    files: Annotated[dict[RelativePath, File], Field(min_length=1)]
    training_window: dict[str, str]
    metadata: dict[str, JsonValue]


class Claim(Document):
    """That a run owns a revision number, for the one model with this digest."""

    revision: PositiveInt
    run_id: Text
    digest: Text
    created: Text


class Promotion(Document):
    """That a revision, staged by the run `run_id`, went live at `when` (UTC, ISO)."""

    revision: PositiveInt
    when: Text
    run_id: Text


class Pointer(Document):
    """What HEAD holds: the live revision, the one before, and the last promotions, oldest first."""

    live: PositiveInt
    previous: PositiveInt | None
    promotions: list[Promotion]
