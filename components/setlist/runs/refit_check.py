"""Whether a model that was trained again on all days is still the one that was evaluated.

Nobody can evaluate it: it knows the test period. So it is held against the evaluated model. It has
to stand up in a fresh process, keep the policy's limits, list much the same for the same listeners
with the same histories, and leave no class of listeners without lists.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Int32s
from setlist.data.features import Features
from setlist.errors import SetlistError
from setlist.evaluation.contenders import Contender
from setlist.evaluation.evaluator import prepare_setup
from setlist.evaluation.inspection import inspect_models
from setlist.evaluation.lists import top_lists, without_repeats
from setlist.evaluation.policy import Policy
from setlist.evaluation.requests import write_answers
from setlist.evaluation.results import (
    LISTENER_SLICE,
    EvaluationSettings,
    Inspection,
    read_evaluation,
    read_users,
)
from setlist.evaluation.rules import Rules
from setlist.models.contract import EMPTY, folder_digest
from setlist.models.saved_model import SavedModel
from setlist.runs.refit_record import TOP, Refit

LABEL = "refitted"


def check_refit(
    folder: Path,
    evaluations: Path,
    features: Features,
    dataset: Path,
    settings: EvaluationSettings,
    policy: Policy,
    floor: float,
) -> Refit:
    """Hold a refitted model against the candidate of an evaluation.

    Args:
        folder: the refitted model.
        evaluations: what `evaluate` wrote.
        features: what that candidate was trained on.
        dataset: what it was evaluated on.
        settings: of the evaluation.
        policy: whose limits of latency and size it has to keep.
        floor: the least overlap of the top tens, from 0 to 1.

    Raises:
        SetlistError: when it fails in any of this; nothing may be pushed then.
    """
    evaluation = read_evaluation(evaluations)
    evaluated = evaluation.model("candidate")
    exam = prepare_setup([], features, dataset, settings)
    people = exam.people
    if people.users["user_id"].tolist() != read_users(evaluations, evaluation)["user_id"].tolist():
        raise SetlistError(
            f"{evaluations} is not about these features and this dataset; run the pipeline again."
        )
    told, scores = top_lists(
        SavedModel(folder), people, exam.inputs, exam.item_ids, exam.shelf, evaluation.k
    )
    top = without_repeats(told)
    before: Int32s = np.load(evaluations / evaluated.label / "top.npy")
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch)
        (asked / LABEL).mkdir()
        shutil.copyfile(evaluations / "requests.parquet", asked / "requests.parquet")
        write_answers(asked / LABEL, top[exam.requests], scores[exam.requests], exam.item_ids)
        inspection = inspect_models(asked, [Contender(folder, LABEL, "candidate")])[LABEL]
    check_serving(inspection, evaluations, policy)
    overlap = mean_overlap(before[:, :TOP], top[:, :TOP])
    print(f"top {TOP} of the refitted model: {overlap:.3f} as evaluated", flush=True)
    check_lists(before[:, :TOP], top[:, :TOP], people.users[LISTENER_SLICE], overlap, floor)
    return Refit(
        refit_of=evaluated.digest,
        digest=folder_digest(folder),
        overlap=overlap,
        inspection=inspection,
    )


def mean_overlap(before: Int32s, after: Int32s) -> float:
    """The share of the items of `before` that are also in `after`, mean over lists with any.

    Args:
        before: int32[listeners, k], codes below 0 are no items; no item twice in a list.
        after: the same of the other model.
    """
    kept = ((before[:, :, None] == after[:, None, :]) & (before >= 0)[:, :, None]).sum(axis=(1, 2))
    listed = (before >= 0).sum(axis=1)
    return float((kept[listed > 0] / listed[listed > 0]).mean()) if listed.any() else 1.0


def check_lists(
    before: Int32s, after: Int32s, kind: pd.Series, overlap: float, floor: float
) -> None:
    """Refuse lists that have changed too much, or that are gone for a class of listeners.

    Args:
        before: int32[listeners, k], codes best first; EMPTY where nothing is listed.
        after: the same of the other model.
        kind: the class of each listener.
        overlap: of the two.
        floor: the least that it may be.

    Raises:
        SetlistError: with the number.
    """
    had, has = (before != EMPTY).any(axis=1), (after != EMPTY).any(axis=1)
    for name in sorted(set(kind[had])):
        if not has[had & (kind == name)].any():
            raise SetlistError(
                f"refit: the model that was trained again lists nothing for any {name} listener, "
                "so it is not pushed; set refit to false to ship what was evaluated."
            )
    if overlap < floor:
        raise SetlistError(
            f"refit: the top {TOP} of the model that was trained again are {overlap:.3f} those of "
            f"the evaluated one, less than refit_overlap ({floor:g}), so it is not pushed; set "
            "refit to false to ship what was evaluated, or lower refit_overlap."
        )


def check_serving(inspection: Inspection, evaluations: Path, policy: Policy) -> None:
    """Refuse a model that does not stand up in a fresh process, or is beyond the policy's limits.

    Raises:
        SetlistError: with the first fault.
    """
    evaluation = read_evaluation(evaluations)
    inspected = evaluation.model("candidate").model_copy(update={"inspection": inspection})
    for reason in Rules(evaluations, evaluation, policy).serving(inspected):
        if reason.outcome == "fail":
            raise SetlistError(
                f"refit: the model that was trained again is not fit to serve "
                f"({reason.sentence.removesuffix('.')}), so it is not pushed; set refit to false "
                "to ship what was evaluated."
            )
