"""Proposes a settings file for tables: which columns are meant, and how their times are written."""

import math
import re
import textwrap
from collections.abc import Callable, Mapping

import pandas as pd
import yaml

from setlist.data.curation import CurationSettings
from setlist.data.policy import DataPolicy
from setlist.data.remedies import (
    YEAR,
    guess_separator,
    guess_timestamp,
    in_order,
    several_words,
)
from setlist.data.source import TableSource
from setlist.errors import SettingsError
from setlist_pipelines.settings.column_names import MEANT, named_columns
from setlist_pipelines.settings.first_rows import FirstRows
from setlist_pipelines.settings.proposed_window import Activity
from setlist_pipelines.settings.unread_columns import unread_columns

TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "events": (("user_id", "item_id", "timestamp"), ("weight",)),
    "items": (("item_id",), ("title", "tags", "released", "valid_from")),
    "users": (("user_id",), ("valid_from",)),
}
"""Our names of the columns that each table must have, and of those that are looked for."""
MAX_INPUT_VALUES = 200
FEW_LISTENERS = 300
"""Of fewer the gate often cannot see what is a tenth better (docs/explanation/gate.md, power)."""
MOST_NUMBERS = 20
"""A column of numbers with more values is a quantity, such as an age, and no group."""
OF_A_YEAR = (
    "A year counts from its 1 January: what was released later in it is in the catalogue, and may "
    "be listed, before it exists. Give whole dates where that matters."
)
DECIMAL_COMMA = r"\d+,\d+"


def propose(
    events: str,
    items: str | None = None,
    users: str | None = None,
    columns: Mapping[str, str] | None = None,
    hint: Callable[[str], None] = lambda _: None,
    name: str = "home",
) -> str:
    """A commented settings file for tables.

    Args:
        events: a path, as in the settings of a table.
        items: the same, or None where there is no such table.
        users: the same.
        columns: our name of a column -> the file's, in whichever table has it; the others are
            looked for.
        hint: is called with a sentence for each choice that somebody has to look at.
        name: of the model in the store.

    Returns:
        YAML that `read_settings` accepts.

    Raises:
        DataError: when a table cannot be read, or a column is not found; the sentence lists the
            columns that there are.
        SettingsError: when a name of `columns` is none of ours, or no table has the column.
    """
    given = columns or {}
    tables = {
        table: FirstRows.read(path)
        for table, path in (("events", events), ("items", items), ("users", users))
        if path is not None
    }
    _check_given(given, tables)
    lines = [
        "# Proposed by `setlist init`; see what was made of it with `setlist data check`.",
        f"{f'name: {name}':<30} # of the model in the store",
        "# Paths of files and folders start at the folder in which setlist is started.",
        "store: .setlist/store          # or gs://bucket/prefix",
        "data:",
    ]
    played: dict[str, str] = {}
    for table, rows in tables.items():
        required, optional = TABLES[table]
        # A table of items or users has the ids of the events in its key column.
        known = {key: tables["events"].values[played[key]] for key in required if played}
        # The events have the keys of both.
        keys = {
            key: tables[other]
            for key, other in (("item_id", "items"), ("user_id", "users"))
            if table == "events" and other in tables
        }
        names = named_columns(rows, required, optional, given, known, keys)
        section, choices = _section(rows, names)
        lines += [f"  {table}:", *_lines(rows, names, section, choices)]
        for sentence in choices.values():
            hint(f"{table}: {sentence}")
        if table != "users":  # of which `inputs` names what is read
            lines += unread_columns(rows, list(names.values()), ratings=table == "events")
        if table == "events":
            played = names
            activity = Activity.read(TableSource.model_validate(_of_activity(section, names)))
        if table == "users":
            inputs = _inputs(rows, list(names.values()))
    if activity:
        lines += _period(activity, hint)
        # A listener east of here may have played tomorrow.
        if activity.end > pd.Timestamp.now("UTC").tz_localize(None) + pd.Timedelta(days=2):
            hint(
                f"as_of: the events end at {activity.end.date()}, which is in the future; see "
                "whether their dates are read as they are meant"
            )
    if users is not None:
        lines += inputs
    return "\n".join(lines) + "\n"


def _check_given(given: Mapping[str, str], tables: Mapping[str, FirstRows]) -> None:
    ours = dict.fromkeys(key for required, more in TABLES.values() for key in (*required, *more))
    for key, column in given.items():
        if key not in ours:
            raise SettingsError(
                f"--column: {key!r:.80} is none of our columns", f"use one of {', '.join(ours)}"
            )
        if not any(column in rows.values.columns for rows in tables.values()):
            raise SettingsError(
                f"--column {key}: no table has a column {column!r:.80}", "correct the name"
            )


def _section(rows: FirstRows, names: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """The settings of a table, and a sentence for each that somebody has to look at."""
    choices = {}
    section: dict[str, object] = {"path": rows.path}
    if renamed := {key: column for key, column in names.items() if key != column}:
        section["columns"] = renamed
    if rows.encoding:
        section["encoding"] = rows.encoding
    for key in ("timestamp", "released"):
        if key in names:
            times = rows.values[names[key]].dropna()
            guessed = guess_timestamp(times)
            if key == "released" and times.str.fullmatch(YEAR).mean() > 0.5:
                guessed = {"timestamp_format": "%Y"}
            likely, sentence = in_order(times, guessed.get("timestamp_format", ""))
            if likely:
                guessed = {"timestamp_format": likely}
                choices["timestamp_format"] = sentence
            section |= guessed
    if "weight" in names and rows.values[names["weight"]].str.fullmatch(DECIMAL_COMMA).any():
        section["decimal"] = ","
    if "tags" in names:
        tags = rows.values[names["tags"]].dropna()
        tags = tags[~tags.str.startswith("[")]
        separator = guess_separator(tags)
        if separator not in ("", "|"):
            section["tags_separator"] = separator
        if separator == " ":
            example = tags[tags.str.contains(" ")].iloc[0]
            choices["tags_separator"] = (
                f"each word of {names['tags']}, such as {example!r:.60}, is read as a tag; take "
                "tags_separator out where the words belong together"
            )
        elif not separator and several_words(tags):
            example = tags[tags.str.contains(r"\S\s")].iloc[0]
            choices["tags"] = (
                f"each text of {names['tags']}, such as {example!r:.60}, is read as one tag; set "
                "tags_separator: ' ' where its words are tags of their own"
            )
    return section, choices


def _lines(
    rows: FirstRows,
    names: Mapping[str, str],
    section: Mapping[str, object],
    choices: Mapping[str, str],
) -> list[str]:
    """The settings of a table as indented lines, with an example behind each renamed column."""
    lines = [f"    path: {_yaml(rows.path)}", *(f"    # {note}" for note in rows.notes)]
    for option, value in section.items():
        if option == "columns":
            lines.append("    columns:")
            for key, column in names.items():
                if key != column:
                    example = rows.example(column)
                    shown = f", such as {example!r}" if example else ""
                    meaning = MEANT.get(key, key)
                    lines.append(f"      {key}: {_yaml(column)}  # {meaning}{_comment(shown)}")
        elif option != "path":
            lines += _wrapped(choices.get(option, ""))
            if (option, value) == ("timestamp_format", "%Y"):
                lines += _wrapped(OF_A_YEAR)
            lines.append(f"    {option}: {_yaml(str(value))}")
    for option, sentence in choices.items():
        if option not in section:
            lines += _wrapped(sentence)
    return lines


def _wrapped(sentence: str, indent: str = "    ") -> list[str]:
    """A sentence as lines of a comment."""
    return [f"{indent}# {row}" for row in textwrap.wrap(_comment(sentence), 96 - len(indent))]


def _of_activity(section: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """The settings of the events without the columns that say nothing about who played when."""
    needed = {key: names[key] for key in ("user_id", "timestamp")}
    return {**section, "columns": needed}


def _period(activity: Activity, hint: Callable[[str], None]) -> list[str]:
    """The lines on the period of a run, and on the rule for bots where it would hit people."""
    train, test = activity.window()
    lines = []
    if activity.late:
        lines.append(
            f"# {activity.late:,} of the events lie far behind all others, up to "
            f"{activity.last.date()}; they take no part."
        )
    lines += [
        f"as_of: {activity.end.date().isoformat()}              "
        "# where the events end; leave it out to use now",
        f"window: {{train_days: {train}, test_days: {test}}}  # trained on, and held out to judge"
        + (_held_out(activity, train, test) if activity.complete else ""),
    ]
    held_out = activity.tested(test) if activity.complete else FEW_LISTENERS
    if held_out < FEW_LISTENERS:
        few = (
            f"Only {held_out:,} listeners played in the last {test} days; with fewer than "
            f"{FEW_LISTENERS} a verdict is often undecided, unless one model is far better."
        )
        lines += _wrapped(few, "")
    if activity.busy_are_people:
        lines += [
            "# Many have more than 500 events on one day, such as ratings in one sitting. They are",
            "# no bots, as such listeners otherwise are taken to be.",
            f"curation: {{max_events_per_day: {activity.events_per_day}}}",
        ]
    elif bots := _bots(activity):
        hint(f"policy.data.rejected: {bots}")
        lines += [
            *_wrapped(bots, ""),
            f"# policy: {{data: {{rejected: {{stop: {_accepting(activity.rejected)}}}}}}}",
        ]
    return lines


def _bots(activity: Activity) -> str:
    """What the gate for data would stop a run for: a large share of events that bots seem to have.

    Returns:
        A sentence; "" where their share is allowed.
    """
    allowed, usual = DataPolicy().rejected.stop, CurationSettings().max_events_per_day
    if activity.rejected <= allowed:
        return ""
    busy = activity.busy
    most, listeners = busy.nlargest(1, "plays"), busy["listener"].nunique()
    day = pd.Timestamp(0) + pd.Timedelta(days=int(most["day"].iloc[0]))
    return (
        f"{busy['plays'].sum():,} of {activity.pairs['plays'].sum():,} events "
        f"({activity.rejected:.0%}) are of {listeners:,} listener{'s' * (listeners > 1)} with more "
        f"than {usual} on one day, up to {most['plays'].iloc[0]:,} on {day.date()}; they are "
        f"rejected as bots, and a run stops where more than {allowed:.0%} are rejected. Set "
        f"policy.data.rejected.stop: {_accepting(activity.rejected)} to leave them out, or "
        f"curation.max_events_per_day: {activity.events_per_day} to keep them."
    )


def _accepting(share: float) -> float:
    """The next twentieth, with room for rows that are rejected for another reason."""
    return min(1.0, math.ceil((share + 0.01) * 20) / 20)


def _held_out(activity: Activity, train: int, test: int) -> str:
    """How many can be judged by, and of how many of them a model knows anything."""
    known = activity.with_history(train, test)
    return f" ({activity.tested(test):,} played then, {known:,} of them with a history)"


def _inputs(rows: FirstRows, keys: list[str]) -> list[str]:
    """The line with the columns of users that have few enough values to say something.

    Numbers of many values are left out, and a comment names them: every age would be a group of
    its own.
    """
    few = [
        name
        for name in rows.values.columns
        if name not in keys
        and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        and 1 < rows.values[name].nunique() <= min(MAX_INPUT_VALUES, len(rows.values) / 5)
    ]
    many = [name for name in few if _is_quantity(rows.values[name])]
    lines = [
        f"# {name} has {rows.values[name].nunique()} values and is no input: each would be a group "
        "of its own. Give ranges, such as 20-29."
        for name in many
    ]
    inputs = ", ".join(name for name in few if name not in many)
    return [*lines, f"inputs: [{inputs}]   # columns of users that the models may read"]


def _is_quantity(values: pd.Series) -> bool:
    given = values.dropna()
    return given.nunique() > MOST_NUMBERS and bool(
        pd.to_numeric(given, errors="coerce").notna().all()
    )


def _yaml(value: str) -> str:
    """A value as YAML writes it, on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).split("\n...")[0].strip()
    )


def _comment(text: str) -> str:
    """Text from a file, without what would end the comment that it stands in."""
    return "".join(character if character.isprintable() else "?" for character in text)
