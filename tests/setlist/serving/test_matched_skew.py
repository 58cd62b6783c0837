"""Requests beside the rows of the same listeners: every fault is named, no habit is."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client import CollectorRegistry
from tests.cases.data_faults import named
from tests.cases.serving_faults import (
    LISTENERS,
    MODEL,
    SERVING_FAULTS,
    SERVING_HABITS,
    features_of_all_days,
    right_requests,
    verdict_of_sending,
)

from setlist.data.policy import Bound, ServingBounds
from setlist.data.verdict import DataVerdict
from setlist.errors import DataError
from setlist.serving import log_reader
from setlist.serving.log_reader import last_requests
from setlist.serving.matched_skew import matched_skew
from setlist.serving.request_log import RequestLog, _requests


@cache
def verdict(name: str) -> DataVerdict:
    sending = SERVING_HABITS.get(name) or SERVING_FAULTS[name][0]
    return verdict_of_sending(sending, Path(mkdtemp()) / "log")


@pytest.mark.parametrize("name", SERVING_FAULTS)
def test_a_fault_is_named_by_its_rule(name):
    rule = SERVING_FAULTS[name][1]
    assert named(verdict(name), rule) in ("warn", "stop"), verdict(name).reasons


@pytest.mark.parametrize("name", SERVING_HABITS)
def test_a_habit_is_not(name):
    assert verdict(name).decision == "pass", [
        reason for reason in verdict(name).reasons if reason.outcome != "pass"
    ]


def asked(requests):
    """A table as `last_requests` gives it."""
    columns = ["user_id", "timestamp", "history", "history_age_days", "inputs"]
    return pa.Table.from_batches([_requests([each.entry() for each in requests])]).select(columns)


def rules(requests, bounds=ServingBounds(), model=MODEL):  # noqa: B008 - it is frozen
    reasons = matched_skew(asked(requests), features_of_all_days(), model, bounds)
    return {reason.rule: reason for reason in reasons}


def test_the_same_rows_give_the_same_features():
    reasons = rules(right_requests())
    assert [*reasons] == [
        "matched ids",
        "sent country",
        "sent age_band",
        "sent plays",
        "sent histories",
        "newest plays",
        "sent order",
        "sent ages",
    ]
    # A service that reads the rows as they are misses only what curation takes out.
    assert {reason.value for reason in reasons.values()} == {0.0}


def test_few_listeners_are_compared_with_nothing_and_that_is_a_warning():
    few = rules(right_requests()[:29])
    assert [*few] == ["matched listeners"]
    assert few["matched listeners"].outcome == "warn"
    assert "29 listeners of the log are in the tables" in few["matched listeners"].sentence
    assert "sent plays" in rules(right_requests()[:31])


def test_only_what_the_model_reads_is_compared():
    """A heuristic, or a model that was trained before an input was added to the settings."""
    without = [replace(each, inputs={}) for each in right_requests()]
    assert rules(without)["sent country"].outcome == "stop"
    rule = MODEL.model_copy(update={"inputs": (), "history_length": 1})
    assert [*rules(without, model=rule)] == [
        "matched ids", "sent plays", "sent histories", "newest plays", "sent order",
    ][: len(rules(without, model=rule))]  # fmt: skip
    assert {reason.outcome for reason in rules(without, model=rule).values()} == {"pass"}


def test_plays_of_one_second_at_the_edge_of_a_history_are_equal():
    """Of ten plays of one second, a model that reads five gets any five."""
    listeners = 40
    users = pd.DataFrame({"user_id": [f"u{n:02}" for n in range(listeners)]})
    plays = pd.DataFrame(
        [(user, item, 1.0) for user in range(listeners) for item in range(10)],
        columns=["user", "item", "age_days"],
    )
    features = replace(
        features_of_all_days(),
        items=pd.DataFrame({"item_id": [f"i{n}" for n in range(10)]}),
        users=users, newcomers=users[:0], plays=plays, inputs=(),
    )  # fmt: skip
    moment = features.window.cutoff
    requests = [
        replace(
            right_requests()[0], user=user, time=moment, inputs={}, ages=(1.0,) * 5,
            history=tuple(f"i{(row + n) % 10}" for n in range(5)),
        )
        for row, user in enumerate(users["user_id"])
    ]  # fmt: skip
    model = MODEL.model_copy(update={"inputs": ("history_age_days",), "history_length": 5})
    reasons = matched_skew(asked(requests), features, model, ServingBounds())
    assert {reason.outcome for reason in reasons} == {"pass"}, reasons


def test_timestamps_of_another_unit_are_the_same():
    table = asked(right_requests())
    place = table.column_names.index("timestamp")
    finer = table.set_column(place, "timestamp", table["timestamp"].cast(pa.timestamp("ns", "UTC")))
    reasons = matched_skew(finer, features_of_all_days(), MODEL, ServingBounds())
    assert {reason.value for reason in reasons} == {0.0}


def test_ages_of_another_number_than_plays_are_no_ages():
    one = list(right_requests())
    one[0] = replace(one[0], ages=one[0].ages[:-1])
    one[1] = replace(one[1], ages=(*one[1].ages, 0.0))
    reason = rules(one)["sent ages"]
    assert 0 < reason.value < 0.02
    assert reason.outcome == "pass"


def test_a_sentence_of_a_strangers_text_is_short():
    long = [replace(each, user=each.user + "\x1b[31m" + "x" * 10_000) for each in right_requests()]
    reason = rules([*right_requests(), *long])["matched ids"]
    assert len(reason.with_example) < 300
    assert reason.with_example.isprintable()


@pytest.mark.parametrize(
    "column", ["user_id", "timestamp", "history", "history_age_days", "inputs"]
)
def test_a_row_without_a_value_is_named(tmp_path, column):
    write(tmp_path, right_requests()[:3])
    (file,) = tmp_path.glob("requests/*/*.parquet")
    table = pq.read_table(file)
    place = table.column_names.index(column)
    missing = pa.nulls(len(table), table.schema.field(column).type)
    pq.write_table(table.set_column(place, table.schema.field(column), missing), file)
    with pytest.raises(DataError, match=rf"{file}: a row has no {column}"):
        last_requests(str(tmp_path), "home", 1, None)


def test_a_model_without_ages_is_not_asked_about_them():
    without = [replace(each, ages=()) for each in right_requests()]
    reads_none = MODEL.model_copy(update={"inputs": ("country", "age_band")})
    assert "sent ages" not in rules(without, model=reads_none)
    assert rules(without, model=reads_none)["sent order"].value == 0
    assert rules(without)["sent ages"].value == 1


def test_a_listener_who_never_played_is_no_fault_and_a_stranger_is():
    new = [replace(each, user=f"new {each.user}", history=(), ages=()) for each in right_requests()]
    assert rules([*right_requests(), *new])["matched ids"].value == 0
    strange = [replace(each, user=f"h{each.user}") for each in right_requests()[:200]]
    reason = rules([*right_requests(), *strange])["matched ids"]
    assert reason.value == pytest.approx(200 / (200 + LISTENERS), abs=0.01)
    assert reason.example.startswith("'hL")
    assert "hL" not in reason.sentence


def test_plays_after_a_request_are_not_expected_in_it():
    early = []
    for each in right_requests():
        kept = sum(age > 3 for age in each.ages)
        early.append(
            replace(
                each,
                time=each.time - pd.Timedelta(days=3),
                history=each.history[:kept],
                ages=tuple(age - 3 for age in each.ages[:kept]),
            )
        )
    assert {reason.value for reason in rules(early).values()} == {0.0}


def test_the_example_names_a_listener_and_both_values():
    hours = [replace(each, ages=tuple(24 * age for age in each.ages)) for each in right_requests()]
    reason = rules(hours)["sent ages"]
    assert reason.outcome == "stop"
    item, user, sent, expected = re.fullmatch(
        r"'(P\d+)' of '(L\d+)': ([\d.]+) days in the request and ([\d.]+) by the tables",
        reason.example,
    ).groups()
    assert float(sent) == pytest.approx(24 * float(expected), rel=0.01)
    request = next(each for each in right_requests() if each.user == user)
    assert item in request.history


def test_bounds_are_those_of_the_policy():
    swapped = [
        replace(each, inputs=each.inputs | {"country": "NO"}) if place < 20 else each
        for place, each in enumerate(right_requests())
    ]
    assert rules(swapped)["sent country"].outcome == "warn"
    narrow = ServingBounds(inputs=Bound(warn=0.01, stop=0.02))
    assert rules(swapped, narrow)["sent country"].outcome == "stop"
    assert rules(swapped, ServingBounds(inputs=Bound()))["sent country"].outcome == "pass"


def write(to, requests):
    log = RequestLog(str(to), 1.0, CollectorRegistry())
    log.start()
    for request in requests:
        log.put(request.entry())
    log.stop()


def test_the_last_request_of_a_listener_counts(tmp_path):
    wrong = [
        replace(each, time=each.time - pd.Timedelta(minutes=1), history=("nothing",), ages=(1.0,))
        for each in right_requests()
    ]
    write(tmp_path, [*wrong[:200], *right_requests(), *wrong[200:]])
    requests = last_requests(str(tmp_path), "home", 1, None)
    assert len(requests) == len(right_requests())
    assert set(requests["user_id"].to_pylist()) == {each.user for each in right_requests()}
    assert ["nothing"] not in requests["history"].to_pylist()


def test_a_sample_is_the_same_however_the_log_is_cut(tmp_path, monkeypatch):
    repeated = [
        replace(each, time=each.time - pd.Timedelta(minutes=turn))
        for turn in range(5)
        for each in right_requests()
    ]
    write(tmp_path, repeated)
    samples = []
    for rows in (5_000, 7):
        monkeypatch.setattr(log_reader, "BATCH_ROWS", rows)
        samples.append(last_requests(str(tmp_path), "home", 1, None, limit=40))
    users = [sorted(sample["user_id"].to_pylist()) for sample in samples]
    assert users[0] == users[1]
    assert len(users[0]) == 40
    times = dict(
        zip(*(samples[1][column].to_pylist() for column in ("user_id", "timestamp")), strict=True)
    )
    for each in right_requests():
        if each.user in times:
            assert abs(times[each.user] - each.time) < pd.Timedelta(milliseconds=1)


def test_a_log_without_a_request_of_the_revision_is_empty(tmp_path):
    write(tmp_path, right_requests()[:3])
    assert len(last_requests(str(tmp_path), "home", 2, None)) == 0
