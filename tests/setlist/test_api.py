"""The public interface: its names, what it costs to import, and the examples of its docstrings."""

import ast
import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import setlist
from setlist import api
from setlist.data.schema import TIMESTAMP_DTYPE, Window, parse_instant
from setlist.data.transformation import transform

LISTENERS = [f"u{number:02}" for number in range(80)]
WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 2, 3)))
ITEMS = [f"{side}{number}" for number in range(4) for side in "ab"]


def plays(listeners: list[str], side: str, day: str) -> pd.DataFrame:
    """One play a listener, of one of four items of a side: every fourth listener plays the same."""
    items = [f"{side}{LISTENERS.index(listener) % 4}" for listener in listeners]
    table = pd.DataFrame({"user_id": listeners, "item_id": items, "weight": 1.0})
    table["timestamp"] = pd.Series(pd.Timestamp(day, tz="UTC"), table.index, TIMESTAMP_DTYPE)
    return table


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a run up to its models: whoever plays "a0" goes on to play "b0"."""
    from setlist.models.heuristics import fit_heuristics
    from setlist.models.settings import HeuristicSettings

    run = tmp_path_factory.mktemp("run")
    dataset = run / "curate" / "dataset"
    dataset.mkdir(parents=True)
    early, late = LISTENERS[:40], LISTENERS[40:]
    train = [plays(LISTENERS, "a", "2026-01-10"), plays(early, "b", "2026-01-11")]
    train = pd.concat(train).sort_values(["user_id", "timestamp"], ignore_index=True)
    tables = {
        "train": train,
        "test": plays(late, "b", "2026-02-10"),
        "items": pd.DataFrame(
            {
                "item_id": ITEMS,
                "title": ITEMS,
                "tags": [["x"] for _ in ITEMS],
                "released": pd.Series(pd.NaT, range(len(ITEMS)), TIMESTAMP_DTYPE),
            }
        ),
        "users": pd.DataFrame({"user_id": LISTENERS}),
    }
    for name, table in tables.items():
        table.to_parquet(dataset / f"{name}.parquet", index=False)
    features = transform(dataset, WINDOW, (), run / "transform" / "features")
    models = run / "fit-heuristics" / "models"
    fit_heuristics(features, HeuristicSettings(fit=("most_popular", "co_visited")), models)
    (run / "train").mkdir()
    (models / "co_visited").rename(run / "train" / "candidate")
    shutil.copytree(models / "most_popular", run / "resolve-live" / "live" / "live-3")
    return run


def test_the_examples_of_the_docstrings(run, tmp_path):
    """In one namespace, because what `evaluate` writes is what `judge` reads."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    for module in (api, setlist):
        for example in finder.find(module, module.__name__, module=module):
            example.globs = {"setlist": setlist, "run": run, "folder": tmp_path}
            runner.run(example, out=report.append)
    assert runner.summarize(verbose=False) == (0, 14), "".join(report)


def test_importing_the_package_imports_no_library():
    code = (
        "import sys, setlist; setlist.SettingsError; "
        "print({'tensorflow', 'pandas', 'numpy', 'pydantic', 'kfp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_public_name_exists_and_type_checkers_see_the_same():
    for name in setlist.__all__:
        assert getattr(setlist, name).__name__ == name
    assert dir(setlist) == setlist.__all__
    tree = ast.parse(Path(setlist.__file__).read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(typed) == setlist.__all__
    for name, module in typed.items():
        assert getattr(sys.modules[module], name) is getattr(setlist, name)


def test_the_tree_of_exceptions_is_public():
    from setlist import errors

    tree = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.SetlistError)
    }
    assert tree <= set(setlist.__all__)


def test_a_name_that_is_not_public():
    with pytest.raises(AttributeError, match="has no attribute 'gate'"):
        _ = setlist.gate
