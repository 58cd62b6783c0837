"""The page that people judge a run by: one HTML file that needs nothing beside it.

Titles, tags and named inputs are untrusted text. Jinja2 escapes them, none of them enters the
script, and the page's own content security policy lets nothing run but that script.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.dashboard.curves import curves
from components.dashboard.listeners import DEPTH, sample
from components.dashboard.tables import metric_table, shared_truth, slices
from components.errors import SetlistError
from components.evaluation.evaluation import read_evaluation, read_per_user, read_users
from components.evaluation.ranking import Codes
from components.evaluation.statistics import FEWEST, LEVEL
from components.evaluation.verdict import Reason, Verdict
from components.models.choose import chosen, differences
from components.models.training import CHECK_K, Training, read_trainings

PLOT = 380.0
"""Width of the plotting area in the units of the drawing."""


@dataclass(frozen=True)
class Mark:
    """One row of the interval plot; positions are in units of the drawing."""

    reason: Reason
    mean: float
    low: float
    high: float
    needed: float


@dataclass(frozen=True)
class Forest:
    """Paired differences of the candidate as an interval plot."""

    marks: list[Mark]
    ticks: list[tuple[float, str]]
    width: float = PLOT


@dataclass(frozen=True)
class Candidates:
    """The trainings of a run, for the page."""

    trainings: list[Training]
    chosen: Training
    differences: dict[str, str]
    drawing: Markup

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The candidates that left their trainings in the folder."""
        trainings, best = read_trainings(folder), chosen(folder)
        # The drawing escapes what stands in it.
        drawing = Markup(curves(trainings, best.label))  # noqa: S704
        return cls(trainings, best, differences(trainings), drawing)


def write_report(
    evaluations: Path, verdict: Path, page: Path, training: Path | None = None
) -> None:
    """Write the report of a run: verdict, models, slices, sampled listeners and data.

    Args:
        evaluations: what `evaluate` wrote.
        verdict: what the gate wrote about it.
        page: the HTML file, written beside and then renamed.
        training: what the trainings of the candidates left; None where the candidate was not
            trained here.

    Raises:
        SetlistError: when the evaluation or the verdict is missing or incomplete, or the verdict
            is about another evaluation.
    """
    evaluation = read_evaluation(evaluations)
    judged = Verdict.read(verdict)
    evaluated = hashlib.sha256((evaluations / "evaluation.json").read_bytes()).hexdigest()
    if judged.evaluation_digest != evaluated:
        raise SetlistError(
            f"{verdict} is not about the evaluation in {evaluations}; run the gate again."
        )
    users = read_users(evaluations, evaluation)
    for name in ("items.parquet", "truth.parquet"):
        if not (evaluations / name).is_file():
            raise SetlistError(f"{evaluations / name} is missing; evaluate the models again.")
    scores = {model.label: read_per_user(evaluations, model.label) for model in evaluation.models}
    tops = {model.label: _top(evaluations / model.label / "top.npy") for model in evaluation.models}
    silent = {label for label, top in tops.items() if (top < 0).all()}
    primary = judged.primary
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            verdict=judged,
            primary=primary,
            level=f"{LEVEL:.0%}",
            silent=silent,
            table=metric_table(evaluation, scores, silent),
            shared=shared_truth(evaluation, scores, primary),
            forest=forest(judged.reasons),
            slices=slices(evaluation, users, scores, primary),
            listeners=sample(evaluations, users, tops, scores, primary),
            candidates=Candidates.read(training) if training else None,
        )
    )
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(html, "utf-8")
    partial.replace(page)


def _top(path: Path) -> Codes:
    if not path.is_file():
        raise SetlistError(f"{path} is missing; evaluate the models again.")
    top: Codes = np.load(path, mmap_mode="r")[:, :DEPTH]
    return top


def forest(reasons: Sequence[Reason]) -> Forest:
    """The paired rules of the verdict, laid out on one axis that holds zero."""
    paired = [
        (reason, reason.low, reason.high)
        for reason in reasons
        if reason.low is not None and reason.high is not None
    ]
    ends = [0.0, *(x for reason, low, high in paired for x in (low, high, reason.needed))]
    step = _nice((max(ends) - min(ends)) / 5)
    first, last = math.floor(min(ends) / step), math.ceil(max(ends) / step)

    def x(value: float) -> float:
        return round((value / step - first) / max(last - first, 1) * PLOT, 1)

    return Forest(
        marks=[
            Mark(reason, x(reason.value), x(low), x(high), x(reason.needed))
            for reason, low, high in paired
        ],
        ticks=[
            (x(tick * step), f"{tick * step:+.3g}" if tick else "0")
            for tick in range(first, last + 1)
        ],
    )


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... times a power of ten; 1 for no length at all."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= step)


def _number(value: float) -> str:
    """Four decimals for shares and the like, fewer for large numbers."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def _source_hash(script: str) -> str:
    """What a content security policy calls this very script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"number": _number, "source_hash": _source_hash}
    environment.globals |= {"fewest": FEWEST, "check_k": CHECK_K}
    return environment
