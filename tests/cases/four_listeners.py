"""Four listeners with few plays, whose examples can be told by hand."""

import numpy as np

from setlist.models.histories import Examples, Histories

# Listener 0 plays 7 8 7 9 8, listener 1 plays 5, listener 2 nothing, listener 3 plays 6 6 4.
PLAYS = [[7, 8, 7, 9, 8], [5], [], [6, 6, 4]]
AGES = [[50, 40, 30, 20, 10], [45], [], [44, 12, 8]]


def flat(lists, dtype):
    return np.array([value for own in lists for value in own], dtype)


def four_histories() -> Histories:
    return Histories(
        items=flat(PLAYS, np.int32),
        ages=flat(AGES, np.float64),
        first=np.array([1, 1, 0, 1, 0, 1, 1, 0, 1], np.bool_),
        offsets=np.array([0, 5, 6, 6, 9]),
        weights=np.ones(9),
    )


def pairs(batch: Examples) -> list[tuple[list, list]]:
    """For each example (item, rank) of the history and (item, weight) of the targets."""
    return [
        (
            list(zip(batch.items[rows].tolist(), batch.ranks[rows].tolist(), strict=True)),
            list(zip(batch.targets[hits].tolist(), batch.weights[hits].tolist(), strict=True)),
        )
        for row in range(len(batch.listeners))
        for rows, hits in [(batch.rows == row, batch.target_rows == row)]
    ]
