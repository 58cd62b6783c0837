"""Reads the JSON documents that setlist writes, such as `evaluation.json`, back into their models.

A document that is missing or does not fit its pydantic model becomes one sentence: the file, the
key, what is wrong with the value, and what to do about it.
"""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from setlist.errors import SetlistError

Document = TypeVar("Document", bound=BaseModel)


def read_document(
    path: Path, model: type[Document], error: type[SetlistError], remedy: str
) -> Document:
    """Read and check the document in a file.

    Args:
        path: the JSON file.
        model: the pydantic model that the document must fit.
        error: the class of the exception, by the subject of the document.
        remedy: what to do about a missing or unreadable document, without a full stop.

    Raises:
        SetlistError: the file is missing or does not fit; always an instance of `error`.
    """
    if not path.is_file():
        raise error(f"{path} is missing", remedy)
    return parse_document(path.read_bytes(), str(path), model, error, remedy)


def parse_document(
    content: bytes, source: str, model: type[Document], error: type[SetlistError], remedy: str
) -> Document:
    """Check a document that was already read, e.g. from a store.

    Args:
        content: the JSON.
        source: how the message names the place where the content was read.
        model: the pydantic model that the document must fit.
        error: the class of the exception, by the subject of the document.
        remedy: what to do about an unreadable document, without a full stop.

    Raises:
        SetlistError: the content does not fit; always an instance of `error`.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as fault:
        raise error(f"{source}: {first_fault(fault)}", remedy) from fault


def first_fault(fault: ValidationError) -> str:
    """The first thing that is wrong with a document, as "key.of.the.value: message"."""
    first = fault.errors()[0]
    # pydantic marks a fault in a key, not in its value, with this last part.
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    # A check of ours raises ValueError, and pydantic says so before its message.
    message = first["msg"].removeprefix("Value error, ")
    # A key from a damaged file may hold line breaks; then the message stands alone.
    return f"{key}: {message}" if key and key.isprintable() else message
