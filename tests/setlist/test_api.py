"""The public interface: its names, what it costs to import, and the examples of its docstrings."""

import ast
import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import setlist
from setlist import api


def test_the_examples_of_the_docstrings(small_run, tmp_path):
    """In one namespace, because what `evaluate` writes is what `judge` reads."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    for module in (api, setlist):
        for example in finder.find(module, module.__name__, module=module):
            example.globs = {"setlist": setlist, "run": small_run, "folder": tmp_path}
            runner.run(example, out=report.append)
    assert runner.summarize(verbose=False) == (0, 24), "".join(report)


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
