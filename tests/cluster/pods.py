"""Steps as pods on a real cluster, as Kubeflow Pipelines runs them, through kubectl.

What the launcher does around a step (folders before it, outputs after it) is done here by an init
container and by a reader that shares the volume; the step's command, arguments, resources and
paths are those of the compiled pipeline.
"""

import io
import json
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from tests.cluster.documents import EMULATOR, NAMESPACE, READER, artifacts, reader_pod, step_pod
from tests.cluster.pipeline import METADATA, Json, Outputs, Step, local_path, parsed


@dataclass(frozen=True)
class Ended:
    """How a step's container ended.

    Attributes:
        message: the pod's termination message, which Kubeflow shows for a failed step.
        waited: seconds until the container ran: scheduling, volumes, the init container. A start
            is known to a second.
        first: seconds from there to its first line.
        seconds: from its start to its end.
    """

    pod: str
    exit_code: int
    reason: str
    message: str
    log: str
    waited: float
    first: float
    seconds: float

    def __str__(self) -> str:
        last = "\n".join(self.log.splitlines()[-15:])
        return f"{self.pod}: exit code {self.exit_code} ({self.reason}) {self.message}\n{last}"


@dataclass
class Cluster:
    """One kube context, the image of the steps, and what was seen so far."""

    context: str
    image: str
    say: Callable[[str], None]
    folder: str = field(default_factory=lambda: f"setlist-suite-{uuid.uuid4().hex[:12]}")
    ended: list[tuple[str, Ended]] = field(default_factory=list)
    kept: dict[str, Outputs] = field(default_factory=dict)

    def kubectl(self, *arguments: str, stdin: str | bytes = b"", check: bool = True) -> str:
        """The output of kubectl; a failure is an AssertionError with what it says."""
        return self.kubectl_bytes(*arguments, stdin=stdin, check=check).decode()

    def kubectl_bytes(self, *arguments: str, stdin: str | bytes = b"", check: bool = True) -> bytes:
        """The same where the output is no text."""
        done = subprocess.run(
            ["kubectl", "--context", self.context, "--namespace", NAMESPACE, *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=900,
            check=False,
        )
        said = f"kubectl {' '.join(arguments)[:200]}: {done.stderr.decode()}"
        assert not check or done.returncode == 0, said
        return done.stdout

    def apply(self, *documents: Json) -> None:
        """Create or change resources."""
        self.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(documents))

    def pod(self, name: str) -> Json:
        """A pod as the API describes it."""
        return json.loads(self.kubectl("get", "pod", name, "--output", "json"))

    # --- a step ------------------------------------------------------------------------------

    def start(self, step: Step, memory: str = "", emulator: str = EMULATOR) -> str:
        """Create the pod of a step; its name. See `step_pod`."""
        name = f"{step.task}-{uuid.uuid4().hex[:6]}"
        self.apply(step_pod(name, step, self.image, self.folder, memory, emulator))
        return name

    def wait(self, name: str, seconds: float = 900) -> Ended:
        """Wait for the end of a pod; AssertionError when it takes longer or cannot start."""
        began = time.monotonic()
        while (pod := self.pod(name))["status"]["phase"] not in ("Succeeded", "Failed"):
            states = [one["state"] for one in pod["status"].get("containerStatuses", ())]
            waiting = [one.get("waiting", {}) for one in states]
            stuck = [one for one in waiting if "Err" in one.get("reason", "")]
            assert not stuck, f"{name} cannot start: {stuck}"
            late = time.monotonic() - began > seconds
            assert not late, f"{name} has not ended in {seconds:.0f} s:\n{self.describe(name)}"
            time.sleep(0.3)
        return self._ended(name, pod)

    def run(self, step: Step, memory: str = "") -> Ended:
        """Run a step to its end, whatever that is."""
        ended = self.wait(self.start(step, memory))
        self.ended.append((step.task, ended))
        self.say(
            f"{step.task:18} exit {ended.exit_code}, {ended.waited:4.1f} s to start, first line "
            f"after {ended.first:4.1f} s, {ended.seconds:5.1f} s"
        )
        return ended

    def execute(self, step: Step) -> Outputs:
        """Run a step that has to succeed; what it left. A cached step is not run again."""
        key = json.dumps([step.container, step.inputs["inputs"]], sort_keys=True)
        if step.cacheable and key in self.kept:
            self.say(f"{step.task:18} cached")
            return self.kept[key]
        ended = self.run(step)
        assert ended.exit_code == 0, str(ended)
        self.kept[key] = self.outputs(step, ended.pod)
        return self.kept[key]

    def outputs(self, step: Step, pod: str) -> Outputs:
        """What a step left, as the launcher reads it: a parameter in its own file comes second."""
        own = f"/minio/outputs/{pod}"
        said = json.loads(self.read(f"{own}/metadata/{PurePosixPath(METADATA).name}") or b"{}")
        found = Outputs(dict(said.get("parameterValues", {})))
        for key in step.definitions.keys() - found.parameters.keys():
            text = self.read(f"{own}/parameters/{key}").decode()
            found.parameters[key] = parsed(text, step.definitions[key])
        for one in artifacts(step):
            written = said.get("artifacts", {}).get(one["name"], {}).get("artifacts", [{}])[0]
            found.artifacts[one["name"]] = one | {
                key: written[key] for key in ("uri", "metadata") if written.get(key)
            }
        return found

    # --- the reader --------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        """The content of a file on the volume."""
        return self.kubectl_bytes("exec", READER, "--", "cat", path)

    def fetch(self, artifact: Json, to: Path) -> Path:
        """Copy an artifact, a file or a folder, from the volume into a folder here."""
        path = PurePosixPath(local_path(artifact["uri"]))
        tar = ["tar", "-C", str(path.parent), "-c", path.name]
        packed = self.kubectl_bytes("exec", READER, "--", *tar)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(to, filter="data")
        return to / path.name

    def ask(self, program: str, *arguments: str) -> Any:
        """What a program prints as JSON that runs in the image, beside the store."""
        said = self.kubectl("exec", "-i", READER, "--", "python3", "-", *arguments, stdin=program)
        return json.loads(said.splitlines()[-1])

    def describe(self, name: str) -> str:
        """What the cluster says about a pod that does not get on."""
        return self.kubectl("describe", "pod", name, check=False)[-2000:]

    def _ended(self, name: str, pod: Json) -> Ended:
        statuses = pod["status"].get("containerStatuses", [])
        state = statuses[0]["state"].get("terminated") if statuses else None
        assert state, f"{name} ended before its container ran:\n{self.describe(name)}"
        lines = self.kubectl("logs", name, "--container", "main", "--timestamps").splitlines()
        started, finished = _instant(state["startedAt"]), _instant(state["finishedAt"])
        said = _instant(lines[0].split()[0]) if lines else finished
        return Ended(
            pod=name,
            exit_code=state["exitCode"],
            reason=state.get("reason", ""),
            message=state.get("message", ""),
            log="\n".join(line.partition(" ")[2] for line in lines),
            waited=started - _instant(pod["metadata"]["creationTimestamp"]),
            first=max(said - started, 0.0),
            seconds=finished - started,
        )


@contextmanager
def prepared(cluster: Cluster, manifests: Path, gcs_image: str) -> Iterator[Cluster]:
    """Set up namespace, store, volume and reader; and take away what was not there before."""
    before = cluster.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found")
    other = cluster.kubectl("get", "pod", READER, "--ignore-not-found")
    assert not other, (
        f"another suite runs in {NAMESPACE} or was cut off there; wait for its end, or clean up: "
        f"kubectl --context {cluster.context} delete namespace {NAMESPACE}"
    )
    documents = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(manifests))))
    for one in documents:
        if one["kind"] == "Deployment" and gcs_image:
            one["spec"]["template"]["spec"]["containers"][0]["image"] = gcs_image
    classes = json.loads(cluster.kubectl("get", "storageclass", "--output", "json"))["items"]
    usual = "storageclass.kubernetes.io/is-default-class"
    dynamic = any(one["metadata"].get("annotations", {}).get(usual) == "true" for one in classes)
    volume = manifests / ("volume.yaml" if dynamic else "volume-static.yaml")
    cluster.say(f"volume: {'the default storage class' if dynamic else 'a folder of the node'}")
    try:
        cluster.apply(*documents)
        cluster.kubectl("apply", "--filename", str(volume))
        cluster.kubectl("rollout", "status", "deployment/fake-gcs-server", "--timeout=300s")
        cluster.apply(reader_pod(cluster.image, cluster.folder))
        cluster.kubectl("wait", f"pod/{READER}", "--for=condition=Ready", "--timeout=300s")
        yield cluster
    finally:
        cluster.kubectl("exec", READER, "--", "sh", "-c", "rm -rf /minio/*", check=False)
        cluster.kubectl("delete", "pod", "--selector=app=setlist-suite", "--wait", check=False)
        cluster.kubectl("delete", "--filename", str(volume), "--ignore-not-found")
        if not before:
            cluster.kubectl("delete", "namespace", NAMESPACE)


def _instant(text: str) -> float:
    """Seconds of an RFC 3339 instant, whose fractions Python reads up to six digits of."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
