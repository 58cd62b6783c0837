"""The same defaults on small tables of other kinds: does the two-tower beat the best heuristic?

    python tests/benchmarks/general.py

MovieLens-100k and MovieLens latest small, ratings of 4 and more in order of time, cut at 70, 80
and 90%; each time the next tenth is the test period, and listeners without a history take no part.
The listeners of the three cuts are pooled; ours is the mean of three seeds for each.
"""

import sys
import tempfile
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path

# isort: split
import numpy as np
import pandas as pd
from cut import METRICS, Cut, Values

from setlist.data.curation import CurationSettings, DataSettings, curate
from setlist.data.schema import Window
from setlist.evaluation.results import EvaluationSettings
from setlist.evaluation.statistics import bootstrap
from setlist.models.heuristics import fit_heuristics
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.two_tower.train import train

DATA = "../shared/data"
TABLES = {
    "MovieLens-100k": (
        "ml-100k",
        {"tags": "class", "title": "movie_title"},
        " ",
        ("gender", "occupation"),
    ),
    "MovieLens latest small": ("ml-latest-small", {"tags": "genres"}, "|", ()),
}
CUTS = (0.7, 0.8, 0.9)
RULES = ("most_popular", "recently_popular", "co_visited")
SEEDS = (1, 2, 3)


def source(name: str) -> DataSettings:
    """The tables as a settings file names them."""
    folder, columns, separator, inputs = TABLES[name]
    users = {"path": f"{DATA}/{folder}/users.parquet"} if inputs else None
    return DataSettings.model_validate(
        {
            "events": {
                "path": f"{DATA}/{folder}/interactions.parquet",
                "where": [["rating", ">=", 4]],
            },
            "items": {
                "path": f"{DATA}/{folder}/items.parquet",
                "columns": columns,
                "tags_separator": separator,
            },
            "users": users,
        }
    )


def windows(name: str) -> list[Window]:
    """One for each cut."""
    rows = pd.read_parquet(f"{DATA}/{TABLES[name][0]}/interactions.parquet")
    times = np.sort(rows.loc[rows["rating"] >= 4, "timestamp"].to_numpy(np.int64))
    at = [times[min(int(len(times) * share), len(times) - 1)] for share in (*CUTS, 1.0)]
    moments = [pd.Timestamp(int(second), unit="s", tz="UTC").as_unit("us") for second in at]
    moments[-1] += pd.Timedelta(seconds=1)
    start = pd.Timestamp(int(times[0]), unit="s", tz="UTC").as_unit("us")
    return [Window(start, *pair) for pair in pairwise(moments)]


def measured(name: str, folder: Path) -> dict[str, Values]:
    """What each model is worth to the listeners of all cuts."""
    found: dict[str, list[Values]] = {}
    for number, window in enumerate(windows(name)):
        root = folder / str(number)
        curate(source(name), window, CurationSettings(max_events_per_day=10_000), root / "dataset")
        settings = EvaluationSettings()
        cut = Cut.of_dataset(root / "dataset", window, TABLES[name][3], settings, root / "features")
        fit_heuristics(root / "features", HeuristicSettings(fit=RULES), root)
        for rule in RULES:
            found.setdefault(rule, []).append(cut.of_model(root / rule))
        own = []
        for seed in SEEDS:
            output = root / f"two-tower-{seed}"
            train(cut.features, ModelSettings(seed=seed), output, root / "record", str(seed))
            own.append(cut.of_model(output))
        found.setdefault("ours", []).append(np.mean(own, axis=0))
    return {label: np.concatenate(values) for label, values in found.items()}


def main() -> None:
    """Print the table."""
    print("| | | " + " | ".join(name for name, _, _ in METRICS) + " |")
    print("|---|---|" + "---|" * len(METRICS))
    for name in TABLES:
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
            values = measured(name, Path(folder))
        ours = values.pop("ours")
        for rule, theirs in values.items():
            cells = (
                f"{mean:.4f}; ours {lift.mean:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}]"
                for mean, lift in zip(theirs.mean(axis=0), bootstrap(ours - theirs), strict=True)
            )
            print(f"| {name} | {rule} | {' | '.join(cells)} |")
        cells = " | ".join(f"{mean:.4f}" for mean in ours.mean(axis=0))
        print(f"| {name}, {len(ours):,} listeners | ours | {cells} |")


if __name__ == "__main__":
    main()
