"""What a warm start saves: the bundled sample, retrained a week after the live model.

    python tests/benchmarks/warm_start.py

The live model was trained up to a week before; the retraining starts from it, or cold. Mean of
three seeds, and the paired difference of warm minus cold over the listeners of the test period.
"""

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

# isort: split
import numpy as np
import pandas as pd
from cut import METRICS, Cut

from setlist.data.curation import curate, resolve_window
from setlist.evaluation.statistics import bootstrap
from setlist.models.settings import ModelSettings
from setlist.models.two_tower.train import train
from setlist_pipelines.settings.file import SAMPLE, read_settings

SEEDS = (1, 2, 3)


def cut_at(as_of: str, folder: Path) -> Cut:
    """The sample as a run sees it at a date."""
    settings = read_settings(SAMPLE, [f"as_of={as_of}"])
    window = resolve_window(settings.window, settings.as_of, pd.Timestamp.now("UTC"))
    curate(settings.data, window, settings.curation, folder / "dataset")
    return Cut.of_dataset(
        folder / "dataset", window, settings.inputs, settings.evaluation, folder / "features"
    )


def main() -> None:
    """Print the table."""
    found = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as name, redirect_stdout(sys.stderr):
        folder = Path(name)
        before = cut_at("2026-04-24", folder / "before")
        now = cut_at("2026-05-01", folder / "now")
        for seed in SEEDS:
            settings, live = ModelSettings(seed=seed), folder / f"live-{seed}"
            train(before.features, settings, live, folder / "record")
            for start, given in (("cold", None), ("warm", live)):
                output = folder / f"{start}-{seed}"
                took = train(now.features, settings, output, folder / "record", live=given)
                found[start].append((took.seconds, len(took.epochs), now.of_model(output)))
    names = " | ".join(name for name, _, _ in METRICS)
    print(f"| start | seconds | epochs | {names} |\n|---|--:|--:|{'---|' * len(METRICS)}")
    means = {}
    for start, runs in found.items():
        seconds, epochs = (np.mean([run[part] for run in runs]) for part in (0, 1))
        means[start] = np.mean([run[2] for run in runs], axis=0)
        cells = " | ".join(f"{value:.4f}" for value in means[start].mean(axis=0))
        print(f"| {start} | {seconds:.1f} | {epochs:.1f} | {cells} |")
    lifts = bootstrap(means["warm"] - means["cold"])
    cells = " | ".join(f"{one.mean:+.4f} [{one.low:+.4f}, {one.high:+.4f}]" for one in lifts)
    print(f"| warm - cold | | | {cells} |")


if __name__ == "__main__":
    main()
