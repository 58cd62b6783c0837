"""Which columns of a stranger's table are meant: by their names, else by what they hold."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from setlist.data.keys import Column
from setlist.data.remedies import guess_timestamp
from setlist.data.source import TableSource
from setlist.errors import DataError
from setlist.printable import one_line
from setlist.section import text_fault
from setlist_pipelines.settings.first_rows import FirstRows

NAMES: dict[str, tuple[str, ...]] = {
    "user_id": (
        *("user", "uid", "listener", "customer", "member", "account", "profile", "client"),
        *("viewer", "reader", "subscriber", "buyer", "shopper", "player", "visitor", "reviewer"),
        *("session", "nutzer", "benutzer", "kunde", "kunden", "horer", "hoerer", "kaufer"),
        *("kaeufer", "mitglied", "mitglieds", "utilisateur", "usager", "usuario", "cliente"),
    ),
    "item_id": (
        *("item", "playlist", "track", "song", "movie", "film", "show", "episode", "podcast"),
        *("product", "article", "asin", "sku", "stockcode", "video", "content", "parentasin"),
        *("book", "isbn", "game", "recipe", "listing", "offer", "business", "venue", "poi"),
        *("artist", "album", "artikel", "produkt", "ware", "lied", "buch", "produit", "livre"),
        *("producto", "libro", "articulo"),
    ),
    "timestamp": (
        *("timestamp", "time", "ts", "eventtime", "playedat", "createdat", "datetime", "date"),
        *("eventtimestamp", "occurredat", "eventts", "unixtime", "utctimestamp", "checkintime"),
        *("zeitpunkt", "zeitstempel", "zeit", "datum", "horodatage", "fecha"),
    ),
    "title": (
        *("title", "name", "itemname", "itemtitle", "playlistname", "movietitle", "songtitle"),
        *("tracktitle", "trackname", "producttitle", "productname", "articlename", "booktitle"),
        *("titel", "bezeichnung", "artikelname", "produktname", "titre", "titulo", "nombre"),
        *("description", "beschreibung"),
    ),
    "tags": (
        *("tags", "genres", "categories", "keywords", "genre", "category", "topics", "topic"),
        *("class", "department", "kategorie", "kategorien", "warengruppe", "schlagworte"),
        *("categorie", "categoria"),
    ),
    "released": (
        *("released", "releasedate", "releasedat", "publishedat", "published"),
        *("releaseyear", "year"),
    ),
    "valid_from": ("validfrom",),
    "weight": ("weight",),
}
"""Our name of a column -> how others call it, without case, marks and what says that it is an id,
the most telling first."""
ID_ENDINGS = re.compile(r"(?<=.)(ids?|no|nr|num|number|nummer|key|code|uuid|guid|hash)$")
MEANT = {
    "user_id": "who: any id, as text or integer",
    "item_id": "what was played, bought or read",
    "timestamp": "when",
}
WITHOUT_TIMES = "; without times there is no past to learn from, and nothing later to judge by"
EARLIEST, LATEST = pd.Timestamp("1995-01-01"), pd.Timestamp("2101-01-01")
"""A column of which nearly all values are instants between the two holds times."""
MOST_SHOWN = 20
"""Columns that a message lists."""


def named_columns(
    rows: FirstRows,
    required: Sequence[str],
    optional: Sequence[str],
    given: Mapping[str, str],
    known: Mapping[str, pd.Series],
    keys: Mapping[str, FirstRows],
) -> dict[str, str]:
    """Our name -> the file's name.

    Args:
        rows: the first of the table.
        required: our names of the columns that it must have.
        optional: those that it may have.
        given: what the user said, by our name; a name that the table does not have is passed over.
        known: ids by our name that a table of items or users should have in its key column.
        keys: by our name of an id, the table that should have it as its key.

    Raises:
        DataError: when required columns are not found; it names all of them, and lists those that
            there are.
    """
    present = [str(name) for name in rows.values.columns]
    columns = {key: name for key, name in given.items() if name in present}
    columns = {key: name for key, name in columns.items() if key in (*required, *optional)}
    for key in (*required, *optional):
        if key in columns:
            continue
        free = [name for name in present if name not in columns.values()]
        match = _by_name(free, key)
        if key in known:
            match = _by_values(rows, free, known[key], match)
        if match is None and key == "timestamp":
            match = _only_times(rows, free)
        if match is None and key in keys:
            match = _shared_key(rows, free, keys[key])
        if match is not None:
            columns[key] = match
    if missing := [key for key in required if key not in columns]:
        shown = ", ".join(f"{name} {rows.example(name)!r}" for name in present[:MOST_SHOWN])
        more = f" and {len(present) - MOST_SHOWN} more" if len(present) > MOST_SHOWN else ""
        wanted = " or ".join(f"{key} ({MEANT[key]})" for key in missing)
        raise DataError(
            one_line(f"{rows.path}: no column seems to hold {wanted}; there are: {shown}{more}"),
            f"say which: {' '.join(f'--column {key}=NAME' for key in missing)}"
            f"{WITHOUT_TIMES if 'timestamp' in missing else ''}",
        )
    for name in columns.values():
        if fault := text_fault(name):
            raise DataError(f"{rows.path}: a column: {fault}", "name another, or rename the column")
    return columns


def _by_name(present: Sequence[str], key: str) -> str | None:
    """The column that others call so."""
    plain = {plain_name(name): name for name in reversed(present)}
    # A nested field is known by its whole path, or by its last part.
    last = {plain_name(name.rsplit(".", 1)[-1]): name for name in reversed(present)}
    stems = {}
    if key.endswith("_id"):
        stems = {ID_ENDINGS.sub("", name): column for name, column in plain.items()}
    for name in (key.replace("_", ""), *NAMES[key]):
        if column := plain.get(name) or stems.get(name) or last.get(name):
            return column
    return None


def plain_name(name: str) -> str:
    """A column's name without case, accents and marks: "User ID" is "userid"."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in letters if character.isalnum())


def _by_values(
    rows: FirstRows, present: Sequence[str], ids: pd.Series, named: str | None
) -> str | None:
    """The key of a table: the column whose values are the ids of the events.

    The column that its name tells stays, unless another one fits better: a table of products may
    have their names under "product" and the ids under "number".
    """
    wanted = set(ids.dropna())
    # A key is a value of its own in nearly each row.
    fits = {
        name: len(wanted & set(values.dropna()))
        for name in present
        if (values := rows.values[name]).nunique() > len(values) / 2
    }
    best = max(fits, key=lambda name: (fits[name], name == named), default=None)
    return best if best is not None and fits[best] else named


def _shared_key(rows: FirstRows, present: Sequence[str], table: FirstRows) -> str | None:
    """The one column that stands in another table under the same name, as its key.

    None where there is none, or more than one. A number of the row is no key of another table, so
    a column with a value of its own in each event is none.
    """
    shared = []
    for name in present:
        if name not in table.values.columns:
            continue
        ids, key = rows.values[name].dropna(), table.values[name].dropna()
        matched = ids[ids.isin(key)].nunique()
        if key.is_unique and not ids.is_unique and matched > min(ids.nunique(), len(key)) / 2:
            shared.append(name)
    return shared[0] if len(shared) == 1 else None


def _only_times(rows: FirstRows, present: Sequence[str]) -> str | None:
    """The one column that holds times; None where there is none, or more than one."""
    times = [name for name in present if _holds_times(rows.values[name])]
    return times[0] if len(times) == 1 else None


def _holds_times(values: pd.Series) -> bool:
    given = values.dropna()
    if not len(given):
        return False
    source = TableSource.model_validate({"path": "first rows"} | guess_timestamp(given))
    text = pa.chunked_array([pa.array(given, pa.large_string())])
    micros, known = source.instants(Column(text, "", "", np.arange(len(given))))
    inside = known & (micros >= EARLIEST.value // 1000) & (micros < LATEST.value // 1000)
    return bool(inside.mean() > 0.95)
