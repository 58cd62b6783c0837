"""Our two-tower beside the heuristics, EASE, iALS and the TFRS tutorial, on temporal MovieLens-1M.

    python tests/benchmarks/models.py [SETTINGS.yaml]

Everything that is chosen is chosen on a validation cut: the last tenth of the training plays. The
test period is looked at once, at the end. The learners are told the same: the plays of the
training period, and the age of each for the recency prior, which EASE and iALS get, too: as a
factor exp(beta_3 f_3 + beta_30 f_30) on their scores, the betas chosen with the rest.

Seconds are those of the chosen fit, without search, imports and reading: ours until the weights
are final, early stopping and prior included; writing the SavedModel is a row of its own. Intervals
are of ours, the mean of three seeds for each listener, minus the other.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import wraps
from pathlib import Path
from unittest.mock import patch

# isort: split
import numpy as np
import pandas as pd
from cut import METRICS, Cut, Values, validation
from peers_models import HALF_LIVES, ease, ials, search, timed, tutorial

from setlist.data.curation import curate, resolve_window
from setlist.evaluation.statistics import bootstrap
from setlist.models.heuristics import fit_heuristics
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.tf import tf
from setlist.models.two_tower import descent
from setlist.models.two_tower import train as training
from setlist.models.two_tower.saved_towers import SavedTowers
from setlist_pipelines.settings.file import read_settings

EXAMPLE = "pipelines/setlist_pipelines/examples/movielens-1m.yaml"
SEEDS = (1, 2, 3)
GRIDS = {
    "EASE": (ease, {"weight": (500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0)}),
    "iALS, d 64": (
        ials,
        {"weight": (0.003, 0.01, 0.03, 0.1), "unobserved": (0.1, 0.3, 1.0, 3.0)},
    ),
}
TUTORIAL = "TFRS tutorial, d 32, 3 epochs"

Found = tuple[str, float, Values]
"""Name, seconds of training, what it is worth to each listener."""


class Clock:
    """Seconds by label; those of a region inside another count for the inner one only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []

    @contextmanager
    def region(self, label: str) -> Iterator[None]:
        self._inside.append(0.0)
        began = time.perf_counter()
        yield
        taken = time.perf_counter() - began
        self.seconds[label] += taken - self._inside.pop()
        if self._inside:
            self._inside[-1] += taken

    def of(self, label: str, function: Callable) -> Callable:
        """The function, timed."""

        @wraps(function)
        def run(*arguments, **named):
            with self.region(label):
                return function(*arguments, **named)

        return run

    def graphs(self, labels: dict[str, str]) -> Callable:
        """`tf.function`'s call: the first one traces, which is told from the other calls."""
        call = type(tf.function(lambda: None)).__call__
        seen = set()

        def run(graph, *arguments, **named):
            name = graph.python_function.__name__
            label = labels.get(name, name) if graph in seen else "graph tracing"
            seen.add(graph)
            with self.region(label):
                return call(graph, *arguments, **named)

        return run


def where_the_time_goes(cut: Cut, folder: Path) -> dict[str, float]:
    """Seconds of the parts of one training of ours; what has no name of its own is preparation."""
    clock, graph = Clock(), type(tf.function(lambda: None))
    with ExitStack() as patches:
        for where, name, label in (
            (training, "spectral", "spectral start"),
            (training, "recency_before_and_now", "prior"),
            (training, "fit_prior", "prior"),
            (training, "likelihood_and_ndcg", "check"),
            (descent, "likelihood_and_ndcg", "check"),
            (descent, "curves", "curves"),
            (SavedTowers, "export", "export"),
        ):
            timer = clock.of(label, getattr(where, name))
            patches.enter_context(patch.object(where, name, timer))
        calls = clock.graphs({"step": "steps"})
        patches.enter_context(patch.object(graph, "__call__", calls))
        with clock.region("input preparation, batches"):
            training.train(cut.features, ModelSettings(), folder / "model", folder / "record")
    return clock.seconds


def heuristics(cut: Cut, folder: Path) -> Iterator[Found]:
    for name in ("most_popular", "recently_popular", "co_visited"):
        began = time.perf_counter()
        with redirect_stdout(sys.stderr):
            fit_heuristics(folder / "features", HeuristicSettings(fit=(name,)), folder)
        seconds = time.perf_counter() - began
        yield name, seconds, cut.of_model(folder / name)


def peers(held_out: Cut, cut: Cut) -> Iterator[Found]:
    """EASE and iALS, each chosen alone and with the prior."""
    for name, (fit, grid) in GRIDS.items():
        choice = search(name, fit, grid, held_out)
        seconds, scores = timed(lambda fit=fit, choice=choice: fit(cut, **choice.alone))
        yield name, seconds, cut.of_scores(cut.unknown(scores))
        seconds, scores = timed(lambda fit=fit, choice=choice: fit(cut, **choice.arguments))
        factor = np.exp(cut.recency(HALF_LIVES) @ choice.betas)
        yield f"{name}, with the prior", seconds, cut.of_scores(cut.unknown(scores) * factor)


def ours(cut: Cut, folder: Path) -> Iterator[tuple[Found, float]]:
    """One for each seed, and the seconds of writing it."""
    for seed in SEEDS:
        output = folder / f"two-tower-{seed}"
        began = time.perf_counter()
        record = training.train(
            cut.features, ModelSettings(seed=seed), output, folder / "records", f"seed-{seed}"
        )
        written = time.perf_counter() - began - record.seconds
        name = f"ours, seed {seed}, {len(record.epochs)} epochs"
        yield (name, record.seconds, cut.of_model(output)), written


def table(others: Sequence[Found], own: Sequence[Found]) -> Iterator[str]:
    """The lines of the Markdown table."""
    mean = np.mean([values for _, _, values in own], axis=0)
    seconds = float(np.mean([seconds for _, seconds, _ in own]))
    yield "| | seconds | " + " | ".join(name for name, _, _ in METRICS) + " |"
    yield "|---|--:|" + "---|" * len(METRICS)
    for name, taken, values in others:
        cells = (
            f"{value:.4f}; ours {lift.mean:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}]"
            for value, lift in zip(values.mean(axis=0), bootstrap(mean - values), strict=True)
        )
        yield f"| {name} | {taken:.1f} | {' | '.join(cells)} |"
    for name, taken, values in [*own, (f"ours, mean of {len(own)} seeds", seconds, mean)]:
        cells = (f"{value:.4f}" for value in values.mean(axis=0))
        yield f"| {name} | {taken:.1f} | {' | '.join(cells)} |"


def main() -> None:
    """Print what was chosen, the table, and where the time goes."""
    settings = read_settings(Path(sys.argv[1] if len(sys.argv) > 1 else EXAMPLE))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        window = resolve_window(settings.window, settings.as_of, pd.Timestamp.now("UTC"))
        with redirect_stdout(sys.stderr):
            curate(settings.data, window, settings.curation, folder / "dataset")
        of = (settings.inputs, settings.evaluation)
        inner = validation(folder / "dataset", window, folder / "inner")
        held_out = Cut.of_dataset(folder / "inner", inner, *of, folder / "inner-features")
        cut = Cut.of_dataset(folder / "dataset", window, *of, folder / "features")
        others = [*heuristics(cut, folder), *peers(held_out, cut)]
        # Before ours, which asks TensorFlow for determinism.
        seconds, scores = timed(lambda: tutorial(cut))
        others.append((TUTORIAL, seconds, cut.of_scores(cut.unknown(scores))))
        bare, _ = timed(lambda: tutorial(cut, metric=False))
        with redirect_stdout(sys.stderr):
            own, written = zip(*ours(cut, folder), strict=True)
            parts = where_the_time_goes(cut, folder / "profiled")
    print("", *table(others, own), "", sep="\n")
    print("| where the time goes | seconds |\n|---|--:|")
    for label, taken in sorted(parts.items(), key=lambda part: -part[1]):
        print(f"| ours: {label} | {taken:.2f} |")
    print(f"| tutorial: steps | {bare:.1f} |")
    print(f"| tutorial: metric | {seconds - bare:.1f} |")
    mean = np.mean([taken for _, taken, _ in own])
    print(f"\nours: {mean:.2f} s, and {np.mean(written):.2f} s to write the SavedModel")
    print(f"tutorial / ours: {seconds / mean:.1f}; without its metric {bare / mean:.1f}")


if __name__ == "__main__":
    main()
