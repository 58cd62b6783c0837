"""A metric of one's own, from a module to the tables, the gate and the report."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from setlist.errors import SetlistError
from setlist.evaluation.contenders import Contender
from setlist.evaluation.evaluator import evaluate
from setlist.evaluation.gate import gate
from setlist.evaluation.metric import Metric, metric
from setlist.evaluation.metric_names import parse_metric
from setlist.evaluation.policy import Guardrail, Policy, SliceRule
from setlist.evaluation.ranking import Catalogue, Ragged, Ranking
from setlist.evaluation.results import (
    EvaluationSettings,
    Inspection,
    MetricInfo,
    read_evaluation,
    read_per_user,
)
from setlist.report.page import write_report

MODULE = '''
from setlist.arrays import Float64s
from setlist.evaluation.metric import Ranking, metric


@metric()
def fresh_share(ranking: Ranking, k: int) -> Float64s:
    """Share of the list that nobody had played in training.

    More words, which no table shows.
    """
    return ranking.mean_over_list(ranking.catalogue.listeners == 0, k)


@metric(per="corpus", better="lower", reads_truth=False, k=2)
def longest(ranking: Ranking, k: int) -> float:
    """The most positions that any list fills."""
    return float((ranking.top[:, :k] >= 0).sum(axis=1).max())


@metric(name="half", k=7)
def _half(ranking: Ranking, k: int) -> Float64s:
    return ranking.mean_over_list(ranking.catalogue.listeners >= 0, k) / 2


def plain(ranking: Ranking, k: int) -> Float64s:
    return ranking.mean_over_list(ranking.catalogue.listeners == 0, k)
'''
FRESH, LONGEST = "my_team.metrics:fresh_share@3", "my_team.metrics:longest@3"


@pytest.fixture
def my_team(tmp_path, monkeypatch) -> Iterator[Path]:
    """A module in a folder that Python looks into."""
    package = tmp_path / "path" / "my_team"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "metrics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(package.parent))
    yield package
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_team"]:
        del sys.modules[name]


def one_sentence(call) -> str:
    with pytest.raises(SetlistError) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


# By name.


def test_a_metric_is_found_by_module_and_function(my_team):
    found = parse_metric(FRESH)
    assert (found.text, found.k, found.metric.name) == (FRESH, 3, "fresh_share")
    assert (found.metric.per, found.metric.better) == ("listener", "higher")
    found = parse_metric("my_team.metrics:_half@4")
    assert (found.metric.name, found.k) == ("half", 4)


def test_the_default_cut_off_is_the_metrics_own(my_team):
    assert parse_metric("my_team.metrics:longest").k == 2
    assert parse_metric("my_team.metrics:longest@5").k == 5


@pytest.mark.parametrize("cutoff", ["", "@", "@0", "@-1", "@1.5", "@ten", "@10@10"])
def test_a_metric_without_a_default_needs_a_cut_off(my_team, cutoff):
    message = one_sentence(lambda: parse_metric(f"my_team.metrics:fresh_share{cutoff}"))
    assert "needs a list length, for example my_team.metrics:fresh_share@10" in message


def test_an_empty_cut_off_is_not_the_default(my_team):
    assert "needs a list length" in one_sentence(lambda: parse_metric("my_team.metrics:longest@"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("your_team.metrics:fresh_share@10", "No module named 'your_team'"),
        ("my_team.none:fresh_share@10", "No module named 'my_team.none'"),
        ("my_team.metrics:none@10", "has no attribute 'none'"),
        (":fresh_share@10", "Empty module name"),
    ],
)
def test_a_module_or_function_that_is_not_there(my_team, name, says):
    message = one_sentence(lambda: parse_metric(name))
    assert f"metric {name!r} cannot be imported" in message
    assert says in message
    assert "on a cluster in the image" in message


@pytest.mark.parametrize("name", ["plain", "Float64s"])
def test_a_function_without_the_decorator(my_team, name):
    message = one_sentence(lambda: parse_metric(f"my_team.metrics:{name}@10"))
    assert f"{name} is not a metric; put @metric() from setlist.evaluation.metric" in message


def test_a_metric_keeps_what_its_function_says_of_itself(my_team):
    assert MetricInfo.of(FRESH) == MetricInfo(
        name=FRESH,
        per="listener",
        better="higher",
        reads_truth=True,
        meaning="Share of the list that nobody had played in training.",
    )
    assert MetricInfo.of(FRESH).label == "fresh_share@3"
    assert MetricInfo.of("my_team.metrics:_half").meaning == ""


# What a function may answer.

RANKING = Ranking(
    top=np.array([[0, 1], [1, 0], [0, -1]], np.int32),
    truth=Ragged(np.array([0, 1, 2, 3]), np.array([0, 1, 1], np.int32)),
    history=Ragged(np.zeros(4, np.int64), np.zeros(0, np.int32)),
    catalogue=Catalogue(np.array([1, 0]), csr_array((2, 1), dtype=np.bool_), 1),
)
NAMES = ("a", "b", "c")


def answering(answer, per="listener") -> Metric:
    @metric(per=per)
    def odd(ranking: Ranking, k: int):
        return answer

    return odd


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (0.5, "a float"),
        (np.float64(0.5), "a float64"),
        (np.zeros(2), "ndarray of shape (2,)"),
        (np.zeros(4), "ndarray of shape (4,)"),
        (np.zeros((3, 1)), "ndarray of shape (3, 1)"),
        (np.array([0, np.nan, 1]), "numbers that are not finite"),
        (np.array([0, np.inf, 1]), "numbers that are not finite"),
        (np.array(NAMES), "ndarray of shape (3,)"),
        (list(NAMES), "a list"),
        (["1", "2", "3"], "a list"),
        ([None, 1.0, 2.0], "a list"),
        ([[1.0], [2.0, 3.0], []], "a list"),
        ("abc", "a str"),
        (None, "a NoneType"),
        ({"a": 1.0}, "a dict"),
    ],
)
def test_a_wrong_answer_per_listener_says_what_was_expected(answer, got):
    message = one_sentence(lambda: answering(answer)(RANKING, 2))
    assert message == (
        f"metric odd answered with {got}, where one finite number for each of the 3 listeners, "
        "float64[3] was expected; correct the function."
    )


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (np.zeros(3), "ndarray of shape (3,)"),
        (np.zeros(1), "ndarray of shape (1,)"),
        ([0.5], "a list"),
        (float("nan"), "numbers that are not finite"),
        (float("inf"), "numbers that are not finite"),
        (None, "a NoneType"),
        ("much", "a str"),
        ("1.5", "a str"),
        (1j, "a complex"),
    ],
)
def test_a_wrong_answer_for_the_corpus_says_what_was_expected(answer, got):
    message = one_sentence(lambda: answering(answer, "corpus")(RANKING, 2))
    assert message == (
        f"metric odd answered with {got}, where one finite number for all lists together was "
        "expected; correct the function."
    )


def test_a_metric_that_raises_is_named_with_its_file_and_line():
    @metric()
    def odd(ranking: Ranking, k: int):
        return np.array(ranking.catalogue.listeners)[[k * 10]]  # raises

    line = next(
        number
        for number, text in enumerate(Path(__file__).read_text().splitlines(), 1)
        if text.endswith("# raises")
    )
    message = one_sentence(lambda: odd(RANKING, 2))
    assert message == (
        "metric odd raised IndexError: index 20 is out of bounds for axis 0 with size 2 "
        f"({__file__}, line {line}); correct the function."
    )


@pytest.mark.parametrize(
    "answer", [[1, 2, 3], np.array([1, 2, 3], np.int8), pd.Series([1, 2, 3]), (True, 2, 3)]
)
def test_whatever_is_a_number_for_each_listener_will_do(answer):
    found = answering(answer)(RANKING, 2)
    assert found.dtype == np.float64
    assert found.tolist() == [1, 2, 3]


@pytest.mark.parametrize("answer", [1, 1.0, np.float32(1), np.array(1)])
def test_whatever_is_one_number_will_do_for_the_corpus(answer):
    assert float(answering(answer, "corpus")(RANKING, 2)) == 1


# All the way. Of the lists that `whole` gives, a b c d e in that order without what is known, only
# item e is fresh: third for ann and bob, second of two for cid, not among dee's first three.

SHARES = {"ann": 1 / 3, "bob": 1 / 3, "cid": 1 / 2, "dee": 0}


@pytest.fixture
def evaluated(world, models, popular, my_team, monkeypatch, tmp_path) -> Path:
    sound = Inspection(faults=[], requests=4, reach=1.0, p50_ms=1, p99_ms=2, size_mb=3)
    monkeypatch.setattr(
        "setlist.evaluation.evaluator.inspect_models",
        lambda folder, those, allowed: {one.label: sound for one in those},
    )
    data, features = world
    those = [
        Contender(models / "whole", "candidate", "candidate"),
        Contender(popular(tmp_path / "known", {"a": 2, "e": 1}), "known", "heuristic"),
    ]
    settings = EvaluationSettings(only=(FRESH, LONGEST, "ndcg@3"))
    evaluate(those, features, data, settings, tmp_path / "out")
    return tmp_path / "out"


def test_it_stands_beside_the_built_in_ones(evaluated):
    table = read_per_user(evaluated, "candidate")
    table.index = pd.read_parquet(evaluated / "users.parquet")["user_id"]
    assert table[FRESH].to_dict() == pytest.approx(SHARES)
    # It may read the truth, so it is given for listeners who play items of a part, too.
    assert table[f"{FRESH} new"].dropna().to_dict() == {"cid": 0.5}
    assert set(table[f"{FRESH} torso"].dropna().index) == {"ann", "bob", "cid", "dee"}
    document = json.loads((evaluated / "evaluation.json").read_text())
    assert document["models"][0]["corpus"] == {LONGEST: 3}
    assert document["metrics"][1] == {
        "name": LONGEST,
        "per": "corpus",
        "better": "lower",
        "reads_truth": False,
        "reads_tags": False,
        "meaning": "The most positions that any list fills.",
    }
    assert LONGEST not in table


def test_the_gate_compares_by_it_and_guards_with_it_without_importing_it(
    evaluated, my_team, monkeypatch
):
    forget()
    (my_team / "metrics.py").unlink()
    policy = Policy(
        primary=FRESH,
        believable=None,
        slices=SliceRule(columns=("listener", "item_part")),
        guardrails=(
            Guardrail(metric=LONGEST, at_most=2),
            Guardrail(metric=FRESH, at_least=0.25),
        ),
        bootstrap="none",
    )
    verdict = gate(evaluated, policy, None)
    assert verdict.primary == FRESH
    by_rule = {reason.rule: reason for reason in verdict.reasons}
    # known lists e second of two for ann (without a: alone), see the values in the folder.
    theirs = read_per_user(evaluated, "known")[FRESH].mean()
    better = by_rule["better than known"]
    assert better.value == pytest.approx(sum(SHARES.values()) / 4 - theirs)
    assert better.sentence.startswith(f"{FRESH} 0.2917, known ")
    assert by_rule[f"{LONGEST} at most"].outcome == "fail"
    assert by_rule[f"{LONGEST} at most"].value == 3
    assert by_rule[f"{FRESH} at least"].outcome == "pass"
    assert "no group by item part worse off than with known" in by_rule


def test_a_metric_that_is_better_when_lower_is_no_primary(evaluated):
    policy = Policy(primary=LONGEST, guardrails=())
    assert "better when it is lower" in one_sentence(lambda: gate(evaluated, policy, None))


def test_it_stands_on_the_report(evaluated, tmp_path):
    policy = Policy(primary=FRESH, guardrails=(Guardrail(metric=LONGEST, at_most=2),))
    gate(evaluated, policy, None).write(tmp_path / "verdict")
    write_report(evaluated, tmp_path / "verdict", tmp_path / "page")
    page = (tmp_path / "page").read_text()
    assert "fresh share@3<small>higher is better" in page
    assert "longest@3<small>lower is better" in page
    assert "<dt>fresh share@3</dt><dd>Share of the list that nobody had played in training." in page
    assert "More words" not in page
    assert read_evaluation(evaluated).metric(FRESH).label == "fresh_share@3"


def test_a_metric_that_answers_wrongly_stops_the_evaluation(world, models, my_team, tmp_path):
    source = """
        from setlist.evaluation.metric import metric


        @metric()
        def wrong(ranking, k):
            return ranking.top
    """
    (my_team / "wrong.py").write_text(textwrap.dedent(source))
    data, features = world
    settings = EvaluationSettings(only=("my_team.wrong:wrong@3",))
    one = Contender(models / "whole", "whole", "heuristic")
    message = one_sentence(lambda: evaluate([one], features, data, settings, tmp_path / "out"))
    assert "metric wrong answered with ndarray of shape (4, 3)" in message
    assert not (tmp_path / "out" / "evaluation.json").exists()
