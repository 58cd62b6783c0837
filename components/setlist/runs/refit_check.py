"""Whether a model that was trained again on all days is still the model that was evaluated.

It cannot be evaluated: it was trained on the test period. So it is compared with the evaluated
model. It has to load and answer in a fresh process, keep the policy's limits, list much the same
items for the same listeners with the same histories, and leave no class of listeners without lists.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Int32s
from setlist.data.features import Features
from setlist.errors import EvaluationError, ModelError
from setlist.evaluation.case import Case
from setlist.evaluation.contenders import Contender
from setlist.evaluation.fitness import fit_to_serve
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
from setlist.evaluation.setup import prepare_setup
from setlist.models.contract import EMPTY, folder_digest
from setlist.models.worker.model_host import ModelHost
from setlist.runs.refit_record import COMPARED_RANKS, RefitRecord

LABEL = "refitted"


def check_refit(
    folder: Path,
    evaluations: Path,
    features: Features,
    dataset: Path,
    settings: EvaluationSettings,
    policy: Policy,
    min_overlap: float,
) -> RefitRecord:
    """Compare a refitted model with the candidate of an evaluation.

    Args:
        folder: the refitted model.
        evaluations: the folder that `evaluate` wrote.
        features: the features on which that candidate was trained.
        dataset: the dataset on which it was evaluated.
        settings: of the evaluation.
        policy: the limits of latency and size, and the operations that are allowed.
        min_overlap: the least overlap of the top tens, from 0 to 1.

    Raises:
        ModelError: the refitted model fails a comparison; then nothing may be pushed.
        EvaluationError: the evaluation is not of these features and this dataset.
    """
    evaluation = read_evaluation(evaluations)
    evaluated = evaluation.model("candidate")
    exam = prepare_setup([], features, dataset, settings)
    people = exam.people
    if people.users["user_id"].tolist() != read_users(evaluations, evaluation)["user_id"].tolist():
        raise EvaluationError(
            f"{evaluations} is not about these features and this dataset", "run the pipeline again"
        )
    with ModelHost() as host, host.model(folder, policy.operations) as model:
        answers, scores = top_lists(
            model, people, exam.inputs, exam.item_ids, exam.shelf, evaluation.k
        )
    top = without_repeats(answers)
    evaluated_top: Int32s = np.load(evaluations / evaluated.label / "top.npy")
    with tempfile.TemporaryDirectory() as directory:
        # `inspect_models` repeats the requests of the evaluation in a fresh process, and compares
        # the answers with those written here.
        scratch = Path(directory)
        (scratch / LABEL).mkdir()
        shutil.copyfile(evaluations / "requests.parquet", scratch / "requests.parquet")
        write_answers(scratch / LABEL, top[exam.requests], scores[exam.requests], exam.item_ids)
        refitted = Contender(folder, LABEL, "candidate")
        inspection = inspect_models(scratch, [refitted], policy.operations)[LABEL]
    check_serving(inspection, evaluations, policy)
    before, after = evaluated_top[:, :COMPARED_RANKS], top[:, :COMPARED_RANKS]
    overlap = mean_overlap(before, after)
    print(f"top {COMPARED_RANKS} of the refitted model: {overlap:.3f} as evaluated", flush=True)
    check_lists(before, after, people.users[LISTENER_SLICE], overlap, min_overlap)
    return RefitRecord(
        refit_of=evaluated.digest,
        digest=folder_digest(folder),
        overlap=overlap,
        inspection=inspection,
    )


def mean_overlap(before: Int32s, after: Int32s) -> float:
    """The share of the items of `before` that are also in `after`, mean over non-empty lists.

    Args:
        before: int32[listeners, k], codes below 0 are no items; no item twice in a list.
        after: the same of the other model.

    Returns:
        From 0 to 1; 1 where `before` has no items at all.
    """
    # bool[listeners, k, k]: every item of one list against every item of the other.
    equal = before[:, :, None] == after[:, None, :]
    kept = (equal & (before >= 0)[:, :, None]).sum(axis=(1, 2))
    listed = (before >= 0).sum(axis=1)
    return float((kept[listed > 0] / listed[listed > 0]).mean()) if listed.any() else 1.0


def check_lists(
    before: Int32s, after: Int32s, kind: pd.Series, overlap: float, min_overlap: float
) -> None:
    """Refuse lists that have changed too much, or that are missing for a class of listeners.

    The mean overlap may hide a small class, so that each class is checked by itself.

    Args:
        before: int32[listeners, k], codes best first; EMPTY where nothing is listed.
        after: the same of the other model.
        kind: the class of each listener.
        overlap: of the two.
        min_overlap: the least that it may be.

    Raises:
        ModelError: with the number.
    """
    had_list, has_list = (before != EMPTY).any(axis=1), (after != EMPTY).any(axis=1)
    for name in sorted(set(kind[had_list])):
        if not has_list[had_list & (kind == name)].any():
            raise ModelError(
                f"refit: the model that was trained again lists nothing for any {name} listener, "
                "so it is not pushed",
                "set refit to false to ship what was evaluated",
            )
    if overlap < min_overlap:
        raise ModelError(
            f"refit: the top {COMPARED_RANKS} of the model that was trained again are "
            f"{overlap:.3f} those of the evaluated one, less than refit_overlap "
            f"({min_overlap:g}), so it is not pushed",
            "set refit to false to ship what was evaluated, or lower refit_overlap",
        )


def check_serving(inspection: Inspection, evaluations: Path, policy: Policy) -> None:
    """Refuse a model that fails in a fresh process, or is not shown to keep the policy's limits.

    Raises:
        ModelError: with the first rule that it does not pass.
    """
    evaluation = read_evaluation(evaluations)
    # The rules of the gate, applied to the candidate with the measurements of the refitted model.
    inspected = evaluation.model("candidate").model_copy(update={"inspection": inspection})
    for reason in fit_to_serve(Case(evaluations, evaluation, policy, inspected, ())):
        if reason.outcome != "pass":
            raise ModelError(
                f"refit: the model that was trained again is not fit to serve "
                f"({reason.sentence.removesuffix('.')}), so it is not pushed",
                "set refit to false to ship what was evaluated",
            )
