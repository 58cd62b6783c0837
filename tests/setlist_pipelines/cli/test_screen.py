"""What a person reads at the end of a run, of outputs that are written by hand."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from setlist.api import evaluate, judge
from setlist.data.verdict import DataReason, DataVerdict
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import USUAL_METRICS, EvaluationSettings, read_evaluation
from setlist.evaluation.verdict import Reason, Verdict
from setlist.models.settings import ModelSettings
from setlist.models.training_record import Epoch, TrainingRecord
from setlist_pipelines.cli.screen import (
    LOG_SECONDS,
    StepProgress,
    print_candidates,
    print_models,
    print_summary,
    print_verdict,
    progress_text,
    screen,
)
from setlist_pipelines.laptop.run_outputs import Run, training_step
from setlist_pipelines.settings.file import SAMPLE, read_settings

POLICY = Policy(guardrails=(), believable=None)


@pytest.fixture
def summary(tmp_path, write_evaluation, capsys):
    """What is printed of a run whose candidate has this value, where the best heuristic has .5."""

    def printed(candidate: float, policy: Policy = POLICY) -> str:
        folder = tmp_path / "evaluate" / "evaluations"
        write_evaluation(folder, {"candidate": candidate, "live-3": 0.5, "most_popular": 0.5})
        verdict = judge(folder, policy)
        (tmp_path / "gate").mkdir()
        verdict.write(tmp_path / "gate" / "verdict")
        if verdict.decision == "promote":
            record = {"store": "/models", "name": "home", "revision": 4}
            (tmp_path / "push").mkdir()
            (tmp_path / "push" / "pushed").write_text(json.dumps(record))
        print_summary(Run(tmp_path, tmp_path / "log"), read_settings(SAMPLE))
        return capsys.readouterr().out

    return printed


def test_a_promotion_says_where_the_model_is(summary, tmp_path):
    out = summary(0.75)
    assert " candidate: PROMOTE, live: candidate " in out
    assert "│ The candidate goes live. " in out
    assert "40 listeners, 100 items, discovery shelf, 95% intervals" in " ".join(out.split())
    assert "pushed   candidate as revision 4 of home in /models\n" in out
    assert f"report   {tmp_path / 'report.html'}\n" in out
    assert "staged" not in out


@pytest.mark.parametrize(("best", "listeners"), [(0, 9), (1, 9), (0, 0)])
def test_a_training_that_added_nothing_says_so(summary, tmp_path, best, listeners):
    TrainingRecord(
        label="two-tower", settings=ModelSettings(), epochs=[Epoch(1, 7.0, 7.5, 0.1, 1.5)],
        best=best, listeners=listeners, loss=7.25, ndcg=0.5, seconds=2.5, start="iALS",
    ).write(tmp_path / "train" / "training")  # fmt: skip
    out = " ".join(summary(0.5).split())
    sentence = "no epoch was better than its start (iALS) by more than chance"
    assert (sentence in out) == ((best, listeners) == (0, 9))


def test_in_mode_manual_it_says_how_to_make_it_live(summary):
    out = summary(0.75, POLICY.model_copy(update={"mode": "manual"}))
    assert " candidate: PROMOTE, live: candidate, staged " in out
    assert "staged   to make it live: setlist models promote --store /models --name home 4\n" in out


def test_a_refusal_says_that_nothing_moved(summary):
    out = summary(0.25)
    assert " candidate: REJECT, live: nothing changes " in out
    assert "│ Nothing changes: revision 3 stays live. " in out
    assert "pushed   nothing; home stays as it was" in out
    assert "no group by history length worse off than with live-3" in out


def test_warnings_about_the_data_stand_above_the_table(summary, tmp_path):
    reasons = [
        DataReason(
            rule="spelling",
            outcome="warn",
            value=1,
            bound=0,
            sentence="[red]se[/] and SE",
            remedy="write them alike",
        ),
        DataReason(rule="missing days", outcome="pass", value=0, bound=0, sentence="all there"),
    ]
    (tmp_path / "check-data").mkdir()
    DataVerdict.of(reasons).write(tmp_path / "check-data" / "verdict")
    out = summary(0.75)
    assert out.startswith("data     spelling: [red]se[/] and SE; write them alike\n")
    assert "all there" not in out


def test_each_outcome_has_its_word(capsys):
    sentences = dict.fromkeys(("pass", "fail", "undecided", "unproven", "not_asked"), "as it is.")
    verdict = Verdict(
        decision="reject",
        mode="auto",
        primary="ndcg@10",
        sentence="[b]Rejected.",
        reasons=[
            Reason(rule=f"rule {place}", outcome=outcome, value=0, needed=0, sentence=sentence)
            for place, (outcome, sentence) in enumerate(sentences.items())
        ],
        evaluation_digest="",
        policy_digest="",
        head=None,
    )
    print_verdict(screen(), verdict)
    lines = [line.strip("│ ") for line in capsys.readouterr().out.splitlines()]
    assert " candidate: REJECT, live: nothing changes " in lines[0]
    assert lines[1:-1] == [
        "[b]Rejected.",
        "",
        "pass       rule 0: as it is.",
        "FAIL       rule 1: as it is.",
        "undecided  rule 2: as it is.",
        "not shown  rule 3: as it is.",
        "to lose",
        "not asked  rule 4: as it is.",
    ]


def test_a_heuristic_that_lists_nothing_is_named_and_not_shown(tmp_path, write_evaluation, capsys):
    values = {"candidate": 0.0, "most_popular": 0.5, "relisten": 0.0, "co_visited": 0.0}
    folder = write_evaluation(tmp_path, values)
    for label in values:
        lists = np.full((40, 10), 1 if label == "most_popular" else -1, np.int32)
        if label != "co_visited":  # an older folder may not hold the lists
            np.save(folder / label / "top.npy", lists)
    print_models(screen(), folder, read_evaluation(folder))
    out = capsys.readouterr().out
    shown = [line.split()[0] for line in out.splitlines() if "0.0000" in line or "0.5000" in line]
    assert [label for label in shown if label in values] == [
        "candidate",
        "most_popular",
        "co_visited",
    ]
    assert out.endswith(
        "Not shown: relisten, which lists nothing on the discovery shelf (this shelf leaves out "
        "what a listener has played before).\n"
    )


@pytest.mark.parametrize(
    ("returning", "said"), [(10, " (10 with plays before)"), (40, ""), (0, "")]
)
def test_where_most_are_new_the_table_says_so(tmp_path, write_evaluation, capsys, returning, said):
    folder = write_evaluation(tmp_path, {"candidate": 0.75, "most_popular": 0.5})
    users = pd.read_parquet(folder / "users.parquet")
    users.assign(history=np.arange(40) < returning).to_parquet(folder / "users.parquet")
    print_models(screen(), folder, read_evaluation(folder))
    out = " ".join(capsys.readouterr().out.split())
    assert f"40 listeners{said}, 100 items" in out


def test_on_a_narrow_screen_no_number_and_no_name_is_cut(capsys):
    lists = pd.DataFrame({"user_id": ["ann"], "item_id": ["a"], "rank": [1]})
    items = pd.DataFrame({"item_id": ["a", "b"], "tags": [["rock"], ["pop"]]})
    evaluated = evaluate(lists, lists, items=items, history=lists.assign(item_id="b"))
    console = screen()
    console.width = 80
    print_models(console, evaluated.folder, evaluated.evaluation)
    out = capsys.readouterr().out
    assert len(evaluated.evaluation.metrics) == len(USUAL_METRICS)
    assert "…" not in out
    assert out.count("1.0000") >= 3


def test_a_metric_of_tags_is_named_and_not_shown_where_no_item_has_any(capsys):
    lists = pd.DataFrame({"user_id": ["ann"], "item_id": ["a"], "rank": [1]})
    settings = EvaluationSettings(only=("ndcg@1", "intra_list_diversity@1"))
    evaluated = evaluate(lists, lists, settings=settings)
    print_models(screen(), evaluated.folder, evaluated.evaluation)
    table, _, line = capsys.readouterr().out.partition("Not shown: ")
    assert "ndcg" in table
    assert "intra" not in table
    assert line == "intra_list_diversity@1, which reads tags, and no item has any.\n"
    assert evaluated.table().loc["candidate"].to_dict() == {
        "ndcg@1": 1,
        "intra_list_diversity@1": pytest.approx(float("nan"), nan_ok=True),
    }


# Several candidates.


def test_the_candidates_are_compared_and_the_chosen_one_is_marked(tmp_path, capsys):
    for label, dimension, ndcg in (("narrow", 8, 0.25), ("wide", 64, 0.5)):
        TrainingRecord(
            label=label,
            settings=ModelSettings(dimension=dimension),
            epochs=[Epoch(1, 7.0, 7.5, 0.1, 1.5)] * 3,
            best=2,
            listeners=1_234,
            loss=7.25,
            ndcg=ndcg,
            seconds=2.5,
        ).write(tmp_path)
    (tmp_path / "chosen.json").write_text('{"chosen": "wide"}')
    print_candidates(screen(), tmp_path)
    out = capsys.readouterr().out
    assert "2 candidates, 1,234 listeners with held-out plays" in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.split()}
    assert lines["narrow"] == ["narrow", "dimension", "8", "3", "2.5", "7.2500", "0.2500"]
    assert lines["wide"] == ["wide", "dimension", "64", "3", "2.5", "7.2500", "0.5000", "chosen"]


@pytest.mark.parametrize(
    ("names", "step"), [("a", "train"), ("ab", "choose"), ("abc", "choose-2"), ("abcd", "choose-3")]
)
def test_all_trainings_lie_with_the_last_choice(names, step):
    candidates = ", ".join(f"{name}: {{}}" for name in names)
    settings = read_settings(SAMPLE, [f"candidates={{{candidates}}}"])
    assert training_step(settings) == step


# Progress.


def shown(line: str, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(progress_text("Train wide", line))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_with_a_share_is_shown_as_a_bar_with_its_text():
    text = "epoch 5 of at most 60, loss 7.01, about 12 s left"
    bars = {share: shown(f"{share}% {text}").count("━") for share in (0, 50, 100)}
    assert bars == {0: 0, 50: 12, 100: 24}
    out = shown(f"34% {text}")
    assert "Train wide" in out
    assert f"34%  {text}" in out
    assert out.count("\n") == 1
    assert len(shown(f"34% {text}", width=60).splitlines()) == 1, "one line, cut to the screen"


@pytest.mark.parametrize("line", ["", "evaluated live-3 in 1.2 s", "34 % of", "x 34% y", "34%"])
def test_any_other_line_stays_as_it_is(line):
    assert shown(line).strip() == f"Train wide  {line}".strip()


def test_a_log_gets_no_bars(capsys):
    with StepProgress() as progress:
        progress.show("Train wide", "", None)
        for share in range(100):
            progress.show("Train wide", f"{share}% epoch 1 of at most 2", None)
        progress.show("Train wide", "SUCCESS", 1.5)
    assert capsys.readouterr().out.splitlines() == [
        "  Train wide ...",
        "✓ Train wide                  1.5 s",
    ]


def test_a_log_says_now_and_then_how_far_a_long_step_is(capsys, monkeypatch):
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("setlist_pipelines.cli.screen.time", clock)
    with StepProgress() as progress:
        progress.show("Train", "", None)
        for share in range(10):
            now[0] += LOG_SECONDS / 4
            progress.show("Train", f"{share}% epoch 1 of at most 2", None)
            progress.show("Train", "some other line", None)
    assert capsys.readouterr().out.splitlines() == [
        "  Train ...",
        "  Train: 3% epoch 1 of at most 2",
        "  Train: 7% epoch 1 of at most 2",
    ]
