"""The server under load and under faults, as a table.

    python -m tests.benchmarks.faults [REQUESTS | runs]

- load: at least `REQUESTS` (100,000) requests over at least 20 swaps between two revisions whose
  items tell which of them made a list. The client is one process with keep-alive connections. A
  swap's time is from HEAD moved until a second after the new revision is live; what is left is
  between.
- outage: the store behind a proxy that answers 500, resets, stalls and goes away, each for a while
  and under load; then HEAD is moved, and the server has to find it by itself.
- fuzz: what schemathesis makes of the OpenAPI document, right and wrong, against the server.
- hostile: models, stores and clients that mean harm; see `hostile.py`.
- corrupt: a revision with a flipped bit goes live; the old one has to stay, the fault to be named.
- store: pushes killed at every write and at 50 moments, 20 rounds of 8 pushes at once, and 1,000
  mutations, over a folder and over a bucket.
- operations: faults around a store and a run; see `operations.py`.
- runs: 25 whole runs killed at random moments over each of both; with `runs` this table alone.

Two cores are enough; what else runs there shows in the percentiles.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tests.benchmarks.hostile import hostile
from tests.benchmarks.operations import operations
from tests.emulator import emulator, make_bucket
from tests.faults.killed import kill_at_every_write, kill_at_random
from tests.faults.killed_runs import kill_runs
from tests.faults.mutations import mutate
from tests.faults.store_race import race
from tests.setlist.serving.models import promote, stage, write_towers
from tests.setlist.serving.processes import Server, serving
from tests.setlist.serving.proxy import Proxy

LOAD = Path(__file__).with_name("load.py")
SWAPS, CONNECTIONS, SETTLED = 20, 8, 1.0
ROUNDS, MUTATIONS = 20, 1_000
KILLED_RUNS = 25
EXAMPLES = 1_000
"""Of each kind of request that schemathesis makes up."""
EVERY = 5.0
"""Seconds between two moves of HEAD."""
BROKEN = 15
"""Seconds of each kind of outage."""


class Client:
    """Load from a process of its own, for a while."""

    def __init__(self, server: Server, folder: Path, connections: int, seconds: float) -> None:
        (folder / "bodies").write_text(bodies())
        self.output = folder / "answers.npy"
        command = [sys.executable, str(LOAD), str(server.port), str(connections), str(seconds)]
        self.process = subprocess.Popen([*command, str(folder / "bodies"), str(self.output)])

    def answers(self) -> np.ndarray:
        """What `load.py` wrote."""
        assert self.process.wait() == 0
        return np.load(self.output)


def bodies() -> str:
    """Requests with histories of both revisions' items, one a line."""
    rng = np.random.default_rng(1)
    lines = []
    for _ in range(200):
        plays = [f'"r{rng.integers(1, 3)}-{item:05d}"' for item in rng.integers(0, 3_000, 50)]
        lines.append(
            f'{{"history": [{", ".join(plays)}], "inputs": {{"country": "Chile"}}, "k": 20}}'
        )
    return "\n".join(lines)


def milliseconds(seconds: np.ndarray, share: float) -> float:
    """A percentile."""
    return float(np.percentile(seconds, share) * 1e3) if len(seconds) else float("nan")


def load(folder: Path, uri: str, number: int) -> None:
    """The table of requests over swaps."""
    parts, moved, swapped = [], [], []
    with serving("--store", uri, "--every", "0.2s", "--folder", str(folder / "load")) as server:
        server.wait(1)
        turns = itertools.cycle((2, 1))
        while sum(map(len, parts)) < number or len(moved) < SWAPS:
            client = Client(server, folder, CONNECTIONS, 4 * EVERY)
            for _ in range(4):
                time.sleep(EVERY * 0.5)
                moved.append(time.time())
                revision = next(turns)
                promote(uri, revision)
                server.wait(revision)
                time.sleep(max(0.0, moved[-1] + EVERY * 0.5 - time.time()))
            parts.append(client.answers())
            print(f"  {sum(map(len, parts)):,} requests, {len(moved)} swaps", file=sys.stderr)
        swapped = [when for when, _ in server.swaps()[1:]]
        code = server.stop()
    answers = np.concatenate(parts)
    ended, seconds, status, _, fits = answers.T
    loading, after = (np.zeros(len(ended), bool) for _ in range(2))
    for begin, end in zip(moved, swapped, strict=True):
        loading |= (ended >= begin) & (ended < end)
        after |= (ended >= end) & (ended < end + SETTLED)
    between = seconds[~loading & ~after]
    took = np.array(swapped) - np.array(moved)
    print(
        f"\nload: {len(answers):,} requests over {len(swapped)} swaps, "
        f"{int((status != 200).sum())} failed, {int((fits == 0).sum())} not of the revision they "
        f"name, {CONNECTIONS} connections; HEAD moved to live: median {np.median(took):.1f} s, "
        f"longest {took.max():.1f} s; exit code after SIGTERM {code}\n\n"
        "| | requests | p50 ms | p99 ms | p99, times that between |\n|---|--:|--:|--:|--:|"
    )
    for label, part in (
        ("between swaps", between),
        ("while the next one loads", seconds[loading]),
        ("the second after a swap", seconds[after]),
    ):
        ratio = milliseconds(part, 99) / milliseconds(between, 99)
        print(
            f"| {label} | {len(part):,} | {milliseconds(part, 50):.1f} | "
            f"{milliseconds(part, 99):.1f} | {ratio:.2f} |",
            flush=True,
        )


def outage(folder: Path, models: list[Path]) -> None:
    """The table of what the server answered while its bucket was broken, and how it recovered."""
    rows = []
    with emulator() as url, contextlib.closing(Proxy(int(url.rpartition(":")[2]))) as proxy:
        make_bucket(url, "setlist")
        os.environ["STORAGE_EMULATOR_HOST"] = url
        uri = "gs://setlist/models"
        for revision, model in enumerate(models, 1):
            stage(uri, model, f"run-{revision}")
        promote(uri, 1)
        told = ("--store", uri, "--every", "1s", "--folder", str(folder / "outage"))
        with serving(*told, STORAGE_EMULATOR_HOST=proxy.url) as server:
            server.wait(1)
            for mode in ("500", "reset", "stall", "away"):
                proxy.be(mode)
                answers = Client(server, folder, 4, BROKEN).answers()
                health = server.get("/healthz")[1]["live"]
                rows.append((mode, answers, proxy.refused, health["fault"]))
                print(f"  {mode}: {len(answers):,} requests", file=sys.stderr)
            proxy.be("pass")
            mended = time.time()
            promote(uri, 2)
            server.wait(2, 180)
            recovered = time.time() - mended
            while (known := server.get("/healthz")[1]["live"])["fault"]:
                time.sleep(0.1)
    print(
        f"\noutage of the bucket, {BROKEN} s of each, HEAD looked at every second: "
        f"{known['faults']} faults counted; mended and HEAD moved, the new revision was live after "
        f"{recovered:.1f} s\n\n| the bucket | requests | failed | p99 ms | attempts so far | "
        "/healthz said |\n|---|--:|--:|--:|--:|---|"
    )
    for mode, answers, refused, fault in rows:
        failed = int(((answers[:, 2] != 200) | (answers[:, 4] == 0)).sum())
        p99 = milliseconds(answers[:, 1], 99)
        print(
            f"| {mode} | {len(answers):,} | {failed} | {p99:.1f} | {refused} | {fault} |",
            flush=True,
        )


def corrupt(folder: Path, uri: str) -> None:
    """What became of a live revision with a flipped bit."""
    with serving("--store", uri, "--every", "0.2s", "--folder", str(folder / "corrupt")) as server:
        server.wait()
        before = server.get("/v1/model")[1]["revision"]
        bad = 3 - before
        file = Path(uri) / "home" / "revisions" / str(bad) / "saved_model" / "saved_model.pb"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        promote(uri, bad)
        answers = Client(server, folder, 4, BROKEN).answers()
        health = server.get("/healthz")[1]["live"]
        counted = [
            line
            for line in server.get("/metrics")[1].splitlines()
            if line.startswith("setlist_faults_total") and "fetch" in line
        ]
    ok = (answers[:, 2] == 200) & (answers[:, 3] == before) & (answers[:, 4] == 1)
    print(
        f"\ncorrupt: revision {bad} went live with a flipped bit; {len(answers):,} requests, "
        f"{int((~ok).sum())} not answered by revision {before}\n\n"
        f"- /healthz: {health['fault']}\n- /metrics: {counted[0]}",
        flush=True,
    )


def fuzz(folder: Path, uri: str) -> None:
    """What schemathesis says in the end: the cases that it made, and its findings."""
    with serving("--store", uri, "--folder", str(folder / "fuzz")) as server:
        server.wait()
        document = f"http://127.0.0.1:{server.port}/openapi.json"
        command = [sys.executable, "-m", "schemathesis.cli", "run", document, "--max-examples"]
        done = subprocess.run(
            [*command, str(EXAMPLES), "--continue-on-failure", "--seed", "1"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        counted = [
            line
            for line in server.get("/metrics")[1].splitlines()
            if line.startswith("setlist_requests_total")
        ]
    summary = done.stdout.partition("Test cases:\n")[2].partition("\n\n")[0].strip()
    print(f"\nfuzz: {summary}\n\n- " + "\n- ".join(counted), flush=True)


def store(folder: Path) -> None:
    """The table of what became of a store under kills, races and damage."""
    print(
        "\n| store | pushes killed | readers unharmed | taken up | rounds, one winner each | "
        "revisions kept | mutations | refused by name |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    with emulator() as url:
        make_bucket(url, "faults")
        os.environ["STORAGE_EMULATOR_HOST"] = url
        for label, where in (("folder", str(folder / "faults")), ("bucket", "gs://faults/faults")):
            kills = [
                kill_at_every_write(f"{where}/writes", folder / f"{label}-writes"),
                kill_at_random(f"{where}/moments", folder / f"{label}-moments", 50, seed=1),
            ]
            raced = race(f"{where}/race", folder / f"{label}-race", ROUNDS)
            damaged = mutate(f"{where}/damage", folder / f"{label}-damage", MUTATIONS, seed=1)
            said = [*(fault for one in kills for fault in one.faults), *raced.faults]
            print(
                f"| {label} | {sum(one.kills for one in kills)} | "
                f"{sum(one.unharmed for one in kills)} | {sum(one.finished for one in kills)} | "
                f"{raced.winners.count(1)} of {ROUNDS} | {raced.revisions} | "
                f"{damaged.made.total():,} | {damaged.refused:,} |",
                flush=True,
            )
            for fault in (*said, *damaged.accepted):
                print(f"  {fault}")


def runs(folder: Path) -> None:
    """The table of what became of whole runs that were killed."""
    print(
        "\n| store | runs killed | store whole | next run succeeded | promotions with a record | "
        "left in the end |\n|---|--:|--:|--:|--:|---|"
    )

    def show(line: str) -> None:
        print(f"  {line}", file=sys.stderr, flush=True)

    with emulator() as url:
        make_bucket(url, "killed")
        os.environ["STORAGE_EMULATOR_HOST"] = url
        for label, where in (("folder", str(folder / "killed")), ("bucket", "gs://killed/store")):
            seen = kill_runs(folder / f"runs-{label}", where, KILLED_RUNS, 1, show)
            left = ", ".join(f"{number} {what}" for what, number in seen.left.items())
            recorded, promoted = seen.recorded
            print(
                f"| {label} | {seen.kills} | {seen.whole} | {seen.succeeded} | "
                f"{recorded} of {promoted} | {left} |",
                flush=True,
            )
            for fault in seen.faults:
                print(f"  {fault}")


def main(number: int) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = str(folder / "store")
        models = [
            write_towers(folder / f"model-{revision}", f"r{revision}", 3_000, 32)
            for revision in (1, 2)
        ]
        for revision, model in enumerate(models, 1):
            assert stage(uri, model, f"run-{revision}") == revision
        promote(uri, 1)
        load(folder, uri, number)
        fuzz(folder, uri)
        corrupt(folder, uri)
        (folder / "hostile").mkdir()
        hostile(folder / "hostile")
        outage(folder, models)
        store(folder)
        (folder / "operations").mkdir()
        operations(folder / "operations")
        runs(folder)


if __name__ == "__main__":
    if sys.argv[1:] == ["runs"]:
        with tempfile.TemporaryDirectory() as name:
            runs(Path(name))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
