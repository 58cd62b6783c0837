"""The component suite: every step as a pod on a real cluster.

pytest tests/cluster --context kind-setlist --image setlist:dev

The image has to be on the cluster's nodes, or in a registry that they can pull from.
"""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.cluster.pipeline import Json, Outputs, Pipeline, Step
from tests.cluster.pods import Cluster, Ended, prepared

from setlist_pipelines.settings.file import SAMPLE, read_settings

MANIFESTS = Path(__file__).parents[2] / "manifests" / "kind"
LOOK = """
import json, sys
from setlist.store.model_store import open_store
store, name = open_store(sys.argv[1]), sys.argv[2]
head = store.head(name)
print(json.dumps({"live": head and head.live, "revisions": store.revisions(name)}))
"""
EVERYTHING = ["candidates={narrow: {dimension: 8, epochs: 2}, wide: {}}", "refit=true"]
"""Settings with which every step is in the graph: several candidates and a refit."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster")
    group.addoption("--context", default="", help="kubectl's context of the cluster to test on")
    group.addoption("--image", default="setlist:latest", help="the image of the steps")
    group.addoption("--gcs-image", default="", help="instead of fsouza/fake-gcs-server")
    group.addoption("--kfp-host", default="", help="Kubeflow Pipelines 2.17 in that cluster")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without a cluster this folder is left alone: nobody guesses where to make things."""
    return None if config.getoption("--context", "") else True


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kfp: needs Kubeflow Pipelines 2.17, see --kfp-host")


@pytest.fixture(scope="session")
def context(request: pytest.FixtureRequest) -> str:
    if not shutil.which("kubectl"):
        pytest.exit("kubectl is missing; install version 1.33 to 1.35", returncode=4)
    chosen = request.config.getoption("--context")
    assert isinstance(chosen, str)
    return chosen


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, context: str) -> Iterator[Cluster]:
    """Namespace, store, volume and a reader on the cluster."""
    terminal = request.config.get_terminal_writer()
    option = request.config.getoption
    seen = Cluster(context, option("--image"), lambda line: terminal.line(f"  {line}"))
    request.config.stash[SEEN] = seen
    with prepared(seen, MANIFESTS, option("--gcs-image")):
        yield seen


SEEN = pytest.StashKey[Cluster]()


@dataclass
class Run:
    """One run of the whole pipeline, step by step, as far as it came.

    Attributes:
        steps: by task, in the order in which they ran.
        left: what those that succeeded left.
        ended: how the pods ended of those that were not cached.
        failure: of the first that did not.
    """

    run_id: str
    steps: dict[str, Step] = field(default_factory=dict)
    left: dict[str, Outputs] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    failure: AssertionError | None = None


def left(run: Run, task: str) -> Outputs:
    """What a task left that has to have succeeded."""
    assert task in run.left, f"{task} left nothing: {run.failure}"
    return run.left[task]


@dataclass
class Rehearsal:
    """The compiled pipeline on the cluster, with a store of its own."""

    cluster: Cluster
    pipeline: Pipeline
    arguments: Json

    def store(self, name: str) -> Json:
        """What is live under a name, and which revisions are complete."""
        return self.cluster.ask(LOOK, self.arguments["store"], name)

    def run(self, **arguments: object) -> Run:
        """Run it once more; whatever fails is kept for the tests to say."""
        run = Run(str(uuid.uuid4()))

        def execute(step: Step) -> Outputs:
            run.steps[step.task] = step
            before = len(self.cluster.ended)
            try:
                run.left[step.task] = self.cluster.execute(step)
            finally:
                run.ended |= dict(self.cluster.ended[before:])
            return run.left[step.task]

        try:
            self.pipeline.run(self.arguments | arguments, execute, run.run_id)
        except AssertionError as fault:
            run.failure = fault
        return run


Rehearse = Callable[..., Rehearsal]


@pytest.fixture(scope="session")
def rehearse(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Rehearse:
    """Compiles the bundled sample's pipeline with other settings, by the command a user has."""

    def compiled(*settings: str) -> Rehearsal:
        changed = [f"store=gs://setlist/suite-{uuid.uuid4().hex[:8]}", *settings]
        package = tmp_path_factory.mktemp("package") / "pipeline.yaml"
        command = [
            sys.executable,
            "-m",
            "setlist_pipelines",
            "compile",
            "--output",
            str(package),
        ]
        subprocess.run(
            [*command, *(f"--set={one}" for one in changed)],
            env=os.environ | {"SETLIST_IMAGE": cluster.image},
            check=True,
        )
        arguments = read_settings(SAMPLE, changed).arguments()
        return Rehearsal(cluster, Pipeline(package), arguments)

    return compiled


@pytest.fixture(scope="session")
def rehearsal(rehearse: Rehearse) -> Rehearsal:
    """The pipeline with every step in its graph."""
    return rehearse(*EVERYTHING)


@pytest.fixture(scope="session")
def first(rehearsal: Rehearsal) -> Run:
    """The first run of it: nothing is live yet."""
    return rehearsal.run()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The time that pods took, by step."""
    if not (seen := config.stash.get(SEEN, None)) or not seen.ended:
        return
    terminalreporter.section("pods")
    terminalreporter.line(f"{'step':18}{'pods':>5}{'to start':>10}{'first line':>12}{'ran':>8}  s")
    for task in dict.fromkeys(task for task, _ in seen.ended):
        pods = [ended for name, ended in seen.ended if name == task and ended.exit_code == 0]
        if pods:
            columns = [[one.waited for one in pods], [one.first for one in pods]]
            waited, first = (sum(column) / len(pods) for column in columns)
            ran = sum(one.seconds for one in pods) / len(pods)
            terminalreporter.line(f"{task:18}{len(pods):5}{waited:10.1f}{first:12.1f}{ran:8.1f}")
