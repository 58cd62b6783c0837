"""What a training left to look at: its settings, its course and what came of it.

    TRAINING/LABEL.json               one `TrainingRecord` a candidate
    TRAINING/tensorboard/LABEL/       its curves as TensorBoard logs
    TRAINING/chosen.json              of several that were compared: {"chosen": LABEL}

Reading it needs no TensorFlow.
"""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from setlist.errors import ModelError
from setlist.models.settings import ModelSettings

CHECK_K = 100
"""The held-out plays are ranked to this depth."""
CHOSEN = "chosen.json"


class Epoch(NamedTuple):
    """How far training is after an epoch; the first one is number 1."""

    number: int
    loss: float
    """Mean over the epoch of the softmax cross-entropy, in nats a play. The two-tower's is over the
    targets of a batch, so it is not to be compared with `check`."""
    check: float | None
    """That of the held-out plays after the epoch, over the whole catalogue, with the prior that
    they ask for. None where nobody could be held out."""
    ndcg: float | None
    """Their NDCG@100; by it an epoch is kept."""
    seconds: float
    """Since training began, those before a restart included."""


class Recipe(BaseModel):
    """What a training chose on the held-out plays: a refit repeats it on other plays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learner: dict[str, float]
    """The settings of the learner that it started from; {} after a warm start."""
    heat: float
    """The logarithm of the factor on the scores of the start."""
    rates: list[float]
    """The learning rate of each epoch."""
    item_item: dict[str, float | None]
    """The settings of the item-item learner; {} where nobody could be held out."""
    share: float
    """Of the weights of that learner in the score of listeners with plays."""


class TrainingRecord(BaseModel):
    """The course of one training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    settings: ModelSettings
    """With what was scaled to the data filled in."""
    epochs: list[Epoch]
    best: int
    """The epoch whose weights were kept; 0 for the start, where training added nothing."""
    listeners: int
    """How many were held out; 0 for nobody."""
    loss: float | None
    """Of the held-out plays before they were learnt, prior and item-item weights included."""
    ndcg: float | None
    """Their NDCG@100; by it candidates are chosen."""
    seconds: float
    warm: bool = False
    """Whether it started from the live model."""
    start: str = ""
    """What it started from."""
    recipe: Recipe | None = None
    """What was chosen; None of a trainer that does not say."""
    start_ndcg: float | None = None
    """NDCG@100 of the held-out plays at the start."""
    share: float = 1.0
    """Of the listeners of the training period, those whose plays were learnt."""
    timeless: bool = False
    """Whether the held-out plays are the last ones of each checked listener, since the times of
    plays say nothing, or too few listeners return."""
    neighbours: str = ""
    """Which item-item learner has a share of the score; "" for none."""
    trials: dict[str, float] = {}
    """NDCG@100 of the held-out plays of listeners with plays before them, without a prior, for each
    learner that the training could have started from."""

    @property
    def added_nothing(self) -> bool:
        """Whether no epoch beat the start by more than chance, so that the start is the model."""
        return bool(self.listeners) and not self.best

    def write(self, folder: Path) -> None:
        """Write `LABEL.json` into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.label}.json").write_text(self.model_dump_json(indent=1) + "\n", "utf-8")


def read_training_records(folder: Path) -> list[TrainingRecord]:
    """The trainings in a folder, by label.

    Raises:
        ModelError: when there is none, or one cannot be read.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.name != CHOSEN)
    if not paths:
        raise ModelError(f"{folder} holds no training", "train the candidates again")
    try:
        return [TrainingRecord.model_validate_json(path.read_bytes()) for path in paths]
    except ValidationError as fault:
        raise ModelError(
            f"{folder}: a training cannot be read: {fault.errors()[0]['msg']}."
        ) from fault
