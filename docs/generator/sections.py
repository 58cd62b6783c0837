"""The keys of the settings and of the policy, from the classes that check them."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from generator.docstrings import Docstring, attribute_docstrings, cell, sentence

WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
}
MANY = {"whole number": "whole numbers", "number": "numbers", "text": "texts"}


MOST = 10**15
"""Larger bounds are those of the machine's numbers, and say nothing to a reader."""
MANY_PLACES = 6
"""A section that stands at more places has its class as heading."""


@dataclass
class Key:
    """A key of a section.

    Attributes:
        name: of the key.
        kind: what its values are, with their bounds.
        default: as YAML; "" where the key has to be given.
        words: what it means.
        inner: the class of the section or sections that its values are; None for a plain value.
        many: whether it holds a section for each of several names.
    """

    name: str
    kind: str
    default: str
    words: str
    inner: type[BaseModel] | None
    many: bool


def keys(kind: type[BaseModel]) -> Iterator[Key]:
    """The keys that a class allows, in its order."""
    schema = kind.model_json_schema()
    attributes = Docstring.of(kind).entries.get("Attributes", {})
    texts = attribute_docstrings(kind)
    for name, field in kind.model_fields.items():
        part = schema["properties"][name]
        inner = section_in(field.annotation)
        words = field.description or texts.get(name) or attributes.get(name, "")
        if inner and not words:
            words = Docstring.of(inner).text.partition("\n\n")[0]
        yield Key(
            name,
            values(part, schema.get("$defs", {})),
            "" if field.is_required() else default(field.default),
            re.sub(r"\bNone\b", "null", words),
            inner,
            part.get("type") == "object",
        )


def sections(kind: type[BaseModel], path: str = "") -> dict[type[BaseModel], list[str]]:
    """All classes of sections below one, itself first, each with the paths at which it stands."""
    places = {kind: [path]}
    for key in keys(kind):
        if key.inner:
            below = ".".join(filter(None, (path, key.name, "NAME" * key.many)))
            for inner, paths in sections(key.inner, below).items():
                places[inner] = list(dict.fromkeys([*places.get(inner, []), *paths]))
    return places


def section_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any annotation
    """The class of a section within an annotation such as `tuple[Guardrail, ...] | None`."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section_in, get_args(annotation))), None)


def values(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    """What a JSON schema allows, in words: "number, 0 to 1"."""
    if "$ref" in schema:
        return values(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "const" in schema:
        return f"`{shown(schema['const'])}`"
    if "enum" in schema:
        return _either([f"`{shown(value)}`" for value in schema["enum"]])
    if "anyOf" in schema:
        return _either([values(part, defs) for part in schema["anyOf"]])
    match schema.get("type"):
        case "null":
            return "`null`"
        case "array" if "prefixItems" in schema:
            return "[" + ", ".join(values(part, defs) for part in schema["prefixItems"]) + "]"
        case "array":
            each = values(schema.get("items", {}), defs)
            return f"list of {_plural(each)}{_at_most(schema.get('maxItems'))}"
        case "object" if "properties" in schema:
            return "section"
        case "object":
            inner = schema.get("additionalProperties", {})
            inner = next(iter(schema.get("patternProperties", {}).values()), inner)
            each = values(inner if isinstance(inner, dict) else {}, defs)
            return f"mapping of names to {_plural(each)}{_at_most(schema.get('maxProperties'))}"
        case None:
            return "any value"
        case word:
            examples = _either([f"`{example}`" for example in schema.get("examples", ())])
            return WORDS[word] + (f" such as {examples}" if examples else _bounds(schema))


def _either(parts: list[str]) -> str:
    *first, last = dict.fromkeys(parts) or [""]
    return f"{', '.join(first)} or {last}" if first else last


def _plural(each: str) -> str:
    word, comma, rest = each.partition(",")
    return MANY.get(word, word) + comma + rest


def _at_most(number: int | None) -> str:
    return f" (at most {number:,})" if number else ""


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None and abs(low) < MOST:
        return f", {_figure(low)} to {_figure(high)}"
    words = (("from", low), ("above", above), ("below", below), ("at most", high))
    parts = [
        f"{word} {_figure(bound)}"
        for word, bound in words
        if bound is not None and abs(bound) < MOST
    ]
    return f", {', '.join(parts)}" if parts else ""


def _figure(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.6g}"


def default(value: Any) -> str:  # noqa: ANN401 - any value
    """A default as YAML; of a section whose keys have their own defaults, that it has them."""
    if isinstance(value, BaseModel):
        kind = type(value)
        given = {
            name: getattr(value, name) for name, of in kind.model_fields.items() if of.is_required()
        }
        # Of a section with a key that has to be given, none is a default.
        if value == kind.model_validate(given):
            return "as below"
    return f"`{shown(plain(value))}`"


def plain(value: Any) -> Any:  # noqa: ANN401 - any value
    """A value of parts that YAML has, too."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: object) -> str:
    """A value as YAML, in one line."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r'"([A-Za-z_][\w@. -]*)"(?=[:,}\]]|$)', r"\1", text)


def page(kind: type[BaseModel], path: str = "", without: str = "") -> str:
    """The keys of a section and of all sections in it, as Markdown.

    Args:
        kind: the class of the section.
        path: where it stands; "" for the document itself.
        without: a section that has a page of its own.
    """
    places = {
        section: paths
        for section, paths in sections(kind, path).items()
        if not without or not any(place.split(".")[0] == without for place in paths)
    }
    anchors = {section: anchor(section, paths) for section, paths in places.items()}
    parts = []
    for section, paths in places.items():
        listed = ", ".join(f"`{place}`" for place in paths)
        few = len(paths) <= MANY_PLACES
        heading = listed if few and path + "".join(paths) else "At the top"
        heading = heading if few else section.__name__
        parts += [f"## {heading} {{#{anchors[section]}}}", Docstring.of(section).text]
        parts += [] if few else [f"It stands at {listed}."]
        parts.append(table(section, anchors, without))
    return "\n\n".join(parts)


def anchor(section: type[BaseModel], paths: list[str]) -> str:
    """The name of a section's heading in addresses: the first place that it stands at."""
    if len(paths) > MANY_PLACES:
        return section.__name__.lower()
    return paths[0] or "top"


def table(kind: type[BaseModel], anchors: dict[type[BaseModel], str], elsewhere: str = "") -> str:
    """The keys of one section as a table.

    Args:
        kind: the class of the section.
        anchors: of the sections on the page.
        elsewhere: a key whose section has a page of its name.
    """
    rows = ["| key | values | default | what it says |", "|---|---|---|---|"]
    for key in keys(kind):
        values = cell(key.kind)
        if key.inner in anchors:
            values = values.replace("section", f"[section](#{anchors[key.inner]})")
        elif key.name == elsewhere:
            values = f"[section]({elsewhere}.md)"
        given = cell(key.default) or "must be given"
        rows.append(f"| `{key.name}` | {values} | {given} | {cell(sentence(key.words))} |")
    return "\n".join(rows)
