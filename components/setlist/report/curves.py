"""The learning curves of a run's trainings: one line for each candidate."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from setlist.models.training_record import CHECK_K, TrainingRecord
from setlist.report.drawing import add_grid, drawing_style, line_styles, svg_element

TITLE = "Loss after each epoch, and how well the held-out plays are ranked"


def draw_curves(trainings: Sequence[TrainingRecord], chosen: str) -> str:
    """Draw losses and NDCG of the held-out plays after each epoch, as an SVG element.

    The same trainings give the same bytes. Text and axes have the colour of the text around them.

    Args:
        trainings: of all candidates.
        chosen: the label of the candidate that is drawn with a thicker line.
    """
    with drawing_style("curves"):
        figure = Figure(figsize=(9.2, 3.2), layout="constrained")
        losses, holdout_losses, holdout_ndcg = figure.subplots(1, 3)
        for style, training in zip(line_styles(), trainings, strict=False):
            width = 2.6 if training.label == chosen and len(trainings) > 1 else 1.5
            # A line through a single epoch would be invisible.
            marker = "." if len(training.epochs) == 1 else ""
            style |= {"linewidth": width, "label": training.label, "marker": marker}
            numbers = [epoch.number for epoch in training.epochs]
            losses.plot(numbers, [epoch.loss for epoch in training.epochs], **style)
            if training.listeners:
                holdout_losses.plot(numbers, [epoch.check for epoch in training.epochs], **style)
                ndcgs = [epoch.ndcg for epoch in training.epochs]
                holdout_ndcg.plot(numbers, ndcgs, **style)
                if training.best:
                    kept = ndcgs[training.best - 1]
                    holdout_ndcg.plot(training.best, kept, "o", color=style["color"])
                if training.start_ndcg is not None:
                    holdout_ndcg.axhline(
                        training.start_ndcg, color=style["color"], linestyle=":", linewidth=1.2
                    )
        _label_axes(losses, "loss in training", "nats per play")
        _label_axes(holdout_losses, "loss of held-out plays", "")
        _label_axes(holdout_ndcg, f"NDCG@{CHECK_K} of held-out plays", "")
        if all(training.listeners == 0 for training in trainings):
            holdout_losses.text(
                0.5, 0.5, "no plays held out", ha="center", transform=holdout_losses.transAxes
            )
        if len(trainings) > 1:
            figure.legend(
                *losses.get_legend_handles_labels(),
                loc="outside lower center",
                ncols=4,
                frameon=False,
            )
        return svg_element(figure, "curves", TITLE, _in_words(trainings, chosen))


def _in_words(trainings: Sequence[TrainingRecord], chosen: str) -> str:
    """The content of the drawing in sentences."""
    sentences = []
    for training in trainings:
        mark = ", which is chosen" if training.label == chosen else ""
        sentence = f"{training.label}{mark}: {len(training.epochs)} epochs"
        if training.start:
            sentence += f" from {training.start}"
        if training.epochs:
            first, last = training.epochs[0], training.epochs[-1]
            sentence += f", loss in training from {first.loss:.3f} to {last.loss:.3f}"
        ndcgs = [epoch.ndcg for epoch in training.epochs if epoch.ndcg is not None]
        before = training.start_ndcg if training.start_ndcg is not None else next(iter(ndcgs), None)
        if ndcgs and training.best:
            sentence += (
                f", NDCG@{CHECK_K} of the held-out plays from {before:.3f} to "
                f"{ndcgs[training.best - 1]:.3f} at epoch {training.best}"
            )
        elif before is not None:
            sentence += (
                f", NDCG@{CHECK_K} of the held-out plays {before:.3f} at the start, and no epoch "
                "better by more than chance, so training added nothing and the start is the model"
            )
        if training.timeless:
            sentence += (
                "; the times of plays say nothing, or too few listeners return, so the last plays "
                "of each checked listener were held out, and the prior is 0"
            )
        sentences.append(f"{sentence}.")
    return " ".join(sentences)


def _label_axes(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    add_grid(axes)
