"""Each heuristic against the answer that is obvious on the checkerboard."""

from math import inf

import numpy as np
import pytest

from setlist.data.features import Features
from setlist.errors import SetlistError
from setlist.models.contract import read_info
from setlist.models.heuristics import RULES, Popular, fit_heuristics
from setlist.models.profile import PROFILE, profile_of
from setlist.models.saved_model import SavedModel
from setlist.models.scatter import cells_of, scatter_max, scatter_sum
from setlist.models.settings import HeuristicSettings


def listed(models, name, history=(), country="", k=25, exclude=()):
    ids, _ = SavedModel(models / name).recommend(
        [list(history)], [list(exclude)], k, {"country": [country]}
    )
    return [item for item in ids[0] if item]


def test_most_popular_leaves_out_what_nobody_played(models):
    assert len(listed(models, "most_popular")) == 24
    assert "fresh" not in listed(models, "most_popular")


def test_recently_popular_counts_listeners_of_the_last_days(models, features):
    plays = features.plays[features.plays["age_days"] <= 7]
    counts = plays.groupby("item")["user"].nunique()
    best = features.items["item_id"][counts.idxmax()]
    top = listed(models, "recently_popular", k=1)[0]
    code = features.items.index[features.items["item_id"] == top][0]
    assert counts[code] == counts.max(), (top, best)


@pytest.mark.parametrize(("country", "parity"), [("Chile", 0), ("Japan", 1)])
def test_popular_by_segment_ranks_the_segments_own_first(models, country, parity):
    ranked = listed(models, "popular_by_segment", country=country)
    assert {int(item[1:]) % 2 for item in ranked[:12]} == {parity}
    assert len(ranked) == 24, "items that the segment never played follow by overall popularity"


def test_popular_by_segment_falls_back_for_an_unknown_segment(models):
    overall = listed(models, "most_popular")
    assert listed(models, "popular_by_segment", country="Atlantis") == overall


def test_relisten_ranks_by_count_then_by_the_latest(models):
    history = ["i1", "i3", "i5", "i3", "i1", "i7"]
    assert listed(models, "relisten", history) == ["i1", "i3", "i7", "i5"]


def test_co_visited_stays_on_the_colour_of_the_board(models):
    ranked = listed(models, "co_visited", ["i0", "i4"])
    assert {int(item[1:]) % 2 for item in ranked} == {0}


def test_an_unknown_segment_is_named(features, tmp_path):
    features.write(tmp_path / "features")
    with pytest.raises(SetlistError, match=r"'city' is not one of `inputs` \(country\)"):
        fit_heuristics(tmp_path / "features", HeuristicSettings(segment="city"), tmp_path)


def test_the_cells_of_a_large_catalogue_are_more_than_32_bits_count():
    size, batch = 2_200_000, 1_000
    codes = np.full((batch, 2), [size - 1, -1], np.int32)
    cells = cells_of(codes, size).numpy()
    assert cells[:, 0].tolist() == [(row + 1) * size - 1 for row in range(batch)]
    assert cells[-1, 0] == 2_199_999_999 > 2**31
    assert set(cells[:, 1]) == {-1}


@pytest.mark.parametrize(
    ("scatter", "expected"),
    [(scatter_sum, [[3, 0], [0, 4]]), (scatter_max, [[2, -inf], [-inf, 4]])],
)
def test_values_are_scattered_by_row_and_code(scatter, expected):
    codes, values = np.array([[0, 0, -1], [1, -1, -1]]), np.array([[1, 2, 8], [4, 8, 8]])
    found = scatter(codes.astype(np.int32), values.astype(np.float32), 2).numpy()
    assert np.where(found < -1e30, -inf, found).tolist() == expected


def test_no_rule_with_its_settings_reads_the_plays(features, tmp_path, monkeypatch):
    def read(folder):
        raise AssertionError("the plays are in memory")

    features.write(tmp_path / "features")
    monkeypatch.setattr(Features, "read", read)
    settings = HeuristicSettings(fit=tuple(RULES), recent_days=7)
    assert len(fit_heuristics(tmp_path / "features", settings, tmp_path / "models")) == 5


@pytest.mark.parametrize("name", ["most_popular", "popular_by_segment", "co_visited"])
def test_the_profile_is_that_of_the_plays_in_memory(models, features, name):
    profile = profile_of(features, read_info(models / name))
    assert (models / name / PROFILE).read_text("utf-8") == profile.to_json()


def test_nan_scores_are_an_error(features, tmp_path):
    ids = features.items["item_id"].tolist()
    scores = np.ones(len(ids), np.float32)
    model = Popular(ids, scores)
    model._scores = np.where(np.arange(len(ids)) == 3, np.nan, scores)[None, :].astype(np.float32)
    model.export(tmp_path / "broken", "broken", features.window)
    with pytest.raises(SetlistError, match=r"model broken failed: .*NaN"):
        SavedModel(tmp_path / "broken").recommend([["i0"]], [[]], 5)
