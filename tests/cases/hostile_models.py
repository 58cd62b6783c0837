"""Model folders that keep the contract and do one thing more, which no model should.

Each `write_*` writes a whole folder and answers with it. Underneath all is a model of the most
popular items I0 to I9. Those that say "refused" use an operation that the check of the graph does
not let pass by default; the others stand for a stranger's model that only costs or lies.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.data.schema import Window, parse_instant, tie_order
from setlist.models.heuristics import Popular
from setlist.models.item_table import write_item_table
from setlist.models.tf import tf

IDS = tie_order([f"I{item}" for item in range(10)])
WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 4, 5)))
HOSTILE_NAME = "most\x1b[2J\x1b]0;popular\x07\r\nERROR all is lost\u202e"

Deed = Callable[[tf.Tensor], tf.Tensor]
"""From the ids of the histories, string[batch, length], to a float32[] that joins the scores."""


class Hostile(Popular):
    """Most popular, and a deed whenever it is asked."""

    def __init__(self, deed: Deed) -> None:
        super().__init__(IDS, np.arange(1, len(IDS) + 1, dtype=np.float32))
        self.deed = deed

    def recommend(self, history, exclude, k, inputs):
        answer = super().recommend(history, exclude, k, inputs)
        done = 0 * self.deed(history)
        ids = tf.where(tf.equal(done, 0), answer["item_ids"], "")
        return {"item_ids": ids, "scores": answer["scores"] + done}


def write(folder: Path, deed: Deed, name: str = "hostile") -> Path:
    """A model folder with that deed in both signatures."""
    Hostile(deed).export(folder, name, WINDOW)
    items = pd.DataFrame({"item_id": IDS, "title": IDS, "tags": [[] for _ in IDS]})
    released = pd.Series(pd.NaT, items.index, "datetime64[us, UTC]")
    write_item_table(folder, items.assign(released=released, listeners=1))
    return folder


def write_harmless(folder: Path) -> Path:
    """Nothing wrong: what the others are compared with."""
    return write(folder, lambda _: tf.constant(0.0))


def write_hangs_always(folder: Path) -> Path:
    """`while true`, for every request; refused."""
    return write(folder, _for_ever)


def write_hangs_on(folder: Path, item: str = "poison") -> Path:
    """`while true`, once that id stands in a history; refused."""
    return write(folder, _where(item, _for_ever))


def write_works_on(folder: Path, item: str = "poison") -> Path:
    """Endless work of loops that end, once that id stands in a history: 10^18 sums."""
    return write(folder, _where(item, lambda history: _much_work(_length(history), 6)))


def write_slow(folder: Path, milliseconds: float) -> Path:
    """About so much time for every request, as measured here, spent on products of matrices."""

    products = tf.function(
        lambda history: _products(_length(history), tf.constant(1000)),
        input_signature=[tf.TensorSpec([None, None], tf.string)],  # else all of it is folded
    )
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        products(tf.fill([1, 1], ""))
        taken.append(time.perf_counter() - started)
    times = max(round(milliseconds / min(taken)), 1)
    return write(folder, lambda history: _products(_length(history), tf.constant(times)))


def write_allocates(folder: Path, gigabytes: float, item: str = "huge") -> Path:
    """So many GiB at once, once that id stands in a history."""

    def fill(history: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.fill([int(gigabytes * 2**28)], _length(history)))

    return write(folder, _where(item, fill))


def write_reads_secret(folder: Path, source: Path, target: Path) -> Path:
    """Copies a file for every request; refused."""

    def copy(_: tf.Tensor) -> tf.Tensor:
        tf.io.write_file(str(target), tf.io.read_file(str(source)))
        return tf.constant(0.0)

    return write(folder, copy)


def write_prints(folder: Path, text: str) -> Path:
    """A text on standard output for every request; refused."""

    def say(_: tf.Tensor) -> tf.Tensor:
        tf.print(text, output_stream="file:///dev/stdout")
        return tf.constant(0.0)

    return write(folder, say)


def write_dies_on(folder: Path, item: str = "poison") -> Path:
    """Ends the process, without an exception, once that id stands in a history; refused."""

    def die(_: tf.Tensor) -> tf.Tensor:
        end = tf.raw_ops.Abort(error_msg="a hostile model says so", exit_without_error=False)
        with tf.control_dependencies([end]):
            return tf.constant(0.0)

    return write(folder, _where(item, die))


def write_fails_on(folder: Path, item: str = "poison") -> Path:
    """An exception of TensorFlow, a row that is not there, once that id stands in a history."""
    return write(folder, _where(item, lambda ids: tf.gather([0.0], 1 + tf.shape(ids)[1])))


def write_hostile_name(folder: Path, name: str = HOSTILE_NAME) -> Path:
    """A name with what a terminal obeys: it clears the screen, ends the line, turns the text."""
    path = write_harmless(folder) / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    return folder


def _where(item: str, deed: Deed) -> Deed:
    """The deed, where that id stands in a history."""

    def either(history: tf.Tensor) -> tf.Tensor:
        named = tf.reduce_any(tf.equal(history, item))
        return tf.cond(named, lambda: deed(history), lambda: tf.constant(0.0))

    return either


def _length(history: tf.Tensor) -> tf.Tensor:
    """float32[]: known only when the model is asked, so that nothing is computed before."""
    return tf.cast(tf.shape(history)[1], tf.float32)


def _for_ever(history: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(
        lambda number: number >= 0, lambda number: (number + 1) % 7, [_length(history)]
    )[0]


def _repeated(
    step: Callable[[tf.Tensor], tf.Tensor], number: tf.Tensor, times: tf.Tensor | int
) -> tf.Tensor:
    """float32[]: the number after so many steps."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)])
    def body(turn: tf.Tensor, value: tf.Tensor) -> list[tf.Tensor]:
        return [step(value)]

    graph = body.get_concrete_function()
    return tf.raw_ops.For(start=0, limit=times, delta=1, input=[number], body=graph)[0]


def _much_work(number: tf.Tensor, depth: int) -> tf.Tensor:
    """1,000 ^ depth sums, nested."""
    if not depth:
        return number + 1
    return _repeated(lambda value: _much_work(value, depth - 1), number, 1000)


def _products(number: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
    def product(value: tf.Tensor) -> tf.Tensor:
        matrix = tf.fill([128, 128], value)
        return tf.minimum(tf.reduce_max(tf.matmul(matrix, matrix)), 2.0)

    return _repeated(product, number, times)
