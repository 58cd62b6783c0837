"""A run folder, models and a store of any size, as `setlist run` leaves them; see `explorer`.

python -m tests.benchmarks.explorer_run SHARE FOLDER
"""

import hashlib
import json
import sys
import time
from pathlib import Path

# isort: split
import numpy as np
import pandas as pd
import yaml
from tests.setlist.serving.models import WINDOW, promote, stage, write_towers

from setlist.data.features import Features
from setlist.data.schema import tie_order
from setlist.evaluation.results import EvaluatedModel, Evaluation, MetricInfo
from setlist.evaluation.verdict import Verdict
from setlist.models.heuristics import CoVisited, Popular
from setlist.models.item_table import write_item_table
from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE
from setlist_pipelines.settings.file import SAMPLE, read_settings

ITEMS, LISTENERS, NEWCOMERS, PLAYS, EVALUATED = 100_000, 950_000, 50_000, 20_000_000, 200_000
DIMENSION, NEIGHBOURS, K, RELEVANT = 64, 100, 100, 5
DAYS = 90
COUNTRIES = ["Chile", "Japan", "Sweden", *(f"country {number}" for number in range(40))]
BANDS = ["", "18-24", "25-34", "35-49", "50+"]
WORDS = (
    "slow",
    "bright",
    "quiet",
    "late",
    "northern",
    "electric",
    "wooden",
    "golden",
    "night",
    "river",
)
METRICS = ("ndcg@10", "ndcg@100", "recall_capped@20", "intra_list_diversity@10")
ROLES = {
    "candidate": "candidate",
    "live-1": "live",
    "co_visited": "heuristic",
    "most_popular": "heuristic",
}


def people(rng: np.random.Generator, first: int, number: int) -> pd.DataFrame:
    """Listeners with their inputs."""
    share = 1 / (1 + np.arange(len(COUNTRIES)))
    return pd.DataFrame(
        {
            "user_id": [f"listener-{first + one:07d}" for one in range(number)],
            "country": rng.choice(COUNTRIES, number, p=share / share.sum()),
            "age_band": rng.choice(BANDS, number),
        }
    )


def features(rng: np.random.Generator, share: float) -> Features:
    """Everybody's plays; the popularity of items and the activity of listeners have long tails."""
    sizes = [int(size * share) for size in (ITEMS, LISTENERS, NEWCOMERS, PLAYS)]
    items, listeners, newcomers, plays = sizes
    active = rng.lognormal(0, 1, listeners)
    counts = np.maximum(1, np.round(active * plays / active.sum())).astype(int)
    user = np.repeat(np.arange(listeners, dtype=np.int32), counts)
    mass = np.cumsum(rng.permutation(1 / (10 + np.arange(items)) ** 0.9))
    item = np.searchsorted(mass, rng.random(len(user)) * mass[-1]).astype(np.int32)
    place = np.sort(user + rng.random(len(user))) - user  # in 0..1, ascending for each listener
    pairs = np.unique(user * np.int64(items) + item)
    ids = tie_order([f"item-{number:05d}" for number in range(items)])
    words = rng.integers(len(WORDS), size=(items, 2))
    table = pd.DataFrame(
        {
            "item_id": ids,
            "title": [
                f"{WORDS[one]} {WORDS[other]} {item_id}"
                for (one, other), item_id in zip(words.tolist(), ids, strict=True)
            ],
            "tags": [[f"tag {one}", f"tag {len(WORDS) + other}"] for one, other in words.tolist()],
            "released": pd.Series(pd.NaT, range(items), "datetime64[us, UTC]"),
            "plays": np.bincount(item, minlength=items),
            "listeners": np.bincount(pairs % items, minlength=items),
        }
    )
    return Features(
        items=table,
        users=people(rng, 0, listeners),
        newcomers=people(rng, listeners, newcomers),
        plays=pd.DataFrame(
            {"user": user, "item": item, "age_days": np.float32(DAYS * (1 - place))}
        ),
        window=WINDOW,
        inputs=("country", "age_band"),
    )


def models(rng: np.random.Generator, known: Features, root: Path) -> None:
    """Two heuristics and two two-towers, which are staged in the store, too."""
    ids, size = known.items["item_id"].tolist(), len(known.items)
    listeners = known.items["listeners"].to_numpy(np.float32)
    near = rng.integers(size, size=(size, NEIGHBOURS), dtype=np.int32)
    cosine = np.sort(rng.random(near.shape, dtype=np.float32))[:, ::-1]
    heuristics = root / "fit-heuristics" / "models"
    for name, one in {
        "most_popular": Popular(ids, listeners),
        "co_visited": CoVisited(ids, near, cosine),
    }.items():
        one.export(heuristics / name, name, WINDOW)
        write_item_table(heuristics / name, known.items)
    store = str(root.parent / "store")
    for revision, label in ((1, "resolve-live/live/live-1"), (2, "train/candidate")):
        (root / label).parent.mkdir(parents=True)
        stage(store, write_towers(root / label, "item", size, DIMENSION), f"run-{revision}")
    promote(store, 1)


def evaluate(rng: np.random.Generator, known: Features, folder: Path, number: int) -> None:
    """What the evaluation of a sample of the listeners would have left, with random lists."""
    everyone, size = known.everyone, len(known.items)
    codes = np.sort(rng.choice(len(everyone), number, replace=False))
    history = np.diff(known.offsets)[codes]
    users = everyone.iloc[codes].reset_index(drop=True)
    kinds = np.where(history == 0, "newcomer", np.where(history < 50, "light", "heavy"))
    folder.mkdir(parents=True)
    users.assign(relevant=RELEVANT, history=history, listener=kinds).to_parquet(
        folder / "users.parquet", index=False
    )
    known.items.to_parquet(folder / "items.parquet", index=False)
    pd.DataFrame(
        {
            "user": np.repeat(np.arange(number, dtype=np.int32), RELEVANT),
            "item": rng.integers(size, size=number * RELEVANT, dtype=np.int32),
            "gain": rng.integers(1, 5, number * RELEVANT).astype(float),
        }
    ).to_parquet(folder / "truth.parquet", index=False)
    evaluated = []
    for label, role in ROLES.items():
        (folder / label).mkdir()
        start = rng.integers(size // 8, size=(number, 1), dtype=np.int32)
        step = rng.integers(1, size // K // 2, size=(number, 1), dtype=np.int32)
        lists = start + step * np.arange(K, dtype=np.int32)  # distinct items
        np.save(folder / label / "top.npy", lists)
        values = {name: rng.beta(1, 4, number) for name in METRICS}
        pd.DataFrame(values).to_parquet(folder / label / "per_user.parquet", index=False)
        evaluated.append(
            EvaluatedModel(
                label=label,
                role=role,
                kind="heuristic" if role == "heuristic" else "two_tower",
                digest=hashlib.sha256(label.encode()).hexdigest(),
                content=label,
                revision=1 if role == "live" else None,
                training_window={
                    "start": WINDOW.start.isoformat(),
                    "end": WINDOW.cutoff.isoformat(),
                },
                corpus={},
                foreign=0,
                excluded=0,
                known=1.0,
                seconds=1.0,
            )
        )
    evaluation = Evaluation(
        shelf="discovery",
        window=WINDOW.to_json(),
        metrics=tuple(map(MetricInfo.of, METRICS)),
        slices=("listener", "country", "age_band"),
        k=K,
        listeners=number,
        sampled_from=len(everyone),
        catalogue=size,
        left_out={},
        models=evaluated,
    )
    (folder / "evaluation.json").write_text(json.dumps(evaluation.model_dump()))


def write(folder: Path, share: float) -> None:
    """Write FOLDER/.setlist."""
    began = time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {line}", flush=True)

    rng = np.random.default_rng(1)
    root = folder / ".setlist" / "retraining-20260501-051234-42"
    say("drawing plays")
    known = features(rng, share)
    say(f"writing {len(known.plays):,} plays of {len(known.everyone):,} listeners")
    known.write(root / "transform" / "features")
    say("writing the evaluation")
    evaluate(rng, known, root / "evaluate" / "evaluations", int(EVALUATED * share))
    (root / "gate").mkdir()
    Verdict(
        decision="undecided",
        mode="manual",
        primary=METRICS[0],
        sentence="Nothing was learned here: these models are for looking at how fast they are.",
        reasons=[],
        evaluation_digest="",
        policy_digest="",
        head=None,
    ).write(root / "gate" / "verdict")
    say(f"writing models of {len(known.items):,} items")
    models(rng, known, root)
    text = yaml.safe_dump(read_settings(SAMPLE).document(), sort_keys=False)
    (root / SETTINGS_FILE).write_text(text, "utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"{size / 1e6:,.0f} MB in {folder}")


if __name__ == "__main__":
    write(Path(sys.argv[2]), float(sys.argv[1]))
