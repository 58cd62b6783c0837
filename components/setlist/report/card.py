"""The model card: a page of Markdown on what a revision is, its worth, and what is not known.

It is made from what a run left, without a look at the clock: a push that is repeated writes the
same. Names, groups and sentences are untrusted text; `plain` escapes every one of them.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from setlist.data.schema import HISTORY_AGE
from setlist.errors import SetlistError
from setlist.evaluation.results import (
    Evaluation,
    read_evaluation,
    read_per_user,
    read_users,
)
from setlist.evaluation.statistics import CONFIDENCE_LEVEL, MIN_LISTENERS
from setlist.evaluation.verdict import Reason, Verdict
from setlist.models.contract import file_digests, folder_digest, read_info
from setlist.models.selection import chosen
from setlist.report.tables import Slice, Table, Value, metric_table, slices

EXTREMES = 3
"""How many groups are shown of the worst served, and of the best."""
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True)
class Group:
    """Listeners of one group: what the model is worth to them, less the best heuristic there."""

    slice: str
    value: str
    listeners: int
    mean: float
    difference: float
    settled: bool


@dataclass(frozen=True)
class Measured:
    """The evaluation as the card tells it."""

    evaluation: Evaluation
    table: Table
    worst: list[Group]
    best: list[Group]
    small: list[str]

    @classmethod
    def read(cls, folder: Path, verdict: Verdict, label: str) -> Self:
        """What was measured of the model with that label, and of those beside it.

        Raises:
            SetlistError: when the evaluation is incomplete, or not the one that was judged.
        """
        evaluation = read_evaluation(folder)
        found = hashlib.sha256((folder / "evaluation.json").read_bytes()).hexdigest()
        if found != verdict.evaluation_digest:
            raise SetlistError(f"{folder} is not the evaluation that was judged; run again.")
        scores = {model.label: read_per_user(folder, model.label) for model in evaluation.models}
        found_slices = _by_group(folder, evaluation, scores, verdict.primary)
        place = [model.label for model in evaluation.models].index(label)
        groups = [
            Group(one.name, group.value, group.listeners, cell.mean, cell.difference, cell.settled)
            for one in found_slices
            for group in one.groups
            if group.cells
            for cell in [group.cells[place]]
        ]
        groups.sort(key=lambda group: group.mean)
        half = min(EXTREMES, len(groups) // 2)
        small = [
            f"{one.name} {group.value} ({group.listeners:,})"
            for one in found_slices
            for group in one.groups
            if not group.cells
        ]
        table = metric_table(evaluation, scores, ())
        return cls(evaluation, table, groups[:half], groups[len(groups) - half :][::-1], small)


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
    """The card of a revision, in Markdown.

    Args:
        name: of the model in the store.
        revision: its number.
        run_id: of the run that made it.
        model: the model folder that ships.
        verdict: the gate's.
        evaluations: what `evaluate` wrote; without it the card has no measurements.
        training: what the trainings of the candidates left.
        metadata: of the manifest.

    Raises:
        SetlistError: when the model, the evaluation or the training cannot be read.
    """
    info, files = read_info(model), file_digests(model)
    learned = verdict.ships == "candidate"
    settings = chosen(training).settings.model_dump(mode="json") if training and learned else {}
    return (
        _environment()
        .get_template("card.md.j2")
        .render(
            name=name,
            revision=revision,
            run_id=run_id,
            info=info,
            digest=folder_digest(model),
            files=len(files),
            size=sum((model / path).stat().st_size for path in files),
            inputs=[one for one in info.categorical_inputs if one.isidentifier()],
            ages=HISTORY_AGE in info.inputs,
            settings=settings,
            verdict=verdict,
            unknown=[reason for reason in verdict.reasons if _says_little(reason)],
            measured=(Measured.read(evaluations, verdict, verdict.ships) if evaluations else None),
            metadata=metadata,
            level=f"{CONFIDENCE_LEVEL:.0%}",
            fewest=MIN_LISTENERS,
        )
    )


def plain(value: object) -> str:
    """Any text as Markdown that shows it in one line: no markup, no link, no HTML."""
    text = " ".join(str(value).split())
    for pattern, instead in (
        (r"[&<>]", lambda found: ENTITIES[found[0]]),
        (r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>"),
        # What looks like an address becomes a link by itself.
        (r":(?=//)|(?<=mailto):|(?<=xmpp):", "&#58;"),
        (r"(?<=www)\.", "&#46;"),
        (r"@(?=[\w-]+\.)", "&#64;"),
    ):
        text = re.sub(pattern, instead, text, flags=re.IGNORECASE)
    return text


def _by_group(
    folder: Path, evaluation: Evaluation, scores: Mapping[str, pd.DataFrame], primary: str
) -> list[Slice]:
    """The slices of listeners and of truth, without the one of all."""
    users = read_users(folder, evaluation)
    return [one for one in slices(evaluation, users, scores, primary) if one.name != "all"]


def _says_little(reason: Reason) -> bool:
    return reason.detectable is not None or "too few to say" in reason.sentence


def _value(value: Value) -> str:
    interval = "" if value.low is None else f" \\[{value.low:.4f}, {value.high:.4f}\\]"
    return f"{value.mean:.4f}{interval}"


def _environment() -> Environment:
    # Markdown, not HTML: `plain` escapes whatever is put in, also what would be HTML.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Ready) else plain(value),
    )
    environment.filters["value"] = lambda value: Ready(_value(value))
    return environment


class Ready(str):
    """Markdown of our own, not escaped again."""

    __slots__ = ()
