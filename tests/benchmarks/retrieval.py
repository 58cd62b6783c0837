"""Exact filtered retrieval: ours, implicit's C++ `topk`, and the bare matrix product.

    python tests/benchmarks/retrieval.py

One question for all: the best 100 of 27,000 items for each of 2,000 listeners, 64 dimensions,
about 100 exclusions a listener. Each round gives all of them their turn, five runs at a time, and
the best run counts; all threads of the machine for everybody. implicit runs in another Python,
`$PEERS_PYTHON` or `.venv-peers/bin/python`. It fails when what is found is not the same; a bar that
is missed is printed beside the ratio, since how fast a library is differs by machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from setlist.models.retrieval import top

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


if __name__ == "__main__":
    main()
