"""Approximate retrieval where the score is a dot product: only some clusters of items are read.

Clusters hold items of similar direction. For a listener each cluster is rated by what its
best item probably scores, the items of the best rated ones are scored exactly, and the rest of the
catalogue is not looked at.
"""

from typing import Self

import numpy as np
from scipy import sparse

from setlist.arrays import Float32s, Int32s
from setlist.models.recommender import frozen
from setlist.models.tf import tf

ROUNDS = 8
"""Of k-means: later ones moved recall by less than its sampling error."""
SAMPLE_PER_CLUSTER = 64
"""Items of the sample that k-means reads, for each cluster."""
ROWS = 2**14
"""Items that are compared with all centres at a time: with 1,000 clusters 64 MiB."""
DEVIATIONS = 3.0
"""How far above the mean of a cluster its best item is expected, in standard deviations: of 1,000
normal numbers, as many as a cluster holds where there are a million, the largest is at about 3."""
SEED = 20_210_131


class InvertedFile(tf.Module):
    """The items of each cluster, and what is known of its scores.

    Attributes:
        size: the number of items.
        clusters: the number of clusters, none of them empty.
        probes: how many of them are read for a listener.
    """

    probes = 1

    def __init__(self, cluster: Int32s, means: Float32s, variances: Float32s) -> None:
        """Freeze the clusters.

        Args:
            cluster: int32[items], of each item.
            means: float32[clusters, d], of the vectors of each cluster.
            variances: float32[clusters, d].
        """
        super().__init__()
        self.size, self.clusters = len(cluster), len(means)
        counts = np.bincount(cluster, minlength=self.clusters)
        self._starts = frozen(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        self._items = frozen(np.argsort(cluster, kind="stable").astype(np.int32))
        self._means, self._variances = frozen(means), frozen(variances)

    @classmethod
    def of(cls, vectors: Float32s, users: Float32s) -> Self:
        """About as many clusters as the square root of the number of items.

        Args:
            vectors: float32[items, d], finite.
            users: float32[listeners, d], such as will ask.
        """
        # The mean square of u . (v - w) is the distance of v and w in these units.
        scale = np.sqrt(np.square(users).mean(axis=0))
        centres = k_means(vectors, scale, max(round(np.sqrt(len(vectors))), 1))
        found = np.concatenate(
            [
                nearest(directions(vectors[start : start + ROWS] * scale), centres)
                for start in range(0, len(vectors), ROWS)
            ]
        )
        kept = np.unique(found)
        cluster = np.searchsorted(kept, found).astype(np.int32)
        sums, squares = np.zeros((2, len(kept), vectors.shape[1]))
        for start in range(0, len(vectors), ROWS):
            part, rows = cluster[start : start + ROWS], vectors[start : start + ROWS]
            sums += summed(part, rows, len(kept))
            squares += summed(part, rows * rows, len(kept))
        counts = np.bincount(cluster)[:, None]
        means = sums / counts
        variances = np.maximum(squares / counts - means**2, 0)
        return cls(cluster, means.astype(np.float32), variances.astype(np.float32))

    def best(
        self, user: tf.Tensor, vectors: tf.Tensor, exclude: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The best items of the clusters that are read for one listener.

        Args:
            user: float32[d].
            vectors: float32[items, d].
            exclude: int32[m], codes; what is below 0 means nothing.
            k: int32[], at least 0.

        Returns:
            codes: int32[n], best first, of equal scores the lower code first; n is k, or less
            where the clusters hold fewer items.
            scores: float32[n], -inf for what is excluded.
            filled: bool[], whether these are k items that are not excluded.
        """
        mean = tf.linalg.matvec(self._means.read_value(), user)
        variance = tf.linalg.matvec(self._variances.read_value(), user * user)
        rated = mean + DEVIATIONS * tf.sqrt(variance)
        read = tf.math.top_k(rated, self.probes, sorted=False).indices
        starts = self._starts.read_value()
        places = tf.ragged.range(tf.gather(starts, read), tf.gather(starts, read + 1)).flat_values
        codes = tf.gather(self._items.read_value(), places)
        scores = tf.linalg.matvec(tf.gather(vectors, codes), user)
        tf.debugging.assert_equal(
            tf.reduce_any(tf.math.is_nan(scores)), False, "the model's scores contain NaN"
        )
        out = tf.boolean_mask(exclude, exclude >= 0)[:, None]
        excluded = tf.tensor_scatter_nd_update(
            tf.zeros([self.size], tf.bool), out, tf.ones_like(out[:, 0], tf.bool)
        )
        scores = tf.where(tf.gather(excluded, codes), np.float32(-np.inf), scores)
        # One whole number for score and code: clusters are not in the order of the codes.
        # -0 is the same score as 0.
        bits = tf.where(scores == 0, 0, tf.bitcast(scores, tf.int32))
        rising = tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, np.int32(0x7FFFFFFF)), bits)
        keys = tf.cast(rising, tf.int64) * 2**32 - tf.cast(codes, tf.int64)
        top = tf.math.top_k(keys, tf.minimum(k, tf.size(keys))).indices
        filled = tf.math.count_nonzero(scores > -np.inf, dtype=tf.int32) >= k
        return tf.gather(codes, top), tf.gather(scores, top), filled


def k_means(vectors: Float32s, scale: Float32s, clusters: int) -> Float32s:
    """float32[clusters, d]: centres of the directions of vectors * scale, found on a sample."""
    generator = np.random.default_rng(SEED)
    number = min(SAMPLE_PER_CLUSTER * clusters, len(vectors))
    sample = directions(vectors[generator.choice(len(vectors), number, replace=False)] * scale)
    centres = sample[:clusters]
    for _ in range(ROUNDS):
        cluster = nearest(sample, centres)
        counts = np.bincount(cluster, minlength=clusters)
        centres = (summed(cluster, sample, clusters) / np.maximum(counts, 1)[:, None]).astype(
            np.float32
        )
        # A centre that nothing is near starts again elsewhere.
        lost = np.flatnonzero(counts == 0)
        centres[lost] = sample[generator.choice(number, len(lost), replace=False)]
    return centres


def directions(vectors: Float32s) -> Float32s:
    """The vectors with the length 1: long ones would gather in clusters of their own."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


def nearest(rows: Float32s, centres: Float32s) -> Int32s:
    """int32[rows]: the nearest centre of each row, in blocks."""
    half = np.square(centres).sum(axis=1) / 2
    parts = [
        (rows[start : start + ROWS] @ centres.T - half).argmax(axis=1)
        for start in range(0, len(rows), ROWS)
    ]
    return np.concatenate(parts).astype(np.int32)


def summed(cluster: Int32s, rows: Float32s, clusters: int) -> Float32s:
    """float32[clusters, d]: the sum of the rows of each cluster."""
    ones, number = np.ones(len(rows), np.float32), np.arange(len(rows))
    return sparse.csr_array((ones, (cluster, number)), shape=(clusters, len(rows))) @ rows
