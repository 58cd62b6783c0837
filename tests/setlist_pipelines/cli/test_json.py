"""`--json`: what scripts read of each command, held to docs/reference/json.md."""

import json

import pytest
import typer
import yaml
from tests.cases.tables import CASES
from tests.setlist.store.conftest import gcs_uri, uri  # noqa: F401
from tests.setlist_pipelines.cli.documented import commands, documented, read_answer
from tests.setlist_pipelines.cli.test_main import LENIENT
from tests.setlist_pipelines.cli.test_models import pushed  # noqa: F401
from tests.setlist_pipelines.kubeflow.conftest import cluster, on_cluster  # noqa: F401

from setlist.errors import SettingsError
from setlist_pipelines.cli.answer import Answer, Cell, Records
from setlist_pipelines.laptop.backtest import Backtest, Cut, Entry


def test_the_page_has_every_command_that_takes_json():
    takes = {
        words
        for words, command in commands()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert set(documented()) == takes


# The table that is either shown or dumped.


def records():
    made = Records({"name": "name", "bytes": "MB", "id": None, "values": ["a", "b"]})
    made.add("x\x1b[1m", Cell(2_000_000, "2.0"), 7, [None, Cell(0.5, "half")])
    return made


def test_a_person_sees_words_and_a_script_gets_values(capsys):
    for as_json in (False, True):
        with Answer(as_json) as answer:
            answer.put_rows("rows", records())
            answer.put("total", 1, "1 in all")
    shown, _, dumped = capsys.readouterr().out.partition("{")
    assert shown.split() == ["name", "MB", "a", "b", *[shown.split()[4]], r"x\x1b[1m", "2.0",
                             "half", "1", "in", "all"]  # fmt: skip
    row = {"name": "x\x1b[1m", "bytes": 2_000_000, "id": 7, "values": [None, 0.5]}
    assert json.loads("{" + dumped) == {"rows": [row], "total": 1}
    assert "\x1b" not in dumped


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_json_has_no_word_for_numbers_without_end(capsys, number):
    with Answer(as_json=True) as answer:
        answer.put("deep", [{"number": number}])
    assert json.loads(capsys.readouterr().out) == {"deep": [{"number": None}]}


@pytest.mark.parametrize(
    ("fault", "printed"), [(SettingsError("wrong"), ""), (typer.Exit(3), '{\n "part": 1\n}\n')]
)
def test_an_error_prints_no_half_answer_and_an_exit_code_keeps_the_answer(capsys, fault, printed):
    def fail():
        with Answer(as_json=True) as answer:
            answer.put("part", 1)
            raise fault

    with pytest.raises(type(fault)):
        fail()
    assert capsys.readouterr().out == printed


# Each command.


def test_plan(setlist):
    done = setlist("plan", "--listeners", 10**6, "--items", 10**5, "--plays", 5 * 10**7, "--json")
    answer = read_answer("plan", done.out)
    seconds = sum(step["cpu_seconds"] for step in answer["steps"] if step["step"] != "serve")
    assert answer["run"]["cpu_seconds"] == pytest.approx(seconds)


@pytest.fixture
def run_folder(tmp_path, write_evaluation):
    values = {"candidate": 0.25, "live-3": 0.5, "most_popular": 0.5}
    write_evaluation(tmp_path / "run" / "evaluate" / "evaluations", values)
    return tmp_path / "run"


def test_gate_keeps_its_exit_code(setlist, run_folder, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump(LENIENT))
    done = setlist("gate", run_folder, "--policy", policy, "--json")
    assert done.code == 2
    [verdict] = read_answer("gate", done.out)["verdicts"]
    assert verdict["evaluation"] == str(run_folder)
    assert (verdict["decision"], verdict["live"]) == ("reject", "unchanged")


def test_data_check(setlist, tmp_path):
    settings = CASES["milliseconds_among_seconds"].settings(tmp_path)
    done = setlist("data", "check", "--config", settings, "--json")
    assert done.code == 3
    answer = read_answer("data check", done.out)
    assert answer["verdict"]["decision"] == "stop"
    assert answer["tables"][0]["table"] == "events"


def test_models(setlist, pushed, uri):  # noqa: F811
    for run in ("run-1", "run-2"):
        pushed(run)

    def answer(*words):
        done = setlist("models", *words, "--store", uri, "--json")
        assert done.code == 0, done.err
        return read_answer(f"models {words[0]}", done.out)

    first, second = answer("list")["revisions"]
    assert (first["states"], second["states"]) == (["previous"], ["live"])
    assert answer("show", 2)["digest"] == second["digest"]
    assert answer("show", 2)["run"] == second["run"] == "run-2"
    assert answer("show", 2)["report"] is None, "the run has written none"
    digests = {"what": "digest", "values": [first["digest"], second["digest"]]}
    assert digests in answer("diff", 1, 2)["differences"]
    assert [entry["revision"] for entry in answer("history")["history"]] == [1, 2]


def test_an_error_leaves_the_standard_output_empty(setlist, tmp_path):
    done = setlist("models", "list", "--store", tmp_path, "--name", "evening", "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("setlist: ")


def test_backtest(setlist, monkeypatch, tmp_path):
    values = {"candidate": 0.5, "rule": 0.25}
    cut = Cut(as_of="2026-04-01", listeners=9, values=values, best_heuristic="rule")
    entry = Entry(cut=1, ships="candidate", live="1", verdict=None)
    made = Backtest(primary="ndcg@10", cuts=[cut], courses={"policy": [entry]})
    monkeypatch.setattr("setlist_pipelines.laptop.backtest.backtest", lambda *_: made)
    done = setlist("backtest", "--workdir", tmp_path, "--json")
    assert done.code == 0, done.err
    assert read_answer("backtest", done.out)["courses"]["policy"][0]["got"] is None


def test_runs_schedules_and_doctor(cluster, on_cluster):  # noqa: F811
    def answer(words, code=0):
        ended, printed = on_cluster(f"{words} --json")
        assert ended == code, printed
        named = [name for name in documented() if words.startswith(name)]
        return read_answer(max(named, key=len), printed)

    cluster.outcome = "FAILED"
    for key in ("a", "b"):
        on_cluster(f"submit --config FILE --wait --id {key}")
    second, first = answer("runs list")["runs"]
    assert (second["run"], first["run"]) == ("home-b", "home-a")
    shown = answer(f"runs show {first['id']}")
    assert (shown["id"], shown["state"]) == (first["id"], "FAILED")
    compared = answer(f"runs compare {first['id']} {second['id']}")
    assert compared["ids"] == [first["id"], second["id"]]
    [schedule] = answer("schedule list --config FILE")["schedules"]
    assert schedule["schedule"] == "daily"
    assert schedule["in_step"] == {"yes": False, "why_not": "apply"}
    checked = answer("doctor --config FILE", code=1)
    states = [check["state"] for check in checked["checks"]]
    assert states.count("missing") == checked["missing"] > 0
