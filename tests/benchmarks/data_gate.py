"""Prints which faults of the tables and of a service are named, and which harmless changes are.

python tests/benchmarks/data_gate.py    # six minutes
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script's own folder is there, not the root

from tests.cases.data_faults import FAULTS, HARMLESS, named, verdict_of
from tests.cases.serving_faults import SERVING_FAULTS, SERVING_HABITS, Sending, verdict_of_sending

from setlist.data.policy import Bound, DataPolicy, DriftBounds
from setlist.data.verdict import DataVerdict

SEEDS = range(1, 21)
ANY_SHIFT = DataPolicy(drift=DriftBounds(categories=Bound(warn=0), numbers=Bound(warn=0)))
"""With a bound of 0, only the distances of past weeks decide whether drift is reported."""


def main() -> None:
    """Print all tables."""
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
    print(f"\n{stopped} of {len(HARMLESS)} harmless changes stop the run.\n")
    alarms = compared = beyond = 0
    for seed in SEEDS:
        for policy in (ANY_SHIFT, DataPolicy()):
            reasons = verdict_of(lambda tables: tables, seed, policy).reasons
            drift = [reason for reason in reasons if reason.rule.startswith("drift")]
            raised = sum(reason.outcome != "pass" for reason in drift)
            if policy is ANY_SHIFT:
                alarms, compared = alarms + raised, compared + len(drift)
            else:
                beyond += raised
    print(
        f"Unchanged tables of {len(SEEDS)} seeds: {alarms} of {compared} distributions "
        f"({alarms / compared:.1%}) are further away than every past week, and {beyond} of them "
        "are beyond the default bounds, too.\n"
    )
    print_serving()


def print_serving() -> None:
    """Print the same of a service that asks a model."""
    print("| fault of a service | named by | outcome |\n|---|---|---|")
    caught = 0
    for name, (sending, rule) in SERVING_FAULTS.items():
        outcome = named(_verdict(sending), rule)
        caught += bool(outcome)
        print(f"| {name} | {rule} | {outcome or 'MISSED'} |", flush=True)
    print(f"\n{caught} of {len(SERVING_FAULTS)} faults of a service are named.\n")
    print("| harmless habit | verdict |\n|---|---|")
    verdicts = [_verdict(sending).decision for sending in SERVING_HABITS.values()]
    for name, decision in zip(SERVING_HABITS, verdicts, strict=True):
        print(f"| {name} | {decision} |")
    alarms = sum(decision != "pass" for decision in verdicts)
    print(f"\n{alarms} of {len(verdicts)} harmless habits are reported.")


def _verdict(sending: Sending) -> DataVerdict:
    with tempfile.TemporaryDirectory() as log:
        return verdict_of_sending(sending, Path(log) / "log")


if __name__ == "__main__":
    main()
