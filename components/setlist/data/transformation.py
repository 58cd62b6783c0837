"""Transforms the curated tables into features: a catalogue, a code for each id, the histories.

Everything is fitted on the training period. The parts that serving needs (the catalogue, the
vocabularies of the named inputs) are stored inside each model when it is fitted, so serving has no
second implementation that could differ from this one.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from setlist.data.engine import Engine, EngineSettings
from setlist.data.engines import open_engine
from setlist.data.features import ITEMS, PLAYS, WEIGHTED_PLAYS, write_documents
from setlist.data.plays import code_plays, read_dataset
from setlist.data.profile import Weeks
from setlist.data.schema import (
    DAY_MICROSECONDS,
    HISTORY_AGE,
    UNBOUNDED_END,
    Window,
    instant,
    instant_microseconds,
)
from setlist.errors import SettingsError

RESERVED_INPUTS = {
    "user_id",
    "history",
    "exclude",
    "k",
    HISTORY_AGE,
    "relevant",
    "listener",
    "item_part",
}
"""Names that no input may have: the tables, the models' signature and the evaluation use them."""


def transform(
    dataset: Path,
    window: Window,
    inputs: tuple[str, ...],
    output: Path,
    engine: EngineSettings = EngineSettings(),  # noqa: B008 - it is frozen
) -> None:
    """Fit the features on a curated dataset and write them to `output`.

    The catalogue holds the items known at the cutoff: items of the table released before it and
    items with a training event. Listeners of the test period without a training event are kept in
    a table of their own: they are evaluated, and nothing is fitted on them.

    Args:
        dataset: the folder that `curate` wrote.
        window: the run's window; ages are counted back from its cutoff.
        inputs: columns of the users table that become named inputs of the models.
        output: the features folder to write; see `setlist.data.features`.
        engine: where the events are held.

    Raises:
        SettingsError: when an input is not a column of the users table, or cannot have its name.
    """
    with open_engine(engine) as sql:
        read_dataset(sql, dataset)
        _fit(sql, "select * from train", "select user_id from test", window, inputs, output)


def transform_whole(
    dataset: Path,
    window: Window,
    inputs: tuple[str, ...],
    output: Path,
    engine: EngineSettings = EngineSettings(),  # noqa: B008 - it is frozen
) -> None:
    """Like `transform`, but as of the end of the window, so that the test period is trained on too.

    The cutoff is the end of the window, or just after the last event where the window has no end.
    There are no newcomers, because no event is later. Rare items (`curation.min_item_events`) are
    missing from the training period only.
    """
    with open_engine(engine) as sql:
        read_dataset(sql, dataset)
        end = window.end
        if end == UNBOUNDED_END:
            last = sql.dialect.micros("timestamp")
            ((latest,),) = sql.rows(f"select max({last}) from test")
            end = instant(latest + 1)
        # A window needs a test period; this one is empty.
        all_days = Window(window.start, end, end + pd.Timedelta(1, "us"))
        events = "select * from train union all select * from test"
        _fit(sql, events, "select user_id from test where false", all_days, inputs, output)


def _fit(
    sql: Engine,
    events: str,
    test_listeners: str,
    window: Window,
    inputs: tuple[str, ...],
    output: Path,
) -> None:
    """The features of the events of a query, all before the cutoff."""
    check_inputs(inputs, sql.arrow("select * from user_table limit 0").column_names)
    output.mkdir(parents=True, exist_ok=True)
    code_plays(sql, events)
    cutoff, dialect = instant_microseconds(window.cutoff), sql.dialect
    # In tie order: see `setlist.data.schema.tie_order`.
    sql.table(
        "catalogue",
        f"""
        select t.item_id, t.title, t.tags, t.released, p.code as i,
               row_number() over (order by {dialect.sha256("t.item_id")}) - 1 as code
        from ({_item_rows(sql)}) t left join played_items p on t.item_id = p.item_id
        where p.code is not null or {dialect.micros("t.released")} < {cutoff}
        """,
    )
    sql.write(
        """
        select c.item_id, c.title, c.tags, c.released, coalesce(n.plays, 0) as plays,
               coalesce(n.listeners, 0) as listeners
        from catalogue c
        left join (select i, count(*) as plays, count(distinct u) as listeners
                   from coded group by i) n on c.i = n.i
        order by c.code
        """,
        output / "items.parquet",
        ITEMS,
    )
    chosen = "".join(f", coalesce(t.{dialect.name(name)}, '')" for name in inputs)
    for table, people in (
        ("users", "select user_id from listeners"),
        (
            "newcomers",
            f"""
            select distinct e.user_id from ({test_listeners}) e
            left join listeners l on e.user_id = l.user_id where l.code is null
            """,
        ),
    ):
        sql.write(
            f"""
            select p.user_id{chosen} from ({people}) p
            left join user_table t on p.user_id = t.user_id order by p.user_id
            """,
            output / f"{table}.parquet",
            pa.schema([(name, pa.large_string()) for name in ("user_id", *inputs)]),
        )
    ((unweighted,),) = sql.rows("select count(*) from coded where weight <> 1")
    sql.write(
        f"""
        select e.u, c.code, {dialect.ratio(f"{cutoff} - e.time", DAY_MICROSECONDS)}
               {", e.weight" if unweighted else ""}
        from coded e join catalogue c on e.i = c.i
        order by e.u, e.time, e.i
        """,
        output / "plays.parquet",
        WEIGHTED_PLAYS if unweighted else PLAYS,
    )
    write_documents(output, window, inputs, Weeks(sql, window.cutoff).profile(inputs))
    if unweighted:
        print("weight: plays count by it as targets of the two-tower; heuristics count each as one")


def _item_rows(sql: Engine) -> str:
    """The items table, and the played items that it lacks.

    Where the source has no items, the table of the dataset has those of the training period.
    """
    lacking = """
        select p.item_id from played_items p left join item_table t on p.item_id = t.item_id
        where t.item_id is null
    """
    table = "select item_id, title, tags, released from item_table"
    if not sql.rows(f"select count(*) from ({lacking}) l")[0][0]:
        return table
    no_tags = sql.dialect.no_texts()
    return f"{table} union all select item_id, item_id, {no_tags}, null from ({lacking}) l"


def check_inputs(inputs: tuple[str, ...], columns: Sequence[str]) -> None:
    """Refuse names that an input cannot have, and those that are no columns of the users table.

    Args:
        inputs: of the settings.
        columns: of the curated table, user_id among them.

    Raises:
        SettingsError: for the first such name.
    """
    for place, name in enumerate(inputs):
        # The name becomes an argument of the model's signature.
        plain = re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        if name in RESERVED_INPUTS or name in inputs[:place] or not plain:
            raise SettingsError(
                f"inputs: {name!r} cannot be the name of an input, because it is reserved, appears "
                "twice or holds more than letters, digits and _",
                "give the column another name in data.users.columns",
            )
    others = [column for column in columns if column != "user_id"]
    if missing := [name for name in inputs if name not in others]:
        raise SettingsError(
            f"inputs: the users table has no column {missing[0]!r} (it has: "
            f"{', '.join(others) or 'none'})",
            "correct the name, or take it out of `inputs`",
        )
