"""What Argo makes of the compiled time to live and retries, with the defaults of 2.17 below them.

The compiled pipeline becomes a Workflow as in `buildTTLStrategy` and
`getTaskRetryStrategyFromInput` of 2.17.0's argocompiler. Argo 4.0.5 merges `workflowDefaults` below
it when it is created, and `templateDefaults` below each template while it runs
(`mergedTemplateDefaultsInto`): what is compiled wins, key by key.
"""

import json
import shlex

import pytest
import yaml
from tests.setlist_pipelines.kubeflow.conftest import IMAGE
from tests.setlist_pipelines.kubeflow.recordings import recording

from setlist_pipelines.kubeflow.controller import STOCK, patch_command, repeats_failures
from setlist_pipelines.settings.file import SAMPLE, read_settings

WEEK = 7 * 24 * 3600
STORE = "store=gs://bucket/models"
TTL_FIELDS = {  # of the pipeline's configuration: Argo's
    "resourceTtlOnCompletion": "secondsAfterCompletion",
    "resourceTtlOnSuccess": "secondsAfterSuccess",
    "resourceTtlOnFailure": "secondsAfterFailure",
}
Json = dict


def merged(below: Json, above: Json) -> Json:
    """A document over another: key by key, the upper wins."""
    both = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            both[key] = merged(below[key], above[key])
    return both


def workflow(compiled: bytes) -> Json:
    """The Workflow's specification as the API's server makes it; a template for each task."""
    pipeline, platform = yaml.safe_load_all(compiled)
    config = platform["platforms"]["kubernetes"].get("pipelineConfig", {})
    ttl = {ours: int(config[key]) for key, ours in TTL_FIELDS.items() if int(config.get(key, 0))}
    dags = [pipeline["root"], *pipeline["components"].values()]
    tasks = [pair for dag in dags if "dag" in dag for pair in dag["dag"]["tasks"].items()]
    templates = {}
    for name, task in tasks:
        policy = task.get("retryPolicy")
        templates[name] = {} if policy is None else {
            "retryStrategy": {
                "limit": str(policy["maxRetryCount"]),
                "backoff": {
                    "duration": policy["backoffDuration"].removesuffix("s"),
                    "factor": str(policy["backoffFactor"]),
                    "maxDuration": policy["backoffMaxDuration"].removesuffix("s"),
                },
            }
        }  # fmt: skip
    return ({"ttlStrategy": ttl} if ttl else {}) | {"templates": templates}


def run_by(defaults: Json, spec: Json) -> Json:
    """The specification that Argo acts on, with its defaults in place."""
    whole = merged(defaults.get("spec", {}), spec)
    below = whole.get("templateDefaults", {})
    return whole | {
        "templates": {name: merged(below, own) for name, own in whole["templates"].items()}
    }


def seconds_kept(spec: Json, ended: str) -> int | None:
    """How long an ended run is kept: `ttl` of Argo's gc_controller.go."""
    ttl = spec.get("ttlStrategy", {})
    return ttl.get(f"secondsAfter{ended}", ttl.get("secondsAfterCompletion"))


def policy(spec: Json, task: str) -> str:
    """`RetryPolicyActual` of Argo's workflow_types.go."""
    return spec["templates"][task]["retryStrategy"].get("retryPolicy", "OnFailure")


def patched() -> Json:
    """The defaults after the command that the doctor prints."""
    *_, patch = shlex.split(patch_command(STOCK))
    return yaml.safe_load(json.loads(patch)["data"]["workflowDefaults"])


@pytest.fixture(scope="module")
def compiled(packaged):
    def spec(*changes: str) -> Json:
        return workflow(packaged(read_settings(SAMPLE, [STORE, *changes]), IMAGE).content)

    return spec


@pytest.mark.parametrize("defaults", [STOCK, patched(), {}], ids=["stock", "patched", "none"])
def test_the_compiled_time_to_live_wins_for_success_and_for_failure(compiled, defaults):
    run = run_by(defaults, compiled("platform.ttl=7d"))
    assert [seconds_kept(run, ended) for ended in ("Success", "Failure")] == [WEEK, WEEK]


def test_the_time_after_completion_alone_would_lose():
    """As the old code compiled it, and as it was recorded."""
    run = run_by(STOCK, {"ttlStrategy": {"secondsAfterCompletion": WEEK}, "templates": {}})
    assert run["ttlStrategy"] == recording("workflow_failed")["spec"]["ttlStrategy"]
    assert [seconds_kept(run, ended) for ended in ("Success", "Failure")] == [3600, 3600]


def test_the_defaults_are_those_that_were_recorded():
    spec = recording("workflow_failed")["spec"]
    stock = STOCK["spec"]["templateDefaults"]["retryStrategy"]
    assert spec["templateDefaults"]["retryStrategy"] == stock


def test_the_retries_of_a_compiled_step_have_the_keys_that_were_recorded(compiled):
    [recorded] = [
        one["retryStrategy"]
        for one in recording("workflow_failed")["spec"]["templates"]
        if "retryStrategy" in one
    ]
    own = compiled("platform.steps.train.retries=3")["templates"]["train"]["retryStrategy"]
    assert own.keys() == recorded.keys()
    assert own["backoff"].keys() == recorded["backoff"].keys()
    assert own["limit"] == "3"


def test_the_policy_of_the_defaults_stays_and_the_compiled_number_wins(compiled):
    """So a step that fails is not started again; recorded, where memory ran out."""
    run = run_by(STOCK, compiled("platform.steps.train.retries=3"))
    assert policy(run, "train") == "OnError"
    assert run["templates"]["train"]["retryStrategy"]["limit"] == "3"
    assert policy(run, "plan") == "OnError", "lost pods are repeated without retries of one's own"
    assert run["templates"]["plan"]["retryStrategy"]["limit"] == "2"
    assert not repeats_failures(STOCK)


def test_with_the_patch_of_the_doctor_a_step_that_fails_is_started_again(compiled):
    run = run_by(patched(), compiled("platform.steps.train.retries=3"))
    assert policy(run, "train") == "OnFailure"
    assert run["templates"]["train"]["retryStrategy"]["limit"] == "3"
    assert "retryStrategy" not in run["templates"]["plan"], "no retries are set, and none happen"
    assert repeats_failures(patched())
