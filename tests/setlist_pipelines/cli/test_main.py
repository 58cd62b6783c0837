"""Commands that start no pipeline; `setlist run` is in test_run.py, `compile` in test_retraining.

They run in this process, through the same `main` as the command.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.waiting import PATIENCE

from setlist.evaluation.policy import schema
from setlist_pipelines.cli.main import main

LENIENT = {"guardrails": [], "believable": None}


@pytest.fixture
def policy(tmp_path):
    def written(**settings) -> Path:
        path = tmp_path / "policy.yaml"
        path.write_text(yaml.safe_dump(LENIENT | settings))
        return path

    return written


@pytest.fixture
def run_folder(tmp_path, write_evaluation):
    values = {"candidate": 0.75, "live-3": 0.5, "most_popular": 0.5}
    write_evaluation(tmp_path / "run" / "evaluate" / "evaluations", values)
    return tmp_path / "run"


# setlist gate


def test_gate_ends_with_0_for_what_would_be_promoted(setlist, run_folder, policy):
    done = setlist("gate", run_folder, "--policy", policy())
    assert done.code == 0, done.err
    assert str(run_folder) in done.out
    assert "PROMOTE" in done.out
    assert "better than most_popular: ndcg@10 0.7500, most_popular 0.5000: +0.2500" in done.out
    assert "no group by history length worse off than with live-3" in done.out


def test_gate_ends_with_2_for_what_would_be_refused(setlist, run_folder, policy):
    done = setlist("gate", run_folder, "--policy", policy(over_heuristics=0.9))
    assert done.code == 2
    assert "REJECT" in done.out
    assert "FAIL  better than most_popular" in done.out
    assert done.err == ""


def test_gate_ends_with_2_where_only_a_heuristic_would_go_live(
    setlist, tmp_path, write_evaluation, policy
):
    folder = write_evaluation(tmp_path / "first", {"candidate": 0.25, "most_popular": 0.5})
    done = setlist("gate", folder, "--policy", policy())
    assert done.code == 2
    assert " candidate: REJECT, live: heuristic most_popular " in done.out
    assert "│ The candidate is rejected; it broke: better than most_popular, " in done.out
    assert "│ The best heuristic, most_popular (ndcg@10 0.5000), goes live, because" in done.out


def test_gate_judges_several_evaluations_and_one_refusal_decides(
    setlist, run_folder, tmp_path, write_evaluation, policy
):
    worse = write_evaluation(tmp_path / "worse", {"candidate": 0.25, "most_popular": 0.5})
    for folders in ((run_folder, worse), (worse, run_folder)):
        done = setlist("gate", *folders, "--policy", policy(bootstrap="none"))
        assert done.code == 2
        assert done.out.index(str(folders[0])) < done.out.index(str(folders[1]))
        assert "PROMOTE" in done.out
        assert "REJECT" in done.out
    assert setlist("gate", run_folder, run_folder, "--policy", policy()).code == 0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"margin": 1}, "policy.yaml, line 3: margin: there is no such setting"),
        ({"primary": "mrr@10"}, "policy: mrr@10 is not evaluated; add it to evaluation.metrics"),
        ({"slices": {"columns": ["city"]}}, "policy.slices.columns: city is no slice"),
    ],
)
def test_gate_ends_with_1_and_a_sentence_for_what_cannot_be_judged(
    setlist, run_folder, policy, settings, sentence
):
    done = setlist("gate", run_folder, "--policy", policy(**settings))
    assert done.code == 1
    assert done.err.startswith("setlist: ")
    assert sentence in done.err
    assert "Traceback" not in done.out + done.err


def test_gate_ends_with_1_where_something_is_missing(setlist, run_folder, tmp_path, policy):
    done = setlist("gate", tmp_path / "nowhere", "--policy", policy())
    assert (done.code, "evaluation.json is missing" in done.err) == (1, True)
    done = setlist("gate", run_folder, "--policy", tmp_path / "none.yaml")
    assert (done.code, "none.yaml does not exist" in done.err) == (1, True)
    done = setlist("gate", run_folder)
    assert (done.code, "policy: coverage@10 and " in done.err) == (
        1,
        True,
    ), "the default policy"


# setlist policy


def test_policy_prints_the_published_schema(setlist):
    done = setlist("policy")
    assert done.code == 0
    assert done.out == schema()
    published = Path(__file__).parents[3] / "docs" / "policy.schema.json"
    assert done.out == published.read_text("utf-8")
    assert json.loads(done.out)["title"] == "Policy"


# An extra that is not installed


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("fastapi", ["serve"], "serve"),
        ("uvicorn", ["serve"], "serve"),
        ("tensorflow", ["serve"], "serve"),
        ("tensorflow", ["follow", "--to", "models"], "serve"),
        ("tensorflow", ["dashboard"], "dashboard"),
        ("streamlit", ["dashboard"], "dashboard"),
        ("kfp", ["compile", "--output", "pipeline.yaml"], "train,kubeflow"),
    ],
)
def test_a_missing_extra_is_one_sentence(tmp_path, package, arguments, extra):
    code = f"import sys; sys.modules[{package!r}] = None; import setlist_pipelines.cli.main as cli"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; cli.main()", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"setlist: {package} is not installed; install it with: pip install 'setlist[{extra}]'.\n"
    )


def test_a_missing_module_that_no_extra_brings_keeps_its_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "setlist.evaluation.policy", None)
    monkeypatch.setattr(sys, "argv", ["setlist", "policy"])
    with pytest.raises(ModuleNotFoundError, match=r"setlist\.evaluation\.policy"):
        main()
