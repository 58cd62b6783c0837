"""The step between curation and transformation, which decides whether a model is trained."""

from pathlib import Path

import pandas as pd

from setlist.data.curation_report import CurationReport
from setlist.data.engine import EngineSettings
from setlist.data.gate import judge_data
from setlist.data.policy import DataPolicy
from setlist.data.profile import DataProfile
from setlist.data.schema import Window
from setlist.data.verdict import DataVerdict
from setlist.documents import read_document
from setlist.errors import DataError
from setlist.evaluation.contenders import read_rivals
from setlist.models.profile import read_profile
from setlist.printable import one_line


def check_data(
    dataset: Path,
    window: Window,
    live: Path,
    inputs: tuple[str, ...],
    policy: DataPolicy,
    verdict: Path,
    engine: EngineSettings = EngineSettings(),  # noqa: B008 - it is frozen
) -> DataVerdict:
    """Judge the data of a run, print the reasons, and write the verdict.

    Args:
        dataset: the folder that `curate` wrote.
        window: of the run.
        live: the folder into which `resolve_live` fetched.
        inputs: columns of the users table that the models will read.
        policy: the bounds.
        verdict: the file to write.
        engine: where the events are held.

    Raises:
        DataError: a reason stops the run; the verdict is written before.
    """
    report = read_document(dataset / "counts.json", CurationReport, DataError, "curate again")
    judged = judge_data(
        dataset,
        window,
        report,
        inputs,
        live_data_profile(live),
        policy,
        pd.Timestamp.now("UTC"),
        engine,
    )
    judged.write(verdict)
    for reason in judged.reasons:
        if reason.outcome != "pass":
            print(one_line(f"{reason.outcome}: {reason.rule}: {reason.sentence}; {reason.remedy}"))
    judged.refuse()
    return judged


def live_data_profile(live: Path) -> DataProfile | None:
    """The profile of the data that the live model was trained on.

    None where nothing is live, or where the live model has none, because another program made it or
    an older version of this one.
    """
    folders = read_rivals(live)
    profile = read_profile(live / folders[0]) if folders else None
    return profile.data if profile else None
