"""The cost of a run on paper: what it adds up, what it bounds, and which limit it names first."""

import itertools
import math
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from setlist.evaluation.audience import MAX_LISTENERS
from setlist_pipelines.settings import cost_table, costs
from setlist_pipelines.settings.cost_table import (
    COSTS,
    MOST_EVALUATED,
    MOST_PLAYS,
    Line,
    Size,
    StepCost,
)
from setlist_pipelines.settings.costs import (
    EVERY_RUN,
    MARGIN,
    MOST_CODES,
    PODS,
    Machine,
    machine_limits,
    need,
    pod_need,
    setting_limits,
    settings_for,
)
from setlist_pipelines.settings.platform import (
    STEP_NAMES,
    Platform,
    StepPlatform,
    memory_quantity,
    parse_quantity,
    parse_seconds,
)

FIELDS = ("cpu", "memory", "disk")
SIZES = st.tuples(*[st.integers(1, 10**9)] * 2, st.integers(1, 10**11))


@pytest.fixture
def one_step(monkeypatch):
    """A pipeline of a single step with given lines."""

    def made(reads="_all", spills=False, **lines):
        figures = {field: lines.get(field, Line()) for field in FIELDS}
        step = StepCost("it", getattr(cost_table, reads), **figures, spills=spills)
        monkeypatch.setattr(costs, "COSTS", {"curate": step})
        monkeypatch.setattr(costs, "PODS", {"curate": ("curate",)})

    return made


# The table


def test_every_figure_of_the_table_is_0_or_more_and_every_step_costs_something():
    for step, cost in COSTS.items():
        for field in FIELDS:
            assert all(value >= 0 for value in getattr(cost, field)), (step, field)
        assert cost.cpu.base + cost.memory.base > 0, step


def test_pods_are_steps_of_the_pipeline_and_made_of_measured_parts():
    assert set(PODS) <= set(STEP_NAMES)
    assert set(itertools.chain(*PODS.values())) <= set(COSTS)
    assert set(EVERY_RUN) < set(PODS)
    assert set(COSTS) - set(itertools.chain(*PODS.values())) == {"serve"}


def test_the_bound_of_evaluation_is_that_of_the_evaluation():
    assert MOST_EVALUATED == MAX_LISTENERS


def test_it_needs_neither_tensorflow_nor_pandas():
    told = "import sys, setlist_pipelines.settings.costs; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "pandas", "numpy", "kfp"} & set(done.stdout.split())


# Lines


def test_a_line_adds_up_by_hand():
    size = Size(listeners=3, items=5, plays=7, asked=2)
    line = Line(base=1, play=10, listener=100, item=1000, asked=10_000, pair=100_000)
    assert line.at(size) == 1 + 70 + 300 + 5_000 + 20_000 + 2 * 5 * 100_000
    assert line.mostly(size) == "pair"
    assert line._replace(pair=0).mostly(size) == "asked"
    assert Line(base=1, play=10).mostly(size) == "play"


@given(SIZES, st.sampled_from(list(COSTS)), st.integers(0, 2), st.integers(1, 10**7))
def test_no_figure_falls_when_listeners_items_or_plays_grow(numbers, step, place, more):
    larger = list(numbers)
    larger[place] += more
    if place == 0:  # of the same sample, each listener brings plays along
        larger[2] = math.ceil(numbers[2] * larger[0] / numbers[0])
    # Beyond the bound of training, more plays a listener are those of fewer listeners.
    assume(step not in ("train", "fit-heuristics") or larger[2] <= MOST_PLAYS)
    before, after = (need(step, Size.of_run(*one)) for one in (numbers, larger))
    exact = 1 - 1e-9
    assert after.cpu >= before.cpu * exact
    assert after.memory >= before.memory * exact
    # More memory, which more items ask for, holds more of the plays that were on the disk.
    assert after.memory + after.disk >= (before.memory + before.disk) * exact


def test_more_of_everything_costs_more_of_the_steps_that_read_everything():
    small, large = Size.of_run(10**6, 10**5, 10**8), Size.of_run(10**7, 10**6, 10**9)
    for step in ("curate", "transform", "evaluate"):
        assert need(step, large).cpu > 2 * need(step, small).cpu, step


# What is bounded


def test_training_stops_to_grow_with_plays_and_listeners_but_not_with_items():
    at_bound = need("train", Size.of_run(400_000, 10**5, MOST_PLAYS))
    assert need("train", Size.of_run(200_000, 10**5, MOST_PLAYS // 2)).cpu < at_bound.cpu
    assert need("train", Size.of_run(600_000_000, 10**5, 1_500 * MOST_PLAYS)) == at_bound
    more_items = need("train", Size.of_run(600_000_000, 10**7, 1_500 * MOST_PLAYS))
    assert more_items.memory > at_bound.memory
    assert more_items.cpu > at_bound.cpu


def test_training_reads_the_listeners_of_the_sample():
    read = COSTS["train"].reads(Size.of_run(10**6, 10, 4 * MOST_PLAYS))
    assert read == Size(250_000, 10, MOST_PLAYS)


def test_evaluation_asks_for_a_sample_and_still_holds_all_plays():
    known = COSTS["evaluate"]
    assert known.reads(Size.of_run(600_000_000, 10, 10**9))[2:] == (10**9, MOST_EVALUATED)
    assert known.reads(Size.of_run(1_000, 10, 10**9)).asked == 1_000


def test_a_server_knows_only_items():
    for step in ("inspect", "push", "serve"):
        assert need(step, Size.of_run(1, 10**6, 1)) == need(step, Size.of_run(10**9, 10**6, 10**11))


def test_plays_that_spill_are_on_the_disk_and_not_in_memory(one_step):
    one_step(memory=Line(base=100, play=1, item=10), disk=Line(play=1), spills=True)
    few = need("curate", Size.of_run(1, 2, 50))
    assert (few.memory, few.disk) == (170, 50)
    many = need("curate", Size.of_run(1, 2, 1_000))
    assert (many.memory, many.disk) == (2 * 120, 1_000 + 1_120 - 240)


def test_a_model_is_inspected_while_the_evaluation_holds_what_it_holds():
    size = Size.of_run(10**6, 10**5, 10**7)
    evaluate, inspect, train = (need(step, size) for step in ("evaluate", "inspect", "train"))
    assert pod_need("evaluate", size).memory == evaluate.memory + inspect.memory
    assert pod_need("evaluate", size).cpu == evaluate.cpu + inspect.cpu
    most = max(train.memory, evaluate.memory)
    assert pod_need("refit", size).memory == most + inspect.memory
    assert pod_need("refit", size).cpu == train.cpu + evaluate.cpu + inspect.cpu


# What to set


@pytest.mark.parametrize("factor", [1, 30, 1_000])
def test_what_is_to_be_set_is_a_platform_that_holds_the_run(factor):
    size = Size.of_run(10_000, 5_000, 1_000_000).times(factor)
    found = settings_for(size, Machine(memory=math.inf))
    steps = {step: StepPlatform.model_validate(own) for step, own in found.items()}
    platform = Platform(steps=steps)
    for pod in PODS:
        if pod == "compare-requests":
            continue
        given, needed = platform.for_step(pod), pod_need(pod, size)
        assert parse_quantity(given.memory_limit) >= MARGIN * needed.memory
        assert parse_seconds(given.timeout) >= MARGIN * needed.cpu
    assert setting_limits(size, platform)[0].factor > 1


def test_nothing_is_to_be_set_where_the_defaults_are_enough(one_step):
    one_step(cpu=Line(base=60), memory=Line(base=1e9))
    assert settings_for(Size.of_run(10, 10, 10), Machine()) == {}


def test_no_setting_helps_a_step_that_the_machine_is_too_small_for(one_step):
    one_step(memory=Line(play=1))
    size = Size.of_run(10, 10, 60 * 10**9)
    assert settings_for(size, Machine(memory=61e9)) == {"curate": {"memory_limit": "96Gi"}}
    assert settings_for(size, Machine(memory=59e9)) == {}


def test_time_is_to_be_set_as_if_there_were_one_core(one_step):
    one_step(cpu=Line(play=3_600))  # an hour a play; the default of the step is 6 hours
    assert settings_for(Size.of_run(1, 1, 4), Machine()) == {}
    assert settings_for(Size.of_run(1, 1, 5), Machine()) == {"curate": {"timeout": "8h"}}


def test_a_memory_limit_is_the_next_of_its_steps():
    found = [memory_quantity(need * 2.0**30) for need in (0, 1, 1.1, 2.1, 3, 3.1, 4.1, 7, 9, 13)]
    assert found == ["1Gi", "1Gi", "2Gi", "3Gi", "3Gi", "4Gi", "6Gi", "8Gi", "12Gi", "16Gi"]


# What is met first


def test_the_first_limit_is_the_one_that_is_met_first(one_step):
    one_step(cpu=Line(play=1), memory=Line(play=1))
    size = Size.of_run(10, 10, 1_000)
    first, second, _ = machine_limits(size, Machine(memory=2_000, seconds=500))
    assert first.what.endswith("hours of CPU in curate")
    assert first.factor == pytest.approx(0.5, rel=1e-2)
    assert second.what.endswith("GB of memory in curate")
    assert second.factor == pytest.approx(2, rel=1e-2)
    assert "train_days" in first.remedy
    other, *_ = machine_limits(size, Machine(memory=200, seconds=500))
    assert other.what.endswith("GB of memory in curate")


def test_codes_are_met_first_where_nothing_else_is_large(one_step):
    one_step(cpu=Line(base=1), memory=Line(base=1))
    (only,) = machine_limits(Size.of_run(2**30, 2**29, 2**31), Machine())
    assert "int32" in only.what
    assert only.factor == 2
    (only,) = machine_limits(Size.of_run(2, 2**33, 2), Machine())
    assert only.factor == MOST_CODES / 2**33


def test_the_remedy_is_for_what_the_figure_is_for(one_step):
    one_step(memory=Line(play=1, item=1_000))
    size = Size.of_run(10, 10, 1_000)
    assert "data.items" in machine_limits(size, Machine(memory=10**6))[0].remedy
    size = Size.of_run(10, 10, 10**6)
    assert "train_days" in machine_limits(size, Machine(memory=10**6))[0].remedy
    one_step(memory=Line(base=10**7))
    assert "larger machine" in machine_limits(size, Machine(memory=10**6))[0].remedy


@given(SIZES)
def test_a_limit_is_met_at_its_factor_and_not_before(numbers):
    size, machine = Size.of_run(*numbers), Machine()
    found = machine_limits(size, machine)
    assert [limit.factor for limit in found] == sorted(limit.factor for limit in found)
    for limit in found:
        if "int32" in limit.what:
            continue
        what, _, pod = limit.what.rpartition(" in ")
        field, bound = ("memory", machine.memory) if "GB" in what else ("cpu", machine.seconds)
        before, after = (
            getattr(pod_need(pod, size.times(limit.factor * much)), field) for much in (0.999, 1)
        )
        # Numbers of listeners, items and plays are whole, and at least 1.
        assert after >= bound * (1 - 1e-6)
        assert before <= bound or min(size.times(limit.factor)[:3]) < 1_000


def test_the_limits_of_the_settings_are_met_where_the_need_is(one_step):
    one_step(memory=Line(play=2**20))  # a MiB a play
    size = Size.of_run(10, 10, 1_024)
    (first,) = setting_limits(size, Platform())
    assert first.what == "memory_limit of curate, 8Gi"
    assert first.factor == pytest.approx(8, rel=1e-2)
    raised = Platform(steps={"curate": StepPlatform(memory_limit="16Gi")})
    assert setting_limits(size, raised)[0].factor == pytest.approx(16, rel=1e-2)
