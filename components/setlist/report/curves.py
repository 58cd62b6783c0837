"""The course of the trainings of a run, drawn: one line a candidate."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from setlist.models.training_record import CHECK_K, TrainingRecord
from setlist.report.drawing import dress, element, looks, style

TITLE = "Loss after each epoch, and how well the held-out plays are ranked"


def curves(trainings: Sequence[TrainingRecord], chosen: str) -> str:
    """An SVG element, to stand in a page: losses and held-out NDCG after each epoch.

    The same trainings give the same bytes. Its text and axes have the colour of the text around it.

    Args:
        trainings: of all candidates.
        chosen: the label of the one to point out.
    """
    with style("curves"):
        figure = Figure(figsize=(9.2, 3.2), layout="constrained")
        losses, checks, ranked = figure.subplots(1, 3)
        for look, one in zip(looks(), trainings, strict=False):
            width = 2.6 if one.label == chosen and len(trainings) > 1 else 1.5
            marker = "." if len(one.epochs) == 1 else ""
            look |= {"linewidth": width, "label": one.label, "marker": marker}
            numbers = [epoch.number for epoch in one.epochs]
            losses.plot(numbers, [epoch.loss for epoch in one.epochs], **look)
            if one.listeners:
                checks.plot(numbers, [epoch.check for epoch in one.epochs], **look)
                values = [epoch.ndcg for epoch in one.epochs]
                ranked.plot(numbers, values, **look)
                ranked.plot(one.best, values[one.best - 1], "o", color=look["color"])
        _dress(losses, "loss in training", "nats a play")
        _dress(checks, "loss of held-out plays", "")
        _dress(ranked, f"NDCG@{CHECK_K} of held-out plays", "")
        if all(one.listeners == 0 for one in trainings):
            checks.text(0.5, 0.5, "nobody was held out", ha="center", transform=checks.transAxes)
        if len(trainings) > 1:
            figure.legend(
                *losses.get_legend_handles_labels(),
                loc="outside lower center",
                ncols=4,
                frameon=False,
            )
        return element(figure, "curves", TITLE, describe(trainings, chosen))


def describe(trainings: Sequence[TrainingRecord], chosen: str) -> str:
    """The drawing in words."""
    sentences = []
    for one in trainings:
        first, last = one.epochs[0], one.epochs[-1]
        sentence = (
            f"{one.label}{', which is chosen' if one.label == chosen else ''}: {len(one.epochs)} "
            f"epochs, loss in training from {first.loss:.3f} to {last.loss:.3f}"
        )
        values = [epoch.ndcg for epoch in one.epochs if epoch.ndcg is not None]
        if values:
            sentence += (
                f", NDCG@{CHECK_K} of the held-out plays from {values[0]:.3f} to "
                f"{values[one.best - 1]:.3f} at epoch {one.best}"
            )
        sentences.append(f"{sentence}.")
    return " ".join(sentences)


def _dress(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    dress(axes)
