"""The compiled pipeline, taken apart as the driver of Kubeflow Pipelines takes it apart.

Nothing of it is ours but the walk: which steps there are, with what command, resources and inputs,
and under which condition, is read from the YAML that a cluster gets.
"""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import ExecutorInput

ROOT = "minio://mlpipeline/v2/artifacts"
"""The pipeline root of a standalone installation; the launcher maps it to /minio/..."""
OUTPUTS = "/tmp/kfp/outputs"
METADATA = "/tmp/kfp_outputs/output_metadata.json"
CONDITION = re.compile(r"(!\()?inputs\.parameter_values\['([^']+)'\] == '([^']*)'\)?")
Json = dict[str, Any]


@dataclass
class Step:
    """One task with resolved inputs: what the launcher is started with.

    Attributes:
        task: its name in the graph.
        name: of the component, e.g. "train" of the tasks "train" and "train-2".
        container: image, command, args and resources, as compiled.
        inputs: an `ExecutorInput` as JSON.
        definitions: the component's outputs: name to type.
    """

    task: str
    name: str
    container: Json
    inputs: Json
    definitions: Json
    cacheable: bool = True

    @property
    def args(self) -> list[str]:
        """The arguments with the executor's input in the place of its placeholder."""
        checked = json_format.ParseDict(self.inputs, ExecutorInput())
        document = json_format.MessageToJson(checked, indent=None)
        return [document if one == "{{$}}" else one for one in self.container["args"]]

    def changed(self, **parameters: Any) -> "Step":
        """The same step with other parameters and outputs of its own."""
        inputs = json.loads(json.dumps(self.inputs))
        inputs["inputs"]["parameterValues"] |= parameters
        for listed in inputs["outputs"].get("artifacts", {}).values():
            for one in listed["artifacts"]:
                *parents, _, name = one["uri"].split("/")
                one["uri"] = "/".join([*parents, str(uuid.uuid4()), name])
        return Step(self.task, self.name, self.container, inputs, self.definitions, False)

    def path(self, output: str) -> str:
        """Where an output artifact lies in a pod."""
        return local_path(self.inputs["outputs"]["artifacts"][output]["artifacts"][0]["uri"])


@dataclass
class Outputs:
    """What a step left: its parameters, and its artifacts as the next one gets them."""

    parameters: Json = field(default_factory=dict)
    artifacts: dict[str, Json] = field(default_factory=dict)


class Pipeline:
    """A compiled pipeline, run step by step by whatever `execute` is."""

    def __init__(self, package: Path) -> None:
        self.spec, *platform = yaml.safe_load_all(package.read_text("utf-8"))
        kubernetes = platform[0]["platforms"]["kubernetes"] if platform else {}
        self.platform: Json = kubernetes.get("deploymentSpec", {}).get("executors", {})
        self.executors: Json = self.spec["deploymentSpec"]["executors"]

    def run(
        self, arguments: Json, execute: Callable[[Step], Outputs], run_id: str = ""
    ) -> dict[str, Outputs]:
        """Run the graph in order; what each task left, by its name.

        An exit handler runs at the end whether or not something failed before it; then the first
        failure is raised.
        """
        defaults = self.spec["root"]["inputDefinitions"]["parameters"]
        unknown = arguments.keys() - defaults.keys()
        assert not unknown, f"the pipeline has no parameters {unknown}"
        values = {
            key: one["defaultValue"] for key, one in defaults.items() if "defaultValue" in one
        }
        walk = _Walk(self, execute, run_id or str(uuid.uuid4()))
        walk.graph(self.spec["root"]["dag"], values | arguments, {})
        if walk.failure:
            raise walk.failure
        return walk.left

    def step(self, task: str, described: Json, parameters: Json, artifacts: Json, run: str) -> Step:
        """A task with its resolved inputs."""
        component = self.spec["components"][described["componentRef"]["name"]]
        outputs = component.get("outputDefinitions", {})
        label = component["executorLabel"]
        folder = f"{ROOT}/{self.spec['pipelineInfo']['name']}/{run}/{task}/{uuid.uuid4()}"
        inputs = {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {key: {"artifacts": [one]} for key, one in artifacts.items()},
            },
            "outputs": {
                "parameters": {
                    key: {"outputFile": f"{OUTPUTS}/{key}"} for key in outputs.get("parameters", {})
                },
                "artifacts": {
                    key: {
                        "artifacts": [
                            {"name": key, "type": one["artifactType"], "uri": f"{folder}/{key}"}
                        ]
                    }
                    for key, one in outputs.get("artifacts", {}).items()
                },
                "outputFile": METADATA,
            },
        }
        container = self.executors[label]["container"]
        return Step(
            task=task,
            name=re.sub(r"-\d+$", "", label.removeprefix("exec-")),
            container=container | {"platform": self.platform.get(label, {})},
            inputs=inputs,
            definitions={
                key: one["parameterType"] for key, one in outputs.get("parameters", {}).items()
            },
            cacheable=described.get("cachingOptions", {}).get("enableCache", False),
        )


class _Walk:
    """One run of the graph."""

    def __init__(self, pipeline: Pipeline, execute: Callable[[Step], Outputs], run: str) -> None:
        self.pipeline, self.execute, self.run_id = pipeline, execute, run
        self.left: dict[str, Outputs] = {}
        self.failure: AssertionError | None = None

    def graph(self, dag: Json, parameters: Json, artifacts: Json) -> None:
        tasks = dag["tasks"]
        needs = {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()}
        for name in TopologicalSorter(needs).static_order():
            trigger = tasks[name].get("triggerPolicy", {})
            if self.failure and trigger.get("strategy") != "ALL_UPSTREAM_TASKS_COMPLETED":
                continue
            self.task(name, tasks[name], trigger.get("condition", ""), parameters, artifacts)

    def task(
        self, name: str, task: Json, condition: str, parameters: Json, artifacts: Json
    ) -> None:
        asked = task.get("inputs", {})
        values = {
            key: self.parameter(one, parameters) for key, one in asked.get("parameters", {}).items()
        }
        given = {
            key: self.artifact(one, artifacts) for key, one in asked.get("artifacts", {}).items()
        }
        if condition and not holds(condition, values):
            return
        component = self.pipeline.spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            self.graph(component["dag"], values, given)
            return
        step = self.pipeline.step(name, task, values, given, self.run_id)
        try:
            self.left[name] = self.execute(step)
        except AssertionError as fault:
            self.failure = self.failure or fault

    def parameter(self, source: Json, parameters: Json) -> Any:
        if "runtimeValue" in source:
            value = source["runtimeValue"]["constant"]
            return self.run_id if value == "{{$.pipeline_job_uuid}}" else value
        if "taskFinalStatus" in source:
            ended = {"state": "FAILED", "error": {"message": str(self.failure)}}
            return {
                "pipelineTaskName": source["taskFinalStatus"]["producerTask"],
                "pipelineJobResourceName": self.run_id,
            } | (ended if self.failure else {"state": "SUCCEEDED"})
        if "taskOutputParameter" in source:
            wanted = source["taskOutputParameter"]
            return self.left[wanted["producerTask"]].parameters[wanted["outputParameterKey"]]
        return parameters[source["componentInputParameter"]]

    def artifact(self, source: Json, artifacts: Json) -> Json:
        if "taskOutputArtifact" in source:
            wanted = source["taskOutputArtifact"]
            return self.left[wanted["producerTask"]].artifacts[wanted["outputArtifactKey"]]
        return artifacts[source["componentInputArtifact"]]


def holds(condition: str, values: Json) -> bool:
    """Whether a trigger's condition holds; of the two forms that `dsl.If` and `dsl.Else` make."""
    parts = CONDITION.fullmatch(condition)
    assert parts, f"a condition of another form: {condition}"
    equal = values[parts[2]] == parts[3]
    return not equal if parts[1] else equal


def local_path(uri: str) -> str:
    """Where the launcher puts what a URI names."""
    assert uri.startswith("minio://"), uri
    return "/minio/" + uri.removeprefix("minio://")


def parsed(text: str, kind: str) -> Any:
    """The value of an output parameter, from the file that the step wrote."""
    if kind in ("STRUCT", "LIST", "BOOLEAN", "NUMBER_INTEGER", "NUMBER_DOUBLE"):
        return json.loads(text)
    return text
