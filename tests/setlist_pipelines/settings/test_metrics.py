"""Metrics in the settings stand beside the usual ones, and replace them only when that is said."""

import pytest
import yaml

from setlist.errors import SettingsError
from setlist.evaluation.results import USUAL_METRICS, EvaluationSettings
from setlist_pipelines.settings.file import Settings, read_settings


def read(tmp_path, text: str) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(f"data: {{events: {{path: events.csv}}}}\n{text}")
    return read_settings(path)


def test_a_metric_stands_beside_those_that_the_default_policy_reads(tmp_path):
    settings = read(tmp_path, 'evaluation: {metrics: ["my_team.metrics:fresh_share@10"]}')
    assert settings.evaluation.evaluated == (*USUAL_METRICS, "my_team.metrics:fresh_share@10")
    assert settings.evaluation.own_metrics() == ("my_team.metrics:fresh_share@10",)


def test_a_usual_metric_beside_another_is_evaluated_once(tmp_path):
    settings = read(tmp_path, "evaluation: {metrics: [ndcg@10, mrr@5]}")
    assert settings.evaluation.evaluated == (*USUAL_METRICS, "mrr@5")


def test_only_replaces_them(tmp_path):
    settings = read(
        tmp_path,
        "evaluation: {only: [mrr@5, ndcg@10]}\npolicy: {primary: mrr@5, guardrails: []}",
    )
    assert settings.evaluation.evaluated == ("mrr@5", "ndcg@10")


def test_a_list_of_all_usual_ones_means_the_same_either_way():
    """So do the arguments of a run that an older version wrote."""
    assert EvaluationSettings(metrics=USUAL_METRICS).evaluated == USUAL_METRICS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evaluation: {metrics: [mrr@5]}",
        "evaluation: {only: [ndcg@10]}\npolicy: {guardrails: []}",
    ],
)
def test_settings_go_through_their_document(tmp_path, text):
    settings = read(tmp_path, text)
    document = yaml.safe_load(yaml.safe_dump(settings.document()))
    assert Settings.model_validate(document) == settings
    arguments = settings.arguments()["evaluation"]
    assert EvaluationSettings.model_validate(arguments) == settings.evaluation


def test_only_without_a_name_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"line 2: evaluation\.only: .*at least 1 item"):
        read(tmp_path, "evaluation: {only: []}")
