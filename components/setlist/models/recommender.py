"""The graph that every model of ours shares: lookups, exclusion, tie order, top k, export.

A model is a subclass with one method, `score`. All else that the contract asks for happens here,
inside the SavedModel, so a heuristic and a learned model cannot differ in it.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from setlist.arrays import Float32s, Int32s, Strings
from setlist.data.schema import HISTORY_AGE, Window, tie_order
from setlist.models.blocks import in_blocks
from setlist.models.contract import ModelInfo, write_info
from setlist.models.tf import tf

SERVING_K = 100
BLOCK_SCORES = 2**24
"""Scores in memory at a time: 64 MiB. With a million items they are those of 16 listeners, which
still keep the threads of a matrix product busy."""
USUAL_BATCH = 1_000
"""A catalogue of which so many listeners fit into a block is scored at once, whatever the batch:
a loop in the graph would cost a tenth of a request."""


class Recommender(tf.Module):
    """A catalogue in tie order and a score for each of its items.

    Subclasses implement `score` and set `kind` and, where items without evidence still get a
    finite score, `fallback`; and `approximation` where `best` is overridden by something inexact.
    """

    kind = "heuristic"
    fallback = ""
    approximation = ""

    def __init__(
        self, catalogue: Sequence[str], *, history_length: int = 100, inputs: Sequence[str] = ()
    ) -> None:
        """Keep the catalogue and build its lookup.

        Args:
            catalogue: the ids that can be recommended, in tie order; the position is the code.
            history_length: how many of the latest plays are read.
            inputs: the named inputs that `score` reads.
        """
        super().__init__()
        if list(catalogue) != tie_order(catalogue):
            raise ValueError("the catalogue has to be in tie order")
        # An array: of a list TensorFlow looks at each element, to see whether it holds a variable.
        self.catalogue = np.array(catalogue, dtype=object)
        self.history_length = history_length
        self.inputs = tuple(inputs)
        self._item_ids = frozen(self.catalogue)
        self._codes = tf.lookup.StaticHashTable(Positions(self._item_ids), default_value=-1)

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Scores of the whole catalogue.

        Args:
            history: int32[batch, length], codes oldest first; -1 is padding or an unknown id.
            inputs: the named inputs, string[batch]; the age of plays, float32[batch, length].

        Returns:
            float32[batch, catalogue] (or [1, catalogue] where it is the same for everybody);
            -inf for an item without evidence.
        """
        raise NotImplementedError

    def recommend(
        self, history: tf.Tensor, exclude: tf.Tensor, k: tf.Tensor, inputs: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """The contract's signature, in the graph; see `setlist.models.contract`."""
        history, inputs = self.latest(self._codes.lookup(history), inputs)
        exclude = self._codes.lookup(exclude)
        width = tf.clip_by_value(k, 0, len(self.catalogue))
        if len(self.catalogue) <= BLOCK_SCORES // USUAL_BATCH:
            places, scores = self.best(history, exclude, width, inputs)
        else:
            places, scores = in_blocks(
                lambda rows: self.best(
                    tf.gather(history, rows),
                    tf.gather(exclude, rows),
                    width,
                    {name: tf.gather(values, rows) for name, values in inputs.items()},
                ),
                tf.shape(history)[0],
                max(BLOCK_SCORES // len(self.catalogue), 1),
                (tf.int32, tf.float32),
            )
        ids = tf.where(scores > -np.inf, tf.gather(self._item_ids.read_value(), places), "")
        return {"item_ids": ids, "scores": scores}

    def best(
        self, history: tf.Tensor, exclude: tf.Tensor, k: tf.Tensor, inputs: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The codes and scores of the k best items: int32 and float32 [batch, k].

        Args:
            history: as for `score`.
            exclude: int32[batch, m], codes; -1 is padding or an unknown id.
            k: int32[], from 0 to the size of the catalogue.
            inputs: as for `score`.
        """
        scores = self.score(history, inputs)
        scores = tf.broadcast_to(scores, [tf.shape(history)[0], len(self.catalogue)])
        tf.debugging.assert_equal(
            tf.reduce_any(tf.math.is_nan(scores)), False, "the model's scores contain NaN"
        )
        where = tf.cast(tf.where(exclude >= 0), tf.int32)
        cells = tf.stack([where[:, 0], tf.gather_nd(exclude, where)], axis=1)
        scores = tf.tensor_scatter_nd_update(
            scores, cells, tf.fill([tf.shape(cells)[0]], np.float32(-np.inf))
        )
        top = tf.math.top_k(scores, k)
        return top.indices, top.values

    def latest(
        self, codes: tf.Tensor, inputs: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """The codes with all but the latest plays made -1, wherever a caller put the padding.

        Columns before the first play that is left are cut off, here and in the ages: a model that
        takes a vector for each cell would hold those of all that somebody has ever played.
        """
        newer = tf.cumsum(tf.cast(codes >= 0, tf.int32), axis=1, reverse=True)
        codes = tf.where(newer <= self.history_length, codes, -1)
        length = tf.shape(codes)[1]
        begin = tf.reduce_min(tf.where(tf.reduce_any(codes >= 0, axis=0), tf.range(length), length))
        if HISTORY_AGE in self.inputs:
            inputs = {**inputs, HISTORY_AGE: inputs[HISTORY_AGE][:, begin:]}
        return codes[:, begin:], inputs

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """What the SavedModel can be asked, by name."""
        strings = tf.TensorSpec([None, None], tf.string)
        arguments = {"history": strings, "exclude": strings, **self.input_specs()}

        @tf.function
        def recommend(
            history: tf.Tensor, exclude: tf.Tensor, k: tf.Tensor, **inputs: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            return self.recommend(history, exclude, k, inputs)

        @tf.function
        def serving_default(
            history: tf.Tensor, exclude: tf.Tensor, **inputs: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            return self.recommend(history, exclude, SERVING_K, inputs)

        return {
            "recommend": recommend.get_concrete_function(
                k=tf.TensorSpec([], tf.int32), **arguments
            ),
            "serving_default": serving_default.get_concrete_function(**arguments),
        }

    def input_specs(self) -> dict[str, tf.TensorSpec]:
        """The types of the named inputs."""
        return {
            name: tf.TensorSpec([None, None], tf.float32)
            if name == HISTORY_AGE
            else tf.TensorSpec([None], tf.string)
            for name in self.inputs
        }

    def export(self, folder: Path, name: str, window: Window) -> None:
        """Write the model folder of the contract."""
        folder.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(self, str(folder / "saved_model"), signatures=self.signatures())
        info = ModelInfo(
            name=name,
            kind=self.kind,
            catalogue_size=len(self.catalogue),
            history_length=self.history_length,
            inputs=self.inputs,
            fallback=self.fallback,
            approximation=self.approximation,
            training_window={"start": window.start.isoformat(), "end": window.cutoff.isoformat()},
            code_version=version("setlist"),
        )
        write_info(folder, info, self.catalogue)


class DotProduct(Recommender):
    """A model whose score is the dot product of a listener's and an item's vector.

    Subclasses set `vectors` and implement `embed`; a bias travels as one more dimension. The
    SavedModel then offers both beside `recommend`, so that exact retrieval for many listeners is
    one pruned matrix product; see `setlist.models.retrieval`.
    """

    vectors: tf.Variable
    """float32[catalogue, d], finite; see `frozen`."""

    def embed(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """float32[batch, d], finite; the arguments are those of `score`."""
        raise NotImplementedError

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The dot product with every item."""
        return tf.matmul(self.embed(history, inputs), self.vectors, transpose_b=True)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """With `embed` of histories in codes, and `items`."""

        @tf.function
        def embed(history: tf.Tensor, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"users": self.embed(*self.latest(history, inputs))}

        @tf.function
        def items() -> dict[str, tf.Tensor]:
            return {"items": tf.identity(self.vectors)}

        codes = tf.TensorSpec([None, None], tf.int32)
        return {
            **super().signatures(),
            "embed": embed.get_concrete_function(history=codes, **self.input_specs()),
            "items": items.get_concrete_function(),
        }


def frozen(values: Float32s | Int32s | Strings) -> tf.Variable:
    """Values of a model that are as many as its items.

    A constant would stand in saved_model.pb, which ends at 2 GB and is copied several times when
    it is written and read. A variable stands in a file of its own.

    Gather from its `read_value()`: after a gather from the variable itself, TensorFlow copies the
    whole of it whenever it is read.
    """
    return tf.Variable(values, trainable=False)


class Positions(tf.lookup.KeyValueTensorInitializer):
    """Fills a lookup from each value of a variable to its position."""

    def __init__(self, values: tf.Variable) -> None:
        """`values`: string[size], each once."""
        super().__init__(tf.constant([], tf.string), tf.constant([], tf.int32))
        self.values = values

    def initialize(self, table: tf.lookup.StaticHashTable) -> tf.Operation:
        """Read the variable, which a SavedModel restores before it fills its lookups."""
        return tf.raw_ops.LookupTableImportV2(
            table_handle=table.resource_handle,
            keys=self.values.read_value(),
            values=tf.range(self.values.shape[0], dtype=tf.int32),
        )


def string_table(values: Sequence[str]) -> tf.lookup.StaticHashTable:
    """A lookup inside the graph from each value to its position, -1 for any other string."""
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(values), tf.string), tf.range(len(values), dtype=tf.int32)
        ),
        default_value=-1,
    )
