"""Exact filtered retrieval: ours, implicit's C++ `topk`, and the bare matrix product.

    python tests/benchmarks/retrieval.py
    python tests/benchmarks/retrieval.py approximate

One question for all: the best 100 of 27,000 items for each of 2,000 listeners, 64 dimensions,
about 100 exclusions a listener. Each round gives all of them their turn, five runs at a time, and
the best run counts; all threads of the machine for everybody. implicit runs in another Python,
`$PEERS_PYTHON` or `.venv-peers/bin/python`. It fails when what is found is not the same; a bar that
is missed is printed beside the ratio, since how fast a library is differs by machine.

The second command makes a two-tower of 300,000 and of 1,000,000 items, 128 dimensions, in two
worlds: items around 500 gaussian centres of unequal size, and items of one gaussian. It asks the
exact and the approximate model for the best 100, one listener at a time, each in a process of its
own. A listener plays 1 to 100 items, by popularity, of three centres; in the other world of all.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from setlist.data.schema import Window, tie_order
from setlist.models.retrieval import top
from setlist.models.saved_model import SavedModel

LISTENERS, ITEMS, DIMENSIONS, EXCLUDED, K = 10_000, 27_000, 64, 100, 100
ROUNDS, RUNS = 6, 3
BARS = {"implicit": 2.0, "bare product": 0.5}
"""How many times as long as ours each is hoped to take."""
PEER = """
import sys, time
import numpy as np
import scipy.sparse
from implicit.cpu.topk import topk

data = np.load(sys.argv[1])
users, items, k = data["users"], data["items"], int(data["k"])
ones = np.ones(len(data["exclude"]), np.float32)
shape = len(users), len(items)
exclude = scipy.sparse.csr_matrix((ones, data["exclude"], data["offsets"]), shape=shape)
for runs in sys.stdin:
    taken = []
    for _ in range(int(runs)):
        began = time.perf_counter()
        codes, scores = topk(items, users, k, filter_query_items=exclude)
        taken.append(time.perf_counter() - began)
    np.savez(sys.argv[2], codes=codes, scores=scores)
    print(min(taken), flush=True)
"""


def question() -> dict[str, np.ndarray]:
    """Vectors and exclusions, seeded."""
    generator = np.random.default_rng(1)
    counts = generator.integers(EXCLUDED // 2, EXCLUDED * 3 // 2, LISTENERS)
    exclude = [np.sort(generator.choice(ITEMS, count, replace=False)) for count in counts]
    return {
        "users": generator.normal(size=(LISTENERS, DIMENSIONS)).astype(np.float32),
        "items": generator.normal(size=(ITEMS, DIMENSIONS)).astype(np.float32),
        "k": np.array(K),
        "offsets": np.cumsum([0, *counts]),
        "exclude": np.concatenate(exclude).astype(np.int32),
    }


def least(run: Callable[[], object]) -> float:
    """The least seconds of some runs."""
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    """Print the table; fail when the answers differ."""
    asked = question()
    users, items = asked["users"], asked["items"]
    arguments = users, items, K, asked["offsets"], asked["exclude"]
    seconds: dict[str, list[float]] = {"ours": [], "implicit": [], "bare product": []}
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder, "question.npz"), Path(folder, "answer.npz")
        np.savez(given, **asked)
        with subprocess.Popen(
            [
                os.environ.get("PEERS_PYTHON", ".venv-peers/bin/python"),
                "-c",
                PEER,
                str(given),
                str(answer),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as peer:
            for _ in range(ROUNDS):
                seconds["ours"].append(least(lambda: top(*arguments)))
                seconds["bare product"].append(least(lambda: users @ items.T))
                time.sleep(0.2)  # BLAS threads spin for a while after their work
                peer.stdin.write(f"{RUNS}\n")
                peer.stdin.flush()
                seconds["implicit"].append(float(peer.stdout.readline()))
                time.sleep(0.2)
            peer.stdin.close()
        codes, scores = top(*arguments)
        theirs = np.load(answer)
        np.testing.assert_allclose(scores, theirs["scores"], atol=1e-4)
        same = float((codes == theirs["codes"]).mean())
    ours = min(seconds["ours"])
    lines = [
        f"{os.cpu_count()} CPUs, best of {ROUNDS * RUNS} runs, {same:.2%} of the places alike",
        "",
        "| exact filtered top 100 | seconds | times ours | bar | |",
        "|---|---|---|---|---|",
    ]
    for name, taken in seconds.items():
        ratio, bar = min(taken) / ours, BARS.get(name)
        beside = "|" if bar is None else f"{bar} | {'met' if ratio >= bar else '**missed**'}"
        lines.append(f"| {name} | {min(taken):.4f} | {ratio:.2f} | {beside} |")
    sys.stdout.write("\n".join([*lines, ""]))


WORLDS, SIZES, CENTRES, ASKED = ("500 gaussians", "one gaussian"), (300_000, 1_000_000), 500, 300


def approximate() -> None:
    """Print a row for each world and size."""
    print(
        "| world | items | built in s, GB | recall@100, lowest | exact p50, p99 ms, GB "
        "| approximate p50, p99 ms, GB | |"
    )
    print("|---|--:|--:|--:|--:|--:|---|")
    for world in WORLDS:
        for items in SIZES:
            with tempfile.TemporaryDirectory(dir=os.environ.get("SETLIST_SCRATCH")) as folder:
                built, said = in_process("build", world, str(items), folder).splitlines()[-2:]
                cells = [in_process("ask", folder, kind).splitlines()[-1] for kind in KINDS]
                exact, listed = (np.load(Path(folder, f"{kind}.npy")) for kind in KINDS)
            same = [np.isin(row, other).mean() for row, other in zip(exact, listed, strict=True)]
            recall = f"{np.mean(same):.3f}, {np.min(same):.2f}"
            print(f"| {world} | {items:,} | {built} | {recall} | {' | '.join(cells)} | {said} |")


KINDS = ("exact", "approximate")


def in_process(*arguments: str) -> str:
    """What a part of this script prints."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def build(world: str, items: int, folder: Path) -> None:
    """Write both models and the listeners; print what the clusters cost, and what was measured."""
    from setlist.models.two_tower.approximation import approximate as approximated
    from setlist.models.two_tower.network import ItemStart, TwoTower, UserTower
    from setlist.models.two_tower.servable import Servable

    generator = np.random.default_rng(1)
    centre = np.zeros(items, np.int64)
    vectors = generator.normal(size=(items, 128)).astype(np.float32) / 10
    if world == WORLDS[0]:
        sizes = generator.dirichlet(np.full(CENTRES, 0.5))
        centre = generator.choice(CENTRES, items, p=sizes)
        vectors += (generator.normal(size=(CENTRES, 128)) / 10).astype(np.float32)[centre]
    plays = (generator.pareto(1.2, items) + 1).astype(np.float32)
    start = ItemStart(
        vectors,
        np.log(plays),
        np.ones(items, np.float32),
        np.zeros((2, 128), np.float32),
        np.zeros(2, np.float32),
    )
    no_tags = sparse.csr_array((items, 1), dtype=np.float32)
    towers = TwoTower(UserTower([], 100, 128), start, tags=no_tags, plays=plays)
    ids = tie_order([f"item-{item:07}" for item in range(items)])
    prior = generator.normal(size=(items, 2)).astype(np.float32) / 10
    model = Servable(ids, towers, {}, prior)
    del towers, start
    likely = plays.astype(np.float64)
    histories = []
    for _ in range(ASKED):
        own = np.isin(centre, generator.choice(centre, 3))
        length = int(2 ** generator.uniform(0, np.log2(101)))
        histories.append(generator.choice(items, length, p=own * likely / likely[own].sum()))
    named = [[ids[item] for item in row] for row in histories]
    pd.DataFrame({"plays": named}).to_parquet(folder / "listeners.parquet")
    window = Window(*pd.to_datetime(["2026-01-01", "2026-04-01", "2026-04-08"], utc=True))
    model.export(folder / "exact", "two_tower", window)
    before, began = peak_gb(), time.perf_counter()
    approximated(model, {}, plays)
    seconds = time.perf_counter() - began
    model.export(folder / "approximate", "two_tower", window)
    print(f"{seconds:.0f}, {peak_gb():.1f} ({before:.1f} before)")
    print(model.approximation or "exact")


def ask(folder: Path, kind: str) -> None:
    """Write the lists of the listeners; print the times and the memory."""
    began = peak_gb()
    model = SavedModel(folder / kind)
    milliseconds, lists = [], []
    for row in pd.read_parquet(folder / "listeners.parquet")["plays"]:
        plays = [list(row)]
        start = time.perf_counter()
        ids, _ = model.recommend(plays, plays, K, {}, [[0.0] * len(row)])
        milliseconds.append(1000 * (time.perf_counter() - start))
        lists.append(ids[0])
    np.save(folder / f"{kind}.npy", np.array(lists, dtype=str))
    median, slow = np.quantile(milliseconds[20:], [0.5, 0.99])  # the first ones warm up
    print(f"{median:.1f}, {slow:.1f}, {peak_gb():.1f} ({began:.1f} before)")


def peak_gb() -> float:
    """The most that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["approximate"]:
            approximate()
        case ["build", world, items, folder]:
            build(world, int(items), Path(folder))
        case ["ask", folder, kind]:
            ask(Path(folder), kind)
        case _:
            main()
