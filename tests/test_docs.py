"""What pages say about the repository is so."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_page_on_security_names_is_there():
    page = (ROOT / "docs" / "SECURITY.md").read_text("utf-8")
    names = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(names) > 20
    functions = {
        path: {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        for path in {path for path, _ in names}
    }
    assert [f"{path}::{name}" for path, name in names if name not in functions[path]] == []


def test_every_row_of_the_defences_names_a_test():
    page = (ROOT / "docs" / "SECURITY.md").read_text("utf-8")
    table = page.partition("| boundary |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) > 20
    assert [row for row in table if "`tests/" not in row.split("|")[-2]] == []


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github" / "workflows").iterdir()))
def test_a_workflow_has_pinned_actions_and_says_what_it_may_do(workflow: Path):
    document = yaml.safe_load(workflow.read_text("utf-8"))
    assert "permissions" in document
    assert "write" not in document["permissions"].values(), "a job asks for what it writes"
    for job in document["jobs"].values():
        assert "timeout-minutes" in job
        # A token in the environment of a job is seen by every step of it.
        assert "secrets." not in str(job.get("env", {}))
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
            # What the forge puts into a script is code there; variables are not.
            assert "${{" not in step.get("run", "")
