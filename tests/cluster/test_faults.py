"""Bad input: exit code 1, and the sentence is the pod's termination message."""

from dataclasses import dataclass, field

import pytest
from tests.cluster.conftest import Run
from tests.cluster.pipeline import Json
from tests.cluster.pods import Cluster

from setlist.termination import MAX_MESSAGE_BYTES
from setlist_pipelines.settings.platform import RETRAINING_STEPS

ABSENT = "gs://no-such-bucket/setlist"
EVENTS: Json = {"path": "sample://events", "columns": {"user_id": "nobody"}}


@dataclass(frozen=True)
class Fault:
    """What is wrong with the input of a step, and what it says.

    Attributes:
        artifacts: input -> (task, output) whose artifact is handed in instead.
    """

    says: str
    parameters: Json = field(default_factory=dict)
    artifacts: dict[str, tuple[str, str]] = field(default_factory=dict)


FAULTS = {
    "plan": Fault("yesterday", {"as_of": "yesterday"}),
    "news": Fault("create the bucket or correct the address", {"store": ABSENT}),
    "curate": Fault("nobody", {"data": {"events": EVENTS}}),
    "check-data": Fault(
        "the gate for data stops the run", {"policy": {"data": {"rejected": {"stop": 0.001}}}}
    ),
    "transform": Fault("shoe_size", {"inputs": ["shoe_size"]}),
    "resolve-live": Fault("home has no revision 7", {"rivals": [7]}),
    "fit-heuristics": Fault("horoscope", {"heuristics": {"fit": ["horoscope"]}}),
    "train": Fault("absent", {"label": "absent"}),
    "choose": Fault(
        "a training cannot be read", artifacts={"first_training": ("curate", "dataset")}
    ),
    "evaluate": Fault("ndgc", {"evaluation": {"metrics": ["ndgc@10"]}}),
    "gate": Fault("ndcg@11", {"policy": {"primary": "ndcg@11"}}),
    "report": Fault("evaluation.json is missing", artifacts={"evaluations": ("curate", "dataset")}),
    "transform-whole": Fault("shoe_size", {"inputs": ["shoe_size"]}),
    "refit": Fault("evaluation.json is missing", artifacts={"evaluations": ("curate", "dataset")}),
    "push": Fault("not the model that was judged", artifacts={"candidate": ("train", "candidate")}),
    "announce": Fault("create the bucket or correct the address", {"store": ABSENT}),
}


def test_every_step_can_be_given_something_wrong():
    """The exit handler is the exception: it tells of failures and has none of its own."""
    assert FAULTS.keys() == set(RETRAINING_STEPS) - {"announce-failure"}


@pytest.mark.parametrize("task", FAULTS)
def test_what_is_wrong_is_said(first: Run, cluster: Cluster, task: str):
    fault = FAULTS[task]
    assert task in first.steps, first.failure
    step = first.steps[task].changed(**fault.parameters)
    for name, (other, output) in fault.artifacts.items():
        given = first.left[other].artifacts[output]
        step.inputs["inputs"]["artifacts"][name] = {"artifacts": [given]}
    ended = cluster.run(step)
    assert (ended.exit_code, ended.reason) == (1, "Error"), str(ended)
    assert fault.says in ended.message, str(ended)
    assert len(ended.message.encode()) <= MAX_MESSAGE_BYTES
    assert "Traceback" not in ended.message
    assert ended.message in ended.log, "what the pod says is what its log says"


def test_the_exit_handler_outlives_a_store_that_is_gone(first: Run, cluster: Cluster):
    status = {"state": "FAILED", "pipelineTaskName": "retraining", "error": {"message": "lost"}}
    step = first.steps["announce-failure"].changed(store=ABSENT, status=status)
    ended = cluster.run(step)
    assert ended.exit_code == 0, str(ended)
    assert "not recorded" in ended.log
