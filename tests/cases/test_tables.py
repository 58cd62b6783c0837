"""Every case of `tests.cases.tables`: the rows that arrive, the sentence, or the verdict."""

import pandas as pd
import pytest
from tests.cases.tables import CASES, SMALL

from setlist.data.curation import curate, resolve_window
from setlist.data.gate import judge_data
from setlist.errors import DataError
from setlist_pipelines.settings.file import read_settings


def curated(case, folder):
    settings = read_settings(case.settings(folder))
    window = resolve_window(settings.window, settings.as_of, pd.Timestamp.now("UTC"))
    return curate(settings.data, window, settings.curation, folder / "dataset")


def names(outcome):
    return sorted(name for name, case in CASES.items() if case.outcome == outcome)


@pytest.mark.parametrize("name", names("reads"))
def test_everything_arrives_as_it_was_meant(name, tmp_path):
    case = CASES[name]
    report = curated(case, tmp_path)
    rows = pd.concat(
        pd.read_parquet(tmp_path / "dataset" / f"{part}.parquet") for part in ("train", "test")
    )
    assert rows["user_id"].nunique() == case.listeners
    assert sum(report.rejected.values()) == case.rejected
    assert (
        report.read - report.excluded - case.rejected == report.train + report.test + report.outside
    )
    if case.times:
        span = SMALL["timestamp"][SMALL["timestamp"] >= rows["timestamp"].min()]
        assert rows["timestamp"].min() == span.min()
        assert rows["timestamp"].max() == span.max()


@pytest.mark.parametrize("name", names("error"))
def test_what_cannot_be_what_was_meant_is_one_sentence(name, tmp_path):
    case = CASES[name]
    with pytest.raises(DataError) as caught:
        curated(case, tmp_path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert caught.value.remedy
    for word in case.words:
        assert word in sentence


@pytest.mark.parametrize("name", [*names("stop"), *names("warn")])
def test_the_gate_for_data_says_what_is_wrong(name, tmp_path):
    case = CASES[name]
    settings = read_settings(case.settings(tmp_path))
    now = pd.Timestamp.now("UTC")
    window = resolve_window(settings.window, settings.as_of, now)
    report = curate(settings.data, window, settings.curation, tmp_path / "dataset")
    verdict = judge_data(
        tmp_path / "dataset", window, report, settings.inputs, None, settings.policy.data, now
    )
    assert verdict.decision == case.outcome
    sentences = " ".join(f"{r.sentence}; {r.remedy}" for r in verdict.with_outcome(case.outcome))
    for word in case.words:
        assert word in sentences
    if case.outcome == "stop":
        with pytest.raises(DataError, match="the gate for data stops the run"):
            verdict.refuse()
    else:
        verdict.refuse()
