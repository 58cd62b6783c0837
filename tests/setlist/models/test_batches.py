"""Batches hold every listener once, and are bounded with their padding."""

import numpy as np
import pytest

from setlist.models import batches as module
from setlist.models.batches import batches


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_batches_are_bounded(monkeypatch, most):
    monkeypatch.setattr(module, "CELLS", 500)
    generator = np.random.default_rng(1)
    lengths = [generator.geometric(share, 300) for share in (0.02, 0.05)]
    lengths[0][[5, 90]] = 501, 13_548  # each is a batch of its own
    parts = [*batches(lengths, most)]
    assert sorted(np.concatenate(parts)) == [*range(300)]
    for rows in parts:
        cells = len(rows) * sum(length[rows].max() for length in lengths)
        assert len(rows) <= most
        assert cells <= 500 or len(rows) == 1


def test_usual_listeners_are_one_batch():
    assert [len(rows) for rows in batches([np.full(1000, 500), np.full(1000, 500)], 1000)] == [1000]


def test_nobody_is_no_batch():
    assert [*batches([np.zeros(0, np.int64)], 0)] == []
