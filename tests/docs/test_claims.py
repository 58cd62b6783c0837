"""What pages say about the repository is so."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(page: str, heading: str) -> list[str]:
    """The rows of the table with that first column."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    return text.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]


@pytest.mark.parametrize(("page", "least"), [("SECURITY.md", 20), ("explanation/kubeflow.md", 40)])
def test_every_test_that_a_page_names_is_there(page: str, least: int):
    names = NAMED.findall((ROOT / "docs" / page).read_text("utf-8"))
    assert len(names) > least
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
    table = rows("SECURITY.md", "boundary")
    assert len(table) > 20
    assert [row for row in table if "`tests/" not in row.split("|")[-2]] == []


def test_every_row_on_the_backend_says_how_it_is_known():
    """What was seen or is played by a stand-in has a test; what was only read has none."""
    table = [row.split("|") for row in rows("explanation/kubeflow.md", "what the backend does")]
    assert len(table) > 20
    tested, untested = {"seen", "seen, not recorded", "stand-in"}, {"read", "open"}
    assert {cells[2].strip() for cells in table} <= tested | untested
    named = {cells[1] for cells in table if NAMED.search(cells[3])}
    assert named == {cells[1] for cells in table if cells[2].strip() in tested}


def test_every_fault_of_a_cluster_names_its_test_and_what_it_is_over():
    table = [row.split("|") for row in rows("explanation/kubeflow.md", "what went wrong")]
    assert len(table) > 10
    assert [cells[1] for cells in table if not NAMED.search(cells[2])] == []
    assert {cells[3].strip() for cells in table} == {"recording", "stand-in"}


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github" / "workflows").iterdir()))
def test_a_workflow_has_pinned_actions_and_says_what_it_may_do(workflow: Path):
    document = yaml.safe_load(workflow.read_text("utf-8"))
    assert "permissions" in document
    assert "write" not in document["permissions"].values(), "a job asks for what it writes"
    for job in document["jobs"].values():
        if job.get("uses", "").startswith("./.github/workflows/"):
            assert job["permissions"] == {"contents": "read"}
            continue
        assert "timeout-minutes" in job
        # A token in the environment of a job is seen by every step of it.
        assert "secrets." not in str(job.get("env", {}))
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
            # What the forge puts into a script is code there; variables are not.
            assert "${{" not in step.get("run", "")
