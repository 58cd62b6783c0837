"""A whole evaluation of a two-tower: ours against `evaluate` of TensorFlow Recommenders.

    python tests/benchmarks/evaluation.py [SETTINGS.yaml]

By default the worked example, MovieLens-1M in a temporal split. Curation, features and training
run once, in this process and unmeasured. Then both evaluate the same model for the same listeners
with the same exclusions, whatever each knew before the cut:

- ours: all that evaluation does for a candidate, from a model in memory: it asks for everybody's
  top 100 and computes five accuracy metrics at 10 and at 100. A second row loads the SavedModel
  first, which TFRS is spared.
- TFRS: a `tfrs.Model` with `tfrs.tasks.Retrieval` and `FactorizedTopK` at 10, 20 and 100, one row
  for each listener and relevant item as TFRS has it, batches of 512. It is spared the
  task's loss; its rows go through the user tower like ours. `FactorizedTopK` knows no
  exclusions, so that `update_state` asks the `BruteForce` layer through `query_with_exclusions`,
  which looks for them among k plus their number. For speed the rows are sorted by that number, so
  that a batch is padded to its own and not to the largest, and rounded up, so that TFRS traces
  few functions; the method reads a static shape, which takes eager mode around it.
- TFRS without exclusions, in graph mode: other lists and less work than was asked for, but the
  least that it takes.

It fails when the hit rates (the share of rows whose item is in the list) do not agree; a bar that
is missed is printed beside the ratio.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from setlist.models.tf import tf  # before TFRS, which would import it with Keras 3

# isort: split
import numpy as np
import pandas as pd
import tensorflow_recommenders as tfrs

from setlist.data.curation import curate, resolve_window
from setlist.data.features import Features
from setlist.data.transformation import transform
from setlist.evaluation.accuracy import average_precision, mrr, ndcg, precision, recall
from setlist.evaluation.audience import Audience, select_audience
from setlist.evaluation.catalogue import catalogue_of
from setlist.evaluation.ranking import Ranking
from setlist.models.contract import read_info
from setlist.models.saved_model import SavedModel, at, latest
from setlist.models.two_tower.train import train
from setlist_pipelines.settings.file import read_settings

EXAMPLE = "pipelines/setlist_pipelines/examples/movielens-1m.yaml"
KS = (10, 20, 100)
BATCH = 512
WIDTHS = 64
"""Exclusions are padded to a multiple of it: TFRS traces its function again for each width."""
BARS = {"TFRS, with the exclusions": 30}
"""How many times as long as ours each is hoped to take."""


class Excluding(tfrs.metrics.FactorizedTopK):
    """`FactorizedTopK` that leaves out what the rows exclude."""

    def update_state(self, queries: Any, truth: Any, ids: Any, exclude: Any) -> Any:
        scores, found = self._candidates.query_with_exclusions(queries, exclude, k=max(self._ks))
        hit = tf.equal(found, ids[:, None]) & (scores > tf.float32.min)
        for k, metric in zip(self._ks, self._top_k_metrics, strict=True):
            metric.update_state(tf.reduce_any(hit[:, :k], axis=1))


class Evaluated(tfrs.Model):
    """What TFRS evaluates: vectors in, top-k accuracy out."""

    def __init__(self, embed: Any, items: Any, excluding: bool) -> None:
        super().__init__()
        self.embed = embed
        index = tfrs.layers.factorized_top_k.BruteForce(k=max(KS)).index(items)
        kind = Excluding if excluding else tfrs.metrics.FactorizedTopK
        self.items = items
        self.accuracy = kind(index, ks=KS)
        self.excluding = excluding
        self.task = tfrs.tasks.Retrieval(metrics=None if excluding else self.accuracy)

    def compute_loss(self, rows: Any, training: bool = False) -> Any:
        told = {name: rows[name] for name in rows if name not in ("item", "exclude")}
        exclude = (rows["exclude"],) if self.excluding else ()
        truth = tf.gather(self.items, rows["item"])
        self.accuracy.update_state(self.embed(**told)["users"], truth, rows["item"], *exclude)
        return tf.constant(0.0)


def prepare(settings: Path, folder: Path) -> tuple[Features, Audience]:
    """Curate, transform and train below `folder`; who is evaluated."""
    read = read_settings(settings)
    window = resolve_window(read.window, read.as_of, pd.Timestamp.now("UTC"))
    curate(read.data, window, read.curation, folder / "dataset")
    transform(folder / "dataset", window, read.inputs, folder / "features")
    features = Features.read(folder / "features")
    train(features, read.model, folder / "model", folder / "record")
    test = pd.read_parquet(folder / "dataset" / "test.parquet")
    users = pd.read_parquet(folder / "dataset" / "users.parquet")
    return features, select_audience(features, test, users, read.evaluation)


def ours(model: SavedModel, features: Features, people: Audience) -> dict[str, float]:
    """Ask, measure."""
    inputs = {name: people.users[name].tolist() for name in features.inputs}
    item_ids = pd.Index(features.items["item_id"])
    top, _ = model.lists(item_ids, people.plays, people.history, max(KS), inputs, people.ages)
    ranking = Ranking(top, people.truth, people.history, catalogue_of(features), people.gains)
    for metric in (ndcg, recall, precision, mrr, average_precision):
        for k in (10, 100):
            metric(ranking, k).mean()
    found = [(recall(ranking, k) * people.truth.lengths).sum() for k in KS]
    return {
        f"hit rate at {k}": hits / len(people.truth.codes)
        for k, hits in zip(KS, found, strict=True)
    }


def rows_of(features: Features, people: Audience, keep: int) -> list[dict[str, Any]]:
    """The batches of TFRS: what the tower reads, items and exclusions."""
    lengths = people.history.lengths[people.truth.rows]
    order = np.argsort(lengths, kind="stable")
    batches = []
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        row = people.truth.rows[chosen]
        known = at(people.history.codes, latest(people.history.offsets, row), -1)
        wider = (0, 0), (-known.shape[1] % WIDTHS, 0)
        batch = {name: people.users[name].iloc[row].to_numpy(object) for name in features.inputs}
        batch["history"] = at(people.plays.codes, latest(people.plays.offsets, row, keep), -1)
        batch["item"] = people.truth.codes[chosen]
        batch["exclude"] = np.pad(known, wider, constant_values=-1)
        batches.append({name: tf.constant(values) for name, values in batch.items()})
    return batches


def theirs(model: Any, batches: list[dict[str, Any]], excluding: bool) -> dict[str, float]:
    """`evaluate` of TFRS."""
    evaluated = Evaluated(
        model.signatures["embed"], model.signatures["items"]()["items"], excluding
    )
    evaluated.compile(run_eagerly=excluding)
    wanted = [name for name in batches[0] if excluding or name != "exclude"]
    data = tf.data.Dataset.from_generator(
        lambda: ({name: batch[name] for name in wanted} for batch in batches),
        output_signature={
            name: tf.TensorSpec([None] * batches[0][name].ndim, batches[0][name].dtype)
            for name in wanted
        },
    )
    values = evaluated.evaluate(data, verbose=0, return_dict=True)
    return {
        f"hit rate at {k}": values[f"factorized_top_k/top_{k}_categorical_accuracy"] for k in KS
    }


def best(run: Callable[[], dict[str, float]], rounds: int) -> tuple[float, dict[str, float]]:
    """The least seconds of some rounds, and what was found."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        values = run()
        taken.append(time.perf_counter() - began)
    return min(taken), values


def main() -> None:
    """Print the table; fail when the hit rates differ."""
    settings = Path(sys.argv[1] if len(sys.argv) > 1 else EXAMPLE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        features, people = prepare(settings, folder)
        model = SavedModel(folder / "model")
        loaded = tf.saved_model.load(str(folder / "model" / "saved_model"))
        batches = rows_of(features, people, read_info(folder / "model").history_length)
        runs = {
            "ours": best(lambda: ours(model, features, people), 10),
            "ours, loading the model first": best(
                lambda: ours(SavedModel(folder / "model"), features, people), 10
            ),
            "TFRS, with the exclusions": best(lambda: theirs(loaded, batches, True), 2),
            "TFRS, without exclusions": best(lambda: theirs(loaded, batches, False), 2),
        }
    least = runs["ours"][0]
    lines = [
        "",
        f"{len(people.users):,} listeners, {len(people.truth.codes):,} relevant items, "
        f"{len(features.items):,} in the catalogue, {len(people.history.codes):,} exclusions",
        "",
        "| | seconds | times ours | bar | | " + " | ".join(runs["ours"][1]) + " |",
        "|---|---|---|---|---|" + "---|" * len(KS),
    ]
    for name, (seconds, values) in runs.items():
        cells = " | ".join(f"{value:.4f}" for value in values.values())
        ratio, bar = seconds / least, BARS.get(name)
        beside = "|" if bar is None else f"{bar} | {'met' if ratio >= bar else '**missed**'}"
        lines.append(f"| {name} | {seconds:.3f} | {ratio:.1f} | {beside} | {cells} |")
    sys.stdout.write("\n".join([*lines, ""]))
    full = runs["TFRS, with the exclusions"]
    rates = [list(values.values()) for values in (runs["ours"][1], full[1])]
    np.testing.assert_allclose(*rates, atol=2e-4)


if __name__ == "__main__":
    main()
