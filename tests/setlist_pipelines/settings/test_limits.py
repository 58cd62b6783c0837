"""Memory limits that follow from the size of the events, and those that stay."""

import pytest
from tests.emulator import make_bucket

from setlist.store.objects import open_objects
from setlist_pipelines.settings import limits
from setlist_pipelines.settings.cost_table import MOST_PLAYS
from setlist_pipelines.settings.costs import MARGIN
from setlist_pipelines.settings.file import SAMPLE, read_settings
from setlist_pipelines.settings.limits import memory_need, with_memory_limits
from setlist_pipelines.settings.platform import STEP_NAMES, parse_quantity

GIGABYTE = 10**9


@pytest.fixture
def derived(monkeypatch):
    """The limits of all steps and the lines, for a listing of the events."""

    def derive(files, *changes, pipeline="retraining"):
        monkeypatch.setattr(limits, "listing", lambda source: files)
        lines = []
        settings = read_settings(SAMPLE, ["data.events.path=gs://data/events", *changes])
        limited = with_memory_limits(settings, pipeline, lines.append)
        before = {step: settings.platform.for_step(step) for step in STEP_NAMES}
        after = {step: limited.platform.for_step(step) for step in STEP_NAMES}
        assert limited.arguments() == settings.arguments()
        raised = {
            step: after[step].memory_limit for step in STEP_NAMES if after[step] != before[step]
        }
        return raised, lines

    return derive


def files(gigabytes: float, number: int = 100, suffix: str = "parquet"):
    size = int(gigabytes * GIGABYTE / number)
    return [(f"part-{place}.{suffix}", size, "1") for place in range(number)]


def test_limits_grow_with_the_events_and_one_line_says_from_what(derived):
    raised, lines = derived(files(2))
    assert {"train", "evaluate"} <= set(raised) <= {"fit-heuristics", "train", "evaluate"}
    (line,) = lines
    assert line == "events: 2.0 GB in 100 files -> memory limits " + ", ".join(
        f"{step} {limit}" for step, limit in raised.items()
    )
    larger, _ = derived(files(20))
    assert parse_quantity(larger["evaluate"]) > 4 * parse_quantity(raised["evaluate"])


def test_the_limit_of_training_stops_to_grow_where_training_reads_a_sample(derived):
    at_bound = MOST_PLAYS * limits.PARQUET_EVENT_BYTES / GIGABYTE
    at, beyond = (memory_need("train", MOST_PLAYS * factor) for factor in (1, 4))
    evaluated = [memory_need("evaluate", MOST_PLAYS * factor) for factor in (1, 4)]
    assert beyond / at < evaluated[1] / evaluated[0], "items still grow with the events"
    limit = derived(files(4 * at_bound))[0]["train"]
    assert parse_quantity(limit) >= MARGIN * beyond


def test_a_limit_holds_the_need_with_its_margin_and_not_twice_as_much(derived):
    for gigabytes in (1, 2, 3.3, 10, 50):
        raised, _ = derived(files(gigabytes))
        for step, limit in raised.items():
            events = gigabytes * GIGABYTE / limits.PARQUET_EVENT_BYTES
            need = MARGIN * memory_need(step, events)
            assert need <= parse_quantity(limit) <= 1.5 * need


def test_small_sources_leave_the_limits(derived):
    assert derived(files(0.01, 1)) == (
        {},
        ["events: 0.0 GB in 1 file -> memory limits as they are"],
    )


def test_packed_text_holds_more_events_than_text_and_text_fewer_than_parquet(derived):
    sizes = [
        parse_quantity(derived(files(20, suffix=suffix))[0]["evaluate"])
        for suffix in ("csv", "parquet", "csv.gz")
    ]
    assert sizes == sorted(set(sizes))


def test_limits_of_the_settings_stay(derived):
    changes = "platform={defaults: {memory_limit: 5Gi}, steps: {train: {memory_limit: 3Gi}}}"
    raised, (line,) = derived(files(12), changes)
    assert list(raised) == ["fit-heuristics", "evaluate"]
    assert "train" not in line


def test_only_steps_that_run_are_named(derived):
    assert "refit" in derived(files(12), "refit=true")[0]
    monitored = derived(files(12), "monitoring={log: gs://bucket/served}", pipeline="monitoring")
    assert list(monitored[0]) == ["compare-requests"]


def test_events_that_cannot_be_listed_from_here_leave_the_limits(gcs_emulator, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    settings = read_settings(SAMPLE, ["data.events.path=gs://of-somebody-else/events"])
    lines = []
    assert with_memory_limits(settings, "retraining", lines.append) is settings
    (line,) = lines
    assert line.startswith("memory limits as without a listing of the events: gs://of-somebody")


def test_a_folder_that_nobody_may_read_leaves_the_limits(monkeypatch):
    def listing(source):
        raise PermissionError(13, "Permission denied", "events")

    monkeypatch.setattr(limits, "listing", listing)
    settings = read_settings(SAMPLE, ["data.events.path=gs://data/events"])
    lines = []
    assert with_memory_limits(settings, "retraining", lines.append) is settings
    assert "Permission denied" in lines[0]


def test_a_bucket_is_listed(gcs_emulator, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    make_bucket(gcs_emulator, "events-by-day")
    bucket = open_objects("gs://events-by-day")
    for day in ("1", "2"):
        bucket.write(f"events/{day}.parquet", b"x" * 2000, expected=None)
    monkeypatch.setattr(limits, "PARQUET_EVENT_BYTES", 1e-4)
    settings = read_settings(SAMPLE, ["data.events.path=gs://events-by-day/events"])
    lines = []
    limited = with_memory_limits(settings, "retraining", lines.append)
    assert lines[0].startswith("events: 0.0 GB in 2 files -> memory limits ")
    assert parse_quantity(limited.platform.for_step("evaluate").memory_limit) > 8 * 2**30


def test_the_sample_says_nothing():
    settings, lines = read_settings(SAMPLE), []
    assert with_memory_limits(settings, "retraining", lines.append) is settings
    assert lines == []
