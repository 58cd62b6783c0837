"""Checks the metrics of the user's own before the first step, in a process of their own.

The command line reads settings files without running anything that they name. A run is about to
import the metrics in its steps anyway; the process does it first, so that a mistake costs a second
and not the hours until the evaluation.
"""

import json
import os
import subprocess
import sys

from setlist.errors import SettingsError
from setlist_pipelines.laptop import step_main
from setlist_pipelines.settings.file import Settings

IMPORT_SECONDS = 120
"""After this, the import of a metric is taken for hung."""


def check_metrics(settings: Settings) -> None:
    """Import the metrics that the settings name as module:function, and check the policy on them.

    Raises:
        SettingsError: one of them cannot be imported, or the policy asks of it what it is not.
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
            f"{settings.evaluation.setting}: an import took more than {IMPORT_SECONDS} s",
            "correct the module of the metric",
        ) from fault
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without saying why"]
        raise SettingsError(lines[-1].partition("SettingsError: ")[2] or lines[-1])


def main() -> None:
    """Check what stands on standard input."""
    step_main.put_working_folder_last()
    from setlist.evaluation.policy import Policy, check_policy
    from setlist.evaluation.results import EvaluationSettings

    document = json.load(sys.stdin)
    evaluation = EvaluationSettings.model_validate(document["evaluation"])
    policy = Policy.model_validate(document["policy"])
    check_policy(policy, evaluation.metric_infos(), setting=evaluation.setting)


if __name__ == "__main__":
    main()
