"""Processor seconds that intervals take, by the place that needs them, on a large evaluation.

    python tests/benchmarks/intervals.py [LISTENERS [MODELS]]

500,000 listeners and 12 models by default, a live model among them; seven metrics of listeners, the
usual slices and the parts of the catalogue. The folder is made without asking a model. Every place
runs twice: on a folder without intervals, as older versions left it, and after the step that
evaluates has written them. Prints Markdown.
"""

import json
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
from tests.evaluations import evaluated, evaluation

from setlist.evaluation.gate import gate
from setlist.evaluation.intervals import write_intervals
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import ITEM_PARTS, Evaluation, MetricInfo
from setlist.evaluation.shown_intervals import primary_metric, wanted_of_evaluation
from setlist.evaluation.verdict import SeenHead, Verdict
from setlist.report.card import CardMeasurements
from setlist.report.page import write_report
from setlist_pipelines.cli.screen import print_summary
from setlist_pipelines.laptop.run_outputs import Run
from setlist_pipelines.settings.file import SAMPLE, read_settings

ITEMS = 2_000
K = 10
METRICS = (
    "ndcg@10",
    "ndcg@100",
    "mrr@10",
    "recall_capped@20",
    "map@10",
    "intra_list_diversity@10",
    "novelty@10",
    "coverage@10",
    "gini@10",
    "personalization@10",
)
"""Seven by listener, five of these with the truth, and three of all lists together."""
PART_SHARES = (0.9, 0.6, 0.3, 0.1, 0.95)
"""Of the listeners, who have truth in head, torso, tail, new items, and what all models know."""
PARTS = (*ITEM_PARTS, "shared")


def write_evaluation(folder: Path, listeners: int, models: int) -> Evaluation:
    """An evaluation folder with made-up values, most of which are 0."""
    generator = np.random.default_rng(1)
    labels = ["candidate", "live-7", *(f"rule_{number}" for number in range(models - 2))]
    metrics = tuple(MetricInfo.of(text) for text in METRICS)
    folder.mkdir(parents=True)
    corpus = {metric.name: 0.5 for metric in metrics if metric.per == "corpus"}
    window = {"start": "2026-01-01T00:00:00+00:00", "end": "2026-04-01T00:00:00+00:00"}
    described = [evaluated(label, corpus=corpus, training_window=window) for label in labels]
    made = evaluation(described, listeners).model_copy(
        update={
            "metrics": metrics,
            "slices": ("listener", "country", "age_band"),
            "window": {**window, "cut": window["end"]},
            "catalogue": ITEMS,
        }
    )
    (folder / "evaluation.json").write_text(json.dumps(made.model_dump(), indent=1) + "\n")
    pd.DataFrame(
        {
            "user_id": [f"u{number}" for number in range(listeners)],
            "relevant": 2,
            "history": 9,
            "listener": generator.choice(["newcomer", "light", "heavy"], listeners),
            "country": generator.choice([f"C{number:02}" for number in range(30)], listeners),
            "age_band": generator.choice(["18-24", "25-34", "35-49", "50+"], listeners),
        }
    ).to_parquet(folder / "users.parquet", index=False)
    pd.DataFrame(
        {
            "item_id": [f"i{number}" for number in range(ITEMS)],
            "title": [f"Title {number}" for number in range(ITEMS)],
            "tags": [["folk", "slow"]] * ITEMS,
            "released": pd.NaT,
            "plays": generator.integers(1, 900, ITEMS),
            "listeners": 2,
        }
    ).to_parquet(folder / "items.parquet", index=False)
    users = np.arange(listeners, dtype=np.int32)
    pd.DataFrame(
        {"user": users, "item": generator.integers(ITEMS, size=listeners), "gain": 1.0}
    ).to_parquet(folder / "truth.parquet", index=False)
    present = {
        part: generator.random(listeners) < share
        for part, share in zip(PARTS, PART_SHARES, strict=True)
    }
    hits = generator.random(listeners)
    for place, model in enumerate(made.models):
        (folder / model.label).mkdir()
        top = (users[:, None] * 7 + np.arange(K) + place).astype(np.int32) % ITEMS
        np.save(folder / model.label / "top.npy", top)
        own = np.where(generator.random(listeners) < 0.8, hits, generator.random(listeners))
        values = {}
        for metric in metrics:
            if metric.per == "corpus":
                continue
            value = np.maximum(own + generator.normal(0, 0.05, listeners) - 0.6 - place / 100, 0)
            values[metric.name] = value
            if metric.reads_truth:
                for part in PARTS if model.role != "heuristic" else ITEM_PARTS:
                    values[f"{metric.name} {part}"] = np.where(present[part], value, np.nan)
        pd.DataFrame(values).to_parquet(folder / model.label / "per_user.parquet", index=False)
    return made


def processor_seconds(call: Callable[[], object]) -> float:
    """Of all threads of this process while it runs the call; what that prints is left out."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    with redirect_stdout(sys.stderr):
        call()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def places(root: Path) -> dict[str, Callable[[], object]]:
    """What needs intervals of the evaluation of a run, in the order of the pipeline."""
    folder, verdict = root / "evaluate" / "evaluations", root / "gate" / "verdict"
    verdict.parent.mkdir(exist_ok=True)
    head = SeenHead(live=7, version="1")
    return {
        "gate": lambda: gate(folder, Policy(catalogue=0, guardrails=()), head).write(verdict),
        "report": lambda: write_report(folder, verdict, root / "report.html"),
        "card of push": lambda: CardMeasurements.read(folder, Verdict.read(verdict), "candidate"),
        "terminal": lambda: print_summary(
            Run(root=root, log=root / "log"), read_settings(SAMPLE, None)
        ),
    }


def main() -> None:
    """Print the table."""
    listeners, models = (
        int(text) for text in (sys.argv[1:] + ["500000", "12"][len(sys.argv[1:]) :])
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "evaluate" / "evaluations"
        made = write_evaluation(folder, listeners, models)
        calls = places(Path(name))
        without = {place: processor_seconds(call) for place, call in calls.items()}

        def write() -> None:
            made.intervals_digest = write_intervals(
                folder, made, wanted_of_evaluation(folder, made, primary_metric(made))
            )
            (folder / "evaluation.json").write_text(json.dumps(made.model_dump(), indent=1) + "\n")

        seconds = {"evaluation": processor_seconds(write)}
        seconds |= {place: processor_seconds(call) for place, call in calls.items()}
    print(f"| {listeners:,} listeners, {models} models | without intervals | with |\n|---|--:|--:|")
    for place, after in seconds.items():
        print(f"| {place} | {without.get(place, 0):.1f} | {after:.1f} |")
    print(f"| all | {sum(without.values()):.1f} | {sum(seconds.values()):.1f} |")


if __name__ == "__main__":
    main()
