"""The metrics that are built in, from their functions."""

from types import ModuleType

from generator.docstrings import Docstring, cell
from setlist.evaluation import accuracy, exposure
from setlist.evaluation.metric import Metric

HEADINGS = {
    accuracy: "What is in the list, and how far up",
    exposure: "What lists are made of, whatever was played",
}


def page() -> str:
    """A table for each module of metrics."""
    return "\n\n".join(f"## {heading}\n\n{_table(module)}" for module, heading in HEADINGS.items())


def _table(module: ModuleType) -> str:
    rows = ["| metric | a value for | better | what it is |", "|---|---|---|---|"]
    for metric in vars(module).values():
        if isinstance(metric, Metric):
            words = " ".join(Docstring.of(metric.function).text.split())
            per = "each listener" if metric.per == "listener" else "all lists together"
            rows.append(f"| `{metric.name}` | {per} | {metric.better} | {cell(words)} |")
    return "\n".join(rows)
