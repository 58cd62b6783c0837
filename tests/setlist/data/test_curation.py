import json
from pathlib import Path

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setlist.data import files
from setlist.data.curation import (
    CurationReport,
    CurationSettings,
    DataSettings,
    WindowSettings,
    curate,
    resolve_window,
)
from setlist.data.sample_truth import END
from setlist.data.schema import EVENT_COLUMNS, ITEM_COLUMNS, TIMESTAMP_DTYPE, Window
from setlist.data.snapshots import read_items
from setlist.data.source import TableSource
from setlist.errors import DataError, SetlistError

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
NOW = pd.Timestamp("2026-05-20T06:00:00.7Z")
CUT = pd.Timestamp("2026-05-10", tz="UTC")
SETTINGS = WindowSettings(split_at="2026-05-10", train_days=90, test_days=14)
WINDOW = resolve_window(SETTINGS, "", NOW)
TRAIN_DAY, TEST_DAY = "2026-05-01", "2026-05-11"


def table(folder: Path, name: str, rows: list[dict]) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_json(folder / f"{name}.jsonl", orient="records", lines=True)
    return {"path": str(folder / f"{name}.jsonl")}


def event(user="u", item="i", timestamp=TRAIN_DAY, **more) -> dict:
    return {"user_id": user, "item_id": item, "timestamp": timestamp, **more}


FILLER = [event("someone", "i"), event("someone", "i", TEST_DAY)]  # neither side is empty


def run(tmp_path, events, *, items=None, users=None, window=WINDOW, **rules) -> CurationReport:
    """Curates small tables into tmp_path/out."""
    data = {"events": table(tmp_path, "events", events)}
    if items is not None:
        data["items"] = table(tmp_path, "items", items)
    if users is not None:
        data["users"] = table(tmp_path, "users", users)
    settings = CurationSettings(**rules)
    return curate(DataSettings.model_validate(data), window, settings, tmp_path / "out")


def written(tmp_path, name) -> pd.DataFrame:
    return pd.read_parquet(tmp_path / "out" / f"{name}.parquet")


def fault(tmp_path, events, **more) -> str:
    with pytest.raises(SetlistError) as caught:
        run(tmp_path, events, **more)
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []
    return str(caught.value)


# The window


@pytest.mark.parametrize(
    ("settings", "as_of", "expected"),
    [
        ({}, "", ("2026-02-05T06:00", "2026-05-06T06:00", "2026-05-20T06:00")),
        ({}, "2026-05-15", ("2026-01-31", "2026-05-01", "2026-05-15")),
        ({"train_days": None}, "2026-05-15", ("2026-01-31", "2026-05-01", "2026-05-15")),
        (
            {"train_days": 0.5, "test_days": 1.0},
            "2026-05-15",
            ("2026-05-13T12", "2026-05-14", "2026-05-15"),
        ),
        ({"split_at": "2026-05-10"}, "2020-01-01", ("1970-01-01", "2026-05-10", "2100-01-01")),
        (
            {"split_at": "2026-05-10", "train_days": 90, "test_days": 14},
            "",
            ("2026-02-09", "2026-05-10", "2026-05-24"),
        ),
        (
            {"split_at": 977516291.0, "train_days": None, "test_days": None},
            "",
            ("1970-01-01", "2000-12-22T20:18:11", "2100-01-01"),
        ),
    ],
)  # fmt: skip
def test_the_window(settings, as_of, expected):
    window = resolve_window(WindowSettings.model_validate(settings), as_of, NOW)
    assert (window.start, window.cutoff, window.end) == tuple(
        pd.to_datetime(expected, utc=True, format="ISO8601")
    )
    assert Window.from_json(window.to_json()) == window


def test_faults_of_the_window():
    with pytest.raises(SetlistError, match="as_of: 'soon' is not an ISO 8601 date"):
        resolve_window(WindowSettings(), "soon", NOW)
    with pytest.raises(pydantic.ValidationError, match="'x' is not an ISO 8601 date from 1971"):
        WindowSettings(split_at="x")
    for text in ("03.04.2024", "04/03/2024", "3 Apr 2024", "2024-4-3", "April 2024"):
        with pytest.raises(SetlistError, match="is not an ISO 8601 date; write it like 2026-05-01"):
            resolve_window(WindowSettings(), text, NOW)
        with pytest.raises(pydantic.ValidationError, match="is not an ISO 8601 date"):
            WindowSettings(split_at=text)
    for days in (0, -1, float("inf"), float("nan")):
        with pytest.raises(pydantic.ValidationError):
            WindowSettings(train_days=days)


def test_whole_floats_are_whole_numbers_in_settings():
    assert CurationSettings.model_validate({"min_item_events": 5.0}).min_item_events == 5
    with pytest.raises(pydantic.ValidationError):
        CurationSettings.model_validate({"min_item_events": 5.5})


# The rules, one by one


def rejected(tmp_path, events, **more) -> dict[str, int]:
    """The reasons that rejected something, of events beside FILLER."""
    report = run(tmp_path, FILLER + events, **more)
    rows = written(tmp_path, "rejected")
    counts = {reason: n for reason, n in report.rejected.items() if n}
    assert rows["reason"].value_counts().to_dict() == counts
    assert (
        len(rows) + report.outside + report.below_support + report.train + report.test
        == report.read
    )
    return counts


@pytest.mark.parametrize("missing", [None, "", "  ", np.nan])
def test_missing_ids(tmp_path, missing):
    assert rejected(tmp_path, [event(missing), event(item=missing)]) == {"missing id": 2}


@pytest.mark.parametrize(
    "bad",
    [None, "", "yesterday", "now", "today", "0000-00-00", "2026-02-30", "1989-12-31T23:59:59Z",
     "2100-01-01", 0, 1995, "1995", 20260501, "20260501", 4102444800, -1, 1e300, "inf",
     "9999-12-31"],
)  # fmt: skip
def test_bad_timestamps(tmp_path, bad):
    assert rejected(tmp_path, [event("x", timestamp=bad)]) == {"bad timestamp": 1}


@pytest.mark.parametrize("bad", [None, "", "many", 0, -1, "nan", "inf"])
def test_bad_weights(tmp_path, bad):
    fine = [{**row, "weight": "2.5"} for row in FILLER]
    report = run(tmp_path, [*fine, event("x", weight=bad)])
    assert report.rejected["bad weight"] == 1
    assert written(tmp_path, "train")["weight"].tolist() == [2.5]


def test_unknown_items(tmp_path):
    items = [{"item_id": "i"}, {"item_id": 7}]
    assert rejected(tmp_path, [event(item="x"), event(item=7)], items=items) == {"unknown item": 1}


def test_duplicates_of_a_bot_double_no_day(tmp_path):
    """Of its rows none is kept, so that its duplicates would be most of what is left of a day."""
    bot = [event("bot", f"i{number}") for number in range(4)] * 2
    twice = [event("u", "i0")] * 3
    report = run(tmp_path, [*FILLER, *bot, *twice], max_events_per_day=3)
    assert [day.duplicates for day in report.days if day.day == TRAIN_DAY] == [2]
    removed = {count.rule: count.removed for count in report.counts}
    assert removed["exact duplicate"] == 6, "they are rejected all the same"


def test_exact_duplicates_keep_the_first(tmp_path):
    moment = "2026-05-01T12:00:00"
    rows = [
        event(timestamp=moment, weight=2),
        event(timestamp=f"{moment}Z", weight=3),
        event(timestamp=f"{moment}.000001", weight=4),
        event("v", timestamp=moment, weight=5),
    ]
    fine = [{**row, "weight": 1} for row in FILLER]
    report = run(tmp_path, fine + rows)
    assert report.rejected["exact duplicate"] == 1
    assert written(tmp_path, "train")["weight"].tolist() == [1, 2, 5, 4]


def day(user, start, count, minutes=1):
    at = pd.date_range(start, periods=count, freq=f"{minutes}min")
    return [event(user, timestamp=t.isoformat()) for t in at]


def test_a_bot_loses_its_day_and_no_other(tmp_path):
    events = [*day("bot", TRAIN_DAY, 6), *day("bot", "2026-05-02", 5), *day("v", TRAIN_DAY, 5)]
    counts = rejected(tmp_path, events, max_events_per_day=5)
    assert counts == {"bot (more than 5 a day)": 6}
    assert (written(tmp_path, "rejected")["user_id"] == "bot").all()


def test_the_day_of_the_cut_counts_as_two(tmp_path):
    window = resolve_window(WindowSettings(split_at="2026-05-10T12:00"), "", NOW)
    events = day("u", "2026-05-10T11:55", 5) + day("u", "2026-05-10T12:00", 6)
    counts = rejected(tmp_path, events, window=window, max_events_per_day=5)
    assert sum(counts.values()) == 6
    assert (written(tmp_path, "train")["user_id"] == "u").sum() == 5


def test_minimum_support_is_counted_in_training_only_items_first(tmp_path):
    events = [
        *[event(f"u{n}", "popular") for n in range(3)],
        event("u0", "popular", "2026-05-02"),
        event("u1", "rare"),
        *[event(f"u{n}", "rare", TEST_DAY) for n in range(9)],
        *day("u2", TEST_DAY, 9),
    ]
    report = run(tmp_path, FILLER + events, min_item_events=2, min_user_events=2)
    # "i" and "rare" go first, and u1 and u2 have one event left then.
    assert [count.removed for count in report.counts if count.fate == "not trained on"] == [2, 2]
    assert written(tmp_path, "train")["user_id"].tolist() == ["u0", "u0"]
    assert report.test == 1 + 9 + 9


def test_the_two_sides_of_every_bound(tmp_path):
    window = Window(*(pd.Timestamp(t, tz="UTC") for t in (TRAIN_DAY, "2026-05-10", "2026-05-12")))
    bounds = ["2026-04-30T23:59:59.999999", TRAIN_DAY, "2026-05-09T23:59:59.999999", "2026-05-10",
              "2026-05-11T23:59:59.999999", "2026-05-12", "2062-01-01"]  # fmt: skip
    report = run(tmp_path, [event(timestamp=bound) for bound in bounds], window=window)
    assert (report.train, report.test, report.outside) == (2, 2, 3)
    assert sum(report.rejected.values()) == 0


# The tables


def test_the_events_are_sorted_and_typed(tmp_path):
    rows = [
        event("b", "x", 1777593600000),
        event("a", "y", 1777593600000),
        event("a", "x", 1777593600000),
        event(858, 9, 1777593599000.25),
        event("u", "i", "2026-05-11T02:00:00+02:00"),
    ]
    data = {"events": {**table(tmp_path, "events", rows), "timestamp_unit": "ms"}}
    curate(DataSettings.model_validate(data), WINDOW, CurationSettings(), tmp_path / "out")
    train, test = written(tmp_path, "train"), written(tmp_path, "test")
    assert tuple(train) == tuple(test) == EVENT_COLUMNS
    assert train.dtypes.astype(str).tolist() == ["str", "str", TIMESTAMP_DTYPE, "float64"]
    assert train[["user_id", "item_id"]].agg("".join, axis=1).tolist() == ["8589", "ax", "ay", "bx"]
    assert train["timestamp"].iloc[0] == pd.Timestamp("2026-04-30T23:59:59.000250Z")
    assert test["timestamp"].iloc[0] == pd.Timestamp("2026-05-11", tz="UTC")


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "parquet"])
def test_every_format_curates_to_the_same_bytes(tmp_path, suffix):
    at = pd.to_datetime(["2026-05-01", "2026-05-02", "2026-05-12", "2026-05-12"], utc=True)
    events = {"user_id": [1.0, 2.0, 2.0, None], "item_id": [5, 6, 5, 5], "timestamp": at}
    items = {"title": ["A", ""], "tags": ["x| y |", None], "released": ["2026-01-01", None]}
    frames = {
        "events": pd.DataFrame(events),
        "items": pd.DataFrame({"item_id": [5, 6]} | items),
        "users": pd.DataFrame({"user_id": [1, 2], "age": [25.0, None]}),
    }
    outputs = []
    for kind in (suffix, "parquet"):
        data = {}
        for name, frame in frames.items():
            path = tmp_path / f"{name}.{kind}"
            if kind == "parquet":
                frame.to_parquet(path)
            elif kind == "jsonl":
                frame.to_json(path, orient="records", lines=True, date_format="iso")
            else:
                frame.to_csv(path, index=False)
            data[name] = {"path": str(path)}
        out = tmp_path / f"out-{kind}-{len(outputs)}"
        report = curate(DataSettings.model_validate(data), WINDOW, CurationSettings(), out)
        assert (report.train, report.test, report.rejected["missing id"]) == (2, 1, 1)
        outputs.append({p.name: p.read_bytes() for p in out.glob("[tiu]*.parquet")})
    assert outputs[0] == outputs[1]
    items = pd.read_parquet(out / "items.parquet")
    assert items["item_id"].tolist() == ["5", "6"]
    assert items["title"].tolist() == ["A", "6"]
    assert [list(tags) for tags in items["tags"]] == [["x", "y"], []]
    users = pd.read_parquet(out / "users.parquet")
    assert users.to_dict("list") == {"user_id": ["1", "2"], "age": ["25", ""]}


def test_without_tables_the_ids_of_the_events_are_known(tmp_path):
    report = run(
        tmp_path, [event("u", "i"), event("v", "j", TEST_DAY), event("w", "k", "2020-01-01")]
    )
    items, users = written(tmp_path, "items"), written(tmp_path, "users")
    assert tuple(items) == ITEM_COLUMNS
    assert items["item_id"].tolist() == items["title"].tolist() == ["i"]
    assert items["released"].dtype == TIMESTAMP_DTYPE
    assert items["released"].isna().all()
    assert users["user_id"].tolist() == ["u", "v"]
    assert report.notes == [
        "items: there is no table; the items are those of the training events.",
        "users: there is no table; the users are those of the events.",
    ]


def test_features_are_taken_as_of_the_cut(tmp_path):
    items = [
        {"item_id": "i", "title": "then", "valid_from": "2026-05-10"},
        {"item_id": "i", "title": "first", "valid_from": "2026-01-01"},
        {"item_id": "i", "title": "later", "valid_from": "2026-05-10T00:00:01"},
        {"item_id": "future", "title": "later", "valid_from": "2026-06-01"},
        {"item_id": "undated", "title": "?", "valid_from": None},
    ]
    users = [
        {"user_id": "u", "country": "SE", "valid_from": "2026-05-01"},
        {"user_id": "u", "country": "DE", "valid_from": "2026-05-11"},
    ]
    report = run(tmp_path, [*FILLER, event(item="future")], items=items, users=users)
    assert written(tmp_path, "items")[["item_id", "title"]].to_numpy().tolist() == [["i", "then"]]
    assert written(tmp_path, "users").to_dict("list") == {"user_id": ["u"], "country": ["SE"]}
    assert report.rejected["unknown item"] == 1
    assert report.unknown_users == 1
    assert report.notes == [
        "items: as of the cutoff; 2 rows are valid only later and 1 have no valid_from; dropped.",
        "users: as of the cutoff; 1 rows are valid only later and 0 have no valid_from; dropped.",
        "users: 1 users of the events are not in the table; kept.",
    ]


def test_snapshots_say_so_and_the_last_row_wins(tmp_path):
    items = [
        {"item_id": "i", "title": "old", "released": "2026-05-30", "tags": ["a", " b "]},
        {"item_id": None, "title": "nameless", "released": None},
        {"item_id": " i ", "title": "new", "released": "soon", "tags": ["c"]},
        {"item_id": "j", "title": "next", "released": "2026-05-30", "tags": None},
    ]
    report = run(tmp_path, FILLER, items=items)
    found = written(tmp_path, "items")
    assert found["title"].tolist() == ["new", "next"]
    assert found["released"].tolist() == [pd.NaT, pd.Timestamp("2026-05-30", tz="UTC")]
    assert [list(tags) for tags in found["tags"]] == [["c"], []]
    assert report.notes[:3] == [
        "items: 1 rows without item_id; dropped.",
        "items: a present-day snapshot (there is no valid_from). "
        "1 rows repeat an earlier item_id; the last row counts.",
        "items: 1 of 3 release dates cannot be read, such as 'soon'; taken as not known.",
    ]


@pytest.mark.parametrize(
    ("released", "form", "remedy"),
    [
        (["1999", "2024"], "%y", "1999 is a year: set data.items.timestamp_format: '%Y'"),
        ([1999, 2024], "", "1999 is a year: set data.items.timestamp_format: '%Y'"),
        (["27.2.99", None], "", 'set timestamp_format: "%d.%m.%y" (under data.items)'),
        (["2024-05-01"], "%d.%m.%y", "take data.items.timestamp_format out, which is '%d.%m.%y'"),
    ],
)
def test_release_dates_of_which_none_can_be_read_are_a_fault(tmp_path, released, form, remedy):
    path = tmp_path / "items.parquet"
    ids = [f"i{n}" for n in range(len(released))]
    pd.DataFrame({"item_id": ids, "released": released}).to_parquet(path)
    source = TableSource.model_validate({"path": str(path), "timestamp_format": form})
    sentence = f"none of the {len(released) - released.count(None)} release dates can be read, such"
    with pytest.raises(DataError, match=sentence) as fault:
        read_items(source, pd.Timestamp("2026-05-01", tz="UTC"), [])
    assert fault.value.remedy.endswith(remedy)


def test_rejected_rows_are_shown_as_they_were_read_or_as_they_came(tmp_path):
    run(tmp_path, [*FILLER, event(" u ", None, "2026-05-01 "), event("x", 7, "never")])
    assert written(tmp_path, "rejected").to_numpy().tolist() == [
        [3, "u", "", "2026-05-01T00:00:00.000000Z", "", "missing id"],
        [4, "x", "7", "never", "", "bad timestamp"],
    ]


def test_the_report_is_written_for_people_and_machines(tmp_path):
    report = run(tmp_path, [*FILLER, event("x", None)], min_user_events=1)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        *(f"{name}.parquet" for name in ("train", "test", "items", "users", "rejected")),
        "report.md",
        "counts.json",
    }
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert page == report.markdown()
    assert "| read | 3 | 2 | 1 | 0 |  |" in page
    assert "| missing id | 2 | 1 | 1 | 1 | rejected |" in page
    assert "- missing id: 1" in page
    counts = json.loads((tmp_path / "out" / "counts.json").read_text("utf-8"))
    assert CurationReport.model_validate(counts) == report


# Faults


def test_all_rows_rejected_names_the_most_frequent_reason(tmp_path):
    sentence = fault(tmp_path, [event(None), event("a", timestamp="x"), event("b", timestamp="y")])
    assert (
        "all 3 rows are rejected, most often for 'bad timestamp' (2 rows, the first is row 2"
        in sentence
    )
    assert "'x' is no ISO 8601: set timestamp_format" in sentence


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (["2020-01-01", "2021-01-01"], "window"),
        ([TEST_DAY, "2021-01-01"], "training period"),
        ([TRAIN_DAY, "2021-01-01"], "test period"),
    ],
)
def test_an_empty_period_says_which_dates_the_data_has(tmp_path, days, name):
    sentence = fault(tmp_path, [event(timestamp=day) for day in days])
    first, last = sorted(days)
    assert f"no event lies in the {name}, " in sentence
    assert f"the data has {first}T00:00:00+00:00 to {last}T00:00:00+00:00" in sentence


def test_no_events_and_no_support(tmp_path):
    assert "leave no training event" in fault(tmp_path, FILLER, min_user_events=2)
    (tmp_path / "x.csv").write_text("user_id,item_id,timestamp\n")
    data = DataSettings.model_validate({"events": {"path": str(tmp_path / "x.csv")}})
    with pytest.raises(SetlistError, match="there are no events; correct"):
        curate(data, WINDOW, CurationSettings(), tmp_path / "out")


def test_nothing_is_overwritten_or_left_half_written(tmp_path):
    run(tmp_path, FILLER)
    with pytest.raises(SetlistError, match="exists already"):
        run(tmp_path, FILLER)
    data = DataSettings.model_validate({"events": table(tmp_path, "events", FILLER)})
    with pytest.raises(SetlistError, match="cannot be written"):
        curate(data, WINDOW, CurationSettings(), tmp_path / "events.jsonl" / "out")
    (tmp_path / "empty").mkdir()
    curate(data, WINDOW, CurationSettings(), tmp_path / "empty")
    assert {p.name for p in tmp_path.iterdir()} == {"events.jsonl", "out", "empty"}


# Properties

IDS = st.sampled_from(["a", "b", "c", "d", " a", "", None, 7, 7.0])
INSTANTS = st.one_of(
    st.integers(0, 40).map(lambda hours: (CUT + pd.Timedelta(hours=6 * (hours - 20))).isoformat()),
    st.sampled_from(["2020-01-01", "bad", None, 1778371200, "2062-01-01"]),
)
ROWS = st.lists(
    st.builds(event, IDS, IDS, INSTANTS, weight=st.sampled_from([1, 2.5, 0, None, "x"])),
    max_size=40,
)
RULES = {"min_item_events": 2, "min_user_events": 2, "max_events_per_day": 4}
ITEMS = [{"item_id": item} for item in ("a", "b", "c", 7)]
BASE = [event(u, i, f"2026-05-0{d}", weight=1) for u in "xy" for i in "ab" for d in (1, 2)]
LATER = [event("z", "a", TEST_DAY, weight=1)]


@settings(max_examples=30)
@given(rows=ROWS)
def test_every_row_is_accounted_for(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    report = run(folder, BASE + LATER + rows, items=ITEMS, **RULES)
    assert report.read == len(BASE + LATER + rows)
    fates = sum(report.rejected.values()), report.outside, report.below_support
    assert report.read == report.train + report.test + sum(fates)
    tables = {name: written(folder, name) for name in ("train", "test", "rejected")}
    assert {n: len(t) for n, t in tables.items()} == {
        "train": report.train, "test": report.test, "rejected": fates[0],
    }  # fmt: skip
    removed = [count.removed for count in report.counts]
    left = [count.rows for count in report.counts[:-2]]
    assert left == [report.read - sum(removed[: n + 1]) for n in range(len(left))]
    for count, frame in zip(report.counts[-2:], (tables["train"], tables["test"]), strict=True):
        assert (count.users, count.items) == (
            frame["user_id"].nunique(),
            frame["item_id"].nunique(),
        )
    assert (tables["train"]["timestamp"] < CUT).all()
    assert (tables["test"]["timestamp"] >= CUT).all()
    events = pd.concat([tables["train"], tables["test"]])
    assert not events.duplicated(["user_id", "item_id", "timestamp"]).any()
    for frame in (tables["train"], tables["test"]):
        order = frame.sort_values(["timestamp", "user_id", "item_id"]).index
        assert order.tolist() == list(range(len(frame)))


@settings(max_examples=30)
@given(
    past=st.lists(st.builds(event, IDS, IDS, INSTANTS, weight=st.just(1)), max_size=20),
    future=st.lists(
        st.builds(
            event,
            st.sampled_from(["a", "x", "new", 7]),
            st.sampled_from(["a", "b", "new", 7]),
            st.integers(0, 60).map(lambda h: (CUT + pd.Timedelta(hours=h)).isoformat()),
            weight=st.just(1),
        ),
        max_size=60,
    ),
    order=st.randoms(use_true_random=False),
    with_items=st.booleans(),
)
def test_what_comes_after_the_cut_moves_nothing_before_it(
    tmp_path_factory, past, future, order, with_items
):
    """Events after the cut, amid the others or not, leave train and its items byte for byte."""
    window = resolve_window(WindowSettings(split_at="2026-05-10T00:00"), "", NOW)
    before = BASE + [
        row for row in past if not str(row["timestamp"]).startswith(("2026-05-1", "177"))
    ]
    mixed = list(before)
    for row in future:
        mixed.insert(order.randint(0, len(mixed)), row)
    trained = []
    for events in (before, mixed):
        folder = tmp_path_factory.mktemp("leak")
        run(folder, events + LATER, items=ITEMS if with_items else None, window=window, **RULES)
        trained.append(
            [(folder / "out" / f"{name}.parquet").read_bytes() for name in ("train", "items")]
        )
    assert trained[0] == trained[1]


# Real and generated data


def test_the_dirt_of_the_sample_is_counted_exactly(tmp_path):
    names = {"user_id": "listener", "item_id": "playlist", "timestamp": "played_at"}
    data = DataSettings.model_validate(
        {
            "events": {"path": "sample://events", "columns": names},
            "items": {"path": "sample://playlists", "columns": {"item_id": "playlist"}},
            "users": {"path": "sample://listeners", "columns": {"user_id": "listener"}},
        }
    )
    window = resolve_window(WindowSettings(train_days=None, split_at=END.isoformat()), "", NOW)
    cut = END - pd.Timedelta(days=14)
    window = Window(start=window.start, cutoff=cut, end=END)
    report = curate(data, window, CurationSettings(), tmp_path / "out")
    truth = files._sample(7, "none").truth  # the one that was read
    assert {reason: rows for reason, rows in report.rejected.items() if rows} == {
        "missing id": truth.dirt["missing_listener"],
        "bad timestamp": truth.dirt["bad_date"],
        "unknown item": truth.dirt["unknown_playlist"],
        "exact duplicate": truth.dirt["duplicate"],
        "bot (more than 500 a day)": truth.dirt["bot"],
    }
    assert report.outside == truth.dirt["future_date"]
    assert report.items == len(truth.playlists)
    assert report.unknown_users == 0


@pytest.fixture(scope="module")
def movielens() -> DataSettings:
    folder = SHARED / "ml-1m"
    if not folder.is_dir():
        pytest.skip(f"MovieLens-1M may not be redistributed, and is not at {folder}")
    return DataSettings.model_validate(
        {
            "events": {
                "path": str(folder / "interactions.parquet"),
                "where": [["rating", ">=", 4], ["ts_exact", "==", True]],
            },
            "items": {"path": str(folder / "items.parquet"), "columns": {"tags": "genres"}},
            "users": {"path": str(folder / "users.parquet")},
        }
    )


def test_temporal_movielens(movielens, tmp_path):
    window = resolve_window(
        WindowSettings(train_days=None, test_days=None, split_at=977516291), "", NOW
    )
    # MovieLens asks newcomers for many ratings at once: the usual limit would take them for bots.
    report = curate(
        movielens, window, CurationSettings(max_events_per_day=10_000), tmp_path / "out"
    )
    train = report.counts[-2]
    assert (train.rows, train.users, train.items) == (501_433, 5_917, 3_478)
    assert report.read == report.train + report.test == 557_148
    items = written(tmp_path, "items").set_index("item_id")
    assert items.loc["858", "title"] == "Godfather, The (1972)"
    assert list(items.loc["1", "tags"]) == ["Animation", "Children's", "Comedy"]
    assert set(written(tmp_path, "users")) == {
        "user_id",
        "gender",
        "age",
        "occupation",
        "zip",
        "region",
    }
