"""The candidate's paired differences, drawn with their intervals and what the rules need."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from setlist.evaluation.verdict import Reason
from setlist.report.drawing import INK, TONES, dress, element, style

NAME = 40
"""The most characters of a rule's name."""


def forest(reasons: Sequence[Reason], primary: str) -> str:
    """An SVG element with one row a paired rule of the verdict; "" where there is none.

    Args:
        reasons: those without an interval are left out.
        primary: the metric whose differences they are.
    """
    paired = [
        (reason, reason.low, reason.high)
        for reason in reasons
        if reason.low is not None and reason.high is not None
    ]
    if not paired:
        return ""
    with style("forest"):
        figure = Figure(figsize=(9.2, 0.32 * len(paired) + 0.75), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1, linestyle=":")
        for place, (reason, low, high) in enumerate(paired):
            tone = TONES[reason.outcome]
            axes.plot([low, high], [place, place], color=tone, linewidth=2.5)
            axes.plot(reason.value, place, "o", color=tone, markersize=7)
            axes.plot(reason.needed, place, "|", color=INK, markersize=13, markeredgewidth=2)
        names = [
            (rule if len(rule) <= NAME else f"{rule[: NAME - 1]}…") + f" ({reason.outcome})"
            for reason, _, _ in paired
            for rule in [reason.rule]
        ]
        axes.set_yticks(range(len(paired)), names)
        axes.set_ylim(len(paired) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"difference in {primary.replace('_', ' ')}; right of 0 it is better")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.3g}" if value else "0")
        axes.spines["left"].set_visible(False)
        dress(axes)
        words = " ".join(
            f"{reason.rule}: {reason.value:+.4f}, {low:+.4f} to {high:+.4f}, needed above "
            f"{reason.needed:+.4f}, {reason.outcome}."
            for reason, low, high in paired
        )
        title = f"Intervals of the candidate's difference in {primary} to each other model"
        return element(figure, "forest", title, words)
