"""`setlist data` and `setlist init`: what is in the tables, before anything is trained."""

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from setlist.errors import SettingsError
from setlist.printable import lines, one_line
from setlist_pipelines.cli.answer import Answer, Cell, JsonOption, Records
from setlist_pipelines.cli.connection import Config, Set, command, named_settings, say
from setlist_pipelines.cli.help_page import Commands, examples

if TYPE_CHECKING:
    from setlist.data.curation_report import CurationReport
    from setlist.data.schema import Window
    from setlist_pipelines.settings.file import Settings

data = Commands(
    help="Look at the tables before anything is trained.",
    epilog=examples("setlist data check --config settings.yaml"),
)

INIT_EXAMPLES = examples(
    "setlist init plays.csv",
    "setlist init plays.parquet --items songs.csv --users people.csv --output home.yaml",
    "setlist init orders.csv --column user_id=buyer --column item_id=what",
)
STOP_EXIT_CODE = 3
COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...] | None]] = {
    "events": (("user_id", "item_id", "timestamp"), ("weight",)),
    "items": (("item_id",), ("title", "tags", "released", "valid_from")),
    "users": (("user_id",), None),
    "exclude": ((), ("user_id", "item_id")),
}
"""Our names of the columns of each table: those that it must have, and those that it may have."""


@data.command(
    name="check",
    epilog=examples(
        "setlist data check --config settings.yaml",
        "setlist data check --config settings.yaml --set data.events.timestamp_unit=ms",
    ),
)
def check(config: Config = None, change: Set = None, json: JsonOption = False) -> None:
    """Show what each column is read as, what would be rejected and why, and the gate's verdict.

    Reads, curates and judges the tables as a run does, and writes nothing. Without a live model at
    hand the rules on drift are left out, and days before the first event are not missed; a run
    applies them, and misses the days that the live model was trained on.

    Ends with 0 when the gate for data passes or warns, with 3 when it would stop a run, with 1 on
    an error and with 2 when it was called wrongly.
    """
    settings = named_settings(config, change)
    with Answer(json) as answer:
        show_tables(settings, answer)
        if judge(settings, answer) == "stop":
            raise typer.Exit(STOP_EXIT_CODE)
        if config:
            answer.say(f"next: {command('setlist run', config, change)}")


@data.command(
    name="infer",
    epilog=examples("setlist data infer --config settings.yaml --output data.expected.yaml"),
)
def infer(
    config: Config = None,
    change: Set = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "data.expected.yaml"
    ),
) -> None:
    """Write what the tables hold now as what is expected of them: review it, and commit it.

    Types, vocabularies, ranges and shares of missing values of the users' columns, and the tags of
    items. With `policy: {data: {expected: data.expected.yaml}}` in the settings, the gate for data
    holds later tables to it.
    """
    import yaml

    from setlist.data.expectation import Expected

    if output.exists():
        raise SettingsError(f"{output} exists already", "name another file with --output")
    settings = named_settings(config, change)
    with curated(settings) as (dataset, _, _):
        users = pd.read_parquet(dataset / "users.parquet")
        expected = Expected.infer(users, pd.read_parquet(dataset / "items.parquet"))
    document = expected.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    output.write_text(f"# Written by `setlist data infer`; review it.\n{text}", "utf-8")
    say(f"written to {output}: {len(expected.users)} columns, {len(expected.tags)} tags")


@contextmanager
def curated(
    settings: "Settings", window: "Window | None" = None
) -> "Iterator[tuple[Path, Window, CurationReport]]":
    """Curate into a folder that is removed again; the dataset, its window and its report."""
    from setlist.data.curation import curate

    window = window or run_window(settings)
    with tempfile.TemporaryDirectory() as scratch:
        dataset = Path(scratch) / "dataset"
        # What it prints stands in the report, which is shown.
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            report = curate(settings.data, window, settings.curation, dataset, settings.engine)
        yield dataset, window, report


def run_window(settings: "Settings") -> "Window":
    """The window of a run with these settings."""
    from setlist.data.curation import resolve_window

    return resolve_window(settings.window, settings.as_of, pd.Timestamp.now("UTC"))


def show_tables(settings: "Settings", answer: Answer) -> None:
    """Answer what each table of the settings holds."""
    from setlist.data.table_summary import summarise

    tables: list[dict[str, object]] = []
    for name, (required, optional) in COLUMNS.items():
        source = getattr(settings.data, name)
        if source is None:
            continue
        # Printed as it is found, so that a long table shows that something happens.
        summaries = summarise(
            source,
            required,
            optional,
            lambda line: answer.console.print(one_line(line), style="dim"),
        )
        rows = summaries[0].rows if summaries else 0
        columns = Records(
            {
                "column": "column",
                "read_from": "read from",
                "read_as": "read as",
                "examples": "examples",
                "range": "range",
                "missing": "missing",
                "distinct": "distinct",
            },
            title=f"{name}: {rows:,} rows of {source.name}",
        )
        for column in summaries:
            columns.add(
                column.name,
                column.column,
                column.read_as,
                Cell(list(column.examples), ", ".join(column.examples)),
                column.span,
                Cell(column.missing, f"{column.missing:,}" if column.missing else ""),
                Cell(column.distinct, f"{column.distinct:,}"),
            )
        tables.append(
            {"table": name, "source": source.name, "rows": rows, "columns": columns.values()}
        )
        answer.console.print(columns.table())
    answer.put("tables", tables)


def judge(settings: "Settings", answer: Answer) -> str:
    """Curate into a folder that is removed again, judge, and answer; the decision."""
    import pyarrow.parquet as pq

    from setlist.data.gate import judge_data
    from setlist.data.transformation import check_inputs
    from setlist_pipelines.cli.screen import print_data_verdict

    with curated(settings) as (dataset, window, report):
        # The step after the gate would refuse them.
        check_inputs(settings.inputs, pq.read_schema(dataset / "users.parquet").names)
        policy, now = settings.policy.data, pd.Timestamp.now("UTC")
        verdict = judge_data(
            dataset, window, report, settings.inputs, None, policy, now, settings.engine
        )
    removed = Records(
        {
            "rule": "rejected or left out",
            "fate": None,
            "rows": "rows",
            "first_row": "first row",
            "remedy": "what mends it",
        }
    )
    for count in report.counts:
        if count.removed:
            example = report.examples.get(count.rule)
            removed.add(
                Cell(count.rule, f"{count.rule} ({count.fate})"),
                count.fate,
                Cell(count.removed, f"{count.removed:,}"),
                example.row if example else None,
                example.remedy if example else None,
            )
    answer.put_rows("removed", removed)
    kept = ("train", "test", "users", "items")
    answer.put("kept", {key: getattr(report, key) for key in kept})
    answer.say(
        f"{report.train:,} events in the training period, {report.test:,} in the test period, "
        f"{report.users:,} listeners and {report.items:,} items in the tables."
    )
    answer.put("notes", list(report.notes))
    for note in report.notes:
        answer.console.print(one_line(f"note: {note}"), style="dim", soft_wrap=True)
    answer.put("verdict", verdict.model_dump(mode="json"))
    print_data_verdict(answer.console, verdict, "gate for data")
    return verdict.decision


def init(
    events: Annotated[str, typer.Argument(help="The events: a file, a folder, or as in settings.")],
    items: Annotated[str | None, typer.Option(help="The table of items, if there is one.")] = None,
    users: Annotated[str | None, typer.Option(help="The table of users, if there is one.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Say which column is meant, e.g. --column item_id=sku (can be repeated)."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "settings.yaml"
    ),
) -> None:
    """Write a commented settings file for tables, with columns and formats found in them.

    Columns are known by their names in several languages, times and the ids of items and users also
    by what they hold; a sentence says which column is not. The window is one in which enough
    listeners are held out to judge a model by. The model is called after the file: shop.yaml is of
    a model "shop", settings.yaml of "home".
    """
    from setlist.store.reader import RESERVED
    from setlist_pipelines.settings.proposal import propose

    if output.exists():
        raise SettingsError(f"{output} exists already", "name another file with --output")
    columns = {}
    for pair in column or ():
        key, equals, name = pair.partition("=")
        if not equals or not name:
            raise SettingsError(f"--column {pair[:80]!r}", "write it like --column item_id=sku")
        columns[key] = name
    hints: list[str] = []
    name = re.sub("[^a-z0-9]+", "-", output.stem.lower()).strip("-")
    if name in ("", "settings", *RESERVED):
        name = "home"
    text = propose(events, items, users, columns, hints.append, name)
    output.write_text(text, "utf-8")
    typer.echo(lines(text))
    config = shlex.quote(str(output))
    # Not into the file of those who write `> home.yaml`.
    for sentence in hints:
        say(f"look at {sentence}", err=True)
    say(f"written to {output}", err=True)
    say(f"next: setlist data check --config {config}, then setlist run --config {config}", err=True)
