"""The folder of an evaluation: which models were evaluated on which data, listener by listener.

    EVALUATION/evaluation.json      its models, metrics and data (`Evaluation`)
    EVALUATION/users.parquet        one row a listener: user_id, relevant, history, the slices
    EVALUATION/items.parquet        one row an item of the catalogue, in code order; head, torso,
                                    tail and new say which part of it the item belongs to
    EVALUATION/truth.parquet        user, item, gain: row numbers of the two tables above
    EVALUATION/requests.parquet     the requests of a few listeners, complete
    EVALUATION/intervals.json       intervals of what is shown (`setlist.evaluation.intervals`);
                                    folders of older versions have none
    EVALUATION/<model>/per_user.parquet   one row a listener, one column a metric; "ndcg@10 tail" is
                                          the metric on that part of the truth, missing without any
    EVALUATION/<model>/top.npy            int32[listeners, K], codes best first, below 0 is no item
    EVALUATION/<model>/answers.parquet    its lists and scores for requests.parquet

Means are derived from per-user values, never stored alone. Reading it needs no TensorFlow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from setlist.documents import read_document
from setlist.errors import EvaluationError
from setlist.evaluation.metric import Better, Per
from setlist.evaluation.metric_names import parse_metric
from setlist.section import MAX_NAMES, Section

Shelf = Literal["discovery", "shortcuts"]
Role = Literal["candidate", "heuristic", "live", "anchor"]
LEARNED_ROLES: tuple[Role, ...] = ("candidate", "live", "anchor")
LISTENER_SLICE = "listener"
"""The slice of every evaluation: newcomer, light or heavy, by plays before the cutoff."""
SLICE_TITLES = {LISTENER_SLICE: "history length"}
"""The name of a slice in a sentence, where it is not the name of its column."""
ITEM_PARTS = ("head", "torso", "tail", "new")
SHARED_PART = "shared"
USUAL_METRICS = (
    *("ndcg@10", "ndcg@100", "recall_capped@20", "coverage@10", "gini@10"),
    *("intra_list_diversity@10", "popularity_lift@10"),
)
"""Evaluated unless the settings say `only`; the default policy reads some of them."""
MAX_LIST = 10_000
"""The longest list that is evaluated; nobody scrolls so far."""


class MetricInfo(BaseModel):
    """A metric of an evaluation, with what a reader of its values must know.

    It stands in the folder, so that gate and report need not import the metric of a user.
    """

    name: str
    per: Per
    better: Better
    reads_truth: bool
    reads_tags: bool = False
    """False in evaluations of older versions, which did not say."""
    meaning: str
    """The first line of its docstring."""

    @property
    def label(self) -> str:
        """The name in tables: without the module of a user's metric."""
        return self.name.rpartition(":")[2]

    @classmethod
    def of(cls, text: str) -> Self:
        """What the settings mean by a name such as "ndcg@10".

        Raises:
            SetlistError: when there is no such metric.
        """
        metric = parse_metric(text).metric
        return cls(
            name=text,
            per=metric.per,
            better=metric.better,
            reads_truth=metric.reads_truth,
            reads_tags=metric.reads_tags,
            meaning=(metric.__doc__ or "").strip().partition("\n")[0],
        )


class EvaluationSettings(Section):
    """The `evaluation` section of the settings file."""

    shelf: Shelf = "discovery"
    """discovery leaves out what a listener has played before, in lists and truth; shortcuts not."""
    metrics: tuple[str, ...] = Field(
        (),
        max_length=MAX_NAMES,
        description=f"evaluated beside the usual ones, which are {', '.join(USUAL_METRICS)}",
    )
    only: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_NAMES)] | None = Field(
        None,
        description="metrics that are evaluated in place of the usual ones; those that the policy "
        "reads have to be among them",
    )
    newcomers: bool = True
    """Whether listeners without any play before the cutoff are evaluated."""
    slices: tuple[str, ...] = Field((), max_length=MAX_NAMES)
    """Columns of the users table by which listeners are grouped, beside the named inputs."""

    @field_validator("metrics", "only")
    @classmethod
    def _check_names(cls, metrics: tuple[str, ...] | None) -> tuple[str, ...] | None:
        # Only the length: which metrics exist is known when their modules are imported.
        for metric in metrics or ():
            length = metric.partition("@")[2]
            if length.isdecimal() and (len(length) > 9 or int(length) > MAX_LIST):
                raise ValueError(
                    f"{metric[:60]!r}: a list has at most {MAX_LIST:,} items; write a smaller "
                    "number behind the @"
                )
        if twice := first_repeated(metrics or ()):
            raise ValueError(f"{twice[:60]!r} stands twice; remove it once")
        return metrics

    @model_validator(mode="after")
    def _adds_or_replaces(self) -> Self:
        if self.metrics and self.only:
            raise ValueError(
                "`metrics` are evaluated beside the usual ones, and `only` in place of them; "
                "write all that are meant under one of the two"
            )
        # Such a list was meant to replace, unless it names them all, where both mean the same.
        if self.metrics and set(self.metrics) < set(USUAL_METRICS):
            raise ValueError(
                f"{', '.join(self.metrics)} {'is' if len(self.metrics) == 1 else 'are'} evaluated "
                "anyway; to evaluate nothing else, write `only` in place of `metrics`"
            )
        return self

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The names of all metrics, in order."""
        return self.only or tuple(dict.fromkeys((*USUAL_METRICS, *self.metrics)))

    @property
    def setting(self) -> str:
        """Where a metric that is missing is to be added."""
        return "evaluation.only" if self.only else "evaluation.metrics"

    def metric_infos(self, own: bool = True) -> tuple[MetricInfo, ...]:
        """The metrics.

        Args:
            own: whether modules of the user's own are imported, for `own_metrics`.

        Raises:
            SetlistError: when there is no metric of a name.
        """
        left_out = () if own else self.own_metrics()
        return tuple(MetricInfo.of(text) for text in self.evaluated if text not in left_out)

    def own_metrics(self) -> tuple[str, ...]:
        """The names of those that stand in a module, as module:function@k."""
        return tuple(text for text in self.evaluated if ":" in text)


class Inspection(BaseModel):
    """What a fresh process measured of a model; see `setlist.evaluation.inspection`."""

    model_config = ConfigDict(allow_inf_nan=False)

    faults: list[str]
    """A sentence for each violation of the contract; empty for a sound model."""
    requests: int
    reach: float | None = None
    """The share of its own catalogue that a few listeners get to see in lists of any length; None
    where there was no such answer, because of one of the faults."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    """Latency of a request for one listener at full depth, in milliseconds; None for a model with
    faults."""
    processor_p50_ms: float | None = None
    processor_p99_ms: float | None = None
    """Processor time of the same requests, of all threads together; None in older records."""
    processors: int = 1
    """Of the machine, among which a request may have been divided."""
    reference_p50_ms: float | None = None
    reference_p99_ms: float | None = None
    """Latency of a computation that is always the same, one after each of these requests."""
    unconfined: str = ""
    """Which limits of the process the system did not allow; "" for none, and in older records."""
    size_mb: float
    """Of the model folder, in megabytes of a million bytes."""

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.p99_ms == 0:  # in older records, where something was not measured
            self.reach, self.p50_ms, self.p99_ms = self.reach or None, None, None
        if not self.faults and None in (self.reach, self.p50_ms, self.p99_ms):
            raise ValueError("reach, p50_ms or p99_ms is missing, though no fault is named")
        return self


class EvaluatedModel(BaseModel):
    """One model of an evaluation."""

    # evaluation.json calls the inspection "infra".
    model_config = ConfigDict(
        allow_inf_nan=False, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    label: str = Field(pattern=r"^\w[\w.-]*$", description="also the name of its folder")
    role: Role
    kind: str
    digest: str
    content: str
    """Digest of its SavedModel alone: the same model under another name has the same."""
    revision: int | None = None
    training_window: dict[str, str]
    corpus: dict[str, float]
    foreign: int
    """How many listed ids are outside the catalogue; each is a miss."""
    excluded: int
    """How many listed ids the caller had excluded."""
    known: float
    """The share of the catalogue that the model can recommend at all."""
    inspection: Inspection | None = Field(
        None, validation_alias="infra", serialization_alias="infra"
    )
    """None for a model that cannot be shipped by this run."""
    seconds: float
    source: Literal["model", "lists"] = "model"
    """Lists were given in place of a model: nothing can be pushed."""
    notes: list[str] = []
    """What is odd about the lists that were given, a sentence each."""
    not_asked: list[str] = []
    """What the rules of a policy ask, and what cannot be asked here, a sentence each."""

    @property
    def title(self) -> str:
        """What sentences call it: the lists mine, or the label of a model."""
        return f"the lists {self.label}" if self.source == "lists" else self.label


class Evaluation(BaseModel):
    """`evaluation.json`."""

    shelf: Shelf
    window: dict[str, str]
    metrics: tuple[MetricInfo, ...]
    slices: tuple[str, ...]
    """Columns of users.parquet by which listeners are grouped."""
    k: int
    listeners: int = Field(ge=1)
    sampled_from: int
    """How many listeners there were; more than `listeners` where a sample of them was taken."""
    catalogue: int
    left_out: dict[str, int]
    """Test events and listeners that take no part, by reason."""
    intervals_digest: str = ""
    """The SHA-256 of `intervals.json`; "" in older folders, which have none."""
    models: list[EvaluatedModel]

    @property
    def sampling(self) -> str:
        """How a sample of the listeners was taken; "" where there is none."""
        return describe_sampling(self.slices) if self.sampled_from > self.listeners else ""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if twice := first_repeated([model.label for model in self.models]):
            raise ValueError(f"two models are called {twice}")
        return self

    def metric(self, name: str) -> MetricInfo:
        """The metric of that name.

        Raises:
            EvaluationError: when it is not evaluated.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise EvaluationError(
            f"{name} is not evaluated",
            "add it to evaluation.metrics "
            f"(now: {', '.join(metric.name for metric in self.metrics)})",
        )

    def model(self, label: str) -> EvaluatedModel:
        """The model of that label."""
        return next(model for model in self.models if model.label == label)


def read_evaluation(folder: Path) -> Evaluation:
    """The document of an evaluation folder.

    Raises:
        EvaluationError: when the folder holds no readable evaluation.
    """
    return read_document(folder / "evaluation.json", Evaluation, EvaluationError, "evaluate again")


def read_per_user(folder: Path, label: str, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a listener, one column a metric, of one model.

    Args:
        folder: of the evaluation.
        label: of the model.
        metrics: the columns to read, those of them that there are; None for all.

    Raises:
        EvaluationError: when the model's values are missing or damaged.
    """
    path = folder / label / "per_user.parquet"
    if not path.is_file():
        raise EvaluationError(f"{path} is missing", f"evaluate {label} before the gate")
    try:
        if metrics is not None:
            metrics = [name for name in pq.read_schema(path).names if name in metrics]
        return pd.read_parquet(path, columns=metrics)
    except (OSError, ValueError) as fault:
        raise EvaluationError(f"{path} is damaged", f"evaluate {label} again") from fault


def read_users(folder: Path, evaluation: Evaluation) -> pd.DataFrame:
    """One row a listener: the id and the slices.

    Raises:
        EvaluationError: when the table is missing, or does not belong to the evaluation.
    """
    path = folder / "users.parquet"
    if not path.is_file():
        raise EvaluationError(f"{path} is missing", "evaluate the models again")
    users = pd.read_parquet(path)
    if len(users) != evaluation.listeners or not set(evaluation.slices) <= set(users):
        raise EvaluationError(
            f"{path} does not belong to its evaluation", "evaluate the models again"
        )
    return users


def read_values(folder: Path, model: EvaluatedModel) -> dict[str, float]:
    """The value of every metric of one model: means over listeners and corpus-level values.

    A metric on a part of the truth is left out where nobody has any.
    """
    means = read_per_user(folder, model.label).mean().dropna()
    return {str(name): float(value) for name, value in means.items()} | model.corpus


def slice_title(name: str) -> str:
    """The name of a slice in a sentence."""
    return SLICE_TITLES.get(name, name.replace("_", " "))


def describe_sampling(slices: Sequence[str]) -> str:
    """How a sample of the listeners is taken, in words; see `setlist.evaluation.audience`."""
    return f"the same share of each group by {', '.join(map(slice_title, slices))}"


def first_repeated(labels: Sequence[str]) -> str:
    """The first text that was in the list before, "" for none."""
    return next((label for row, label in enumerate(labels) if label in labels[:row]), "")
