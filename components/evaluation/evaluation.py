"""What an evaluation is: a folder that says what was evaluated on what, user by user.

    EVALUATION/evaluation.json      what was evaluated on what (`Evaluation`)
    EVALUATION/users.parquet        one row a listener: user_id, relevant, history, the slices
    EVALUATION/items.parquet        one row an item of the catalogue, in code order
    EVALUATION/truth.parquet        user, item: row numbers of the two tables above
    EVALUATION/<model>/per_user.parquet   one row a listener, one column a metric
    EVALUATION/<model>/top.npy            int32[listeners, K], codes best first, below 0 is no item

Means are derived from per-user values, never stored alone. Reading it needs no TensorFlow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import SetlistError

Shelf = Literal["discovery", "shortcuts"]
Role = Literal["candidate", "heuristic", "live", "former"]


class EvaluationSettings(BaseModel):
    """The `evaluation` section of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shelf: Shelf = "discovery"
    """discovery leaves out what a listener has played before, in lists and truth; shortcuts not."""
    metrics: tuple[str, ...] = Field(
        (
            "ndcg@10",
            "ndcg@100",
            "recall_capped@20",
            "coverage@10",
            "gini@10",
            "intra_list_diversity@10",
            "popularity_lift@10",
        ),
        min_length=1,
    )
    newcomers: bool = True
    """Whether listeners without any play before the cut are evaluated."""


class Evaluated(BaseModel):
    """One model of an evaluation."""

    model_config = ConfigDict(allow_inf_nan=False)

    label: str = Field(pattern=r"^\w[\w.-]*$", description="also the name of its folder")
    role: Role
    kind: str
    digest: str
    revision: int | None = None
    training_window: dict[str, str]
    corpus: dict[str, float]
    foreign: int
    """How many listed ids are outside the catalogue; each is a miss."""
    seconds: float


class Evaluation(BaseModel):
    """`evaluation.json`."""

    shelf: Shelf
    window: dict[str, str]
    metrics: tuple[str, ...]
    k: int
    listeners: int = Field(ge=1)
    catalogue: int
    left_out: dict[str, int]
    """Test events and listeners that take no part, by reason."""
    models: list[Evaluated]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if twice := repeated([model.label for model in self.models]):
            raise ValueError(f"two models are called {twice}")
        return self

    def model(self, label: str) -> Evaluated:
        """The model of that label."""
        return next(model for model in self.models if model.label == label)


def read_evaluation(folder: Path) -> Evaluation:
    """What was evaluated on what.

    Raises:
        SetlistError: when the folder holds no readable evaluation.
    """
    path = folder / "evaluation.json"
    if not path.is_file():
        raise SetlistError(f"{path} is missing; an evaluation is needed to give a verdict.")
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except ValidationError as fault:
        first = fault.errors()[0]
        key = "".join(f"{part}: " for part in first["loc"])
        raise SetlistError(f"{path}: {key}{first['msg']}; evaluate again.") from fault


def read_per_user(folder: Path, label: str) -> pd.DataFrame:
    """One row a listener, one column a metric, of one model.

    Raises:
        SetlistError: when the model's values are missing or damaged.
    """
    path = folder / label / "per_user.parquet"
    if not path.is_file():
        raise SetlistError(f"{path} is missing; evaluate {label} before the gate.")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as fault:
        raise SetlistError(f"{path} is damaged; evaluate {label} again.") from fault


def read_values(folder: Path, model: Evaluated) -> dict[str, float]:
    """The value of every metric of one model: means over listeners and corpus-level values.

    A metric on shared truth is left out where there is no such truth.
    """
    means = read_per_user(folder, model.label).mean().dropna()
    return {str(name): float(value) for name, value in means.items()} | model.corpus


def repeated(labels: Sequence[str]) -> str:
    """The first label that stands there a second time, "" for none."""
    return next((one for place, one in enumerate(labels) if one in labels[:place]), "")
