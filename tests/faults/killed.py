"""Pushes that are killed, as by the kernel: at every write, and at any moment."""

import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

from tests.faults.store_race import push_order
from tests.setlist.store.process import Worker
from tests.waiting import PATIENCE

from setlist.store.model_store import open_store

FILES = {"a": b"1", "b": b"2", "c/d": b"3"}
WRITES = ("number", "run", *FILES, "card", "manifest", "HEAD")
"""What a push of these files writes, in the order of `Mortal`, which lets one after the other."""


class Killed(NamedTuple):
    """What came of the kills.

    Attributes:
        kills: how many pushes were killed.
        unharmed: after how many of these readers saw the old model, whole.
        finished: after how many the next push of the run went live, and left nothing beside.
        faults: what was seen instead.
        slowest: seconds of the slowest next push.
    """

    kills: int
    unharmed: int
    finished: int
    faults: list[str]
    slowest: float


def kill_at_every_write(uri: str, scratch: Path) -> Killed:
    """Kill one push before each of its writes, look, and push again."""
    return _kill(uri, scratch, [(FILES, count, 0.0) for count in range(len(WRITES))])


def kill_at_random(uri: str, scratch: Path, count: int, seed: int, longest: float = 0.3) -> Killed:
    """Kill pushes of 24 MB after up to `longest` seconds, several uploads being under way."""
    chance = random.Random(seed)
    files = {f"{place}": chance.randbytes(3_000_000) for place in range(8)}
    return _kill(uri, scratch, [(files, None, chance.uniform(0, longest)) for _ in range(count)])


def _kill(
    uri: str, scratch: Path, kills: list[tuple[dict[str, bytes], int | None, float]]
) -> Killed:
    store, faults, slowest, killed = open_store(uri), [], 0.0, 0
    unharmed = finished = 0
    first = scratch / "first"
    first.mkdir(parents=True)
    (first / "a").write_bytes(b"the first")
    some = {"digest": "d", "training_window": {}, "metadata": {}}
    store.promote("home", store.stage("home", first, run_id="first", **some), expected=None)
    for place, (files, writes, seconds) in enumerate(kills):
        head = store.head("home")
        assert head is not None
        before = _tree(store.fetch("home", head.live, scratch / f"before-{place}"))
        order = push_order(scratch / f"model-{place}", f"run-{place}", head, files)
        doomed = Worker(uri, writes)
        if writes is None:
            doomed.send({"do": "wake"})
            doomed.answer()
        doomed.send(order)
        if writes is None:
            time.sleep(seconds)
            doomed.process.kill()
        killed += doomed.process.wait(timeout=PATIENCE) == -signal.SIGKILL
        doomed.process.communicate()
        now = store.head("home")
        seen = _tree(store.fetch("home", now.live, scratch / f"after-{place}")) if now else {}
        if (now == head and seen == before) or (now != head and seen == files):
            unharmed += 1  # it was killed too late, where HEAD names the new one
        else:
            faults.append(f"kill {place}: HEAD is {now}, it was {head}")
        again, began = Worker(uri), time.monotonic()
        again.send(order)
        answer = again.answer()
        slowest = max(slowest, time.monotonic() - began)
        again.stop()
        left = [key for key in store.objects.keys("") if key.startswith(".partial/")]
        wrong = [fault for one in store.revisions("home") for fault in store.verify("home", one)]
        if answer.get("live") and not left and not wrong and not _half(store):
            finished += 1
        else:
            faults.append(f"kill {place}: {answer}, {left}, {wrong}, {_half(store)}")
    return Killed(killed, unharmed, finished, faults, slowest)


def _half(store) -> list[int]:  # type: ignore[no-untyped-def]
    """Numbers under which files lie without a manifest."""
    return sorted(set(store.revision_numbers("home", r"(\d+)/.+")) - set(store.revisions("home")))


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
