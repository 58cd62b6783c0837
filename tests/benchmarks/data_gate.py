"""Prints which faults of the tables the gate for data names, and which harmless changes stop a run.

python tests/benchmarks/data_gate.py    # six minutes
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script's own folder is there, not the root

from tests.cases.data_faults import FAULTS, HARMLESS, named, verdict_of


def main() -> None:
    """Print both tables."""
    print("| fault | named by | outcome | verdict |\n|---|---|---|---|")
    caught = 0
    for name, (change, rule) in FAULTS.items():
        verdict = verdict_of(change)
        outcome = named(verdict, rule)
        caught += bool(outcome)
        print(f"| {name} | {rule} | {outcome or 'MISSED'} | {verdict.decision} |", flush=True)
    print(f"\n{caught} of {len(FAULTS)} faults are named.\n")
    print("| harmless change | verdict | warned of |\n|---|---|---|")
    stopped = 0
    for name, change in HARMLESS.items():
        verdict = verdict_of(change)
        stopped += verdict.decision == "stop"
        warned = ", ".join(reason.rule for reason in verdict.reasons if reason.outcome != "pass")
        print(f"| {name} | {verdict.decision} | {warned} |", flush=True)
    print(f"\n{stopped} of {len(HARMLESS)} harmless changes stop the run.")


if __name__ == "__main__":
    main()
