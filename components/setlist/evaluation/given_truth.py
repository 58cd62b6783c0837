"""What listeners played, as tables that somebody gives: the other half of an evaluation of lists.

truth     user_id, item_id, and weight where some plays count more: what is relevant to whom
items     item_id, and title and tags: the catalogue; without it, whatever is in any table
users     user_id, and further columns by which listeners are grouped
history   user_id, item_id: plays before the lists were made, one row a play; without it, how
          popular an item is and what a listener knew cannot be told
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from setlist.data.features import Features
from setlist.data.schema import Window, tie_order
from setlist.errors import DataError, SettingsError
from setlist.evaluation.given_lists import GivenLists
from setlist.evaluation.given_tables import Given, GivenTable, read_given
from setlist.evaluation.results import EvaluationSettings
from setlist.evaluation.setup import HeldOut

MAX_GROUPS = 50
"""The most values of a column of users by which listeners are grouped unasked."""
NEEDS_TAGS = ("intra_list_diversity", "serendipity", "calibration")
NEEDS_HISTORY = ("popularity_lift", "popularity", "novelty")
NEEDS_CATALOGUE = ("coverage", "gini")
NO_TAGS = "how diverse its lists are: no tags are given (items)"
NO_HISTORY = "whether it lists what is popular anyway: no plays before it are given (history)"
NO_KINDS = (
    "how listeners with short and long histories fare: no plays before it are given (history)"
)
NOBODY_RETURNS = (
    "how listeners fare who played before: no listener of the truth stands in the history, which "
    "may have ids of another kind"
)
STRANGE_HISTORY = (
    "history: no listener of the truth stands in it, so all count as newcomers; it may have ids of "
    "another kind"
)
"""What `NOBODY_RETURNS` means, as a note."""
NO_CATALOGUE = "how much of the catalogue it lists: no catalogue is given (items)"
_DAY = pd.Timestamp("2000-01-01", tz="UTC")
NO_WINDOW = Window(_DAY, _DAY + pd.Timedelta(days=1), _DAY + pd.Timedelta(days=2))
"""Features have a window; it is written nowhere."""


@dataclass(frozen=True)
class GivenTruth:
    """The tables, in the form in which `evaluate_on` reads those of a run.

    Attributes:
        settings: those that were given, or defaults without what the tables cannot tell.
        not_asked: what they cannot tell, a sentence each.
    """

    features: Features
    test: HeldOut
    settings: EvaluationSettings
    not_asked: tuple[str, ...]


def read_truth(
    lists: Sequence[GivenLists],
    truth: Given,
    items: Given | None,
    users: Given | None,
    history: Given | None,
    settings: EvaluationSettings | None,
) -> GivenTruth:
    """Read the tables.

    Args:
        lists: that will be evaluated; without `items` their items are in the catalogue, too.
        truth: the plays.
        items: the catalogue.
        users: what is known of the listeners.
        history: the plays before.
        settings: metrics, shelf and slices; None for those of a run that the tables can tell, and
            every column of `users` with at most `MAX_GROUPS` values as a slice.

    Raises:
        DataError: when a table cannot be read, an id stands twice in `items` or `users`, or ids of
            two tables that belong together have nothing in common.
        SettingsError: when the settings ask for the discovery shelf and no history is given.
    """
    played = read_given(truth, "truth", ("user_id", "item_id"), ("weight",))
    test = pd.DataFrame(
        {
            "user_id": _texts(played.ids("user_id")),
            "item_id": _texts(played.ids("item_id")),
            "weight": played.numbers("weight") if "weight" in played else 1.0,
        }
    )
    if (test["weight"] < 0).any():
        raise DataError(f"{played.label}: a weight is below 0", "give weights of 0 or more")
    before, label_of_history = _history(history)
    people, columns = _users(users)
    if users is not None:
        _check_alike("users", "listener", people["user_id"], played.label, test["user_id"])
    if items is None:
        for table in lists:
            _check_alike(
                table.label,
                "item",
                table.items.categories,
                f"{played.label} or the history" if len(before) else played.label,
                pd.concat([test["item_id"], before["item_id"]]),
            )
    catalogue = _catalogue(items, [*(table.items for table in lists)], test, before)
    if not test["item_id"].isin(catalogue["item_id"]).any():
        raise DataError(
            f"{played.label}: no item of it stands in items; it has ids such as "
            f"{test['item_id'].iloc[0][:60]!r}, items has ids such as "
            f"{catalogue['item_id'].iloc[0][:60]!r}",
            "write the same ids into both",
        )
    if len(before):
        listed = [table.items.categories.to_series() for table in lists]
        known = catalogue["item_id"] if items is not None else pd.concat([test["item_id"], *listed])
        where = "items" if items is not None else "the truth or the lists"
        _check_alike(label_of_history, "item", before["item_id"], where, known)
    if (settings or EvaluationSettings()).newcomers is False and before.empty:
        raise SettingsError(
            "evaluation.newcomers: without plays before the test, all listeners are newcomers",
            "give plays as history, or leave it out",
        )
    returning = bool(test["user_id"].isin(before["user_id"]).any())
    size = len(before)
    before = before[before["item_id"].isin(catalogue["item_id"])]
    stray = {"plays of the history on items that are not in the catalogue": size - len(before)}
    tags = bool(catalogue["tags"].map(len).any())
    vacuous = (
        *(() if tags else NEEDS_TAGS),
        *(() if size else NEEDS_HISTORY),
        *(() if items is not None else NEEDS_CATALOGUE),
    )
    item_code = pd.Index(catalogue["item_id"])
    past = pd.Index(sorted(set(before["user_id"])))
    plays = pd.DataFrame(
        {
            "user": past.get_indexer(before["user_id"]).astype(np.int32),
            "item": item_code.get_indexer(before["item_id"]).astype(np.int32),
            "age_days": 0.0,
        }
    ).sort_values("user", kind="stable", ignore_index=True)
    chosen = _settings(settings, columns, vacuous, bool(size))
    if chosen.shelf == "discovery":
        _check_discoveries(played.label, test, past, item_code, plays)
    codes = plays["item"].to_numpy()
    catalogue["plays"] = np.bincount(codes, minlength=len(catalogue))
    distinct = plays.drop_duplicates(["user", "item"])["item"].to_numpy()
    catalogue["listeners"] = np.bincount(distinct, minlength=len(catalogue))
    newcomers = pd.Index(sorted(set(test["user_id"]) - set(past)))
    features = Features(
        items=catalogue,
        users=pd.DataFrame({"user_id": past.astype(object)}),
        newcomers=pd.DataFrame({"user_id": newcomers.astype(object)}),
        plays=plays,
        window=NO_WINDOW,
        inputs=(),
    )
    return GivenTruth(
        features=features,
        test=HeldOut(test, people, {}, stray if size else {}),
        settings=chosen,
        not_asked=(
            *(() if tags else (NO_TAGS,)),
            *(() if size else (NO_HISTORY, NO_KINDS)),
            *((NOBODY_RETURNS,) if size and not returning else ()),
            *(() if items is not None else (NO_CATALOGUE,)),
        ),
    )


def _check_alike(
    label: str, word: str, ids: pd.Series | pd.Index, where: str, others: pd.Series
) -> None:
    """That two tables have any id in common.

    Raises:
        DataError: with an example of both.
    """
    if not ids.isin(others).any():
        raise DataError(
            f"{label}: no {word} of it stands in {where}; it has ids such as "
            f"{str(ids[0])[:60]!r}, {where} has ids such as {str(others.iloc[0])[:60]!r}",
            "write the same ids into both",
        )


def _check_discoveries(
    label: str, test: pd.DataFrame, past: pd.Index, item_code: pd.Index, plays: pd.DataFrame
) -> None:
    """That the truth has a play on an item that its listener did not play before.

    Raises:
        DataError: when it has none.
    """
    size = len(item_code)
    known = plays["user"].to_numpy(np.int64) * size + plays["item"]
    user = past.get_indexer(pd.Index(test["user_id"]))
    item = item_code.get_indexer(pd.Index(test["item_id"]))
    new = (user < 0) | ~np.isin(user * size + item, known)
    if not (new & (item >= 0)).any():
        raise DataError(
            f"{label}: all of its plays stand in the history, too, so there is nothing to discover",
            "give as history only plays before the lists were made, or choose the shelf shortcuts",
        )


def _texts(ids: pd.Categorical) -> np.ndarray:
    return ids.categories.to_numpy(dtype=object)[ids.codes]


def _history(history: Given | None) -> tuple[pd.DataFrame, str]:
    """The plays before, and the name of their table in messages."""
    if history is None:
        return pd.DataFrame({"user_id": [], "item_id": []}, dtype=object), ""
    table = read_given(history, "history", ("user_id", "item_id"))
    names = ("user_id", "item_id")
    return pd.DataFrame({name: _texts(table.ids(name)) for name in names}), table.label


def _users(users: Given | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table of listeners, and the columns by which to group them unasked."""
    if users is None:
        return pd.DataFrame({"user_id": []}, dtype=object), ()
    table = read_given(users, "users", ("user_id",))
    people = pd.DataFrame({"user_id": _distinct(table, "user_id")})
    for name in table.others:
        people[name] = table.labels(name)
    few = [name for name in table.others if 1 < people[name].nunique() <= MAX_GROUPS]
    return people, tuple(few)


def _catalogue(
    items: Given | None,
    listed: Sequence[pd.Categorical],
    test: pd.DataFrame,
    before: pd.DataFrame,
) -> pd.DataFrame:
    """The columns of `Features.items` but for the counts."""
    if items is None:
        ids = set(test["item_id"]) | set(before["item_id"])
        ids = ids.union(*(column.categories for column in listed))
        table = pd.DataFrame({"item_id": sorted(ids)}, dtype=object)
        table["title"], table["tags"] = table["item_id"], [[] for _ in range(len(table))]
    else:
        given = read_given(items, "items", ("item_id",), ("title", "tags"))
        table = pd.DataFrame({"item_id": _distinct(given, "item_id")})
        table["title"] = given.labels("title") if "title" in given else table["item_id"]
        table["tags"] = given.tags() if "tags" in given else [[] for _ in range(len(table))]
    # The order of the codes is that of a run, so that equal scores and parts are the same.
    table = table.set_index("item_id").loc[tie_order(table["item_id"])].reset_index()
    table["released"] = pd.Series(pd.NaT, table.index, "datetime64[us, UTC]")
    return table


def _distinct(table: GivenTable, name: str) -> np.ndarray:
    """Its ids, each of which may stand once."""
    ids = table.ids(name)
    counts = np.bincount(ids.codes, minlength=len(ids.categories))
    if (counts > 1).any():
        raise DataError(
            f"{table.label}: {name} {ids.categories[int(counts.argmax())]} stands "
            f"{int(counts.max()):,} times",
            "keep one row of each",
        )
    return _texts(ids)


def _settings(
    settings: EvaluationSettings | None,
    columns: tuple[str, ...],
    vacuous: tuple[str, ...],
    history: bool,
) -> EvaluationSettings:
    given = settings or EvaluationSettings()
    changes: dict[str, object] = {}
    if "slices" not in given.model_fields_set:
        changes["slices"] = columns
    if not history:
        if given.shelf == "discovery" and "shelf" in given.model_fields_set:
            raise SettingsError(
                "evaluation.shelf: discovery leaves out what a listener played before, and no "
                "plays before the test are given",
                "give them as history, or choose the shelf shortcuts",
            )
        changes["shelf"] = "shortcuts"
    if given.only is None:
        changes["metrics"] = ()
        changes["only"] = tuple(
            text
            for text in given.evaluated
            if text in given.metrics or text.partition("@")[0] not in vacuous
        )
    return given.model_copy(update=changes)
