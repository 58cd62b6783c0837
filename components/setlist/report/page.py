"""The report of a run: one HTML file by which people judge the candidate.

Titles, tags and named inputs are untrusted text. Jinja2 escapes them, none of them enters the
script, and the content security policy of the page allows no other script than its own.
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
from setlist.data.curation_report import CurationReport
from setlist.data.verdict import DataVerdict
from setlist.errors import EvaluationError, SettingsError
from setlist.evaluation.given_truth import NO_CATALOGUE
from setlist.evaluation.groups import PLAYS_OF, compared_slices
from setlist.evaluation.intervals import read_intervals
from setlist.evaluation.results import (
    LEARNED_ROLES,
    LISTENER_SLICE,
    Evaluation,
    read_evaluation,
    read_per_user,
    read_users,
)
from setlist.evaluation.shown_intervals import (
    wanted_of_groups,
    wanted_of_models,
    wanted_of_shared_truth,
    wanted_since_live,
)
from setlist.evaluation.silent_models import (
    describe_silence,
    silent_heuristics,
    without_silent_metrics,
)
from setlist.evaluation.statistics import CONFIDENCE_LEVEL, MIN_LISTENERS
from setlist.evaluation.verdict import Verdict
from setlist.models.selection import chosen, differences
from setlist.models.training_record import CHECK_K, TrainingRecord, read_training_records
from setlist.report.changes import changes_since_live, live_settings
from setlist.report.curves import draw_curves
from setlist.report.forest import draw_forest
from setlist.report.identity import Identity
from setlist.report.listeners import DEPTH, LISTENERS_PER_SEGMENT, listener_cards
from setlist.report.popularity import Popularity
from setlist.report.tables import metric_table, shared_truth, slices
from setlist.report.tags import GroupTags, Tags, TagShares
from setlist.report.untrusted_text import html_templates


@dataclass(frozen=True)
class Candidates:
    """The trainings of a run's candidates, and a drawing of them.

    Attributes:
        chosen: the training of the candidate that the gate judged.
        differences: by label, the settings in which a candidate differs from the others.
    """

    trainings: list[TrainingRecord]
    chosen: TrainingRecord
    differences: dict[str, str]
    drawing: Markup

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the training records in the folder.

        Raises:
            ModelError: when a record is missing or damaged.
        """
        trainings, best = read_training_records(folder), chosen(folder)
        drawing = _trusted_markup(draw_curves(trainings, best.label))
        return cls(trainings, best, differences(trainings), drawing)


@dataclass(frozen=True)
class Glance:
    """What the lists consist of: by popularity, by tag, and by tag and group of listeners."""

    popularity: Popularity
    tags: TagShares | None
    group_tags: GroupTags | None

    @classmethod
    def of(
        cls,
        folder: Path,
        evaluation: Evaluation,
        users: pd.DataFrame,
        items: pd.DataFrame,
        tops: Mapping[str, Int32s],
    ) -> Self:
        """Summarise the lists.

        Args:
            folder: the evaluation folder.
            evaluation: read from it.
            users: its `users.parquet`.
            items: its `items.parquet`.
            tops: int32[listeners, depth] of each model that lists anything.
        """
        plays = items["plays"].to_numpy(np.int64)
        candidates = [model.label for model in evaluation.models if model.role == "candidate"]
        popularity = Popularity.of(tops, plays, candidates[0])
        tags = Tags([list(item_tags) for item_tags in items["tags"]])
        learned = [model.label for model in evaluation.models if model.role in LEARNED_ROLES]
        learned = [label for label in learned if label in tops]
        if not tags.names or not learned:
            return cls(popularity, None, None)
        truth = pd.read_parquet(folder / "truth.parquet")
        return cls(
            popularity,
            tags.compare(plays, tops, learned),
            tags.by_group(users, evaluation.slices, truth, tops),
        )


def write_report(
    evaluations: Path,
    verdict: Path,
    page: Path,
    training: Path | None = None,
    *,
    curation: str = "",
    data_verdict: Path | None = None,
    live_models: Path | None = None,
    identity: Identity | None = None,
    per_segment: int = LISTENERS_PER_SEGMENT,
) -> None:
    """Write the report of a run: verdict, models, their lists, and the data.

    Args:
        evaluations: the evaluation folder.
        verdict: the file that the gate wrote about it.
        page: the HTML file to write. It is written under another name and then renamed, so that
            nobody reads half a page.
        training: the folder with the training records of the candidates; None if the candidate was
            not trained by this run.
        curation: the account of the curation as JSON; "" if it is not available.
        data_verdict: the verdict of the gate for data; None if it is not available.
        live_models: the folder into which `resolve_live` fetched; None if it is not available.
        identity: of the run; None for lists that somebody gave. The settings of the live model are
            looked up in its store.
        per_segment: how many listeners of each segment are shown.

    Raises:
        EvaluationError: when the evaluation or the verdict is missing or incomplete, or the
            verdict is about another evaluation.
        ModelError: when a training record is missing or damaged.
        SettingsError: when the page cannot be written there.
    """
    identity = identity or Identity()
    evaluation = read_evaluation(evaluations)
    judged = Verdict.read(verdict)
    evaluation_digest = hashlib.sha256((evaluations / "evaluation.json").read_bytes()).hexdigest()
    if judged.evaluation_digest != evaluation_digest:
        raise EvaluationError(
            f"{verdict} is not about the evaluation in {evaluations}", "run the gate again"
        )
    users = read_users(evaluations, evaluation)
    items = pd.read_parquet(_existing(evaluations / "items.parquet"))
    _existing(evaluations / "truth.parquet")
    scores = {model.label: read_per_user(evaluations, model.label) for model in evaluation.models}
    tops = {model.label: _top(evaluations / model.label / "top.npy") for model in evaluation.models}
    silent = {label for label, top in tops.items() if (top < 0).all()}
    folded = silent_heuristics(evaluations, evaluation)
    listing = {label: top for label, top in tops.items() if label not in silent}
    candidates = Candidates.read(training) if training else None
    live = next((model for model in evaluation.models if model.role == "live"), None)
    primary = judged.primary
    # Who gives lists may give no plays before them: then nothing is known of what was popular, or
    # of how long a listener is here.
    history = bool(items["plays"].any())
    meaningful, left_out = without_silent_metrics(evaluations, evaluation, primary)
    compared = compared_slices(
        evaluation, users, lambda label, metric: scores[label][metric].to_numpy(np.float64), primary
    )
    if not history:
        compared = [part for part in compared if part.name not in (LISTENER_SLICE, PLAYS_OF)]
    intervals = read_intervals(
        evaluations,
        evaluation,
        [
            *wanted_of_models(evaluation),
            *wanted_since_live(evaluation),
            *wanted_of_shared_truth(evaluation, primary),
            *wanted_of_groups(evaluation, compared, live=True),
        ],
    )
    html = (
        _page_environment()
        .get_template("report.html.j2")
        .render(
            identity=identity,
            evaluation=evaluation,
            verdict=judged,
            primary=primary,
            level=f"{CONFIDENCE_LEVEL:.0%}",
            silent=silent,
            silence=describe_silence(evaluation, folded),
            left_out=left_out,
            history=history,
            catalogue=not any(NO_CATALOGUE in model.not_asked for model in evaluation.models),
            shown=[model for model in evaluation.models if model.label not in folded],
            table=metric_table(meaningful, intervals, silent, folded),
            shared=shared_truth(meaningful, scores, intervals, primary),
            forest=_trusted_markup(draw_forest(judged.reasons, primary)),
            glance=Glance.of(evaluations, evaluation, users, items, listing),
            slices=slices(evaluation, compared, intervals, live=True, folded=folded),
            listeners=listener_cards(evaluations, users, tops, scores, primary, per_segment),
            changes=changes_since_live(
                meaningful,
                scores,
                intervals,
                items,
                candidates.chosen.settings.model_dump(mode="json") if candidates else {},
                live_models / live.label if live_models and live else None,
                live_settings(identity.store, identity.name, live.revision or 0)
                if identity.store and live
                else None,
            ),
            candidates=candidates,
            curation=CurationReport.model_validate_json(curation) if curation else None,
            data_verdict=DataVerdict.read(data_verdict) if data_verdict else None,
        )
    )
    partial = page.with_name(f".{page.name}.partial")
    try:
        partial.write_text(html, "utf-8")
        partial.replace(page)
    except OSError as fault:
        # The first fault is the one to report; the partial file may not even exist.
        with suppress(OSError):
            partial.unlink()
        raise SettingsError(
            f"{page} cannot be written ({fault.strerror or fault})",
            "name a file in a folder that exists and is writable",
        ) from fault


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise EvaluationError(f"{path} is missing", "evaluate the models again")
    return path


def _top(path: Path) -> Int32s:
    """int32[listeners, depth]: the top of each list, read from disk when it is used."""
    top: Int32s = np.load(_existing(path), mmap_mode="r")[:, :DEPTH]
    return top


def _trusted_markup(drawing: str) -> Markup:
    """Mark a drawing as safe: `svg_element` has escaped all text in it."""
    return Markup(drawing)  # noqa: S704


def _number(value: float) -> str:
    """Format a number with four decimals, large ones with one."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def _source_hash(script: str) -> str:
    """The hash by which a content security policy allows exactly this script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _page_environment() -> Environment:
    environment = html_templates(Path(__file__).parent)
    environment.filters |= {
        "number": _number,
        "source_hash": _source_hash,
        "trusted_markup": _trusted_markup,
    }
    environment.globals |= {"fewest": MIN_LISTENERS, "check_k": CHECK_K, "depth": DEPTH}
    return environment
