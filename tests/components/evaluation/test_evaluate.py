import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.curate import CurationSettings, DataSettings, curate
from components.data.features import Features
from components.data.schema import TIMESTAMP_DTYPE, Window, parse_instant
from components.data.transform import transform
from components.errors import SetlistError
from components.evaluation.audience import audience
from components.evaluation.evaluate import (
    BATCH,
    Contender,
    batches,
    contenders,
    evaluate,
    without_repeats,
)
from components.evaluation.evaluation import (
    EvaluationSettings,
    read_evaluation,
    read_per_user,
    read_values,
)
from components.evaluation.metrics import EMPTY, FOREIGN
from components.models.contract import HISTORY_AGE, ModelInfo, digest, tie_order, write_info
from components.models.heuristics import Popular, fit_heuristics
from components.models.recommender import Recommender
from components.models.settings import HeuristicSettings

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 2, 3)))
D2 = 1 / np.log2(3)  # the discount of the second rank
D3 = 1 / 2

# Four items are known at the cut because they were played by then, and "e" because it was released
# by then; "new" was not. Plays are in time order.
#
#   listener   plays before      plays after    relevant: discovery   shortcuts
#   ann        a b a             c c a          c                     a c
#   bob        b c               a new          a                     a
#   cid        a b d             c e            c e                   c e
#   dee        -                 a b            a b                   a b
#   eve        -                 new            -                     -
#   fay        a                 a              -                     a
#   gus        c                 -              -                     -
TRAIN = [
    *[("ann", item) for item in "aba"],
    *[("bob", item) for item in "bc"],
    *[("cid", item) for item in "abd"],
    ("fay", "a"),
    ("gus", "c"),
]
TEST = [
    *[("ann", item) for item in "cca"],
    *[("bob", item) for item in ("a", "new")],
    *[("cid", item) for item in "ce"],
    *[("dee", item) for item in "ab"],
    ("eve", "new"),
    ("fay", "a"),
]
METRICS = ("ndcg@3", "recall@3", "coverage@3", "popularity_lift@3")
COUNTRIES = {"ann": "Chile", "bob": "Japan"}


def events(pairs, start: str) -> pd.DataFrame:
    """One play a day."""
    table = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    days = pd.to_timedelta(np.arange(len(table)), unit="D")
    table["timestamp"] = (pd.Timestamp(start, tz="UTC") + days).astype(TIMESTAMP_DTYPE)
    table["weight"] = 1.0
    return table


def dataset(folder: Path, train, test, items) -> Path:
    """A dataset as `curate` writes it, of items with a release date or None."""
    folder.mkdir(parents=True)
    events(train, "2026-01-02").to_parquet(folder / "train.parquet", index=False)
    events(test, "2026-02-02").to_parquet(folder / "test.parquet", index=False)
    table = pd.DataFrame({"item_id": list(items), "title": list(items)})
    table["tags"] = [["x"] for _ in items]
    table["released"] = pd.to_datetime(pd.Series(list(items.values())), utc=True).astype(
        TIMESTAMP_DTYPE
    )
    table.to_parquet(folder / "items.parquet", index=False)
    users = pd.DataFrame({"user_id": list(COUNTRIES), "country": list(COUNTRIES.values())})
    users.to_parquet(folder / "users.parquet", index=False)
    return folder


class Answers(tf.Module):
    """A stranger's model: its answer is a tensor of strings that it makes of what it is told."""

    def export(self, folder: Path, answer, *, inputs=()) -> Path:
        @tf.function
        def recommend(history, exclude, k, **more):
            ids = answer(history, exclude, k, **more)
            return {"item_ids": ids, "scores": tf.zeros(tf.shape(ids))}

        strings = tf.TensorSpec([None, None], tf.string)
        signature = recommend.get_concrete_function(
            history=tf.TensorSpec(strings.shape, tf.string, name="history"),
            exclude=tf.TensorSpec(strings.shape, tf.string, name="exclude"),
            k=tf.TensorSpec([], tf.int32, name="k"),
            **{name: tf.TensorSpec([None], tf.string, name=name) for name in inputs},
        )
        tf.saved_model.save(self, str(folder / "saved_model"), signatures={"recommend": signature})
        info = ModelInfo(
            name=folder.name,
            kind="stranger",
            catalogue_size=5,
            history_length=100,
            inputs=inputs,
            training_window={"start": "2026-01-01", "end": "2026-02-01"},
            code_version="0",
        )
        write_info(folder, info, tie_order("abcde"))
        return folder


def constant(*ids: str):
    def answer(history, exclude, k):
        return tf.tile(tf.constant([ids]), [tf.shape(history)[0], 1])

    return answer


class Freshest(Recommender):
    """The youngest of the listener's own plays first, by the ages that the caller states."""

    def __init__(self, catalogue) -> None:
        super().__init__(catalogue, inputs=[HISTORY_AGE])

    def score(self, history, inputs):
        codes = tf.one_hot(history, len(self.catalogue))
        return tf.reduce_max(codes / (1 + inputs[HISTORY_AGE][..., None]), axis=1)


def popular(folder: Path, scores: dict[str, float]) -> Path:
    ids = tie_order(scores)
    model = Popular(ids, np.array([scores[item] for item in ids], np.float32))
    model.export(folder, folder.name, WINDOW)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Model folders; all of them rank a before b before c."""
    folder = tmp_path_factory.mktemp("models")
    popular(folder / "whole", {"a": 5, "b": 4, "c": 3, "d": 2, "e": 1})
    popular(folder / "narrow", {"a": 2, "c": 1})
    popular(folder / "foreign", {"zzz": 9, "a": 2, "c": 1})
    late = shutil.copytree(folder / "whole", folder / "late")
    document = json.loads((late / "model.json").read_text())
    document["training_window"]["end"] = "2026-02-01T00:00:01+00:00"
    (late / "model.json").write_text(json.dumps(document))
    Freshest(tie_order("abcde")).export(folder / "freshest", "freshest", WINDOW)
    Answers().export(folder / "repeats", constant("c", "c", "a"))
    Answers().export(folder / "too_long", constant("a", "b", "c", "d"))
    Answers().export(folder / "silent", constant("", "", ""))
    Answers().export(folder / "excluded", lambda history, exclude, k: exclude[:, :k])
    Answers().export(folder / "history", lambda history, exclude, k: history[:, -k:])
    Answers().export(
        folder / "country",
        lambda history, exclude, k, country: country[:, None],
        inputs=("country",),
    )
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Path, Features]:
    folder = tmp_path_factory.mktemp("world")
    items = dict.fromkeys("abcd") | {"e": "2026-01-15", "new": "2026-02-05"}
    data = dataset(folder / "dataset", TRAIN, TEST, items)
    return data, transform(data, WINDOW, ("country",), folder / "features")


def run(world, tmp_path, *those, metrics=METRICS, **more):
    """Evaluates the contenders into tmp_path/out and returns evaluation and folder."""
    data, features = world
    rules = EvaluationSettings(metrics=metrics, **more)
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
    found: dict[str, list[str]] = {name: [] for name in people}
    for user, item in zip(table["user"], table["item"], strict=True):
        found[people[user]].append(ids[item])
    return {name: sorted(row) for name, row in found.items()}


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
    # Eve plays nothing but "new", fay only what she knows.
    assert evaluation.left_out == {
        "events on items that were not known at the cut": 2,
        "listeners without a relevant item": 2,
    }
    # Everybody's list begins with all that is relevant.
    assert read_per_user(folder, "whole").to_dict("list") == {
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
    assert (
        read_values(folder, evaluation.model("whole"))
        == {
            "ndcg@3": pytest.approx(1),
            "recall@3": pytest.approx(1),
        }
        | evaluation.model("whole").corpus
    )


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
        "events on items that were not known at the cut": 2,
        "listeners without a history": 2,  # dee and eve
        "listeners without a relevant item": 1,  # fay
    }


@pytest.mark.parametrize("shelf", ["discovery", "shortcuts"])
@pytest.mark.parametrize("newcomers", [True, False])
def test_every_listener_of_the_test_period_is_accounted_for(world, shelf, newcomers):
    data, features = world
    test = pd.read_parquet(data / "test.parquet")
    people = audience(features, test, EvaluationSettings(shelf=shelf, newcomers=newcomers))
    left_out = {name: size for name, size in people.left_out.items() if "listeners" in name}
    assert len(people.users) + sum(left_out.values()) == test["user_id"].nunique()


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


def test_slices_by_the_number_of_plays(tmp_path):
    plays = {"none": 0, "five": 5, "six": 6, "fifty": 50, "more": 51}
    train = [(name, f"i{place}") for name, size in plays.items() for place in range(size)]
    items = dict.fromkeys([*(f"i{place}" for place in range(51)), "other"])
    train.append(("nobody", "other"))
    data = dataset(tmp_path / "data", train, [(name, "other") for name in plays], items)
    features = transform(data, WINDOW, (), tmp_path / "features")
    people = audience(features, pd.read_parquet(data / "test.parquet"), EvaluationSettings())
    assert people.users.set_index("user_id")["listener"].to_dict() == {
        "none": "newcomer",
        "five": "newcomer",
        "six": "light",
        "fifty": "light",
        "more": "heavy",
    }


def test_nobody_to_evaluate_is_an_error(world, models, tmp_path):
    data, features = world
    test = pd.read_parquet(data / "test.parquet")
    for rows, rules in [
        (test.iloc[:0], EvaluationSettings()),
        (test[test["item_id"] == "new"], EvaluationSettings()),
        (test[test["user_id"] == "fay"], EvaluationSettings()),  # plays what she knows
        (test[test["user_id"] == "dee"], EvaluationSettings(newcomers=False)),
    ]:
        message = refusal(lambda rows=rows, rules=rules: audience(features, rows, rules))
        assert "relevant to the discovery shelf" in message
        assert "window.test_days" in message


def test_tables_of_different_runs_are_refused(world):
    _, features = world
    test = events([("zoe", "a")], "2026-02-02")
    message = refusal(lambda: audience(features, test, EvaluationSettings()))
    assert "listener zoe is not in the features" in message


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
    told = {name: sorted(set(row) - {"-"}) for name, row in lists(folder, "excluded").items()}
    plays = {
        name: [one for one in row if one != "-"] for name, row in lists(folder, "history").items()
    }
    people = listeners(folder)
    known = {"ann": ["a", "b"], "bob": ["b", "c"], "cid": ["a", "b", "d"], "dee": [], "fay": ["a"]}
    assert told == {name: known[name] if shelf == "discovery" else [] for name in people}
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


def test_many_listeners_keep_their_rows(models, tmp_path):
    """More than two batches of histories of very different length, answered with the history."""
    rng = np.random.default_rng(8)
    count = 2 * BATCH + 88
    plays = {
        f"u{place:04}": rng.integers(0, 40, rng.integers(0, 12)).tolist() for place in range(count)
    }
    train = [(name, f"i{item}") for name, row in plays.items() for item in row]
    train += [("everything", f"i{item}") for item in range(40)]
    items = dict.fromkeys([f"i{item}" for item in range(40)])
    data = dataset(tmp_path / "data", train, [(name, "i0") for name in plays], items)
    features = transform(data, WINDOW, (), tmp_path / "features")
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
        assert [one for one in listed[name] if one not in "-?"] == expected
        assert scores["recall@12"][place] == float(0 in plays[name])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 1_000), max_size=1_500))
def test_batches_cover_everyone_once(lengths):
    sizes = np.array(lengths, np.int64)
    parts = list(batches(sizes))
    assert all(0 < len(part) <= BATCH for part in parts)
    everyone = np.concatenate([*parts, np.array([], np.int64)])
    assert sorted(everyone.tolist()) == list(range(len(sizes)))
    assert (np.diff(sizes[everyone.astype(int)]) >= 0).all()  # alike in length


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
    assert evaluation.model("odd").foreign == 0  # known, but said before


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-2, 4), min_size=6, max_size=6), min_size=1, max_size=4))
def test_without_repeats_the_first_mention_stays(rows):
    expected = [
        [FOREIGN if code >= 0 and code in row[:place] else code for place, code in enumerate(row)]
        for row in rows
    ]
    assert without_repeats(np.array(rows, np.int32)).tolist() == expected


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
    contender = Contender(tmp_path / "model", "candidate", "candidate")
    assert "is not a model folder" in refusal(lambda: run(world, tmp_path, contender))


def test_two_models_of_one_name_are_refused(world, models, tmp_path):
    twice = [Contender(models / name, "same", "heuristic") for name in ("whole", "narrow")]
    message = refusal(lambda: run(world, tmp_path, *twice))
    assert "two models are called same" in message
    assert not (tmp_path / "out").exists()


def test_an_output_with_something_in_it_is_refused(world, models, tmp_path):
    one = Contender(models / "whole", "whole", "heuristic")
    _, folder = run(world, tmp_path, one)
    before = digest(folder)
    assert "is not empty" in refusal(lambda: run(world, tmp_path, one))
    assert digest(folder) == before


@pytest.mark.parametrize("metric", ["auc@10", "ndcg", "ndcg@0"])
def test_an_unknown_metric_is_refused(world, models, tmp_path, metric):
    one = Contender(models / "whole", "whole", "heuristic")
    assert f"{metric!r}" in refusal(lambda: run(world, tmp_path, one, metrics=(metric,)))


# Beside a live model.


def test_values_on_the_truth_that_both_models_know(world, models, tmp_path):
    """The live model knows a and c only."""
    _, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(models / "narrow", "live-3", "live", 3),
        Contender(models / "whole", "former-2", "former", 2),
        Contender(models / "whole", "most_popular", "heuristic"),
        shelf="shortcuts",
    )
    columns = {"ndcg@3", "recall@3"}
    assert set(read_per_user(folder, "most_popular")) == columns
    for label in ("candidate", "live-3", "former-2"):
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
    assert read_per_user(folder, "former-2").equals(read_per_user(folder, "candidate"))


def test_a_listener_without_shared_truth_has_no_value(world, models, tmp_path):
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


def test_no_shared_truth_at_all(world, models, tmp_path):
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
        Contender(models / "narrow", "former-2", "former", 2),
    )
    assert set(read_per_user(folder, "candidate")) == {"ndcg@3", "recall@3"}


# The folder.


def test_the_record_says_what_was_evaluated(world, models, tmp_path):
    evaluation, folder = run(
        world,
        tmp_path,
        Contender(models / "whole", "candidate", "candidate"),
        Contender(models / "narrow", "live-3", "live", 3),
    )
    assert read_evaluation(folder) == evaluation
    assert evaluation.window == WINDOW.to_json()
    assert evaluation.metrics == METRICS
    live = evaluation.model("live-3")
    assert (live.role, live.revision, live.kind) == ("live", 3, "heuristic")
    assert live.digest == digest(models / "narrow")
    assert live.training_window == {
        "start": WINDOW.start.isoformat(),
        "end": WINDOW.cut.isoformat(),
    }
    assert pd.read_parquet(folder / "items.parquet")["item_id"].tolist() == tie_order("abcde")


def test_what_was_not_evaluated_cannot_be_read(tmp_path):
    assert "evaluation.json is missing" in refusal(lambda: read_evaluation(tmp_path))
    assert "evaluate x before" in refusal(lambda: read_per_user(tmp_path, "x"))


def rivals(folder: Path, *names: str) -> Path:
    folder.mkdir()
    (folder / "rivals.json").write_text(json.dumps(names))
    return folder


def test_the_models_of_a_run(tmp_path):
    heuristics = tmp_path / "heuristics"
    for name in ("relisten", "most_popular"):
        (heuristics / name).mkdir(parents=True)
    live = rivals(tmp_path / "live", "live-12", "former-9")
    assert contenders(heuristics, tmp_path / "candidate", live) == [
        Contender(tmp_path / "candidate", "candidate", "candidate"),
        Contender(live / "live-12", "live-12", "live", 12),
        Contender(live / "former-9", "former-9", "former", 9),
        Contender(heuristics / "most_popular", "most_popular", "heuristic"),
        Contender(heuristics / "relisten", "relisten", "heuristic"),
    ]
    assert "rivals.json is missing" in refusal(
        lambda: contenders(heuristics, tmp_path / "candidate", tmp_path / "nowhere")
    )


@pytest.mark.parametrize("lost", ["heuristics/most_popular", "live/former-2"])
def test_a_model_that_was_lost_on_the_way_is_missed(world, models, tmp_path, lost):
    """One rival fewer is easier to beat."""
    live = rivals(tmp_path / "live", "former-2")
    shutil.copytree(models / "whole", live / "former-2")
    shutil.copytree(models / "whole", tmp_path / "heuristics" / "most_popular")
    for file in (tmp_path / lost).glob("model.json"):
        file.unlink()
    those = contenders(tmp_path / "heuristics", models / "whole", live)
    assert len(those) == 3
    message = refusal(lambda: run(world, tmp_path, *those))
    assert f"{Path(lost).name} is not a model folder" in message


# Published figures.


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
    features = transform(tmp_path / "dataset", window, (), tmp_path / "features")
    fitted = HeuristicSettings(fit=("most_popular", "recently_popular"))
    names = fit_heuristics(features, fitted, tmp_path / "models")
    figures = {
        "most_popular": [0.1681, 0.1964, 0.1642],
        "recently_popular": [0.1838, 0.2072, 0.1797],
    }
    evaluation = evaluate(
        [Contender(tmp_path / "models" / name, name, "heuristic") for name in names],
        features,
        tmp_path / "dataset",
        EvaluationSettings(metrics=("ndcg@10", "ndcg@100", "recall_capped@20"), newcomers=False),
        tmp_path / "evaluation",
    )
    assert evaluation.listeners == 1_149
    assert names == list(figures)
    for name, expected in figures.items():
        means = read_per_user(tmp_path / "evaluation", name).mean()
        assert means.tolist() == pytest.approx(expected, abs=0.0002), name
