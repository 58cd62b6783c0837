"""A release, made for real of small changes to this repository; and the workflow that does it."""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from setlist_pipelines.laptop.image import DOCKERFILE, Source, build_command

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
SECTION = "## [1.2.3] - 2026-11-30\n\n### Added\n\n- A [gate](gate.md), see [there](https://example.com).\n\n"
NOTES = "### Added\n\n- A [gate](gate.md), see [there](https://example.com).\n"
FILES = ["NOTES.md", "SHA256SUMS", "setlist-1.2.3-py3-none-any.whl", "setlist-1.2.3.tar.gz"]
HOOK = """
import os
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Chance(BuildHookInterface):
    def initialize(self, version, build_data):
        Path(self.root, "components/setlist/py.typed").write_text(os.urandom(8).hex())
"""


def git(folder: Path, *arguments) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    command = ["git", "-C", folder, *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path) -> Path:
    """This working tree, as it is now, in a repository of one commit."""
    folder = tmp_path / "clone"
    for name in git(ROOT, "ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=all of it")
    return folder


def change(clone: Path, file: str, old: str, new: str) -> None:
    text = (clone / file).read_text("utf-8")
    assert old in text
    (clone / file).write_text(text.replace(old, new, 1), "utf-8")


def tag(clone: Path, name: str = "v1.2.3", section: str = SECTION) -> None:
    """Commit what was changed, with a section of the changelog above those before, and tag it."""
    if section:
        change(
            clone,
            "docs/CHANGELOG.md",
            "## [Unreleased]\n",
            f"## [Unreleased]\n\n{section}## Older\n",
        )
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--allow-empty", "--message=release")
    git(clone, "tag", name)


def release(clone: Path, *arguments, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, clone / ".ci" / "release", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=clone.parent,
        env={"PATH": "/usr/bin:/bin", "HOME": str(clone.parent)} | environment,
    )


def refusal(clone: Path, name: str = "v1.2.3") -> str:
    """Why the tag is not released; and nothing of it is left."""
    folder = clone.parent / "files"
    done = release(clone, name, folder)
    assert done.returncode == 1, done.stdout
    assert not folder.exists()
    assert done.stderr.startswith("release: ")
    return done.stderr


def test_the_last_commit_of_this_work_could_be_released(clone):
    done = release(clone)
    assert done.returncode == 0, done.stderr
    assert "setlist-999.0.0-py3-none-any.whl" in done.stdout
    assert "a rehearsal" in done.stdout
    assert git(clone, "tag") == git(clone, "status", "--porcelain") == ""


def test_a_tag_becomes_files_whatever_lies_around_and_is_set(clone, tmp_path):
    tag(clone)
    commit = git(clone, "rev-parse", "HEAD").strip()
    git(clone, "commit", "--quiet", "--allow-empty", "--message=after the tag")
    (clone / "components" / "setlist" / "left_over.py").write_text("not committed\n")
    # The forge fetches no more than the commit of the tag.
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git(checkout, "init", "--quiet")
    git(
        checkout,
        "fetch",
        "--quiet",
        "--no-tags",
        "--depth=1",
        f"file://{clone}",
        f"+{commit}:refs/tags/v1.2.3",
    )
    git(checkout, "checkout", "--quiet", "v1.2.3")

    disturbed = {
        "SOURCE_DATE_EPOCH": "1",
        "SETUPTOOLS_SCM_PRETEND_VERSION": "7",
        "PYTHONPATH": str(clone),
    }
    forge = {"GITHUB_SERVER_URL": "https://forge.example", "GITHUB_REPOSITORY": "team/setlist"}
    for source, folder, environment in (
        (clone, tmp_path / "here", disturbed),
        (checkout, tmp_path / "forge", forge),
    ):
        done = release(source, "v1.2.3", folder, **environment)
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in folder.iterdir()) == FILES
        for line in (folder / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    here, there = ((tmp_path / name) for name in ("here", "forge"))
    assert (here / "SHA256SUMS").read_text() == (there / "SHA256SUMS").read_text()
    assert "left_over" not in str(zipfile.ZipFile(here / FILES[2]).namelist())
    assert (here / "NOTES.md").read_text() == NOTES
    pages = "https://forge.example/team/setlist/blob/v1.2.3/docs"
    assert (there / "NOTES.md").read_text() == NOTES.replace("(gate.md)", f"({pages}/gate.md)")
    again = release(clone, "v1.2.3", here)
    assert (again.returncode, again.stderr) == (
        1,
        f"release: {here} is there already; name a new folder\n",
    )


@pytest.mark.parametrize("name", ["1.2.3", "v1.2", "v1.2.3rc1", "v1.2.3-1", "vnext", "main"])
def test_another_tag_is_no_release(clone, name):
    assert f"{name} is no tag of a release; name one as v1.2.3" in refusal(clone, name)


def test_a_tag_that_is_not_there_is_said_by_git(clone):
    assert "Remote branch v1.2.3 not found" in refusal(clone)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("", "has no section of 1.2.3; rename '## [Unreleased]'"),
        (SECTION.replace("1.2.3", "1.2.30"), "has no section of 1.2.3;"),
        (SECTION.replace(" - 2026-11-30", ""), "has no section of 1.2.3;"),
        ("## [1.2.3] - 2026-11-30\n\n", "the section of 1.2.3 is empty"),
    ],
    ids=["none", "another", "no date", "empty"],
)
def test_a_version_without_a_section_of_the_changelog_is_not_released(clone, section, reason):
    tag(clone, section=section)
    assert reason in refusal(clone)


def test_a_version_that_was_written_down_is_not_released(clone):
    change(clone, "pyproject.toml", 'dynamic = ["version"]', 'version = "1.2.2"')
    change(clone, "pyproject.toml", "[tool.hatch.version]", "[tool.nothing]")
    tag(clone)
    assert "is setlist-1.2.2-py3-none-any.whl, setlist-1.2.2.tar.gz, and not 1.2.3" in refusal(
        clone
    )


def test_a_wheel_with_a_file_too_many_is_not_released(clone):
    change(
        clone,
        "pyproject.toml",
        'packages = ["components/setlist", ',
        'packages = ["tests", "components/setlist", ',
    )
    tag(clone)
    assert "py3-none-any.whl holds tests/" in refusal(clone)


def test_a_wheel_with_a_file_too_few_is_not_released(clone):
    change(clone, ".gitignore", "build/", "build/\nerrors.py")
    git(clone, "add", "--force", ".")
    tag(clone)
    assert "py3-none-any.whl lacks setlist/errors.py; see" in refusal(clone)


def test_a_wheel_that_is_another_each_time_is_not_released(clone):
    (clone / "hatch_build.py").write_text(HOOK)
    (clone / "components" / "setlist" / "py.typed").write_text("")
    change(
        clone,
        "pyproject.toml",
        "[tool.hatch.version]",
        "[tool.hatch.build.hooks.custom]\n[tool.hatch.version]",
    )
    tag(clone)
    assert "which is not the same as setlist-1.2.3-py3-none-any.whl" in refusal(clone)


def test_metadata_that_an_index_would_refuse_is_not_released(clone):
    change(
        clone, "pyproject.toml", 'classifiers = ["Private :: Do Not Upload"]', "classifiers = []"
    )
    tag(clone)
    assert "lacks the classifier 'Private :: Do Not Upload'" in refusal(clone)


def test_a_wheel_that_does_not_start_is_not_released(clone):
    change(
        clone,
        "pyproject.toml",
        "setlist_pipelines.cli.main:main",
        "setlist_pipelines.cli.main:nowhere",
    )
    tag(clone)
    assert "cannot import name 'nowhere'" in refusal(clone)


@pytest.fixture(scope="module")
def workflow() -> dict:
    return yaml.safe_load((WORKFLOWS / "release.yaml").read_text("utf-8"))


def runs(workflow: dict, job: str) -> str:
    return "\n".join(step.get("run", "") for step in workflow["jobs"][job]["steps"])


def test_the_workflow_tests_and_makes_the_files_before_anybody_may_write(workflow):
    jobs = workflow["jobs"]
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish"}
    assert jobs["publish"]["environment"] == "release"
    may_write = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert may_write == {"publish"}
    called = WORKFLOWS.parents[1] / jobs["test"]["uses"]
    assert "workflow_call" in yaml.safe_load(called.read_text("utf-8"))[True]


def test_the_workflow_makes_its_files_as_the_rehearsal_does(workflow):
    assert '.venv/bin/python .ci/release "$TAG" dist' in runs(workflow, "files").splitlines()
    assert "hatchling" not in str(workflow)
    handed = [
        step["with"]
        for job in ("files", "publish")
        for step in workflow["jobs"][job]["steps"]
        if "artifact@" in step.get("uses", "")
    ]
    assert [(part["name"], part["path"]) for part in handed] == [("dist", "dist/")] * 2
    published = runs(workflow, "publish")
    assert set(re.findall(r"dist/(NOTES\.md|SHA256SUMS)\b", published)) == {
        "NOTES.md",
        "SHA256SUMS",
    }


def test_the_workflow_builds_the_image_as_setlist_does(workflow):
    ours = build_command(
        "name:tag", Source("1.2.3", "c0ffee"), "", "linux/amd64", Path("build.json")
    )
    script = runs(workflow, "publish")
    (command,) = re.findall(r"docker buildx build (.*?) \.\n", script.replace("\\\n", " "))
    options = set(re.findall(r"--[a-z-]+(?:=[A-Z]+(?==))?", command))
    expected = set(re.findall(r"--[a-z-]+(?:=[A-Z]+(?==))?", " ".join(ours)))
    assert options - expected == {"--sbom", "--provenance"}
    assert expected <= options
    assert f"--file={DOCKERFILE}" in command


def test_the_scripts_of_the_workflow_are_bash(workflow):
    for job in workflow["jobs"]:
        if "steps" in workflow["jobs"][job]:
            done = subprocess.run(
                ["bash", "-n"],
                input=runs(workflow, job),
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
