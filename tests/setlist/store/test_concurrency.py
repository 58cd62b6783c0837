"""Several processes on one store at once, and processes that are killed half-way."""

import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from setlist.errors import SetlistError
from setlist.store.model_store import ModelStore

from .conftest import Behind, Stage, read_tree, write_model
from .process import Worker
from .worker import obey

RACERS = 8
ROUNDS = 5


def race(racers: list[Worker], orders: list[dict[str, object]]) -> list[dict[str, object]]:
    """All orders at the same moment; the answers in order."""
    start = time.time() + 0.05
    for racer, order in zip(racers, orders, strict=True):
        racer.send(order | {"at": start})
    return [racer.answer() for racer in racers]


def stage_order(model: Path, run_id: str) -> dict[str, object]:
    return {
        "do": "stage",
        "name": "home",
        "model": str(model),
        "run_id": run_id,
        "digest": f"of-{run_id}",
        "training_window": {},
        "metadata": {},
    }


def test_eight_at_once(
    store: ModelStore, workers: Callable[..., Worker], stage: Stage, tmp_path: Path
):
    """Distinct numbers for eight runs, one for eight attempts of a run, one winner of HEAD."""
    racers = [workers() for _ in range(RACERS)]
    race(racers, [{"do": "wake"}] * RACERS)
    runs = [f"run-{n}" for n in range(RACERS)]
    models = [write_model(tmp_path / run, {"a": run.encode(), "b/c": b"1"}) for run in runs]
    answers = race(racers, [stage_order(*pair) for pair in zip(models, runs, strict=True)])
    numbers = [answer.get("revision") for answer in answers]
    assert sorted(numbers) == list(range(1, RACERS + 1)) == store.revisions("home"), answers
    for run, number in zip(runs, numbers, strict=True):
        fetched = store.fetch("home", number, tmp_path / "fetched" / run)
        assert read_tree(fetched) == {"a": run.encode(), "b/c": b"1"}

    answers = race(racers, [stage_order(models[0], "same")] * RACERS)
    (same,) = {answer.get("revision") for answer in answers}
    assert store.revisions("home") == [*range(1, RACERS + 1), same]

    # Two sets of revisions take turns, since promoting what is live already is no race.
    others = [stage(f"other-{n}") for n in range(RACERS)]
    head = store.head("home")
    for count in range(ROUNDS):
        candidates = numbers if count % 2 == 0 else others
        orders = [
            {
                "do": "promote",
                "name": "home",
                "revision": number,
                "expected": asdict(head) if head else None,
            }
            for number in candidates
        ]
        answers = race(racers, orders)
        won = [answer for answer in answers if "head" in answer]
        assert len(won) == 1, answers
        was = f"revision {head.live}" if head else "no revision"
        head = store.head("home")
        assert head is not None
        assert won == [{"head": asdict(head)}]
        moved = f"HEAD of home moved from {was} to {head.live} since this run was planned"
        assert all(moved in str(answer["fault"]) for answer in answers if "fault" in answer)
    assert len(store.history("home")) == ROUNDS


# The changes of a stage of three files: number, run, three files, manifest.
@pytest.mark.parametrize("changes", range(6))
def test_a_run_killed_half_way_is_resumed(
    store: ModelStore,
    workers: Callable[..., Worker],
    stage: Stage,
    behind: Behind,
    tmp_path: Path,
    changes: int,
):
    live = store.promote("home", stage("run-1"), expected=None)
    tree = {"a": b"1", "b": b"2", "c/d": b"3"}
    order = stage_order(write_model(tmp_path / "model", tree), "run-2")
    doomed = workers(die_after=changes)
    doomed.send(order)
    assert doomed.answer() == {"died": -signal.SIGKILL}
    there = [key for key in behind.objects.keys("home/revisions/") if "/2" in key]
    assert len(there) == min(changes, 1) + max(changes - 2, 0)

    # Readers see what they saw, and nothing half-written can be reached.
    assert store.head("home") == live
    assert store.revisions("home") == [1]
    with pytest.raises(SetlistError, match="home has no revision 2; its revisions are: 1"):
        store.fetch("home", 2, tmp_path / "to")
    with pytest.raises(SetlistError, match="home has no revision 2"):
        store.promote("home", 2, expected=live)

    # Killed between its number and its name on it, a run takes a new number.
    expected = 3 if changes == 1 else 2
    if changes > 1:
        assert stage("run-3") == 3  # a half-written number is never given away
    assert obey(store, dict(order)) == {"revision": expected}
    assert read_tree(store.fetch("home", expected, tmp_path / "to")) == tree


def test_a_promoter_killed_before_head_moves_changes_nothing(
    store: ModelStore, workers: Callable[..., Worker], stage: Stage
):
    live = store.promote("home", stage("run-1"), expected=None)
    stage("run-2")
    doomed = workers(die_after=0)
    order = {"do": "promote", "name": "home", "revision": 2, "expected": asdict(live)}
    doomed.send(order)
    assert doomed.answer() == {"died": -signal.SIGKILL}
    assert store.head("home") == live
    store.promote("home", 2, expected=live)
    assert store.promoted_revisions("home") == [2, 1]


def test_what_a_cut_off_attempt_left_is_not_taken_for_the_model(
    store: ModelStore, workers: Callable[..., Worker], tmp_path: Path
):
    model = write_model(tmp_path / "model", {"a": b"1", "b": b"2"})
    doomed = workers(die_after=3)
    doomed.send(stage_order(model, "run-1"))
    assert doomed.answer() == {"died": -signal.SIGKILL}
    (model / "a").unlink()
    answer = obey(store, stage_order(model, "run-1"))
    assert "home/revisions/1/a is not in the manifest" in str(answer["fault"])
    assert store.revisions("home") == []
