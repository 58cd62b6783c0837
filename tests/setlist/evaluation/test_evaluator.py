"""Every model of a run on the same footing; the world and its models stand in conftest.py."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from setlist.data.curation import CurationSettings, DataSettings, curate
from setlist.data.features import Features
from setlist.data.schema import Window, parse_instant, tie_order
from setlist.data.transformation import transform
from setlist.errors import SetlistError
from setlist.evaluation.contenders import Contender, list_contenders
from setlist.evaluation.evaluator import evaluate
from setlist.evaluation.measurement import restrict_to_part
from setlist.evaluation.ranking import EMPTY, FOREIGN, Catalogue, Ragged, Ranking
from setlist.evaluation.results import (
    EvaluationSettings,
    Inspection,
    MetricInfo,
    read_evaluation,
    read_per_user,
    read_values,
)
from setlist.models.contract import folder_digest
from setlist.models.heuristics import fit_heuristics
from setlist.models.saved_model import BATCH
from setlist.models.settings import HeuristicSettings

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
D2 = 1 / np.log2(3)  # the discount of the second rank
D3 = 1 / 2
METRICS = ("ndcg@3", "recall@3", "coverage@3", "popularity_lift@3")
OF_PARTS = (" head", " torso", " tail", " new")

pytestmark = pytest.mark.usefixtures("uninspected")


def run(world, tmp_path, *those, metrics=METRICS, **more):
    """Evaluates the contenders into tmp_path/out and returns evaluation and folder."""
    data, features = world
    rules = EvaluationSettings(only=metrics, **more)
    return evaluate(those, features, data, rules, tmp_path / "out"), tmp_path / "out"


def refusal(call) -> str:
    with pytest.raises(SetlistError) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message
    return message


def listeners(folder: Path) -> list[str]:
    return pd.read_parquet(folder / "users.parquet")["user_id"].tolist()


def truth(folder: Path) -> dict[str, list[str]]:
    ids = pd.read_parquet(folder / "items.parquet")["item_id"]
    people = listeners(folder)
    table = pd.read_parquet(folder / "truth.parquet")
    relevant: dict[str, list[str]] = {name: [] for name in people}
    for user, item in zip(table["user"], table["item"], strict=True):
        relevant[people[user]].append(ids[item])
    return {name: sorted(row) for name, row in relevant.items()}


def lists(folder: Path, label: str) -> dict[str, list[str]]:
    """The stored lists by listener, with - for an empty position and ? for a foreign one."""
    names = {EMPTY: "-", FOREIGN: "?"}
    names |= dict(enumerate(pd.read_parquet(folder / "items.parquet")["item_id"]))
    top = np.load(folder / label / "top.npy")
    assert top.dtype == np.int32
    return {
        name: [names[code] for code in row]
        for name, row in zip(listeners(folder), top.tolist(), strict=True)
    }


# Who is evaluated, on what.


def test_discovery_leaves_out_what_was_played(world, models, tmp_path):
    evaluation, folder = run(world, tmp_path, Contender(models / "whole", "whole", "heuristic"))
    assert truth(folder) == {"ann": ["c"], "bob": ["a"], "cid": ["c", "e"], "dee": ["a", "b"]}
    assert lists(folder, "whole") == {
        "ann": ["c", "d", "e"],
        "bob": ["a", "d", "e"],
        "cid": ["c", "e", "-"],
        "dee": ["a", "b", "c"],
    }
    assert (evaluation.listeners, evaluation.catalogue, evaluation.k) == (4, 5, 3)
    kept = (folder / "intervals.json").read_bytes()
    assert read_evaluation(folder).intervals_digest == hashlib.sha256(kept).hexdigest()
    # Eve plays nothing but "new", fay only what she knows.
    assert evaluation.left_out == {
        "events on items that were not known at the cutoff": 2,
        "listeners without a relevant item": 2,
    }
    # Everybody's list begins with all that is relevant.
    assert read_per_user(folder, "whole")[["ndcg@3", "recall@3"]].to_dict("list") == {
        "ndcg@3": pytest.approx([1, 1, 1, 1]),
        "recall@3": pytest.approx([1, 1, 1, 1]),
    }
    # All five items are shown. phi of the five training listeners: a 3/5, b 3/5, c 2/5, d 1/5,
    # e 0. Histories: (3/5 + 1/2 + 7/15) / 3 = 47/90, dee has none. Lists of those three:
    # (1/5 + 4/15 + 1/5) / 3 = 20/90. (20 - 47) / 47.
    assert evaluation.model("whole").corpus == {
        "coverage@3": 1.0,
        "popularity_lift@3": pytest.approx(-27 / 47),
    }
    values = read_values(folder, evaluation.model("whole"))
    assert {name: value for name, value in values.items() if " " not in name} == {
        "ndcg@3": pytest.approx(1),
        "recall@3": pytest.approx(1),
    } | evaluation.model("whole").corpus


def test_shortcuts_leave_nothing_out(world, models, tmp_path):
    evaluation, folder = run(
        world, tmp_path, Contender(models / "whole", "whole", "heuristic"), shelf="shortcuts"
    )
    assert evaluation.shelf == "shortcuts"
    assert truth(folder) == {
        "ann": ["a", "c"],
        "bob": ["a"],
        "cid": ["c", "e"],
        "dee": ["a", "b"],
        "fay": ["a"],
    }
    assert set(map(tuple, lists(folder, "whole").values())) == {("a", "b", "c")}
    # ann: hits at 1 and 3 of 2; bob and fay: at 1 of 1; cid: at 3 of 2; dee: at 1 and 2 of 2.
    per_user = read_per_user(folder, "whole")
    assert per_user["ndcg@3"].tolist() == pytest.approx(
        [(1 + D3) / (1 + D2), 1, D3 / (1 + D2), 1, 1]
    )
    assert per_user["recall@3"].tolist() == pytest.approx([1, 1, 1 / 2, 1, 1])
    assert evaluation.left_out["listeners without a relevant item"] == 1


def test_newcomers_can_be_left_out(world, models, tmp_path):
    evaluation, folder = run(
        world, tmp_path, Contender(models / "whole", "whole", "heuristic"), newcomers=False
    )
    assert listeners(folder) == ["ann", "bob", "cid"]
    assert evaluation.left_out == {
        "events on items that were not known at the cutoff": 2,
        "listeners without a history": 2,  # dee and eve
        "listeners without a relevant item": 1,  # fay
    }


def test_the_listeners_and_their_slices(world, models, tmp_path):
    _, folder = run(world, tmp_path, Contender(models / "whole", "whole", "heuristic"))
    assert pd.read_parquet(folder / "users.parquet").to_dict("records") == [
        {
            "user_id": name,
            "country": country,
            "relevant": relevant,
            "history": history,
            "listener": "newcomer",
        }
        for name, country, relevant, history in [
            ("ann", "Chile", 1, 3),
            ("bob", "Japan", 1, 2),
            ("cid", "", 2, 3),
            ("dee", "", 2, 0),
        ]
    ]


# What the models are told.


@pytest.mark.parametrize("shelf", ["discovery", "shortcuts"])
def test_all_models_are_told_the_same(world, models, tmp_path, shelf):
    """Two strangers answer with what they were told: what to leave out, and the plays."""
    names = ("excluded", "history", "country", "whole", "silent")
    evaluation, folder = run(
        world,
        tmp_path,
        *(Contender(models / name, name, "heuristic") for name in names),
        shelf=shelf,
        metrics=("ndcg@4",),
    )
    excluded = {name: sorted(set(row) - {"-"}) for name, row in lists(folder, "excluded").items()}
    plays = {
        name: [item for item in row if item != "-"]
        for name, row in lists(folder, "history").items()
    }
    people = listeners(folder)
    known = {"ann": ["a", "b"], "bob": ["b", "c"], "cid": ["a", "b", "d"], "dee": [], "fay": ["a"]}
    assert excluded == {name: known[name] if shelf == "discovery" else [] for name in people}
    # Oldest first; the second a of ann is a repetition, which is listed once.
    assert plays == {
        name: {"ann": ["a", "b", "?"], "bob": ["b", "c"], "cid": ["a", "b", "d"], "fay": ["a"]}.get(
            name, []
        )
        for name in people
    }
    # "Chile", "Japan" and "" for those who are not in the table: two foreign ids.
    assert evaluation.model("country").foreign == 2
    for name in names:
        assert len(read_per_user(folder, name)) == len(people) == evaluation.listeners
    # Who lists nothing, or only what is left out, has 0 for everybody.
    assert read_per_user(folder, "silent")["ndcg@4"].tolist() == [0] * len(people)
    if shelf == "discovery":
        assert read_per_user(folder, "excluded")["ndcg@4"].tolist() == [0] * len(people)


def test_the_age_of_every_play_is_told(world, models, tmp_path):
    """Without ages, a model that needs them would be asked with zeros and judged by that."""
    _, folder = run(
        world, tmp_path, Contender(models / "freshest", "freshest", "heuristic"), shelf="shortcuts"
    )
    # The last plays are the youngest; items that were not played have 0 and follow in tie order.
    rest = tie_order("abcde")
    for name, latest in {"ann": "ab", "bob": "cb", "cid": "dba", "dee": "", "fay": "a"}.items():
        ranked = [*latest, *(item for item in rest if item not in latest)]
        assert lists(folder, "freshest")[name] == ranked[:3]


def test_many_listeners_keep_their_rows(models, window, write_dataset, tmp_path):
    """More than two batches of histories of very different length, answered with the history."""
    rng = np.random.default_rng(8)
    count = 2 * BATCH + 88
    plays = {
        f"u{place:04}": rng.integers(0, 40, rng.integers(0, 12)).tolist() for place in range(count)
    }
    train = [(name, f"i{item}") for name, row in plays.items() for item in row]
    train += [("everything", f"i{item}") for item in range(40)]
    items = dict.fromkeys([f"i{item}" for item in range(40)])
    data = write_dataset(tmp_path / "data", train, [(name, "i0") for name in plays], items)
    transform(data, window, (), tmp_path / "features")
    features = Features.read(tmp_path / "features")
    evaluation, folder = run(
        (data, features),
        tmp_path,
        Contender(models / "history", "history", "candidate"),
        shelf="shortcuts",
        metrics=("recall@12", "mrr@12"),
    )
    assert evaluation.listeners == count
    returning = sorted(name for name, row in plays.items() if row)
    newcomers = sorted(name for name, row in plays.items() if not row)
    assert listeners(folder) == returning + newcomers
    listed = lists(folder, "history")
    scores = read_per_user(folder, "history")
    for place, name in enumerate(listeners(folder)):
        expected = list(dict.fromkeys(f"i{item}" for item in plays[name]))
        assert [item for item in listed[name] if item not in "-?"] == expected
        assert scores["recall@12"][place] == float(0 in plays[name])


# Models that answer oddly.


def test_foreign_ids_are_misses_and_are_counted(world, models, tmp_path):
    evaluation, folder = run(
        world,
        tmp_path,
        Contender(models / "foreign", "foreign", "heuristic"),
        Contender(models / "narrow", "narrow", "heuristic"),
    )
    assert evaluation.model("foreign").foreign == 4
    assert evaluation.model("narrow").foreign == 0
    assert lists(folder, "foreign") == {
        "ann": ["?", "c", "-"],
        "bob": ["?", "a", "-"],
        "cid": ["?", "c", "-"],
        "dee": ["?", "a", "c"],
    }
    # One hit at rank 2, of one relevant item or of two.
    assert read_per_user(folder, "foreign")["ndcg@3"].tolist() == pytest.approx(
        [D2, D2, D2 / (1 + D2), D2 / (1 + D2)]
    )
    # The smaller catalogue has the same hits a rank earlier, and the same denominator.
    assert read_per_user(folder, "narrow")["ndcg@3"].tolist() == pytest.approx(
        [1, 1, 1 / (1 + D2), 1 / (1 + D2)]
    )
    assert evaluation.model("narrow").corpus["coverage@3"] == 2 / 5


def test_a_repeated_id_counts_once(world, models, tmp_path):
    evaluation, folder = run(world, tmp_path, Contender(models / "repeats", "odd", "heuristic"))
    assert lists(folder, "odd")["ann"] == ["c", "?", "a"]
    assert read_per_user(folder, "odd")["recall@3"].tolist() == [1, 1, 1 / 2, 1 / 2]
    assert evaluation.model("odd").foreign == 0, "it is known, but was said before"


def test_more_items_than_asked_for_are_refused(world, models, tmp_path):
    message = refusal(
        lambda: run(world, tmp_path, Contender(models / "too_long", "odd", "candidate"))
    )
    assert "4 items where 3 were asked for" in message


def test_a_model_that_has_seen_the_test_period_is_refused(world, models, tmp_path):
    message = refusal(lambda: run(world, tmp_path, Contender(models / "late", "live-3", "live", 3)))
    assert "live-3 was trained on data until 2026-02-01 00:00" in message
    assert "choose a later as_of" in message
    assert not (tmp_path / "out" / "evaluation.json").exists()


@pytest.mark.parametrize("trained", [{}, {"start": "2026-01-01"}, {"end": "soon"}])
def test_a_model_that_does_not_say_until_when_it_was_trained_is_refused(
    world, models, tmp_path, trained
):
    folder = shutil.copytree(models / "whole", tmp_path / "model")
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(document | {"training_window": trained}))
    message = refusal(lambda: run(world, tmp_path, Contender(folder, "candidate", "candidate")))
    assert "training_window.end" in message


def test_what_is_no_model_is_refused(world, tmp_path):
    (tmp_path / "model").mkdir()
    heuristic = Contender(tmp_path / "model", "odd", "heuristic")
    assert "model is not a model folder" in refusal(lambda: run(world, tmp_path, heuristic))
    candidate = Contender(tmp_path / "model", "candidate", "candidate")
    shutil.rmtree(tmp_path / "out")
    assert "catalogue.txt, the list of the ids" in refusal(lambda: run(world, tmp_path, candidate))


def test_two_models_of_one_name_are_refused(world, models, tmp_path):
    twice = [Contender(models / name, "same", "heuristic") for name in ("whole", "narrow")]
    message = refusal(lambda: run(world, tmp_path, *twice))
    assert "two models are called same" in message
    assert not (tmp_path / "out").exists()


def test_an_output_with_something_in_it_is_refused(world, models, tmp_path):
    contender = Contender(models / "whole", "whole", "heuristic")
    _, folder = run(world, tmp_path, contender)
    before = folder_digest(folder)
    assert "is not empty" in refusal(lambda: run(world, tmp_path, contender))
    assert folder_digest(folder) == before


@pytest.mark.parametrize("metric", ["auc@10", "ndcg", "ndcg@0"])
def test_an_unknown_metric_is_refused(world, models, tmp_path, metric):
    contender = Contender(models / "whole", "whole", "heuristic")
    assert f"{metric!r}" in refusal(lambda: run(world, tmp_path, contender, metrics=(metric,)))


# By part of the catalogue. Listeners of the training period: b 3, a 3, c 2, d 1, e 0 (in tie
# order), of 9 pairs; so b is the head, d and e are the tail, and e is new while nothing is live.


def test_accuracy_is_given_by_part_of_the_truth(world, models, tmp_path):
    evaluation, folder = run(world, tmp_path, Contender(models / "whole", "whole", "heuristic"))
    items = pd.read_parquet(folder / "items.parquet").set_index("item_id")
    assert {part: set(items.index[items[part]]) for part in ("head", "torso", "tail", "new")} == {
        "head": {"b"},
        "torso": {"a", "c"},
        "tail": {"d", "e"},
        "new": {"e"},
    }
    table = read_per_user(folder, "whole").set_index(pd.Index(listeners(folder)))
    # Only dee plays b, which is second in her list; only cid plays e, which is second in his.
    expected = {
        "ndcg@3 head": {"dee": D2},
        "recall@3 head": {"dee": 1},
        "ndcg@3 torso": {"ann": 1, "bob": 1, "cid": 1, "dee": 1},
        "ndcg@3 tail": {"cid": D2},
        "recall@3 tail": {"cid": 1},
        "ndcg@3 new": {"cid": D2},
    }
    for name, values in expected.items():
        assert table[name].dropna().to_dict() == pytest.approx(values), name
    # Means over those who have any such truth; corpus-level metrics have no parts.
    assert read_values(folder, evaluation.model("whole"))["ndcg@3 tail"] == pytest.approx(D2)
    assert not [name for name in evaluation.model("whole").corpus if " " in name]


def test_a_metric_that_does_not_read_the_truth_has_no_parts(world, models, tmp_path):
    contender = Contender(models / "whole", "whole", "heuristic")
    _, folder = run(world, tmp_path, contender, metrics=("novelty@3", "mrr@3"))
    assert set(read_per_user(folder, "whole")) == {
        "novelty@3",
        "mrr@3",
        *(f"mrr@3{part}" for part in OF_PARTS),
    }


def test_new_is_what_the_live_model_does_not_know(world, models, tmp_path):
    _, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(models / "narrow", "live-3", "live", 3),
    )
    items = pd.read_parquet(folder / "items.parquet").set_index("item_id")
    assert set(items.index[items["new"]]) == {"b", "d", "e"}
    # Of dee's a and b only b is new, and the live model cannot list it.
    table = read_per_user(folder, "live-3").set_index(pd.Index(listeners(folder)))
    assert table["recall@3 new"].dropna().to_dict() == {"cid": 0, "dee": 0}
    table = read_per_user(folder, "candidate").set_index(pd.Index(listeners(folder)))
    assert table["recall@3 new"].dropna().to_dict() == {"cid": 1, "dee": 1}


def test_a_ranking_within_a_part_of_the_catalogue():
    """Three listeners, four items; item 2 and item 3 are the part."""
    ranking = Ranking(
        top=np.array([[0, 1], [2, 0], [3, EMPTY]], np.int32),
        truth=Ragged(np.array([0, 2, 3, 5]), np.array([0, 2, 1, 2, 3], np.int32)),
        history=Ragged(np.array([0, 1, 1, 3]), np.array([3, 0, 1], np.int32)),
        catalogue=Catalogue(np.arange(4), csr_array((4, 1), dtype=np.bool_), 4),
        gains=np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    )
    present, part = restrict_to_part(ranking, np.array([False, False, True, True]))
    assert present.tolist() == [0, 2], "the second listener plays nothing of it"
    assert part.top.tolist() == [[0, 1], [3, EMPTY]], "lists stay as they are"
    assert (part.truth.offsets.tolist(), part.truth.codes.tolist()) == ([0, 1, 3], [2, 2, 3])
    assert (part.history.offsets.tolist(), part.history.codes.tolist()) == ([0, 1, 3], [3, 0, 1])
    assert part.gains is not None
    assert part.gains.tolist() == [2, 4, 5]
    nobody, none = restrict_to_part(ranking, np.zeros(4, np.bool_))
    assert (len(nobody), len(none.top)) == (0, 0)


# Exclusions and inspection.


def test_excluded_items_that_are_listed_are_counted(world, models, tmp_path):
    names = ("excluded", "whole", "history")
    those = [Contender(models / name, name, "heuristic") for name in names]
    evaluation, _ = run(world, tmp_path, *those, metrics=("ndcg@4",))
    # ann a b, bob b c, cid a b d; dee has no history. The history lists ann's a a second time.
    assert [evaluation.model(name).excluded for name in names] == [7, 0, 8]


def test_on_the_shortcuts_shelf_nothing_is_excluded(world, models, tmp_path):
    contender = Contender(models / "history", "history", "heuristic")
    evaluation, _ = run(world, tmp_path, contender, shelf="shortcuts")
    assert evaluation.model("history").excluded == 0


@pytest.mark.parametrize("live", [True, False])
def test_what_the_run_may_ship_is_inspected(world, models, tmp_path, monkeypatch, live):
    asked = []
    sound = Inspection(faults=[], requests=4, reach=1.0, p50_ms=1, p99_ms=2, size_mb=3)

    def inspect(folder, those, allowed):
        assert allowed == ()
        assert (folder / "requests.parquet").is_file()
        asked.extend(contender.label for contender in those)
        return {contender.label: sound for contender in those}

    monkeypatch.setattr("setlist.evaluation.evaluator.inspect_models", inspect)
    those = [
        Contender(models / "whole", "candidate", "candidate"),
        Contender(models / "narrow", "rule", "heuristic"),
        Contender(models / "narrow", "live-3", "live", 3),
    ]
    evaluation, _ = run(world, tmp_path, *(those if live else those[:2]))
    assert asked == (["candidate"] if live else ["candidate", "rule"])
    assert {model.label for model in evaluation.models if model.inspection == sound} == set(asked)


# Beside a live model.


def test_values_on_the_truth_that_both_models_know(world, models, tmp_path):
    """The live model knows a and c only."""
    _, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(models / "narrow", "live-3", "live", 3),
        Contender(models / "whole", "anchor-2", "anchor", 2),
        Contender(models / "whole", "most_popular", "heuristic"),
        shelf="shortcuts",
    )
    columns = {f"{name}{part}" for name in ("ndcg@3", "recall@3") for part in ("", *OF_PARTS)}
    assert set(read_per_user(folder, "most_popular")) == columns
    for label in ("candidate", "live-3", "anchor-2"):
        assert set(read_per_user(folder, label)) == columns | {
            "ndcg@3 shared",
            "recall@3 shared",
        }
    # Of ann's a and c both are shared, of cid's c and e only c, of dee's a and b only a.
    # Lists are as they were: a b c of the candidate, a c of the live model.
    candidate, live = (
        read_per_user(folder, label).assign(who=listeners(folder)).sort_values("who")
        for label in ("candidate", "live-3")
    )
    assert candidate["recall@3 shared"].tolist() == [1, 1, 1, 1, 1]
    assert candidate["ndcg@3 shared"].tolist() == pytest.approx([(1 + D3) / (1 + D2), 1, D3, 1, 1])
    assert live["ndcg@3 shared"].tolist() == pytest.approx([1, 1, D2, 1, 1])
    assert live["recall@3"].tolist() == [1, 1, 1 / 2, 1 / 2, 1]
    assert read_per_user(folder, "anchor-2").equals(read_per_user(folder, "candidate"))


def test_a_listener_without_shared_truth_has_no_value(world, models, popular, tmp_path):
    """The live model knows nothing but c, which bob and dee do not play."""
    popular(tmp_path / "only_c", {"c": 1})
    evaluation, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(tmp_path / "only_c", "live-3", "live", 3),
    )
    values = read_per_user(folder, "candidate")["recall@3 shared"]
    assert values.isna().tolist() == [False, True, False, True]
    assert read_values(folder, evaluation.model("candidate"))["recall@3 shared"] == 1


def test_no_shared_truth_at_all(world, models, popular, tmp_path):
    popular(tmp_path / "other", {"zzz": 1})
    evaluation, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(tmp_path / "other", "live-3", "live", 3),
    )
    assert read_per_user(folder, "candidate")["ndcg@3 shared"].isna().all()
    assert "ndcg@3 shared" not in read_values(folder, evaluation.model("candidate"))


def test_nothing_is_shared_where_nothing_is_live(world, models, tmp_path):
    _, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(models / "narrow", "anchor-2", "anchor", 2),
    )
    assert not [name for name in read_per_user(folder, "candidate") if "shared" in name]


# The folder.


def test_the_record_says_what_was_evaluated(world, models, window, tmp_path):
    evaluation, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(models / "narrow", "live-3", "live", 3),
    )
    assert read_evaluation(folder) == evaluation
    assert evaluation.window == window.to_json()
    assert evaluation.metrics == tuple(map(MetricInfo.of, METRICS))
    assert evaluation.slices == ("listener", "country")
    assert evaluation.sampled_from == evaluation.listeners == 4
    live = evaluation.model("live-3")
    assert (live.role, live.revision, live.kind) == ("live", 3, "heuristic")
    assert live.digest == folder_digest(models / "narrow")
    assert live.content == folder_digest(models / "narrow" / "saved_model")
    assert (live.known, evaluation.model("candidate").known) == (2 / 5, 1)
    assert live.training_window == {
        "start": window.start.isoformat(),
        "end": window.cutoff.isoformat(),
    }
    assert pd.read_parquet(folder / "items.parquet")["item_id"].tolist() == tie_order("abcde")


def test_what_was_not_evaluated_cannot_be_read(tmp_path):
    assert "evaluation.json is missing" in refusal(lambda: read_evaluation(tmp_path))
    assert "evaluate x before" in refusal(lambda: read_per_user(tmp_path, "x"))


def rivals(folder: Path, *names: str) -> Path:
    folder.mkdir()
    (folder / "rivals.json").write_text(json.dumps(names))
    return folder


@pytest.mark.parametrize("lost", ["heuristics/most_popular", "live/anchor-2"])
def test_a_model_that_was_lost_on_the_way_is_missed(world, models, tmp_path, lost):
    """One rival fewer is easier to beat."""
    live = rivals(tmp_path / "live", "anchor-2")
    shutil.copytree(models / "whole", live / "anchor-2")
    shutil.copytree(models / "whole", tmp_path / "heuristics" / "most_popular")
    for file in (tmp_path / lost).glob("model.json"):
        file.unlink()
    those = list_contenders(tmp_path / "heuristics", models / "whole", live)
    assert len(those) == 3
    message = refusal(lambda: run(world, tmp_path, *those))
    assert f"{Path(lost).name} is not a model folder" in message


# Published figures.


@pytest.mark.slow
def test_temporal_movielens(tmp_path):
    """Popularity is deterministic, so an evaluator that is right reproduces its figures."""
    source = SHARED / "ml-1m"
    if not source.is_dir():
        pytest.skip(f"MovieLens-1M may not be redistributed, and is not at {source}")
    window = Window(
        parse_instant("1970-01-01", "start"),
        parse_instant(977516291, "cut"),
        parse_instant("2100-01-01", "end"),
    )
    data = DataSettings.model_validate(
        {
            "events": {
                "path": str(source / "interactions.parquet"),
                "where": [["rating", ">=", 4], ["ts_exact", "==", True]],
            },
            "items": {"path": str(source / "items.parquet"), "columns": {"tags": "genres"}},
        }
    )
    curate(data, window, CurationSettings(max_events_per_day=10_000), tmp_path / "dataset")
    transform(tmp_path / "dataset", window, (), tmp_path / "features")
    features = Features.read(tmp_path / "features")
    fitted = HeuristicSettings(fit=("most_popular", "recently_popular"))
    names = fit_heuristics(tmp_path / "features", fitted, tmp_path / "models")
    figures = {
        "most_popular": [0.1681, 0.1964, 0.1642],
        "recently_popular": [0.1838, 0.2072, 0.1797],
    }
    metrics = ("ndcg@10", "ndcg@100", "recall_capped@20")
    evaluation = evaluate(
        [Contender(tmp_path / "models" / name, name, "heuristic") for name in names],
        features,
        tmp_path / "dataset",
        EvaluationSettings(only=metrics, newcomers=False),
        tmp_path / "evaluation",
    )
    assert evaluation.listeners == 1_149
    assert names == list(figures)
    for name, expected in figures.items():
        means = read_per_user(tmp_path / "evaluation", name)[list(metrics)].mean()
        assert means.tolist() == pytest.approx(expected, abs=0.0002), name
