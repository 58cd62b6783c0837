"""What a team expects of its tables, and what is not so."""

import pandas as pd
import pytest
from pydantic import ValidationError

from setlist.data.expectation import Expected, ExpectedColumn

USERS = pd.DataFrame(
    {
        "user_id": [f"u{n}" for n in range(100)],
        "country": ["SE", "NO", "", "SE"] * 25,
        "age": [str(18 + n % 60) for n in range(100)],
        "stars": [str(n % 5) for n in range(100)],
    }
)
ITEMS = pd.DataFrame({"item_id": ["a", "b"], "tags": [["rock", "pop"], []]})


def shares(users=USERS, items=ITEMS):
    rows = Expected.infer(USERS, ITEMS).shares(users, items)
    return {name: (share, sentence) for name, share, sentence, _ in rows}


def test_what_is_there_now_is_expected():
    assert {share for share, _ in shares().values()} == {0.0}


def test_kinds_are_told_from_the_values():
    columns = Expected.infer(USERS, ITEMS).users
    assert {name: column.kind for name, column in columns.items()} == {
        "country": "category",
        "age": "number",
        "stars": "category",
    }
    assert columns["country"].values == ["NO", "SE"]
    assert columns["country"].missing == 0.3
    assert (columns["age"].low, columns["age"].high) == (18, 77)
    many = pd.Series([f"name {n}" for n in range(500)])
    assert ExpectedColumn.infer(many).kind == "text"
    assert ExpectedColumn.infer(many).unexpected(pd.Series(["anything"])).empty


def test_a_value_outside_the_vocabulary_is_counted_and_shown():
    share, sentence = shares(USERS.assign(country=["se", *USERS["country"][1:]]))["country"]
    assert share == 0.01
    assert "such as 'se'" in sentence


def test_a_number_outside_the_range_and_a_word_among_numbers():
    ages = ["181", "old", *USERS["age"][2:]]
    assert shares(USERS.assign(age=ages))["age"][0] == 0.02


def test_more_missing_values_than_expected():
    assert shares(USERS.assign(country=""))["missing country"][0] == pytest.approx(0.7)


def test_a_column_that_is_gone():
    share, sentence = shares(USERS.drop(columns="age"))["age"]
    assert (share, sentence) == (1.0, "the users table has no column age")


def test_a_new_tag():
    items = ITEMS.assign(tags=[["rock", "pop"], ["polka", "pop"]])
    assert shares(items=items)["tags"] == (
        0.25,
        "1 of 4 tags of items are not expected, such as 'polka'",
    )


def test_the_document_is_read_back_and_checked():
    expected = Expected.infer(USERS, ITEMS)
    assert Expected.model_validate(expected.model_dump(exclude_defaults=True)) == expected
    with pytest.raises(ValidationError, match="above high"):
        ExpectedColumn(kind="number", low=2, high=1, missing=0)
