"""Whole runs that are killed at random moments, as by a node that goes away."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.setlist_pipelines.laptop.small_run import SETLIST, write_settings
from tests.waiting import PATIENCE, until

from setlist.runs.record import RunRecord
from setlist.store.model_store import open_store
from setlist_pipelines.laptop.run_state import unfinished


class KilledRuns(NamedTuple):
    """What came of the kills.

    Attributes:
        kills: how many runs were killed; a kill that came too late is none.
        whole: after how many HEAD and all revisions were whole, and no process was left.
        succeeded: after how many the next run, a new run or a resumed run in turn, ended with 0.
        recorded: runs in the history of HEAD that have a record, of how many.
        left: in the end, in the store, the temporary folder and the work folder.
        faults: what was seen instead.
    """

    kills: int
    whole: int
    succeeded: int
    recorded: tuple[int, int]
    left: dict[str, int]
    faults: list[str]


POLICY = {
    "over_heuristics": 0,
    "under_live": 0.9,
    "believable": None,
    "slices": None,
    "guardrails": [],
    "catalogue": 0,
    "limits": {"p99_ms": None},
}
"""Of runs whose candidate is always promoted."""


class World:
    """Runs on small tables with one store, one work folder and one temporary folder."""

    def __init__(self, folder: Path, store: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self.store = folder, store
        write_settings(folder, policy=POLICY)
        self.work, self.temporary = folder / "work", folder / "temporary"
        self.temporary.mkdir()

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start a run; what it prints goes to a file."""
        command = [*SETLIST, "run", "--workdir", str(self.work), *options]
        if "--resume" not in options:
            command += ["--config", "settings.yaml", "--set", f"store={self.store}"]
        with (self.folder / "screen").open("wb") as screen:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=os.environ | {"TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=screen,
            )

    def processes(self) -> list[int]:
        """All that have this temporary folder in their environment."""
        mark, numbers = f"TMPDIR={self.temporary}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    numbers.append(int(process.name))
            except OSError:  # it has just ended, or belongs to another account
                continue
        return numbers

    def kill_all(self) -> None:
        """Kill every process at once, as a power cut does."""
        while numbers := self.processes():
            for number in numbers:
                try:
                    os.kill(number, signal.SIGKILL)
                except ProcessLookupError:  # it has ended since
                    continue
            time.sleep(0.05)

    def left(self) -> dict[str, int]:
        """How many things lie about, by what they are."""
        store = open_store(self.store)
        keys = store.objects.keys("")
        complete = set(store.revisions("home"))
        half = set(store.revision_numbers("home", r"(\d+)/.+")) - complete
        return {
            "half revisions": len(half),
            "claims without a revision": len(
                set(store.revision_numbers("home", r"(\d+)\.claim")) - complete
            ),
            "partial files": sum(key.startswith(".partial/") for key in keys),
            "checkpoints": len({key.split("/")[1] for key in keys if key[:12] == "checkpoints/"}),
            "run folders": len(list(self.work.glob("retraining-*"))),
            "temporary folders": len(list(self.temporary.iterdir())),
        }


def kill_runs(
    folder: Path, store: str, count: int, seed: int, show: Callable[[str], object]
) -> KilledRuns:
    """Kill so many runs, each after a random part of a run's time; look, and run again.

    In turn the command alone is killed, whose step has to end by itself, or all processes are.

    Args:
        folder: for the tables and the runs; it is made.
        store: address of a store that is empty.
        count: how many kills.
        seed: of the moments.
        show: gets a line of progress after each kill.
    """
    world, chance = World(folder, store), random.Random(seed)
    began = time.monotonic()
    assert world.start().wait(timeout=PATIENCE) == 0, (folder / "screen").read_text("utf-8")
    whole_run = time.monotonic() - began
    faults: list[str] = []
    kills = whole = succeeded = place = 0
    while kills < count and place < 2 * count:
        place += 1
        earlier = set(unfinished(world.work))
        run = world.start()
        time.sleep(chance.uniform(0, whole_run))
        alone = place % 2 == 0
        if run.poll() is None:
            kills += 1
        if alone:
            run.kill()
            until(lambda: not world.processes())
        else:
            world.kill_all()
        run.wait(timeout=PATIENCE)
        wrong = _wrong(store)
        whole += not wrong
        faults += [f"kill {place}: {fault}" for fault in wrong]
        # A kill may come before there is a run to take up, or too late. One of an earlier kill was
        # planned on a HEAD that has moved since, and rightly promotes nothing.
        killed = [root for root in unfinished(world.work) if root not in earlier]
        resume = ["--resume", str(killed[0])] if killed and place % 4 in (0, 1) else []
        code = world.start(*resume).wait(timeout=PATIENCE)
        succeeded += code == 0
        if code:
            screen = (folder / "screen").read_text("utf-8").splitlines()
            faults.append(f"kill {place}: the next run ended with {code}: {screen[-2:]}")
        show(f"{kills} of {count} kills, {len(faults)} faults")
    runs = {promotion.run_id for promotion in open_store(store).history("home")}
    recorded = sum(RunRecord.read(store, "home", run_id) is not None for run_id in runs)
    left = world.left()
    shutil.rmtree(world.work)
    return KilledRuns(kills, whole, succeeded, (recorded, len(runs)), left, faults)


def _wrong(store: str) -> list[str]:
    """What is not whole in a store."""
    models = open_store(store)
    models.head("home")
    return [
        str(fault)
        for revision in models.revisions("home")
        for fault in models.verify("home", revision)
    ]
