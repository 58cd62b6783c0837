"""`setlist kind` as a command, with programs on the PATH that write down how they are called.

What kind and Kubernetes themselves make of it is the matter of the component suite.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from setlist_pipelines.cli.main import main
from setlist_pipelines.laptop import kind

DIGEST = "sha256:" + "4" * 64
LISTED = f"""\
REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/library/setlist:1 application/vnd.oci.image.manifest.v1+json {DIGEST} 1.4 GiB linux/amd64
"""
PROGRAMS = {
    "kind": """
case "$1 $2" in
  "--version "*) echo "kind version ${KIND_VERSION:-0.30.0}" ;;
  "get clusters") cat "$STATE" ;;
  "create cluster") echo setlist > "$STATE" ;;
  "delete cluster") : > "$STATE" ;;
esac""",
    "kubectl": """
case "$*" in
  *port-forward*) echo "Forwarding from 127.0.0.1:45678 -> 8888" ;;
  *"$REFUSED"*) [ -z "$REFUSED" ] ;;
esac""",
    "docker": f"""
case "$*" in
  "image ls --quiet setlist:1") echo abc ;;
  *"images ls"*) printf '%s' '{LISTED}' ;;
esac""",
    "git": "",
}


class Bench:
    """The command line, and what it called."""

    def __init__(self, folder: Path, monkeypatch, capfd) -> None:
        self.folder, self.log = folder, folder / "calls"
        self.monkeypatch, self.capfd = monkeypatch, capfd
        for name, script in PROGRAMS.items():
            program = folder / name
            head = f'#!/bin/sh\necho "{name} $*" >> {self.log}'
            program.write_text(f"{head}\n{script}\n")
            program.chmod(0o755)
        (folder / "state").touch()
        monkeypatch.setenv("STATE", str(folder / "state"))
        monkeypatch.setenv("REFUSED", "")
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def setlist(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        self.monkeypatch.setattr(sys, "argv", ["setlist", "kind", *arguments])
        self.monkeypatch.setattr(sys, "path", list(sys.path))
        self.log.write_text("")
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *self.capfd.readouterr()

    @property
    def calls(self) -> list[str]:
        """What was called, but for questions."""
        asked = ("--version", "get clusters", "docker info", "image ls", "images ls")
        lines = self.log.read_text().replace(f"{kind.MANIFESTS}", "MANIFESTS").splitlines()
        return [line for line in lines if not any(one in line for one in asked)]


@pytest.fixture
def bench(tmp_path, monkeypatch, capfd) -> Bench:
    return Bench(tmp_path, monkeypatch, capfd)


APPLIED = [
    "kubectl --context kind-setlist apply -k MANIFESTS",
    "kubectl --context kind-setlist rollout status deployment/fake-gcs-server "
    "--namespace setlist-suite --timeout=5m",
]
CREATED = "kind create cluster --config MANIFESTS/cluster.yaml --wait=5m"


def test_up_creates_it_once(bench: Bench):
    code, out, err = bench.setlist("up")
    assert (code, out) == (0, "")
    assert bench.calls == [CREATED, *APPLIED]
    assert "next: setlist kind load" in err
    assert bench.setlist("up")[0] == 0
    assert bench.calls == APPLIED


def test_up_with_kubeflow(bench: Bench):
    """Definitions first, established; then the installation of the same version, ready."""
    assert bench.setlist("up", "--kubeflow")[0] == 0
    source = "github.com/kubeflow/pipelines/manifests/kustomize"
    begin = [call.removeprefix("kubectl --context kind-setlist ") for call in bench.calls[3:]]
    assert begin == [
        f"apply -k {source}/cluster-scoped-resources?ref=2.17.0",
        "wait crd/applications.app.k8s.io --for=condition=established --timeout=60s",
        f"apply -k {source}/env/platform-agnostic?ref=2.17.0",
        "wait deployment --all --for=condition=Available --namespace kubeflow --timeout=20m",
    ]
    minor = kind.KUBEFLOW.rpartition(".")[0]
    assert version("kfp").rpartition(".")[0] == minor, "patches of SDK and backend come apart"


def test_a_command_that_fails_ends_it(bench: Bench, monkeypatch):
    monkeypatch.setenv("REFUSED", "rollout status")
    code, _, err = bench.setlist("up", "--kubeflow")
    assert code == 1
    assert "setlist: `kubectl --context kind-setlist rollout status" in err
    assert bench.calls == [CREATED, *APPLIED]


def test_load_names_the_image_by_its_digest(bench: Bench):
    bench.setlist("up")
    code, out, _ = bench.setlist("load", "setlist:1")
    assert (code, out) == (0, f"setlist@{DIGEST}\n")
    assert bench.calls == [
        "kind load docker-image setlist:1 --name setlist",
        "docker exec setlist-control-plane ctr --namespace=k8s.io images tag --force "
        f"docker.io/library/setlist:1 docker.io/library/setlist@{DIGEST}",
    ]


def test_an_image_that_is_not_there(bench: Bench):
    bench.setlist("up")
    code, _, err = bench.setlist("load", "setlist:2")
    assert (code, bench.calls) == (1, [])
    assert "the image setlist:2 is not on this machine; build it with `setlist image build`." in err


@pytest.mark.parametrize("command", ["load", "test"])
def test_no_cluster(bench: Bench, command: str):
    code, _, err = bench.setlist(command)
    assert (code, bench.calls) == (1, [])
    assert "there is no cluster on this machine; create it with `setlist kind up`." in err


@pytest.mark.parametrize("missing", ["docker", "kind", "kubectl"])
def test_a_program_is_missing(bench: Bench, monkeypatch, missing: str):
    (bench.folder / missing).unlink()
    monkeypatch.setenv("PATH", str(bench.folder))
    code, _, err = bench.setlist("up")
    assert code == 1
    assert f"{missing} is missing; install" in err
    assert bench.calls == []


def test_an_old_kind(bench: Bench, monkeypatch):
    monkeypatch.setenv("KIND_VERSION", "0.29.1")
    code, _, err = bench.setlist("up")
    assert (code, bench.calls) == (1, [])
    assert "kind is 0.29.1, which is too old; install version 0.30" in err


def test_down(bench: Bench):
    bench.setlist("up")
    assert bench.setlist("down")[0] == 0
    assert bench.calls == ["kind delete cluster --name setlist"]


@pytest.mark.parametrize(("kubeflow", "hosts"), [(False, []), (True, ["http://127.0.0.1:45678"])])
def test_test_runs_the_suite(bench: Bench, monkeypatch, kubeflow: bool, hosts: list[str]):
    """As it stands here, so that its own check of the context's name is what ends it."""
    bench.setlist("up")
    python = bench.folder / "python"
    python.write_text(f'#!/bin/sh\necho "pytest $*" >> {bench.log}\nexit 3\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    flag = ["--kubeflow"] if kubeflow else []
    assert bench.setlist("test", "setlist:1", *flag, "-k", "push")[0] == 3, "pytest's own code"
    suite = f"pytest -m pytest {kind.SUITE} --context kind-setlist --image setlist:1"
    forwarded = [f" --kfp-host {host}" for host in hosts]
    assert bench.calls[-1] == suite + "".join(forwarded) + " -k push"


@pytest.mark.parametrize(
    ("repository", "full"),
    [
        ("setlist", "docker.io/library/setlist:1"),
        ("team/setlist", "docker.io/team/setlist:1"),
        ("registry.example/team/setlist", "registry.example/team/setlist:1"),
        ("localhost/setlist", "localhost/setlist:1"),
        ("registry:5000/setlist", "registry:5000/setlist:1"),
    ],
)
def test_names_in_full(repository: str, full: str):
    assert kind.full_name(repository, "1") == full
