"""Whether a two-tower may retrieve approximately: measured against exact lists before it ships.

No listener is at hand where a model is written, as when its items are refreshed. So two kinds of
listeners are made up; `sampled_listeners` says how. The kind with the lower recall counts.
Newcomers are always answered exactly: what is popular lies across the clusters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from setlist.arrays import Float32s, Int32s, Int64s
from setlist.data.schema import HISTORY_AGE
from setlist.models.inverted_file import InvertedFile
from setlist.models.recommender import SERVING_K
from setlist.models.retrieval import top
from setlist.models.tf import tf
from setlist.models.two_tower.servable import Servable

LEAST_RECALL = 0.95
"""Of the exact list, for every kind of listener: five of a hundred places then hold another item,
whose score is close to that of the item it stands for."""
LARGEST_SHARE = 0.25
"""Of the clusters, to be read: with more, a request takes about as long as an exact one."""
WIDE, NARROW = 100, 100
"""Sampled listeners of each kind; the mean recall of 100 has a standard error of about
0.01."""
TASTE = 1_000
"""Items from which a narrow listener plays."""
SEED = 20_210_131


@dataclass(frozen=True)
class Listeners:
    """Listeners in codes, as `Servable.best` takes them.

    Attributes:
        history: int32[listeners, length], oldest first, -1 is padding.
        inputs: of the model.
    """

    history: Int32s
    inputs: dict[str, tf.Tensor]


def approximate(
    model: Servable, vocabularies: Mapping[str, Sequence[str]], plays: Float32s
) -> None:
    """Make the model retrieve approximately, if that finds enough of the exact lists.

    As few clusters are read as find at least `LEAST_RECALL` of the best 100, of 1, 2, 4, ... What
    was measured is written into `approximation` of the model; where it is not enough, it is
    printed, and the model stays exact.

    Args:
        model: with its vectors.
        vocabularies: the values of each named input.
        plays: float32[items], of training.
    """
    vectors = model.vectors.numpy()
    asked = sampled_listeners(vectors, model, vocabularies, plays)
    wanted = {kind: exact(model, vectors, listeners) for kind, listeners in asked.items()}
    users = [model.embed(listeners.history, listeners.inputs) for listeners in asked.values()]
    inverted = InvertedFile.of(vectors, np.concatenate(users))
    del vectors
    recall, read = 0.0, 1
    while recall < LEAST_RECALL and read <= LARGEST_SHARE * inverted.clusters:
        inverted.probes = read
        recall = min(recall_of(model, inverted, asked[kind], wanted[kind]) for kind in asked)
        read *= 2
    measured = (
        f"{inverted.probes} of {inverted.clusters:,} clusters of items are read: recall@"
        f"{SERVING_K} {recall:.3f} of the exact lists of {WIDE + NARROW} sampled listeners"
    )
    if recall >= LEAST_RECALL:
        model.inverted_file, model.approximation = inverted, measured
        print(f"approximate retrieval: {measured}", flush=True)
    else:
        print(f"exact retrieval, since less than {LEAST_RECALL}: {measured}", flush=True)


def sampled_listeners(
    vectors: Float32s, model: Servable, vocabularies: Mapping[str, Sequence[str]], plays: Float32s
) -> dict[str, Listeners]:
    """Listeners with plays, of two kinds, by name; none of them is real.

    Wide ones play items of the whole catalogue, in proportion to their plays in training. Narrow
    ones do so among the 1,000 items closest to one that is drawn in this way. Histories have 1 play
    to as many as the model reads, equally many in each octave; all plays have the age 0; each named
    input is a random value of its vocabulary or not known.

    Args:
        vectors: float32[items, d], of the model.
        model: which is asked.
        vocabularies: the values of each named input.
        plays: float32[items], of training.
    """
    generator = np.random.default_rng(SEED)
    # As if everything together had one play more: there may be no other.
    popularity = plays.astype(np.float64) + 1 / len(plays)
    popularity /= popularity.sum()

    def listeners(tastes: Sequence[Int32s | None]) -> Listeners:
        history = np.full((len(tastes), model.history_length), -1, np.int32)
        for row, taste in zip(history, tastes, strict=True):
            octaves = generator.uniform(0, np.log2(model.history_length + 1))
            length = min(max(int(2**octaves), 1), model.history_length)
            likely = popularity if taste is None else popularity[taste] / popularity[taste].sum()
            drawn = generator.choice(len(likely), length, p=likely)
            row[-length:] = drawn if taste is None else taste[drawn]
        inputs = {
            name: tf.constant(generator.choice(["", *values], len(history)).tolist())
            for name, values in vocabularies.items()
        }
        return Listeners(history, {**inputs, HISTORY_AGE: tf.zeros(history.shape)})

    centres = vectors[generator.choice(len(vectors), NARROW, p=popularity)]
    centres[:, model.dimension :] = 0  # closeness is not popularity
    close, _ = top(centres, vectors, min(TASTE, len(vectors)), *nothing(NARROW))
    return {
        "wide": listeners([None] * WIDE),
        "narrow": listeners(list(close)),
    }


def nothing(listeners: int) -> tuple[Int64s, Int32s]:
    """No exclusion for anybody, as `top` takes it."""
    return np.zeros(listeners + 1, np.int64), np.zeros(0, np.int32)


def exact(model: Servable, vectors: Float32s, asked: Listeners) -> Int32s:
    """int32[listeners, k]: the best items that are not in the history."""
    users = model.embed(asked.history, asked.inputs).numpy()
    rows, length = asked.history.shape
    codes, _ = top(
        users,
        vectors,
        min(SERVING_K, len(vectors)),
        np.arange(rows + 1) * length,
        asked.history.ravel(),
    )
    return codes


def recall_of(model: Servable, inverted: InvertedFile, asked: Listeners, wanted: Int32s) -> float:
    """The share of the wanted items that the clusters alone list.

    What is served is at least as good: a list that the clusters do not fill is the exact one.
    """
    users, vectors = model.embed(asked.history, asked.inputs), model.vectors.read_value()
    hits = 0
    for user, history, expected in zip(users, asked.history, wanted, strict=True):
        codes, scores, _ = inverted.best(user, vectors, history, tf.constant(len(expected)))
        hits += np.isin(expected, codes.numpy()[scores.numpy() > -np.inf]).sum()
    return float(hits / (wanted >= 0).sum())
