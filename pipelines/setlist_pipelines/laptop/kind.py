"""A cluster on this machine, of kind: Kubernetes, a stand-in for the store, Kubeflow Pipelines.

The image of the steps is loaded, not pulled, and gets a name by digest on the way, so that what is
tested here is submitted as it is submitted elsewhere.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from docker.utils import parse_repository_tag

from setlist.errors import ClusterError
from setlist_pipelines.laptop.registry import locate

KIND = (0, 30)
KUBECTL = "1.33 to 1.35"
KUBEFLOW = "2.17.0"
"""The versions: of kind at least (the node image in manifests/kind/cluster.yaml is of this one),
of kubectl what Kubernetes 1.34 supports, of Kubeflow Pipelines exactly."""
CLUSTER = "setlist"
CONTEXT = f"kind-{CLUSTER}"
NODE = f"{CLUSTER}-control-plane"
SUITE = Path("tests/cluster")
ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests" / "kind"
INSTALL = {
    "docker": "install Docker and start it (https://docs.docker.com/engine/install)",
    "kind": f"install version {'.'.join(map(str, KIND))} (https://kind.sigs.k8s.io)",
    "kubectl": f"install version {KUBECTL} (https://kubernetes.io/docs/tasks/tools)",
    "git": "install it; kubectl fetches the manifests of Kubeflow Pipelines with it",
}
API_PORT = 8888


def up(kubeflow: bool) -> None:
    """Create the cluster unless it is there, and bring what it holds in step with the manifests.

    Args:
        kubeflow: also install Kubeflow Pipelines, standalone.

    Raises:
        ClusterError: a program is missing or too old, or a command failed.
    """
    _need("docker", "kind", "kubectl", *(["git"] if kubeflow else []))
    if CLUSTER not in _output("kind", "get", "clusters").split():
        _run("kind", "create", "cluster", "--config", str(MANIFESTS / "cluster.yaml"), "--wait=5m")
    _kubectl("apply", "-k", str(MANIFESTS))
    _kubectl(
        *("rollout", "status", "deployment/fake-gcs-server"),
        *("--namespace", "setlist-suite", "--timeout=5m"),
    )
    if kubeflow:
        for command in kubeflow_commands():
            _kubectl(*command)


def kubeflow_commands() -> list[list[str]]:
    """What installs Kubeflow Pipelines standalone, as arguments of kubectl, in order."""
    source = "github.com/kubeflow/pipelines/manifests/kustomize"
    ready = ["--namespace", "kubeflow", "--timeout=20m"]
    return [
        ["apply", "-k", f"{source}/cluster-scoped-resources?ref={KUBEFLOW}"],
        ["wait", "crd/applications.app.k8s.io", "--for=condition=established", "--timeout=60s"],
        ["apply", "-k", f"{source}/env/platform-agnostic?ref={KUBEFLOW}"],
        ["wait", "deployment", "--all", "--for=condition=Available", *ready],
    ]


def load(image: str) -> str:
    """Put an image of this machine's engine on the node.

    Returns:
        its reference by digest, for SETLIST_IMAGE; only this cluster has it.

    Raises:
        ClusterError: a program, the cluster or the image is missing, or a command failed.
    """
    _need("docker", "kind")
    _running()
    if "@" in image or not _output("docker", "image", "ls", "--quiet", image).strip():
        raise ClusterError(
            f"the image {image} is not on this machine", "build it with `setlist image build`"
        )
    _run("kind", "load", "docker-image", image, "--name", CLUSTER)
    repository, tag = parse_repository_tag(image)
    known = full_name(repository, tag or "latest")
    listed = _output(*_ctr("ls", f"name=={known}")).splitlines()
    # The node's runtime knows an image by its name and tag; under a second name, with the digest of
    # its manifest, it is found where a pod asks for that.
    digest = listed[-1].split()[2]
    reference = f"{known.removesuffix(':' + (tag or 'latest'))}@{digest}"
    _output(*_ctr("tag", "--force", known, reference))
    return f"{repository}@{digest}"


def test(image: str, kubeflow: bool, arguments: Sequence[str]) -> int:
    """Run the component suite on the cluster; the exit code of pytest.

    Args:
        image: as `load` was given it, or as it named it.
        kubeflow: also run the whole pipeline on Kubeflow Pipelines.
        arguments: more of pytest's.

    Raises:
        ClusterError: a program, the cluster, the suite or Kubeflow Pipelines is missing.
    """
    _need("kind", "kubectl")
    _running()
    if not (ROOT / SUITE).is_dir():
        raise ClusterError(
            f"{ROOT} has no {SUITE}", "run this with the `setlist` of a clone (make)"
        )
    command = [sys.executable, "-m", "pytest", str(SUITE), "--context", CONTEXT, "--image", image]
    if not kubeflow:
        return _call([*command, *arguments])
    with _forwarded() as host:
        return _call([*command, "--kfp-host", host, *arguments])


def down() -> None:
    """Delete the cluster and all that is in it; nothing happens where there is none."""
    _need("docker", "kind")
    _run("kind", "delete", "cluster", "--name", CLUSTER)


def pinned_node() -> str:
    """The node's image in the cluster's configuration."""
    configuration = yaml.safe_load((MANIFESTS / "cluster.yaml").read_text("utf-8"))
    return str(configuration["nodes"][0]["image"])


def _need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            raise ClusterError(f"{program} is missing", f"{INSTALL[program]}")
    if not MANIFESTS.is_dir():
        raise ClusterError(
            f"{MANIFESTS} is missing", "run this with the `setlist` of a clone (make)"
        )
    if "docker" in programs and _fails("docker", "info"):
        raise ClusterError("no Docker engine answers", "start one")
    if "kind" in programs:
        version = _output("kind", "--version").split()[-1]
        if tuple(int(part) for part in version.lstrip("v").split(".")[:2]) < KIND:
            raise ClusterError(f"kind is {version}, which is too old", f"{INSTALL['kind']}")


def _running() -> None:
    if CLUSTER not in _output("kind", "get", "clusters").split():
        raise ClusterError(
            "there is no cluster on this machine", "create it with `setlist kind up`"
        )


def full_name(repository: str, tag: str) -> str:
    """An image's name in full, as a node has it: setlist is docker.io/library/setlist."""
    return f"{'/'.join(locate(repository))}:{tag}"


def _ctr(*arguments: str) -> list[str]:
    return ["docker", "exec", NODE, "ctr", "--namespace=k8s.io", "images", *arguments]


@contextmanager
def _forwarded() -> Iterator[str]:
    """The address of the API of Kubeflow Pipelines, while a tunnel to it stands."""
    command = ["kubectl", "--context", CONTEXT, "--namespace", "kubeflow", "port-forward"]
    command += ["service/ml-pipeline", f":{API_PORT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tunnel:  # noqa: S603
        try:
            line = tunnel.stdout.readline() if tunnel.stdout else ""
            if "->" not in line:
                raise ClusterError(
                    "Kubeflow Pipelines is not in the cluster",
                    "add it with `setlist kind up --kubeflow`",
                )
            yield f"http://{line.split(' -> ')[0].removeprefix('Forwarding from ')}"
        finally:
            tunnel.terminate()


def _kubectl(*arguments: str) -> None:
    _run("kubectl", "--context", CONTEXT, *arguments)


def _run(*command: str) -> None:
    if _call(command):
        raise ClusterError(f"`{shlex.join(command)}` failed", "the reason stands above")


def _call(command: Sequence[str]) -> int:
    """Run with the output on the screen, as standard error: standard output is for results."""
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)  # noqa: T201
    return subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr).returncode  # noqa: S603


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ClusterError(f"`{shlex.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def _fails(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0  # noqa: S603
