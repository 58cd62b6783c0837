"""Lists from any recommender: numbers by hand, and the same numbers as a model that lists them."""

import gc
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from tests.hostile_text import HOSTILE, raw

import setlist
from setlist.evaluation.contenders import Contender
from setlist.evaluation.evaluator import evaluate as evaluate_models
from setlist.evaluation.ranking import EMPTY
from setlist.evaluation.results import EvaluationSettings, read_per_user, read_users
from setlist.list_evaluation import evaluate_lists_on
from setlist.runs.promotion import push

D2 = 1 / np.log2(3)  # the discount of the second rank
LENIENT = setlist.Policy(guardrails=(), believable=None)
TRUTH = pd.DataFrame(
    [("ann", "a"), ("ann", "b"), ("bob", "c"), ("cid", "a")], columns=["user_id", "item_id"]
)
MINE = pd.DataFrame(
    [("ann", "x", 1), ("ann", "a", 2), ("bob", "c", 1), ("bob", "c", 2), ("eve", "a", 1)],
    columns=["user_id", "item_id", "rank"],
)


def of(*metrics, **more) -> EvaluationSettings:
    return EvaluationSettings(only=metrics, **more)


def many(listeners: int = 200) -> pd.DataFrame:
    """Two relevant items of ten for each listener."""
    return pd.DataFrame(
        [
            (f"u{number:03}", f"i{(number + step) % 10}")
            for number in range(listeners)
            for step in range(2)
        ],
        columns=["user_id", "item_id"],
    )


def ranked(truth: pd.DataFrame, shift: int, k: int = 4) -> pd.DataFrame:
    """A list of k items for each listener, in which the relevant ones come after `shift` others."""
    return pd.DataFrame(
        [
            (user, f"i{(int(user[1:]) - shift + place) % 10}", place + 1)
            for user in truth["user_id"].unique()
            for place in range(k)
        ],
        columns=["user_id", "item_id", "rank"],
    )


def test_metrics_by_hand():
    evaluated = setlist.evaluate(
        MINE,
        TRUTH,
        items=pd.DataFrame({"item_id": list("abcd")}),
        settings=of("ndcg@2", "recall@2", "precision@2", "hit_rate@1", "mrr@2", "coverage@2"),
    )
    per_user = read_per_user(evaluated.folder, "candidate")
    users = read_users(evaluated.folder, evaluated.evaluation)
    assert users["user_id"].tolist() == ["ann", "bob", "cid"]
    # ann: a miss, then a hit of two; bob: a hit of one, then the same again; cid: no list.
    assert per_user["ndcg@2"].tolist() == pytest.approx([D2 / (1 + D2), 1, 0])
    assert per_user["recall@2"].tolist() == [0.5, 1, 0]
    assert per_user["precision@2"].tolist() == [0.5, 0.5, 0]
    assert per_user["hit_rate@1"].tolist() == [0, 1, 0]
    assert per_user["mrr@2"].tolist() == [0.5, 1, 0]
    table = evaluated.table()
    assert table.loc["candidate", "recall@2"] == 0.5
    assert table.loc["candidate", "coverage@2"] == 0.5, "a and c of four items"
    model = evaluated.evaluation.model("candidate")
    assert (model.foreign, model.excluded, model.source) == (1, 0, "lists")
    assert len(model.notes) == 4


def test_weights_and_a_history_by_hand():
    evaluated = setlist.evaluate(
        MINE,
        TRUTH.assign(weight=[1, 3, 1, 1]),
        history=pd.DataFrame({"user_id": ["cid", "cid", "dee"], "item_id": ["a", "a", "c"]}),
        settings=of("ndcg_graded@2", "popularity@2"),
    )
    assert evaluated.evaluation.shelf == "discovery"
    assert evaluated.evaluation.left_out["listeners without a relevant item"] == 1
    per_user = read_per_user(evaluated.folder, "candidate")
    users = read_users(evaluated.folder, evaluated.evaluation)
    assert users["user_id"].tolist() == ["ann", "bob"], "what cid plays was played before"
    # ann: an item of gain 1 at the second rank, where 3 and 1 would be ideal.
    assert per_user["ndcg_graded@2"].tolist() == pytest.approx([D2 / (3 + D2), 1])
    # One listener of the history played a, one c, nobody x.
    assert per_user["popularity@2"].tolist() == [0.5, 1]


def test_without_a_catalogue_it_is_all_that_stands_in_any_table():
    evaluated = setlist.evaluate(MINE, TRUTH, settings=of("ndcg@2"))
    assert evaluated.evaluation.catalogue == 4, "a, b, c and x"
    assert evaluated.evaluation.model("candidate").foreign == 0


def lists_of(folder: Path, label: str) -> pd.DataFrame:
    """The lists that a model gave in an evaluation, as a table."""
    top = np.load(folder / label / "top.npy")
    users = pd.read_parquet(folder / "users.parquet")["user_id"].to_numpy()
    items = pd.read_parquet(folder / "items.parquet")["item_id"].to_numpy()
    rows, places = np.nonzero(top != EMPTY)
    return pd.DataFrame(
        {"user_id": users[rows], "item_id": items[top[rows, places]], "rank": places + 1}
    )


@pytest.fixture(scope="module")
def of_models(small_run, tmp_path_factory) -> Path:
    """The evaluation of two models of a run, as a pipeline makes it."""
    folder = tmp_path_factory.mktemp("models") / "evaluation"
    evaluate_models(
        [
            Contender(small_run / "train" / "candidate", "candidate", "candidate"),
            Contender(small_run / "resolve-live" / "live" / "live-3", "popular", "heuristic"),
        ],
        setlist.Features.read(small_run / "transform" / "features"),
        small_run / "curate" / "dataset",
        EvaluationSettings(),
        folder,
    )
    return folder


@pytest.mark.parametrize("source", ["dataset", "tables"])
def test_the_lists_of_a_model_have_exactly_the_metrics_of_the_model(small_run, of_models, source):
    lists = {
        "candidate": lists_of(of_models, "candidate"),
        "popular": lists_of(of_models, "popular"),
    }
    dataset, features = small_run / "curate" / "dataset", small_run / "transform" / "features"
    if source == "dataset":
        evaluated = evaluate_lists_on(lists, features, dataset, (), EvaluationSettings())
    else:
        evaluated = setlist.evaluate(
            lists,
            pd.read_parquet(dataset / "test.parquet"),
            items=dataset / "items.parquet",
            users=dataset / "users.parquet",
            history=dataset / "train.parquet",
        )
    models = json.loads((of_models / "evaluation.json").read_text("utf-8"))
    assert evaluated.evaluation.shelf == models["shelf"] == "discovery"
    assert [metric.name for metric in evaluated.evaluation.metrics] == [
        metric["name"] for metric in models["metrics"]
    ]
    assert evaluated.evaluation.slices == ("listener",)
    for model in models["models"]:
        mine = evaluated.evaluation.model(model["label"])
        assert_frame_equal(
            read_per_user(evaluated.folder, mine.label), read_per_user(of_models, mine.label)
        )
        assert mine.corpus == model["corpus"]
        assert (mine.foreign, mine.excluded) == (model["foreign"], model["excluded"])
    names = ["user_id", "relevant", "history", "listener"]
    assert_frame_equal(
        pd.read_parquet(evaluated.folder / "users.parquet")[names],
        pd.read_parquet(of_models / "users.parquet")[names],
    )
    # The paired rules come to the same numbers, too.
    of_lists, of_model = evaluated.judge(LENIENT), setlist.judge(of_models, LENIENT)
    rules = {reason.rule: reason for reason in of_model.reasons}
    compared = [reason for reason in of_lists.reasons if reason.low is not None]
    assert [reason.rule for reason in compared] == ["better than the lists popular"]
    # Lists are called lists; in all else the reasons are those of the model.
    reasons = [
        reason.model_copy(
            update={
                "rule": reason.rule.replace("the lists ", ""),
                "sentence": reason.sentence.replace("the lists ", ""),
            }
        )
        for reason in of_lists.reasons
    ]
    assert [reason for reason in reasons if reason != rules[reason.rule]] == []
    assert {*rules} - {reason.rule for reason in reasons} == {
        "knows the catalogue",
        "serves as evaluated",
        "p99 latency at most",
        "size at most",
    }


def test_lists_stand_beside_the_heuristics_of_a_run(small_run, of_models):
    evaluated = evaluate_lists_on(
        {"mine": lists_of(of_models, "candidate")},
        small_run / "transform" / "features",
        small_run / "curate" / "dataset",
        [small_run / "fit-heuristics" / "models" / "most_popular"],
        of("ndcg@10"),
    )
    models = [(model.label, model.role, model.source) for model in evaluated.evaluation.models]
    assert models == [("mine", "candidate", "lists"), ("most_popular", "heuristic", "model")]
    assert all(model.inspection is None for model in evaluated.evaluation.models)
    verdict = evaluated.judge(LENIENT)
    assert (verdict.decision, verdict.ships) == ("promote", "")
    assert verdict.live == "unchanged"
    worse = {"mine": lists_of(of_models, "candidate").iloc[:1]}
    evaluated = evaluate_lists_on(
        worse,
        small_run / "transform" / "features",
        small_run / "curate" / "dataset",
        [small_run / "resolve-live" / "live" / "live-3"],
        of("ndcg@10"),
    )
    verdict = evaluated.judge(LENIENT)
    assert verdict.ships == "", "no heuristic goes live in place of lists"


def plays(listeners: int = 200) -> pd.DataFrame:
    """Whoever plays an even item plays the next one, too; the last fifty stop at the even one."""
    rows = [
        (f"u{number:03}", f"i{2 * (number % 5) + step}")
        for number in range(listeners)
        for step in range(1 + (number < listeners - 50))
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id"])


def test_learners_of_ours_beside_lists_that_are_given(tmp_path):
    # The last fifty listeners go on to play what everybody else plays beside their item.
    history, last = plays(), range(150, 200)
    truth = pd.DataFrame(
        {
            "user_id": [f"u{number:03}" for number in last],
            "item_id": [f"i{2 * (number % 5) + 1}" for number in last],
        }
    )
    evaluated = setlist.evaluate(
        {"mine": truth.assign(rank=1)},
        truth,
        history=history,
        heuristics=["co_visited", "ials", "most_popular"],
        settings=of("ndcg@1", "ndcg@10"),
        output=tmp_path / "kept",
    )
    models = {model.label: model for model in evaluated.evaluation.models}
    assert list(models) == ["mine", "co_visited", "ials", "most_popular"]
    assert [model.source for model in models.values()] == ["lists", "model", "model", "model"]
    assert all(model.training_window == {} for model in models.values()), "no times are known"
    values = evaluated.table()["ndcg@1"]
    assert values["mine"] == values["co_visited"] == values["ials"] == 1
    assert values["most_popular"] < 0.5
    verdict = evaluated.judge()
    assert verdict.decision == "reject", "as good as ours is not better"
    assert verdict.ships == ""
    rules = [reason.rule for reason in verdict.reasons]
    assert {"better than co_visited", "better than ials", "better than most_popular"} <= {*rules}
    page = evaluated.report(tmp_path / "report.html").read_text("utf-8")
    assert "2000" not in page.partition("<h2")[0], "no invented date"


@pytest.mark.parametrize(
    ("heuristics", "history", "sentence"),
    [
        (True, False, "none are given"),
        (["most_popular"], False, "none are given"),
        ("most_populer", True, "there is no heuristic 'most_populer'"),
        (["recently_popular"], True, "the plays of the history have no times"),
        (["popular_by_segment"], True, "models read no columns of users here"),
        (["mine"], True, "there is no heuristic 'mine'"),
    ],
)
def test_heuristics_that_the_tables_do_not_allow(heuristics, history, sentence):
    truth = many(4)
    with pytest.raises(setlist.SettingsError, match=sentence):
        setlist.evaluate(
            {"mine": ranked(truth, 0)},
            truth,
            history=plays(4) if history else None,
            heuristics=heuristics,
        )


def test_lists_are_not_called_like_a_heuristic_beside_them():
    truth = many(4)
    with pytest.raises(setlist.SettingsError, match="ials is the name of a heuristic"):
        setlist.evaluate({"ials": ranked(truth, 0)}, truth, history=plays(4), heuristics="ials")


def test_the_better_lists_are_promoted_and_nothing_can_be_pushed(tmp_path):
    truth = many()
    evaluated = setlist.evaluate(
        {"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}, truth, output=tmp_path / "kept"
    )
    verdict = evaluated.judge()
    assert verdict.decision == "promote"
    assert (verdict.ships, verdict.ships_digest) == ("", "")
    assert verdict.live_words == "nothing changes"
    assert verdict.live_sentence == (
        "Nothing changes: a table of lists is no model, so nothing can be pushed."
    )
    assert verdict.not_asked[:3] == [
        "whether it serves as evaluated, and how fast: there is no model",
        "whether it lists the whole catalogue when lists are long enough",
        "what it answers to listeners and items that it does not know",
    ]
    assert "the guardrail on coverage@10: it is not evaluated" in verdict.not_asked
    assert setlist.judge(tmp_path / "kept", LENIENT).ships == ""
    other = setlist.evaluate({"theirs": ranked(truth, 2), "mine": ranked(truth, 0)}, truth).judge()
    assert other.decision == "reject"
    assert other.ships == ""


def test_push_refuses_a_verdict_on_lists(tmp_path, small_run):
    truth = many()
    evaluated = setlist.evaluate({"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}, truth)
    verdict = evaluated.judge()
    assert verdict.decision == "promote"
    models = small_run / "fit-heuristics" / "models"
    with pytest.raises(setlist.EvaluationError, match="so nothing is pushed"):
        push(
            str(tmp_path / "store"), "home", "r", small_run / "train" / "candidate", models, verdict
        )
    assert not (tmp_path / "store").exists()


def test_a_policy_that_reads_what_is_not_evaluated_is_refused():
    truth = many()
    evaluated = setlist.evaluate({"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}, truth)
    with pytest.raises(setlist.SettingsError, match=r"coverage@10 and .* are not evaluated"):
        evaluated.judge(setlist.Policy())


def test_lists_alone_are_evaluated_and_not_judged():
    evaluated = setlist.evaluate(MINE, TRUTH, settings=of("ndcg@2"))
    assert evaluated.table().shape == (1, 1)
    for call in (evaluated.judge, lambda: evaluated.report("page.html")):
        with pytest.raises(setlist.EvaluationError, match="give a second table of lists"):
            call()


def test_a_group_that_is_served_worse_is_seen():
    truth = many()
    users = pd.DataFrame({"user_id": truth["user_id"].unique()})
    users["region"] = np.where(users.index % 4 == 0, "north", "south")
    mine, theirs = ranked(truth, 0), ranked(truth, 1)
    north = mine["user_id"].isin(users["user_id"][users["region"] == "north"])
    mine = mine[~north | (mine["rank"] > 9)]  # nothing for the north
    verdict = setlist.evaluate({"mine": mine, "theirs": theirs}, truth, users=users).judge(LENIENT)
    failed = [reason.rule for reason in verdict.reasons if reason.outcome == "fail"]
    assert "no group by region worse off than with the lists theirs" in failed


def test_what_the_tables_cannot_tell_is_not_evaluated_unasked():
    truth = many()
    names = {metric.name for metric in setlist.evaluate(ranked(truth, 0), truth).evaluation.metrics}
    assert names == {"ndcg@10", "ndcg@100", "recall_capped@20"}
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(10)], "tags": [["x"]] * 10})
    full = setlist.evaluate(ranked(truth, 0), truth, items=items, history=truth.iloc[:9])
    assert {metric.name for metric in full.evaluation.metrics} == {*EvaluationSettings().evaluated}
    assert len(full.evaluation.model("candidate").not_asked) == 3
    with pytest.raises(setlist.SettingsError, match="give them as history"):
        setlist.evaluate(ranked(truth, 0), truth, settings=of("ndcg@10", shelf="discovery"))


def test_metrics_of_tags_are_not_shown_where_there_are_none():
    settings = of("ndcg@2", "intra_list_diversity@2", "calibration@2")
    evaluated = setlist.evaluate(MINE, TRUTH, settings=settings)
    line = "Not shown: intra_list_diversity@2, calibration@2, which read tags, and no item has any."
    assert repr(evaluated).splitlines()[1].split() == ["ndcg@2"]
    assert line in repr(evaluated)
    assert line in evaluated._repr_html_()
    assert "<th>intra_list_diversity@2</th>" not in evaluated._repr_html_()
    items = pd.DataFrame({"item_id": list("abcd"), "tags": ["rock", "", "", ""]})
    tagged = setlist.evaluate(MINE, TRUTH, items=items, settings=settings)
    assert "Not shown" not in repr(tagged) + tagged._repr_html_()
    assert "<th>intra_list_diversity@2</th>" in tagged._repr_html_()


def test_tables_that_are_refused():
    def refused(match, **more):
        arguments = {"lists": MINE, "truth": TRUTH} | more
        with pytest.raises(setlist.SetlistError, match=match):
            setlist.evaluate(**arguments)

    twice = pd.DataFrame({"item_id": ["a", "b", "a"]})
    refused("item_id a stands 2 times", items=twice)
    refused("user_id ann stands 2 times", users=pd.DataFrame({"user_id": ["ann", "ann"]}))
    refused("a weight is below 0", truth=TRUTH.assign(weight=-1))
    refused("there is no column item_id", truth=TRUTH[["user_id"]])
    refused("no name for lists", lists={"../x": MINE})
    refused("no name for lists", lists={"users.parquet": MINE})
    refused("there are 0 tables of lists", lists={})
    refused("there are 17 tables", lists={f"l{number}": MINE for number in range(17)})
    refused("no item of it stands in items", items=pd.DataFrame({"item_id": ["q"]}))
    refused("no item of the lists", items=pd.DataFrame({"item_id": ["b"]}), lists=MINE[:1])
    refused("all listeners are newcomers", settings=of("ndcg@2", newcomers=False))
    refused("settings: a dict is no EvaluationSettings", settings={"metrics": ["ndcg@2"]})
    refused("no listener of it stands in truth", users=pd.DataFrame({"user_id": ["Ann", "Bob"]}))


def test_item_ids_of_another_kind_are_no_bad_model():
    """Without a catalogue every id would be in it, and the lists would just seem poor."""
    other = MINE.assign(item_id=[1, 2, 3, 4, 5])
    with pytest.raises(setlist.DataError, match="such as '1', truth has ids such as 'a'"):
        setlist.evaluate(other, TRUTH)
    played = pd.DataFrame({"user_id": ["zoe"], "item_id": [3]})
    evaluated = setlist.evaluate(other, TRUTH, history=played, settings=of("ndcg@2"))
    assert evaluated.table().loc["candidate", "ndcg@2"] == 0, "an item of the history is known"


def test_a_truth_that_is_in_the_history_is_none():
    with pytest.raises(setlist.DataError, match="all of its plays stand in the history") as fault:
        setlist.evaluate(MINE, TRUTH, history=TRUTH)
    assert "only plays before" in fault.value.remedy
    shortcuts = of("ndcg@2", shelf="shortcuts")
    assert setlist.evaluate(MINE, TRUTH, history=TRUTH, settings=shortcuts).evaluation.listeners


def test_a_history_of_others_is_told():
    strangers = pd.DataFrame({"user_id": ["u1", "u2"], "item_id": ["a", "b"]})
    evaluated = setlist.evaluate(MINE, TRUTH, history=strangers, settings=of("ndcg@2"))
    sentences = evaluated.evaluation.model("candidate").not_asked
    assert any("no listener of the truth stands in the history" in text for text in sentences)
    assert evaluated.notes[0].startswith("history: no listener of the truth stands in it")
    assert evaluated.notes[0] in repr(evaluated)
    assert evaluated.notes[0] in evaluated._repr_html_()
    evaluated = setlist.evaluate(
        MINE, TRUTH, history=TRUTH.iloc[:1].assign(item_id="x"), settings=of("ndcg@2")
    )
    sentences = evaluated.evaluation.model("candidate").not_asked
    assert not any("no listener of the truth" in text for text in sentences)
    assert not any("history" in note for note in evaluated.notes)


@pytest.mark.parametrize("items", [None, pd.DataFrame({"item_id": list("abcdx")})])
def test_a_history_of_other_items_is_refused(items):
    """With it, nothing that is listed would be popular, and a rule on that would pass."""
    other = pd.DataFrame({"user_id": ["ann", "cid"], "item_id": [1, 2]})
    with pytest.raises(setlist.DataError, match=r"history: no item of it stands in .* as '1', "):
        setlist.evaluate(MINE, TRUTH, items=items, history=other, settings=of("ndcg@2"))


def test_items_that_were_played_before_are_told_in_words():
    history = pd.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "d"]})
    evaluated = setlist.evaluate(MINE, TRUTH, history=history, settings=of("ndcg@2"))
    assert evaluated.evaluation.model("candidate").excluded == 1
    (note,) = [note for note in evaluated.notes if "played before" in note]
    assert note.startswith("candidate: 1 positions hold an item that the listener had played")


def test_a_policy_of_another_type():
    evaluated = setlist.evaluate({"mine": MINE, "theirs": MINE}, TRUTH, settings=of("ndcg@2"))
    with pytest.raises(setlist.SettingsError, match=r"write setlist.Policy\(...\)"):
        evaluated.judge({"primary": "ndcg@2"})


def test_a_verdict_prints_as_lines():
    verdict = setlist.evaluate({"mine": MINE, "theirs": MINE}, TRUTH, settings=of("ndcg@2")).judge()
    first, second, *rules = str(verdict).splitlines()
    assert first == f"candidate: {verdict.decision}. {verdict.sentence}"
    assert second.startswith("live: ")
    assert len(rules) == len(verdict.reasons) + len(verdict.not_asked)
    assert rules[-1].startswith("not asked: ")


def test_a_wrong_argument_is_named_as_those_who_call_it_know_it():
    with pytest.raises(TypeError, match=r"history, items, users and all others are given by name"):
        setlist.evaluate(MINE, TRUTH, TRUTH)
    with pytest.raises(TypeError, match=r"setlist.evaluate: .*'hsitory'"):
        setlist.evaluate(MINE, TRUTH, hsitory=TRUTH)


def test_it_shows_its_numbers_and_what_is_odd_wherever_it_is_printed():
    text = repr(setlist.evaluate(MINE, TRUTH, settings=of("ndcg@2")))
    about, head, row = text.splitlines()[:3]
    assert about.startswith("3 listeners, ")
    assert about.endswith(" 95% intervals")
    assert head.split() == ["ndcg@2"]
    assert re.fullmatch(r"candidate +\d\.\d{4} ±\d\.\d{4}", row)
    assert "candidate: 1 of 3 listeners have no list" in text


def test_the_report_and_the_notebook_hold_no_markup_of_the_tables(tmp_path):
    truth = many()
    users = pd.DataFrame({"user_id": truth["user_id"].unique(), "<script>region": HOSTILE})
    users.loc[::2, "<script>region"] = "<b>north"
    items = pd.DataFrame(
        {"item_id": [f"i{n}" for n in range(10)], "title": HOSTILE, "tags": [[HOSTILE, "<u>"]] * 10}
    )
    evaluated = setlist.evaluate(
        {"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}, truth, items=items, users=users
    )
    page = evaluated.report(tmp_path / "report.html", LENIENT)
    text = page.read_text("utf-8")
    assert raw(text, keep="\n\t") == ""
    for sentence in (
        "Report on lists",
        "Not asked",
        "there is no model",
        "no model, so nothing can",
    ):
        assert sentence in text
    assert "Retraining report" not in text
    verdict = evaluated.judge(LENIENT)
    for html in (text, evaluated._repr_html_(), verdict._repr_html_()):
        for markup in ("<script>alert", "<b>north", "<script>region", "<u>"):
            assert markup not in html
    assert "&lt;b&gt;north" in text
    assert "mine: 200 lists are shorter than 100" in evaluated._repr_html_()
    assert "not asked" in verdict._repr_html_()
    hostile = verdict.model_copy(
        update={"sentence": HOSTILE, "live_sentence": HOSTILE, "not_asked": [HOSTILE]}
    )
    assert "<script>" not in hostile._repr_html_()
    assert raw(hostile._repr_html_(), keep="") == ""


def test_a_report_says_nothing_of_what_was_not_given(tmp_path):
    truth = many()
    lists = {"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(10)], "tags": [["rock"]] * 10})
    before = truth.assign(item_id=truth["item_id"].iloc[::-1].to_numpy())
    of_history = (
        *("plays in training", "The dotted line", "before the cutoff", "new item", "newcomer,"),
        *("by history length", "by plays of", "much more", "0 plays"),
    )
    of_catalogue = ("the catalogue has 10 items", "10 items, ", "(100%)")

    def text(name, **more):
        page = setlist.evaluate(lists, truth, **more).report(tmp_path / name, LENIENT)
        return page.read_text("utf-8")

    bare, tagged, full = (
        text("bare.html"),
        text("tagged.html", items=items),
        text("full.html", items=items, history=before.iloc[:150]),
    )
    for words in of_history:
        assert words not in bare
        assert words not in tagged
        assert words in full
    for words in of_catalogue:
        assert words not in bare
        assert words in tagged
    assert "Share of list positions by tag" in tagged
    assert "none is given: the 10 items of all tables" in bare


def test_a_page_that_cannot_be_written(tmp_path):
    truth = many()
    evaluated = setlist.evaluate({"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}, truth)
    with pytest.raises(setlist.SettingsError, match="is a folder"):
        evaluated.report(tmp_path)
    with pytest.raises(setlist.SettingsError, match="cannot be written"):
        evaluated.report(tmp_path / "none" / "report.html")


def test_the_folder_goes_with_the_evaluation_unless_it_was_named(tmp_path):
    evaluated = setlist.evaluate(MINE, TRUTH, settings=of("ndcg@2"))
    folder = evaluated.folder
    assert folder.is_dir()
    del evaluated
    gc.collect()
    assert not folder.exists()
    setlist.evaluate(MINE, TRUTH, settings=of("ndcg@2"), output=tmp_path / "kept")
    gc.collect()
    assert (tmp_path / "kept" / "evaluation.json").is_file()
    with pytest.raises(setlist.EvaluationError, match="is not empty"):
        setlist.evaluate(MINE, TRUTH, settings=of("ndcg@2"), output=tmp_path / "kept")


def test_what_is_kept_is_judged_as_it_was(tmp_path):
    truth = many()
    lists = {"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}
    evaluated = setlist.evaluate(lists, truth, output=tmp_path / "kept")
    assert setlist.judge(tmp_path / "kept") == evaluated.judge()
    with pytest.raises(setlist.SettingsError, match=r"coverage@10 and .* not evaluated") as fault:
        setlist.judge(tmp_path / "kept", setlist.Policy())
    assert "such as `guardrails: []`" in fault.value.remedy


def test_without_a_metric_that_compares_there_is_no_verdict():
    truth = many()
    lists = {"mine": ranked(truth, 0), "theirs": ranked(truth, 2)}
    evaluated = setlist.evaluate(lists, truth, settings=of("coverage@10"))
    with pytest.raises(setlist.SettingsError, match="no metric that is evaluated can be compared"):
        evaluated.judge()


def test_names_of_tables_are_texts():
    with pytest.raises(
        setlist.SettingsError, match="lists: 1 is of type int and no name for lists"
    ):
        setlist.evaluate({1: MINE, 2: MINE}, TRUTH)
