"""The gate for data: whether a model may be trained on these tables.

The rules read the curated dataset, the report of its curation, and the profile of the data that the
live model was trained on. `setlist.evaluation.gate` does the same for models.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from setlist.data import table_rules, week_rules
from setlist.data.case import DataCase
from setlist.data.curation_report import CurationReport
from setlist.data.engine import EngineSettings
from setlist.data.policy import DataPolicy
from setlist.data.profile import DataProfile, read_weeks
from setlist.data.schema import Window
from setlist.data.verdict import DataReason, DataVerdict

DataRule = Callable[[DataCase], Iterator[DataReason]]
DATA_RULES: tuple[DataRule, ...] = (
    table_rules.rejections,
    table_rules.ids,
    table_rules.inputs,
    table_rules.items,
    table_rules.expectations,
    week_rules.days,
    week_rules.newest_week,
    week_rules.drift,
)
"""All rules, in the order of the verdict's reasons."""


def judge_data(
    dataset: Path,
    window: Window,
    report: CurationReport,
    inputs: tuple[str, ...],
    live: DataProfile | None,
    policy: DataPolicy,
    now: pd.Timestamp,
    engine: EngineSettings = EngineSettings(),  # noqa: B008 - it is frozen
) -> DataVerdict:
    """Apply every rule to a curated dataset.

    Args:
        dataset: the folder that `curate` wrote.
        window: of the run.
        report: of the curation.
        inputs: columns of the users table that the models will read.
        live: the profile of the data that the live model was trained on; None for a first run.
        policy: the bounds.
        now: events later than this are from the future.
        engine: where the events are held.
    """
    items = pd.read_parquet(dataset / "items.parquet", columns=["item_id", "title", "tags"])
    users = pd.read_parquet(dataset / "users.parquet")
    with read_weeks(dataset, window, engine) as weeks:
        case = DataCase(weeks, items, users, window, report, inputs, live, policy, now)
        return DataVerdict.of([reason for rule in DATA_RULES for reason in rule(case)])
