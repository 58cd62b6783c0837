"""Our two-tower beside the simple rules and the simple learners, on tables of many kinds.

    python tests/benchmarks/models.py [PART OF A TABLE'S NAME ...]

Everything that is chosen is chosen on what the inner split holds out of the training period; the
test period is looked at once. Ours is the mean of three seeds for each listener, of one in the five
folds, and the intervals are of ours minus the other, paired by listener. CPU seconds are those of
fitting, search included, without reading and without evaluation; of ours the mean of the seeds.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

# isort: split
import numpy as np
from cut import Cut
from tables import TABLES, movielens_in_folds

from setlist.evaluation.accuracy import ndcg, recall, recall_capped
from setlist.evaluation.statistics import bootstrap
from setlist.models.heuristics import LEARNERS, fit_heuristics
from setlist.models.learners.learnable import Learnable
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.two_tower.train import train

METRICS = (
    ("NDCG@10", ndcg, 10),
    ("NDCG@20", ndcg, 20),
    ("NDCG@100", ndcg, 100),
    ("Recall@20", recall, 20),
    ("Recall@20, capped", recall_capped, 20),
)
SEEDS = (1, 2, 3)
"""Of each cut; the five random folds have one seed each."""
RULES = ("most_popular", "recently_popular", "co_visited")


class Measured:
    """What models are worth to the listeners of all cuts of a table, and what they cost."""

    def __init__(self) -> None:
        self.values: dict[str, list[np.ndarray]] = defaultdict(list)
        self.seconds: dict[str, float] = defaultdict(float)
        self.shown: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.starts: list[str] = []

    def add(self, name: str, cut: Cut, folders: list[Path], seconds: float) -> None:
        """One model, or several of which the mean counts."""
        self.values[name].append(np.mean([cut.of_model(folder) for folder in folders], axis=0))
        self.seconds[name] += seconds
        self.shown[name].append(cut.exposure(folders[0]))


def measure(cut: Cut, folder: Path, seeds: Sequence[int], measured: Measured) -> None:
    """Fit everything on one cut."""
    fit_heuristics(folder / "features", HeuristicSettings(fit=RULES), folder)
    for rule in RULES:
        measured.add(rule, cut, [folder / rule], 0.0)
    learnable = Learnable(cut.features)
    for name, fit in LEARNERS.items():
        began = time.process_time()
        model = fit(learnable)
        taken = time.process_time() - began
        model.export(folder / name, name, cut.features.window)
        measured.add(name, cut, [folder / name], taken)
    began, folders = time.process_time(), []
    for seed in seeds:
        folders.append(folder / f"two-tower-{seed}")
        settings = ModelSettings(seed=seed)
        record = train(cut.features, settings, folders[-1], folder / "records", f"seed-{seed}")
        near = f", {record.neighbours} added" if record.neighbours else ""
        measured.starts.append(f"{record.start}, epoch {record.best} kept{near}")
    measured.add("ours", cut, folders, (time.process_time() - began) / len(seeds))


def rows(name: str, measured: Measured) -> list[str]:
    """The lines of the Markdown table."""
    values = {label: np.concatenate(parts) for label, parts in measured.values.items()}
    ours = values.pop("ours")
    lines = [f"\n**{name}**, {len(ours):,} listeners\n"]
    heads = [*(metric for metric, _, _ in METRICS), "coverage@10", "popularity lift@10"]
    lines.append(f"| | CPU s | {' | '.join(heads)} |")
    lines.append("|---|--:|" + "---|" * len(METRICS) + "--:|--:|")
    for label, theirs in values.items():
        cells = [
            f"{mean:.4f}; ours {lift.mean:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}]"
            for mean, lift in zip(theirs.mean(axis=0), bootstrap(ours - theirs), strict=True)
        ]
        lines.append(row(label, measured, cells))
    lines.append(row("ours", measured, [f"{mean:.4f}" for mean in ours.mean(axis=0)]))
    lines.append("")
    lines += [f"- {start}" for start in sorted(set(measured.starts))]
    return lines


def row(label: str, measured: Measured, cells: list[str]) -> str:
    taken = f"{measured.seconds[label]:.1f}" if measured.seconds[label] else ""
    coverage, lift = np.mean(measured.shown[label], axis=0)
    return f"| {label} | {taken} | {' | '.join(cells)} | {coverage:.3f} | {lift:.2f} |"


def main() -> None:
    """Print a table for each table."""
    for name, cuts in TABLES.items():
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        measured = Measured()
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
            for number, cut in enumerate(cuts(Path(folder))):
                seeds = (number,) if cuts is movielens_in_folds else SEEDS
                measure(replace(cut, metrics=METRICS), cut.folder.parent, seeds, measured)
        print(*rows(name, measured), sep="\n", flush=True)


if __name__ == "__main__":
    main()
