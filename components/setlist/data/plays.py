"""The events of a dataset folder on an engine, with codes in place of ids."""

from pathlib import Path

from setlist.data.engine import Engine


def read_dataset(sql: Engine, dataset: Path) -> None:
    """Name the files of a dataset folder: train, test, item_table, user_table."""
    for table in ("train", "test"):
        sql.read(table, dataset / f"{table}.parquet")
    for table in ("item", "user"):
        sql.read(f"{table}_table", dataset / f"{table}s.parquet")


def code_plays(sql: Engine, events: str) -> None:
    """Give the events of a query codes, which take less room and time than ids.

    Makes `listeners` (user_id, code) and `played_items` (item_id, code), whose codes are in the
    order of the ids, and `coded` (u, i, time in microseconds since 1970, weight).
    """
    for table, column in (("listeners", "user_id"), ("played_items", "item_id")):
        sql.table(
            table,
            f"""
            select {column}, row_number() over (order by {column}) - 1 as code
            from (select distinct {column} from ({events}) e) d
            """,
        )
    sql.table(
        "coded",
        f"""
        select l.code as u, p.code as i, {sql.dialect.micros("e.timestamp")} as time, e.weight
        from ({events}) e
        join listeners l on e.user_id = l.user_id join played_items p on e.item_id = p.item_id
        """,
    )
