"""The notebooks of the docs run from their first cell to their last, as a stranger runs them."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
PATIENCE = 600
"""Seconds that one cell may take on a busy machine."""


def cells_of(name: str) -> nbformat.NotebookNode:
    return nbformat.read(EXAMPLES / name, as_version=4)


def rows(html: str) -> list[list[str]]:
    """The texts of the first table, row by row."""
    table = html.partition("</table>")[0]
    return [
        [unescape(text) for text in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", table)
    ]


def html_of(cell: nbformat.NotebookNode) -> str:
    """What a cell shows, without what it prints."""
    (result,) = [output for output in cell.outputs if output.output_type == "execute_result"]
    return result.data["text/html"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_kept_without_what_it_printed(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    lines = [line for cell in code for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= 65, "an example is read on one screen or two"


@pytest.mark.slow
def test_three_libraries_in_one_table(tmp_path):
    notebook = cells_of("three_libraries.ipynb")
    client = NotebookClient(
        notebook, timeout=PATIENCE, resources={"metadata": {"path": str(tmp_path)}}
    )
    # A browser of other tests has a loop of its own in this thread for as long as it is open.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, client.async_execute()).result()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    evaluated, judged, reported = code[-3:]
    table = rows(html_of(evaluated))
    assert table[0][:3] == ["lists", "ndcg@10", "ndcg@100"]
    values = {row[0]: float(row[1].partition(" ")[0]) for row in table[1:]}
    assert list(values) == ["als", "nmf", "spectral", "most_popular"]
    # Taste can be learnt from these plays, so whatever learns is better than the same for all.
    assert min(values["als"], values["nmf"], values["spectral"]) > 1.5 * values["most_popular"]
    verdict = html_of(judged)
    assert re.search(
        r"\b(promote|reject|undecided)\b.*The candidate ", verdict.partition("</p>")[0]
    )
    rules = [row[1] for row in rows(verdict)]
    for rival in ("nmf", "spectral", "most_popular"):
        assert any(rule.startswith("better than") and rule.endswith(rival) for rule in rules)
    assert any("by likes" in rule for rule in rules), "groups of listeners are compared"
    assert "nothing can be pushed" in verdict
    assert "report.html" in reported.outputs[0].data["text/plain"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Report on lists" in page
    for name in values:
        assert name in page
    # A reader sees progress, and no warning that the example could do without.
    errors = [
        output.text
        for cell in code
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert [text for text in errors if "OpenBLAS" in text] == []
