"""YAML of bounded size: read into plain values, or refused with the line and the key.

YAML can be small and mean much: eight lines of aliases stand for billions of values, and a thousand
brackets for a depth that no recursion survives. So the events of the parser are counted, aliases as
what they stand for, before any value is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from setlist.section import text_fault

MOST_DEPTH = 32
"""Sections in sections; settings need nine."""
MOST_DIGITS = 40
"""Of a number. Long ones take time that grows with the square of their length."""
TAGS = ("str", "int", "float", "bool", "null", "map", "seq", "merge")
"""The types of values; YAML has others, such as sets and bytes, which no setting takes."""


@dataclass(frozen=True)
class Bounds:
    """The most bytes of a file, and the most values in it, aliases as what they stand for."""

    file_bytes: int
    nodes: int


SETTINGS = Bounds(1_000_000, 20_000)
"""Of a settings or policy file. Its values are arguments of steps, which take less (see
`setlist_pipelines.kubeflow.submission`)."""
EXPECTATIONS = Bounds(4_000_000, 120_000)
"""Of a file of expectations, which may hold 100,000 tags."""


class YamlFaultError(Exception):
    """What is wrong with a text, with its line, from 1, and the dotted key, "" where none is known.

    `str(fault)` is a sentence without place and full stop.
    """

    def __init__(self, line: int, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.key = key


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which a date stays the text that was written, and "=" is a text.

    The parser in C is ten times as fast; where it was not built, only the words of faults differ.
    """

    # Dates are parsed elsewhere, so that "2026-02-30" gets a message that names the setting.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if not tag.endswith((":timestamp", ":value"))
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str, bounds: Bounds) -> tuple[yaml.Node | None, Any]:
    """Read one document.

    Returns:
        Its node, for the lines, None for an empty text; and its value, in which no two places share
        a mapping or a list.

    Raises:
        YamlFaultError: the text is not YAML, larger than the bounds, or holds what no setting may.
    """
    try:
        _check_size(text, bounds)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None, None
            _check_node(root, (), 1)
            return root, _unshared(loader.construct_document(root))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as fault:
        # The end of the text is a line that no editor shows.
        line = min(_line(fault.problem_mark), len(text.splitlines()) or 1)
        raise YamlFaultError(line, "", f"this is not YAML: {fault.problem}") from fault
    # A tag such as !!int on a text that is no number ends as a ValueError.
    except (yaml.YAMLError, ValueError) as fault:
        raise YamlFaultError(0, "", f"this is not YAML: {str(fault).splitlines()[0]}") from fault


def _check_size(text: str, bounds: Bounds) -> None:
    """Count the values and their depth by the events of the parser, which takes no recursion."""
    nodes = 0
    sizes: dict[str, int] = {}  # of what an anchor stands for
    begun: list[tuple[str | None, int]] = []  # the anchor of each open collection, nodes before it
    for event in yaml.parse(text, Loader=_Loader):
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            # In its own anchor, it would stand for a value that holds itself.
            if event.anchor not in sizes:
                raise YamlFaultError(
                    line, "", f"*{event.anchor:.60} has no &{event.anchor:.60} that ended before it"
                )
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            if event.anchor:
                sizes.pop(event.anchor, None)
            begun.append((event.anchor, nodes))
            nodes += 1
            if len(begun) > MOST_DEPTH:
                raise _too_deep(line, "")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = begun.pop()
            if anchor:
                sizes[anchor] = nodes - before
        if nodes > bounds.nodes:
            raise YamlFaultError(
                line,
                "",
                f"from here on there are more than {bounds.nodes:,} values, aliases counted as "
                "what they stand for; write fewer",
            )


def _line(mark: Any) -> int:  # noqa: ANN401 - the parsers have classes of their own
    """The line of a mark, from 1."""
    return mark.line + 1 if mark else 1


def _too_deep(line: int, key: str) -> YamlFaultError:
    return YamlFaultError(
        line, key, f"more than {MOST_DEPTH} lists and mappings lie in each other; write fewer"
    )


def _check_node(node: yaml.Node, path: tuple[str, ...], depth: int) -> None:
    """Check tags, texts, numbers and keys; aliases are walked as what they stand for."""
    line, key = _line(node.start_mark), ".".join(path)
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if depth > MOST_DEPTH:
        raise _too_deep(line, key)
    if kind not in TAGS:
        raise YamlFaultError(line, key, f"no setting has the type {node.tag[:60]!r}; remove it")
    if isinstance(node, yaml.ScalarNode):
        if kind in ("int", "float") and len(node.value) > MOST_DIGITS:
            raise YamlFaultError(
                line,
                key,
                f"{node.value[:30]}... is a number of {len(node.value):,} characters; write at "
                f"most {MOST_DIGITS}",
            )
        if sentence := text_fault(node.value):
            raise YamlFaultError(line, key, sentence)
    elif isinstance(node, yaml.SequenceNode):
        for place, child in enumerate(node.value):
            _check_node(child, (*path, str(place)), depth + 1)
    else:
        seen: set[str] = set()
        for name, child in node.value:
            name_line = _line(name.start_mark)
            if not isinstance(name, yaml.ScalarNode):
                raise YamlFaultError(name_line, key, "a key is a list or a mapping; write a text")
            _check_node(name, path, depth)
            # PyYAML keeps the last of two equal keys and is silent about the first.
            if name.value in seen:
                raise YamlFaultError(
                    name_line, "", f"this is not YAML: the key {name.value!r:.80} stands twice"
                )
            seen.add(name.value)
            _check_node(child, (*path, name.value), depth + 1)


def _unshared(value: Any) -> Any:  # noqa: ANN401 - any YAML value
    """The value, with a copy for each alias: `--set` changes one place."""
    if isinstance(value, dict):
        return {key: _unshared(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_unshared(each) for each in value]
    return value


def lines_of(root: yaml.Node | None, location: tuple[int | str, ...]) -> Iterator[int]:
    """The lines, from 1, of the parts of a location, as far as the document has them."""
    node = root
    for part in location:
        if isinstance(node, yaml.MappingNode):
            # What a merge brings stands before what replaces it.
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                return
            key, node = pairs[-1]
            yield _line(key.start_mark)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                return
            node = node.value[part]
            yield _line(node.start_mark)
