"""What a rule for data looks at: a dataset in weeks, its report, and the data of the live model."""

from dataclasses import dataclass

import pandas as pd

from setlist.data.curation_report import CurationReport
from setlist.data.policy import Bound, DataPolicy
from setlist.data.profile import DataProfile, Weeks
from setlist.data.schema import Window
from setlist.data.verdict import DataOutcome, DataReason

MIN_LISTENERS = 30
"""Shares of fewer listeners are too coarse for a bound."""


@dataclass(frozen=True)
class DataCase:
    """The data of a run under judgement.

    Attributes:
        weeks: both periods of the dataset.
        items, users: its tables.
        names: of the inputs.
        live: the profile of the data of the live model; None for a first run.
        now: events later than this are from the future.
    """

    weeks: Weeks
    items: pd.DataFrame
    users: pd.DataFrame
    window: Window
    report: CurationReport
    names: tuple[str, ...]
    live: DataProfile | None
    policy: DataPolicy
    now: pd.Timestamp


def conclude(
    rule: str,
    value: float,
    bound: Bound,
    key: str,
    sentence: str,
    remedy: str,
    *,
    may_stop: bool = True,
    percent: bool = True,
    example: str = "",
) -> DataReason:
    """The reason of a rule, with the outcome under its bound.

    Args:
        rule: its name.
        value: a share or a distance, from 0 to 1.
        bound: above which it warns and stops.
        key: of the bound under `policy.data`, such as "rejected".
        sentence: what was measured.
        remedy: what to do but to raise the bound; left out of a reason that passes.
        may_stop: False for a rule that only warns.
        percent: False for a distance, which is no share of anything.
        example: of a row or a listener; left out of a reason that passes.
    """
    outcome: DataOutcome = "pass"
    if value > bound.stop and may_stop:
        outcome = "stop"
    elif value > bound.warn:
        outcome = "warn"
    limit = bound.stop if outcome == "stop" else bound.warn
    return DataReason(
        rule=rule,
        outcome=outcome,
        value=round(value, 6),
        bound=limit,
        sentence=f"{sentence} (allowed: {f'{limit:.1%}' if percent else f'{limit:.3f}'})",
        remedy=""
        if outcome == "pass"
        else f"{remedy}{', or ' * bool(remedy)}raise policy.data.{key}.{outcome}",
        example="" if outcome == "pass" else example,
    )
