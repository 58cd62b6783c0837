"""The forest plot: the candidate's paired differences with their intervals and bounds."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from setlist.evaluation.verdict import Reason
from setlist.report.drawing import INK, OUTCOME_COLOURS, add_grid, drawing_style, svg_element
from setlist.report.untrusted_text import clip

RULE_NAME_LENGTH = 40


def draw_forest(reasons: Sequence[Reason], primary: str) -> str:
    """Draw one row for each paired rule of the verdict, as an SVG element; "" without such a rule.

    Args:
        reasons: of the verdict; those without an interval are left out.
        primary: the metric of the differences.
    """
    paired = [
        (reason, reason.value, reason.low, reason.high)
        for reason in reasons
        if not (reason.value is None or reason.low is None or reason.high is None)
    ]
    if not paired:
        return ""
    with drawing_style("forest"):
        figure = Figure(figsize=(9.2, 0.32 * len(paired) + 0.75), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1, linestyle=":")
        for place, (reason, value, low, high) in enumerate(paired):
            colour = OUTCOME_COLOURS.get(reason.outcome, OUTCOME_COLOURS["undecided"])
            axes.plot([low, high], [place, place], color=colour, linewidth=2.5)
            axes.plot(value, place, "o", color=colour, markersize=7)
            axes.plot(reason.needed, place, "|", color=INK, markersize=13, markeredgewidth=2)
        names = [f"{clip(reason.rule, RULE_NAME_LENGTH)} ({reason.word})" for reason, *_ in paired]
        axes.set_yticks(range(len(paired)), names)
        axes.set_ylim(len(paired) - 0.5, -0.5)  # the first rule at the top
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"difference in {primary.replace('_', ' ')}; right of 0 is better")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.3g}" if value else "0")
        axes.spines["left"].set_visible(False)
        add_grid(axes)
        description = " ".join(
            f"{reason.rule}: {value:+.4f}, {low:+.4f} to {high:+.4f}, needed above "
            f"{reason.needed:+.4f}, {reason.word}."
            for reason, value, low, high in paired
        )
        title = f"Difference in {primary} between the candidate and each other model, with interval"
        return svg_element(figure, "forest", title, description)
