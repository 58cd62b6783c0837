"""The page that people judge a run by: one HTML file that needs nothing beside it.

Titles, tags and named inputs are untrusted text. Jinja2 escapes them, none of them enters the
script, and the page's own content security policy lets nothing run but that script.
"""

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from setlist.arrays import Int32s
from setlist.data.curation import CurationReport
from setlist.errors import SetlistError
from setlist.evaluation.results import (
    LEARNED_ROLES,
    Evaluation,
    read_evaluation,
    read_per_user,
    read_users,
)
from setlist.evaluation.statistics import CONFIDENCE_LEVEL, MIN_LISTENERS
from setlist.evaluation.verdict import Verdict
from setlist.models.selection import chosen, differences
from setlist.models.training_record import CHECK_K, TrainingRecord, read_training_records
from setlist.report.changes import live_settings, since
from setlist.report.curves import curves
from setlist.report.forest import forest
from setlist.report.listeners import DEPTH, EACH, sample
from setlist.report.popularity import Popularity
from setlist.report.tables import metric_table, shared_truth, slices
from setlist.report.tags import Places, Tags, TagShares
from setlist.report.templates import templates


@dataclass(frozen=True)
class Candidates:
    """The trainings of a run, for the page."""

    trainings: list[TrainingRecord]
    chosen: TrainingRecord
    differences: dict[str, str]
    drawing: Markup

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The candidates that left their trainings in the folder."""
        trainings, best = read_training_records(folder), chosen(folder)
        return cls(trainings, best, differences(trainings), _ours(curves(trainings, best.label)))


@dataclass(frozen=True)
class Glance:
    """What the lists are made of."""

    popularity: Popularity
    tags: TagShares | None
    places: Places | None

    @classmethod
    def of(
        cls,
        folder: Path,
        evaluation: Evaluation,
        users: pd.DataFrame,
        items: pd.DataFrame,
        tops: Mapping[str, Int32s],
    ) -> Self:
        """Look at the lists of the models that list anything."""
        plays = items["plays"].to_numpy(np.int64)
        popularity = Popularity.of(tops, plays, "candidate")
        tags = Tags([list(own) for own in items["tags"]])
        learned = [one.label for one in evaluation.models if one.role in LEARNED_ROLES]
        learned = [label for label in learned if label in tops]
        if not tags.names or not learned:
            return cls(popularity, None, None)
        truth = pd.read_parquet(folder / "truth.parquet")
        return cls(
            popularity,
            tags.compare(plays, tops, learned),
            tags.places(users, evaluation.slices, truth, tops),
        )


def write_report(
    evaluations: Path,
    verdict: Path,
    page: Path,
    training: Path | None = None,
    *,
    curation: str = "",
    rivals: Path | None = None,
    store: str = "",
    name: str = "",
    each: int = EACH,
) -> None:
    """Write the report of a run: verdict, models, what they list and to whom, and the data.

    Args:
        evaluations: what `evaluate` wrote.
        verdict: what the gate wrote about it.
        page: the HTML file, written beside and then renamed.
        training: what the trainings of the candidates left; None where the candidate was not
            trained here.
        curation: the account of the curation as JSON; "" where it is not at hand.
        rivals: what `resolve_live` fetched; None where it is not at hand.
        store: where the live model's settings are looked up; "" for nowhere.
        name: of the model in the store.
        each: how many listeners of each segment are shown.

    Raises:
        SetlistError: when the evaluation or the verdict is missing or incomplete, the verdict is
            about another evaluation, or the page cannot be written.
    """
    evaluation = read_evaluation(evaluations)
    judged = Verdict.read(verdict)
    evaluated = hashlib.sha256((evaluations / "evaluation.json").read_bytes()).hexdigest()
    if judged.evaluation_digest != evaluated:
        raise SetlistError(
            f"{verdict} is not about the evaluation in {evaluations}; run the gate again."
        )
    users = read_users(evaluations, evaluation)
    for part in ("items.parquet", "truth.parquet"):
        if not (evaluations / part).is_file():
            raise SetlistError(f"{evaluations / part} is missing; evaluate the models again.")
    items = pd.read_parquet(evaluations / "items.parquet")
    scores = {model.label: read_per_user(evaluations, model.label) for model in evaluation.models}
    tops = {model.label: _top(evaluations / model.label / "top.npy") for model in evaluation.models}
    silent = {label for label, top in tops.items() if (top < 0).all()}
    speaking = {label: top for label, top in tops.items() if label not in silent}
    candidates = Candidates.read(training) if training else None
    live = next((one for one in evaluation.models if one.role == "live"), None)
    primary = judged.primary
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            verdict=judged,
            primary=primary,
            level=f"{CONFIDENCE_LEVEL:.0%}",
            silent=silent,
            table=metric_table(evaluation, scores, silent),
            shared=shared_truth(evaluation, scores, primary),
            forest=_ours(forest(judged.reasons, primary)),
            glance=Glance.of(evaluations, evaluation, users, items, speaking),
            slices=slices(evaluation, users, scores, primary, live=True),
            listeners=sample(evaluations, users, tops, scores, primary, each),
            since=since(
                evaluation,
                scores,
                items,
                candidates.chosen.settings.model_dump(mode="json") if candidates else {},
                rivals / live.label if rivals and live else None,
                live_settings(store, name, live.revision or 0) if store and live else None,
            ),
            candidates=candidates,
            curation=CurationReport.model_validate_json(curation) if curation else None,
        )
    )
    partial = page.with_name(f".{page.name}.partial")
    try:
        partial.write_text(html, "utf-8")
        partial.replace(page)
    except OSError as fault:
        with suppress(OSError):
            partial.unlink()
        raise SetlistError(
            f"{page} cannot be written ({fault.strerror or fault}); name a file in a folder that "
            "is there and can be written."
        ) from fault


def _top(path: Path) -> Int32s:
    if not path.is_file():
        raise SetlistError(f"{path} is missing; evaluate the models again.")
    top: Int32s = np.load(path, mmap_mode="r")[:, :DEPTH]
    return top


def _ours(drawing: str) -> Markup:
    """A drawing, which has escaped what stands in it."""
    return Markup(drawing)  # noqa: S704


def _number(value: float) -> str:
    """Four decimals for shares and the like, fewer for large numbers."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def _source_hash(script: str) -> str:
    """What a content security policy calls this very script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _environment() -> Environment:
    environment = templates(Path(__file__).parent)
    environment.filters |= {"number": _number, "source_hash": _source_hash, "ours": _ours}
    environment.globals |= {"fewest": MIN_LISTENERS, "check_k": CHECK_K, "depth": DEPTH}
    return environment
