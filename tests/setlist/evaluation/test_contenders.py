import json

import pytest

from setlist.errors import ModelError
from setlist.evaluation.contenders import Contender, list_contenders, read_rivals


def test_the_models_of_a_run(tmp_path):
    heuristics, live = tmp_path / "heuristics", tmp_path / "live"
    for name in ("relisten", "most_popular"):
        (heuristics / name).mkdir(parents=True)
    live.mkdir()
    (live / "rivals.json").write_text(json.dumps(["live-12", "anchor-9"]))
    assert list_contenders(heuristics, tmp_path / "candidate", live) == [
        Contender(tmp_path / "candidate", "candidate", "candidate"),
        Contender(live / "live-12", "live-12", "live", 12),
        Contender(live / "anchor-9", "anchor-9", "anchor", 9),
        Contender(heuristics / "most_popular", "most_popular", "heuristic"),
        Contender(heuristics / "relisten", "relisten", "heuristic"),
    ]


def test_a_list_of_rivals_that_is_missing_is_no_empty_list(tmp_path):
    with pytest.raises(ModelError, match=r"rivals.json is missing"):
        list_contenders(tmp_path, tmp_path / "candidate", tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", '{"live": 3}', '["live"]', '["live-3/.."]', "[3]"])
def test_a_damaged_list_of_rivals_is_one_sentence(tmp_path, content):
    (tmp_path / "rivals.json").write_text(content)
    with pytest.raises(ModelError, match=r"rivals.json: .+; fetch the live model again\.$"):
        read_rivals(tmp_path)
