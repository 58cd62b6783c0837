"""The descent: epochs until the held-out plays are ranked no better.

An epoch that does not rank them better by a standard error is undone, and the next one takes steps
of a quarter. So the rate follows from the data: it ends where its steps are small enough, and when
smaller ones do not help either, so does the training.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from setlist.arrays import Float64s, Int32s
from setlist.errors import ModelError
from setlist.models.histories import Histories
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf
from setlist.models.training_record import CHECK_K, Epoch
from setlist.models.two_tower.examples import dataset
from setlist.models.two_tower.holdout import Judgement, better
from setlist.models.two_tower.network import GAIN_LEARNING_FACTOR, TwoTower

# With a patience of 3 the steps are tried at 1, 1/4 and 1/16 of the first rate.
RATE_FACTOR = 0.25
"""By which the learning rate falls after an epoch that made nothing better."""
LARGEST_WEIGHT = 1e15
"""The products of larger ones overflow."""
FIRST_SQUARE = 1e-8
"""Of a gradient's coordinate, with which the sums of Adagrad begin."""
# A screen that stands still for longer looks stuck.
SHOW_SECONDS = 2.0
"""Between two lines within an epoch."""


class Descent(tf.keras.callbacks.Callback):
    """The course of a training: keeps epochs, undoes them, ends it. Prints how far it is.

    Attributes:
        epochs: so far.
        best: the number of the epoch whose weights are kept; 0 for the start.
        start: float64[checked listeners], NDCG@100 of the held-out plays at the start.
        lifts: float64[checked listeners], by how much NDCG@100 is higher there than at the start.
        rates: the learning rates of the epochs that were not undone.
        rate: the learning rate of the next epoch.
    """

    def __init__(self, towers: TwoTower, settings: ModelSettings) -> None:
        super().__init__()
        self.towers = towers
        self.settings = settings
        self.epochs: list[Epoch] = []
        self.best = 0
        self.best_weights = self.start_weights = towers.values()
        self.start = self.lifts = np.empty(0)
        self.rates: list[float] = []
        self.rate = settings.learning_rate
        towers.compile(tf.keras.optimizers.Adagrad(self.rate, FIRST_SQUARE))

    @property
    def document(self) -> dict[str, Any]:
        """All that a restart needs beside the weights, for JSON."""
        return {
            "epochs": self.epochs,
            "best": self.best,
            "rates": self.rates,
            "rate": self.rate,
            "start": self.start.tolist(),
            "lifts": self.lifts.tolist(),
        }

    def restore(self, document: dict[str, Any]) -> None:
        """Go back to where `document` was taken; the towers have their weights again."""
        self.epochs = [Epoch(*values) for values in document["epochs"]]
        self.best = document["best"]
        self.rates, self.rate = document["rates"], document["rate"]
        self.start, self.lifts = np.array(document["start"]), np.array(document["lifts"])
        self.best_weights = self.towers.values()

    def warm(self, heat: float) -> None:
        """Multiply the scores of the start by exp(heat)."""
        gain = self.towers.user_tower.length_weight
        gain.assign(gain + heat / GAIN_LEARNING_FACTOR)
        self.best_weights = self.start_weights = self.towers.values()

    def fit(
        self,
        learn: Histories,
        inputs: Int32s,
        plan: Sequence[float] | None,
        judge: Callable[[], Judgement] | None,
        save: Callable[[], None],
        logs: Path | None,
    ) -> None:
        """Train, and end with the best weights.

        Without a plan until `settings.patience` epochs have not raised the NDCG@100 of the held-out
        plays; the best epoch is the one with the highest, and the start unless the lift over it is
        beyond its interval.

        Args:
            learn: the plays to learn from.
            inputs: int32[listeners, named inputs].
            plan: the learning rate of each epoch, where it was found before.
            judge: what the held-out plays say of the towers as they are.
            save: called between epochs.
            logs: a folder for the curves as TensorBoard logs.

        Raises:
            ModelError: when the loss is not finite.
        """
        self.plan, self.judge, self.save = plan, judge, save
        self.most = self.settings.epochs if plan is None else len(plan)
        self.before = self.epochs[-1].seconds if self.epochs else 0.0
        self.began = self.shown_at = time.monotonic()
        if not judge:
            self.best_weights = self.start_weights = {}  # no epoch is undone
        elif not self.epochs:
            self.start = judge().ndcg
            self.lifts = np.zeros_like(self.start)
        listeners = min(int((learn.last_first() >= 0).sum()), self.settings.epoch_listeners)
        batch = self.settings.batch or listeners
        self.steps = -(-listeners // batch)
        curves = [tf.keras.callbacks.TensorBoard(logs, write_graph=False)] if logs else []
        if not self.finished():
            self.towers.fit(
                dataset(learn, inputs, batch, self.settings, len(self.epochs)),
                epochs=self.most,
                initial_epoch=len(self.epochs),
                steps_per_epoch=self.steps,
                callbacks=[self, *curves],
                verbose=0,
            )
        if len(self.lifts) and not better(self.lifts):
            self.best, self.best_weights, self.rates = 0, self.start_weights, []
        if judge:
            self.towers.place(self.best_weights)
        self.best_weights = self.start_weights = {}  # the towers hold them

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Begin at the best weights, with fresh sums of squares."""
        optimizer = self.towers.optimizer
        if self.plan:
            self.rate = self.plan[epoch]
        optimizer.learning_rate = self.rate
        for variable in optimizer.variables:
            if "accumulator" in variable.name:
                variable.assign(tf.fill(variable.shape, FIRST_SQUARE))

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Show how far it is."""
        if time.monotonic() - self.shown_at > SHOW_SECONDS:
            self._show(len(self.epochs) + (batch + 1) / self.steps, logs["mean_loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Keep it where it is better than the best by a standard error, else undo it.

        A smaller lift may be chance. Without held-out plays all are kept.
        """
        number, loss = epoch + 1, float(logs["mean_loss"])
        largest = max(float(tf.norm(weight, np.inf)) for weight in self.towers.learnt)
        if not (np.isfinite(loss) and largest < LARGEST_WEIGHT):
            raise ModelError(
                f"the loss of epoch {number} is {loss}, the largest weight {largest:.3g}",
                f"lower model.learning_rate (now {self.settings.learning_rate})",
            )
        judgement = self.judge() if self.judge else None
        ndcg = judgement.ndcg if judgement else np.empty(0)
        seconds = round(self.before + time.monotonic() - self.began, 3)
        if judgement:  # for the callbacks that come after this one
            logs |= {"held_out_loss": judgement.loss, "held_out_ndcg": float(ndcg.mean())}
        after = Epoch(number, loss, logs.get("held_out_loss"), logs.get("held_out_ndcg"), seconds)
        self.epochs.append(after)
        lifts = ndcg - self.start
        if not judgement or better(lifts - self.lifts, errors=1.0):
            self.best, self.lifts = number, lifts
            self.rates.append(self.rate)
            self.best_weights = self.towers.values() if judgement else {}
        else:
            self.rate *= RATE_FACTOR
            self.towers.place(self.best_weights)
        self._show(number, loss, after.ndcg)
        self.towers.stop_training = self.finished()
        self.save()

    def finished(self) -> bool:
        """Whether there were enough epochs, or so many that were undone."""
        number = len(self.epochs)
        undone = number - len(self.rates)
        return number >= self.most or bool(self.judge and undone >= self.settings.patience)

    def _show(self, done: float, loss: float, ndcg: float | None = None) -> None:
        self.shown_at = time.monotonic()
        line = progress(done, self.most, self.before + self.shown_at - self.began, loss, ndcg)
        print(line, flush=True)


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
