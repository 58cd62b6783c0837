"""Wrong promotions and power of the gate, on simulated evaluations whose truth is known.

    python tests/benchmarks/gate.py [--quick] [FOLDER]

Each evaluation (populations.py) goes through `setlist.evaluation.gate.gate`; its tables come
from memory, and the evaluations of as many listeners share the resamples and the flips, which are
the same for all of them. Markdown is printed. FOLDER (build/gate) keeps the populations, which are
made where they are missing, and `results.json`, from which plot_gate.py draws
docs/pictures/gate-power.svg. Two processes. Fails where a rate is above nominal.
"""

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zlib import crc32

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # two processes, two cores

import numpy as np
from populations import (
    ANCHOR,
    CANDIDATE,
    CONFIGS,
    FAILURES,
    GROUP,
    LIFTS,
    LIVE,
    LOSSES,
    MARGIN,
    ROOT,
    Floats,
    Population,
    Truth,
    draw,
    population,
    truths,
)
from scipy.stats import binomtest

from setlist.evaluation import case, comparison, harm
from setlist.evaluation.gate import gate
from setlist.evaluation.statistics import bootstrap, sign_flip
from setlist.evaluation.verdict import SeenHead, Verdict

IDLE = {"faults": [], "p50_ms": 1.0, "p99_ms": 1.0, "size_mb": 1.0}  # timed on a quiet machine
THREADS, HELD = 500, 1_200_000  # simulated evaluations and drawn listeners at a time
LEVEL_TIMES = dict.fromkeys((300, 1_000, 3_000), 2_000)
WRONG_TIMES = dict.fromkeys(LEVEL_TIMES, 500)
POWER_TIMES = {300: 300, 1_000: 300, 3_000: 300, 10_000: 100, 30_000: 40}
HARM_TIMES = {300: 300, 1_000: 300, 3_000: 300, 10_000: 100}
QUICK_TIMES = {300: 50, 1_000: 20}

PAIRED, FAMILY = 0.025, 0.05  # one side of a two-sided 95% interval; all groups together
HEURISTIC, GROUPS = "better than a heuristic", "no group worse off than with "
LEVELS = (  # the rule, what is counted, nominal, the truth, what that is
    (HEURISTIC, "better", PAIRED, "margin, as they are", "at the margin, unlike"),
    (HEURISTIC, "better", PAIRED, MARGIN, "at the margin, tied"),
    ("not worse than live", LIVE, PAIRED, "tolerance", "at the tolerance, tied"),
    ("not worse than the anchor", ANCHOR, PAIRED, "tolerance", "at the tolerance, tied"),
    (GROUPS + "live", "alarmed", FAMILY, "harm, live", "all at the tolerance, tied"),
    (GROUPS + "a heuristic", "alarmed", FAMILY, "harm, heuristic", "all at the tolerance, tied"),
    (GROUPS + "a heuristic", "alarmed", FAMILY, "harm, as they are", "all at it, unlike"),
)
WRONG = (  # what the truth is, the truth
    ("as good as the best heuristic, nothing live", "heuristic +0%"),
    ("at the margin over the best heuristic, nothing live", MARGIN),
    ("at the margin over five tied heuristics, nothing live", "margin, all"),
    ("at the tolerance below live model and anchor", "tolerance"),
    ("twice the tolerance below the live model", "worse"),
)
POWER = (
    ("over the best heuristic, nothing live", "heuristic"),
    ("over the live model", "live"),
)
Task = tuple[str, Path, str, int, int]


class Together:
    """Answers a question of all threads at once: each brings columns, and gets their answers."""

    def __init__(self, parties: int, answer: Callable[[Floats], Sequence[Any]]) -> None:
        self.barrier = threading.Barrier(parties, self._answer, timeout=900)
        self.answer = answer
        self.asked: dict[int, Floats] = {}
        self.answers: dict[int, Sequence[Any]] = {}

    def __call__(self, columns: Floats, *_: str) -> Sequence[Any]:
        self.asked[threading.get_ident()] = columns
        self.barrier.wait()
        return self.answers[threading.get_ident()]

    def _answer(self) -> None:
        answers = self.answer(np.hstack(list(self.asked.values())))
        first = 0
        for thread, columns in self.asked.items():
            self.answers[thread] = answers[first : (first := first + columns.shape[1])]
        self.asked = {}


def alarms(losses: Floats) -> Floats:
    """`sign_flip(losses, "less")` where it may be .05 or less, which alone raises alarms; else 1.

    A random signed sum is a standard deviation or more below 0 with a probability of 6/64 at least
    (Dvorak and Klein 2021), so a loss smaller than that needs no flips.
    """
    p = np.ones(losses.shape[1])
    large = losses.sum(axis=0) < -np.sqrt((losses**2).sum(axis=0))
    if large.any():
        p[large] = sign_flip(losses[:, large], "less")
    return p


def verdicts(
    people: Population, truth: Truth, listeners: int, times: int, seed: int, alone: bool = False
) -> list[Verdict]:
    """Verdicts on simulated evaluations, many together or each alone."""
    labels = {*truth.tied, *truth.own}
    models = [one for one in people.evaluation.models if one.label in labels]
    inspection = people.evaluation.model(CANDIDATE).inspection
    assert inspection
    evaluation = people.evaluation.model_copy(
        update={
            "listeners": listeners,
            "models": [
                one.model_copy(update={"inspection": inspection.model_copy(update=IDLE)})
                for one in models
            ],
        }
    )
    head = SeenHead(live=2, version="", anchor=1 if ANCHOR in labels else None)
    policy = people.policy.model_copy(update={"bootstrap": "none"})  # only candidates are counted
    local = threading.local()

    def once(number: int) -> Verdict:
        local.users, local.tables = draw(people, truth, listeners, (seed, number))
        return gate(people.folder, policy, head if LIVE in labels else None, evaluation)

    parties = max(1, min(times, THREADS, HELD // listeners))
    while times % parties:
        parties -= 1
    with ExitStack() as changed:
        for place, name, to in (
            (case, "read_users", lambda *_: local.users),
            (case, "read_per_user", lambda _, label, __: local.tables[label]),
            (comparison, "bootstrap", bootstrap if alone else Together(parties, bootstrap)),
            (harm, "sign_flip", sign_flip if alone else Together(parties, alarms)),
        ):
            changed.enter_context(patch.object(place, name, to))
        if alone:
            return [once(number) for number in range(times)]
        pool = changed.enter_context(ThreadPoolExecutor(parties))
        rounds = range(0, times, parties)
        return [one for at in rounds for one in pool.map(once, range(at, at + parties))]


def same_alone(task: tuple[str, Path]) -> None:
    """Sharing resamples and flips changes no verdict, but for p-values that alarm nobody."""
    people = population(*task)
    for truth in ("harm, live", MARGIN):
        asked = people, truths(people)[truth], 300, 3, 0
        for one, other in zip(verdicts(*asked, alone=True), verdicts(*asked), strict=True):
            for reason, same in zip(one.reasons, other.reasons, strict=True):
                if not reason.rule.startswith("no group"):
                    assert reason == same
                assert reason.outcome == same.outcome


def simulate(task: Task) -> dict[str, Any]:
    """Count what many verdicts say."""
    name, folder, truth, listeners, times = task
    people = population(name, folder)
    found = verdicts(people, truths(people)[truth], listeners, times, crc32(truth.encode()))
    passed = Counter(
        reason.rule for verdict in found for reason in verdict.reasons if reason.outcome == "pass"
    )
    harmed = [
        any(one.rule.startswith("no group") and one.outcome == "fail" for one in verdict.reasons)
        for verdict in found
    ]
    return {
        "population": name,
        "truth": truth,
        "listeners": listeners,
        "times": times,
        "promoted": sum(verdict.ships == CANDIDATE for verdict in found),
        "better": passed[f"better than {people.heuristics[0]}"],
        LIVE: passed[f"not worse than {LIVE}"],
        ANCHOR: passed[f"not worse than {ANCHOR}"],
        "alarmed": sum(harmed),
    }


def tasks(names: list[str], folder: Path, quick: bool) -> list[Task]:
    """Everything to simulate, the longest first."""
    levels, wrong = (row[3] for row in LEVELS), (row[1] for row in WRONG)
    power = [f"{rival} {lift:+.0%}" for _, rival in POWER for lift in LIFTS]
    hurt = [f"group {-loss:+.0%}" for loss in LOSSES]
    hurt += [f"twin {-failures:+.0%}" for failures in FAILURES]
    plan = (levels, LEVEL_TIMES), (wrong, WRONG_TIMES), (power, POWER_TIMES), (hurt, HARM_TIMES)
    wanted: dict[tuple[str, str, int], int] = {}
    for asked, times in plan:
        for truth in asked:
            for name in names:
                for listeners, count in (QUICK_TIMES if quick else times).items():
                    wanted.setdefault((name, truth, listeners), count)
    longest = sorted(wanted.items(), key=lambda item: -item[0][2] * item[1])
    return [(name, folder, truth, size, times) for (name, truth, size), times in longest]


def interval(count: int, times: int) -> tuple[float, float]:
    """At 95% (Clopper and Pearson 1934)."""
    found = binomtest(count, times).proportion_ci(method="exact")
    return float(found.low), float(found.high)


def show(results: list[dict[str, Any]], names: list[str]) -> bool:
    """Print the tables; whether no rate is above nominal."""
    at = {(one["population"], one["truth"], one["listeners"]): one for one in results}
    held = True

    def table(title: str, heads: str, rows: list[tuple[str, str, str, str, float]]) -> None:
        """Rows are: first cells, population, name of the truth, what is counted, nominal."""
        nonlocal held
        sizes = sorted(
            {size for name, truth, size in at for row in rows if (name, truth) == row[1:3]}
        )
        if rows[0][4]:
            sizes = [size for size in sizes if size in LEVEL_TIMES]
        print(f"\n{title}, by the number of listeners:\n")
        print(f"| {heads} | {' | '.join(f'{size:,}' for size in sizes)} |")
        print("|" + "---|" * (heads.count("|") + 1) + "--:|" * len(sizes))
        for first, name, truth, counted, nominal in rows:
            cells = []
            for size in sizes:
                one = at[name, truth, size]
                share = one[counted] / one["times"]
                if not nominal:
                    cells.append(f"{share:.2f}")
                    continue
                low, high = interval(one[counted], one["times"])
                cells.append(f"{share:.3f} [{low:.3f}, {high:.3f}]" + " above" * (low > nominal))
                held &= low <= nominal
            print(f"| {first} | {' | '.join(cells)} |")

    table(
        "How often a rule errs where the truth is at the boundary of what it asks for",
        "rule | truth | population | nominal",
        [
            (f"{rule} | {said} | {name} | {nominal}", name, truth, counted, nominal)
            for rule, counted, nominal, truth, said in LEVELS
            for name in names
        ],
    )
    table(
        f"How often the whole gate promotes wrongly (nominal: {PAIRED})",
        "the candidate is | population",
        [
            (f"{said} | {name}", name, truth, "promoted", PAIRED)
            for said, truth in WRONG
            for name in names
        ],
    )
    table(
        "How often the whole gate promotes",
        "the candidate's lift | population",
        [
            (f"{lift:.0%} {said} | {name}", name, f"{rival} {lift:+.0%}", "promoted", 0)
            for said, rival in POWER
            for name in names
            for lift in LIFTS
        ],
    )
    table(
        "How often the harm of one group alarms, while all others are served as before",
        "the group | its loss",
        [
            (
                f"{name}, {' '.join(GROUP[name])} | {loss:.0%}",
                name,
                f"group {-loss:+.0%}",
                "alarmed",
                0,
            )
            for name in names
            for loss in LOSSES
        ],
    )
    table(
        "A known limit: how often a twin of the live model that has nothing for a few listeners "
        "counts as not worse",
        "it fails for | population",
        [
            (f"{failures:.0%} | {name}", name, f"twin {-failures:+.0%}", LIVE, 0)
            for name in names
            for failures in FAILURES
        ],
    )
    return held


def main() -> None:
    """Simulate, print, and fail where a rate is above nominal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build/gate")
    parser.add_argument("--quick", action="store_true", help="the sample only, few evaluations")
    asked = parser.parse_args()
    folder = asked.folder.absolute()
    films = (ROOT.parent / "shared/data/ml-1m").is_dir() and not asked.quick
    names = list(CONFIGS) if films else ["sample"]
    began = time.monotonic()
    results = []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(same_alone, [(name, folder) for name in names], chunksize=1)
        todo = tasks(names, folder, asked.quick)
        for done, one in enumerate(pool.imap_unordered(simulate, todo), 1):
            results.append(one)
            what = f"{one['population']}, {one['truth']}, {one['listeners']:,} listeners"
            took = f"{time.monotonic() - began:.0f} s, {done} of {len(todo)}"
            print(f"{took}: {what}", file=sys.stderr, flush=True)
    results.sort(key=lambda one: (names.index(one["population"]), one["truth"], one["listeners"]))
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(not show(results, names))


if __name__ == "__main__":
    main()
