"""The same lists through TFMA, RecTools, Evidently and setlist; prints the tables of the page.

    .venv/bin/python -m tests.benchmarks.field

It writes the lists into `build/field` (see `field_lists`), runs each tool in its own environment
(`make .venv-tfma/.installed`, and so on) and keeps what each said there; `--tools` runs some of
them again, `--tools none` prints what is kept. The tables go into `docs/explanation/comparison.md`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.field_page import tables
from tests.benchmarks.field_plan import BOUNDS, TRIALS
from tests.benchmarks.measured import measure

HERE = Path(__file__).parent
KEPT = Path("build/field")
MOST_GB, MOST_CPU = 16.0, 3_600.0


@dataclass(frozen=True)
class Tool:
    """A tool of the comparison.

    Attributes:
        package: whose version is named.
        python: of its environment.
    """

    package: str
    python: Path


TOOLS = {
    "setlist": Tool("setlist", Path(sys.executable)),
    "tfma": Tool("tensorflow-model-analysis", Path(".venv-tfma/bin/python")),
    "rectools": Tool("rectools", Path(".venv-peers/bin/python")),
    "evidently": Tool("evidently", Path(".venv-evidently/bin/python")),
}


def plan(ndcg: Mapping[str, float]) -> dict[str, Any]:
    """What every tool is asked.

    Args:
        ndcg: of the rivals: what a team knows of what it serves now.
    """
    rivals: dict[str, list[str]] = {}
    for trial in TRIALS:
        rivals.setdefault(trial.against[0], []).append(trial.name)
    return {
        "against": {trial.name: trial.against for trial in TRIALS},
        "rivals": rivals,
        "lists": [*(trial.name for trial in TRIALS), *rivals],
        "ndcg": dict(ndcg),
        "bounds": BOUNDS,
    }


def run(name: str, tool: Tool, folder: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a tool says of the lists in the folder, and what that costs."""
    version = subprocess.run(
        [tool.python, "-c", f"import importlib.metadata as m; print(m.version({tool.package!r}))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    command = [str(tool.python), str(HERE / f"field_{name}.py"), str(folder), json.dumps(asked)]
    cost = measure(command, os.environ, folder, MOST_GB, MOST_CPU)
    if cost.fault:
        sys.exit(f"{name} {cost.fault}")
    outcome = json.loads(cost.output.splitlines()[-1])
    used = {key: value for key, value in asdict(cost).items() if key in ("cpu", "wall")}
    return {"version": version, "outcome": outcome, **used}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the same lists through four tools.")
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=[*TOOLS, "none"])
    chosen = parser.parse_args().tools
    folder = KEPT / "data"
    if not folder.exists():
        # Not here: on Linux a child's peak of memory begins with its parent's.
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.field_lists", str(folder)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    kept: dict[str, Any] = {}
    ndcg: dict[str, float] = {}
    for name, tool in TOOLS.items():
        path = KEPT / f"{name}.json"
        if name in chosen:
            path.write_text(json.dumps(run(name, tool, folder, plan(ndcg)), indent=1), "utf-8")
        kept[name] = json.loads(path.read_text("utf-8"))
        if name == "setlist":
            ndcg = {
                label: values["ndcg"] for label, values in kept[name]["outcome"]["values"].items()
            }
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs\n")
    print(tables(kept, json.loads((folder / "draws.json").read_text("utf-8"))))


if __name__ == "__main__":
    main()
