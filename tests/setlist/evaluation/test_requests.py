"""What is kept of the requests is what the models were told, word by word."""

import numpy as np
import pandas as pd
import pytest

from setlist.evaluation.audience import select_audience
from setlist.evaluation.inspection import Requests
from setlist.evaluation.ranking import EMPTY, FOREIGN
from setlist.evaluation.requests import (
    KEPT_REQUESTS,
    sample_requests,
    write_answers,
    write_requests,
)
from setlist.evaluation.results import EvaluationSettings


@pytest.fixture(params=["discovery", "shortcuts"])
def shelf(request):
    return request.param


def written(world, folder, shelf, *names) -> Requests:
    data, features = world
    users = pd.read_parquet(data / "users.parquet")
    test = pd.read_parquet(data / "test.parquet")
    people = select_audience(features, test, users, EvaluationSettings(shelf=shelf))
    ids = pd.Index(features.items["item_id"])
    rows = np.array([people.users["user_id"].tolist().index(name) for name in names])
    write_requests(folder, people, features.inputs, rows, ids, shelf)
    return Requests.read(folder)


def test_requests_are_read_as_they_were_written(world, shelf, tmp_path):
    requests = written(world, tmp_path, shelf, "ann", "bob", "cid", "dee")
    # Not who they are, nor how they are grouped: only the run's inputs.
    assert requests.inputs == {"country": ["Chile", "Japan", "", ""]}
    # Oldest first, with repetitions; what is excluded stands there once.
    assert requests.history == [["a", "b", "a"], ["b", "c"], ["a", "b", "d"], []]
    known = [{"a", "b"}, {"b", "c"}, {"a", "b", "d"}, set()]
    expected = known if shelf == "discovery" else [set()] * 4
    assert list(map(set, requests.exclude)) == expected
    # The first play of all is on 2 January, the cutoff on 1 February.
    assert requests.ages == [[30.0, 29.0, 28.0], [27.0, 26.0], [25.0, 24.0, 23.0], []]


def test_only_the_chosen_listeners_are_written(world, shelf, tmp_path):
    requests = written(world, tmp_path, shelf, "bob", "dee")
    assert requests.inputs == {"country": ["Japan", ""]}
    assert requests.history == [["b", "c"], []]


def test_some_of_the_requests_in_any_order(world, tmp_path):
    requests = written(world, tmp_path, "discovery", "ann", "bob", "cid", "dee").take([3, 1, 1])
    assert requests.history == [[], ["b", "c"], ["b", "c"]]
    assert requests.ages == [[], [27.0, 26.0], [27.0, 26.0]]
    assert list(map(set, requests.exclude)) == [set(), {"b", "c"}, {"b", "c"}]
    assert requests.inputs["country"] == ["", "Japan", "Japan"]


def test_answers_are_read_as_they_were_given(tmp_path):
    top = np.array([[1, 0, EMPTY], [FOREIGN, 1, 0]], np.int32)
    scores = np.array([[0.1, 1e-7, -np.inf], [3.0, 2.0, 1 / 3]], np.float32)
    write_answers(tmp_path, top, scores, pd.Index(["x", "y"]))
    table = pd.read_parquet(tmp_path / "answers.parquet")
    assert [list(row) for row in table["item_ids"]] == [["y", "x", ""], [None, "y", "x"]]
    assert np.array(table["scores"].tolist(), np.float32).tobytes() == scores.tobytes()


def test_the_same_listeners_are_kept_for_the_same_audience():
    assert sample_requests(5).tolist() == [0, 1, 2, 3, 4]
    rows = sample_requests(10_000)
    assert len(set(rows.tolist())) == KEPT_REQUESTS
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() == sample_requests(10_000).tolist()
    assert rows[0] < 500 < 9_500 < rows[-1], "from the whole of the audience"
