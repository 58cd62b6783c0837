"""Intervals are computed once: what is stored is what would be computed, and of these values."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.setlist.report.written import build

from setlist.errors import EvaluationError
from setlist.evaluation import comparison, intervals, progress
from setlist.evaluation.gate import gate
from setlist.evaluation.groups import EVERYBODY, Group
from setlist.evaluation.intervals import (
    Quantity,
    read_intervals,
    write_intervals,
)
from setlist.evaluation.policy import Policy
from setlist.evaluation.progress import Progress
from setlist.evaluation.results import Evaluation, read_evaluation
from setlist.evaluation.shown_intervals import primary_metric, wanted_of_evaluation
from setlist.evaluation.statistics import bootstrap
from setlist.evaluation.verdict import SeenHead, Verdict
from setlist.report.card import CardMeasurements
from setlist.report.page import write_report

HEAD = SeenHead(live=7, version="1")
POLICY = Policy(guardrails=(), over_heuristics=0.05)


def keep_intervals(folder: Path) -> Evaluation:
    """Do what `evaluate` does at its end."""
    evaluation = read_evaluation(folder)
    evaluation.intervals_digest = write_intervals(
        folder, evaluation, wanted_of_evaluation(folder, evaluation, primary_metric(evaluation))
    )
    (folder / "evaluation.json").write_text(json.dumps(evaluation.model_dump()))
    return evaluation


def values(folder: Path, label: str) -> pd.Series:
    return pd.read_parquet(folder / label / "per_user.parquet")["ndcg@10"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """The evaluation of `build`, with noise, so that no two intervals are equal."""
    evaluations, _ = build(tmp_path)
    generator = np.random.default_rng(3)
    for path in sorted(evaluations.glob("*/per_user.parquet")):
        table = pd.read_parquet(path)
        table *= generator.uniform(0.2, 1, table.shape)
        table.to_parquet(path, index=False)
    return evaluations


@pytest.fixture
def no_resampling(monkeypatch) -> None:
    """Whoever computes an interval of the evaluation fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("an interval is computed again")

    monkeypatch.setattr(intervals, "bootstrap", refuse)


def test_an_interval_is_that_of_the_bootstrap(folder):
    evaluation = keep_intervals(folder)
    known = read_intervals(folder, evaluation, [])
    candidate, live = values(folder, "candidate"), values(folder, "live-7")
    for quantity, series in (
        (Quantity("ndcg@10", "candidate"), candidate),
        (Quantity("ndcg@10", "candidate", "live-7"), candidate - live),
    ):
        [expected] = bootstrap(series.to_numpy()[:, None])
        assert known.of(EVERYBODY, quantity) == expected
    swedes = (pd.read_parquet(folder / "users.parquet")["country"] == "SE").to_numpy()
    [expected] = bootstrap((candidate - live).to_numpy()[swedes][:, None])
    quantity = Quantity("ndcg@10", "candidate", "live-7")
    assert known.of(Group("country", "SE"), quantity) == expected


def test_stored_or_computed_it_is_the_same_to_the_last_bit(folder):
    evaluation = keep_intervals(folder)
    wanted = wanted_of_evaluation(folder, evaluation, "ndcg@10")
    stored = read_intervals(folder, evaluation, wanted)
    (folder / "intervals.json").unlink()
    computed = read_intervals(folder, evaluation, wanted)
    asked = [(group, quantity) for group, some in wanted for quantity in some]
    assert len(asked) > 40
    for group, quantity in asked:
        assert repr(stored.of(group, quantity)) == repr(computed.of(group, quantity))


def test_report_and_card_are_the_same_and_compute_nothing(folder, tmp_path, request):
    def shown(name: str) -> tuple[str, object]:
        verdict = tmp_path / f"verdict-{name}"
        gate(folder, POLICY, HEAD).write(verdict)
        write_report(folder, verdict, tmp_path / name)
        card = CardMeasurements.read(folder, Verdict.read(verdict), "candidate")
        html = (tmp_path / name).read_text()
        return html.replace(Verdict.read(verdict).evaluation_digest, ""), (
            card.table,
            card.worst,
            card.best,
            card.small,
        )

    before = shown("before")
    keep_intervals(folder)
    request.getfixturevalue("no_resampling")
    assert shown("after") == before


def test_another_primary_metric_is_computed_where_it_is_shown(folder, tmp_path):
    keep_intervals(folder)
    other = "intra_list_diversity@10"
    gate(folder, POLICY.model_copy(update={"primary": other, "slices": None}), HEAD).write(
        tmp_path / "other"
    )
    write_report(folder, tmp_path / "other", tmp_path / "page")
    assert (tmp_path / "page").is_file()


def test_a_document_of_other_values_is_refused(folder):
    evaluation = keep_intervals(folder)
    assert gate(folder, POLICY, HEAD)
    path = folder / "candidate" / "per_user.parquet"
    (pd.read_parquet(path) + 0.01).to_parquet(path, index=False)
    for judge_it in (
        lambda: gate(folder, POLICY, HEAD),
        lambda: read_intervals(folder, evaluation, []),
    ):
        with pytest.raises(EvaluationError, match=r"was not computed from .*candidate"):
            judge_it()


@pytest.mark.parametrize("change", ["edited", "of an older folder"])
def test_a_document_that_the_evaluation_does_not_name_is_refused(folder, change):
    evaluation = keep_intervals(folder)
    if change == "edited":
        document = json.loads((folder / "intervals.json").read_text())
        document["intervals"][0]["low"] += 0.1
        (folder / "intervals.json").write_text(json.dumps(document))
    else:
        evaluation.intervals_digest = ""
        (folder / "evaluation.json").write_text(json.dumps(evaluation.model_dump()))
    with pytest.raises(EvaluationError, match=r"not the document that evaluation\.json names"):
        gate(folder, POLICY, HEAD)


def test_the_same_values_have_the_same_document(folder):
    first = keep_intervals(folder).intervals_digest
    assert keep_intervals(folder).intervals_digest == first


def test_the_gate_resamples_once_for_all_models(folder, monkeypatch):
    """Three heuristics' and rivals' intervals, and that of the next anchor, share their draws."""
    expected = gate(folder, POLICY, HEAD)
    asked = []

    def counted(columns):
        asked.append(columns.shape)
        return bootstrap(columns)

    monkeypatch.setattr(comparison, "bootstrap", counted)
    assert gate(folder, POLICY, HEAD) == expected
    # Two heuristics by the margin; the live model by the tolerance and, as the anchor, by none.
    assert asked == [(76, 4)]


def test_long_computations_say_how_far_they_are(monkeypatch, capsys):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    bar = Progress("intervals", 10)
    for _ in range(10):
        now += 1
        bar.add(1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "20% intervals, 8 s left"
    assert lines[-1] == "90% intervals, 1 s left"
    assert len(lines) == 8
