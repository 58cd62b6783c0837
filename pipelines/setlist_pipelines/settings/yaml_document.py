"""A YAML file that knows its lines, so that a fault in a value names the line it stands in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

from setlist.errors import SettingsError


class _Loader(yaml.SafeLoader):
    """YAML in which a date stays the text that was written, and no key may stand twice."""

    # Steps parse dates themselves, so that "2026-02-30" gets a message that names the setting.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # PyYAML keeps the last of two equal keys and is silent about the first.
        keys = [key.value for key, _ in node.value]
        for index, (key, _) in enumerate(node.value):
            if key.value in keys[:index]:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


@dataclass
class YamlDocument:
    """A YAML file whose document is a mapping, with the values of the command line in it.

    Attributes:
        path: of the file.
        content: the document; `override` changes it.
        root: the node of the document, for the lines; None for an empty file.
        overrides: the `key=value` pairs that have replaced values, the latest last.
    """

    path: Path
    content: dict[str, Any]
    root: yaml.Node | None
    overrides: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, expected: str) -> Self:
        """Read a file.

        Args:
            path: of the file.
            expected: what the document has to be, for the message about another one.

        Raises:
            SettingsError: the file cannot be read, or its document is not a mapping.
        """
        try:
            text = path.read_text("utf-8")
            # Two passes: the nodes know their lines, and only the second builds the values.
            root = yaml.compose(text, Loader=_Loader)
            content = yaml.load(text, Loader=_Loader)  # noqa: S506
        except FileNotFoundError as fault:
            raise SettingsError(f"{path} does not exist", "correct the path") from fault
        except (OSError, UnicodeDecodeError) as fault:
            raise SettingsError(f"{path} cannot be read: {fault}.") from fault
        except yaml.MarkedYAMLError as fault:
            line = fault.problem_mark.line + 1 if fault.problem_mark else 1
            raise SettingsError(
                f"{path}, line {line}: this is not YAML: {fault.problem}."
            ) from fault
        # A tag such as !!int on a text that is no number ends as a ValueError.
        except (yaml.YAMLError, ValueError) as fault:
            reason = str(fault).splitlines()[0]
            raise SettingsError(f"{path}: this is not YAML: {reason}.") from fault
        if not isinstance(content, dict):
            raise SettingsError(f"{path}: {expected}, and this is not.")
        return cls(path, content, root)

    def override(self, assignment: str) -> None:
        """Replace one value by that of `key=value`: the key dotted, the value in YAML.

        Raises:
            SettingsError: there is no "=", a parent is not a section, or the value is not YAML.
        """
        key, equals, text = assignment.partition("=")
        if not equals:
            raise SettingsError(
                f"--set {assignment}: write it as key=value, e.g. policy.primary=mrr@10."
            )
        *parents, last = key.split(".")
        section = self.content
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise SettingsError(f"--set {assignment}: {parent} is not a section.")
        try:
            section[last] = yaml.load(text, Loader=_Loader)  # noqa: S506
        except (yaml.YAMLError, ValueError) as fault:
            raise SettingsError(f"--set {assignment}: the value is not YAML.") from fault
        self.overrides.append(assignment)

    def error(self, fault: ValidationError) -> SettingsError:
        """The first thing that is wrong with the content, as one sentence with its place."""
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        # A check of ours raises ValueError, and pydantic says so before its message.
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "there is no such setting"
        elif first["type"] == "missing":
            message = "this setting is required"
        line = self._line(first["loc"])
        place = f"{self.path}, line {line}" if line else str(self.path)
        # The value came from the command line where an override set it or a section around it.
        for override in self.overrides:
            if f"{key}.".startswith(f"{override.partition('=')[0]}."):
                place = f"--set {override}"
        return SettingsError(f"{place}: {key}: {message}.")

    def _line(self, location: tuple[int | str, ...]) -> int:
        """The line, from 1, of the innermost part of `location` that the file has; 0 for none."""
        node, line = self.root, 0
        for part in location:
            if isinstance(node, yaml.MappingNode):
                pairs = [(key, value) for key, value in node.value if key.value == str(part)]
                if not pairs:
                    break
                key, node = pairs[0]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line
