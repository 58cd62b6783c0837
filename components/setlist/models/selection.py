"""Several candidates in one run: what each is trained with, and which of them meets the gate.

Chosen by NDCG@100 of the held-out plays: these lie before the cut, so that the test period stays
untouched until the one winner is evaluated on it. Reading and choosing needs no TensorFlow.
"""

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from setlist.errors import SettingsError
from setlist.models.settings import ModelSettings
from setlist.models.training_record import CHECK_K, CHOSEN, TrainingRecord, read_training_records

ALONE = "two-tower"
"""The name of the candidate where the settings name none."""

Changes = Mapping[str, ModelSettings]
"""What each candidate changes of the `model` section: the settings that were set, and no others."""


def settings_of(model: ModelSettings, candidates: Changes, label: str) -> ModelSettings:
    """What a candidate is trained with: the `model` section with its own changes.

    Args:
        model: the section.
        candidates: by name; empty for the one candidate `ALONE`, which changes nothing.
        label: whose.

    Raises:
        SettingsError: when no candidate has that name.
    """
    if label not in (candidates or (ALONE,)):
        have = ", ".join(candidates or (ALONE,))
        raise SettingsError(
            f"candidates: {label} is none of this run's ({have})",
            "compile the pipeline with the settings that it is run with",
        )
    changes = candidates[label].model_dump(exclude_unset=True) if candidates else {}
    return ModelSettings.model_validate(model.model_dump() | changes)


def candidate_settings(
    model: Mapping[str, Any], candidates: Mapping[str, Mapping[str, Any]], label: str
) -> ModelSettings:
    """`settings_of` for sections as a pipeline hands them on."""
    changes = {name: ModelSettings.model_validate(section) for name, section in candidates.items()}
    return settings_of(ModelSettings.model_validate(model), changes, label)


def check_compiled(candidates: Iterable[str], compiled: Sequence[str]) -> None:
    """Refuse a run that names other candidates than its graph has tasks for.

    Raises:
        SettingsError: with both lists of names.
    """
    named = list(candidates) or [ALONE]
    if sorted(named) != sorted(compiled):
        raise SettingsError(
            f"candidates: this run names {', '.join(named)}, but the pipeline was compiled for "
            f"{', '.join(compiled)}",
            "compile it with the settings that it is run with",
        )


def winner(trainings: Sequence[TrainingRecord]) -> TrainingRecord:
    """The one with the best held-out plays; of equals the first.

    Raises:
        SettingsError: when one of several cannot be compared.
    """
    if len(trainings) > 1:
        for training in trainings:
            if training.ndcg is None or not math.isfinite(training.ndcg):
                raise SettingsError(
                    f"candidates: {training.label} has no NDCG@{CHECK_K} of held-out plays, so "
                    f"that {', '.join(other.label for other in trainings)} cannot be compared",
                    "widen window.train_days, or name one candidate only",
                )
        if len({training.warm for training in trainings}) > 1:
            cold = next(training.label for training in trainings if not training.warm)
            raise SettingsError(
                f"candidates: {cold} could not start from the live model as others did, which are "
                "tried on other held-out plays, so that they cannot be compared",
                "give all of them the live model's dimension, or set warm_start to false",
            )
        if len({training.listeners for training in trainings}) > 1:
            raise SettingsError(
                "candidates: the held-out plays are of "
                + " and ".join(
                    f"{training.listeners:,} ({training.label})" for training in trainings
                )
                + " listeners, so that they cannot be compared; train them on the same features."
            )
    return max(trainings, key=lambda training: training.ndcg or 0.0)


def chosen(folder: Path) -> TrainingRecord:
    """The training of the chosen model: the only one in the folder, or the one that was named.

    Raises:
        SettingsError: when there are several and none, or another one, is named.
    """
    trainings = {training.label: training for training in read_training_records(folder)}
    named = folder / CHOSEN
    if named.is_file():
        label = json.loads(named.read_text("utf-8")).get("chosen")
    else:
        label = next(iter(trainings)) if len(trainings) == 1 else None
    if label not in trainings:
        raise SettingsError(f"{folder} does not say which candidate was chosen", "choose again")
    return trainings[label]


def choose(
    first: Path,
    first_training: Path,
    second: Path,
    second_training: Path,
    better: Path,
    training: Path,
) -> TrainingRecord:
    """Keep the better of two models, and the trainings of all that were compared so far.

    Args:
        first: a model folder.
        first_training: what its training left, or an earlier choice.
        second: the other model folder.
        second_training: what its training left.
        better: the folder for the chosen model, byte by byte.
        training: the folder for the trainings of both, and `chosen.json`.

    Returns:
        The training of the chosen one.

    Raises:
        SettingsError: when they cannot be compared, or two candidates have one name.
    """
    first_choice, second_choice = chosen(first_training), chosen(second_training)
    both = [path.name for path in (*first_training.glob("*.json"), *second_training.glob("*.json"))]
    if len(both) > len(set(both)):
        raise SettingsError(
            f"candidates: {first_training} and {second_training} hold a candidate of the same name",
            "give each a name of its own",
        )
    best = winner([first_choice, second_choice])
    shutil.copytree(second if best is second_choice else first, better, dirs_exist_ok=True)
    for folder in (first_training, second_training):
        shutil.copytree(folder, training, dirs_exist_ok=True)
    (training / CHOSEN).write_text(json.dumps({"chosen": best.label}) + "\n", "utf-8")
    for choice in (first_choice, second_choice):
        print(f"{choice.label}: NDCG@{CHECK_K} {choice.ndcg:.4f}", flush=True)
    print(f"{best.label} is chosen", flush=True)
    return best


def differences(trainings: Sequence[TrainingRecord]) -> dict[str, str]:
    """The settings in which the trainings differ, by label, e.g. "dimension 128"."""
    settings = {training.label: training.settings.model_dump() for training in trainings}
    keys = [
        key
        for key in ModelSettings.model_fields
        if len({str(s[key]) for s in settings.values()}) > 1
    ]
    return {
        label: ", ".join(f"{key} {_written(changes[key])}" for key in keys)
        for label, changes in settings.items()
    }


def _written(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
