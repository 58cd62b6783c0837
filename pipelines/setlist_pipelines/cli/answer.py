"""What a command answers: shown on the screen, or printed as one JSON object for scripts.

A command says everything once. The same table is drawn for a person and dumped for a script, so
that neither has what the other lacks.
"""

import json
import math
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, NamedTuple, Self

import typer

from setlist.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object for scripts; docs/reference/json.md names keys."
    ),
]


class Cell(NamedTuple):
    """A value that is shown in other words than those that a script gets."""

    value: object
    text: object


class Records:
    """Rows under named columns.

    Args:
        columns: key -> heading. Of a column with several headings, the values are a list. A column
            without heading (None) is for scripts only.
        title: stands above the table on the screen.
    """

    def __init__(
        self, columns: Mapping[str, str | Sequence[str] | None], title: str | None = None
    ) -> None:
        self.columns, self.title = columns, title
        self.rows: list[tuple[object, ...]] = []

    def add(self, *cells: object) -> None:
        """Add a row: a value or a `Cell` for each column, and for several headings as many."""
        self.rows.append(cells)

    def values(self) -> list[dict[str, object]]:
        """The rows for a script."""
        return [dict(zip(self.columns, map(_value, row), strict=True)) for row in self.rows]

    def table(self) -> "Table":
        """The rows for a person."""
        headings: list[str] = []
        for heading in self.columns.values():
            headings += _several(heading)
        table = new_table(*headings)
        if self.title is not None:
            table.title, table.title_justify = one_line(self.title), "left"
        for row in self.rows:
            texts: list[object] = []
            for heading, cell in zip(self.columns.values(), row, strict=True):
                if isinstance(heading, str):
                    texts.append(_text(cell))
                elif heading and isinstance(cell, list):
                    texts += [_text(part) for _, part in zip(heading, cell, strict=True)]
            add_row(table, *texts)
        return table


class Answer:
    """Collects what a command answers; with `as_json`, it is printed at the end, else at once.

    At an error nothing is printed: the error goes to the standard error, and the exit code tells.
    An exit code that is an answer itself (`typer.Exit`) leaves the answer as it is.

    Args:
        as_json: for a script.
        quiet: show nothing to a person either.
    """

    def __init__(self, as_json: bool, quiet: bool = False) -> None:
        from setlist_pipelines.cli.screen import screen

        self.as_json = as_json
        self.document: dict[str, object] = {}
        self.console: Console = screen()
        self.console.quiet = as_json or quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.as_json and (fault is None or isinstance(fault, typer.Exit)):
            # Characters that a terminal obeys are escaped, as is all that is not ASCII.
            typer.echo(json.dumps(_plain(self.document), indent=1, allow_nan=False))

    def put(self, key: str, value: object, line: object = None) -> None:
        """Answer a value, which a script finds under the key and a person in the line."""
        self.document[key] = value
        if line is not None:
            self.say(line)

    def put_rows(self, key: str, records: Records) -> None:
        """Answer rows; a table without rows is not shown."""
        self.document[key] = records.values()
        if records.rows:
            self.console.print(records.table())

    def put_facts(self, facts: Mapping[str, object], **sections: Mapping[str, object]) -> None:
        """Answer values under their keys, and sections of such values, as one table."""
        table = new_table("", "")
        for name, section in {"": facts, **sections}.items():
            values = {key: _value(cell) for key, cell in section.items()}
            self.document |= {name: values} if name else values
            for key, cell in section.items():
                add_row(table, key, _text(cell))
        self.console.print(table)

    def say(self, line: object) -> None:
        """Show a line to a person."""
        self.console.print(one_line(line), soft_wrap=True)


def new_table(*columns: str) -> "Table":
    """A table without rows."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(one_line(column), overflow="fold")
    return table


def add_row(table: "Table", *cells: object) -> None:
    """Add a row of one line a cell and without markup; what is a `Text` already stays as it is."""
    from rich.text import Text

    table.add_row(
        *(
            cell if isinstance(cell, Text) else Text("" if cell is None else one_line(cell))
            for cell in cells
        )
    )


def _several(heading: str | Sequence[str] | None) -> Sequence[str]:
    return [heading] if isinstance(heading, str) else heading or []


def _text(cell: object) -> object:
    return cell.text if isinstance(cell, Cell) else cell


def _value(cell: object) -> object:
    if isinstance(cell, Cell):
        return cell.value
    return [_value(part) for part in cell] if isinstance(cell, list | tuple) else cell


def _plain(value: object) -> object:
    """The value without numbers that JSON has no word for: they are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
