"""The descent: epochs until the held-out plays get no likelier, and how to go on after a kill."""

import time
from pathlib import Path
from typing import Protocol

import numpy as np

from setlist.arrays import Float32s, Int32s
from setlist.errors import ModelError
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf
from setlist.models.training_record import CHECK_K, Epoch
from setlist.models.two_tower.examples import HeldOut, epoch, specification, tensors
from setlist.models.two_tower.holdout import likelihood_and_ndcg
from setlist.models.two_tower.network import TwoTower
from setlist.models.two_tower.optimizer import AveragedAdam
from setlist.models.two_tower.saved_towers import pack, unpack

# Without a holdout no loss can say when to stop, so the number is fixed.
EPOCHS_WITHOUT_HOLDOUT = 10
"""Epochs where nobody can be held out."""
# Chosen on MovieLens-1M and the bundled sample.
SHARE_WITH_VECTOR = 0.9
"""In each batch so many of the items have their own embedding; the others learn to be placed by
their tags, as an item without plays will be."""
# Chosen on MovieLens-1M and the bundled sample.
ITEM_DECAY, MAX_ITEM_DECAY = 100.0, 30.0
"""What an item has of its own is pulled towards what its tags say, the more the fewer plays it has:
its decay is ITEM_DECAY over their number."""
SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
)
"""Says to TensorBoard what `tf.summary.scalar` says, which needs TensorBoard to be installed."""
# A screen that stands still for longer looks stuck.
SHOW_SECONDS, SAVE_SECONDS = 2.0, 5.0
"""Between two lines within an epoch, and between two checkpoints."""


class Checkpoint(Protocol):
    """Where the state of one training is kept, so that a killed one can be taken up again."""

    def read(self) -> bytes | None:
        """What was written last, or None."""

    def write(self, content: bytes) -> None:
        """Keep the state, whole or not at all."""

    def clear(self) -> None:
        """Forget it."""


class Descent:
    """The state of a training between two epochs: all that a restart needs.

    Attributes:
        epochs: so far.
        best: the number of the one whose weights are kept.
    """

    def __init__(
        self, towers: TwoTower, learning_rate: float, generator: np.random.Generator
    ) -> None:
        self.variables = towers.trainable_variables
        decay = {
            "item_embedding": np.minimum(ITEM_DECAY / (towers.plays + 1), MAX_ITEM_DECAY)[:, None]
        }
        self.adam = AveragedAdam(self.variables, learning_rate, decay)
        self.generator = generator
        self.epochs: list[Epoch] = []
        self.best = 0
        self.best_weights = [variable.numpy() for variable in self.variables]

    @property
    def lowest(self) -> float:
        """The lowest held-out loss so far."""
        return min(
            (epoch.check for epoch in self.epochs if epoch.check is not None), default=np.inf
        )

    def state(self) -> bytes:
        """All of it."""
        tensors = {f"{place}": tensor.numpy() for place, tensor in enumerate(self._tensors())}
        best = {f"best_{place}": tensor for place, tensor in enumerate(self.best_weights)}
        document = {
            "epochs": self.epochs,
            "best": self.best,
            "generator": self.generator.bit_generator.state,
        }
        return pack(tensors | best, document)

    def restore(self, content: bytes) -> None:
        """Go back to where `state` was taken."""
        arrays, document = unpack(content, "the checkpoint of this training")
        for place, tensor in enumerate(self._tensors()):
            tensor.assign(arrays[f"{place}"])
        self.best_weights = [arrays[f"best_{place}"] for place in range(len(self.variables))]
        self.epochs = [Epoch(*values) for values in document["epochs"]]
        self.best = document["best"]
        self.generator.bit_generator.state = document["generator"]

    def _tensors(self) -> list[tf.Variable]:
        adam = self.adam
        return [*self.variables, *adam.moments, *adam.squares, *adam.averages, adam.step]

    def place(self, values: list[Float32s]) -> None:
        """Give the towers these weights."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


def descend(
    towers: TwoTower,
    held: HeldOut,
    inputs: Int32s,
    settings: ModelSettings,
    batch: int,
    generator: np.random.Generator,
    logs: Path,
    checkpoint: Checkpoint | None,
) -> Descent:
    """Train until the held-out plays get no likelier; the towers end with the best weights.

    Prints how far it is.

    Args:
        towers: as they start.
        held: what is learnt from, and what is held out.
        inputs: int32[listeners, named inputs].
        settings: the rate, the epochs, the patience.
        batch: examples a step.
        generator: of the order and the cuts.
        logs: a folder for the curves as TensorBoard logs.
        checkpoint: read before the first epoch, written between epochs.

    Raises:
        ModelError: when the loss is not finite.
    """
    everything = np.ones(len(towers.played), np.float32)
    spec = [specification(inputs.shape[1], len(everything))]
    descent = Descent(towers, settings.learning_rate, generator)

    # Only TFRS's task needs autograph, which costs a third of a second.
    @tf.function(input_signature=spec, autograph=not towers.full_softmax)
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = towers.compute_loss(batch, training=True)
        descent.adam.apply(tape.gradient(loss, descent.variables))
        return loss

    saved = checkpoint.read() if checkpoint else None
    if saved:
        descent.restore(saved)
        print(f"taken up again after epoch {len(descent.epochs)}", flush=True)
    writer = tf.summary.create_file_writer(str(logs))
    curves(writer, descent.epochs)
    before = descent.epochs[-1].seconds if descent.epochs else 0.0
    began = shown_at = saved_at = time.monotonic()
    learners = int((held.learn.last_first() >= 0).sum())
    batches = -(-learners // batch)
    most = settings.epochs if held.check else min(settings.epochs, EPOCHS_WITHOUT_HOLDOUT)
    no_prior = np.zeros(len(everything), np.float32)

    while not finished(descent, most, settings.patience):
        number, losses = len(descent.epochs) + 1, []
        for examples in epoch(held.learn, batch, settings.history_length, generator):
            known = (generator.random(len(everything)) < SHARE_WITH_VECTOR).astype(np.float32)
            losses.append(step(tensors(examples, inputs, known)))
            if time.monotonic() - shown_at > SHOW_SECONDS:
                shown_at = time.monotonic()
                done = (number - 1) + len(losses) / batches
                print(
                    progress(done, most, before + shown_at - began, float(losses[-1])), flush=True
                )
        loss = float(np.mean([tensor.numpy() for tensor in losses]))
        running = [tensor.numpy() for tensor in descent.variables]
        averaged = [variable.numpy() for variable in descent.adam.averages]
        descent.place(averaged)
        check, ndcg = likelihood_and_ndcg(towers, held, inputs, no_prior)
        descent.place(running)
        if not np.isfinite([loss, loss if check is None else check]).all():
            raise ModelError(
                f"the loss of epoch {number} is {loss}, of the held-out plays {check}",
                f"lower model.learning_rate (now {settings.learning_rate})",
            )
        if check is None or check < descent.lowest:
            descent.best, descent.best_weights = number, averaged
        seconds = round(before + time.monotonic() - began, 3)
        descent.epochs.append(Epoch(number, loss, check, ndcg, seconds))
        curves(writer, descent.epochs[-1:])
        shown_at = time.monotonic()
        print(progress(number, most, before + shown_at - began, loss, ndcg), flush=True)
        if checkpoint and time.monotonic() - saved_at > SAVE_SECONDS:
            checkpoint.write(descent.state())
            saved_at = time.monotonic()
    descent.place(descent.best_weights)
    return descent


def finished(descent: Descent, most: int, patience: int) -> bool:
    """Whether there were enough epochs, or the last ones made nothing likelier."""
    number = len(descent.epochs)
    return number >= most or (descent.best > 0 and number - descent.best >= patience)


def progress(done: float, most: int, seconds: float, loss: float, ndcg: float | None = None) -> str:
    """A line that says how far training is; it begins with a percentage.

    Args:
        done: epochs.
        most: epochs.
        seconds: since training began.
        loss: the latest.
        ndcg: of the held-out plays, after a whole epoch.
    """
    left = (most - done) * seconds / max(done, 1e-9)
    held_out = "" if ndcg is None else f", held-out NDCG@{CHECK_K} {ndcg:.4f}"
    return (
        f"{done / most:3.0%} epoch {int(np.ceil(done))} of at most {most}, loss {loss:.4f}"
        f"{held_out}, {seconds:.0f} s, at most {left:.0f} s left"
    )


def curves(writer: tf.summary.SummaryWriter, epochs: list[Epoch]) -> None:
    """Write the losses of some epochs as TensorBoard logs."""
    with writer.as_default():
        for epoch in epochs:
            tf.summary.write("loss", epoch.loss, epoch.number, SCALAR)
            if epoch.check is not None:
                tf.summary.write("held_out_loss", epoch.check, epoch.number, SCALAR)
                tf.summary.write("held_out_ndcg", epoch.ndcg, epoch.number, SCALAR)
    writer.flush()
