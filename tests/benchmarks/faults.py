"""The server under load and under faults, as a table.

    python -m tests.benchmarks.faults [REQUESTS]

- load: at least `REQUESTS` (100,000) requests over at least 20 swaps between two revisions whose
  items tell which of them made a list. The client is one process with keep-alive connections. A
  swap's time is from HEAD moved until a second after the new revision is live; what is left is
  between.
- outage: the store behind a proxy that answers 500, resets, stalls and goes away, each for a while
  and under load; then HEAD is moved, and the server has to find it by itself.
- corrupt: a revision with a flipped bit goes live; the old one has to stay, the fault to be named.

Two cores are enough; what else runs there shows in the percentiles.
"""

import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.components.serving.models import promote, stage, write_towers
from tests.components.serving.processes import Server, serving

LOAD = Path(__file__).with_name("load.py")
SWAPS, CONNECTIONS, SETTLED = 20, 8, 1.0
EVERY = 5.0
"""Seconds between two moves of HEAD."""


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


def main(number: int) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = str(folder / "store")
        for revision in (1, 2):
            model = write_towers(folder / f"model-{revision}", f"r{revision}", 3_000, 32)
            assert stage(uri, model, f"run-{revision}") == revision
        promote(uri, 1)
        load(folder, uri, number)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
