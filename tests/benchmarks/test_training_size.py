"""The harness of the sizes: what a process used, what ends it, and the fitted constants."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from setlist_pipelines.settings import cost_table
from setlist_pipelines.settings.cost_table import COSTS, Line, Size, StepCost


@pytest.fixture
def benchmark_module(monkeypatch):
    """A module of this folder, which is no package."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module


MEASURE = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
from measured import measure
command, folder, bounds = json.loads(sys.argv[1])
print(json.dumps(asdict(measure(command, os.environ, Path(folder), **bounds))))
"""


@pytest.fixture
def measured(tmp_path):
    """What a program used, said by a small process.

    Linux counts for a child what its parent held when it was started, and this one holds much.
    """

    def measured(program, **bounds):
        told = json.dumps([[sys.executable, "-c", program], str(tmp_path), bounds])
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, told],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            check=True,
            timeout=60,
        )
        return SimpleNamespace(**json.loads(done.stdout))

    return measured


# What a process used


def test_it_says_what_a_process_used_its_children_included(measured, tmp_path):
    spin = "import time\nwhile time.process_time() < .4: pass"
    cost = measured(
        f"import subprocess, sys; held = bytearray(200_000_000)\n"
        f"subprocess.run([sys.executable, '-c', {spin!r}])\n"
        f"open({str(tmp_path / 'written')!r}, 'wb').write(bytes(3_000_000)); print('done')"
    )
    assert cost.fault == ""
    assert cost.output == "done\n"
    assert 0.4 <= cost.cpu < 5
    assert cost.wall >= 0.4
    assert 0.2 <= cost.memory < 0.4
    assert cost.disk == pytest.approx(3e-3, rel=0.01)


def test_a_process_that_fails_is_a_sentence_and_not_an_exception(measured):
    cost = measured("raise ValueError('no such item')")
    assert cost.fault == "ended with 1: ValueError: no such item"


@pytest.mark.parametrize(
    ("program", "bounds", "fault"),
    [
        ("b = bytearray(300_000_000)\nwhile True: pass", {"most_gb": 0.2}, "ended at 0.2 GB of me"),
        ("while True: pass", {"most_cpu": 0.5}, "ended at 0 s of CPU"),
    ],
)
def test_a_process_is_ended_beyond_its_bounds(measured, program, bounds, fault):
    cost = measured(program, **bounds)
    assert cost.fault.startswith(fault)
    assert cost.wall < 30


# The planted log


def test_a_log_has_the_numbers_that_were_asked_for_and_what_was_planted(benchmark_module, tmp_path):
    planted = benchmark_module("planted")
    split_at = planted.write_log(tmp_path / "log", 2_000, 500, 10_000)
    events, items, users = (
        pd.read_parquet(tmp_path / "log" / f"{name}.parquet")
        for name in ("events", "items", "users")
    )
    assert (len(events), len(items), len(users)) == (10_000, 500, 2_000)
    assert not events.duplicated(["user_id", "item_id"]).any()
    assert events["timestamp"].is_monotonic_increasing
    late = events["timestamp"] >= pd.Timestamp(split_at, unit="s", tz="UTC")
    assert late.mean() == pytest.approx(0.1, abs=1e-3)
    played = events.merge(items, on="item_id")
    week = pd.Timedelta(days=7)  # what is fresh is drawn week by week
    assert (played["timestamp"] >= played["released"] - week).all()
    # Regions show in the tags: those of the listener's own are played most.
    regions = {str(number): f"tag {planted.TOPICS + number}" for number in range(planted.REGIONS)}
    home = played.merge(users, on="user_id")
    own = [
        regions[region] in tags for region, tags in zip(home["region"], home["tags"], strict=True)
    ]
    other = [
        regions[str((int(region) + 1) % planted.REGIONS)] in tags
        for region, tags in zip(home["region"], home["tags"], strict=True)
    ]
    assert np.mean(own) > 5 * np.mean(other)


def test_a_log_depends_on_its_seed_alone(benchmark_module, tmp_path):
    planted = benchmark_module("planted")
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        planted.write_log(tmp_path / name, 100, 50, 1_000, seed=seed)
    one, same, other = (
        (tmp_path / name / "events.parquet").read_bytes() for name in ("one", "same", "other")
    )
    assert one == same != other


# The constants


PLANTED = {
    "curate": (Line(1, play=2e-6), Line(3e8, listener=500.0), Line(play=60)),
    "train": (Line(10, play=1e-4, item=2e-3), Line(1e9, play=900, item=4_000), Line(item=4_000)),
    "evaluate": (Line(5, asked=1e-3, pair=1e-8), Line(7e8, play=250), Line(asked=500)),
    "serve": (Line(4, item=1e-5), Line(7e8, item=4_000), Line()),
}
SIZES = [
    (1_000, 10_000, 20_000),
    (2_000, 1_000, 30_000),
    (5_000, 1_000, 100_000),
    (5_000, 20_000, 100_000),
    (20_000, 2_000, 200_000),
    (20_000, 10_000, 400_000),
    (500_000, 100_000, 10_000_000),
]


@pytest.fixture
def rows(benchmark_module):
    """Rows of steps that cost exactly what was planted, a tenth of the plays held out."""
    steps = benchmark_module("training_size").STEPS
    found = []
    for listeners, items, plays in SIZES:
        size = Size(listeners - 7, items - 3, plays * 9 // 10)
        known = dict(zip(benchmark_module("training_size").COUNTED, size[:3], strict=True))
        asked = min(size.listeners, 4_000)
        for function, model, _ in steps:
            name = function.__name__
            row = {"step": f"{name} {model}".strip(), "fault": ""}
            row |= {"listeners": listeners, "items": items, "plays": plays}
            row |= {"cpu": 1.0, "wall": 1.0, "memory": 1.0, "disk": 0.0}
            if name in PLANTED:
                cpu, memory, disk = (
                    line.at(COSTS[name].reads(size._replace(asked=asked))) for line in PLANTED[name]
                )
                number = sum(other is function for other, _, _ in steps)
                row |= {"cpu": cpu / number, "memory": memory / 1e9, "disk": disk / 1e9 / number}
            row |= known if name == "transform" else {}
            row |= {"evaluated": asked} if name == "evaluate" else {}
            row |= {"p50_ms": 1 + 1e-4 * size.items} if name == "serve" else {}
            found.append(row)
    return found


def pasted(lines):
    """What the module holds once the lines were pasted into it."""
    names = dict(vars(cost_table))
    exec("\n".join(lines), names)
    return names


def test_the_constants_that_are_printed_can_be_pasted_and_are_those_that_were_planted(
    benchmark_module, rows
):
    names = pasted(benchmark_module("training_size").fit_constants(rows))
    assert list(names["COSTS"]) == list(COSTS)
    assert names["MEASURED_UP_TO"] == Size(499_993, 99_997, 9_000_000)
    assert names["REQUEST_SECONDS"] == pytest.approx(Line(1e-3, item=1e-7), rel=0.02)
    for step, found in names["COSTS"].items():
        assert isinstance(found, StepCost)
        known = COSTS[step]
        assert (found.measured_as, found.reads, found.spills, found.fewer_plays) == (
            (known.measured_as, known.reads, known.spills, known.fewer_plays)
        )
        if step not in PLANTED:
            continue
        lines = zip((found.cpu, found.memory, found.disk), PLANTED[step], strict=True)
        for line, planted in lines:
            for size in map(Size.of_run, *zip(*SIZES, strict=True)):
                read = known.reads(size)._replace(asked=min(size.asked, 4_000))
                assert line.at(read) == pytest.approx(planted.at(read), rel=0.02, abs=1e-3)


def test_a_size_at_which_a_step_failed_or_was_not_reached_is_no_measurement_of_it(
    benchmark_module, rows
):
    module = benchmark_module("training_size")
    whole = list(module.fit_constants(rows))
    for row in rows:
        if row["step"] == "train two_tower" and row["plays"] == 30_000:
            row |= {"fault": "ended at 16 GB of memory", "cpu": 1e9}
    unfinished = [row for row in rows if (row["step"], row["plays"]) != ("fit ials", 20_000)]
    names, before = pasted(module.fit_constants(unfinished)), pasted(whole)
    assert names["COSTS"]["train"].cpu == pytest.approx(before["COSTS"]["train"].cpu, rel=0.02)
    text = "\n".join(module.fit_constants(unfinished))
    assert text.count(f"of {len(SIZES) - 1} sizes") == 2


def test_a_step_that_cannot_run_is_a_row_and_the_steps_after_it_say_why(
    benchmark_module, monkeypatch, tmp_path
):
    module = benchmark_module("training_size")
    monkeypatch.setattr(module, "STEPS", [one for one in module.STEPS if one[1] in ("", "ials")])
    output = tmp_path / "rows.json"
    module.measure_sizes(["2x2x1"], 16, 60, output)
    found = {row["step"]: row["fault"] for row in pd.read_json(output).to_dict("records")}
    assert found.pop("write").startswith("ended with 1: ")
    assert set(found.values()) == {module.UNMEASURED}
