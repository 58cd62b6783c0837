"""What every section of the settings refuses: inf and nan, endless texts, unprintable texts.

Bounds are wide: nobody needs what they refuse. They are there so that a slip or an attack is one
sentence when the settings are read, and not a fault of a step an hour later.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

MAX_TEXT = 4_096
"""The longest text of a setting, in characters; the longest path of Linux has as many bytes."""
MAX_NAMES = 100
"""The most names in a list of columns, metrics or the like."""
MOST_DAYS = 36_500
"""A hundred years; longer periods leave the range of the timestamps."""
BOUNDARIES = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Line ends that look like nothing, and marks that turn the direction of what follows."""


class Section(BaseModel):
    """The base of all classes that check a section of the settings."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=MAX_TEXT
    )

    @model_validator(mode="before")
    @classmethod
    def _check_texts(cls, document: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        # Before pydantic looks: texts may also stand where any value is allowed, and in keys.
        for text in _texts(document):
            if fault := text_fault(text):
                raise ValueError(fault)
        return document

    @field_validator("*", mode="before")
    @classmethod
    def _check_booleans(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - as above
        # Pydantic reads true as 1, and YAML reads yes, on and off as booleans.
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        if kinds & {int, float} and bool not in kinds:
            for each in _values(value):
                if isinstance(each, bool):
                    yes = "true, yes or on" if each else "false, no or off"
                    raise ValueError(f"{yes} is no number; write one, such as {int(each)}")
        return value


def _kinds(annotation: Any) -> Iterator[type]:  # noqa: ANN401 - any annotation
    """The types that an annotation is made of; sections inside check themselves."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _kinds(part)


def no_such_setting(kind: type[BaseModel], place: Sequence[str | int]) -> str:
    """What to say of a setting that a section does not have: the names that are like it, or all.

    Args:
        kind: of the document.
        place: the keys that lead to the setting, its own the last, as pydantic has them.
    """
    sections = [kind]
    for part in place[:-1]:
        fields = [each.model_fields[part] for each in sections if part in each.model_fields]
        inside = [each for field in fields for each in _kinds(field.annotation)]
        # The key of a mapping and the number in a list lead to the same sections.
        sections = [each for each in inside if issubclass(each, BaseModel)] or sections
    names = list(dict.fromkeys(name for each in sections for name in each.model_fields))
    like = get_close_matches(str(place[-1]), names)
    if like:
        return f"there is no such setting; write {' or '.join(like)} if that is meant"
    return f"there is no such setting; those that there are: {', '.join(names)}"


def text_fault(text: str) -> str:
    """Why a text cannot be a setting, with the remedy; "" where it can be one.

    A tab is allowed: it is a delimiter.
    """
    if len(text) > MAX_TEXT:
        return f"{text[:30]!r}... is a text of {len(text):,} characters; write at most {MAX_TEXT:,}"
    # Most texts are printable, which is one fast call.
    if text.isprintable():
        return ""
    for character in text:
        category = unicodedata.category(character)
        if (category in ("Cc", "Cs") and character != "\t") or character in BOUNDARIES:
            return (
                f"{text[:60]!r} has the character U+{ord(character):04X}, which is a line end, a "
                "control character or a mark of direction; remove it"
            )
    return ""


def _texts(document: Any) -> Iterator[str]:  # noqa: ANN401 - whatever stands in the file
    """All keys and values of a document that are texts; sections in it have checked themselves."""
    return (value for value in _values(document) if isinstance(value, str))


def _values(document: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever stands in the file
    """All keys and values of a document that hold no others."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
        else:
            yield value
