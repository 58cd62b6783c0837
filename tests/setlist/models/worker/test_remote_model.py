"""What is asked in parts is answered as at once."""

import numpy as np
import pandas as pd
import pytest

from setlist.arrays import Ragged
from setlist.errors import ModelError
from setlist.models import batches
from setlist.models.contract import read_catalogue
from setlist.models.worker import remote_model
from setlist.models.worker.model_host import ModelHost

LISTENERS, K = 40, 5
LENGTHS = [row % 7 for row in range(LISTENERS)]


@pytest.fixture(scope="module")
def asked(models):
    """A model that reads a named input and ages, in a worker."""
    with ModelHost() as host, host.model(models / "two_tower") as model:
        yield model


def test_a_request_in_parts(asked, monkeypatch):
    history = [
        [f"i{(row + play) % 24}" for play in range(LENGTHS[row])] for row in range(LISTENERS)
    ]
    exclude = [[f"i{row % 24}"] * (row % 3) for row in range(LISTENERS)]
    country = {"country": [("Chile", "Japan")[row % 2] for row in range(LISTENERS)]}
    ages = [[float(row + play) for play in range(LENGTHS[row])] for row in range(LISTENERS)]
    whole = asked.signature(history, exclude, K, country, ages)
    sizes = []

    def counted(call, head=None, *more, **named):
        arguments = head["arguments"]
        widths = [max(map(len, arguments[name])) for name in ("history", "exclude")]
        sizes.append((len(arguments["history"]), sum(widths)))
        return ask(call, head, *more, **named)

    ask = asked._ask
    monkeypatch.setattr(asked, "_ask", counted)
    monkeypatch.setattr(batches, "CELLS", 30)
    parts = asked.signature(history, exclude, K, country, ages)
    assert (parts[0] == whole[0]).all()
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-5)
    assert all(rows * width <= 30 for rows, width in sizes)
    assert sum(rows for rows, _ in sizes) == LISTENERS


def test_parts_with_lists_of_different_lengths(asked, monkeypatch):
    monkeypatch.setattr(batches, "CELLS", 1)
    answers = iter([(np.full((1, k), ""), np.zeros((1, k), np.float32)) for k in (2, 3)])
    monkeypatch.setattr(asked, "_signature", lambda *_: next(answers))
    with pytest.raises(ModelError, match="lists of another shape"):
        asked.signature([["i1"], ["i2"]], [[], []], 3, {"country": ["", ""]})


def test_an_audience_in_parts(asked, models, monkeypatch):
    ids = pd.Index(read_catalogue(models / "two_tower"))
    offsets = np.cumsum([0, *LENGTHS])
    plays = Ragged(offsets, np.arange(offsets[-1], dtype=np.int32) % len(ids))
    exclude = Ragged(np.arange(LISTENERS + 1), np.arange(LISTENERS, dtype=np.int32) % len(ids))
    country = {"country": ["Chile"] * LISTENERS}
    ages = np.arange(offsets[-1], dtype=np.float32)
    whole = asked.lists(ids, plays, exclude, K, country, ages)
    numbers = []

    def counted(call, head, arrays, **named):
        numbers.append(len(arrays["play"]) + len(arrays["exclude"]))
        return ask(call, head, arrays, **named)

    ask = asked._ask
    monkeypatch.setattr(asked, "_ask", counted)
    monkeypatch.setattr(remote_model, "CODES", 6)
    parts = asked.lists(ids, plays, exclude, K, country, ages)
    assert (parts[0] == whole[0]).all()
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-5)
    assert sum(numbers) == offsets[-1] + LISTENERS
    assert max(numbers) == 7, "a listener with more is asked about alone"
