"""The `platform` section of the settings: what each step gets on a cluster.

That is resources, retries, time, nodes and secrets. `setlist_pipelines.placement` puts it on the
tasks of the compiled pipeline.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from setlist.section import MAX_NAMES, Section

RETRAINING_STEPS = (
    *(
        "plan",
        "news",
        "curate",
        "check-data",
        "transform",
        "resolve-live",
        "fit-heuristics",
        "train",
        "choose",
    ),
    *("evaluate", "gate", "report", "transform-whole", "refit", "push", "announce"),
    "announce-failure",
)
"""The steps of the graph, as Kubeflow names their components."""
MONITORING_STEPS = (
    *("plan-monitoring", "curate", "transform-whole", "compare-requests", "announce-skew"),
    "announce-failure",
)
STEP_NAMES = tuple(dict.fromkeys(RETRAINING_STEPS + MONITORING_STEPS))
IMAGE_BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
"""An image that is named by its content; a tag can name another image tomorrow."""
SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}
QUANTITY_SUFFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
QUANTITY_SUFFIXES |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
"""What the suffix of a Kubernetes quantity multiplies its number by."""

MOST_CPUS, MOST_BYTES, MOST_SECONDS = 10_000, 2**50, 3_650 * 86_400
"""What a step may ask for, and the longest duration: ten years. No cluster has more."""


def parse_seconds(duration: str) -> int:
    """The seconds in a duration: "90m" is 5,400."""
    return int(duration[:-1]) * SECONDS_PER_UNIT[duration[-1]]


def parse_quantity(text: str) -> float:
    """The number that a Kubernetes quantity stands for: "500m" is 0.5, "1Ki" is 1,024."""
    digits = text.rstrip("KMGTikm")
    return float(digits) * QUANTITY_SUFFIXES[text[len(digits) :]]


def _cpu(cpu: str) -> str:
    if parse_quantity(cpu) > MOST_CPUS:
        raise ValueError(f"{cpu} is more than {MOST_CPUS:,} CPUs; write it like 500m or 2")
    return cpu


def _memory(memory: str) -> str:
    if parse_quantity(memory) > MOST_BYTES:
        raise ValueError(f"{memory} is more than 1,024Ti; write it like 4Gi")
    return memory


def _duration(duration: str) -> str:
    if parse_seconds(duration) > MOST_SECONDS:
        raise ValueError(f"{duration} is more than ten years (3650d); write it like 90m")
    return duration


# Short enough for a number whose conversion takes no time; [0-9], as \d is any script's digits.
Cpu = Annotated[
    str,
    Field(pattern=r"^([0-9]+(\.[0-9]+)?|[0-9]+m)$", max_length=20, examples=["500m", "2"]),
    AfterValidator(_cpu),
]
Memory = Annotated[
    str,
    Field(pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$", max_length=20, examples=["4Gi"]),
    AfterValidator(_memory),
]
Duration = Annotated[
    str,
    Field(pattern=r"^[1-9][0-9]*[smhd]$", max_length=20, examples=["90m"]),
    AfterValidator(_duration),
]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""The name of an object of Kubernetes."""
Variables = Annotated[dict[str, str], Field(max_length=MAX_NAMES)]


class Toleration(Section):
    """A toleration as in the specification of a pod.

    Attributes:
        key, value: of the taint.
        operator: whether the value counts, or only that there is such a key.
        effect: of the taint; all of them if left out.
        toleration_seconds: how long a taint that evicts is tolerated.
    """

    key: str | None = None
    operator: Literal["Equal", "Exists"] | None = None
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None
    toleration_seconds: int | None = Field(None, ge=0, le=MOST_SECONDS)


class Accelerator(Section):
    """Devices of one kind.

    Attributes:
        type: the name of the resource, e.g. nvidia.com/gpu.
        count: how many a pod gets.
    """

    type: str = Field(min_length=1)
    count: int = Field(1, ge=1, le=1_000)


class StepPlatform(Section):
    """What one step gets; `Platform.for_step` completes it.

    Attributes:
        cpu_request, cpu_limit, memory_request, memory_limit: as in the specification of a pod.
        timeout: of the step.
        node_selector: the labels of the nodes that it may run on.
    """

    cpu_request: Cpu | None = None
    cpu_limit: Cpu | None = None
    memory_request: Memory | None = None
    memory_limit: Memory | None = None
    retries: int | None = Field(None, ge=0, le=10)
    """How often a step whose pod is lost is started again, with growing pauses.

    A stock controller of 2.17 does not repeat a step that fails by itself: see `setlist doctor`.
    """
    timeout: Duration | None = None
    accelerator: Accelerator | None = None
    node_selector: Variables | None = None
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=MAX_NAMES)] | None = None

    def completed_by(self, defaults: "StepPlatform") -> "StepPlatform":
        """These values, and those of `defaults` where these have none."""
        values = self.model_dump(exclude_none=True)
        return StepPlatform.model_validate(defaults.model_dump(exclude_none=True) | values)


# A memory limit is always set: without one, a step that grows takes its neighbours down with it.
USUAL_NEEDS = StepPlatform(
    cpu_request="500m", memory_request="1Gi", memory_limit="4Gi", retries=2, timeout="1h"
)
LARGE_NEEDS = StepPlatform(memory_request="2Gi", memory_limit="8Gi", timeout="6h")
SMALL_NEEDS = StepPlatform(
    cpu_request="100m", memory_request="256Mi", memory_limit="1Gi", timeout="10m"
)
STEP_NEEDS = {
    # Where the backend starts a failed step again, it does so whatever the reason. These steps fail
    # because of settings or data, which no repetition repairs; faults of a bucket are repeated in
    # the step itself.
    "plan": StepPlatform(retries=0),
    "plan-monitoring": StepPlatform(retries=0),
    "curate": LARGE_NEEDS.completed_by(StepPlatform(retries=0)),
    "gate": StepPlatform(retries=0),
    # Learners, training and evaluation take the most memory, and hours where the data are large.
    "fit-heuristics": LARGE_NEEDS,
    "train": LARGE_NEEDS,
    "refit": LARGE_NEEDS,
    "evaluate": LARGE_NEEDS,
    # These only write a record and send a message.
    "announce": SMALL_NEEDS,
    "announce-failure": SMALL_NEEDS,
    # It fails where a bound is exceeded, which no repetition mends.
    "announce-skew": SMALL_NEEDS.completed_by(StepPlatform(retries=0)),
}
"""The needs of single steps, where they differ from the usual ones."""


class Platform(Section):
    """The `platform` section of the settings: it shapes the compiled pipeline, not a run."""

    service_account: Literal[""] | ObjectName = Field(
        "", description="the account that the steps run as; empty for the cluster's default"
    )
    ttl: Duration | None = Field(
        "7d", description="time until the pods of an ended run are removed"
    )
    deadline: Duration | None = Field(None, description="the longest time of a whole run")
    image_pull_secrets: tuple[ObjectName, ...] = Field((), max_length=MAX_NAMES)
    """Secrets with the logins of registries."""
    secrets: dict[ObjectName, Variables] = Field(
        {},
        max_length=MAX_NAMES,
        description="by Secret: its keys, each with the variable that it becomes in every step",
    )
    config_maps: dict[ObjectName, Variables] = Field(
        {}, max_length=MAX_NAMES, description="the same for ConfigMaps"
    )
    signing_secret: ObjectName | Literal[""] = Field(
        "",
        description="the Secret with the key that signs, key.pem, and its password, if it has one: "
        "only the step that writes the store gets it",
    )
    defaults: StepPlatform = Field(
        StepPlatform(), description="for all steps, where STEP_NEEDS has no value for a step"
    )
    steps: dict[str, StepPlatform] = Field({}, max_length=MAX_NAMES)
    """By the name of a step: what it gets, before all defaults."""

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        for step in self.steps.keys() - set(STEP_NAMES):
            raise ValueError(f"there is no step {step!r}; the steps are {', '.join(STEP_NAMES)}")
        # A request above its limit shows only once all values of a step are put together.
        for step in STEP_NAMES:
            self.for_step(step)
        return self

    def for_step(self, step: str) -> StepPlatform:
        """What a step gets: from `steps`, else STEP_NEEDS, else `defaults`, else USUAL_NEEDS.

        STEP_NEEDS comes before `defaults`, so that defaults which suit most steps neither shrink a
        step that needs more nor repeat one that must not be repeated.

        Raises:
            ValueError: the step requests more than its limit allows.
        """
        known_needs = STEP_NEEDS.get(step, StepPlatform())
        needs = self.steps.get(step, StepPlatform()).completed_by(known_needs)
        needs = needs.completed_by(self.defaults).completed_by(USUAL_NEEDS)
        for kind in ("cpu", "memory"):
            request, limit = getattr(needs, f"{kind}_request"), getattr(needs, f"{kind}_limit")
            if request and limit and parse_quantity(request) > parse_quantity(limit):
                raise ValueError(
                    f"{step} asks for {request} of {kind} and is limited to {limit}; raise the "
                    f"limit, {kind}_limit, or lower the request"
                )
        return needs


def memory_quantity(need: float) -> str:
    """The smallest limit that is enough for so many bytes, 1 or 1.5 times a power of two of Gi."""
    gibibytes = 1
    while gibibytes * 2**30 < need:
        if gibibytes * 1.5 * 2**30 >= need and gibibytes > 1:
            return f"{gibibytes * 3 // 2}Gi"
        gibibytes *= 2
    return f"{gibibytes}Gi"
