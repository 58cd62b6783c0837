"""Evaluating lists of any recommender, without a model and without a pipeline.

The first table of lists is the candidate. The others are what it has to beat, by the margin that a
policy asks over heuristics.
"""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from setlist.data.features import Features
from setlist.errors import EvaluationError, SettingsError
from setlist.evaluation.contenders import AnyContender, Contender
from setlist.evaluation.evaluator import evaluate_on
from setlist.evaluation.gate import gate
from setlist.evaluation.given_heuristics import Heuristics, fit_given, heuristic_names
from setlist.evaluation.given_tables import Given
from setlist.evaluation.given_truth import NOBODY_RETURNS, STRANGE_HISTORY, read_truth
from setlist.evaluation.groups import EVERYBODY
from setlist.evaluation.intervals import Quantity, read_intervals
from setlist.evaluation.named_lists import Lists, list_contenders_of, named_lists
from setlist.evaluation.notebook import html_line, html_table
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import (
    EvaluatedModel,
    Evaluation,
    EvaluationSettings,
    MetricInfo,
    read_values,
)
from setlist.evaluation.setup import HeldOut
from setlist.evaluation.shown_intervals import primary_metric, wanted_of_models
from setlist.evaluation.silent_models import without_silent_metrics
from setlist.evaluation.statistics import CONFIDENCE_LEVEL
from setlist.evaluation.verdict import Verdict
from setlist.printable import one_line


class ListEvaluation:
    """An evaluation of lists: its numbers, the verdict of a policy on it, and its report.

    Attributes:
        evaluation: what was evaluated, on what.
        folder: the evaluation folder, which `setlist.judge` reads too; it is removed with this
            object where no folder was named.
    """

    def __init__(self, evaluation: Evaluation, folder: Path, scratch: Path | None = None) -> None:
        """Hold an evaluation that was written.

        Args:
            evaluation: as in the folder.
            folder: of the evaluation.
            scratch: a folder to remove with this object; None for none.
        """
        self.evaluation = evaluation
        self.folder = folder
        if scratch:
            weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)

    @property
    def notes(self) -> list[str]:
        """What is odd about lists or history, a sentence each with the name of its table."""
        models = self.evaluation.models
        strange = any(NOBODY_RETURNS in model.not_asked for model in models)
        return [
            *((STRANGE_HISTORY,) if strange else ()),
            *(f"{model.label}: {note}" for model in models for note in model.notes),
        ]

    def table(self) -> pd.DataFrame:
        """One row a table of lists or model, one column a metric.

        A metric that reads tags is missing where no item has any: it would say nothing of a list.
        """
        names = [metric.name for metric in self.evaluation.metrics]
        shown, _ = without_silent_metrics(self.folder, self.evaluation)
        values = {m.label: read_values(self.folder, m) for m in self.evaluation.models}
        of_models = pd.DataFrame.from_dict(values, orient="index")
        telling = of_models.reindex(columns=[metric.name for metric in shown.metrics])
        return telling.reindex(columns=names)

    def judge(self, policy: Policy | None = None) -> Verdict:
        """The verdict of a policy: the rules of a pipeline, as far as lists can be asked.

        Args:
            policy: what the candidate has to show; None for the default policy, without guardrails
                on metrics that are not evaluated here.

        Raises:
            EvaluationError: when there is nothing to compare with.
            SettingsError: when the policy reads what is not evaluated.
        """
        return judge_lists(self.folder, self.evaluation, policy)

    def report(self, path: str | Path, policy: Policy | None = None) -> Path:
        """Write the report as one HTML file, with the verdict of the policy; its path.

        Args:
            path: the file.
            policy: as for `judge`.

        Raises:
            EvaluationError: when there is nothing to compare with.
            SettingsError: when the page cannot be written there, or `judge` raises it.
        """
        # Imported here: a notebook that draws nothing needs no templates and no drawing library.
        from setlist.report.page import write_report

        page, verdict = Path(path), self.folder / "verdict.json"
        if page.is_dir():
            raise SettingsError(
                f"{page} is a folder", f"name a file in it, such as {page / 'report.html'}"
            )
        self.judge(policy).write(verdict)
        write_report(self.folder, verdict, page)
        return page

    def __repr__(self) -> str:
        about, table, notes = self._shown()
        return "\n".join([about, table.to_string(), *map(one_line, notes)])

    def _repr_html_(self) -> str:
        about, table, notes = self._shown()
        rows = [
            [str(label), *row] for label, row in zip(table.index, table.to_numpy(), strict=True)
        ]
        head = ["lists", *table.columns]
        return html_line(about) + html_table(head, rows) + "".join(map(html_line, notes))

    def _shown(self) -> tuple[str, pd.DataFrame, list[str]]:
        """A line on the evaluation, its values with their 95% intervals as text, and its notes."""
        evaluation, left_out = without_silent_metrics(self.folder, self.evaluation)
        intervals = read_intervals(self.folder, evaluation, wanted_of_models(evaluation))

        def cell(model: EvaluatedModel, metric: MetricInfo) -> str:
            if metric.per == "corpus":
                return f"{model.corpus[metric.name]:.4f}"
            interval = intervals.of(EVERYBODY, Quantity(metric.name, model.label))
            return f"{interval.mean:.4f} ±{(interval.high - interval.low) / 2:.4f}"

        about = (
            f"{evaluation.listeners:,} listeners, {evaluation.catalogue:,} items, "
            f"{evaluation.shelf} shelf, {CONFIDENCE_LEVEL:.0%} intervals"
        )
        table = pd.DataFrame(
            [[cell(model, metric) for metric in evaluation.metrics] for model in evaluation.models],
            [model.label for model in evaluation.models],
            [metric.label for metric in evaluation.metrics],
        )
        return about, table, [*filter(None, (left_out, *self.notes))]


def judge_lists(folder: Path, evaluation: Evaluation, policy: Policy | None) -> Verdict:
    """`ListEvaluation.judge` for the folder of an evaluation of lists."""
    _check_type("policy", policy, Policy)
    if not any(model.role == "heuristic" for model in evaluation.models):
        raise EvaluationError(
            "the candidate is evaluated alone, so there is nothing to judge it against",
            "give a second table of lists, such as what people get now or the most played items",
        )
    chosen, left_out = (policy, []) if policy else _default_policy(evaluation)
    verdict = gate(folder, chosen, None, evaluation)
    return verdict.model_copy(update={"not_asked": [*verdict.not_asked, *left_out]})


def _default_policy(evaluation: Evaluation) -> tuple[Policy, list[str]]:
    """The default policy as far as the metrics of an evaluation go, and what is left out of it."""
    names = {metric.name for metric in evaluation.metrics}
    default = Policy()
    primary = default.primary if default.primary in names else primary_metric(evaluation)
    if not primary:
        raise SettingsError(
            f"policy.primary: no metric that is evaluated can be compared ({', '.join(names)})",
            "evaluate an accuracy metric such as ndcg@10, too",
        )
    guardrails = tuple(rule for rule in default.guardrails if rule.metric in names)
    left_out = [
        f"the guardrail on {rule.metric}: it is not evaluated"
        for rule in default.guardrails
        if rule.metric not in names
    ]
    return default.model_copy(update={"primary": primary, "guardrails": guardrails}), left_out


def evaluate_lists(
    lists: Lists,
    truth: Given,
    *,
    items: Given | None = None,
    users: Given | None = None,
    history: Given | None = None,
    heuristics: Heuristics = False,
    settings: EvaluationSettings | None = None,
    output: str | Path | None = None,
) -> ListEvaluation:
    """`setlist.evaluate` for tables of lists and a table of what listeners played."""
    _check_type("settings", settings, EvaluationSettings)
    names = heuristic_names(heuristics, history is not None)
    tables = named_lists(lists)
    if same := next((label for label in tables if label in names), None):
        raise SettingsError(
            f"lists: {same} is the name of a heuristic beside them", "name these lists otherwise"
        )
    given = read_truth(list(tables.values()), truth, items, users, history, settings)
    contenders = list_contenders_of(tables, given.not_asked)

    with tempfile.TemporaryDirectory(prefix="setlist-") as models:
        fitted = fit_given(given.features, names, Path(models)) if names else []
        return _evaluated(
            given.test, [*contenders, *fitted], given.features, given.settings, output
        )


def evaluate_lists_on(
    lists: Lists,
    features: Path,
    dataset: Path,
    heuristics: Sequence[Path],
    settings: EvaluationSettings,
    output: str | Path | None = None,
) -> ListEvaluation:
    """Evaluate lists on the data of a pipeline, beside heuristics.

    Args:
        lists: a table, or tables by name; the first is the candidate.
        features: the folder that `transform` wrote.
        dataset: the folder that `curate` wrote.
        heuristics: model folders; their names become labels.
        settings: metrics, shelf and slices.
        output: the evaluation folder; None for one that is removed with what is returned.

    Raises:
        SetlistError: as `evaluate_lists`.
    """
    table = Features.read(features)
    contenders: list[AnyContender] = [
        *list_contenders_of(named_lists(lists), ()),
        *(Contender(folder, folder.name, "heuristic") for folder in heuristics),
    ]
    return _evaluated(HeldOut.read(dataset, table), contenders, table, settings, output)


def _check_type(name: str, value: object, expected: type) -> None:
    if value is not None and not isinstance(value, expected):
        raise SettingsError(
            f"{name}: a {type(value).__name__} is no {expected.__name__}",
            f"write setlist.{expected.__name__}(...)",
        )


def _evaluated(
    test: HeldOut,
    contenders: Sequence[AnyContender],
    features: Features,
    settings: EvaluationSettings,
    output: str | Path | None,
) -> ListEvaluation:
    if output is not None:
        folder = Path(output)
        return ListEvaluation(evaluate_on(test, contenders, features, settings, folder), folder)
    scratch = Path(tempfile.mkdtemp(prefix="setlist-"))
    try:
        folder = scratch / "evaluation"
        evaluation = evaluate_on(test, contenders, features, settings, folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return ListEvaluation(evaluation, folder, scratch)
