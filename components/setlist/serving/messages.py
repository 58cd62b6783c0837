"""What a request may say, with its limits, and the shape of answers and errors."""

import json
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
)

from setlist.serving.served_model import Question

MOST_LISTENERS = 64
MOST_ITEMS = 500
MOST_PLAYS = 2_000
MOST_INPUTS = 64
LONGEST = 512
"""Characters of an id, or of the value of an input."""
BODY = 1 << 20
"""Bytes of a request's body."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
Value = Annotated[str, StringConstraints(max_length=LONGEST)]


def _whole(number: Any) -> Any:  # noqa: ANN401 - whatever JSON held
    """JSON Schema calls 5.0 an integer."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


Length = Annotated[int, Field(ge=1, le=MOST_ITEMS, strict=True)]
K = Annotated[Length, BeforeValidator(_whole, json_schema_input_type=Length)]


class Play(BaseModel):
    """A play and how long ago it was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: Id
    age_days: float = Field(
        default=0.0,
        ge=0,
        le=100_000,
        allow_inf_nan=False,
        strict=True,
        description="days before now",
    )


def _form(play: Any) -> Literal["play", "id"]:  # noqa: ANN401 - whatever JSON held
    return "play" if isinstance(play, dict | Play) else "id"


AnyPlay = Annotated[Annotated[Id, Tag("id")] | Annotated[Play, Tag("play")], Discriminator(_form)]


class Ask(BaseModel):
    """One listener who is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"history": [], "inputs": {"country": "SE"}, "k": 5}]},
    )

    listener: Id | None = Field(
        default=None, description="a stable id: for a candidate's share and for logs, never a model"
    )
    history: list[AnyPlay] = Field(
        default=[],
        max_length=MOST_PLAYS,
        description="plays, oldest first: ids, or ids with ages, which are 0 where left out",
    )
    exclude: list[Id] = Field(
        default=[],
        max_length=MOST_PLAYS,
        description="ids that must not be listed; the history is not excluded by itself",
    )
    inputs: dict[Id, Value] = Field(
        default={},
        max_length=MOST_INPUTS,
        description="named inputs; those that the model does not know are not read",
    )
    k: K = 10

    def question(self) -> Question:
        """The same as models are asked."""
        plays = self.history
        return Question(
            [one if isinstance(one, str) else one.item for one in plays],
            [0.0 if isinstance(one, str) else one.age_days for one in plays],
            self.exclude,
            self.inputs,
            self.k,
        )


class Batch(BaseModel):
    """Several listeners at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: list[Ask] = Field(min_length=1, max_length=MOST_LISTENERS)


def _kind(body: Any) -> Literal["batch", "single"]:  # noqa: ANN401 - whatever JSON held
    return "batch" if isinstance(body, dict) and "requests" in body else "single"


Body = Annotated[
    Annotated[Ask, Tag("single")] | Annotated[Batch, Tag("batch")], Discriminator(_kind)
]
BODIES: TypeAdapter[Ask | Batch] = TypeAdapter(Body)


class Item(BaseModel):
    """An item of a list."""

    item_id: str
    title: str
    tags: list[str]
    score: float


class Answer(BaseModel):
    """A list, best first, and what made it."""

    revision: int
    model: str
    items: list[Item]
    request_id: str


class One(BaseModel):
    """A list of a batch."""

    revision: int
    model: str
    items: list[Item]


class Answers(BaseModel):
    """The lists of a batch, in the order of its requests."""

    answers: list[One]
    request_id: str


class Problem(BaseModel):
    """What is wrong with a request."""

    status: int
    message: str
    where: str = Field(description="the place in the body, such as requests.0.k, or empty")


class Problems(BaseModel):
    """The one shape of all errors."""

    error: Problem


class ModelAnswer(BaseModel):
    """The model that answers now."""

    name: str
    revision: int
    model: str
    kind: str
    inputs: list[str]
    history_length: int
    catalogue_size: int
    training_window: dict[str, str]
    promoted: str
    candidate: int | None = Field(description="the revision that runs beside it")
    share: float | None = Field(description="of listeners who get the candidate; None: shadow")


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request that is answered with a problem."""

    def __init__(self, status: int, message: str, where: str = "") -> None:
        """The three fields of `Problem`."""
        super().__init__(message)
        self.status, self.message, self.where = status, message, where

    def content(self) -> bytes:
        """The JSON of `Problems`."""
        problem = {"status": self.status, "message": self.message, "where": self.where}
        return json.dumps({"error": problem}).encode()


def parse(body: bytes) -> Ask | Batch:
    """The request that a body holds.

    Raises:
        Refused: it is no JSON (400), or not what is asked for (422).
    """
    try:
        return BODIES.validate_json(body)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
        status = 400 if first["type"] == "json_invalid" else 422
        where = [
            str(part)
            for before, part in pairwise(first["loc"])
            if part != "[key]" and not (isinstance(before, int) and part in ("id", "play"))
        ]
        raise Refused(status, first["msg"], ".".join(where)) from fault
