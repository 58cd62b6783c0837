"""A settings file is right, or one sentence says where it is wrong."""

import re
from pathlib import Path

import pytest

from components.errors import SetlistError
from pipelines.config import SAMPLE, Settings, read_settings, with_absolute_paths

EXAMPLES = sorted((SAMPLE.parent / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", [SAMPLE, *EXAMPLES], ids=lambda path: path.stem)
def test_the_bundled_settings_are_right_and_survive_the_pipeline(path):
    settings = read_settings(path)
    assert Settings.model_validate(settings.arguments()) == settings
    assert Settings.model_validate(as_kubeflow_delivers(settings.arguments())) == settings


def as_kubeflow_delivers(value):
    """Whole numbers inside lists and dicts arrive as floats."""
    if isinstance(value, dict):
        return {key: as_kubeflow_delivers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_kubeflow_delivers(one) for one in value]
    return float(value) if type(value) is int else value


def test_one_setting_can_be_replaced():
    settings = read_settings(
        SAMPLE, ["as_of=2026-04-24", "policy.over_heuristics=0.5", "inputs=[country]", "name=new"]
    )
    assert settings.as_of == "2026-04-24"
    assert settings.policy.over_heuristics == 0.5
    assert settings.inputs == ("country",)
    assert settings.name == "new"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: [x", "line 1: this is not YAML"),
        ("- a list", "a settings file is a mapping"),
        ("name: home", "settings.yaml: data: this setting is required"),
        ("data: {events: {path: e.csv}}\nnaem: home", "line 2: naem: there is no such setting"),
        (
            "data:\n  events:\n    path: e.csv\n    where: [[rating, '~', 3]]",
            "line 4: data.events.where.0.1: ",
        ),
        (
            "data: {events: {path: e.csv}}\nmodel:\n  dimension: many",
            "line 3: model.dimension: Input should be a valid integer",
        ),
        (
            "data: {events: {path: e.csv}}\nheuristics:\n  fit: [most_popular, populr]",
            "line 3: heuristics.fit.1: Input should be 'most_popular'",
        ),
        (
            "data: {events: {path: e.csv}}\npolicy:\n  guardrails:\n    - metric: gini@10",
            "line 4: policy.guardrails.0: a guardrail needs either at_least or at_most",
        ),
        (
            "policy: {former: 1}\ndata: {events: {path: e.csv}}\npolicy: {former: 2}",
            "line 3: this is not YAML: the key 'policy' stands twice",
        ),
        ("name: \x00", "this is not YAML: unacceptable character"),
        ("name: !!int x", "this is not YAML"),
        (
            "data: {events: {path: e.csv}}\nevaluation: {metrics: [ndgc@10]}",
            "metric 'ndgc@10' is not known",
        ),
        (
            "data: {events: {path: e.csv}}\npolicy: {primary: mrr@10}",
            "mrr@10 is not evaluated; add it to evaluation.metrics",
        ),
    ],
)
def test_a_fault_is_one_sentence_that_names_key_and_line(tmp_path, text, sentence):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(SetlistError) as fault:
        read_settings(path)
    assert str(path) in str(fault.value)
    assert sentence in str(fault.value)
    assert "\n" not in str(fault.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SetlistError, match=r"none.yaml does not exist"):
        read_settings(tmp_path / "none.yaml")
    with pytest.raises(SetlistError, match="cannot be read"):
        read_settings(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: café".encode("latin-1"))
    with pytest.raises(SetlistError, match="cannot be read"):
        read_settings(tmp_path / "latin.yaml")


def test_dates_need_no_quotes():
    settings = read_settings(
        SAMPLE,
        [
            "as_of=2026-02-30",
            "window.split_at=2026-04-01",
            "data.events.where=[[played_at, '>=', 2026-01-01]]",
        ],
    )
    assert settings.as_of == "2026-02-30", "the first step says that there is no such day"
    assert settings.window.split_at == "2026-04-01"
    assert settings.data.events.where == [("played_at", ">=", "2026-01-01")]


@pytest.mark.parametrize(
    "override",
    ["policy", "name.first=x", "name=[x", "name=!!int x", "model.dimension=0", "window={days: 3}"],
)
def test_overrides_that_make_no_sense_are_named(override):
    with pytest.raises(SetlistError, match=f"^--set {re.escape(override)}: "):
        read_settings(SAMPLE, [override])


def test_local_paths_become_absolute_and_addresses_stay():
    settings = with_absolute_paths(read_settings(SAMPLE, ["data.items.path=items.csv"]))
    assert settings.store == str(Path.cwd() / ".setlist/store")
    assert settings.data.items is not None
    assert settings.data.items.path == str(Path.cwd() / "items.csv")
    assert settings.data.events.path == "sample://events"
    home = with_absolute_paths(read_settings(SAMPLE, ["store=~/store"]))
    assert home.store == str(Path.home() / "store")
    for address in ("gs://bucket/prefix", "s3://bucket", "gs:/bucket", "GS://bucket"):
        assert with_absolute_paths(read_settings(SAMPLE, [f"store={address}"])).store == address
