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

    dimension: int | None = Field(default=None, ge=1)
    """Of the vectors; left out, it grows with the items and the plays (16 to 128)."""
    epochs: int = Field(default=60, ge=1)
    """At most; training stops when the plays that are held out get no likelier."""
    patience: int = Field(default=1, ge=1)
    """After how many epochs in which they got no likelier it stops."""
    batch: int | None = Field(default=None, ge=1)
    """Listeners a batch; left out, it grows with their number (16 to 256)."""
    history_length: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=0.002, gt=0)
    full_softmax_items: int = Field(default=50_000, ge=0)
    """Up to this catalogue training runs over all items, beyond it over those of the batch."""
    recency_days: tuple[float, ...] = (3.0, 30.0)
    """Half-lives of the recency in the prior, which is fitted on the held-out plays; () for no
    prior."""
    seed: int = Field(default=1, ge=0, lt=2**32)
