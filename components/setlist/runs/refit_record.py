"""The record of a refit, which push reads: what was evaluated, what was trained again, how alike.

    REFITTED/refit.json   `RefitRecord`
    REFITTED/model/       the model; absent where the verdict ships a heuristic

The record binds the digests of both models, so that push can tell the refitted model from any
other. Reading it needs no TensorFlow.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from setlist.documents import read_document
from setlist.errors import ModelError
from setlist.evaluation.results import Inspection

DEFAULT_REFIT_OVERLAP = 0.35
"""The default of the setting `refit_overlap`: about half of the overlap on the sample (0.67)."""
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
