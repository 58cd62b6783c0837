"""The gate for data: every fault is named, no harmless change stops a run, and how it is said."""

import hashlib
import json
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.cases.data_faults import FAULTS, HARMLESS, clean_tables, named, verdict_of

from setlist.data.case import DataCase, conclude
from setlist.data.curation_report import DayCount
from setlist.data.distributions import Distribution, distance, distances, past_distances
from setlist.data.duckdb_engine import DuckDb
from setlist.data.engine import EngineSettings
from setlist.data.plays import code_plays
from setlist.data.policy import Bound, DataPolicy
from setlist.data.profile import DataProfile, Weeks
from setlist.data.schema import UNBOUNDED_END, Window
from setlist.data.verdict import DataReason, DataVerdict
from setlist.data.week_rules import days, newest_week
from setlist.errors import DataError

DAY = pd.Timedelta(days=1)
END = pd.Timestamp("2026-05-01", tz="UTC")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name):
    change, rule = FAULTS[name]
    verdict = verdict_of(change)
    assert named(verdict, rule), [reason.rule for reason in verdict.reasons]
    for reason in verdict.reasons:
        assert (reason.outcome == "pass") == (reason.remedy == ""), reason
        if reason.outcome != "pass":
            assert reason.value >= reason.bound
            names_a_bound(reason)


def names_a_bound(reason):
    """The remedy names the very bound of the policy that it is above, if there is one."""
    _, raised, key = reason.remedy.partition("raise policy.data.")
    bound = DataPolicy().model_dump()
    for part in key.split(".") if raised else ():
        bound = bound[part]
    # Of a drift it is the larger one of the bound and of past distances.
    assert not raised or reason.bound >= bound


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_stops_no_run(name):
    verdict = verdict_of(HARMLESS[name])
    assert verdict.decision != "stop", verdict.with_outcome("stop")


def reason(outcome, rule="missing days"):
    remedy = f"load them, or raise policy.data.missing_days.{outcome}"
    return DataReason(
        rule=rule,
        outcome=outcome,
        value=0.2,
        bound=0.1,
        sentence="3 days",
        remedy="" if outcome == "pass" else remedy,
    )


@pytest.mark.parametrize("outcome", ["warn", "stop"])
def test_a_reason_names_the_bound_that_it_is_above(outcome):
    bound = Bound(warn=0.1, stop=0.5)
    value = 0.2 if outcome == "warn" else 0.6
    found = conclude("rejected rows", value, bound, "rejected", "3 rows", "mend them")
    assert found.remedy == f"mend them, or raise policy.data.rejected.{outcome}"
    names_a_bound(found)
    alone = conclude("rejected rows", value, bound, "rejected", "3 rows", "")
    assert alone.remedy == f"raise policy.data.rejected.{outcome}"
    assert conclude("rejected rows", 0.1, bound, "rejected", "3 rows", "mend").remedy == ""


def test_the_worst_outcome_decides():
    assert DataVerdict.of([]).decision == "pass"
    assert DataVerdict.of([reason("pass"), reason("warn")]).decision == "warn"
    assert DataVerdict.of([reason("stop"), reason("warn")]).decision == "stop"


def test_a_stop_is_one_error_with_remedy_and_the_way_to_the_bound(tmp_path):
    verdict = DataVerdict.of([reason("warn"), reason("stop", "rejected rows")])
    verdict.write(tmp_path / "verdict")
    with pytest.raises(DataError) as caught:
        DataVerdict.read(tmp_path / "verdict").refuse()
    assert str(caught.value) == (
        "the gate for data stops the run: 3 days; load them, "
        "or raise policy.data.missing_days.stop."
    )
    DataVerdict.of([reason("warn")]).refuse()


def test_no_verdict_is_no_pass(tmp_path):
    with pytest.raises(DataError, match="missing"):
        DataVerdict.read(tmp_path / "verdict")
    (tmp_path / "verdict").write_text(json.dumps({"decision": "fine", "reasons": []}))
    with pytest.raises(DataError, match="decision"):
        DataVerdict.read(tmp_path / "verdict")


def test_a_warning_cannot_be_above_a_stop():
    with pytest.raises(ValueError, match="above stop"):
        Bound(warn=0.5, stop=0.1)
    assert DataPolicy.model_validate(DataPolicy().model_dump(mode="json")) == DataPolicy()


# Profiles and distances.


def numbers(**shares):
    return Distribution(kind="numbers", shares=shares)


def categories(**shares):
    return Distribution(kind="categories", shares=shares)


def test_categories_are_compared_by_the_largest_difference():
    first, second = categories(SE=0.5, NO=0.5), categories(SE=0.8, NO=0.15, US=0.05)
    assert distance(first, second) == (pytest.approx(0.35), "NO")
    assert distance(categories(SE=1.0), categories(se=1.0))[0] == 1
    assert distance(categories(SE=1.0), categories(SE=1.0))[0] == 0


def test_numbers_are_compared_by_jensen_shannon():
    # scipy.spatial.distance.jensenshannon(p, q, base=2) of the same two distributions.
    from scipy.spatial.distance import jensenshannon

    first, second = [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]
    names = ("a", "b", "c")
    value, worst = distance(
        numbers(**dict(zip(names, first, strict=True))),
        numbers(**dict(zip(names, second, strict=True))),
    )
    assert value == pytest.approx(jensenshannon(first, second, base=2))
    assert worst == "c"
    apart = distances("numbers", np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0.0, 1.0]))
    assert apart == pytest.approx([1, jensenshannon([0.5, 0.5], [0, 1], base=2)])


def weeks(events, users=None, end=END):
    frame = pd.DataFrame(events, columns=["user_id", "item_id", "timestamp"]).assign(weight=1.0)
    items = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "b"], "tags": [["x"], []]})
    people = users if users is not None else pd.DataFrame({"user_id": ["u", "v"]})
    sql = DuckDb(EngineSettings(), Path(mkdtemp()))
    for name, rows in (("played", frame), ("item_table", items), ("user_table", people)):
        table = pa.Table.from_pandas(rows, preserve_index=False)
        sql.load(name, table.to_batches(), table.schema)
    code_plays(sql, "select * from played")
    return Weeks(sql, end)


def daily(days, user="u", item="a"):
    return [(user, item, END - n * DAY - pd.Timedelta(hours=1)) for n in range(days)]


def test_a_profile_counts_whole_weeks_from_the_end():
    profile = weeks(daily(30)).profile(())
    assert profile.weeks == 4
    assert profile.distributions["hour of the day"].shares["23:00"] == 1
    assert profile.distributions["plays of a listener in a week"].shares["4 to 7"] == 1
    assert profile.distributions["title"].shares == {"given": 1.0, "": 0.0}
    assert profile.distributions["tag"].shares == {"x": 1.0, "": 0.0}
    assert DataProfile.model_validate_json(profile.model_dump_json()) == profile


def test_an_input_is_counted_once_a_listener_and_week():
    users = pd.DataFrame({"user_id": ["u", "v"], "country": ["SE", ""]})
    counts = weeks(daily(14) + daily(1, "v"), users).counts(["country", "absent"])
    country = counts["country"]
    assert dict(zip(country.names, country.counts[-1], strict=True)) == {
        "SE": 1,
        "not known": 1,
        "": 0,
    }
    assert "absent" not in counts


def test_past_weeks_are_held_against_those_before_them():
    hours = [1] * 6 + [13] * 4
    events = [
        ("u", "a", END - week * 7 * DAY - pd.Timedelta(days=1) + pd.Timedelta(hours=hour))
        for week, hour in enumerate(reversed(hours))
    ]
    distances = past_distances(weeks(events).counts(())["hour of the day"])
    # Nine whole weeks: the first four and the newest are left out; the sixth is the first of 13:00.
    assert distances[0] == 0
    assert distances[1] == pytest.approx(1)
    assert len(distances) == 4


def test_a_sketch_is_the_same_for_the_same_ids():
    events = [(f"user {number}", "a", END - DAY) for number in range(2_000)]
    table = weeks(events)
    sketch = table.profile(()).listeners
    digests = sorted(hashlib.sha256(user.encode()).hexdigest()[:16] for user, _, _ in events)
    assert sketch == digests[:500]
    assert table.sketched("user_id", sketch) == 500
    half = weeks(events[:1_000])
    assert half.sketched("user_id", sketch) == len(set(sketch) & set(half.profile(()).listeners))
    assert 200 < half.sketched("user_id", sketch) < 300


def test_the_clean_tables_pass():
    assert verdict_of(lambda tables: tables).decision == "pass"
    assert len(clean_tables().events) > 100_000


def test_a_reason_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="bad timestmp"):
        DataPolicy.model_validate({"rejected_for": {"bad timestmp": {"stop": 0.01}}})


def test_a_bound_for_bots_finds_the_rule_that_is_named_with_its_number():
    policy = DataPolicy.model_validate({"rejected_for": {"bot": {"stop": 0.01}}})
    change, _ = FAULTS["a bot with 20,000 plays"]
    assert named(verdict_of(change, policy=policy), "rejected for bot") == "stop"


def test_a_stop_alone_warns_at_the_same_share():
    assert Bound.model_validate({"stop": 0.1}) == Bound(warn=0.1, stop=0.1)
    assert Bound.model_validate({"warn": 0.1}) == Bound(warn=0.1, stop=1)


def test_what_was_played_before_the_first_whole_week_is_not_new():
    """All plays of training a month before all plays of the test, as in tables without times."""
    old = [(f"u{n}", f"i{n % 40}", END - 31 * DAY) for n in range(200)]
    new = [(f"u{n}", f"i{n % 40}", END - DAY / 24) for n in range(200)]
    table = weeks(old + new)
    assert table.number == 4
    assert table.sizes().tolist() == [0, 0, 0, 200]
    window = Window(END - 90 * DAY, END - 6 * DAY, END)
    case = DataCase(table, None, None, window, None, (), None, DataPolicy(), END)
    assert [r for r in newest_week(case) if r.outcome != "pass"] == []
    # With two earlier weeks that have events, the rules apply, and the known ids are not new.
    more = [(f"u{n}", f"i{n % 40}", END - days * DAY) for n in range(200) for days in (10, 17)]
    case = DataCase(weeks(old + more + new), None, None, window, None, (), None, DataPolicy(), END)
    assert {r.rule: r.value for r in newest_week(case)} == dict.fromkeys(
        ("lost volume", "gained volume", "new items", "new listeners"), 0
    )


def judged_days(window, now, live=None):
    """The reason on missing days of 30 days with 40 events each."""
    events = [(f"u{n}", "a", END - day * DAY - DAY / 24) for day in range(30) for n in range(40)]
    counts = [
        DayCount(day=(END - (day + 1) * DAY).date().isoformat(), events=40, duplicates=0)
        for day in range(30)
    ]
    report = SimpleNamespace(days=counts)
    case = DataCase(weeks(events), None, None, window, report, (), live, DataPolicy(), now)
    return {reason.rule: reason for reason in days(case)}["missing days"]


def missing(window, now):
    return judged_days(window, now).value


def test_days_before_the_first_event_are_missing_only_where_the_live_model_had_them():
    """Which is said: `data check` knows no live model, so it counts fewer days."""
    window = Window(END - 90 * DAY, END - 10 * DAY, END)
    alone = judged_days(window, END)
    assert (alone.value, "before the first event" in alone.sentence) == (0, False)
    live = SimpleNamespace(end=(END - 10 * DAY).isoformat(), weeks=8)
    beside = judged_days(window, END, live)
    assert beside.sentence.startswith("36 of 66 days ")
    assert (
        "; 36 of them lie before the first event, on days that the live model was trained on"
        in beside.sentence
    )
    assert beside.remedy == (
        "load the days that are missing, where they are not simply quiet: 2026-02-24 is held "
        "against 40 events, the median of the days of its weekday that have any, or use another "
        "`name` where the live model is of other tables, or raise policy.data.missing_days.warn"
    )


def test_days_after_the_last_event_are_missing_only_where_the_window_has_an_end():
    start, cutoff = END - 40 * DAY, END - 10 * DAY
    later = END + 10 * DAY
    assert missing(Window(start, cutoff, END), later) == 0
    assert missing(Window(start, cutoff, later), later) == pytest.approx(10 / 40)
    assert missing(Window(start, cutoff, later), END + 5 * DAY) == pytest.approx(5 / 35, abs=1e-6)
    assert missing(Window(start, cutoff, UNBOUNDED_END), later) == 0
