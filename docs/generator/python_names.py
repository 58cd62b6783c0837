"""The public names of `setlist` with their signatures and docstrings."""

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from enum import Enum

from pydantic import BaseModel

import setlist
from generator.docstrings import Docstring, attribute_docstrings, cell, sentence
from setlist.errors import SetlistError
from setlist.section import Section

WIDTH = 90
"""Of a signature in one line."""
MODULE = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])")
HEADINGS = {"Args": "Arguments", "Attributes": "Attributes", "Raises": "Raises"}


def page() -> str:
    """A section for each public name: functions, then classes, then errors."""
    values = {name: getattr(setlist, name) for name in setlist.__all__}
    functions = [name for name, value in values.items() if not inspect.isclass(value)]
    errors = [
        name
        for name, value in values.items()
        if inspect.isclass(value) and issubclass(value, SetlistError)
    ]
    classes = [name for name in values if name not in {*functions, *errors}]
    parts: list[str] = []
    for heading, names in (("Functions", functions), ("Classes", classes), ("Errors", errors)):
        parts.append(f"## {heading}")
        for name in sorted(names):
            parts += _name(name, values[name])
    return "\n\n".join(filter(None, parts))


def _name(name: str, value: object) -> Iterator[str]:
    yield f"### `setlist.{name}`"
    if inspect.isclass(value):
        yield from _class(name, value)
    elif callable(value):
        yield _signatures(name, value)
        yield from _docstring(Docstring.of(value))


def _class(name: str, kind: type) -> Iterator[str]:
    if issubclass(kind, SetlistError):
        base = kind.__bases__[0].__name__
        yield f"```python\nclass {name}({base})\n```"
        yield from _docstring(Docstring.of(kind))
        return
    if issubclass(kind, Section):
        page = {"Policy": "policy.md"}.get(name, "settings.md")
        yield Docstring.of(kind).text
        yield f"Its arguments are the keys of [that section]({page})."
        return
    if not issubclass(kind, BaseModel | Enum) and "__init__" in vars(kind):
        yield _signatures(name, kind)
    doc = Docstring.of(kind)
    fields = attribute_docstrings(kind)
    attributes = doc.entries.setdefault("Attributes", {})
    for field, text in fields.items():
        attributes.setdefault(field, text)
    for field in typing.get_type_hints(kind) if issubclass(kind, BaseModel) else ():
        if not field.startswith(("_", "model_")):
            attributes.setdefault(field, "")
    yield from _docstring(doc)
    for method_name, method in vars(kind).items():
        if method_name.startswith("_"):
            continue
        bare = method.__func__ if isinstance(method, classmethod | staticmethod) else method
        if inspect.isfunction(bare):
            yield f"#### `{name}.{method_name}`"
            yield _signatures(f"{name}.{method_name}", bare)
            yield from _docstring(Docstring.of(bare))
        elif (getter := getattr(method, "fget", None) or getattr(method, "func", None)) is not None:
            yield f"#### `{name}.{method_name}`"
            yield from _docstring(Docstring.of(getter))


def _docstring(doc: Docstring) -> Iterator[str]:
    yield doc.text
    for section, heading in HEADINGS.items():
        if entries := doc.entries.get(section):
            yield f"**{heading}**"
            yield "\n".join(
                f"- `{name}`" + (f": {cell(sentence(words))}" if words else "")
                for name, words in entries.items()
                if not name.startswith("_")
            )


def _signatures(name: str, function: Callable[..., object]) -> str:
    declared = typing.get_overloads(function) if inspect.isfunction(function) else []
    lines = [_signature(name, each) for each in declared or [function]]
    return "```python\n" + "\n".join(lines) + "\n```"


def _signature(name: str, function: Callable[..., object]) -> str:
    signature = inspect.signature(function)
    parts: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        text = str(parameter).partition(":")[0].partition("=")[0].strip()  # its stars, too
        if parameter.annotation is not parameter.empty:
            text += f": {_plain(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {parameter.default!r}"
        parts.append(text)
    answer = signature.return_annotation
    end = "" if inspect.isclass(function) or answer is signature.empty else f" -> {_plain(answer)}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){end}"])


def _plain(annotation: object) -> str:
    """An annotation without the modules of its names, and arrays without their types."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]", r"\1[]", MODULE.sub("", text))
