"""The descent: epochs until the held-out plays are ranked no better, and how to go on after a kill.

An epoch that does not rank them better by a standard error is undone, and the next one takes steps
of a quarter. So the rate follows from the data: it ends where its steps are small enough, and when
smaller ones do not help either, so does the training.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from setlist.arrays import Float32s, Float64s, Int32s
from setlist.errors import ModelError
from setlist.models.histories import Histories
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf
from setlist.models.training_record import CHECK_K, Epoch
from setlist.models.two_tower.examples import epoch, specification, tensors
from setlist.models.two_tower.holdout import Judgement, better
from setlist.models.two_tower.network import GAIN_LEARNING_FACTOR, TwoTower
from setlist.models.two_tower.optimizer import AveragedAdam

# With a patience of 3 the steps are tried at 1, 1/4 and 1/16 of the first rate.
RATE_FACTOR = 0.25
"""By which the learning rate falls after an epoch that made nothing better."""
LARGEST_WEIGHT = 1e15
"""The products of larger ones overflow."""
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


class Descent:
    """The state of a training between two epochs: all that a restart needs.

    Attributes:
        epochs: so far.
        best: the number of the epoch whose weights are kept; 0 for the start.
        start: float64[checked listeners], NDCG@100 of the held-out plays at the start.
        lifts: float64[checked listeners], by how much NDCG@100 is higher there than at the start.
        rates: the learning rates of the epochs that were not undone.
        rate: the learning rate of the next epoch.
    """

    def __init__(self, towers: TwoTower, settings: ModelSettings) -> None:
        self.towers = towers
        self.variables = towers.trainable_variables
        decay = {
            "item_embedding": np.minimum(ITEM_DECAY / (towers.plays + 1), MAX_ITEM_DECAY)[:, None]
        }
        self.adam = AveragedAdam(self.variables, decay)
        self.generator = np.random.default_rng(settings.seed)
        self.epochs: list[Epoch] = []
        self.best = 0
        self.best_weights = [variable.numpy() for variable in self.variables]
        self.start_weights = self.best_weights
        self.start = self.lifts = np.empty(0)
        self.rates: list[float] = []
        self.rate = settings.learning_rate

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """All of it: arrays and a JSON document."""
        arrays = {f"{place}": tensor.numpy() for place, tensor in enumerate(self._tensors())}
        arrays |= {f"best_{place}": tensor for place, tensor in enumerate(self.best_weights)}
        arrays |= {"start": self.start, "lifts": self.lifts}
        document = {
            "epochs": self.epochs,
            "best": self.best,
            "rates": self.rates,
            "rate": self.rate,
            "generator": self.generator.bit_generator.state,
        }
        return arrays, document

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], document: Mapping[str, Any]) -> None:
        """Go back to where `state` was taken."""
        for place, tensor in enumerate(self._tensors()):
            tensor.assign(arrays[f"{place}"])
        self.best_weights = [arrays[f"best_{place}"] for place in range(len(self.variables))]
        self.start, self.lifts = arrays["start"], arrays["lifts"]
        self.epochs = [Epoch(*values) for values in document["epochs"]]
        self.best = document["best"]
        self.rates, self.rate = document["rates"], document["rate"]
        self.generator.bit_generator.state = document["generator"]

    def _tensors(self) -> list[tf.Variable]:
        adam = self.adam
        return [*self.variables, *adam.moments, *adam.squares, *adam.averages, adam.step]

    def place(self, values: list[Float32s]) -> None:
        """Give the towers these weights."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def warm(self, heat: float) -> None:
        """Multiply the scores of the start by exp(heat)."""
        gain = self.towers.user_tower.length_weight
        gain.assign(gain + heat / GAIN_LEARNING_FACTOR)
        self.start_weights = self.best_weights = [variable.numpy() for variable in self.variables]
        self.adam.restart()

    def begin(self, values: Float64s) -> None:
        """Before the first epoch: float64[checked listeners], NDCG@100 at the start."""
        self.start, self.lifts = values, np.zeros_like(values)

    def add(self, epoch: Epoch, values: Float64s, averages: list[Float32s]) -> None:
        """Keep an epoch that is better than the best by a standard error, else undo it.

        A smaller lift may be chance. Without held-out plays all are kept.
        """
        self.epochs.append(epoch)
        lifts = values - self.start
        if not len(values) or better(lifts - self.lifts, errors=1.0):
            self.best, self.best_weights, self.lifts = epoch.number, averages, lifts
            self.rates.append(self.rate)
        else:
            self.restart(self.rate * RATE_FACTOR)

    def restart(self, rate: float) -> None:
        """Go on from the best weights, at another rate."""
        self.rate = rate
        self.place(self.best_weights)
        self.adam.restart()

    def finished(self, most: int, patience: int) -> bool:
        """Whether there were enough epochs, or so many that were undone."""
        number = len(self.epochs)
        return number >= most or number - len(self.rates) >= patience

    def end(self) -> None:
        """Keep the best weights, or the start where the best is not beyond an interval of 95%."""
        if len(self.lifts) and not better(self.lifts):
            self.best, self.best_weights, self.rates = 0, self.start_weights, []
        self.place(self.best_weights)


def descend(
    descent: Descent,
    learn: Histories,
    inputs: Int32s,
    settings: ModelSettings,
    plan: Sequence[float] | None,
    logs: Path | None,
    save: Callable[[], None],
    judge: Callable[[], Judgement] | None,
) -> None:
    """Train, and end with the best weights. Prints how far it is.

    Without a plan until `settings.patience` epochs have not raised the NDCG@100 of the held-out
    plays; the best epoch is the one with the highest, and the start unless the lift over it is
    beyond its interval.

    Args:
        descent: at its start, or restored.
        learn: the plays to learn from.
        inputs: int32[listeners, named inputs].
        settings: the patience, the batch, the length of a history.
        plan: the learning rate of each epoch, where it was found before.
        logs: a folder for the curves as TensorBoard logs.
        save: called between epochs.
        judge: what the held-out plays say of the towers as they are.

    Raises:
        ModelError: when the loss is not finite.
    """
    towers, generator = descent.towers, descent.generator
    everything = np.ones(len(towers.played), np.float32)
    spec = [specification(inputs.shape[1], len(everything)), tf.TensorSpec([], tf.float32)]

    # Only TFRS's task needs autograph, which costs a third of a second.
    @tf.function(input_signature=spec, autograph=not towers.full_softmax)
    def step(batch: dict[str, tf.Tensor], rate: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = towers.compute_loss(batch, training=True)
        descent.adam.apply(tape.gradient(loss, descent.variables), rate)
        return loss

    curves = Curves(logs, descent.epochs) if logs else None
    before = descent.epochs[-1].seconds if descent.epochs else 0.0
    began = shown_at = saved_at = time.monotonic()
    if not descent.epochs and judge:
        descent.begin(judge().ndcg)
    learners = int((learn.last_first() >= 0).sum())
    size = settings.batch or learners
    batches = -(-learners // size)
    most = settings.epochs if plan is None else len(plan)
    while not descent.finished(most, settings.patience if judge else most):
        if plan and plan[len(descent.epochs)] != descent.rate:
            descent.restart(plan[len(descent.epochs)])
        number, losses = len(descent.epochs) + 1, []
        for examples in epoch(learn, size, settings.history_length, generator):
            known = (generator.random(len(everything)) < SHARE_WITH_VECTOR).astype(np.float32)
            losses.append(step(tensors(examples, inputs, known), tf.constant(descent.rate)))
            if time.monotonic() - shown_at > SHOW_SECONDS:
                shown_at = time.monotonic()
                done = (number - 1) + len(losses) / batches
                line = progress(done, most, before + shown_at - began, float(losses[-1]))
                print(line, flush=True)
        loss = float(np.mean([tensor.numpy() for tensor in losses]))
        running = [tensor.numpy() for tensor in descent.variables]
        averaged = [variable.numpy() for variable in descent.adam.averages]
        held_out, values = None, np.empty(0)
        largest = max(float(np.abs(weight).max(initial=0)) for weight in averaged)
        if not (np.isfinite(loss) and largest < LARGEST_WEIGHT):
            raise ModelError(
                f"the loss of epoch {number} is {loss}, the largest weight {largest:.3g}",
                f"lower model.learning_rate (now {settings.learning_rate})",
            )
        if judge:
            descent.place(averaged)
            judgement = judge()
            held_out, values = judgement.loss, judgement.ndcg
            descent.place(running)
        seconds = round(before + time.monotonic() - began, 3)
        descent.add(Epoch(number, loss, held_out, mean(values), seconds), values, averaged)
        if curves:
            curves.add(descent.epochs[-1])
        shown_at = time.monotonic()
        print(progress(number, most, before + shown_at - began, loss, mean(values)), flush=True)
        if time.monotonic() - saved_at > SAVE_SECONDS:
            save()
            saved_at = time.monotonic()
    descent.end()


def mean(values: Float64s) -> float | None:
    """None for none."""
    return float(values.mean()) if len(values) else None


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


class Curves:
    """The losses of the epochs as TensorBoard logs."""

    def __init__(self, folder: Path, epochs: Iterable[Epoch]) -> None:
        """Begin with the epochs so far."""
        self._writer = tf.summary.create_file_writer(str(folder))
        for before in epochs:
            self.add(before)

    def add(self, after: Epoch) -> None:
        """One more epoch."""
        scalars = {"loss": after.loss, "held_out_loss": after.check, "held_out_ndcg": after.ndcg}
        with self._writer.as_default():
            for name, value in scalars.items():
                if value is not None:
                    tf.summary.write(name, value, after.number, SCALAR)
        self._writer.flush()
