"""What a run needs, by the numbers of listeners, items and plays: on paper.

Memory limits (`setlist_pipelines.settings.limits`) and `setlist plan` draw on it, and it on one
table of what was measured (`setlist_pipelines.settings.cost_table`).
"""

import math
from typing import NamedTuple

from setlist_pipelines.settings.cost_table import COSTS, Size
from setlist_pipelines.settings.platform import (
    RETRAINING_STEPS,
    Platform,
    memory_quantity,
    parse_quantity,
    parse_seconds,
)

MOST_CODES = 2**31
"""Listeners and items have codes of int32."""
MARGIN = 1.5
"""On a need: other data have inputs of their own, and other machines other seconds."""


class Need(NamedTuple):
    """What a step needs at a size."""

    cpu: float
    """Seconds."""
    memory: float
    """Bytes; of a step that spills, the fewest with which it runs."""
    disk: float
    """Bytes, those that it spills included."""


def need(step: str, size: Size) -> Need:
    """What a step of `COSTS` needs in a run."""
    cost = COSTS[step]
    read = cost.reads(size)
    memory = whole = cost.memory.at(read)
    if cost.spills:
        # The engine takes half of the memory and spills; the ids beside it do not.
        memory = min(whole, 2 * cost.memory.at(read._replace(plays=0)))
    return Need(cost.cpu.at(read), memory, cost.disk.at(read) + whole - memory)


PODS: dict[str, tuple[str, ...]] = {
    "curate": ("curate",),
    "transform": ("transform",),
    "transform-whole": ("transform",),
    "fit-heuristics": ("fit-heuristics",),
    "train": ("train",),
    "evaluate": ("evaluate", "inspect"),
    "refit": ("train", "evaluate", "inspect"),
    "push": ("push",),
    "compare-requests": ("read",),
}
"""The steps of the pipeline that were measured, and the parts of `COSTS` that run in each."""

EVERY_RUN = ("curate", "transform", "fit-heuristics", "train", "evaluate", "push")
"""Those of every run; `refit` is asked for, and monitoring is a pipeline of its own."""


def pod_need(pod: str, size: Size) -> Need:
    """What a step of the pipeline needs: the parts run one after the other.

    The model is inspected in a process of its own, while the evaluation holds what it holds.
    """
    parts = {part: need(part, size) for part in PODS[pod]}
    beside = parts["inspect"].memory if "inspect" in parts else 0
    held = max(own.memory for part, own in parts.items() if part != "inspect")
    return Need(
        sum(own.cpu for own in parts.values()),
        held + beside,
        sum(own.disk for own in parts.values()),
    )


class Machine(NamedTuple):
    """What each step may use."""

    memory: float = 64e9
    """Bytes."""
    seconds: float = 24 * 3600.0
    """Of CPU."""


# What to set.


def settings_for(size: Size, machine: Machine) -> dict[str, dict[str, str]]:
    """What to set in `platform.steps` for each step of a run: where the default is too little.

    A step may take as long as if it had one core. A step that the machine is too small for is left
    out, because no setting helps it.
    """
    platform, found = Platform(), {}
    for pod in PODS:
        needed, given, own = pod_need(pod, size), platform.for_step(pod), {}
        if pod not in RETRAINING_STEPS or needed.memory > machine.memory:
            continue
        limit = memory_quantity(MARGIN * needed.memory)
        if given.memory_limit and parse_quantity(limit) > parse_quantity(given.memory_limit):
            own["memory_limit"] = limit
        hours = math.ceil(MARGIN * needed.cpu / 3600)
        if given.timeout and hours * 3600 > parse_seconds(given.timeout):
            own["timeout"] = f"{hours}h"
        if own:
            found[pod] = own
    return found


# What is met first.


class Limit(NamedTuple):
    """Something that a growing run meets."""

    factor: float
    """At how many times the size; infinite for never."""
    what: str
    remedy: str


LARGER_MACHINE, FEWER_ITEMS = "take a larger machine", "keep fewer items in data.items"


def _remedy(step: str, field: str, size: Size) -> str:
    """What helps against a figure: it goes by what the most of it is for."""
    cost = COSTS[step]
    mostly = getattr(cost, field).mostly(cost.reads(size))
    if mostly in ("play", "listener"):
        return cost.fewer_plays
    return FEWER_ITEMS if mostly in ("item", "pair") else LARGER_MACHINE


def machine_limits(size: Size, machine: Machine) -> list[Limit]:
    """What a run meets that grows in proportion, first come first: the machine, and the codes."""
    codes = MOST_CODES / max(size.listeners, size.items)
    found = [Limit(codes, "codes of int32 for listeners and items", "keep fewer in the tables")]
    for pod, parts in PODS.items():
        if pod not in EVERY_RUN:
            continue
        for field, bound, told in (
            ("memory", machine.memory, f"{machine.memory / 1e9:,g} GB of memory"),
            ("cpu", machine.seconds, f"{machine.seconds / 3600:,g} hours of CPU"),
        ):
            factor = _met(pod, field, bound, size)
            if factor < math.inf:
                then = size.times(factor)
                most = max(parts, key=lambda part: getattr(need(part, then), field))
                found.append(Limit(factor, f"{told} in {pod}", _remedy(most, field, then)))
    return sorted(found)


def setting_limits(size: Size, platform: Platform) -> list[Limit]:
    """The same of the memory limits of the steps, as the settings have them."""
    return sorted(
        Limit(
            _met(pod, "memory", parse_quantity(limit), size),
            f"memory_limit of {pod}, {limit}",
            f"raise platform.steps.{pod}.memory_limit",
        )
        for pod in PODS
        if pod in EVERY_RUN and (limit := platform.for_step(pod).memory_limit)
    )


def _met(pod: str, field: str, bound: float, size: Size) -> float:
    """The factor of the size from which a step needs more; infinite where it never does.

    No need falls when listeners, items and plays all grow.
    """

    def exceeded(power: float) -> bool:
        return bool(getattr(pod_need(pod, size.times(2**power)), field) > bound)

    low, high = -50.0, 50.0
    if not exceeded(high):
        return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if exceeded(middle) else (middle, high)
    return float(2**high)
