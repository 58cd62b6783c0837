"""The record of a refit: what was evaluated, what was trained again, and how alike both are.

    REFITTED/refit.json   `Refit`
    REFITTED/model/       the model; not there where the verdict ships a heuristic

It binds the two digests, so that push can tell the refitted model from a stranger. Reading it needs
no TensorFlow.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from setlist.errors import SetlistError
from setlist.evaluation.results import Inspection

REFIT_OVERLAP = 0.35
"""How much of a top ten has to stay the same: half of what does so on the sample (.70)."""
TOP = 10


class Refit(BaseModel):
    """`refit.json`."""

    # refit.json calls the inspection "infra".
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
    """Of the model that was trained again."""
    overlap: float | None = None
    """The share of the evaluated model's top ten that is also in the refitted one's, mean over the
    listeners of the evaluation who had a list."""
    inspection: Inspection | None = Field(
        None, validation_alias="infra", serialization_alias="infra"
    )
    """What a fresh process found of the refitted model."""

    def write(self, folder: Path) -> None:
        """Write the record into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "refit.json").write_text(self.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record in the folder.

        Raises:
            SetlistError: when there is none that can be read; then nothing is pushed.
        """
        path = folder / "refit.json"
        if not path.is_file():
            raise SetlistError(f"{path} is missing; without it no refitted model is pushed.")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as fault:
            raise SetlistError(f"{path} is no record of a refit; refit again.") from fault
