"""The refit: the winner trained again on all days, and the record of it that push reads.

    REFITTED/refit.json   `RefitRecord`
    REFITTED/model/       the model; absent where the verdict ships a heuristic

`refit: true` in the settings ships the refitted model in place of the evaluated one. The record
binds the digests of both, so that push can tell the refitted model from any other. Reading it
needs no TensorFlow. Whether the refitted model is fit to ship is decided in
`setlist.runs.refit_check`.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from setlist.data.features import Features
from setlist.documents import read_document
from setlist.errors import ModelError
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import EvaluationSettings, Inspection
from setlist.evaluation.verdict import Verdict
from setlist.models.selection import chosen
from setlist.runs.checkpoints import StoredCheckpoint

DEFAULT_REFIT_OVERLAP = 0.35
"""The default of the setting `refit_overlap`: half of the overlap on the sample data (0.70)."""
COMPARED_RANKS = 10
"""How many items from the top of each list are compared."""


class RefitRecord(BaseModel):
    """`refit.json`: what was evaluated, what was trained again, and how alike both models are."""

    # The stored document calls the inspection "infra".
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    refit_of: str = ""
    """Digest of the model that was evaluated; "" where nothing was refitted."""
    digest: str = ""
    """Digest of the model that was trained again."""
    overlap: float | None = None
    """The share of the evaluated model's top ten that is also in the refitted model's top ten,
    mean over the listeners of the evaluation who had a list."""
    inspection: Inspection | None = Field(
        None, validation_alias="infra", serialization_alias="infra"
    )
    """What a fresh process measured on the refitted model."""

    def write(self, folder: Path) -> None:
        """Write the record into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "refit.json").write_text(self.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record in the folder.

        Raises:
            ModelError: there is no readable record; then nothing is pushed.
        """
        return read_document(folder / "refit.json", cls, ModelError, "refit again")


def refit(
    whole: Path,
    features: Path,
    dataset: Path,
    evaluations: Path,
    training: Path,
    verdict: Verdict,
    evaluation: EvaluationSettings,
    policy: Policy,
    min_overlap: float,
    store: str,
    live: Path | None,
    output: Path,
) -> RefitRecord:
    """Train the winner again on the whole window, and compare it with the evaluated model.

    Args:
        whole: the features of all days, to train on.
        features: the features on which the winner was trained.
        dataset: the dataset on which the winner was evaluated.
        evaluations: the folder that `evaluate` wrote.
        training: the records of the candidates' trainings.
        verdict: where it ships a heuristic, nothing is trained: the heuristic ships as evaluated.
        evaluation: the settings of the evaluation.
        policy: its limits of latency and size hold for the refitted model, too.
        min_overlap: the least overlap of the top tens, from 0 to 1.
        store: for the checkpoint of the training.
        live: the model to start from, as the winner did; None for a cold start.
        output: the folder for the model and the record.

    Raises:
        SetlistError: the refitted model is not fit to ship in place of the evaluated model.
    """
    if verdict.ships != "candidate":
        print(f"the verdict ships {verdict.ships}, as it was evaluated", flush=True)
        record = RefitRecord()
    else:
        # Imported here: both load TensorFlow, which readers of the record do without.
        from setlist.models.trainers import train_candidate
        from setlist.runs.refit_check import check_refit

        winner = chosen(training)
        train_candidate(
            Features.read(whole),
            winner.settings,
            output / "model",
            output / "training",
            winner.label,
            live=live,
            checkpoint=StoredCheckpoint.of(store, whole, winner.settings, winner.label, live),
        )
        record = check_refit(
            output / "model",
            evaluations,
            Features.read(features),
            dataset,
            evaluation,
            policy,
            min_overlap,
        )
    record.write(output)
    return record
