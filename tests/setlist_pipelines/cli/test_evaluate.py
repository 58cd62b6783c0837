"""`setlist evaluate`: exit codes, what is printed, and the data of a settings file."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.hostile_text import HOSTILE, check_plain
from tests.setlist_pipelines.cli.documented import read_answer

LISTENERS = [f"u{number:03}" for number in range(120)]


def truth() -> pd.DataFrame:
    """Two relevant items of ten for each listener."""
    return pd.DataFrame(
        [
            (user, f"i{(number + step) % 10}")
            for number, user in enumerate(LISTENERS)
            for step in range(2)
        ],
        columns=["user_id", "item_id"],
    )


def ranked(shift: int, k: int = 4) -> pd.DataFrame:
    """A list of k items for each listener, in which the relevant ones come after `shift` others."""
    return pd.DataFrame(
        [
            (user, f"i{(number - shift + place) % 10}", place + 1)
            for number, user in enumerate(LISTENERS)
            for place in range(k)
        ],
        columns=["user_id", "item_id", "rank"],
    )


@pytest.fixture
def tables(tmp_path) -> Path:
    """The lists `good` and `poor`, the truth and a policy."""
    ranked(0).to_parquet(tmp_path / "good.parquet", index=False)
    ranked(2).to_csv(tmp_path / "poor.csv", index=False)
    truth().to_csv(tmp_path / "truth.csv", index=False)
    (tmp_path / "policy.yaml").write_text("guardrails: []\nbelievable: null\n")
    (tmp_path / "strict.yaml").write_text("guardrails: []\nbelievable: null\nover_heuristics: 9\n")
    return tmp_path


def test_better_lists_end_with_0_and_worse_ones_with_2(setlist, tables):
    good, poor, played = tables / "good.parquet", tables / "poor.csv", tables / "truth.csv"
    policy = ("--policy", tables / "policy.yaml")
    kept = tables / "kept"
    done = setlist(
        *("evaluate", good, "--against", poor, "--truth", played, *policy, "--output", kept)
    )
    assert done.code == 0
    assert setlist("gate", kept, *policy).code == 0
    assert setlist("gate", kept, "--policy", tables / "strict.yaml").code == 2
    for words in ("good", "poor", "PROMOTE", "not asked", "there is no model", "nothing can be"):
        assert words in done.out
    assert "evaluated good in" in done.err
    assert "evaluated good in" not in done.out
    done = setlist("evaluate", poor, "--against", good, "--truth", played, *policy)
    assert done.code == 2
    assert "REJECT" in done.out
    strict = ("--policy", tables / "strict.yaml")
    assert setlist("evaluate", good, "--against", poor, "--truth", played, *strict).code == 2


def test_the_default_policy_asks_what_the_tables_can_tell(setlist, tables):
    done = setlist(
        *("evaluate", tables / "good.parquet", "--against", tables / "poor.csv"),
        *("--truth", tables / "truth.csv"),
    )
    assert done.code == 0
    assert "not asked  the guardrail on coverage@10: it is not evaluated" in done.out


def test_lists_alone_are_shown_and_not_judged(setlist, tables):
    done = setlist("evaluate", tables / "good.parquet", "--truth", tables / "truth.csv")
    assert done.code == 0
    assert "not judged: there is nothing to compare the lists with" in done.out
    done = setlist(
        *("evaluate", tables / "good.parquet", "--truth", tables / "truth.csv"),
        *("--policy", tables / "policy.yaml"),
    )
    assert done.code == 1, "a verdict was asked for"
    assert "give a second table of lists" in done.err


def test_report_and_folder_are_kept_where_they_are_named(setlist, tables):
    page, folder = tables / "page.html", tables / "kept"
    done = setlist(
        *("evaluate", tables / "good.parquet", "--against", tables / "poor.csv"),
        *("--truth", tables / "truth.csv", "--policy", tables / "policy.yaml"),
        *("--report", page, "--output", folder),
    )
    assert done.code == 0
    assert f"report   {page}" in done.out
    assert "Report on lists" in page.read_text("utf-8")
    document = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert [model["source"] for model in document["models"]] == ["lists", "lists"]
    # The gate judges the folder as that of any run.
    done = setlist("gate", folder, "--policy", tables / "policy.yaml")
    assert "not asked" in done.out
    assert done.code == 0, "as setlist evaluate ends"
    done = setlist("gate", folder)
    assert "candidate: " in done.out
    assert "not asked  the guardrail on coverage@10: it is not evaluated" in done.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "give either --truth or --data"),
        (("--truth", "T", "--data", "D"), "give either --truth or --data"),
        (("--data", "D", "--items", "T"), "--items: the settings file names these tables"),
        (("--truth", "T", "--set", "name=x"), "--set changes what is evaluated alone"),
        (("--truth", "none.csv"), "truth: there is no file none.csv"),
        (("--truth", "T", "--against", "good.csv"), "would both be called good"),
        (("--truth", "T", "--report", "."), "is a folder"),
    ],
)
def test_what_is_refused(setlist, tables, options, sentence):
    paths = {"T": tables / "truth.csv", "D": tables / "home.yaml"}
    named = [paths.get(option, option) for option in options]
    done = setlist("evaluate", tables / "good.parquet", *named)
    assert done.code == 1
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_hostile_tables_stay_plain(setlist, tables):
    users = pd.DataFrame({"user_id": LISTENERS, HOSTILE.replace("\n", " "): [HOSTILE, "b"] * 60})
    users.to_parquet(tables / "users.parquet", index=False)
    done = setlist(
        *("evaluate", tables / "good.parquet", "--against", tables / "poor.csv"),
        *("--truth", tables / "truth.csv", "--users", tables / "users.parquet"),
    )
    check_plain(done.out.replace("\n", " "))
    (tables / "bad.csv").write_text('user_id,item_id,rank\n"u\x1b[2J",i1,1\n')
    done = setlist("evaluate", tables / "bad.csv", "--truth", tables / "truth.csv")
    assert done.code == 1
    check_plain(done.err)


@pytest.fixture
def home(tables) -> Path:
    """A settings file: whoever plays "a<n>" goes on to play "b<n>" in the last week."""
    rng = np.random.default_rng(5)
    start = pd.Timestamp("2026-01-01", tz="UTC")
    rows = [
        (user, f"a{number % 4}", start + pd.Timedelta(days=int(rng.integers(0, 20))))
        for number, user in enumerate(LISTENERS)
    ]
    rows += [
        (user, f"b{(number + 1) % 4}", start + pd.Timedelta(days=int(rng.integers(0, 20))))
        for number, user in enumerate(LISTENERS[:60])
    ]
    rows += [
        (user, f"b{number % 4}", start + pd.Timedelta(days=22 + number % 5))
        for number, user in enumerate(LISTENERS)
    ]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    events.to_parquet(tables / "events.parquet", index=False)
    settings = {
        "name": "home",
        "store": str(tables / "store"),
        "as_of": "2026-01-28",
        "data": {"events": {"path": str(tables / "events.parquet")}},
        "window": {"test_days": 7},
        "curation": {"min_item_events": 1},
        "heuristics": {"fit": ["most_popular"]},
        "evaluation": {"only": ["ndcg@10", "coverage@10"]},
        "policy": {"guardrails": [{"metric": "coverage@10", "at_least": 0.1}], "believable": None},
    }
    path = tables / "home.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_lists_on_the_data_of_a_settings_file(setlist, tables, home):
    best = pd.DataFrame(
        [(user, f"b{number % 4}", 1.0) for number, user in enumerate(LISTENERS)],
        columns=["user_id", "item_id", "score"],
    )
    best.to_parquet(tables / "mine.parquet", index=False)
    done = setlist("evaluate", tables / "mine.parquet", "--data", home, "-o", tables / "kept")
    assert done.code == 0, done.err
    for words in ("mine", "most_popular", "better than most_popular", "PROMOTE", "gate for data"):
        assert words in done.out
    document = json.loads((tables / "kept" / "evaluation.json").read_text("utf-8"))
    assert document["window"]["cut"].startswith("2026-01-21")
    assert document["slices"] == ["listener"]
    assert not (tables / "store").exists()
    done = setlist("evaluate", tables / "mine.parquet", "--data", home, "--no-heuristics")
    assert done.code == 0
    assert "not judged" in done.out
    done = setlist(
        *("evaluate", tables / "mine.parquet", "--data", home),
        *("--set", "evaluation.only=[ndcg@10]"),
    )
    assert done.code == 1
    assert "coverage@10 is not evaluated" in done.err


def test_the_gate_for_data_is_asked_as_in_a_run(setlist, tables, home):
    ranked(0).to_parquet(tables / "mine.parquet", index=False)
    rows = pd.read_parquet(tables / "events.parquet")
    rows.loc[rows.index[::2], "item_id"] = None
    rows.to_parquet(tables / "events.parquet", index=False)
    done = setlist("evaluate", tables / "mine.parquet", "--data", home)
    assert done.code == 3, done.err
    assert "gate for data: stop" in done.out
    assert "evaluated" not in done.err
    assert "fitting" not in done.err


def test_learners_of_ours_are_fitted_on_the_history_that_is_given(setlist, tables):
    truth().iloc[::2].to_csv(tables / "history.csv", index=False)
    done = setlist(
        *("evaluate", tables / "good.parquet", "--truth", tables / "truth.csv"),
        *("--history", tables / "history.csv", "--heuristics"),
    )
    for name in ("most_popular", "co_visited", "spectral", "ials"):
        assert f"better than {name}" in done.out
    assert done.code in (0, 2), done.err
    done = setlist(
        "evaluate", tables / "good.parquet", "--truth", tables / "truth.csv", "--heuristics"
    )
    assert done.code == 1
    assert "give them as history" in done.err


def test_a_name_that_a_heuristic_has(setlist, tables, home):
    ranked(0).assign(item_id="b1", rank=lambda table: table.index).to_csv(
        tables / "most_popular.csv", index=False
    )
    done = setlist("evaluate", tables / "most_popular.csv", "--data", home)
    assert done.code == 1
    assert "two models are called most_popular" in done.err


def test_a_script_gets_the_numbers_and_the_verdict(setlist, tables, home):
    good, poor, played = tables / "good.parquet", tables / "poor.csv", tables / "truth.csv"
    page = tables / "page.html"
    arguments = ("evaluate", poor, "--against", good, "--truth", played, "--report", page)
    done = setlist(*arguments, "--json")
    assert done.code == 2, done.err
    answer = read_answer("evaluate", done.out)
    assert [model["label"] for model in answer["models"]] == ["poor", "good"]
    assert answer["models"][1]["values"]["ndcg@10"] == 1
    assert answer["verdict"]["decision"] == "reject"
    assert answer["report"] == str(page)
    done = setlist("evaluate", good, "--truth", played, "--json")
    assert done.code == 0
    assert json.loads(done.out)["verdict"] is None
    lists = pd.DataFrame({"user_id": LISTENERS, "item_id": "b1", "rank": 1})
    lists.to_csv(tables / "mine.csv", index=False)
    done = setlist("evaluate", tables / "mine.csv", "--data", home, "--json")
    answer = read_answer("evaluate", done.out)
    assert answer["data_verdict"]["decision"] in ("pass", "warn")
    assert "most_popular" in [model["label"] for model in answer["models"]]


def test_the_help_has_examples(setlist):
    done = setlist("evaluate", "--help")
    assert done.code == 0
    assert "setlist evaluate mine.parquet --truth truth.parquet" in done.out


def test_what_is_evaluated_can_be_set_beside_a_truth(setlist, tables):
    ranked(3, 1).drop(columns="rank").to_csv(tables / "history.csv", index=False)
    command = (
        *("evaluate", tables / "good.parquet", "--truth", tables / "truth.csv"),
        *("--history", tables / "history.csv"),
    )
    assert "discovery shelf" in " ".join(setlist(*command).out.split())
    done = setlist(*command, "--set", "evaluation.shelf=shortcuts")
    assert "shortcuts shelf" in " ".join(done.out.split()), done.err
    done = setlist(*command, "--set", "window.test_days=3")
    assert done.code == 1
    assert "write it like --set evaluation.shelf=shortcuts" in done.err
