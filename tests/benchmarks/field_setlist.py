"""The comparison by setlist: `field_setlist.py FOLDER PLAN`.

One `setlist evaluate` for each trial, as a person would run it, with a policy file that says what
is said to the other tools, too; then more metrics of the same lists, for the table of values.
"""

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

METRICS = (
    "ndcg",
    "recall",
    "precision",
    "mrr",
    "map",
    "hit_rate",
    "novelty",
    "popularity",
    "coverage",
    "gini",
    "personalization",
    "intra_list_diversity",
)
TABLES = ("truth", "items", "users", "history")
DECISIONS = (0, 2)
"""Exit codes of a verdict: promote, and everything else."""


def policy(bounds: Mapping[str, float]) -> str:
    """The policy file."""
    return (
        f"over_heuristics: {bounds['better']}\n"
        f"believable: {bounds['believable']}\n"
        f"slices: {{tolerance: {bounds['tolerance']}, at_least: {bounds['at_least']}}}\n"
        "guardrails:\n"
        f"- {{metric: coverage@10, at_least: {bounds['coverage']}}}\n"
    )


def judge(
    folder: Path, name: str, against: Sequence[str], bounds: Mapping[str, float]
) -> dict[str, Any]:
    """What the command decides and why, with the values of all lists.

    Raises:
        RuntimeError: when it ends with an error.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output, rules = Path(scratch, "evaluation"), Path(scratch, "policy.yaml")
        rules.write_text(policy(bounds), "utf-8")
        command = [sys.executable, "-m", "setlist_pipelines", "evaluate"]
        command += [str(folder / "lists" / f"{name}.parquet")]
        for rival in against:
            command += ["--against", str(folder / "lists" / f"{rival}.parquet")]
        for table in TABLES:
            path = folder / f"{table}.parquet"
            command += [f"--{table}", str(path)] if path.exists() else []
        command += ["--policy", str(rules), "--output", str(output)]
        command += ["--report", str(Path(scratch, "report.html"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in DECISIONS:
            raise RuntimeError(done.stderr[-2_000:])
        verdict = json.loads((output / "verdict.json").read_text("utf-8"))
    return {
        "decision": verdict["decision"],
        "reasons": [
            {key: reason[key] for key in ("rule", "outcome", "value", "low", "high", "sentence")}
            for reason in verdict["reasons"]
        ],
        "ndcg": {label: values["ndcg@10"] for label, values in verdict["values"].items()},
    }


def values(folder: Path, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Every metric at 10 of every table of lists."""
    import setlist

    evaluated = setlist.evaluate(
        {name: folder / "lists" / f"{name}.parquet" for name in names},
        folder / "truth.parquet",
        items=folder / "items.parquet",
        users=folder / "users.parquet",
        history=folder / "history.parquet",
        settings=setlist.EvaluationSettings(only=tuple(f"{name}@10" for name in METRICS)),
    )
    table = evaluated.table()
    return {
        name: {metric: float(table.loc[name, f"{metric}@10"]) for metric in METRICS}
        for name in names
    }


def main() -> None:
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    with contextlib.redirect_stdout(sys.stderr):
        trials = {
            name: judge(folder, name, against, plan["bounds"])
            for name, against in plan["against"].items()
        }
        own = values(folder, plan["lists"])
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(json.dumps({"trials": trials, "values": own, "mib": max(peaks) / 1024}))


if __name__ == "__main__":
    main()
