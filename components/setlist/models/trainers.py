"""Training a candidate with the trainer that the settings name.

A trainer that is not ours is a function of an installed package, declared as an entry point of
the group `setlist.models` (see `setlist.plugins`):

    def train(
        features: Features,         # what to learn from
        settings: ModelSettings,    # the `model` section; the trainer's own are in settings.options
        output: Path,               # the model folder to write, e.g. by `Recommender.export`
        record: Path,               # a folder for curves: TensorBoard logs in tensorboard/LABEL
        label: str,                 # the candidate's name
        *,
        live: Path | None,          # a model folder to start from, where the settings ask for it
    ) -> TrainingRecord:            # what the report shows, and by what candidates are compared

A model that is fitted at once has a single epoch, and no `ndcg` where nobody is held out. The
record of the training, the item table and the profile are written here, for every trainer.
"""

from pathlib import Path

from setlist.data.features import Features
from setlist.errors import ModelError, SetlistError
from setlist.models.contract import read_catalogue, read_info
from setlist.models.item_table import write_item_table
from setlist.models.profile import write_profile
from setlist.models.settings import TWO_TOWER, ModelSettings
from setlist.models.training_record import Recipe, TrainingRecord
from setlist.models.two_tower.stages import Checkpoint
from setlist.models.two_tower.train import train
from setlist.plugins import TRAINERS


def train_candidate(
    features: Features,
    settings: ModelSettings,
    output: Path,
    record: Path,
    label: str,
    *,
    live: Path | None = None,
    checkpoint: Checkpoint | None = None,
    recipe: Recipe | None = None,
) -> TrainingRecord:
    """Train with `settings.trainer`; see `setlist.models.two_tower.train.train` for the arguments.

    Only the two-tower keeps a checkpoint; another trainer starts anew after a restart.

    Raises:
        ModelError: when the trainer fails, or leaves no model folder or no record.
        SettingsError: when no installed package declares the trainer.
    """
    if settings.trainer == TWO_TOWER:
        return train(
            features,
            settings,
            output,
            record,
            label,
            live=live,
            checkpoint=checkpoint,
            recipe=recipe,
        )
    trainer = TRAINERS.load(settings.trainer)
    try:
        training = trainer(features, settings, output, record, label, live=live)
    except SetlistError:
        raise
    except Exception as fault:
        raise ModelError(
            f"trainer {settings.trainer} failed ({type(fault).__name__}: {fault})",
            "correct its package or its options",
        ) from fault
    _check(training, settings.trainer, label)
    read_info(output)
    catalogue, items = read_catalogue(output), features.items.set_index("item_id", drop=False)
    if items.index.isin(catalogue).sum() == len(catalogue):
        write_item_table(output, items.loc[catalogue])
    write_profile(output, features)
    training = training.model_copy(update={"share": features.share})
    training.write(record)
    return training


def _check(training: object, trainer: str, label: str) -> None:
    if not isinstance(training, TrainingRecord) or training.label != label:
        raise ModelError(
            f"trainer {trainer} returned no TrainingRecord of {label}", "correct its package"
        )
    if not 1 <= training.best <= len(training.epochs):
        # The report draws the epochs and marks the best of them.
        raise ModelError(
            f"trainer {trainer} returned {len(training.epochs)} epochs, the best of them number "
            f"{training.best}",
            "describe a model that is fitted at once as a single epoch",
        )
