"""Prints the largest resident memory of each step that holds the features in memory.

    python tests/benchmarks/memory.py 1_000_000 5_000_000 [--epochs 1]

Each step runs in a process of its own on generated tables, as in `size.py`. `features` only reads
the features; `audience` reads them and chooses the listeners of an evaluation. The factors of
`setlist_pipelines.settings.limits` come from two sizes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "components")]

STEPS = (
    *("write", "curate", "transform", "features", "audience", "fit-heuristics", "train"),
    "evaluate",
)
INPUTS = ("country", "age_band")


def main() -> None:
    """Print a row for each step and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=lambda text: int(text.replace("_", "")), nargs="+")
    parser.add_argument("--epochs", default="1")
    options = parser.parse_args()
    print("| events | bytes of the source | step | wall s | memory GB |")
    print("|--:|--:|---|--:|--:|")
    for events in options.events:
        with tempfile.TemporaryDirectory(dir=os.environ.get("SETLIST_SCRATCH")) as name:
            folder = Path(name)
            for step in STEPS:
                began = time.monotonic()
                done = subprocess.run(
                    [sys.executable, __file__, step, name, str(events), options.epochs],
                    env=os.environ | {"SETLIST_STEP": "1", "TMPDIR": name},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    raise SystemExit(done.stderr[-3_000:])
                wall = time.monotonic() - began
                memory = json.loads(done.stdout.splitlines()[-1]) / 1e9
                source = sum(
                    file.stat().st_size for file in (folder / "tables" / "events").iterdir()
                )
                print(
                    f"| {events:,} | {source:,} | {step} | {wall:.1f} | {memory:.2f} |", flush=True
                )


def run_step(step: str, folder: Path, events: int, epochs: int) -> None:
    """Run a step in this process, and print the bytes that it held at most."""
    from tests.cases.generated_tables import CUTOFF, write_tables

    from setlist.data.curation import (
        CurationSettings,
        DataSettings,
        WindowSettings,
        curate,
        resolve_window,
    )
    from setlist.data.engine import EngineSettings
    from setlist.data.features import Features
    from setlist.data.schema import parse_instant
    from setlist.data.transformation import transform
    from setlist.evaluation.results import EvaluationSettings

    window = resolve_window(
        WindowSettings(split_at=CUTOFF, train_days=90, test_days=14),
        "",
        parse_instant("2026-05-01", "now"),
    )
    dataset, features, engine = folder / "dataset", folder / "features", EngineSettings()
    if step == "write":
        write_tables(folder / "tables", events)
    elif step == "curate":
        names = ("events", "items", "users")
        paths = {name: {"path": str(folder / "tables" / name)} for name in names}
        data = DataSettings.model_validate(paths)
        curate(data, window, CurationSettings(), dataset, engine)
    elif step == "transform":
        transform(dataset, window, INPUTS, features, engine)
    elif step == "features":
        print(f"{len(Features.read(features).plays):,} plays")
    elif step == "audience":
        import pandas as pd

        from setlist.evaluation.audience import select_audience

        test, users = (pd.read_parquet(dataset / f"{name}.parquet") for name in ("test", "users"))
        select_audience(Features.read(features), test, users, EvaluationSettings())
    elif step == "fit-heuristics":
        from setlist.models.heuristics import fit_heuristics
        from setlist.models.settings import HeuristicSettings

        fit_heuristics(features, HeuristicSettings(), folder / "heuristics")
    elif step == "train":
        from setlist.models.settings import ModelSettings
        from setlist.models.trainers import train_candidate

        settings = ModelSettings(epochs=epochs)
        outputs = folder / "candidate", folder / "training"
        train_candidate(Features.read(features), settings, *outputs, "candidate")
    else:
        from setlist.evaluation.contenders import list_contenders
        from setlist.evaluation.evaluator import evaluate

        (folder / "live").mkdir()
        (folder / "live" / "rivals.json").write_text("[]")
        contenders = list_contenders(folder / "heuristics", folder / "candidate", folder / "live")
        read, settings = Features.read(features), EvaluationSettings()
        evaluate(contenders, read, dataset, settings, folder / "evaluations")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # A process that a step starts holds memory of the same pod.
    print(sum(usage.ru_maxrss for usage in used) * 1024)


if __name__ == "__main__":
    if os.environ.get("SETLIST_STEP"):
        step, name, events, epochs = sys.argv[1:]
        run_step(step, Path(name), int(events), int(epochs))
    else:
        main()
