"""The model card: a Markdown page on what a revision is, how good it is, and what is not known.

The card is a function of what the run left, without the time of day: a repeated push writes the
same bytes. Names, groups and sentences are untrusted text; `markdown` escapes all of them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from setlist.data.schema import HISTORY_AGE
from setlist.errors import EvaluationError
from setlist.evaluation.groups import ALL, compared_slices
from setlist.evaluation.intervals import read_intervals
from setlist.evaluation.results import (
    Evaluation,
    read_evaluation,
    read_per_user,
    read_users,
)
from setlist.evaluation.shown_intervals import wanted_of_groups, wanted_of_models
from setlist.evaluation.silent_models import without_silent_metrics
from setlist.evaluation.statistics import CONFIDENCE_LEVEL, MIN_LISTENERS
from setlist.evaluation.verdict import Reason, Verdict
from setlist.models.contract import file_digests, folder_digest, read_info
from setlist.models.selection import chosen
from setlist.printable import markdown
from setlist.report.tables import MetricTable, MetricValue, metric_table, slices

EXTREME_GROUPS = 3
"""How many groups are shown of those that the model serves worst, and of the best."""


@dataclass(frozen=True)
class GroupResult:
    """The model's value for one group of listeners.

    Attributes:
        difference: the model minus the best heuristic of the group.
        settled: whether the interval of the difference excludes 0.
    """

    slice: str
    value: str
    listeners: int
    mean: float
    difference: float
    settled: bool


@dataclass(frozen=True)
class CardMeasurements:
    """What the card says about the evaluation.

    Attributes:
        worst: the groups with the lowest values, the lowest first.
        best: the groups with the highest values, the highest first.
        small: names and sizes of groups with fewer than `MIN_LISTENERS` listeners.
        left_out: a line about metrics that the table leaves out, "" for none.
    """

    evaluation: Evaluation
    table: MetricTable
    worst: list[GroupResult]
    best: list[GroupResult]
    small: list[str]
    left_out: str

    @classmethod
    def read(cls, folder: Path, verdict: Verdict, label: str) -> Self:
        """Read the measurements of the model with that label and of the others beside it.

        Raises:
            EvaluationError: when the evaluation is incomplete, or the verdict is about another one.
        """
        evaluation = read_evaluation(folder)
        evaluation_digest = hashlib.sha256((folder / "evaluation.json").read_bytes()).hexdigest()
        if evaluation_digest != verdict.evaluation_digest:
            raise EvaluationError(f"{folder} is not the evaluation that was judged", "run again")
        compared = compared_slices(
            evaluation,
            read_users(folder, evaluation),
            lambda label, metric: read_per_user(folder, label, [metric])[metric].to_numpy(),
            verdict.primary,
        )
        # Without the first slice, which is the group of all listeners.
        compared = [part for part in compared if part.name != ALL]
        intervals = read_intervals(
            folder,
            evaluation,
            [
                *wanted_of_models(evaluation),
                *wanted_of_groups(evaluation, compared, live=False),
            ],
        )
        listener_slices = slices(evaluation, compared, intervals)
        place = [model.label for model in evaluation.models].index(label)
        groups = [
            GroupResult(
                slice=listener_slice.name,
                value=group.value,
                listeners=group.listeners,
                mean=cell.mean,
                difference=cell.difference,
                settled=cell.settled,
            )
            for listener_slice in listener_slices
            for group in listener_slice.groups
            if group.cells
            for cell in [group.cells[place]]
        ]
        groups.sort(key=lambda group: group.mean)
        # With few groups, none may stand among the worst and among the best.
        half = min(EXTREME_GROUPS, len(groups) // 2)
        small = [
            f"{listener_slice.name} {group.value} ({group.listeners:,})"
            for listener_slice in listener_slices
            for group in listener_slice.groups
            if not group.cells
        ]
        shown, left_out = without_silent_metrics(folder, evaluation, verdict.primary)
        return cls(
            evaluation=evaluation,
            table=metric_table(shown, intervals, ()),
            worst=groups[:half],
            best=groups[len(groups) - half :][::-1],
            small=small,
            left_out=left_out,
        )


def render_card(
    *,
    name: str,
    revision: int,
    run_id: str,
    model: Path,
    verdict: Verdict,
    evaluations: Path | None = None,
    training: Path | None = None,
    metadata: Mapping[str, object],
) -> str:
    """Render the card of a revision as Markdown.

    Args:
        name: of the model in the store.
        revision: its number.
        run_id: of the run that trained it.
        model: the model folder that ships.
        verdict: of the gate.
        evaluations: the evaluation folder; without it the card has no measurements.
        training: the folder with the training records of the candidates.
        metadata: of the manifest.

    Raises:
        ModelError: when the model or the record of its training cannot be read.
        EvaluationError: when the evaluation cannot be read, or the verdict is about another one.
    """
    info, files = read_info(model), file_digests(model)
    learned = verdict.ships == "candidate"
    settings = chosen(training).settings.model_dump(mode="json") if training and learned else {}
    return (
        _card_environment()
        .get_template("card.md.j2")
        .render(
            name=name,
            revision=revision,
            run_id=run_id,
            info=info,
            digest=folder_digest(model),
            files=len(files),
            size=sum((model / path).stat().st_size for path in files),
            # Other names are no Python arguments, and the example has to run as it stands.
            inputs=[name for name in info.categorical_inputs if name.isidentifier()],
            ages=HISTORY_AGE in info.inputs,
            settings=settings,
            verdict=verdict,
            unknown=[reason for reason in verdict.reasons if _leaves_open(reason)],
            measured=(
                CardMeasurements.read(evaluations, verdict, verdict.ships) if evaluations else None
            ),
            metadata=metadata,
            level=f"{CONFIDENCE_LEVEL:.0%}",
            fewest=MIN_LISTENERS,
        )
    )


def _leaves_open(reason: Reason) -> bool:
    """Whether a rule could have missed a difference, or left out groups that are too small."""
    return reason.detectable is not None or bool(reason.too_small)


def _value_with_interval(value: MetricValue) -> "EscapedMarkdown":
    # Escaped brackets: unescaped ones would be read as a link.
    interval = "" if value.low is None else f" \\[{value.low:.4f}, {value.high:.4f}\\]"
    return EscapedMarkdown(f"{value.mean:.4f}{interval}")


def _card_environment() -> Environment:
    # No HTML escaping, because the card is Markdown: `markdown` escapes every value, and
    # what would be HTML, too.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, EscapedMarkdown) else markdown(value),
    )
    environment.filters["with_interval"] = _value_with_interval
    return environment


class EscapedMarkdown(str):
    """Markdown that this module wrote itself, and that is not escaped again."""

    __slots__ = ()
