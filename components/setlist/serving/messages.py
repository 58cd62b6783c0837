"""The JSON of the HTTP service: requests with their limits, responses and errors."""

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

from setlist.models.worker.query import Query

# The limits bound the time and memory that one request can cost.
MAX_LISTENERS = 64
MAX_ITEMS = 500
MAX_PLAYS = 2_000
MAX_INPUTS = 64
MAX_TEXT_LENGTH = 512
"""Characters of an id, or of the value of an input."""
MAX_BODY_BYTES = 1 << 20
RETRY_AFTER_SECONDS = 1
GONE = 499
"""The status that nginx uses for a request whose client has hung up."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_LENGTH)]
InputValue = Annotated[str, StringConstraints(max_length=MAX_TEXT_LENGTH)]


def _whole_number(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Turn 5.0 into 5, because JSON Schema counts 5.0 among the integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


ListLength = Annotated[int, Field(ge=1, le=MAX_ITEMS, strict=True)]
K = Annotated[ListLength, BeforeValidator(_whole_number, json_schema_input_type=ListLength)]


class AgedPlay(BaseModel):
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


def _play_tag(play: Any) -> Literal["play", "id"]:  # noqa: ANN401 - any JSON value
    return "play" if isinstance(play, dict | AgedPlay) else "id"


# With a tag, pydantic reports the faults of the intended form only, not those of both.
Play = Annotated[
    Annotated[Id, Tag("id")] | Annotated[AgedPlay, Tag("play")], Discriminator(_play_tag)
]


class ListRequest(BaseModel):
    """A request for one listener's list."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"history": [], "inputs": {"country": "SE"}, "k": 5}]},
    )

    listener: Id | None = Field(
        default=None,
        description="a stable id, for a candidate's share and for logs; no model reads it",
    )
    history: list[Play] = Field(
        default=[],
        max_length=MAX_PLAYS,
        description="plays, oldest first: ids, or ids with ages; an age that is left out is 0",
    )
    exclude: list[Id] = Field(
        default=[],
        max_length=MAX_PLAYS,
        description="ids that must not be listed; items of the history can be listed",
    )
    inputs: dict[Id, InputValue] = Field(
        default={},
        max_length=MAX_INPUTS,
        description="named inputs that the model was trained with; one that is left out is empty",
    )
    k: K = 10

    def query(self) -> Query:
        """The query to a model."""
        return Query(
            [play if isinstance(play, str) else play.item for play in self.history],
            [0.0 if isinstance(play, str) else play.age_days for play in self.history],
            self.exclude,
            self.inputs,
            self.k,
        )


class BatchRequest(BaseModel):
    """A request for the lists of several listeners."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: list[ListRequest] = Field(min_length=1, max_length=MAX_LISTENERS)


def _body_tag(body: Any) -> Literal["batch", "single"]:  # noqa: ANN401 - any JSON value
    return "batch" if isinstance(body, dict) and "requests" in body else "single"


RequestBody = Annotated[
    Annotated[ListRequest, Tag("single")] | Annotated[BatchRequest, Tag("batch")],
    Discriminator(_body_tag),
]
REQUEST_BODY: TypeAdapter[ListRequest | BatchRequest] = TypeAdapter(RequestBody)


class ListedItem(BaseModel):
    """An item of a list."""

    item_id: str
    title: str
    tags: list[str]
    score: float


class BatchList(BaseModel):
    """A list of a batch: items, best first, and the revision and model that ranked them."""

    revision: int
    model: str
    items: list[ListedItem]


class ListResponse(BatchList):
    """The response to a request for one list."""

    request_id: str


class BatchResponse(BaseModel):
    """The lists of a batch, in the order of its requests."""

    answers: list[BatchList]
    request_id: str


class Problem(BaseModel):
    """What is wrong with a request."""

    status: int
    message: str
    where: str = Field(description="the place in the body, such as requests.0.k, or empty")


class ErrorResponse(BaseModel):
    """The response to every request that fails."""

    error: Problem


class ModelResponse(BaseModel):
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
    candidate: int | None = Field(description="the revision that runs beside the live one")
    share: float | None = Field(description="of listeners who get the candidate; None: shadow")


class RefusedRequest(Exception):  # noqa: N818 - it is a response
    """A request that is answered with a `Problem`."""

    def __init__(self, status: int, message: str, where: str = "") -> None:
        """Take the three fields of `Problem`."""
        super().__init__(message)
        self.status, self.message, self.where = status, message, where

    @property
    def headers(self) -> dict[str, str]:
        """Of the response: when to come again, where that helps."""
        return {"retry-after": str(RETRY_AFTER_SECONDS)} if self.status == 503 else {}

    def content(self) -> bytes:
        """The JSON of `ErrorResponse`.

        The json module also writes text that pydantic refuses to, such as half a surrogate pair.
        """
        problem = {"status": self.status, "message": self.message, "where": self.where}
        return json.dumps({"error": problem}).encode()


def parse_body(body: bytes) -> ListRequest | BatchRequest:
    """The request in a body.

    Raises:
        RefusedRequest: the body is not JSON (400), or not a valid request (422).
    """
    try:
        return REQUEST_BODY.validate_json(body)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
        status = 400 if first["type"] == "json_invalid" else 422
        # Pydantic's place begins with the tag of the body, and has the tag of a play after its row.
        where = [
            str(part)
            for before, part in pairwise(first["loc"])
            if part != "[key]" and not (isinstance(before, int) and part in ("id", "play"))
        ]
        raise RefusedRequest(status, first["msg"], ".".join(where)) from fault
