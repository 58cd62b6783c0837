"""`setlist image` with a real engine and a real registry (the Debian package docker-registry)."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import yaml

from setlist_pipelines.laptop.image import read_source
from setlist_pipelines.settings.platform import IMAGE_BY_DIGEST

LABEL = "org.opencontainers.image."
PASSWORD = "only-for-this-test"
HTPASSWD = "ci:$2y$05$setlistsetlistsetlis.u87LzvMv17a0spFueCyRBPe623Zwc9Zu\n"  # its bcrypt hash


def setlist(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "setlist_pipelines", "image", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[str]:
    """A registry on the loopback interface: its host and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
    document = {"version": 0.1, "storage": storage, "http": {"addr": address}} | settings
    (folder / "registry.yaml").write_text(yaml.safe_dump(document))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yaml")], stdout=log, stderr=log
        )
        try:
            for _ in range(200):
                assert server.poll() is None, (folder / "log").read_text()
                with socket.socket() as knock:
                    if not knock.connect_ex((address.split(":")[0], int(address.split(":")[1]))):
                        break
                time.sleep(0.05)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=10)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[str]:
    if not shutil.which("docker-registry"):
        pytest.exit("docker-registry is missing; install the package of this name", returncode=4)
    with serving(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def built(registry, engine, request) -> Iterator[str]:
    """The image, built once more under a name of this registry; the engine has its layers."""
    name = f"{registry}/team/setlist:ci"
    base = request.config.getoption("--base")
    done = setlist("build", name, *([f"--base={base}"] if base else []))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"next: setlist run --docker {name}" in done.stderr
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture(scope="module")
def pushed(built) -> str:
    done = setlist("push", built)
    assert done.returncode == 0, done.stderr
    assert f"next: export SETLIST_IMAGE={done.stdout.strip()}" in done.stderr
    return done.stdout.strip()


@pytest.fixture
def another(engine, tmp_path) -> str:
    """The id of an image of one small file."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return engine.images.build(path=str(tmp_path), rm=True)[0].id


def test_the_image_says_what_it_was_built_from(built, engine):
    source = read_source()
    labels = engine.images.get(built).labels
    assert labels[f"{LABEL}version"] == source.version
    assert labels[f"{LABEL}revision"] == source.commit
    assert labels[f"{LABEL}title"] == "setlist"
    said = engine.containers.run(built, ["setlist", "--version"], remove=True, network_mode="none")
    assert said.decode() == f"setlist {source.version}\n"


def test_the_image_runs_as_a_number_that_is_not_root(built, engine):
    assert engine.images.get(built).attrs["Config"]["User"] == "10001:10001"


def test_what_push_prints_is_what_a_submission_takes_and_the_registry_has(
    pushed, built, registry, request
):
    assert IMAGE_BY_DIGEST.fullmatch(pushed)
    repository, digest = pushed.split("@")
    assert f"{repository}:ci" == built
    address = f"http://{registry}/v2/team/setlist/manifests/{digest}"
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    with urllib.request.urlopen(urllib.request.Request(address, headers=accept)) as answer:
        layers = json.load(answer)["layers"]
    screen = request.config.get_terminal_writer()
    screen.line(f"  what a node pulls: {sum(one['size'] for one in layers):,} bytes, compressed")


def test_the_reference_is_the_image(pushed, built, engine):
    assert engine.images.pull(pushed).id == engine.images.get(built).id


def test_digest_is_the_registrys_and_not_this_machines(pushed, built, engine, another):
    engine.images.get(another).tag(built)  # here the tag has moved, there it has not
    done = setlist("digest", built)
    assert done.stdout == f"{pushed}\n"
    moved = setlist("push", built).stdout
    assert moved != f"{pushed}\n"
    assert setlist("digest", built).stdout == moved
    assert setlist("digest", pushed).stdout == f"{pushed}\n"  # and it is still there


def test_an_image_that_is_not_there_is_one_sentence(registry):
    name = f"{registry}/team/none:1"
    for command, remedy in (("digest", "image push"), ("push", "image build")):
        done = setlist(command, name)
        assert done.returncode == 1
        assert done.stdout == ""
        assert f"`setlist {remedy} {name}`" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_registry_that_does_not_answer_is_one_sentence(engine, another):
    name = "127.0.0.1:1/team/setlist:1"
    engine.images.get(another).tag(name)
    for command in ("digest", "push"):
        done = setlist(command, name)
        assert done.returncode == 1
        assert "see that 127.0.0.1:1 can be reached" in done.stderr
        assert "Traceback" not in done.stderr
    engine.images.remove(name)


def test_who_has_not_logged_in_is_told_how(engine, another, tmp_path):
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    rule = {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}
    with serving(tmp_path, auth=rule) as address:
        name, home = f"{address}/team/setlist:1", {"DOCKER_CONFIG": str(tmp_path / "docker")}
        engine.images.get(another).tag(name)
        for command in ("push", "digest"):
            done = setlist(command, name, **home)
            assert done.returncode == 1
            assert f"log in with `docker login {address}`" in done.stderr
        login = ["docker", "login", "--username=ci", "--password-stdin", address]
        subprocess.run(
            login, input=PASSWORD, text=True, check=True, capture_output=True, env=os.environ | home
        )
        reference = setlist("push", name, **home).stdout
        assert IMAGE_BY_DIGEST.fullmatch(reference.strip())
        assert setlist("digest", name, **home).stdout == reference
    engine.images.remove(name)


@pytest.mark.skipif(
    subprocess.run(["docker", "buildx", "version"], capture_output=True).returncode == 0,
    reason="this docker has buildx",
)
@pytest.mark.parametrize("command", ["build", "push"])
def test_without_buildx_a_platform_is_one_sentence(command):
    done = setlist(command, "127.0.0.1:1/setlist:1", "--platform=linux/amd64,linux/arm64")
    assert done.returncode == 1
    assert "--platform needs buildx" in done.stderr


def test_a_build_that_fails_is_one_sentence():
    done = setlist("build", "setlist:never", "--base=127.0.0.1:1/none")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("setlist: the image was not built")
    with pytest.raises(docker.errors.ImageNotFound):
        docker.from_env().images.get("setlist:never")
