"""A YAML file that knows its lines, so that a fault in a value names the line it stands in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ValidationError

from setlist.errors import SettingsError
from setlist.regular_file import open_regular
from setlist.section import no_such_setting
from setlist_pipelines.settings.bounded_yaml import (
    MOST_DEPTH,
    SETTINGS,
    Bounds,
    YamlFaultError,
    lines_of,
    read_yaml,
)


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
    def read(cls, path: Path, expected: str, bounds: Bounds = SETTINGS) -> Self:
        """Read a file.

        Args:
            path: of the file.
            expected: what the document has to be, for the message about another one.
            bounds: how large it may be.

        Raises:
            SettingsError: the file cannot be read, is too large, or its document is not a mapping.
        """
        try:
            # Not by the size that the system tells: some files have none.
            with open_regular(path.expanduser()) as file:
                read = file.read(bounds.file_bytes + 1)
            text = read.decode("utf-8")
        except FileNotFoundError as fault:
            raise SettingsError(f"{path} does not exist", "correct the path") from fault
        # RuntimeError is that of the home folder of an unknown user, ValueError that of a NUL.
        except (OSError, ValueError, RuntimeError) as fault:
            raise SettingsError(
                f"{str(path)!r:.200} cannot be read: {fault}", "correct the path or the file"
            ) from fault
        if len(read) > bounds.file_bytes:
            raise SettingsError(
                f"{path} has more than {bounds.file_bytes:,} bytes",
                "name another file, or write fewer values",
            )
        try:
            root, content = read_yaml(text, bounds)
        except YamlFaultError as fault:
            line = f", line {fault.line}" if fault.line else ""
            key = f"{fault.key}: " if fault.key else ""
            raise SettingsError(f"{path}{line}: {key}{fault}.") from fault
        if not isinstance(content, dict):
            raise SettingsError(f"{path}: {expected}, and this is not.")
        return cls(path, content, root)

    def override(self, assignment: str) -> None:
        """Replace one value by that of `key=value`: the key dotted, the value in YAML.

        Raises:
            SettingsError: there is no "=", a parent is not a section, or the value is not YAML or
                too large.
        """
        key, equals, text = assignment.partition("=")
        option = _option(assignment)
        if not equals:
            raise SettingsError(f"{option}: write it as key=value, e.g. policy.primary=mrr@10.")
        *parents, last = key.split(".")
        if len(parents) > MOST_DEPTH:
            raise SettingsError(f"{option}: the key has {len(parents) + 1} parts; correct it.")
        section = self.content
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise SettingsError(f"{option}: {parent} is not a section.")
        try:
            _, section[last] = read_yaml(text, SETTINGS)
        except YamlFaultError as fault:
            place = f"{key}.{fault.key}" if fault.key else key
            raise SettingsError(f"{option}: {place}: the value is refused: {fault}.") from fault
        self.overrides.append(assignment)

    def error(self, fault: ValidationError, kind: type[BaseModel]) -> SettingsError:
        """The first thing that is wrong with the content, as one sentence with its place.

        Args:
            fault: of the validation.
            kind: that the content was validated as.
        """
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        # A check of ours raises ValueError, and pydantic says so before its message.
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = no_such_setting(kind, first["loc"])
            if "." in (last := str(first["loc"][-1])):  # a key as the documentation writes it
                section, _, name = last.partition(".")
                message = f"there is no such setting; write `{section}: {{{name}: ...}}`"
        elif first["type"] == "missing":
            message = "this setting is required"
        elif first["type"] != "value_error":
            message = f"{message}, and this is {first['input']!r:.60}"
        line = [0, *lines_of(self.root, first["loc"])][-1]
        place = f"{self.path}, line {line}" if line else str(self.path)
        # The value came from the command line where an override set it or a section around it.
        for override in self.overrides:
            if f"{key}.".startswith(f"{override.partition('=')[0]}."):
                place = _option(override)
        return SettingsError(f"{place}: {f'{key}: ' if key else ''}{message}.")


def _option(assignment: str) -> str:
    """The option as it was given, where a terminal can show it."""
    if len(assignment) > 200 or not assignment.isprintable():
        return f"--set {assignment[:200]!r}"
    return f"--set {assignment}"
