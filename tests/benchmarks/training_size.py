"""Every step of a run at several sizes: CPU seconds, wall seconds, memory, disk, quality.

    python tests/benchmarks/training_size.py [LISTENERSxITEMSxPLAYS ...] [--json sizes.json]
    python tests/benchmarks/training_size.py --fit sizes.json [more.json ...]

Each size is a planted log (`planted.py`), the last tenth of its plays held out. Each step runs in
a process of its own with the default settings. A rule or learner is fitted alone, a model is
evaluated alone, on at most 5,000 listeners; the two-tower is inspected with 1,000 requests at once,
and then asked 200 times for one listener. BELOW stands where it is worse than the best of the
others beyond the interval of 95%. A step that fails or exceeds a bound is a row that says
so, and the steps that need it are left out.

With `--fit` nothing is run: the constants of `setlist_pipelines.settings.cost_table` are fitted to
what was measured, and printed to be pasted. As many sizes as terms are needed, and some with fewer
than 5,000 listeners.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

# isort: split
import numpy as np
from measured import measure

from setlist.models.settings import BuiltInHeuristic

ROOT = Path(__file__).parents[2]
SIZES = ("50_000x10_000x1_000_000", "500_000x100_000x10_000_000", "200_000x1_000_000x5_000_000")
LEARNERS = get_args(BuiltInHeuristic)
OURS = "two_tower"
EVALUATED = 5_000
METRICS = ("recall@20", "ndcg@10")
ASKED, K = 200, 20
COUNTED = ("known_listeners", "known_items", "learnt_plays")
"""What `transform` left; the costs are by these numbers."""
UNMEASURED = "not run: a step before it failed"

Row = dict[str, Any]
"""One step at one size: `step`, the size, `cpu`, `wall`, `memory`, `disk`, `fault`, its results."""


# The steps, each in a process of its own; each returns what a reader wants to know of it.


def write(folder: Path, name: str) -> Row:
    """The planted log; `name` is its size."""
    from planted import write_log

    split_at = write_log(folder / "tables", *parse_size(name))
    (folder / "split_at").write_text(str(split_at))
    return {}


def curate(folder: Path, name: str) -> Row:
    from setlist.data.curation import CurationSettings, DataSettings, curate

    tables = {table: {"path": str(folder / f"tables/{table}.parquet")} for table in _TABLES}
    data = DataSettings.model_validate(tables)
    curate(data, _window(folder), CurationSettings(), folder / "dataset")
    return {}


def transform(folder: Path, name: str) -> Row:
    from setlist.data.transformation import transform

    transform(folder / "dataset", _window(folder), ("region",), folder / "features")
    import pyarrow.parquet

    counts = zip(COUNTED, ("users", "items", "plays"), strict=True)
    return {
        key: pyarrow.parquet.read_metadata(folder / f"features/{table}.parquet").num_rows
        for key, table in counts
    }


def read(folder: Path, name: str) -> Row:
    """What every step does that holds all plays."""
    from setlist.data.features import Features

    Features.read(folder / "features")
    return {}


def fit(folder: Path, name: str) -> Row:
    from setlist.models.heuristics import fit_heuristics
    from setlist.models.settings import HeuristicSettings

    fit_heuristics(folder / "features", HeuristicSettings(fit=(name,)), folder / "models")
    return {}


def train(folder: Path, name: str) -> Row:
    from setlist.data.features import Features
    from setlist.models.settings import ModelSettings
    from setlist.models.trainers import train_candidate

    outputs = folder / "models" / name, folder / "training"
    record = train_candidate(
        Features.read(folder / "features"), ModelSettings(), *outputs, "candidate"
    )
    return {"epochs": len(record.epochs)}


def evaluate(folder: Path, name: str) -> Row:
    """Recall and NDCG of one model; it is not inspected, since an anchor never is."""
    from setlist.data.features import Features
    from setlist.evaluation import audience
    from setlist.evaluation.contenders import Contender
    from setlist.evaluation.evaluator import evaluate
    from setlist.evaluation.results import EvaluationSettings, read_per_user

    audience.MAX_LISTENERS = EVALUATED
    contender = Contender(folder / "models" / name, name, "anchor", 1)
    # The default metrics are part of what an evaluation costs.
    settings = EvaluationSettings(newcomers=False, metrics=METRICS)
    output = folder / "evaluations" / name
    features = Features.read(folder / "features")
    found = evaluate([contender], features, folder / "dataset", settings, output)
    values = read_per_user(output, name)
    return {"evaluated": found.listeners} | {metric: values[metric].mean() for metric in METRICS}


def inspect(folder: Path, name: str) -> Row:
    from setlist.evaluation.inspection import inspect_model
    from setlist.models.worker.model_host import ModelHost

    with ModelHost() as host:
        found = inspect_model(folder / "evaluations" / name, name, folder / "models" / name, host)
    if found.faults:
        raise SystemExit("; ".join(found.faults))
    return {"model_gb": found.size_mb / 1e3}


def push(folder: Path, name: str) -> Row:
    from setlist.models.contract import folder_digest
    from setlist.store.model_store import open_store

    model = folder / "models" / name
    open_store(str(folder / "store")).stage(
        "home",
        model,
        run_id="1",
        digest=folder_digest(model),
        training_window={},
        metadata={},
    )
    return {}


def serve(folder: Path, name: str) -> Row:
    """The milliseconds of a request for one listener."""
    from setlist.evaluation.inspection import Requests
    from setlist.models.saved_model import SavedModel

    model = SavedModel(folder / "models" / name)
    requests = Requests.read(folder / "evaluations" / name)
    milliseconds = []
    for number in range(-1, ASKED):  # the first one is not timed: it prepares the graph
        one = requests.take([max(number, 0) % len(requests.history)])
        began = time.perf_counter()
        model.recommend(one.history, one.exclude, K, one.inputs, one.ages)
        milliseconds.append((time.perf_counter() - began) * 1000)
    return dict(zip(("p50_ms", "p99_ms"), np.quantile(milliseconds[1:], [0.5, 0.99]), strict=True))


def compare(folder: Path, name: str) -> Row:
    """The two-tower minus the best of the others, with an interval, listener by listener."""
    from setlist.evaluation.results import read_per_user
    from setlist.evaluation.statistics import bootstrap

    parts = []
    for metric in METRICS:
        # A model that could not be evaluated has no values, or not even a folder.
        values = {
            path.parent.name: read_per_user(path.parents[1], path.parent.name)[metric].to_numpy()
            for path in (folder / "evaluations").glob("*/*/per_user.parquet")
        }
        ours = values.pop(name)
        best = max(values, key=lambda other: values[other].mean())
        [lift] = bootstrap((ours - values[best])[:, None])
        told = f"{lift.mean:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}]"
        parts.append(f"{metric} minus {best}: {told}{' BELOW' if lift.high < 0 else ''}")
    return {"compared": "; ".join(parts)}


_TABLES = ("events", "items", "users")


def _window(folder: Path) -> Any:
    from setlist.data.curation import WindowSettings, resolve_window
    from setlist.data.schema import parse_instant

    settings = WindowSettings(split_at=int((folder / "split_at").read_text()))
    return resolve_window(settings, "", parse_instant("2027-01-01", "now"))


STEPS: tuple[tuple[Callable[[Path, str], Row], str, tuple[str, ...]], ...] = (
    (write, "", ()),
    (curate, "", ("write",)),
    (transform, "", ("curate",)),
    (read, "", ("transform",)),
    *((fit, name, ("transform",)) for name in LEARNERS),
    (train, OURS, ("transform",)),
    *((evaluate, name, (f"fit {name}",)) for name in LEARNERS),
    (evaluate, OURS, (f"train {OURS}",)),
    (inspect, OURS, (f"evaluate {OURS}",)),
    (push, OURS, (f"train {OURS}",)),
    (serve, OURS, (f"evaluate {OURS}",)),
    (compare, OURS, (f"evaluate {OURS}",)),
)
"""In their order: the step, the model that it is of, and the rows that have to be there."""


# The rows.


def parse_size(text: str) -> tuple[int, int, int]:
    """Listeners, items and plays of "50_000x10_000x1_000_000"."""
    listeners, items, plays = (int(part) for part in text.split("x"))
    return listeners, items, plays


def rows_of(size: str, most_gb: float, most_cpu: float) -> Iterator[Row]:
    """A row for each step, as soon as it has ended."""
    base = dict(zip(("listeners", "items", "plays"), parse_size(size), strict=True))
    done: set[str] = set()
    with tempfile.TemporaryDirectory(dir=os.environ.get("SETLIST_SCRATCH")) as place:
        folder = Path(place)
        (folder / "scratch").mkdir()
        environment = os.environ | {
            "TMPDIR": str(folder / "scratch"),
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), str(ROOT / "components"), os.environ.get("PYTHONPATH", "")]
            ),
        }
        for function, model, needed in STEPS:
            step = f"{function.__name__} {model}".strip()
            row: Row = {"step": step} | base
            if not done.issuperset(needed):
                yield row | {"fault": UNMEASURED}
                continue
            told = [function.__name__, place, model or size]
            command = [sys.executable, __file__, "--step", *told]
            cost = measure(command, environment, folder, most_gb, most_cpu)
            used = {key: getattr(cost, key) for key in ("cpu", "wall", "memory", "disk", "fault")}
            found: Row = {} if cost.fault else json.loads(cost.output.splitlines()[-1])
            if function is transform:
                base |= found  # the true counts belong to every step that reads the features
            if not cost.fault:
                done.add(step)
            yield row | used | found


def cells(row: Row) -> str:
    """The row of the table for people."""
    used = f"{row['cpu']:,.1f} | {row['wall']:,.1f} | {row['memory']:.2f} | {row['disk']:.3f}"
    notes = [
        f"{key} {row[key]:{form}}"
        for key, form in (
            *((metric, ".4f") for metric in METRICS),
            *(("p50_ms", ".1f"), ("p99_ms", ".1f"), ("model_gb", ".3f"), ("epochs", "d")),
            ("compared", ""),
            *((count, ",d") for count in COUNTED if row["step"] == "transform"),
        )
        if key in row
    ]
    return f"| {row['step']} | {used} | {row['fault'] or ', '.join(notes)} |"


def measure_sizes(sizes: list[str], most_gb: float, most_cpu: float, output: Path | None) -> None:
    """Print a table for each size; the file has the rows that are there so far."""
    everything: list[Row] = []
    for size in sizes:
        listeners, items, plays = parse_size(size)
        print(f"\n{listeners:,} listeners, {items:,} items, {plays:,} plays\n")
        print("| step | CPU s | wall s | memory GB | disk GB | |\n|---|--:|--:|--:|--:|---|")
        rows = []
        for row in rows_of(size, most_gb, most_cpu):
            rows.append(row)
            shown = cells(row) if "cpu" in row else f"| {row['step']} | | | | | {row['fault']} |"
            print(shown, flush=True)
            if output:
                output.write_text(json.dumps(everything + rows, indent=1) + "\n", "utf-8")
        everything += rows


# The constants.


def fit_constants(rows: list[Row]) -> Iterator[str]:
    """The lines of `COSTS`, by non-negative least squares of the relative errors.

    Rows of one size and step are parts of one step of the pipeline, one after the other.
    """
    from setlist_pipelines.settings.cost_table import COSTS, Size, StepCost

    # What a size came to is known once it was transformed.
    counted = {_asked(row): row for row in rows if "learnt_plays" in row}
    rows = [
        {key: counted[_asked(row)][key] for key in COUNTED} | row
        for row in rows
        if _asked(row) in counted
    ]
    yield "COSTS = {"
    for step, known in COSTS.items():
        named = [row for row in rows if row["step"].split()[0] == known.measured_as]
        parts = [[row for row in named if _asked(row) == size] for size in counted]
        number = sum(function.__name__ == known.measured_as for function, _, _ in STEPS)
        whole = [own for own in parts if [row["fault"] for row in own] == [""] * number]
        sizes = [
            known.reads(Size(*(own[0][key] for key in COUNTED), own[0].get("evaluated", 0)))
            for own in whole
        ]
        yield f'    "{step}": StepCost('
        yield f'        "{known.measured_as}",'
        yield f"        {known.reads.__name__},"
        offs = []
        for name, together in (("cpu", sum), ("memory", max), ("disk", sum)):
            unit = 1 if name == "cpu" else 1e9
            seen = np.array([together(row[name] for row in own) * unit for own in whole])
            told, off = line(sizes, seen)
            offs.append(f"{name} {off:.0%}")
            yield f"        {name}={told},"
        yield f"        # Off by {', '.join(offs)} at most, of {len(whole)} sizes."
        if known.spills:
            yield "        spills=True,"
        if known.fewer_plays != StepCost._field_defaults["fewer_plays"]:
            yield f'        fewer_plays="{known.fewer_plays}",'
        yield "    ),"
    yield "}"
    asked = [row for row in rows if "p50_ms" in row]
    told, off = line(
        [Size(0, row["known_items"], 0) for row in asked],
        np.array([row["p50_ms"] / 1e3 for row in asked]),
    )
    yield f"REQUEST_SECONDS = {told}  # off by {off:.0%} at most"
    trained = [row for row in rows if row["step"] == f"train {OURS}" and not row["fault"]]
    most = ", ".join(f"{max((row[key] for row in trained), default=0):_}" for key in COUNTED)
    yield f"MEASURED_UP_TO = Size({most})"


def _asked(row: Row) -> tuple[int, int, int]:
    """The size as it was asked for."""
    return row["listeners"], row["items"], row["plays"]


def line(sizes: list[Any], seen: np.ndarray) -> tuple[str, float]:
    """The `Line` through what was measured, and by what share it is off at most.

    Args:
        sizes: `setlist_pipelines.settings.cost_table.Size` of each measurement.
        seen: float64[sizes], seconds or bytes.
    """
    from scipy.optimize import nnls

    from setlist_pipelines.settings.cost_table import Line

    if not seen.any():  # as the disk of a step that writes nothing, or a step that was not run
        return "Line()", 0.0
    terms = np.array([size.terms() for size in sizes], np.float64)
    scale = np.maximum(terms.max(axis=0), 1)
    seen = np.maximum(seen, seen.max() * 1e-3)
    found = nnls(terms / scale / seen[:, None], np.ones(len(seen)))[0] / scale
    off = np.abs(terms @ found / seen - 1).max()
    fields = zip(Line._fields, found, strict=True)
    return f"Line({', '.join(f'{name}={value:.3g}' for name, value in fields if value)})", off


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=SIZES, help="LISTENERSxITEMSxPLAYS")
    parser.add_argument("--json", type=Path, help="a file for the rows")
    parser.add_argument("--most-gb", type=float, default=16, help="memory of a step")
    parser.add_argument("--most-hours", type=float, default=6, help="CPU hours of a step")
    parser.add_argument("--fit", type=Path, nargs="+", help="files of rows; runs nothing")
    options = parser.parse_args()
    if options.fit:
        rows = [row for path in options.fit for row in json.loads(path.read_text("utf-8"))]
        print(*fit_constants(rows), sep="\n")
    else:
        measure_sizes(options.sizes, options.most_gb, options.most_hours * 3600, options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        name, place, model = sys.argv[2:]
        found = {function.__name__: function for function, _, _ in STEPS}[name](Path(place), model)
        print(json.dumps(found))
    else:
        main()
