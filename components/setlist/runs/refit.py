"""The refit: the winner trained again on all days, shipped in place of the evaluated model.

`refit: true` in the settings asks for it. Whether the refitted model is fit to ship is decided in
`setlist.runs.refit_check`; the record of both is `setlist.runs.refit_record`.
"""

from pathlib import Path

from setlist.data.features import Features
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import EvaluationSettings
from setlist.evaluation.verdict import Verdict
from setlist.models.selection import chosen
from setlist.runs.checkpoints import StoredCheckpoint
from setlist.runs.refit_record import RefitRecord


def refit(
    whole: Path,
    features: Path,
    dataset: Path,
    evaluations: Path,
    training: Path,
    verdict: Verdict,
    evaluation: EvaluationSettings,
    policy: Policy,
    min_overlap: float,
    store: str,
    live: Path | None,
    output: Path,
) -> RefitRecord:
    """Train the winner again on the whole window, and compare it with the evaluated model.

    Args:
        whole: the features of all days, to train on.
        features: the features on which the winner was trained.
        dataset: the dataset on which the winner was evaluated.
        evaluations: the folder that `evaluate` wrote.
        training: the records of the candidates' trainings.
        verdict: where it ships a heuristic, nothing is trained: the heuristic ships as evaluated.
        evaluation: the settings of the evaluation.
        policy: its limits of latency and size hold for the refitted model, too.
        min_overlap: the least overlap of the top tens, from 0 to 1.
        store: for the checkpoint of the training.
        live: the model to start from, as the winner did; None for a cold start.
        output: the folder for the model and the record.

    Raises:
        SetlistError: the refitted model is not fit to ship in place of the evaluated model.
    """
    if verdict.ships != "candidate":
        print(f"the verdict ships {verdict.ships}, as it was evaluated", flush=True)
        record = RefitRecord()
    else:
        # Imported here: both load TensorFlow, which readers of the record do without.
        from setlist.models.trainers import train_candidate
        from setlist.runs.refit_check import check_refit

        winner = chosen(training)
        train_candidate(
            Features.sample(whole, winner.settings.most_plays),
            winner.settings,
            output / "model",
            output / "training",
            winner.label,
            live=live,
            checkpoint=StoredCheckpoint.of(
                store, whole, winner.settings, winner.label, live, winner.recipe
            ),
            recipe=winner.recipe,
        )
        record = check_refit(
            output / "model",
            evaluations,
            Features.read(features),
            dataset,
            evaluation,
            policy,
            min_overlap,
        )
    record.write(output)
    return record
