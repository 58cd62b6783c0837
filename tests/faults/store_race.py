"""Several processes that push at once: one of them wins, and nothing is lost."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from tests.setlist.store.process import Worker

from setlist.store.model_store import Head, open_store

RACERS = 8


class Race(NamedTuple):
    """What came of it.

    Attributes:
        winners: how many pushes of each round went live.
        revisions: how many there are in the end.
        faults: whatever is wrong with a revision, or with HEAD, and answers that are none.
        seconds: for all rounds, without starting the processes.
    """

    winners: list[int]
    revisions: int
    faults: list[str]
    seconds: float


def push_order(model: Path, run_id: str, head: Head | None, files: dict[str, bytes]) -> dict:
    """An order to push a model that is written for it."""
    for path, content in files.items():
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_bytes(content)
    return {
        "do": "push",
        "name": "home",
        "model": str(model),
        "run_id": run_id,
        "digest": f"of-{run_id}",
        "training_window": {},
        "metadata": {},
        "expected": asdict(head) if head else None,
    }


def race(uri: str, scratch: Path, rounds: int, racers: int = RACERS) -> Race:
    """Let processes push different models at the same moment, round after round.

    Args:
        uri: of an empty store; STORAGE_EMULATOR_HOST names the emulator of a bucket.
        scratch: a folder for the models.
        rounds: in each, all have seen the same HEAD.
        racers: how many processes.
    """
    store = open_store(uri)
    workers = [Worker(uri) for _ in range(racers)]
    winners, faults = [], []
    try:
        for worker in workers:
            worker.send({"do": "wake"})
        for worker in workers:
            worker.answer()
        began = time.monotonic()
        for number in range(rounds):
            head, start = store.head("home"), time.time() + 0.05
            for place, worker in enumerate(workers):
                run = f"run-{number}-{place}"
                files = {"a": run.encode(), "b/c": b"1"}
                worker.send(push_order(scratch / run, run, head, files) | {"at": start})
            answers = [worker.answer() for worker in workers]
            won = [answer["revision"] for answer in answers if "live" in answer]
            winners.append(len(won))
            faults += [str(answer) for answer in answers if "revision" not in answer]
            now = store.head("home")
            if now is None or [now.live] != won or now.previous != (head and head.live):
                faults.append(f"HEAD is {now}, and {won} won over {head}")
        seconds = time.monotonic() - began
    finally:
        for worker in workers:
            worker.stop()
    for revision in store.revisions("home"):
        faults += map(str, store.verify("home", revision))
    return Race(winners, len(store.revisions("home")), faults, seconds)
