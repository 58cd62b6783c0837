"""A settings file is right, or one sentence says where it is wrong."""

import re
from pathlib import Path

import pytest

from setlist.errors import SetlistError
from setlist.evaluation.policy import Policy
from setlist.models.selection import settings_of
from setlist_pipelines.settings.file import (
    SAMPLE,
    Settings,
    read_policy,
    read_settings,
    with_absolute_paths,
)

EXAMPLES = sorted((SAMPLE.parent / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", [SAMPLE, *EXAMPLES], ids=lambda path: path.stem)
def test_the_bundled_settings_are_right_and_survive_the_pipeline(path):
    settings = read_settings(path)
    assert Settings.model_validate(settings.document()) == settings
    assert Settings.model_validate(as_kubeflow_delivers(settings.document())) == settings


def test_a_rule_that_is_switched_off_stays_off_in_the_pipeline():
    settings = read_settings(
        SAMPLE, ["policy.believable=null", "policy.slices=null", "policy.limits.p99_ms=null"]
    )
    assert settings.policy.believable is None
    assert settings.policy.slices is None
    delivered = as_kubeflow_delivers(settings.arguments())
    assert Settings.model_validate(delivered) == settings
    assert "None" not in repr(delivered), "Kubeflow refuses a null inside an argument"


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
            "data: {events: {path: e.csv}}\nwindow: {test_day: 3}",
            "window.test_day: there is no such setting; write test_days",
        ),
        (
            "data: {events: {path: e.csv}}\npolicy: {data: {reject: {stop: 0.2}}}",
            "policy.data.reject: there is no such setting; write rejected",
        ),
        (
            "data: {events: {path: e.csv}}\npolicy: {guardrails: [{metric: gini@10, atmost: 1}]}",
            "policy.guardrails.0.atmost: there is no such setting; write at_most",
        ),
        (
            "data: {events: {path: e.csv}}\ncandidates: {wide: {dimensions: 128}}",
            "candidates.wide.dimensions: there is no such setting; write dimension if",
        ),
        (
            "data: {events: {path: e.csv}}\nwindow: {folds: 3}",
            "window.folds: there is no such setting; those that there are: train_days, test_days, "
            "split_at",
        ),
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
            "line 3: heuristics.fit.1: there is no heuristic 'populr'; choose from most_popular",
        ),
        (
            "data: {events: {path: e.csv}}\npolicy:\n  guardrails:\n    - metric: gini@10",
            "line 4: policy.guardrails.0: a guardrail needs either at_least or at_most",
        ),
        (
            "policy: {anchor: true}\ndata: {events: {path: e.csv}}\npolicy: {anchor: false}",
            "line 3: this is not YAML: the key 'policy' stands twice",
        ),
        ("name: \x00", "this is not YAML: "),
        ("name: !!int x", "this is not YAML"),
        (
            "data: {events: {path: e.csv}}\nevaluation: {metrics: [ndgc@10]}",
            "metric 'ndgc@10' is not known",
        ),
        (
            "data: {events: {path: e.csv}}\npolicy: {primary: mrr@10}",
            "mrr@10 is not evaluated; add it to evaluation.metrics",
        ),
        (
            "data: {events: {path: e.csv}}\nevaluation: {only: [ndcg@10, mrr@5]}",
            "policy: coverage@10 and intra_list_diversity@10 and popularity_lift@10 are not "
            "evaluated; add them to evaluation.only (now: ndcg@10, mrr@5), or ",
        ),
        (
            "data: {events: {path: e.csv}}\nevaluation: {metrics: [mrr@5], only: [ndcg@10]}",
            "line 2: evaluation: `metrics` are evaluated beside the usual ones, and `only` in",
        ),
        (
            "data: {events: {path: e.csv}}\nevaluation: {metrics: [ndcg@10, gini@10]}",
            "line 2: evaluation: ndcg@10, gini@10 are evaluated anyway; to evaluate nothing else, "
            "write `only` in place of `metrics`.",
        ),
        (
            "data: {events: {path: e.csv}}\nevaluation: {metrics: [mrr@5, mrr@5]}",
            "line 2: evaluation.metrics: 'mrr@5' stands twice; remove it once.",
        ),
        (
            "data: {events: {path: e.csv}}\nevaluation.metrics: [mrr@5]",
            "line 2: evaluation.metrics: there is no such setting; write `evaluation: {metrics: "
            "...}`.",
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


# A policy in a file of its own.

EVENTS = "data: {events: {path: e.csv}}\n"


@pytest.fixture
def beside(tmp_path):
    """Writes a settings file that names a policy file, which has the given text."""

    def written(text: str, settings: str = EVENTS + "policy: policies/strict.yaml\n") -> Path:
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "strict.yaml").write_text(text)
        (tmp_path / "settings.yaml").write_text(settings)
        return tmp_path / "settings.yaml"

    return written


def test_the_policy_may_stand_in_a_file_beside_the_settings(beside, tmp_path, monkeypatch):
    monkeypatch.chdir("/")  # the path is relative to the settings file, wherever one is
    path = beside("over_heuristics: 0.25\nslices: {tolerance: 0.3}\nmode: manual\n")
    settings = read_settings(path)
    assert settings.policy == Policy.model_validate(
        {"over_heuristics": 0.25, "slices": {"tolerance": 0.3}, "mode": "manual"}
    )
    assert settings.policy == read_policy(tmp_path / "policies" / "strict.yaml")
    assert Settings.model_validate(settings.arguments()) == settings


def test_one_setting_of_a_policy_file_can_be_replaced(beside):
    path = beside("over_heuristics: 0.25\nbelievable: null\n")
    policy = read_settings(path, ["policy.over_heuristics=0.5"]).policy
    assert (policy.over_heuristics, policy.believable) == (0.5, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\nmargin: 0.1", "line 2: margin: there is no such setting"),
        (
            "primary: ndcg@10\nslices:\n  at_least: 5",
            "line 3: slices.at_least: Input should be greater than or equal to 30",
        ),
        (
            "guardrails:\n  - {metric: gini@10, at_most: 1}\n  - {metric: gini@10}",
            "line 3: guardrails.1: a guardrail needs either at_least or at_most",
        ),
        ("mode: auto\nmode: manual", "line 2: this is not YAML: the key 'mode' stands twice"),
        ("[strict]", "a policy is a mapping of rules, and this is not"),
        ("", "a policy is a mapping of rules, and this is not"),
    ],
)
def test_a_fault_in_a_policy_file_names_that_file_and_its_line(beside, tmp_path, text, sentence):
    path = beside(text)
    with pytest.raises(SetlistError) as fault:
        read_settings(path)
    message = str(fault.value)
    assert message.startswith(str(tmp_path / "policies" / "strict.yaml"))
    assert sentence in message
    assert "settings.yaml" not in message
    assert "\n" not in message


def test_a_policy_file_that_is_not_there(beside, tmp_path):
    path = beside("", EVENTS + "policy: policies/lenient.yaml\n")
    with pytest.raises(SetlistError, match=r"policies/lenient.yaml does not exist"):
        read_settings(path)


def test_a_policy_file_that_reads_what_is_not_evaluated(beside):
    path = beside("primary: mrr@10")
    with pytest.raises(SetlistError, match="mrr@10 is not evaluated; add it"):
        read_settings(path)


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
            "as_of=2026-02-28",
            "window.split_at=2026-04-01",
            "data.events.where=[[played_at, '>=', 2026-01-01]]",
        ],
    )
    assert settings.as_of == "2026-02-28"
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
    bucket = with_absolute_paths(read_settings(SAMPLE, ["store=gs://bucket/prefix"]))
    assert bucket.store == "gs://bucket/prefix"


# Several candidates.


def test_candidates_are_changes_of_the_model_section():
    changes = "candidates={wide: {dimension: 128}, quick: {epochs: 2}, same: {}}"
    settings = read_settings(SAMPLE, [changes, "model.epochs=5"])
    assert settings.labels == ("wide", "quick", "same")
    wide, quick, same = (
        settings_of(settings.model, settings.candidates, label) for label in settings.labels
    )
    assert (wide.dimension, wide.epochs) == (128, 5)
    assert (quick.dimension, quick.epochs) == (None, 2)
    assert same == settings.model
    assert settings.arguments()["candidates"]["wide"] == {"dimension": 128}
    for document in (settings.document(), as_kubeflow_delivers(settings.document())):
        again = Settings.model_validate(document)
        assert again == settings
        assert again.arguments() == settings.arguments(), "what was not set stays unset"
    assert with_absolute_paths(settings).arguments()["candidates"] == {
        "wide": {"dimension": 128},
        "quick": {"epochs": 2},
        "same": {},
    }


def test_without_candidates_there_is_one():
    settings = read_settings(SAMPLE)
    assert settings.labels == ("two-tower",)
    assert settings.arguments()["candidates"] == {}


def test_a_grid_is_one_candidate_for_each_combination():
    grid = "{dimension: [32, 64], learning_rate: [0.001, 3e-3], recency_days: [[3, 30], []]}"
    settings = read_settings(SAMPLE, [f"candidates={{grid: {grid}, quick: {{epochs: 2}}}}"])
    assert len(settings.labels) == 9
    assert settings.labels[:3] == (
        "quick",
        "dimension-32-learning_rate-0.001-recency_days-3-30",
        "dimension-32-learning_rate-0.001-recency_days-none",
    )
    last = settings.candidates[settings.labels[-1]]
    assert last.model_dump(exclude_unset=True) == {
        "dimension": 64,
        "learning_rate": 0.003,
        "recency_days": (),
    }


def test_what_shapes_the_graph_is_in_the_file_and_no_argument():
    settings = read_settings(SAMPLE, ["refit=true", "warm_start=true", "refit_overlap=0.5"])
    assert Settings.model_validate(settings.document()) == settings
    assert {"refit", "warm_start"} & set(settings.arguments()) == set()
    assert settings.arguments()["refit_overlap"] == 0.5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "\n  wide:\n    dimension: many",
            "line 4: candidates.wide.dimension: Input should be a valid integer",
        ),
        (
            "\n  wide:\n    dimensions: 3",
            "line 4: candidates.wide.dimensions: there is no such setting",
        ),
        ("{Wide: {}}", "line 2: candidates: 'Wide' is no name for a candidate; write at most"),
        ("{_x: {}}", "'_x' is no name for a candidate"),
        ("{../x: {}}", "'../x' is no name for a candidate"),
        ("{chosen: {}}", "'chosen' is no name for a candidate"),
        ("{wide: {dimension: null}}", "wide sets a value to null"),
        ("{grid: {dimension: 3}}", "write a list of values for grid.dimension, e.g. [3]"),
        ("{grid: {dimension: []}}", "write a list of values for grid.dimension"),
        ("{grid: [3]}", "write the grid as a list of values for each setting"),
        ("{grid: {dimension: [0, 1]}}", "candidates.dimension-0.dimension: Input should be"),
        ("{grid: {dimension: [8, 8]}}", "dimension-8 stands twice"),
        ("{dimension-8: {}, grid: {dimension: [8]}}", "dimension-8 stands twice"),
        (
            f"{{grid: {{dimension: {list(range(1, 12))}, epochs: [1, 2, 3]}}}}",
            "these are 33 candidates, and at most 32 are trained",
        ),
        (
            f"{{grid: {{{', '.join(f'x{n}: {list(range(99))}' for n in range(9))}}}}}",
            "candidates, and at most 32 are trained",
        ),
        ("[wide]", "candidates: Input should be a valid dictionary"),
    ],
)
def test_a_fault_in_a_candidate_names_its_key(tmp_path, text, sentence):
    path = tmp_path / "settings.yaml"
    path.write_text(f"data: {{events: {{path: e.csv}}}}\ncandidates: {text}\n")
    with pytest.raises(SetlistError) as fault:
        read_settings(path)
    assert sentence in str(fault.value)
    assert "\n" not in str(fault.value)
