"""What the explorer reads of a run: one listener, and how two models differ."""

import copy
import json

import numpy as np
import pandas as pd
import pytest

from setlist.data.features import Features
from setlist.data.schema import Window, parse_instant
from setlist.evaluation.results import EvaluatedModel, Evaluation, MetricInfo
from setlist.evaluation.verdict import Verdict
from setlist.explorer.run_folder import ExploredRun, ListenerRecord, RunFolders, shared_items
from setlist.models.contract import EMPTY, FOREIGN

WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 4, 5)))
TOPS = {
    # ann: a, b, c; new: c, a, nothing
    "candidate": [[0, 1, 2], [2, 0, EMPTY]],
    # ann: b, an id that is not in the catalogue, a; new: nothing but unknown ids
    "live-1": [[1, FOREIGN, 0], [FOREIGN, FOREIGN, EMPTY]],
}
SCORES = {"candidate": [0.5, 0.25], "live-1": [0.75, 0.25]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ExploredRun:
    """Ann and Bob were there before the cut, New came later; Bob is not evaluated."""
    root = tmp_path_factory.mktemp("run")
    items = pd.DataFrame(
        {
            "item_id": ["a", "b", "c"],
            "title": ["A", "B", "C"],
            "tags": [["x"], [], ["y"]],
            "released": pd.Series(pd.NaT, range(3), "datetime64[us, UTC]"),
            "plays": [3, 2, 0],
            "listeners": [2, 1, 0],
        }
    )
    people = {
        "user_id": ["ann", "bob", "new"],
        "country": ["SE", "NG", "SE"],
        "age band": ["", "18-24", "18-24"],
    }
    everyone = pd.DataFrame(people)
    Features(
        items=items,
        users=everyone[:2],
        newcomers=everyone[2:],
        plays=pd.DataFrame(
            {
                "user": np.array([0, 0, 0, 1, 1], np.int32),
                "item": np.array([1, 0, 1, 0, 0], np.int32),
                "age_days": np.array([9.5, 4, 0.25, 80, 2], np.float32),
            }
        ),
        window=WINDOW,
        inputs=("country", "age band"),
    ).write(root / "features")
    evaluations = root / "evaluations"
    evaluations.mkdir()
    items.to_parquet(evaluations / "items.parquet", index=False)
    evaluated = everyone.iloc[[0, 2]].assign(
        relevant=[2, 1], history=[3, 0], listener=["light", "newcomer"]
    )
    evaluated.to_parquet(evaluations / "users.parquet", index=False)
    pd.DataFrame({"user": [0, 1, 0], "item": [0, 2, 2], "gain": [1.0, 1.0, 3.0]}).to_parquet(
        evaluations / "truth.parquet", index=False
    )
    for label, lists in TOPS.items():
        (evaluations / label).mkdir()
        np.save(evaluations / label / "top.npy", np.array(lists, np.int32))
        pd.DataFrame({"recall_capped@20": 0.0, "ndcg@10": SCORES[label]}).to_parquet(
            evaluations / label / "per_user.parquet", index=False
        )
    evaluation = Evaluation(
        shelf="discovery",
        window=WINDOW.to_json(),
        metrics=(MetricInfo.of("ndcg@10"),),
        slices=("listener", "country", "age band"),
        k=3,
        listeners=2,
        sampled_from=3,
        catalogue=3,
        left_out={},
        models=[
            EvaluatedModel(
                label=label,
                role="live" if label == "live-1" else "candidate",
                kind="two_tower",
                digest=label,
                content=label,
                training_window={},
                corpus={},
                foreign=0,
                excluded=0,
                known=1.0,
                seconds=1.0,
            )
            for label in TOPS
        ],
    )
    (evaluations / "evaluation.json").write_text(json.dumps(evaluation.model_dump()))
    Verdict(
        decision="promote",
        mode="auto",
        primary="ndcg@10",
        sentence="It is better.",
        reasons=[],
        evaluation_digest="",
        policy_digest="",
        head=None,
    ).write(root / "verdict")
    return ExploredRun(
        RunFolders(
            "run",
            root / "settings.yaml",
            root / "features",
            evaluations,
            root / "verdict",
            root / "report.html",
            {},
        )
    )


def test_a_listener_is_what_the_models_were_told(run: ExploredRun) -> None:
    """Plays oldest first with their ages; what came later, the heaviest first."""
    assert run.find("ann") == ListenerRecord(
        user_id="ann",
        history=("b", "a", "b"),
        ages=(9.5, 4.0, 0.25),
        inputs={"country": "SE", "age band": ""},
        row=0,
        played=("c", "a"),
    )


def test_who_is_not_evaluated_is_found_too(run: ExploredRun) -> None:
    """Without a row and a truth."""
    inputs = {"country": "NG", "age band": "18-24"}
    assert run.find("bob") == ListenerRecord("bob", ("a", "a"), (80.0, 2.0), inputs)


def test_a_newcomer_has_no_history(run: ExploredRun) -> None:
    """But inputs, and what was played in the test period."""
    inputs = {"country": "SE", "age band": "18-24"}
    assert run.find("new") == ListenerRecord("new", (), (), inputs, row=1, played=("c",))


def test_nobody_has_an_unknown_id(run: ExploredRun) -> None:
    """Nor one that is part of another's."""
    assert [run.find(user_id) for user_id in ("an", "", "ANN", "ann\0")] == [None] * 4


def test_it_knows_everybody_and_their_inputs(run: ExploredRun) -> None:
    """The most frequent value first."""
    assert run.listeners == 3
    assert run.values == {"country": ["SE", "NG"], "age band": ["18-24", ""]}


@pytest.mark.parametrize(
    ("roles", "baseline"),
    [
        ({"candidate": "candidate", "popular": "heuristic", "live-1": "live"}, "live-1"),
        ({"candidate": "candidate", "popular": "heuristic", "spectral": "heuristic"}, "spectral"),
        ({"candidate": "candidate", "popular": "heuristic"}, "popular"),
        ({"candidate": "candidate"}, ""),
    ],
)
def test_a_model_is_held_against_the_live_one_or_the_best_heuristic(
    run: ExploredRun, roles: dict[str, str], baseline: str
) -> None:
    other = copy.copy(run)
    models = tuple(
        run.evaluation.models[0].model_copy(update={"label": label, "role": role})
        for label, role in roles.items()
    )
    other.evaluation = run.evaluation.model_copy(update={"models": models})
    values = {"popular": {"ndcg@10": 0.25}, "spectral": {"ndcg@10": 0.5}}
    other.verdict = run.verdict.model_copy(update={"values": values})
    assert other.baseline == baseline


def test_two_models_are_compared_listener_by_listener(run: ExploredRun) -> None:
    """The top 2 and the top 3; an id outside the catalogue is the same as no other."""
    found = run.compare("candidate", "live-1", 2)
    assert found["user_id"].tolist() == ["ann", "new"]
    assert found["gain"].tolist() == [-0.25, 0.0]
    assert found["shared"].tolist() == [1, 0]
    deeper = run.compare("candidate", "live-1", 3)
    assert deeper["shared"].tolist() == [2, 0]
    assert run.compare("candidate", "live-1", 50)["shared"].tolist() == [2, 0]
    assert run.compare("candidate", "candidate", 3)["shared"].tolist() == [3, 2]


def test_shared_items_are_counted_as_sets_do() -> None:
    """More listeners than are compared at a time, lists of two lengths, holes in both."""
    rng = np.random.default_rng(1)
    first = np.array([rng.permutation(30)[:20] for _ in range(4_500)], np.int32) - 2
    second = np.array([rng.permutation(30)[:12] for _ in range(4_500)], np.int32) - 2
    for depth in (1, 10, 20):
        expected = [
            len({code for code in one[:depth].tolist() if code >= 0} & set(other[:depth].tolist()))
            for one, other in zip(first, second, strict=True)
        ]
        assert shared_items(first, second, depth).tolist() == expected
