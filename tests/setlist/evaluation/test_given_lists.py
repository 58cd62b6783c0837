"""Lists that somebody gives: what each oddity comes to, and which tables are refused."""

import numpy as np
import pandas as pd
import pytest

from setlist.errors import DataError
from setlist.evaluation import given_tables
from setlist.evaluation.given_lists import GivenLists, code_lists
from setlist.evaluation.given_tables import read_given
from setlist.evaluation.ranking import EMPTY, FOREIGN

PEOPLE = pd.Series(["ann", "bob", "cid"])
ITEMS = pd.Index(["a", "b", "c", "d"])


def lists(rows, *columns) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", *columns])


def coded(table, k=3, people=PEOPLE, items=ITEMS):
    return code_lists(GivenLists.read(table, "mine"), people, items, k)


def refusal(table, **more) -> str:
    with pytest.raises(DataError) as caught:
        coded(table, **more)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_ranks_and_scores_order_the_same_lists():
    by_rank = lists([("ann", "b", 2), ("ann", "a", 1), ("bob", "d", 1), ("cid", "c", 1)], "rank")
    by_score = lists(
        [("ann", "b", -2.5), ("ann", "a", 9), ("bob", "d", 0), ("cid", "c", 1e9)], "score"
    )
    expected = [[0, 1, EMPTY], [3, EMPTY, EMPTY], [2, EMPTY, EMPTY]]
    for table in (by_rank, by_score):
        assert coded(table).top.tolist() == expected
        assert coded(table).top.dtype == np.int32
        assert coded(table.sample(frac=1, random_state=3)).top.tolist() == expected
    assert coded(by_rank).scores.tolist() == [[0, -1, -np.inf]] + [[0, -np.inf, -np.inf]] * 2


def test_of_rank_and_score_the_rank_counts():
    table = lists([("ann", "a", 2, 9.0), ("ann", "b", 1, 1.0)], "rank", "score")
    assert coded(table).top[0].tolist() == [1, 0, EMPTY]


def test_gaps_between_ranks_close():
    assert coded(lists([("ann", "a", 7), ("ann", "b", 40)], "rank")).top[0, :2].tolist() == [0, 1]


def test_every_oddity_has_an_outcome_and_a_sentence():
    table = lists(
        [
            ("ann", "a", 1),
            ("ann", "a", 2),  # twice
            ("ann", "b", 3),
            ("ann", "c", 4),  # beyond k
            ("bob", "zzz", 1),  # no item of the catalogue
            ("bob", "d", 2),
            ("eve", "a", 1),  # no listener of the truth; cid has no list
            ("eve", "b", 2),
        ],
        "rank",
    )
    answer = coded(table)
    # A second mention keeps its position here: the evaluator makes a miss of it, as of a model's.
    assert answer.top.tolist() == [[0, 0, 1], [FOREIGN, 3, EMPTY], [EMPTY] * 3]
    assert answer.known == 1.0, "a, b, c and d stand in lists of any length"
    assert answer.notes == [
        "1 of 3 listeners have no list, which counts as a list without a hit",
        "1 lists are shorter than 3, and their open positions count as misses",
        "2 rows belong to 1 listeners who are not evaluated, and are left aside",
        "1 positions hold an item that is not in the catalogue; each counts as a miss",
        "1 positions hold an item that stands further up in the same list; each counts as a miss",
    ]


def test_sound_lists_have_no_notes():
    rows = [(user, item, rank) for user in PEOPLE for rank, item in enumerate("abc", 1)]
    assert coded(lists(rows, "rank")).notes == []


def test_equal_scores_are_in_the_order_of_the_catalogue_whatever_the_order_of_the_rows():
    rows = [("ann", item, 1.0) for item in ("x", "c", "a", "d")]
    for order in (rows, rows[::-1]):
        answer = coded(lists(order, "score"), k=4)
        assert answer.top[0].tolist() == [0, 2, 3, FOREIGN]
        assert answer.notes[-1].startswith("3 positions have the score of the next one")


def test_equal_ranks_are_refused():
    rows = [("ann", "a", 1), ("ann", "b", 1), ("bob", "a", 2), ("bob", "b", 2)]
    message = refusal(lists(rows, "rank"))
    assert "listener ann has two items of rank 1, and 1 more ranks stand twice" in message
    assert "or a score instead of ranks" in message
    assert coded(lists([("ann", "a", 1), ("bob", "b", 1)], "rank")).top[1, 0] == 1


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), "high"])
def test_a_score_is_a_finite_number(bad):
    rows = [("ann", "a", 1.0), ("bob", "b", bad)]
    message = refusal(lists(rows, "score").astype({"score": object if bad == "high" else float}))
    if bad == "high":
        assert "column score holds values of several types" in message
    else:
        assert "column score, row 2: score is no finite number" in message


def test_a_text_that_is_no_number(tmp_path):
    (tmp_path / "mine.csv").write_text("user_id,item_id,score\nann,a,1.5\nbob,b,high\n")
    assert "row 2: score is no finite number ('high')" in refusal(tmp_path / "mine.csv")


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_a_missing_id_is_refused(column):
    table = lists([("ann", "a", 1), ("bob", "b", 2)], "rank")
    table.loc[1, column] = None
    assert f"column {column}, row 2: an id is missing" in refusal(table)


def test_a_table_without_an_order_or_a_column():
    assert "neither a column rank nor a column score" in refusal(lists([("ann", "a")]))
    message = refusal(pd.DataFrame({"member": ["ann"], "item_id": ["a"], "rank": [1]}))
    assert "there is no column user_id (those are: member, item_id, rank)" in message


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("UserId", "rename its column 'UserId' to user_id"),
        ("userid", "rename its column 'userid' to user_id"),
        (" user", "rename its column ' user' to user_id"),
        ("uid", "name the column user_id"),
    ],
)
def test_a_column_of_another_name_is_recognised(name, remedy):
    table = lists([("ann", "a", 1)], "rank")
    assert remedy in refusal(table.rename(columns={"user_id": name}))


def test_a_column_that_became_the_index_is_recognised():
    table = lists([("ann", "a", 1)], "rank").set_index("user_id")
    assert "make columns of its index: reset_index()" in refusal(table)


def test_a_decimal_comma_is_recognised():
    assert "with a point" in refusal(lists([("ann", "a", "0,5")], "score"))


def test_an_empty_table():
    assert "the table is empty" in refusal(lists([], "rank").astype({"rank": float}))


def test_short_names_of_columns():
    table = pd.DataFrame({"user": ["ann"], "item": ["b"], "rank": [1]})
    assert coded(table).top[0, 0] == 1


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series([7, 8, 9]),
        pd.Series([7.0, 8.0, 9.0]),  # as pandas makes them of integers with a gap
        pd.Series(["7", " 8", "9"]),
        pd.Series(["7", "8", "9"], dtype="category"),
        pd.Series([7, 8, 9], dtype="Int64"),
    ],
)
def test_ids_of_other_types_are_the_same_ids(ids):
    table = pd.DataFrame({"user_id": ids, "item_id": ["a", "b", "c"], "rank": 1})
    top = coded(table, people=pd.Series(["7", "8", "9"])).top
    assert top[:, 0].tolist() == [0, 1, 2]


def test_ids_that_lost_digits_are_refused():
    table = pd.DataFrame({"user_id": [2.0**53, 1], "item_id": ["a", "b"], "rank": 1})
    assert "a float of 2**53 or more, whose last digits are lost" in refusal(table)
    table["user_id"] = [1.5, 2.0]
    assert "an id with a fraction" in refusal(table)


def test_ids_of_another_kind_are_refused_with_an_example_of_both():
    table = lists([("u1", "a", 1)], "rank")
    message = refusal(table)
    assert "no listener of the lists stands in the truth" in message
    assert "'u1'" in message
    assert "'ann'" in message
    assert "no item of the lists stands in the catalogue" in refusal(lists([("ann", 4, 1)], "rank"))


@pytest.mark.parametrize("form", ["csv", "parquet", "csv.gz", "jsonl"])
def test_files_say_the_same_as_a_frame(tmp_path, form):
    table = lists([("ann", "b", 2), ("ann", "a", 1), ("bob", "007", 1)], "rank")
    path = tmp_path / f"mine.{form}"
    if form == "parquet":
        table.to_parquet(path, index=False)
    elif form == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False)
    items = pd.Index(["a", "b", "007"])
    assert coded(path, items=items).top.tolist() == coded(table, items=items).top.tolist()
    assert coded(path, items=items).top[1, 0] == 2, "zeros at the front are kept"


def test_files_that_are_none(tmp_path):
    assert "there is no file" in refusal(tmp_path / "none.csv")
    (tmp_path / "mine.xlsx").write_bytes(b"x")
    assert "is of no known format" in refusal(tmp_path / "mine.xlsx")
    (tmp_path / "mine.parquet").write_bytes(b"x" * 100)
    assert "mine.parquet" in refusal(tmp_path / "mine.parquet")
    for text in ("", "\n"):
        (tmp_path / "empty.csv").write_text(text)
        assert "its first line, which names the columns, is empty" in refusal(
            tmp_path / "empty.csv"
        )
    (tmp_path / "old.csv").write_bytes(b"user_id,item_id,rank\rann,a,1\r")
    assert "a carriage return without a line feed" in refusal(tmp_path / "old.csv")
    with pytest.raises(DataError, match="a list is no table"):
        GivenLists.read([("ann", "a", 1)], "mine")


def test_tables_are_sized(tmp_path, monkeypatch):
    table = lists([("ann", "a", 1), ("ann", "b", 2), ("bob", "b", 2)], "rank")
    for suffix in ("parquet", "csv"):
        path = tmp_path / f"mine.{suffix}"
        table.to_parquet(path) if suffix == "parquet" else table.to_csv(path, index=False)
        monkeypatch.setattr(given_tables, "MAX_ROWS", 2)
        assert "the table has 3 rows, more than 2" in refusal(path)
        monkeypatch.setattr(given_tables, "MAX_ROWS", 3)
        monkeypatch.setattr(given_tables, "MAX_BYTES", 10)
        assert "bytes, more than 10" in refusal(path)
        monkeypatch.setattr(given_tables, "MAX_BYTES", 10**6)
    monkeypatch.setattr(given_tables, "MAX_ROWS", 2)
    assert "the table has 3 rows, more than 2" in refusal(table)


def test_tags_are_lists_or_words():
    for tags in ([["b", "a", "b"], None], ["b, a|b", ""]):
        frame = pd.DataFrame({"item_id": ["x", "y"], "tags": tags})
        assert read_given(frame, "items", ["item_id"], ["tags"]).tags() == [["a", "b"], []]


def test_many_lists_need_no_table_of_listeners_by_items():
    listeners, items, k = 20_000, 100_000, 10
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(listeners), k),
            "item_id": rng.integers(0, items, listeners * k),
            "rank": np.tile(np.arange(k), listeners),
        }
    )
    people, catalogue = pd.Series(map(str, range(listeners))), pd.Index(map(str, range(items)))
    top = coded(table, k, people, catalogue).top
    assert (top == table["item_id"].to_numpy().reshape(listeners, k)).all()
