"""What steps get on a cluster, as it stands in the compiled pipeline."""

import pytest
import yaml
from pydantic import ValidationError

from setlist_pipelines.kubeflow.compilation import compile_pipeline
from setlist_pipelines.retraining import retraining
from setlist_pipelines.settings.file import SAMPLE, read_settings
from setlist_pipelines.settings.platform import (
    RETRAINING_STEPS,
    STEP_NAMES,
    STEP_NEEDS,
    Platform,
    parse_quantity,
    parse_seconds,
)

CLUSTER = "store=gs://your-bucket/setlist"
PLATFORM = {
    "service_account": "setlist-pipeline",
    "ttl": "2d",
    "deadline": "12h",
    "image_pull_secrets": ["registry"],
    "secrets": {"feature-store": {"token": "FEATURE_STORE_TOKEN"}},
    "config_maps": {"proxy": {"https": "HTTPS_PROXY"}},
    "defaults": {"cpu_limit": "2", "memory_limit": "6Gi", "retries": 1},
    "steps": {
        "train": {
            "memory_request": "12Gi",
            "memory_limit": "16Gi",
            "retries": 3,
            "timeout": "90m",
            "accelerator": {"type": "nvidia.com/gpu", "count": 2},
            "node_selector": {"pool": "gpu"},
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
            ],
        }
    },
}


def compiled(tmp_path, platform):
    changes = [CLUSTER, f"platform={yaml.safe_dump(platform, default_flow_style=True).strip()}"]
    compile_pipeline(read_settings(SAMPLE, changes), tmp_path / "p.yaml")
    return list(yaml.safe_load_all((tmp_path / "p.yaml").read_text()))


def task(spec, name):
    for component in spec["components"].values():
        if name in component.get("dag", {}).get("tasks", {}):
            return component["dag"]["tasks"][name]
    raise AssertionError(name)


def test_every_setting_reaches_the_compiled_pipeline(tmp_path):
    spec, platform = compiled(tmp_path, PLATFORM)
    container = spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert {"name": "SETLIST_ACCELERATOR", "value": "nvidia.com/gpu"} in container["env"]
    train = container["resources"]
    assert (train["resourceMemoryRequest"], train["resourceMemoryLimit"]) == ("12Gi", "16Gi")
    assert (train["resourceCpuRequest"], train["resourceCpuLimit"]) == ("500m", "2")
    device = train["accelerator"]
    assert (device["resourceType"], device["resourceCount"]) == ("nvidia.com/gpu", "2")
    retry = task(spec, "train")["retryPolicy"]
    assert retry == {
        "maxRetryCount": 3,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "600s",
    }
    # What we think a step needs is lowered by its own settings only, never by the defaults.
    limits = {
        name: spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["resources"]
        for name in ("evaluate", "gate", "report", "announce")
    }
    assert {name: one["resourceMemoryLimit"] for name, one in limits.items()} == {
        "evaluate": "8Gi",
        "gate": "6Gi",
        "report": "6Gi",
        "announce": "1Gi",
    }
    assert "retryPolicy" not in task(spec, "gate")
    assert task(spec, "report")["retryPolicy"]["maxRetryCount"] == 1
    kubernetes = platform["platforms"]["kubernetes"]
    own = kubernetes["deploymentSpec"]["executors"]["exec-train"]
    assert own["activeDeadlineSeconds"] == str(90 * 60)
    assert own["nodeSelector"]["labels"] == {"pool": "gpu"}
    [toleration] = own["tolerations"]
    assert (toleration["key"], toleration["effect"]) == ("nvidia.com/gpu", "NoSchedule")
    for step in kubernetes["deploymentSpec"]["executors"].values():
        assert step["imagePullSecret"][0]["secretName"] == "registry"
        [variable] = step["configMapAsEnv"]
        assert variable["keyToEnv"] == [{"configMapKey": "https", "envVar": "HTTPS_PROXY"}]
        assert step["secretAsEnv"][0]["secretName"] == "feature-store"
    assert kubernetes["pipelineConfig"] == {
        "resourceTtlOnCompletion": 2 * 86400,
        "resourceTtlOnSuccess": 2 * 86400,
        "resourceTtlOnFailure": 2 * 86400,
        "activeDeadlineSeconds": 12 * 3600,
    }


def test_what_the_settings_leave_out_has_sane_values_in_every_step(tmp_path):
    spec, platform = compiled(tmp_path, {})
    executors = spec["deploymentSpec"]["executors"]
    for name, executor in executors.items():
        resources = executor["container"]["resources"]
        assert resources["resourceMemoryRequest"], name
        assert resources["resourceMemoryLimit"], name
        assert resources["resourceCpuRequest"], name
        own = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][name]
        assert int(own["activeDeadlineSeconds"]) >= 600
    for step in ("plan", "curate", "gate"):
        assert "retryPolicy" not in task(spec, step), "their faults are settings or data"
    assert task(spec, "train")["retryPolicy"]["maxRetryCount"] == 2


def test_only_those_who_announce_see_the_addresses(tmp_path):
    _, platform = compiled(tmp_path, {})
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    told = {name: one["secretAsEnv"] for name, one in executors.items() if "secretAsEnv" in one}
    assert len(told) == 4
    assert all(name.startswith("exec-announce") for name in told)
    for [secret] in told.values():
        assert (secret["secretName"], secret["optional"]) == ("setlist-notifications", True)


def test_a_laptop_repeats_nothing():
    spec = retraining().pipeline_spec
    retried = [
        name
        for component in spec.components.values()
        for name, one in component.dag.tasks.items()
        if one.HasField("retry_policy")
    ]
    assert retried == []


def test_the_known_steps_are_those_of_the_graph():
    spec = retraining(("one", "two"), refit=True).pipeline_spec
    labels = {one.executor_label for one in spec.components.values() if one.executor_label}
    assert {label.removeprefix("exec-").rstrip("-0123456789") for label in labels} == set(
        RETRAINING_STEPS
    )
    assert STEP_NEEDS.keys() <= set(STEP_NAMES)


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ({"steps": {"trian": {}}}, "there is no step 'trian'; the steps are plan, "),
        ({"steps": {"train": {"memory_request": "lots"}}}, "should match pattern"),
        ({"steps": {"train": {"timeout": "90"}}}, "should match pattern"),
        ({"defaults": {"memory_limit": "500Mi"}}, "asks for 1Gi of memory and is limited to 500Mi"),
        ({"defaults": {"cpu_limit": "100m"}}, "asks for 500m of cpu and is limited to 100m"),
        ({"defaults": {"cpus": 3}}, "Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_found_before_anything_is_compiled(platform, said):
    with pytest.raises(ValidationError, match=said):
        Platform.model_validate(platform)


def test_units():
    assert [parse_seconds(one) for one in ("45s", "90m", "6h", "7d")] == [45, 5400, 21600, 604800]
    assert [parse_quantity(one) for one in ("500m", "2", "1.5")] == [0.5, 2, 1.5]
    assert [parse_quantity(one) for one in ("1Ki", "4Gi", "2G")] == [1024, 4 * 2**30, 2e9]
