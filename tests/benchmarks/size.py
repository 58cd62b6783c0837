"""Prints what curation and transformation cost by the number of events.

    python tests/benchmarks/size.py 1_000_000 10_000_000 [--memory 2GB] [--spark 'local[2]']

Each step runs in a process of its own on generated tables (Zipf items, lognormal listeners, files
of a million rows). CPU seconds and the largest resident memory are of that process and of those
that it starts, Spark's Java included; disk is the most that its scratch folder held.
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

STEPS = ("curate", "transform")
POLL_SECONDS = 0.5


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
                    f"| {engine} | {events:,} | {step} | {cost['cpu']:.1f} | {cost['wall']:.1f} "
                    f"| {1e6 * cost['cpu'] / events:.2f} | {cost['memory']:.2f} "
                    f"| {cost['disk']:.2f} |",
                    flush=True,
                )


def _in_process(
    folder: Path, step: str, events: int, options: argparse.Namespace
) -> dict[str, float]:
    """What a step costs."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    command = [
        sys.executable,
        __file__,
        step,
        str(folder),
        str(events),
        options.memory,
        options.spark,
    ]
    environment = os.environ | {
        "TMPDIR": str(scratch),
        "SETLIST_STEP": "1",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'components'}",
    }
    began = time.monotonic()
    cost = dict.fromkeys(("cpu", "memory", "disk"), 0.0)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=errors, start_new_session=True
        )
        while True:
            try:
                process.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                seen = _used_by_session(process.pid) | {"disk": _size(scratch) / 1e9}
                cost = {name: max(most, seen[name]) for name, most in cost.items()}
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(errors.read()[-3_000:])
        own = json.loads(output.read().splitlines()[-1])
    return {name: max(most, own.get(name, 0)) for name, most in cost.items()} | {
        "wall": time.monotonic() - began
    }


def _used_by_session(session: int) -> dict[str, float]:
    """The CPU seconds and resident gigabytes of a session's live processes.

    The system counts a child for its parent only once the parent has waited for it, which Python
    never does for Spark's Java.
    """
    listed = subprocess.run(
        ["ps", "--sid", str(session), "-o", "cputimes=,rss="],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [[int(word) for word in line.split()] for line in listed.stdout.splitlines()]
    return {"cpu": sum(row[0] for row in rows), "memory": sum(row[1] for row in rows) * 1024 / 1e9}


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue  # removed since it was listed
    return total


def run_step(step: str, folder: Path, events: int, memory: str, spark: str) -> None:
    """Run a step in this process, and print what it took."""
    from tests.cases.generated_tables import CUTOFF, write_tables

    if step == "write":
        write_tables(folder / "tables", events)
        print(json.dumps({"cpu": 0, "memory": 0}))
        return
    from setlist.data.curation import (
        CurationSettings,
        DataSettings,
        WindowSettings,
        curate,
        resolve_window,
    )
    from setlist.data.schema import parse_instant
    from setlist.data.transformation import transform

    try:
        from setlist.data.engine import EngineSettings
    except ImportError:  # the code before, which held all events in memory
        engine = ()
    else:
        engine = (EngineSettings(memory=memory or None, spark=spark),)
    paths = {name: {"path": str(folder / "tables" / name)} for name in ("events", "items", "users")}
    window = resolve_window(
        WindowSettings(split_at=CUTOFF, train_days=90, test_days=14),
        "",
        parse_instant("2026-05-01", "now"),
    )
    dataset = folder / "dataset"
    if step == "curate":
        data = DataSettings.model_validate(paths)
        curate(data, window, CurationSettings(), dataset, *engine)
    else:
        transform(dataset, window, ("country", "age_band"), folder / "features", *engine)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    memory_gb = max(usage.ru_maxrss for usage in used) * 1024 / 1e9
    print(json.dumps({"cpu": cpu, "memory": memory_gb}))


if __name__ == "__main__":
    if os.environ.get("SETLIST_STEP"):
        step, folder, events, memory, spark = sys.argv[1:]
        run_step(step, Path(folder), int(events), memory, spark)
    else:
        main()
