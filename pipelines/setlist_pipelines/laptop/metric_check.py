"""Checks the metrics of the user's own before the first step, in a process of their own.

The command line reads settings files without running anything that they name. A run is about to
import the metrics in its steps anyway; the process does it first, so that a mistake costs a second
and not the hours until the evaluation. It also asks each of them about a few made-up lists.
"""

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from setlist.errors import SetlistError, SettingsError
from setlist_pipelines.laptop import step_main
from setlist_pipelines.settings.file import Settings

if TYPE_CHECKING:
    from setlist.evaluation.ranking import Ranking

IMPORT_SECONDS = 120
"""After this, the import of a metric is taken for hung."""
TRIAL_LISTENERS, MOST_DEPTH = 50, 10_000
"""Each with a list as long as the metric asks for, up to a bound; the last list is not full."""
ERROR = "SetlistError: "
"""Before a sentence of ours on standard error."""


def check_metrics(settings: Settings) -> None:
    """Try the metrics that the settings name as module:function, and check the policy on them.

    Raises:
        SettingsError: one of them cannot be imported, raises or answers with another shape than it
            should, or the policy asks of it what it is not.
    """
    if not settings.evaluation.own_metrics():
        return
    document = {
        "evaluation": settings.evaluation.model_dump(mode="json"),
        "policy": settings.policy.model_dump(mode="json"),
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own file
            [sys.executable, __file__],
            input=json.dumps(document),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"},
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise SettingsError(
            f"{settings.evaluation.setting}: trying them took more than {IMPORT_SECONDS} s",
            "correct the module of the metric",
        ) from fault
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without saying why"]
        raise SettingsError(lines[-1].partition(ERROR)[2] or lines[-1])


def main() -> None:
    """Check what stands on standard input."""
    step_main.put_working_folder_last()
    from setlist.evaluation.metric_names import parse_metric
    from setlist.evaluation.policy import Policy, check_policy
    from setlist.evaluation.results import EvaluationSettings

    document = json.load(sys.stdin)
    try:
        evaluation = EvaluationSettings.model_validate(document["evaluation"])
        policy = Policy.model_validate(document["policy"])
        check_policy(policy, evaluation.metric_infos(), setting=evaluation.setting)
        for text in evaluation.own_metrics():
            own = parse_metric(text)
            own(trial_ranking(own.k))
    except SetlistError as fault:
        sys.exit(f"{ERROR}{fault}")


def trial_ranking(k: int) -> "Ranking":
    """Lists, truth and history of a few listeners, with everything that a metric may read."""
    import numpy as np
    from scipy import sparse

    from setlist.evaluation.ranking import EMPTY, Catalogue, Ragged, Ranking

    depth, rows = min(k, MOST_DEPTH), np.arange(TRIAL_LISTENERS)
    items = depth + TRIAL_LISTENERS
    top = (rows[:, None] + np.arange(depth)).astype(np.int32)
    top[-1, depth // 2 :] = EMPTY
    truth = rows[:, None] + np.array([depth // 2, depth])  # a hit and a miss
    played = (rows + depth + 1) % items
    tags = np.eye(3, dtype=np.bool_)[np.arange(items) % 3]
    return Ranking(
        top,
        Ragged.from_pairs(np.repeat(rows, 2), truth.ravel(), len(rows)),
        Ragged.from_pairs(rows, played, len(rows)),
        Catalogue(1 + np.arange(items) % len(rows), sparse.csr_array(tags), len(rows)),
    )


if __name__ == "__main__":
    main()
