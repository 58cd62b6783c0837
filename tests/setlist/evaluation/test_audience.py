"""Who is evaluated, on what; the world stands in conftest.py."""

import hashlib
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from setlist.data.features import Features
from setlist.data.transformation import transform
from setlist.errors import SetlistError
from setlist.evaluation.audience import sample_rows, select_audience
from setlist.evaluation.contenders import Contender
from setlist.evaluation.evaluator import evaluate
from setlist.evaluation.results import EvaluationSettings, read_evaluation

USERS = pd.DataFrame({"user_id": ["cid", "ann", "zoe"], "plan": ["free", "paid", "paid"]})


def plays_after(world) -> pd.DataFrame:
    return pd.read_parquet(world[0] / "test.parquet")


def gathered(world, test=None, users=USERS, **more):
    return select_audience(
        world[1], plays_after(world) if test is None else test, users, EvaluationSettings(**more)
    )


def refusal(call) -> str:
    with pytest.raises(SetlistError) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("shelf", ["discovery", "shortcuts"])
@pytest.mark.parametrize("newcomers", [True, False])
def test_every_listener_of_the_test_period_is_accounted_for(world, shelf, newcomers):
    people = gathered(world, shelf=shelf, newcomers=newcomers)
    left_out = {name: size for name, size in people.left_out.items() if "listeners" in name}
    assert len(people.users) + sum(left_out.values()) == plays_after(world)["user_id"].nunique()
    assert people.sampled_from == len(people.users)


def test_slices_by_the_number_of_plays(window, write_dataset, tmp_path):
    plays = {"none": 0, "five": 5, "six": 6, "fifty": 50, "more": 51}
    train = [(name, f"i{place}") for name, size in plays.items() for place in range(size)]
    items = dict.fromkeys([*(f"i{place}" for place in range(51)), "other"])
    train.append(("nobody", "other"))
    data = write_dataset(tmp_path / "data", train, [(name, "other") for name in plays], items)
    transform(data, window, (), tmp_path / "features")
    features = Features.read(tmp_path / "features")
    people = gathered((data, features))
    assert people.users.set_index("user_id")["listener"].to_dict() == {
        "none": "newcomer",
        "five": "newcomer",
        "six": "light",
        "fifty": "light",
        "more": "heavy",
    }


def test_nobody_to_evaluate_is_an_error(world):
    test = plays_after(world)
    for rows, more in [
        (test.iloc[:0], {}),
        (test[test["item_id"] == "new"], {}),
        (test[test["user_id"] == "fay"], {}),  # plays what she knows
        (test[test["user_id"] == "dee"], {"newcomers": False}),
    ]:
        message = refusal(lambda rows=rows, more=more: gathered(world, rows, **more))
        assert "relevant to the discovery shelf" in message
        assert "window.test_days" in message


def test_tables_of_different_runs_are_refused(world, events):
    test = events([("zoe", "a")], "2026-02-02")
    assert "listener zoe is not in the features" in refusal(lambda: gathered(world, test))


# Slices from the table of users.


def test_a_slice_is_a_column_of_the_users_table(world):
    people = gathered(world, slices=("plan",))
    assert people.users[["user_id", "country", "plan"]].to_dict("list") == {
        "user_id": ["ann", "bob", "cid", "dee"],
        "country": ["Chile", "Japan", "", ""],
        "plan": ["paid", "", "free", ""],  # "" for those who are not in the table
    }


def test_a_slice_that_is_a_named_input_already_is_not_read_twice(world):
    users = USERS.assign(country="elsewhere")
    people = gathered(world, users=users, slices=("country",))
    assert people.users["country"].tolist() == ["Chile", "Japan", "", ""]


@pytest.mark.parametrize(
    "name", ["city", "user_id", "relevant", "history", "listener", "item_part"]
)
def test_a_column_that_is_missing_or_taken_is_no_slice(world, name):
    users = USERS.assign(relevant="x", history="x", listener="x", item_part="x")
    message = refusal(lambda: gathered(world, users=users, slices=(name,)))
    assert message == (
        f"evaluation.slices: {name!r} is no column of the users table by which to slice (those "
        "are: plan); correct the name, or take it out."
    )


def test_a_users_table_without_any_column_says_so(world):
    message = refusal(lambda: gathered(world, users=USERS[["user_id"]], slices=("plan",)))
    assert "(those are: none)" in message


def test_slices_stand_in_the_evaluation(world, models, uninspected, tmp_path):
    data, features = world
    USERS.to_parquet(tmp_path / "users.parquet", index=False)
    for name in ("train.parquet", "test.parquet", "items.parquet"):
        (tmp_path / name).symlink_to(data / name)
    settings = EvaluationSettings(only=("ndcg@3",), slices=("plan", "country"))
    contender = Contender(models / "whole", "whole", "heuristic")
    evaluate([contender], features, tmp_path, settings, tmp_path / "out")
    assert read_evaluation(tmp_path / "out").slices == ("listener", "country", "plan")
    users = pd.read_parquet(tmp_path / "out" / "users.parquet")
    assert users["plan"].tolist() == ["paid", "", "free", ""]


# Gains.


def test_the_gain_of_an_item_is_the_largest_weight_of_its_plays(world):
    test = plays_after(world)
    # ann plays c twice and a; cid plays c and e; dee a and b. On this shelf ann's a does not count.
    test["weight"] = [0.5, 2.0, 9.0, 1.5, 1.0, 3.0, 0.25, 0.75, 4.0, 1.0, 1.0]
    people = gathered(world, test)
    ids = world[1].items["item_id"].to_numpy()
    names = people.users["user_id"].to_numpy()
    gains = zip(names[people.truth.rows], ids[people.truth.codes], people.gains, strict=True)
    assert sorted(gains) == [
        ("ann", "c", 2.0),
        ("bob", "a", 1.5),
        ("cid", "c", 3.0),
        ("cid", "e", 0.25),
        ("dee", "a", 0.75),
        ("dee", "b", 4.0),
    ]


# A sample of a very large audience.


@pytest.fixture
def crowd(window, write_dataset, tmp_path):
    """60 newcomers, 30 light and 10 heavy listeners, who all play item `other` afterwards."""
    kinds = {"n": (60, 1), "l": (30, 6), "h": (10, 51)}
    plays = {
        f"{kind}{place}": number for kind, (size, number) in kinds.items() for place in range(size)
    }
    train = [(name, f"i{place}") for name, size in plays.items() for place in range(size)]
    items = dict.fromkeys([*(f"i{place}" for place in range(51)), "other", "another"])
    test = [(name, item) for name in plays for item in ("other", "another")]
    train += [("nobody", "other"), ("nobody", "another")]
    data = write_dataset(tmp_path / "data", train, test, items)
    transform(data, window, (), tmp_path / "features")
    return data, Features.read(tmp_path / "features")


def limit(monkeypatch, number: int) -> None:
    monkeypatch.setattr("setlist.evaluation.audience.MAX_LISTENERS", number)


def test_an_audience_within_the_limit_is_whole(crowd, monkeypatch):
    limit(monkeypatch, 100)
    people = gathered(crowd)
    assert (len(people.users), people.sampled_from) == (100, 100)


def test_a_sample_has_the_same_share_of_every_kind(crowd, monkeypatch):
    limit(monkeypatch, 50)
    people = gathered(crowd)
    assert people.sampled_from == 100
    assert people.users["listener"].value_counts().to_dict() == {
        "newcomer": 30,
        "light": 15,
        "heavy": 5,
    }


def test_a_sample_never_exceeds_the_limit(crowd, monkeypatch):
    for number in (99, 33, 7):
        limit(monkeypatch, number)
        assert 0 < len(gathered(crowd).users) <= number


def test_the_sample_is_the_same_however_the_table_is_ordered_and_grows_with_the_limit(
    crowd, monkeypatch
):
    limit(monkeypatch, 50)
    once = set(gathered(crowd).users["user_id"])
    shuffled = plays_after(crowd).sample(frac=1, random_state=3)
    assert set(gathered(crowd, shuffled).users["user_id"]) == once
    limit(monkeypatch, 80)
    assert once < set(gathered(crowd).users["user_id"]), "the smallest hashes stay"
    first = {f"{kind}{place}" for kind, size in (("n", 30), ("l", 15), ("h", 5))
             for place in range(size)}  # fmt: skip
    assert once != first, "the order of the table is no sample"


def test_what_belongs_to_a_sampled_listener_stays_beside_it(crowd, monkeypatch):
    features = crowd[1]
    limit(monkeypatch, 20)
    people = gathered(crowd)
    assert people.truth.lengths.tolist() == [2] * len(people.users)
    assert people.users["relevant"].tolist() == [2] * len(people.users)
    assert people.gains.tolist() == [1.0] * len(people.truth.codes)
    everyone = features.everyone["user_id"].tolist()
    counts = np.diff(features.offsets)
    expected = [int(counts[everyone.index(name)]) for name in people.users["user_id"]]
    assert people.plays.lengths.tolist() == expected == people.users["history"].tolist()
    assert len(people.ages) == sum(expected)
    assert people.history.lengths.tolist() == expected


def test_the_sample_takes_the_lowest_hex_digits_of_a_salted_sha256(crowd, monkeypatch):
    limit(monkeypatch, 50)
    sampled = gathered(crowd).users

    def digits(name: str) -> str:
        return hashlib.sha256(f"setlist/evaluated-listeners/{name}".encode()).hexdigest()

    for kind, (size, share) in {"n": (60, 30), "l": (30, 15), "h": (10, 5)}.items():
        names = sorted((f"{kind}{place}" for place in range(size)), key=digits)
        assert set(names[:share]) == {n for n in sampled["user_id"] if n.startswith(kind)}


def test_a_sample_has_the_same_share_of_every_combination_of_slices(crowd, monkeypatch):
    limit(monkeypatch, 50)
    everyone = plays_after(crowd)["user_id"].unique()
    plans = ["paid" if name.endswith(("0", "5")) else "free" for name in everyone]
    users = pd.DataFrame({"user_id": everyone, "plan": plans})
    sampled = gathered(crowd, users=users, slices=("plan",)).users
    assert sampled.groupby(["listener", "plan"]).size().to_dict() == {
        ("newcomer", "free"): 24,
        ("newcomer", "paid"): 6,
        ("light", "free"): 12,
        ("light", "paid"): 3,
        ("heavy", "free"): 4,
        ("heavy", "paid"): 1,
    }


@given(
    strata=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1),
    share=st.floats(0.01, 1),
)
def test_every_run_of_strata_has_its_share_to_within_a_listener(strata, share):
    size = math.ceil(share * len(strata))
    groups = pd.DataFrame(strata, columns=["first", "second"])
    kept = sample_rows([f"u{row}" for row in range(len(strata))], groups, size)
    assert len(set(kept)) == size
    assert kept.tolist() == sorted(kept)
    ordered = sorted(strata)
    for end in sorted(set(strata)):
        before = sum(stratum <= end for stratum in ordered)
        sampled = sum(strata[row] <= end for row in kept)
        assert abs(sampled - before * size / len(strata)) < 1


def test_means_over_a_sample_are_those_of_everybody():
    """Small groups are not over-sampled, so that no mean needs weights."""
    generator = np.random.default_rng(5)
    group = np.where(generator.random(20_000) < 0.005, "small", "large")
    values = np.where(group == "small", 1.0, 0.0)
    ids = [f"u{row}" for row in range(len(values))]
    kept = sample_rows(ids, pd.DataFrame({"group": group}), 2_000)
    assert abs(values[kept].mean() - values.mean()) < 1 / 2_000


def test_groups_that_a_sample_makes_too_small_are_named(crowd, monkeypatch):
    limit(monkeypatch, 50)
    assert gathered(crowd).lost_groups == ("listener light (15 of 30)",)
    everyone = plays_after(crowd)["user_id"].unique()
    users = pd.DataFrame({"user_id": everyone, "plan": [""] * 40 + ["paid"] * 60})
    lost = gathered(crowd, users=users, slices=("plan",)).lost_groups
    assert [text.partition(" (")[0] for text in lost] == ["listener light", "plan not known"]
    limit(monkeypatch, 100)
    assert gathered(crowd).lost_groups == ()


def test_the_evaluation_says_that_it_is_a_sample(
    crowd, models, uninspected, monkeypatch, tmp_path, capsys
):
    limit(monkeypatch, 50)
    data, features = crowd
    settings = EvaluationSettings(only=("ndcg@3",))
    evaluate(
        [Contender(models / "silent", "silent", "heuristic")],
        features,
        data,
        settings,
        tmp_path / "out",
    )
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (document["listeners"], document["sampled_from"]) == (50, 100)
    assert len(pd.read_parquet(tmp_path / "out" / "users.parquet")) == 50
    assert capsys.readouterr().out.splitlines()[:2] == [
        "50 of 100 listeners are evaluated, the same share of each group by history length",
        "with fewer than 30 listeners in the sample, these groups cannot be judged: "
        "listener light (15 of 30)",
    ]
