"""The policy as a document; what it means is tested in test_gate.py."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from setlist.evaluation.policy import Guardrail, Limits, Policy, SliceRule, schema

OFF = Policy(
    believable=None,
    slices=None,
    limits=Limits(p50_ms=5, p99_ms=None, size_mb=None),
    guardrails=(Guardrail(metric="gini@10", at_most=0.9),),
)


@pytest.mark.parametrize(
    "policy", [Policy(), OFF, Policy(slices=SliceRule(columns=("country",)), operations=("While",))]
)
@pytest.mark.parametrize("exclude_none", [True, False])
def test_a_policy_survives_json_with_and_without_nulls(policy, exclude_none):
    """Kubeflow carries no null; a rule that was switched off must not come back by it."""
    document = policy.model_dump(mode="json", exclude_none=exclude_none)
    assert Policy.model_validate(json.loads(json.dumps(document))) == policy


def test_what_is_switched_off_is_spelt_where_null_is_left_out():
    document = OFF.model_dump(mode="json", exclude_none=True)
    assert document["believable"] == document["slices"] == "null"
    assert document["limits"] == {"p50_ms": 5, "p99_ms": "null", "size_mb": "null"}
    # What has no value by default needs no word for it.
    assert document["guardrails"] == [{"metric": "gini@10", "at_most": 0.9, "of": ""}]


def test_the_word_for_null_is_no_word_for_a_value():
    with pytest.raises(ValidationError, match="under_live"):
        Policy.model_validate({"under_live": "null"})


def test_further_operations_of_a_model_are_named_one_by_one():
    assert Policy().operations == ()
    assert Policy(operations=("While", "Custom>Op")).operations == ("While", "Custom>Op")


@pytest.mark.parametrize("operations", [[""], ["*"], ["Read File"], ["Name\n"], ["While"] * 65])
def test_what_is_no_list_of_operations_is_refused(operations):
    with pytest.raises(ValidationError, match="operations"):
        Policy.model_validate({"operations": operations})


def test_the_metrics_that_a_policy_reads():
    assert OFF.metrics() == ["ndcg@10", "gini@10"]


def test_the_schema_describes_every_setting():
    document = json.loads(schema())
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(document["properties"]) == set(Policy.model_fields)
    assert document["additionalProperties"] is False
    for name, model in (("Guardrail", Guardrail), ("SliceRule", SliceRule), ("Limits", Limits)):
        assert set(document["$defs"][name]["properties"]) == set(model.model_fields)
        assert document["$defs"][name]["additionalProperties"] is False
    described = [key for key, one in document["properties"].items() if "description" in one]
    assert {"primary", "over_heuristics", "under_live", "anchor", "mode"} <= set(described)


def test_the_published_schema_is_that_of_the_code():
    published = Path(__file__).parents[3] / "docs" / "policy.schema.json"
    assert published.read_text("utf-8") == schema(), (
        "run `setlist policy > docs/policy.schema.json`"
    )


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"metric": "coverage@10", "at_least": 5}, "at_least: 5 is more than coverage@10 can be"),
        ({"metric": "gini@5", "at_most": -0.1}, "at_most: -0.1 is less than gini@5 can be"),
        ({"metric": "popularity_lift@10", "at_most": -2}, "which is at least -1"),
    ],
)
def test_a_guardrail_that_no_value_can_hold_is_refused(rule, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Policy.model_validate({"guardrails": [rule]})


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "popularity_lift@10", "at_most": -0.5},
        {"metric": "novelty@10", "at_least": 5},
        {"metric": "coverage@10", "at_least": 5, "of": "live"},
        {"metric": "my_team.metrics:fresh@10", "at_least": 5},
    ],
)
def test_a_guardrail_that_a_value_may_hold_is_read(rule):
    assert Policy.model_validate({"guardrails": [rule]})
