"""The wheel, as somebody else installs it: beside packages of the same folder names, and alone."""

import os
import re
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest

from setlist.models.contract import folder_digest
from setlist.store.model_store import open_store

ROOT = Path(__file__).parents[2]
LIGHT = ("tensorflow", "kfp", "docker", "matplotlib", "jinja2", "fastapi", "streamlit")
"""What the base installation does not bring."""
FOLLOW = """
import threading
from pathlib import Path

swapped = threading.Event()


def swap(revision: int, folder: Path) -> None:
    print(revision, sorted(path.name for path in folder.iterdir()))
    swapped.set()


{snippet}
assert swapped.wait(60)
follower.stop()
"""


def run(command, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def environment(*unset: str, **changes: str) -> dict[str, str]:
    """Without the source tree on the path."""
    return {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", *unset)
    } | changes


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, over the packages of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file is added as it is: the editable install of the project, a .pth file in
    # that folder itself, is not followed.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)])
    return folder


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A repository of somebody else that has all of our folder names."""
    folder = tmp_path / "their-repository"
    for name in ("components", "pipelines", "tests"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise RuntimeError('theirs was imported')\n")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store in which one revision of `home` is live."""
    folder = tmp_path_factory.mktemp("store")
    model = folder / "model"
    model.mkdir()
    (model / "model.json").write_text("{}")
    models = open_store(str(folder / "store"))
    revision = models.stage(
        "home", model, run_id="run", digest=folder_digest(model), training_window={}, metadata={}
    )
    models.promote("home", revision, expected=None)
    return folder / "store"


def snippet(store: Path, kept: Path) -> str:
    """The lines of the docs that follow a store, with this store and this folder."""
    page = (ROOT / "docs" / "how-to" / "serve.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (code,) = (block for block in blocks if "ModelFollower(" in block)
    assert '"gs://bucket/setlist"' in code
    assert 'Path("/models")' in code
    code = code.replace("gs://bucket/setlist", str(store)).replace("/models", str(kept))
    return FOLLOW.format(snippet=code)


def test_the_wheel_holds_two_packages_and_all_of_their_files(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "setlist",
        "setlist_pipelines",
    }
    tracked = run(
        ["git", "ls-files", "components/setlist", "pipelines/setlist_pipelines"], cwd=ROOT
    )
    expected = {name.partition("/")[2] for name in tracked.stdout.splitlines()}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_it_is_imported_beside_folders_of_the_same_names(installed, foreign):
    code = "import setlist, setlist_pipelines.retraining; print(setlist.__file__)"
    done = run([installed / "bin" / "python", "-c", code], cwd=foreign, env=environment())
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_a_run_promotes_in_a_repository_with_folders_of_the_same_names(installed, foreign):
    small = ["model.epochs=1", "window.train_days=30", "heuristics.fit=[most_popular]"]
    small += ["policy.believable=null", "policy.limits.p99_ms=null"]
    done = run(
        [installed / "bin" / "setlist", "run", *(f"--set={change}" for change in small)],
        cwd=foreign,
        env=environment(),
    )
    assert "candidate: PROMOTE" in done.stdout


def test_the_readmes_follower_works_in_a_foreign_repository(installed, foreign, store, tmp_path):
    code = snippet(store, tmp_path / "kept")
    done = run([installed / "bin" / "python", "-c", code], cwd=foreign, env=environment())
    assert done.stdout == "1 ['model.json']\n"


def test_the_base_installation_follows_a_store_and_is_light(wheel, store, tmp_path, capsys):
    """Installs the base from the network's package index, as a user does; hashes are checked."""
    folder = tmp_path / "environment"
    began = time.monotonic()
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "--no-deps", "-r", ROOT / "requirements-base.lock"])
    run([*pip, "--no-deps", "--no-index", wheel])
    seconds = time.monotonic() - began
    run([python, "-m", "pip", "check"])
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with capsys.disabled():
        print(f"\nbase installation: {size / 1e6:,.0f} MB in {seconds:.0f} s")  # noqa: T201
    done = run([python, "-c", snippet(store, tmp_path / "kept")], cwd=tmp_path, env=environment())
    assert done.stdout == "1 ['model.json']\n"
    code = f"import importlib.util as u; print([n for n in {LIGHT} if u.find_spec(n)])"
    assert run([python, "-c", code], cwd=tmp_path).stdout == "[]\n"
    needs = subprocess.run(
        [folder / "bin" / "setlist", "run"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert needs.returncode == 1
    assert needs.stderr == (
        "setlist: kfp is not installed; install it with: pip install 'setlist[train,kubeflow]'.\n"
    )


def test_the_editable_install_is_paths_and_nothing_else():
    """No import hook: type checkers, linters and editors read such a .pth, too."""
    files = [
        path
        for path in Path(sysconfig.get_path("purelib")).glob("*.pth")
        if "setlist" in path.name or str(ROOT) in path.read_text("utf-8")
    ]
    lines = [line for path in files for line in path.read_text("utf-8").splitlines()]
    assert {Path(line) for line in lines} == {ROOT / "components", ROOT / "pipelines"}


def test_nothing_is_imported_under_the_folders_names():
    """With the repository's root on the path, `components.setlist` would be a second package."""
    loaded = run(
        [
            sys.executable,
            "-c",
            "import sys, setlist.steps, setlist_pipelines.cli.main, setlist_pipelines.retraining\n"
            "print([name for name in sys.modules if name.startswith(('components', 'pipelines'))])",
        ],
        cwd=ROOT,
    )
    assert loaded.stdout == "[]\n"
    pattern = r"^\s*(from|import) (components|pipelines)\b"
    found = subprocess.run(
        ["git", "grep", "-nE", pattern, "--", "*.py", "*.md", "*.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
