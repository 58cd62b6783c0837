"""Prints what curation and transformation cost by the number of events.

    python tests/benchmarks/size.py 1_000_000 10_000_000 [--memory 2GB] [--spark 'local[2]']

Each step runs in a process of its own on generated tables (Zipf items, lognormal listeners, files
of a million rows). CPU seconds and the largest resident memory are of that process and of those
that it starts, Spark's Java included; disk is the most that its scratch folder held.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

# isort: split
from measured import Cost, measure

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "components")]

STEPS = ("curate", "transform")


def main() -> None:
    """Print a row for each step and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=lambda text: int(text.replace("_", "")), nargs="+")
    parser.add_argument("--memory", default="")
    parser.add_argument("--spark", default="")
    options = parser.parse_args()
    engine = options.spark or f"DuckDB {options.memory}".strip()
    print("| engine | events | step | CPU s | wall s | us of CPU an event | memory GB | disk GB |")
    print("|---|--:|---|--:|--:|--:|--:|--:|")
    for events in options.events:
        with tempfile.TemporaryDirectory(dir=os.environ.get("SETLIST_SCRATCH")) as folder:
            _in_process(Path(folder), "write", events, options)
            for step in STEPS:
                cost = _in_process(Path(folder), step, events, options)
                print(
                    f"| {engine} | {events:,} | {step} | {cost.cpu:.1f} | {cost.wall:.1f} "
                    f"| {1e6 * cost.cpu / events:.2f} | {cost.memory:.2f} | {cost.disk:.2f} |",
                    flush=True,
                )


def _in_process(folder: Path, step: str, events: int, options: argparse.Namespace) -> Cost:
    """What a step costs; its disk is that of its scratch alone."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    told = (step, str(folder), str(events), options.memory, options.spark)
    environment = os.environ | {
        "TMPDIR": str(scratch),
        "SETLIST_STEP": "1",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'components'}",
    }
    cost = measure([sys.executable, __file__, *told], environment, scratch)
    if cost.fault:
        raise SystemExit(f"{step} {cost.fault}")
    return cost


def run_step(step: str, folder: Path, events: int, memory: str, spark: str) -> None:
    """Run a step in this process."""
    from tests.cases.generated_tables import CUTOFF, write_tables

    if step == "write":
        write_tables(folder / "tables", events)
        return
    from setlist.data.curation import (
        CurationSettings,
        DataSettings,
        WindowSettings,
        curate,
        resolve_window,
    )
    from setlist.data.engine import EngineSettings
    from setlist.data.schema import parse_instant
    from setlist.data.transformation import transform

    engine = EngineSettings(memory=memory or None, spark=spark)
    paths = {name: {"path": str(folder / "tables" / name)} for name in ("events", "items", "users")}
    window = resolve_window(
        WindowSettings(split_at=CUTOFF, train_days=90, test_days=14),
        "",
        parse_instant("2026-05-01", "now"),
    )
    dataset = folder / "dataset"
    if step == "curate":
        data = DataSettings.model_validate(paths)
        curate(data, window, CurationSettings(), dataset, engine)
    else:
        transform(dataset, window, ("country", "age_band"), folder / "features", engine)


if __name__ == "__main__":
    if os.environ.get("SETLIST_STEP"):
        step, folder, events, memory, spark = sys.argv[1:]
        run_step(step, Path(folder), int(events), memory, spark)
    else:
        main()
