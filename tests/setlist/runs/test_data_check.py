"""The step that checks the data: with a live model its profile is what the week is held against."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.cases.data_faults import FAULTS, INPUTS, TODAY, clean_tables, curated, live_profile

from setlist.data.policy import Bound, DataPolicy
from setlist.data.verdict import DataVerdict
from setlist.errors import DataError, ModelError
from setlist.models.profile import LENGTH_BINS, PROFILE, Profile
from setlist.runs.data_check import check_data


@cache
def rehashed() -> tuple[Path, object]:
    """The dataset of tables whose listeners have other ids than when the live model was trained."""
    change, _ = FAULTS["ids of listeners hashed in another way in both tables"]
    dataset, window, _ = curated(change(clean_tables()), Path(mkdtemp()), TODAY)
    return dataset, window


def fetched(folder: Path, *profiles: object) -> Path:
    """What `resolve_live` leaves: the live model with that profile, or none."""
    folder.mkdir()
    (folder / "rivals.json").write_text(json.dumps(["live-1"] if profiles else []))
    for data in profiles:
        (folder / "live-1").mkdir()
        lengths = dict.fromkeys(LENGTH_BINS, 0.0) | {LENGTH_BINS[1]: 1.0}
        profile = Profile(listeners=1, inputs={}, lengths=lengths, ages=None, data=data)
        (folder / "live-1" / PROFILE).write_text(profile.to_json())
    return folder


def check(tmp_path, live, policy=DataPolicy()):  # noqa: B008 - it is frozen
    dataset, window = rehashed()
    return check_data(dataset, window, live, INPUTS, policy, tmp_path / "verdict")


def test_without_a_live_model_nothing_is_compared(tmp_path):
    verdict = check(tmp_path, fetched(tmp_path / "live"))
    rules = {reason.rule for reason in verdict.reasons}
    assert not {
        rule for rule in rules if rule.startswith(("lost listeners", "lost items", "drift"))
    }
    assert DataVerdict.read(tmp_path / "verdict") == verdict


def test_a_live_model_without_a_profile_of_its_data_is_no_fault(tmp_path):
    verdict = check(tmp_path, fetched(tmp_path / "live", None))
    assert "lost listeners" not in {reason.rule for reason in verdict.reasons}


def test_the_profile_of_the_live_model_stops_the_run_and_the_verdict_is_left(tmp_path, capsys):
    live = fetched(tmp_path / "live", live_profile())
    with pytest.raises(DataError, match="the gate for data stops the run: 100% of the listeners"):
        check(tmp_path, live)
    verdict = DataVerdict.read(tmp_path / "verdict")
    assert verdict.decision == "stop"
    assert "drift of country" in {reason.rule for reason in verdict.reasons}
    assert "stop: lost listeners: 100% of the listeners" in capsys.readouterr().out


def test_a_raised_bound_lets_it_pass(tmp_path):
    live = fetched(tmp_path / "live", live_profile())
    assert check(tmp_path, live, DataPolicy(lost_ids=Bound())).decision == "pass"


def test_a_live_model_that_was_lost_is_no_first_run(tmp_path):
    (tmp_path / "live").mkdir()
    with pytest.raises(ModelError, match=r"rivals\.json"):
        check(tmp_path, tmp_path / "live")
