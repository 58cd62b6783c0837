"""The page of a monitoring run: what the requests to a model were compared with, as Markdown."""

from setlist.data.verdict import DataVerdict
from setlist.printable import markdown


def render_skew(name: str, revision: int, summary: str, verdict: DataVerdict) -> str:
    """The page.

    Args:
        name: of the model in the store.
        revision: that was asked.
        summary: which requests were compared.
        verdict: on them; its reasons quote values from requests, so every text is escaped.
    """
    rows = [
        f"| {reason.outcome} | {markdown(reason.rule)} | {reason.value:.3f} | "
        f"{reason.bound:.3f} | {markdown(reason.with_example)} | "
        f"{markdown(reason.remedy)} |\n"
        for reason in verdict.reasons
    ]
    return (
        f"# Requests to revision {revision} of {markdown(name)}: {verdict.decision}\n\n"
        f"{markdown(summary)}.\n\n"
        "| | compared | distance | bound | | remedy |\n|---|---|--:|--:|---|---|\n"
        f"{''.join(rows)}"
    )
