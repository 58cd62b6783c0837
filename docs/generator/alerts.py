"""The alert rules of `manifests/monitoring`."""

from pathlib import Path

import yaml

from generator.docstrings import cell

ALERTS = Path(__file__).parents[2] / "manifests" / "monitoring" / "alerts.yaml"


def page() -> str:
    """A section for each alert."""
    parts = []
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        parts.append(f"## `{group['name']}`")
        for rule in group["rules"]:
            notes = rule["annotations"]
            parts += [
                f"### {rule['alert']}",
                f"{cell(notes['summary'])} {cell(notes['description'])}",
                f"```promql\n{rule['expr'].strip()}\n```",
                f"Severity {rule['labels']['severity']}"
                + (f", after {rule['for']}." if "for" in rule else ", at once."),
            ]
    return "\n\n".join(parts)
