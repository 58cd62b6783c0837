"""What a model is to everything downstream: a folder with a description and a SavedModel.

    MODEL/model.json       ModelInfo, as JSON
    MODEL/catalogue.txt    the ids it can recommend, one a line
    MODEL/items.parquet    titles and tags of these, for people; see `setlist.models.item_table`
    MODEL/profile.json     what its training listeners were; see `setlist.models.profile`
    MODEL/saved_model/     a TensorFlow SavedModel with the signature `recommend`

`recommend(history: string[batch, length], exclude: string[batch, m], k: int32[], <named inputs>)
-> item_ids: string[batch, k], scores: float32[batch, k]`, and `serving_default`, the same with a
fixed k (`SERVING_K` in `setlist.models.recommender`):

- `history` is oldest first. `exclude` holds what must not be listed, at most m ids a listener. In
  both, "" is padding and ids may be unknown.
- k below 0 counts as 0, k above the size of the catalogue as that size.
- A position that cannot be filled is "" with the score -inf. A score of NaN is an error.
- Equal scores are ordered by `tie_order` of `setlist.data.schema`.
- A named input is a categorical string[batch], "" when not known, except `history_age_days:
  float32[batch, length]`, the age of each play in days.

A model whose score is a dot product may offer two more signatures, over the codes that are the
line numbers of catalogue.txt: `items() -> items: float32[catalogue, d]` and `embed(history:
int32[batch, length], <named inputs>) -> users: float32[batch, d]`, -1 for padding and unknown ids;
d is the length of a vector. Whoever asks for many listeners at once may take these instead; the
lists are the same.

This module needs no TensorFlow, so that the store, the gate and the report can import it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from setlist.data.schema import HISTORY_AGE
from setlist.errors import ModelError

EMPTY, FOREIGN = -1, -2
"""Codes of a position that was not filled, and of an id outside the caller's catalogue."""


def _plain(text: str) -> str:
    """A text that may stand in a terminal, a log and a report as it is."""
    if not text.isprintable():
        raise ValueError(
            "a text with line breaks, control characters or marks of direction is not accepted"
        )
    return text


Name = Annotated[str, Field(max_length=100), AfterValidator(_plain)]
Sentence = Annotated[str, Field(max_length=1_000), AfterValidator(_plain)]


class ModelInfo(BaseModel):
    """`model.json`: what a caller has to know to ask the model."""

    model_config = ConfigDict(frozen=True)

    name: Name
    kind: Name = Field(description="heuristic, two_tower, or the name that another package gives")
    catalogue_size: int
    history_length: int = Field(description="the longest suffix of a history that it reads")
    inputs: tuple[Name, ...] = Field(default=(), description="named inputs that it requires")
    fallback: Sentence = Field(
        default="",
        description="what it does for items without evidence, such as items that no training "
        "listener played; empty when it does not list them",
    )
    approximation: Sentence = Field(
        default="",
        description="how far its lists are those of an exact retrieval, as measured when it was "
        "made; empty where they are exact",
    )
    training_window: dict[Name, Name] = Field(description="start and end of what it was trained on")
    code_version: Name

    @property
    def categorical_inputs(self) -> tuple[str, ...]:
        """The named inputs that are one string a listener."""
        return tuple(name for name in self.inputs if name != HISTORY_AGE)

    @property
    def reads_ages(self) -> bool:
        """Whether the age of each play is one of them."""
        return HISTORY_AGE in self.inputs


def write_info(folder: Path, info: ModelInfo, catalogue: Iterable[str]) -> None:
    """Write `model.json` and `catalogue.txt` into a model folder."""
    (folder / "catalogue.txt").write_text("".join(f"{item}\n" for item in catalogue), "utf-8")
    (folder / "model.json").write_text(info.model_dump_json(indent=1) + "\n", "utf-8")


def read_info(folder: Path) -> ModelInfo:
    """The description of the model in `folder`.

    Raises:
        ModelError: when there is no readable `model.json` or no SavedModel beside it.
    """
    path = folder / "model.json"
    if not path.is_file() or not (folder / "saved_model" / "saved_model.pb").is_file():
        raise ModelError(
            f"{folder} is not a model folder", "name one that holds model.json and saved_model/"
        )
    try:
        return ModelInfo.model_validate_json(path.read_bytes())
    except ValidationError as fault:
        first = fault.errors()[0]
        # The part is named that the contract knows; what follows may be a key of the file.
        key = first["loc"][0] if first["loc"] else "the document"
        raise ModelError(f"{path}: {key}: {first['msg']}", "export the model again") from fault


def read_catalogue(folder: Path) -> list[str]:
    """The ids that the model can recommend, in its own order.

    Raises:
        ModelError: when `catalogue.txt` is missing or no text.
    """
    path = folder / "catalogue.txt"
    if not path.is_file():
        raise ModelError(
            f"{path}, the list of the ids that the model can recommend, is missing",
            "export it again",
        )
    try:
        return path.read_text("utf-8").split("\n")[:-1]
    except UnicodeDecodeError as fault:
        raise ModelError(f"{path} is no text in UTF-8", "export it again") from fault


def model_folders(folder: Path) -> list[Path]:
    """The model folders directly inside `folder`, by name."""
    return sorted(path.parent for path in folder.glob("*/model.json"))


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, keyed by its relative POSIX path, sorted.

    Raises:
        ModelError: when the folder holds a link, which could lead outside of it.
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ModelError(f"{path} is a link", "copy the file itself into the model folder")
        if path.is_file():
            with path.open("rb") as file:
                digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
    return digests


def folder_digest(folder: Path) -> str:
    """One SHA-256 over the names and contents of all files of a model folder.

    Two folders have the same digest if and only if they hold the same files.

    Raises:
        ModelError: when the folder holds a link, which could lead outside of it.
    """
    lines = "".join(f"{sha} {name}\n" for name, sha in file_digests(folder).items())
    return hashlib.sha256(lines.encode()).hexdigest()
