"""`setlist init` on tables of strangers: other names, languages and ways to write times."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.strangers import Stranger, shop

from setlist.data.source import read_parts
from setlist.errors import DataError, SettingsError
from setlist_pipelines.settings.file import Settings, read_settings
from setlist_pipelines.settings.proposal import propose


def proposed(folder, *tables, columns=None) -> Settings:
    (folder / "settings.yaml").write_text(propose(*map(str, tables), columns=columns), "utf-8")
    return read_settings(folder / "settings.yaml")


@pytest.fixture
def stranger() -> Stranger:
    return Stranger.draw()


def test_a_german_shop(tmp_path, stranger):
    """Semicolons, decimal commas, dates with dots, umlauts in windows-1252."""
    settings = proposed(tmp_path, *shop(tmp_path, stranger))
    data = settings.data
    assert data.events.columns == {
        "user_id": "Kunde",
        "item_id": "Artikel-Nr",
        "timestamp": "Zeitpunkt",
        "weight": "Weight",
    }
    assert data.events.decimal == ","
    assert data.items.columns == {
        "item_id": "Artikel-Nr",
        "title": "Bezeichnung",
        "tags": "Warengruppe",
    }
    assert (data.items.encoding, data.items.tags_separator) == ("windows-1252", ",")
    assert data.users.columns == {"user_id": "Kunde"}
    assert settings.inputs == ("Bundesland",)


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("client_no", "article_no", "purchased"),
        ("account", "sku", "date"),
        ("CustomerID", "StockCode", "InvoiceDate"),
        ("Hörer", "Lied", "Zeit"),
        ("cliente_id", "producto", "fecha"),
        ("reader.key", "book.isbn", "borrowed on"),
    ],
)
def test_other_names(tmp_path, stranger, user, item, time):
    frame = stranger.frame(user, item, time)
    frame.insert(0, "event_id", range(10_000, 10_000 + len(frame)))
    frame["rating"] = 4
    frame.to_csv(tmp_path / "events.csv", index=False)
    columns = proposed(tmp_path, tmp_path / "events.csv").data.events.columns
    assert columns == {"user_id": user, "item_id": item, "timestamp": time}


def test_the_ids_of_the_events_tell_which_column_of_the_items_is_meant(tmp_path, stranger):
    stranger.frame("user", "product", "time").to_csv(tmp_path / "events.csv", index=False)
    pd.DataFrame(
        {
            "id": stranger.item_ids,
            "product": [f"thing {number}" for number in range(len(stranger.item_ids))],
        }
    ).to_csv(tmp_path / "items.csv", index=False)
    settings = proposed(tmp_path, tmp_path / "events.csv", tmp_path / "items.csv")
    assert settings.data.items.columns["item_id"] == "id"


def test_a_column_that_nothing_tells_is_named_on_the_command_line(tmp_path, stranger):
    stranger.frame("who", "what", "when").to_csv(tmp_path / "events.csv", index=False)
    with pytest.raises(DataError, match=r"no column seems to hold user_id.*say which: --column"):
        proposed(tmp_path, tmp_path / "events.csv")
    columns = {"user_id": "who", "item_id": "what"}
    settings = proposed(tmp_path, tmp_path / "events.csv", columns=columns)
    assert settings.data.events.columns == columns | {"timestamp": "when"}
    with pytest.raises(SettingsError, match="no table has a column 'whom'"):
        proposed(tmp_path, tmp_path / "events.csv", columns={"user_id": "whom"})
    with pytest.raises(SettingsError, match="'listener' is none of our columns"):
        proposed(tmp_path, tmp_path / "events.csv", columns={"listener": "who"})


def test_all_columns_that_nothing_tells_are_named_at_once(tmp_path, stranger):
    stranger.frame("who", "what", "x").assign(x="soon").to_csv(tmp_path / "events.csv", index=False)
    with pytest.raises(DataError) as fault:
        propose(str(tmp_path / "events.csv"))
    ours = ("user_id", "item_id", "timestamp")
    assert all(f"{key} (" in fault.value.message for key in ours)
    assert all(f"--column {key}=NAME" in fault.value.remedy for key in ours)


def test_a_column_that_is_the_key_of_another_table_is_its_id(tmp_path, stranger):
    """`row` counts the events, `shelf` is on many items: neither is a key."""
    tables = [str(tmp_path / f"{name}.csv") for name in ("events", "items", "users")]
    frame = stranger.frame("who", "what", "time")
    frame.assign(row=range(len(frame)), shelf=1).to_csv(tables[0], index=False)
    items = pd.DataFrame({"what": stranger.item_ids, "row": range(len(stranger.item_ids))})
    items.assign(shelf=1).to_csv(tables[1], index=False)
    pd.DataFrame({"who": stranger.user_ids}).to_csv(tables[2], index=False)
    data = proposed(tmp_path, *tables).data
    assert data.events.columns == {"user_id": "who", "item_id": "what", "timestamp": "time"}
    assert (data.items.columns["item_id"], data.users.columns["user_id"]) == ("what", "who")
    # Under one name, but with other values.
    pd.DataFrame({"who": [f"u{user}" for user in stranger.user_ids]}).to_csv(tables[2], index=False)
    with pytest.raises(DataError, match=r"hold user_id \([^)]*\); there are"):
        propose(*tables)


def test_a_table_without_names_of_columns_is_refused(tmp_path, stranger):
    frame = stranger.frame("user", "item", "time")
    frame["time"] = pd.to_datetime(frame["time"]).astype("int64") // 10**9
    frame["item"] = range(len(frame))
    frame["user"] = 7
    frame.to_csv(tmp_path / "u.tsv", index=False, header=False, sep="\t")
    with pytest.raises(DataError, match=r"first line holds values .* write a first line with"):
        proposed(tmp_path, tmp_path / "u.tsv")


@pytest.mark.parametrize("names", ["who,what,when", "user_id,item_id,timestamp"])
def test_a_table_without_rows_is_refused(tmp_path, names):
    (tmp_path / "events.csv").write_text(f"{names}\n")
    with pytest.raises(DataError, match="the table has no rows, only the names"):
        propose(str(tmp_path / "events.csv"))


def test_json_lines_with_milliseconds_and_nothing_else(tmp_path, stranger):
    lines = [
        json.dumps(
            {
                "user": {"id": row.user},
                "track": row.item,
                "ts": pd.Timestamp(row.time).value // 10**6,
            }
        )
        for row in stranger.frame("user", "item", "time").itertuples()
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    settings = proposed(tmp_path, tmp_path / "events.jsonl")
    assert settings.data.events.columns["user_id"] == "user.id"
    assert settings.data.events.timestamp_unit == "ms"
    assert settings.data.items is settings.data.users is None


def test_of_a_sparse_table_the_window_is_longer(tmp_path):
    """Twenty years with two listeners a week: fourteen days would hold out four of them."""
    generator = np.random.default_rng(1)
    days = generator.integers(0, 7_000, 600)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(600), 10),
            "item_id": generator.integers(0, 50, 6_000),
            "timestamp": np.repeat(pd.Timestamp("2000-01-01") + pd.to_timedelta(days, "D"), 10),
        }
    )
    frame.to_parquet(tmp_path / "events.parquet")
    settings = proposed(tmp_path, tmp_path / "events.parquet")
    window = settings.window
    end = pd.Timestamp(settings.as_of)
    begin = end - pd.Timedelta(days=window.test_days)
    held_out = frame.loc[frame["timestamp"] >= begin, "user_id"].nunique()
    assert held_out >= 100
    assert f"({held_out:,} played then, " in (tmp_path / "settings.yaml").read_text()
    assert window.train_days + window.test_days <= 7_001


def test_a_wrong_date_far_ahead_does_not_end_the_window(tmp_path, stranger):
    frame = stranger.frame("user", "item", "time")
    frame.loc[len(frame) // 2, "time"] = "2099-01-01 00:00:00"
    frame.to_csv(tmp_path / "events.csv", index=False)
    settings = proposed(tmp_path, tmp_path / "events.csv")
    assert settings.as_of == "2026-03-31"
    assert "# 1 of the events lie far behind all others, up to 2099-01-01" in (
        (tmp_path / "settings.yaml").read_text()
    )


def test_people_who_enter_much_at_once_are_no_bots(tmp_path):
    """One listener in ten enters 600 plays in a day; a single one of a thousand is a bot."""
    many = np.repeat(np.arange(20), [600, 600, *[5] * 18])
    start = pd.Timestamp("2026-01-01")
    frame = pd.DataFrame(
        {
            "user_id": many,
            "item_id": np.arange(len(many)) % 97,
            "timestamp": [start + pd.Timedelta(minutes=n % 1_000) for n in range(len(many))],
        }
    )
    frame.loc[len(frame)] = [3, 3, start + pd.Timedelta(days=30)]
    frame.to_parquet(tmp_path / "events.parquet")
    settings = proposed(tmp_path, tmp_path / "events.parquet")
    assert settings.curation.max_events_per_day == 10_000
    lonely = pd.DataFrame(
        {
            "user_id": np.arange(100, 400),
            "item_id": 1,
            "timestamp": start + pd.Timedelta(days=9),
        }
    )
    pd.concat([frame[frame["user_id"] != 1], lonely]).to_parquet(tmp_path / "events.parquet")
    assert proposed(tmp_path, tmp_path / "events.parquet").curation.max_events_per_day == 500


def test_a_proposal_that_the_gate_for_data_would_stop_says_what_accepts_it(tmp_path, stranger):
    """One listener of 201 enters 600 plays on one day, which are 12% of all."""
    frame = Stranger.draw(users=200).frame("user_id", "item_id", "timestamp")
    robot = pd.DataFrame(
        {"user_id": "robot", "item_id": stranger.item_ids * 15, "timestamp": "2026-03-05 01:02:03"}
    )
    pd.concat([frame, robot]).to_csv(tmp_path / "events.csv", index=False)
    hints: list[str] = []
    text = propose(str(tmp_path / "events.csv"), hint=hints.append)
    (hint,) = hints
    share = 600 / (len(frame) + 600)
    assert f"600 of {len(frame) + 600:,} events ({share:.0%}) are of 1 listener with more" in hint
    assert "600 on 2026-03-05; they are rejected as bots" in hint
    assert "curation.max_events_per_day: 10000 to keep them" in hint
    accepted = "policy: {data: {rejected: {stop: 0.15}}}"
    assert text.endswith(f"# {accepted}\n")
    (tmp_path / "settings.yaml").write_text(text.replace(f"# {accepted}", accepted), "utf-8")
    assert read_settings(tmp_path / "settings.yaml").policy.data.rejected.stop > share


def test_hostile_names_and_values_stay_on_their_lines(tmp_path):
    user = 'user: {a"b #c'
    frame = pd.DataFrame(
        {user: ["x: [", "#"], "item": ["1\u2028- 2", "2"], "time": ["2026-01-01", "2026-02-01"]}
    )
    frame.to_csv(tmp_path / "events.csv", index=False)
    text = propose(str(tmp_path / "events.csv"), columns={"user_id": user})
    columns = {"user_id": user, "item_id": "item", "timestamp": "time"}
    assert yaml.safe_load(text)["data"]["events"]["columns"] == columns


def test_a_column_that_no_setting_can_name_is_refused(tmp_path):
    frame = pd.DataFrame({"a\nb": ["x"], "item": ["1"], "time": ["2026-01-01"]})
    frame.to_csv(tmp_path / "events.csv", index=False)
    with pytest.raises(DataError, match=r"events\.csv: .* U\+000A, .* or rename the column"):
        propose(str(tmp_path / "events.csv"), columns={"user_id": "a\nb"})


def test_an_order_of_day_and_month_that_was_chosen_is_told(tmp_path):
    days = [f"{day:02}/06/26" for day in range(1, 13)]
    pd.DataFrame(
        {"user_id": [f"u{n % 50}" for n in range(600)], "item_id": "a", "timestamp": days * 50}
    ).to_csv(tmp_path / "events.csv", index=False)
    hints: list[str] = []
    text = propose(str(tmp_path / "events.csv"), hint=hints.append)
    assert yaml.safe_load(text)["data"]["events"]["timestamp_format"] == "%d/%m/%y"
    (hint,) = [hint for hint in hints if hint.startswith("events: ")]
    assert "01/06/26 may be 2026-06-01 (timestamp_format: '%d/%m/%y') or 2026-01-06 (" in hint
    comment = " ".join(row.strip(" #") for row in text.splitlines() if row.startswith("    # "))
    assert comment == hint.removeprefix("events: ")


def test_an_end_in_the_future_is_told(tmp_path, stranger):
    frame = stranger.frame("user_id", "item_id", "timestamp")
    ahead = pd.Timestamp.now("UTC").tz_localize(None) + pd.Timedelta(days=400)
    times = pd.to_datetime(frame["timestamp"])
    frame["timestamp"] = times + (ahead - times.max())
    frame.to_csv(tmp_path / "events.csv", index=False)
    hints: list[str] = []
    propose(str(tmp_path / "events.csv"), hint=hints.append)
    assert len(hints) == 1
    assert "which is in the future" in hints[0]


def test_those_who_are_held_out_with_a_history_are_counted(tmp_path):
    """Of four who play on the last days, two have played before; three more never come back."""
    early, late = pd.Timestamp("2026-04-10"), pd.Timestamp("2026-05-29")
    plays = [(f"u{n}", "a", early) for n in range(5)]
    plays += [(f"u{n}", "b", late) for n in (3, 4, 5, 6)] + [("u6", "a", late)]
    pd.DataFrame(plays, columns=["user_id", "item_id", "timestamp"]).to_csv(
        tmp_path / "events.csv", index=False
    )
    text = propose(str(tmp_path / "events.csv"))
    assert "(4 played then, 2 of them with a history)" in text
    assert "# Only 4 listeners played in the last " in text


def rated(folder, stranger, **columns) -> str:
    """The proposal for events with these columns besides the three that are needed."""
    stranger.frame("user", "item", "time").assign(**columns).to_csv(
        folder / "events.csv", index=False
    )
    pd.DataFrame({"item_id": stranger.item_ids, "title": "A", "studio": 1995}).to_csv(
        folder / "items.csv", index=False
    )
    return propose(str(folder / "events.csv"), str(folder / "items.csv"))


@pytest.mark.parametrize("name", ["stars", "Bewertung: Film", "x"])
def test_what_is_not_read_is_named_and_a_rating_has_a_hint_that_works(tmp_path, stranger, name):
    count = len(stranger.frame("user", "item", "time"))
    text = rated(tmp_path, stranger, **{name: np.arange(count) % 10 / 2 + 0.5, "city": "Oslo"})
    assert f"# not read: {name}, city\n" in text
    assert "# not read: studio\n" in text
    assert f"# {name} looks like a rating; each row counts as one play" in text
    (tmp_path / "settings.yaml").write_text(text.replace("# where:", "where:"), "utf-8")
    events = read_settings(tmp_path / "settings.yaml").data.events
    assert events.where == [(name, ">=", 4)]
    with read_parts(events, required=("user_id",), optional=None) as parts:
        assert sum(len(part.rows) for part in parts) == sum(np.arange(count) % 10 / 2 + 0.5 >= 4)


@pytest.mark.parametrize(
    "values", [[1, 2, 3], [1, 2, 3, 4, 12], ["a", "b", "c", "d"], [0, 1], [5], list(range(40))]
)
def test_other_numbers_look_like_no_rating(tmp_path, stranger, values):
    count = len(stranger.frame("user", "item", "time"))
    text = rated(tmp_path, stranger, other=[values[n % len(values)] for n in range(count)])
    assert "# not read: other" in text
    assert "rating" not in text


def test_nothing_is_said_where_all_columns_are_read(tmp_path, stranger):
    stranger.frame("user", "item", "time").to_csv(tmp_path / "events.csv", index=False)
    assert "not read" not in propose(str(tmp_path / "events.csv"))


def test_words_as_tags_a_year_and_ages(tmp_path):
    stranger = Stranger.draw(users=300)
    genres = ["Comedy Drama", "Drama", "Crime Drama Comedy", "Crime Comedy", "Comedy", "War Drama"]
    genres += ["War", "Crime", "Comedy War", "Drama Crime"]
    stranger.frame("user", "item", "time").to_csv(tmp_path / "events.csv", index=False)
    items = pd.DataFrame({"item": stranger.item_ids, "release_year": 1995})
    items["genres"] = [genres[n % len(genres)] for n in range(len(items))]
    items.to_csv(tmp_path / "items.csv", index=False)
    users = pd.DataFrame({"user": stranger.user_ids})
    users["age"], users["city"] = np.arange(len(users)) % 30 + 18, np.arange(len(users)) % 30
    users["city"] = "city " + users["city"].astype(str)
    users.to_csv(tmp_path / "users.csv", index=False)
    hints: list[str] = []
    tables = [str(tmp_path / f"{name}.csv") for name in ("events", "items", "users")]
    text = propose(*tables, hint=hints.append)
    (tmp_path / "settings.yaml").write_text(text, "utf-8")
    settings = read_settings(tmp_path / "settings.yaml")
    assert settings.data.items.tags_separator == " "
    assert ["Comedy Drama" in hint for hint in hints] == [True]
    assert settings.data.items.timestamp_format == "%Y"
    assert "# A year counts from its 1 January" in text
    assert "start at the folder in which setlist is started.\nstore: " in text
    assert settings.inputs == ("city",)
    assert "# age has 30 values and is no input" in text
    with read_parts(settings.data.items, required=("item_id",), optional=None) as parts:
        for part in parts:
            micros, known = settings.data.items.instants(part["released"])
            assert known.all()
            assert set(micros) == {pd.Timestamp("1995-01-01").value // 1000}


def test_tags_of_several_words_are_never_read_as_one_in_silence(tmp_path, stranger):
    stranger.frame("user", "item", "time").to_csv(tmp_path / "events.csv", index=False)
    items = pd.DataFrame({"item": stranger.item_ids})
    genres = ["Science Fiction", "Soul Music", "Martial Arts", "Comedy", "Drama"]
    items["genres"] = [genres[n % len(genres)] for n in range(len(items))]
    items.to_csv(tmp_path / "items.csv", index=False)
    hints: list[str] = []
    tables = [str(tmp_path / f"{name}.csv") for name in ("events", "items")]
    text = propose(*tables, hint=hints.append)
    assert "tags_separator" not in yaml.safe_load(text)["data"]["items"]
    sentence = (
        "each text of genres, such as 'Science Fiction', is read as one tag; set "
        "tags_separator: ' ' where its words are tags of their own"
    )
    assert hints == [f"items: {sentence}"]
    assert " ".join(row.strip(" #") for row in text.splitlines()).count(sentence) == 1
