"""Memory limits of the steps, derived from the size of the source of the events.

Curation and transformation write to the disk what does not fit into half of their limit. The steps
below hold plays in memory, so what they need grows with the events.
"""

from collections.abc import Callable

from setlist.data.formats import PACKED, format_of
from setlist.data.source import listing
from setlist.errors import SetlistError
from setlist_pipelines.settings.cost_table import Size
from setlist_pipelines.settings.costs import MARGIN, pod_need
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings
from setlist_pipelines.settings.platform import (
    MONITORING_STEPS,
    RETRAINING_STEPS,
    STEP_NEEDS,
    StepPlatform,
    memory_quantity,
    parse_quantity,
)

ShowLine = Callable[[str], None]
STEPS_OF = {"retraining": RETRAINING_STEPS, "monitoring": MONITORING_STEPS}


LIMITED = ("fit-heuristics", "train", "evaluate", "refit", "compare-requests")
"""The steps that hold plays in memory."""
EVENTS_PER_LISTENER, EVENTS_PER_ITEM = 40, 200
"""Where only the events are known."""
PARQUET_EVENT_BYTES, TEXT_EVENT_BYTES = 11, 20
"""The fewest bytes of an event in a file, so that the events are rather over-estimated: 11.5 and
13.4 in the Parquet files of the measurement, 21 in MovieLens-1M."""
PACKING = 4
"""How much smaller .gz and .zst make a text."""


def ignore_line(line: str) -> None:
    """For callers that show nothing."""


def with_memory_limits(settings: Settings, pipeline: PipelineName, show: ShowLine) -> Settings:
    """The settings with the memory limits that the size of the events asks for.

    A limit is only ever raised, so a run never gets less than without a listing; limits that the
    settings give stay. Events outside the window count, too. Limits are 1 or 1.5 times a power of
    two of Gi, so that a source that grows day by day seldom changes the pipeline.

    Args:
        settings: of a run on a cluster.
        pipeline: which one runs.
        show: gets one line: what was derived from what, or why nothing was.
    """
    source = settings.data.events
    if source.paths[0].startswith("sample://"):
        return settings
    try:
        files = listing(source)
    except (SetlistError, OSError) as fault:
        show(f"memory limits as without a listing of the events: {fault}")
        return settings
    events = events_in(files)
    limits = {
        step: derived
        for step in LIMITED
        if step in STEPS_OF[pipeline]
        and (settings.refit or step != "refit")
        and (derived := memory_quantity(MARGIN * memory_need(step, events)))
        and _is_raised(settings, step, derived)
    }
    total = sum(size for _, size, _ in files)
    derived_words = ", ".join(f"{step} {limit}" for step, limit in limits.items())
    show(
        f"events: {total / 1e9:.1f} GB in {len(files):,} file{'' if len(files) == 1 else 's'} "
        f"-> memory limits {derived_words or 'as they are'}"
    )
    steps = settings.platform.steps | {
        step: settings.platform.steps.get(step, StepPlatform()).model_copy(
            update={"memory_limit": limit}
        )
        for step, limit in limits.items()
    }
    platform = settings.platform.model_copy(update={"steps": steps})
    return settings.model_copy(update={"platform": platform})


def events_in(files: list[tuple[str, int, str]]) -> float:
    """How many events the files of a listing hold at most."""
    return sum(size / _event_bytes(name) for name, size, _ in files)


def memory_need(step: str, events: float) -> float:
    """Bytes that a step of `LIMITED` needs for so many events."""
    return pod_need(step, size_of(events)).memory


def size_of(events: float) -> Size:
    """A run of which only the number of events is known."""
    listeners, items = events / EVENTS_PER_LISTENER, events / EVENTS_PER_ITEM
    return Size.of_run(int(listeners), int(items), int(events))


def _event_bytes(name: str) -> float:
    """The fewest bytes that an event takes in a file of this name."""
    if format_of(name) == "Parquet":
        return PARQUET_EVENT_BYTES
    return TEXT_EVENT_BYTES / (PACKING if name.lower().endswith(PACKED) else 1)


def _is_raised(settings: Settings, step: str, derived: str) -> bool:
    """Whether a limit is above the default, and the settings give none for the step."""
    platform = settings.platform
    given = platform.steps.get(step, StepPlatform()).memory_limit
    if STEP_NEEDS.get(step, StepPlatform()).memory_limit is None:
        given = given or platform.defaults.memory_limit
    default = platform.for_step(step).memory_limit or "0"
    return given is None and parse_quantity(derived) > parse_quantity(default)
