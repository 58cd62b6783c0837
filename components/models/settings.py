"""What the settings file says of the models; reading it needs no TensorFlow."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Heuristic = Literal[
    "most_popular", "recently_popular", "popular_by_segment", "relisten", "co_visited"
]


class HeuristicSettings(BaseModel):
    """The `heuristics` section of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fit: tuple[Heuristic, ...] = ()
    """Which ones; empty for all that the data allow."""
    recent_days: float = Field(default=7, gt=0)
    segment: str = ""
    """The users' column of `popular_by_segment`; "" for the first of `inputs`."""
    neighbours: int = Field(default=100, ge=1)


class ModelSettings(BaseModel):
    """The `model` section of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: int = Field(default=64, ge=1)
    epochs: int = Field(default=10, ge=1)
    batch: int = Field(default=256, ge=1)
    """Listeners a batch; each brings up to `targets` plays to predict."""
    targets: int = Field(default=20, ge=1)
    history_length: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=0.003, gt=0)
    full_softmax_items: int = Field(default=50_000, ge=0)
    """Up to this catalogue the loss runs over all items, beyond it over those of the batch."""
    recency_days: float = Field(default=30, ge=0)
    """Half-life of the recency prior; 0 for none."""
    seed: int = Field(default=1, ge=0, lt=2**32)
