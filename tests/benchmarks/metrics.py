"""The metrics beside those of other libraries, on one data set; prints a Markdown table.

    .venv/bin/python tests/benchmarks/metrics.py --peers .venv-peers/bin/python

Each contender runs in a process of its own, all in turn, as many rounds as asked for. Values that
differ from ours are named; where the definitions agree they fail the run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TOLERANCE = 1e-6
ALL_RELEVANT = "divides by all relevant items, also where they are more than k"


@dataclass(frozen=True)
class Contender:
    """A row of the table.

    Attributes:
        title: of the row.
        function: of `contenders.py`; those of ours begin with setlist.
        ours: the function that it is held against.
        differs: why values of a metric differ by definition.
    """

    title: str
    function: str
    ours: str
    differs: tuple[tuple[str, str], ...] = ()

    @property
    def is_peer(self) -> bool:
        return not self.function.startswith("setlist")


CONTENDERS = (
    Contender("setlist: accuracy", "setlist", "setlist"),
    Contender("setlist: accuracy, from rectools' tables", "setlist_frames", "setlist"),
    Contender("rectools: accuracy", "rectools", "setlist", (("map", ALL_RELEVANT),)),
    Contender("ranx: accuracy", "ranx", "setlist", (("map", ALL_RELEVANT),)),
    Contender("implicit: NDCG and MAP only", "implicit", "setlist"),
    Contender("setlist: lists", "setlist_lists", "setlist_lists"),
    Contender(
        "rectools: novelty, popularity, coverage only",
        "rectools_lists",
        "setlist_lists",
        (("novelty", "counts an item that nobody played as played by one, not by half a one"),),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the metrics beside other libraries.")
    parser.add_argument("--peers", type=Path, help="a Python with requirements-peers.lock")
    parser.add_argument("--listeners", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    chosen = [one for one in CONTENDERS if options.peers or not one.is_peer]
    found: dict[str, list[dict]] = {one.function: [] for one in chosen}
    with tempfile.TemporaryDirectory() as folder:
        data, small = Path(folder, "data.npz"), Path(folder, "small.npz")
        for path, size in ((data, options.listeners), (small, 200)):
            # Not here: on Linux a child's peak of memory begins with its parent's.
            subprocess.run([sys.executable, HERE / "listeners.py", path, str(size)], check=True)
        for _ in range(options.rounds):
            for one in chosen:
                python = options.peers if one.is_peer else sys.executable
                command = [python, HERE / "contenders.py", one.function, data, small]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[one.function].append(json.loads(done.stdout.splitlines()[-1]))
    print(
        f"{options.listeners:,} listeners, lists of 100 out of 27,000 items, every metric at 10, "
        f"20 and 100; {os.cpu_count()} CPUs, median of {options.rounds} rounds, each after a "
        "warm-up (imports and compilation are not counted).\n"
    )
    print("| | values | seconds (from, to) | times ours | peak MiB | same values |")
    print("|---|--:|--:|--:|--:|---|")
    wrong: list[str] = []
    for one in chosen:
        runs, ours = found[one.function], found[one.ours]
        seconds = [run["seconds"] for run in runs]
        median = statistics.median(seconds)
        ratio = median / statistics.median(run["seconds"] for run in ours)
        apart = _apart(runs[0]["values"], ours[0]["values"])
        reasons = dict(one.differs)
        wrong += [f"{one.function} {name}" for name in apart if name.split("@")[0] not in reasons]
        notes = {name.split("@")[0] for name in apart} & reasons.keys()
        print(
            f"| {one.title} | {len(runs[0]['values'])} "
            f"| {median:.3f} ({min(seconds):.3f}, {max(seconds):.3f}) | {ratio:.1f} "
            f"| {max(run['mib'] for run in runs):,.0f} "
            f"| {'all but ' + ', '.join(apart) if apart else 'all'}"
            f"{''.join(f' ({reasons[name]})' for name in sorted(notes))} |"
        )
    if wrong:
        sys.exit(f"\nvalues differ where they should not: {', '.join(wrong)}")


def _apart(values: dict[str, float], ours: dict[str, float]) -> list[str]:
    """The metrics whose values differ from ours."""
    return [
        name
        for name, value in values.items()
        if abs(value - ours[name]) > TOLERANCE * max(abs(ours[name]), 1)
    ]


if __name__ == "__main__":
    main()
