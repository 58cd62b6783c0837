"""How `setlist run` and `setlist submit` answer: in full, in one line, as JSON, and by exit code.

The outputs of the runs are written by hand; the last test makes real ones.
"""

import json

import pytest
from tests.setlist_pipelines.cli.documented import read_answer
from tests.setlist_pipelines.kubeflow.conftest import cluster, on_cluster  # noqa: F401
from tests.setlist_pipelines.laptop.small_run import finish, write_settings

from setlist.api import judge
from setlist.data.verdict import DataVerdict
from setlist.evaluation.policy import Policy
from setlist_pipelines.laptop.run_outputs import Run

POLICY = Policy(guardrails=(), believable=None)
FAIL_ON = ("--fail-on", "refused")


@pytest.fixture
def ends_as(tmp_path, write_evaluation, monkeypatch):
    """Has `setlist run` end with a candidate and a live model of these values; None: no new data.

    The best heuristic has 0.5.
    """

    def ending(candidate: float | None, live: float | None = 0.5) -> None:
        root = tmp_path / "retraining-20260501-051234-42"
        (root / "gate").mkdir(parents=True)
        if candidate is not None:
            values = {"candidate": candidate, "most_popular": 0.5}
            folder = root / "evaluate" / "evaluations"
            write_evaluation(folder, values | ({"live-3": live} if live is not None else {}))
            verdict = judge(folder, POLICY)
            verdict.write(root / "gate" / "verdict")
            if verdict.ships:
                (root / "push").mkdir()
                pushed = {"store": "/models", "name": "home", "revision": 4}
                (root / "push" / "pushed").write_text(json.dumps(pushed))
            (root / "check-data").mkdir()
            DataVerdict(decision="pass", reasons=[]).write(root / "check-data" / "verdict")

        def run_local(settings, workdir, show, docker, *, pipeline):
            show("Plan the run", "", None)
            return Run(root, tmp_path / "log")

        monkeypatch.setattr("setlist_pipelines.laptop.runner.run_local", run_local)
        monkeypatch.chdir(tmp_path)

    return ending


PROMOTED = (
    "home: candidate: promote, live: candidate as revision 4. The candidate beats every heuristic, "
    "and breaks no rule of the policy. The candidate goes live."
)
REFUSED = "home: candidate: reject, live: nothing changes. The candidate is rejected; it broke: "
HEURISTIC = (
    "home: candidate: reject, live: heuristic most_popular as revision 4. "
    "The candidate is rejected; it broke: "
)
NOTHING = "home: nothing new. There is no new data since the live model"


@pytest.mark.parametrize(
    ("candidate", "live", "line", "code"),
    [
        (0.75, 0.5, PROMOTED, 0),
        (0.25, 0.5, REFUSED, 4),
        pytest.param(0.25, None, HEURISTIC, 4, id="a heuristic goes live in its place"),
        (None, None, NOTHING, 0),
    ],
)
def test_quiet_is_one_line_and_refused_has_a_code_of_its_own(
    setlist, ends_as, candidate, live, line, code
):
    ends_as(candidate, live)
    done = setlist("run", "--quiet", *FAIL_ON)
    assert (done.code, done.err) == (code, "")
    assert done.out.startswith(line)
    assert done.out.count("\n") == 1
    again = setlist("run", "--quiet")
    assert (again.code, again.out) == (0, done.out), "only where it is asked for"


def test_without_quiet_the_whole_of_it_is_shown(setlist, ends_as):
    ends_as(0.25)
    done = setlist("run", *FAIL_ON)
    assert done.code == 4
    assert "Plan the run ..." in done.out
    assert "pushed   nothing" in done.out


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_json_is_all_that_is_printed(setlist, ends_as, quiet, tmp_path):
    ends_as(0.25, None)
    done = setlist("run", "--json", *FAIL_ON, *quiet)
    assert (done.code, done.err) == (4, "")
    answer = read_answer("run", done.out)
    assert (answer["outcome"], answer["refused"], answer["revision"]) == ("promoted", True, 4)
    verdict = answer["verdict"]
    assert (verdict["decision"], verdict["live"]) == ("reject", "heuristic")
    assert verdict["ships"] == "most_popular"
    assert answer["run"] == str(tmp_path / "retraining-20260501-051234-42")
    assert answer["id"] == "retraining-20260501-051234-42"
    assert answer["report"] is None


def test_monitoring_has_no_candidate_that_could_be_refused(setlist):
    done = setlist("run", "--pipeline", "monitoring", *FAIL_ON)
    assert (done.code, done.out) == (1, "")
    assert "judges no candidate" in done.err
    assert setlist("run", "--fail-on", "undecided").code == 2


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1)])
def test_a_submitted_run_is_one_line_too(cluster, on_cluster, capsys, state, code):  # noqa: F811
    cluster.outcome = state
    started = on_cluster("submit --config FILE --id a --quiet")
    [run] = cluster.runs
    assert started == (0, f"run home-a {run['run_id']}")
    ended, printed = on_cluster("submit --config FILE --id b --quiet --wait")
    assert ended == code
    assert printed.startswith(state)
    assert "link" not in printed
    assert "pipeline " not in printed


@pytest.mark.slow
def test_a_real_run_that_is_refused(tmp_path):
    policy = {"limits": {"p99_ms": None}, "believable": None, "guardrails": []}
    settings = write_settings(tmp_path, policy=policy | {"over_heuristics": 5})
    arguments = ("run", "--config", settings, "--json", *FAIL_ON)
    code, printed = finish(tmp_path, *arguments)
    assert code == 4, printed
    answer = read_answer("run", printed)
    assert answer["refused"]
    assert answer["report"].endswith("report.html")
    code, printed = finish(tmp_path, *arguments[:-3], "--quiet")
    assert code == 0, printed
    assert printed.startswith("home: ")
    assert "report" not in printed
