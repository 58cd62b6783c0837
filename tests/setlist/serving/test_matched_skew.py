"""Requests beside the rows of the same listeners: every fault is named, no habit is."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry
from tests.cases.data_faults import named
from tests.cases.serving_faults import (
    LENGTH,
    LISTENERS,
    SERVING_FAULTS,
    SERVING_HABITS,
    features_of_all_days,
    right_requests,
    verdict_of_sending,
)

from setlist.data.policy import Bound, ServingBounds
from setlist.data.verdict import DataVerdict
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


def rules(requests, bounds=ServingBounds()):  # noqa: B008 - it is frozen
    reasons = matched_skew(asked(requests), features_of_all_days(), LENGTH, bounds)
    return {reason.rule: reason for reason in reasons}


def test_the_same_rows_give_the_same_features():
    reasons = rules(right_requests())
    assert [*reasons] == [
        "matched ids",
        "sent country",
        "sent age_band",
        "sent plays",
        "newest plays",
        "sent order",
        "sent ages",
    ]
    # A service that reads the rows as they are misses only what curation takes out.
    assert {reason.value for reason in reasons.values()} == {0.0}


def test_few_listeners_are_compared_with_nothing():
    few = right_requests()[:29]
    assert rules(few) == {}
    assert "sent plays" in rules(right_requests()[:31])


def test_a_model_without_ages_is_not_asked_about_them():
    without = [replace(each, ages=()) for each in right_requests()]
    assert "sent ages" not in rules(without)
    assert rules(without)["sent order"].value == 0


def test_a_listener_who_never_played_is_no_fault_and_a_stranger_is():
    new = [replace(each, user=f"new {each.user}", history=(), ages=()) for each in right_requests()]
    assert rules([*right_requests(), *new])["matched ids"].value == 0
    strange = [replace(each, user=f"h{each.user}") for each in right_requests()[:100]]
    reason = rules([*right_requests(), *strange])["matched ids"]
    assert reason.value == pytest.approx(100 / (100 + LISTENERS), abs=0.01)
    assert "such as 'hL" in reason.sentence


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


def test_the_sentence_names_a_listener_and_both_values():
    hours = [replace(each, ages=tuple(24 * age for age in each.ages)) for each in right_requests()]
    reason = rules(hours)["sent ages"]
    assert reason.outcome == "stop"
    item, user, sent, expected = re.search(
        r"such as '(P\d+)' of '(L\d+)': ([\d.]+) days in the request and ([\d.]+) by the tables",
        reason.sentence,
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
