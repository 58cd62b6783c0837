"""The image of all steps: built from a clone, pushed to a registry, and named by its digest.

A tag can mean something else tomorrow, so what `setlist submit` is told is a digest; and since the
image is a part of the compiled steps, another digest is another cache key.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.utils import parse_repository_tag

from setlist.errors import ClusterError, SetlistError

ROOT = Path(__file__).parents[3]
DOCKERFILE = "components/Dockerfile"
CONTENT = ("README.md", "components", "pipelines", "pyproject.toml", "requirements.lock")
"""What the image is made of, as .dockerignore has it."""
REVISION = "org.opencontainers.image.revision"
DIRTY = "-dirty"
NO_ACCESS = ("unauthorized", "denied", "no basic auth credentials", "authentication required")
"""What engines and registries say of somebody who has not logged in or may not."""
ShowPushedBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """What an image is built from: the version of the project and the commit, as labels say it."""

    version: str
    commit: str

    @property
    def dirty(self) -> bool:
        """Whether something that goes into the image is in no commit."""
        return self.commit.endswith(DIRTY)


def read_source(root: Path = ROOT) -> Source:
    """Version and commit of the clone at `root`; outside of git "0.0.0" and "unknown".

    The version is asked of what builds the project, so that the image, its label and a wheel of the
    same commit say the same. What is installed here may be of an older commit.

    Raises:
        ClusterError: `root` is no clone, as where setlist was installed without its Dockerfile; or
            what builds the project is not installed here.
    """
    if not (root / DOCKERFILE).is_file():
        raise ClusterError(
            f"{root} has no {DOCKERFILE}", "build the image with the `setlist` of a clone (make)"
        )
    commit = _git(root, "rev-parse", "HEAD") or "unknown"
    if commit != "unknown" and _git(root, "status", "--porcelain", "--", *CONTENT):
        commit += DIRTY
    return Source(_version(root), commit)


def _version(root: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "version"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["hatchling gave no reason"])[-1]
        raise ClusterError(
            f"the version of {root} is not known ({reason})",
            "build the image with the `setlist` of a clone (make)",
        )
    return done.stdout.strip()


def _git(root: Path, *arguments: str) -> str:
    if not shutil.which("git"):
        return ""
    done = subprocess.run(  # noqa: S603 - the arguments stand here
        ["git", "-C", str(root), *arguments],  # noqa: S607 - the user's own
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def build_command(
    name: str, source: Source, base: str, platforms: str, push: Path | None = None
) -> list[str]:
    """The command that builds the image, to be run in the root of the clone.

    Args:
        name: of the image, registry/name:tag.
        source: for the labels.
        base: instead of the Dockerfile's own, or "".
        platforms: as in "linux/amd64,linux/arm64", or "" for the engine's own, which needs no
            buildx. Several go to a registry with `push`, and else no further than buildx's cache.
        push: push, and write what was pushed to this file.
    """
    command = ["docker", "buildx", "build", f"--platform={platforms}"]
    if not platforms:
        command = ["docker", "build"]
    elif push:
        command += ["--push", f"--metadata-file={push}"]
    elif "," not in platforms:
        command += ["--load"]
    command += [f"--file={DOCKERFILE}", f"--tag={name}"]
    arguments = {"VERSION": source.version, "COMMIT": source.commit} | (
        {"BASE": base} if base else {}
    )
    return [*command, *(f"--build-arg={key}={value}" for key, value in arguments.items()), "."]


def build(name: str, source: Source, base: str = "", platforms: str = "") -> None:
    """Build the image with what the engine says on the screen; see `build_command`.

    Raises:
        ClusterError: there is no engine, no buildx though it is needed, or the build failed.
    """
    _engine(platforms)
    _run(build_command(name, source, base, platforms))


def build_and_push(name: str, source: Source, base: str, platforms: str) -> str:
    """Build for several platforms and push them as one; the reference with the digest of all.

    Raises:
        ClusterError: as for `build`.
    """
    _pushable(name)
    _engine(platforms)
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.json"
        _run(build_command(name, source, base, platforms, metadata))
        pushed = json.loads(metadata.read_text("utf-8"))["containerimage.digest"]
    return f"{parse_repository_tag(name)[0]}@{pushed}"


def push(name: str, say: ShowPushedBytes) -> str:
    """Push the engine's image of this name.

    Args:
        name: registry/name:tag.
        say: told how many bytes of how many, as far as they are known, are there.

    Returns:
        the reference with the digest that the registry gave it.

    Raises:
        ClusterError: the image is not there, or the registry does not take it.
    """
    repository, tag = _pushable(name)
    client = _engine()
    sizes: dict[str, tuple[int, int]] = {}
    with _at_registry(name):
        _local(client, name)
        for event in client.images.push(repository, tag, stream=True, decode=True):
            if "error" in event:
                raise _refused(name, str(event["error"]))
            if pushed := (event.get("aux") or {}).get("Digest"):
                return f"{repository}@{pushed}"
            detail = event.get("progressDetail") or {}
            if event.get("status") == "Pushing" and "total" in detail:
                total = max(detail["total"], detail["current"])
                sizes[event["id"]] = (detail["current"], total)
                say(*(sum(column) for column in zip(*sizes.values(), strict=True)))
    raise ClusterError(f"{name} was pushed, but no digest came back", "ask `setlist image digest`")


def digest(name: str) -> str:
    """The reference, name@sha256:..., of what the registry has under this name now.

    Raises:
        ClusterError: the registry does not answer, has no such image, or does not let us see it.
    """
    client = _engine()
    with _at_registry(name):
        digest_of_name = client.images.get_registry_data(name).id
    return f"{parse_repository_tag(name)[0]}@{digest_of_name}"


def revision(name: str) -> str:
    """The commit that the engine's image of this name was built from, as its label says."""
    return str(_local(_engine(), name).labels.get(REVISION, "unknown"))


def _local(client: docker.DockerClient, name: str) -> Any:  # noqa: ANN401 - docker has no types
    try:
        return client.images.get(name)
    except docker.errors.ImageNotFound as fault:
        raise ClusterError(
            f"the image {name} is not on this machine",
            f"build it with `setlist image build {name}`",
        ) from fault


def _engine(platforms: str = "") -> docker.DockerClient:
    """The engine, which answers, and builds for these platforms if there are any."""
    if not shutil.which("docker"):
        raise ClusterError("there is no `docker` here", "install Docker Engine, or Docker Desktop")
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as fault:
        raise ClusterError(
            f"no Docker engine answers ({fault})", "start one, or see that you may use it"
        ) from fault
    if (
        platforms
        and subprocess.run(
            ["docker", "buildx", "version"],  # noqa: S607
            capture_output=True,
            check=False,
        ).returncode
    ):
        raise ClusterError(
            "--platform needs buildx, a plugin that this docker lacks",
            "install it, or leave --platform out to build for this machine",
        )
    return client


def _run(command: list[str]) -> None:
    # What the engine says goes to the screen, and leaves standard output to the reference.
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr)  # noqa: S603 - ours
    if done.returncode:
        advice = ""
        if any("," in part for part in command if part.startswith("--platform=")):
            advice = (
                "; several platforms need a builder that can (docker buildx create --use) and, for "
                "those that are not this machine's, QEMU"
            )
        raise ClusterError(f"the image was not built, the reason stands above{advice}.")


def _pushable(name: str) -> tuple[str, str]:
    """Repository and tag of a name that a registry could have."""
    repository, tag = parse_repository_tag(name)
    if "/" not in repository or "@" in name:
        raise ClusterError(
            f"{name} cannot be pushed", "name registry and tag, as in registry.example/setlist:1"
        )
    return repository, tag or "latest"


@contextmanager
def _at_registry(name: str) -> Iterator[None]:
    try:
        yield
    except docker.errors.DockerException as fault:
        raise _refused(name, str(getattr(fault, "explanation", None) or fault)) from fault


def _refused(name: str, answer: str) -> SetlistError:
    registry = parse_repository_tag(name)[0].split("/")[0]
    if any(words in answer.lower() for words in NO_ACCESS):
        remedy = f"log in with `docker login {registry}`, or ask for access"
    elif "manifest unknown" in answer or "name unknown" in answer:
        remedy = f"push it with `setlist image push {name}`, or mend the name"
    elif "invalid reference" in answer:
        remedy = "mend the name"
    else:
        remedy = f"see that {registry} can be reached from here"
    return SetlistError(f"{name}: the engine says {answer.strip()!r}; {remedy}.")
