"""What `setlist image` needs no engine for; build, push and digest for real: tests/container."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from setlist.errors import SetlistError
from setlist_pipelines.laptop.image import (
    ROOT,
    Source,
    build_and_push,
    build_command,
    push,
    read_source,
)

SOURCE = Source("1.2.0", "c0ffee")
LABELS = ["--build-arg=VERSION=1.2.0", "--build-arg=COMMIT=c0ffee"]

PROJECT = """
[project]
name = "setlist"
dynamic = ["version"]

[tool.hatch.version]
source = "vcs"
fallback-version = "0.0.0"
"""


def git(root, *arguments):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "-C", root, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path):
    """What the image is made of, in a repository of its own."""
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    git(tmp_path, "tag", "v1.2.0")
    return tmp_path


def test_the_labels_are_the_version_and_the_commit(clone):
    source = read_source(clone)
    assert source.version == "1.2.0"
    assert len(source.commit) == 40
    assert not source.dirty


def test_after_a_tag_the_version_names_the_commit(clone):
    git(clone, "commit", "--quiet", "--allow-empty", "--message=second")
    source = read_source(clone)
    assert re.fullmatch(r"1\.2\.1\.dev1\+g[0-9a-f]+", source.version)
    assert source.commit.startswith(source.version.partition("+g")[2])


def test_a_project_whose_version_is_not_known_is_not_built(clone):
    (clone / "pyproject.toml").write_text("[project\n")
    with pytest.raises(SetlistError, match=r"version of .* is not known \(.+\); build .* clone"):
        read_source(clone)


@pytest.mark.parametrize("change", ["pyproject.toml", "components/new.py"])
def test_a_change_that_goes_into_the_image_is_said(clone, change):
    with (clone / change).open("a") as file:
        file.write("\n")
    assert read_source(clone).commit.endswith("-dirty")


def test_a_change_elsewhere_is_not(clone):
    (clone / "notes.md").write_text("nothing of the image\n")
    assert not read_source(clone).dirty


def test_outside_of_git_nothing_is_known(clone):
    shutil.rmtree(clone / ".git")
    assert read_source(clone) == Source("0.0.0", "unknown")


def test_without_a_clone_there_is_nothing_to_build(tmp_path):
    with pytest.raises(SetlistError, match=r"no components/Dockerfile; build .* clone"):
        read_source(tmp_path)


def test_the_clone_of_these_tests_can_be_built():
    assert read_source(ROOT).version


def test_any_engine_builds_for_itself():
    built = build_command("setlist:1", SOURCE, "", "")
    assert built == [
        *("docker", "build", "--file=components/Dockerfile", "--tag=setlist:1", *LABELS, ".")
    ]


def test_a_base_is_an_argument_of_the_build():
    built = build_command("setlist:1", SOURCE, "own/python@sha256:1", "")
    assert "--build-arg=BASE=own/python@sha256:1" in built


def test_one_platform_goes_into_the_engine_and_several_to_the_registry(tmp_path):
    one = build_command("r/setlist:1", SOURCE, "", "linux/arm64")
    assert one[:5] == ["docker", "buildx", "build", "--platform=linux/arm64", "--load"]
    both = "linux/amd64,linux/arm64"
    tried = build_command("r/setlist:1", SOURCE, "", both)
    assert "--load" not in tried
    assert "--push" not in tried
    pushed = build_command("r/setlist:1", SOURCE, "", both, tmp_path / "metadata.json")
    assert f"--platform={both}" in pushed
    assert "--push" in pushed
    assert f"--metadata-file={tmp_path / 'metadata.json'}" in pushed


@pytest.mark.parametrize("name", ["setlist:1", "setlist", f"r/setlist@sha256:{'0' * 64}"])
def test_a_name_that_no_registry_could_have_is_refused(name):
    with pytest.raises(SetlistError, match="cannot be pushed; name registry and tag"):
        push(name, print)
    with pytest.raises(SetlistError, match="cannot be pushed; name registry and tag"):
        build_and_push(name, SOURCE, "", "linux/amd64")


COMMANDS = [
    ("build", "setlist:1"),
    ("push", "r/setlist:1"),
    ("push", "r/setlist:1", "--platform=linux/amd64"),
    ("digest", "r/setlist:1"),
]


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "setlist_pipelines", "image", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_docker_there_is_one_sentence(command, tmp_path):
    done = run(*command, PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == (
        "setlist: there is no `docker` here; install Docker Engine, or Docker Desktop."
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_an_engine_there_is_one_sentence(command, tmp_path):
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    nowhere = f"unix://{tmp_path}/nowhere.sock"
    done = run(*command, PATH=f"{tmp_path}:{os.environ['PATH']}", DOCKER_HOST=nowhere)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("setlist: no Docker engine answers (")


def test_a_base_without_a_platform_is_no_push():
    done = run("push", "r/setlist:1", "--base=own/python:3")
    assert done.returncode == 1
    assert "--base builds nothing here; add --platform" in done.stderr
