"""The winner once more, on all days: what `refit: true` pushes in place of what was evaluated."""

from pathlib import Path

from setlist.data.features import Features
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import EvaluationSettings
from setlist.evaluation.verdict import Verdict
from setlist.models.selection import chosen
from setlist.runs.checkpoints import StoredCheckpoint
from setlist.runs.refit_record import Refit


def refit(
    whole: Path,
    features: Path,
    dataset: Path,
    evaluations: Path,
    training: Path,
    verdict: Verdict,
    evaluation: EvaluationSettings,
    policy: Policy,
    floor: float,
    store: str,
    live: Path | None,
    output: Path,
) -> Refit:
    """Train the winner again on the whole window, and hold it against what was evaluated.

    Args:
        whole: the features of all days, to train on.
        features: what the winner was trained on.
        dataset: what it was evaluated on.
        evaluations: what came of it.
        training: the trainings of the candidates.
        verdict: where it ships a heuristic, nothing is trained: that ships as evaluated.
        evaluation: the settings of the evaluation.
        policy: whose limits of latency and size hold for the new model, too.
        floor: the least overlap of the top tens, from 0 to 1.
        store: for the checkpoint.
        live: the model to start from, as the winner did; None for a cold start.
        output: the folder for the model and the record; see `setlist.runs.refit_record`.

    Raises:
        SetlistError: when the new model is not fit to ship in place of the evaluated one.
    """
    if verdict.ships != "candidate":
        print(f"the verdict ships {verdict.ships}, as it was evaluated", flush=True)
        done = Refit()
    else:
        from setlist.models.two_tower.train import train
        from setlist.runs.refit_check import check_refit

        winner = chosen(training)
        train(
            Features.read(whole),
            winner.settings,
            output / "model",
            output / "training",
            winner.label,
            live=live,
            checkpoint=StoredCheckpoint.of(store, whole, winner.settings, winner.label, live),
        )
        done = check_refit(
            output / "model",
            evaluations,
            Features.read(features),
            dataset,
            evaluation,
            policy,
            floor,
        )
    done.write(output)
    return done
