"""What each step gets on a cluster: resources, retries, time, nodes, secrets."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

STEP_NAMES = (
    *("plan", "news", "curate", "transform", "resolve-live", "fit-heuristics", "train", "choose"),
    *("evaluate", "gate", "report", "transform-whole", "refit", "push", "announce"),
    "announce-failure",
)
DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
"""An image by what is in it; a tag can mean something else tomorrow."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SCALES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
SCALES |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}

Cpu = Annotated[str, Field(pattern=r"^(\d+(\.\d+)?|\d+m)$", examples=["500m", "2"])]
Memory = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$", examples=["4Gi"])]
Duration = Annotated[str, Field(pattern=r"^[1-9]\d*[smhd]$", examples=["90m"])]


class Toleration(BaseModel):
    """As in a pod's specification."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = None
    operator: Literal["Equal", "Exists"] | None = None
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None
    toleration_seconds: int | None = Field(None, ge=0)


class Accelerator(BaseModel):
    """Devices of one kind, e.g. nvidia.com/gpu."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(min_length=1)
    count: int = Field(1, ge=1)


class StepPlatform(BaseModel):
    """What one step gets; what is left out is as `Platform.of` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_request: Cpu | None = None
    cpu_limit: Cpu | None = None
    memory_request: Memory | None = None
    memory_limit: Memory | None = None
    retries: int | None = Field(None, ge=0, le=10)
    """How often a step that failed is started again, with growing pauses."""
    timeout: Duration | None = None
    accelerator: Accelerator | None = None
    node_selector: dict[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None

    def over(self, other: "StepPlatform") -> "StepPlatform":
        """These settings, completed by those of another."""
        settings = self.model_dump(exclude_none=True)
        return StepPlatform.model_validate(other.model_dump(exclude_none=True) | settings)


USUAL = StepPlatform(
    cpu_request="500m", memory_request="1Gi", memory_limit="4Gi", retries=2, timeout="1h"
)
LARGE = StepPlatform(memory_request="2Gi", memory_limit="8Gi", timeout="6h")
SMALL = StepPlatform(cpu_request="100m", memory_request="256Mi", memory_limit="1Gi", timeout="10m")
OURS = {
    # The backend starts again whatever failed. In these steps that is settings or data, which no
    # repetition mends; faults of the network are repeated inside of a step.
    "plan": StepPlatform(retries=0),
    "curate": LARGE.over(StepPlatform(retries=0)),
    "gate": StepPlatform(retries=0),
    "train": LARGE,
    "refit": LARGE,
    "evaluate": LARGE,
    "announce": SMALL,
    "announce-failure": SMALL,
}
"""What the steps need that is not usual."""


class Platform(BaseModel):
    """The `platform` section of the settings: it shapes the compiled pipeline, not a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service_account: str = Field("", description="that the steps run as; empty for the cluster's")
    ttl: Duration | None = Field("7d", description="until the pods of an ended run are removed")
    deadline: Duration | None = Field(None, description="for a whole run")
    image_pull_secrets: tuple[str, ...] = ()
    secrets: dict[str, dict[str, str]] = Field(
        {}, description="Secret: its keys, and the variables they become in every step"
    )
    config_maps: dict[str, dict[str, str]] = Field({}, description="the same of ConfigMaps")
    defaults: StepPlatform = Field(
        StepPlatform(),
        description="for steps without needs of their own",
    )
    steps: dict[str, StepPlatform] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        for step in self.steps.keys() - set(STEP_NAMES):
            raise ValueError(f"there is no step {step!r}; the steps are {', '.join(STEP_NAMES)}")
        for step in STEP_NAMES:
            self.of(step)
        return self

    def of(self, step: str) -> StepPlatform:
        """What a step gets: its own settings, else what we know it needs, else the defaults.

        So the defaults take nothing away from a step that needs more, or no retries, than others;
        what they leave out is USUAL.
        """
        needs, known = self.steps.get(step, StepPlatform()), OURS.get(step, StepPlatform())
        needs = needs.over(known).over(self.defaults).over(USUAL)
        for kind in ("cpu", "memory"):
            request, limit = getattr(needs, f"{kind}_request"), getattr(needs, f"{kind}_limit")
            if request and limit and quantity(request) > quantity(limit):
                raise ValueError(
                    f"{step} asks for {request} of {kind} and is limited to {limit}; raise the "
                    f"limit, {kind}_limit, or lower the request"
                )
        return needs


def seconds(duration: str) -> int:
    """The seconds in a duration: "90m" is 5,400."""
    return int(duration[:-1]) * UNITS[duration[-1]]


def quantity(text: str) -> float:
    """The number that a quantity of Kubernetes stands for: "500m" is .5, "1Ki" is 1,024."""
    digits = text.rstrip("KMGTikm")
    return float(digits) * SCALES[text[len(digits) :]]
