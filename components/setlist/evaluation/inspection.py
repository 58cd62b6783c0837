"""Checks that a model serves as it was evaluated, in a process that did not make it.

The kept requests of the evaluation are sent alone, all together and a thousand at once. The scores
must be those that were evaluated, to 1e-4, and the order may differ only inside that tolerance.
Then come hostile requests: an empty history, unknown ids, a k beyond the catalogue, every item
excluded.

The model runs in a worker (`setlist.models.worker`), and this process asks it. Each occasion has a
deadline. A worker that hangs, dies, or uses too much is a fault of the model at that occasion.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Strings
from setlist.errors import ModelError
from setlist.evaluation.contenders import Contender
from setlist.evaluation.requests import REQUEST_COLUMNS
from setlist.evaluation.results import Inspection
from setlist.models.contract import read_catalogue
from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_host import ModelHost
from setlist.models.worker.model_worker import ModelUnansweredError
from setlist.models.worker.remote_model import RemoteModel, Timing

TOLERANCE = 1e-4
"""Of a score, absolute below 1 and relative above."""
BATCH_REQUESTS = 1_000
TIMED_REQUESTS = 200
REACH_LISTENERS = 8
REACH_CELLS = 2_000_000
"""Positions in all lists of the whole catalogue, which are as many Python strings: some 200 MB. Of
more than 250,000 items fewer listeners are asked, of more than 2 million one."""
OCCASION_SECONDS = 120.0
"""A thousand requests at once to the largest model in docs/explanation/model.md take 51 s of
processor time; a busy node needs longer. The requests that are timed are one occasion together."""
LIMITS = Limits(processor_seconds=1_200)
"""For each model: of the same one the whole inspection takes 70 s, so that is ample even where many
cores spin. Of memory it has as much as it will have in the server."""

IdsAndScores = tuple[Strings, Float32s]


def inspect_models(
    evaluation: Path, models: Sequence[Contender], allowed: Collection[str] = ()
) -> dict[str, Inspection]:
    """Load the models in a fresh process, one after the other, and return what was seen, by label.

    Args:
        evaluation: with requests.parquet, and answers.parquet of each of the models.
        models: to be inspected, in that order.
        allowed: operations that they may have beside the usual ones (`policy.operations`).
    """
    if not models:
        return {}
    with ModelHost(LIMITS) as host:
        print(f"inspecting {', '.join(model.label for model in models)}", flush=True)
        found = {
            model.label: inspect_model(evaluation, model.label, model.folder, host, allowed)
            for model in models
        }
    for missing in sorted({inspected.unconfined for inspected in found.values()} - {""}):
        print(f"the models were not confined: {missing}", flush=True)
    return found


@dataclass(frozen=True)
class Requests:
    """Several requests at once; `exclude` and the rest have one entry a listener."""

    history: Sequence[Sequence[str]]
    exclude: Sequence[Sequence[str]]
    ages: Sequence[Sequence[float]]
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, evaluation: Path) -> "Requests":
        """The kept requests of an evaluation."""
        table = pd.read_parquet(evaluation / "requests.parquet")
        history, exclude, ages = ([list(row) for row in table[name]] for name in REQUEST_COLUMNS)
        named = table.columns.difference(list(REQUEST_COLUMNS))
        return cls(history, exclude, ages, {str(name): table[name].tolist() for name in named})

    def take(self, rows: Sequence[int]) -> "Requests":
        """Some of them, in that order."""
        return Requests(
            [self.history[row] for row in rows],
            [self.exclude[row] for row in rows],
            [self.ages[row] for row in rows],
            {name: [values[row] for row in rows] for name, values in self.inputs.items()},
        )


class Inspector:
    """One model under inspection, with the faults that were seen so far."""

    def __init__(self, model: RemoteModel, catalogue: Sequence[str]) -> None:
        self.model = model
        self.catalogue = catalogue
        self._known = frozenset(catalogue)
        self.faults: list[str] = []
        self._lost = False  # the worker, at one of these faults

    def ask(self, occasion: str, requests: Requests, k: int) -> IdsAndScores | None:
        """The answer, checked against what the contract says of any answer; None for no answer."""
        if self._lost:
            return None
        try:
            ids, scores = self.model.signature(
                requests.history,
                requests.exclude,
                k,
                requests.inputs,
                requests.ages,
                seconds=OCCASION_SECONDS,
            )
        except ModelError as fault:
            self._fault(occasion, fault)
            return None
        width = min(k, len(self.catalogue))
        if ids.shape[1] != width:
            self.faults.append(
                f"{occasion}: {ids.shape[1]} positions for k = {k}, where {width} were expected"
            )
            return None
        if (scores[:, 1:] > scores[:, :-1]).any():
            self.faults.append(f"{occasion}: the scores are not in descending order")
        if ((ids == "") != (scores == -np.inf)).any():
            self.faults.append(f'{occasion}: "" and -inf do not go together')
        for row, exclude in zip(ids, requests.exclude, strict=True):
            shown = [item for item in row if item]
            if len(set(shown)) < len(shown):
                self.faults.append(f"{occasion}: an item stands twice in a list")
                break
            if not self._known.issuperset(shown):
                self.faults.append(f"{occasion}: an item that is not in its catalogue.txt")
                break
            if not set(exclude).isdisjoint(shown):
                self.faults.append(f"{occasion}: an excluded item is listed")
                break
        return ids, scores

    def _fault(self, occasion: str, fault: ModelError) -> None:
        self.faults.append(f"{occasion}: {first_line(fault)}")
        self._lost = isinstance(fault, ModelUnansweredError)

    def sound(self, requests: Requests, expected: IdsAndScores) -> None:
        """The kept requests: alone, together, and many at once."""
        k = expected[0].shape[1]
        number = len(requests.history)
        for occasion, rows in (
            ("a request alone", [0]),
            ("the evaluated requests", list(range(number))),
            (
                f"{BATCH_REQUESTS:,} requests at once",
                [row % number for row in range(BATCH_REQUESTS)],
            ),
        ):
            answer = self.ask(occasion, requests.take(rows), k)
            if answer and (
                differs := answer_difference((expected[0][rows], expected[1][rows]), answer)
            ):
                self.faults.append(f"{occasion}: {differs}")

    def hostile(self, requests: Requests, k: int) -> None:
        """Requests at the edges of the contract: nothing, unknown ids, everything excluded."""
        inputs = {name: ["no such value"] for name in requests.inputs}
        unknown = Requests([["no such item", ""] * 500], [["nor this", ""]], [[0.0, 1e9] * 500])
        nobody = Requests([[]], [[]], [[]])
        first = requests.take([0])
        everything = Requests(first.history, [self.catalogue], first.ages, first.inputs)
        self.ask("an empty history", nobody, k)
        self.ask("unknown ids", unknown, k)
        self.ask("unknown inputs", Requests([[]], [[]], [[]], inputs), k)
        self.ask("a k of 0", first, 0)
        self.ask("everything excluded", everything, k)

    def reach(self, requests: Requests) -> float | None:
        """The share of the catalogue that a few listeners see when nothing is cut or excluded.

        None for no answer.
        """
        size = max(len(self.catalogue), 1)
        affordable = max(min(REACH_LISTENERS, REACH_CELLS // size), 1)
        few = requests.take(range(min(affordable, len(requests.history))))
        open_ended = Requests(few.history, [[]] * len(few.history), few.ages, few.inputs)
        answer = self.ask("a k beyond the catalogue", open_ended, len(self.catalogue) + 7)
        return len(set(answer[0].ravel()) - {""}) / size if answer else None

    def latencies(self, requests: Requests, k: int) -> list[Timing]:
        """How long requests for one listener each take, in order of the kept requests."""
        until = time.monotonic() + OCCASION_SECONDS
        timings = []
        try:
            for row in range(min(TIMED_REQUESTS, len(requests.history))):
                request = requests.take([row])
                left = max(until - time.monotonic(), 0.001)
                timings.append(
                    self.model.timed(
                        request.history, request.exclude, k, request.inputs, request.ages, left
                    )
                )
        except ModelError as fault:
            self._fault("requests one by one", fault)
        return timings


def first_line(fault: Exception) -> str:
    """The first line of its message, to stand inside a sentence."""
    return str(fault).partition("\n")[0].removesuffix(".")


def answer_difference(expected: IdsAndScores, answer: IdsAndScores) -> str:
    """How two answers to the same requests differ by more than the tolerance; "" if they do not.

    Two items may change places where their scores are that close, and at the end of the list one
    may give way to another; positions evaluated as foreign (None) or empty are not compared.
    """
    width = answer[0].shape[1]
    padding = expected[0].shape[1] - width
    if padding and (expected[0][:, width:] != "").any():
        return f"{width} positions, where more were evaluated"
    ids, scores = expected[0][:, :width], expected[1][:, :width]
    margin = TOLERANCE * np.maximum(1, np.abs(np.where(np.isfinite(scores), scores, 0)))
    both = np.isfinite(scores) & np.isfinite(answer[1])
    gap = np.abs(np.subtract(scores, answer[1], out=np.zeros_like(scores), where=both))
    if (np.isfinite(scores) != np.isfinite(answer[1])).any():
        return "a position is filled that was evaluated as empty, or the other way round"
    if (gap > margin).any():
        return f"a score differs from the evaluated one by {gap.max():.2g}"
    for row, place in zip(*np.nonzero(ids != answer[0]), strict=True):
        item, score = ids[row, place], scores[row, place]
        if item is None or score == -np.inf:
            continue
        positions = np.flatnonzero(answer[0][row] == item)
        # An item that left the list scores at most what the last item of the list scores.
        answered = answer[1][row, positions[0]] if len(positions) else answer[1][row, -1]
        if abs(answered - score) > 2 * margin[row, place]:
            return f"{item!r} is not where it was evaluated"
    return ""


def inspect_model(
    evaluation: Path, label: str, folder: Path, host: ModelHost, allowed: Collection[str] = ()
) -> Inspection:
    """Inspect one model."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    unconfined, found = "", {}
    try:
        unconfined = host.unconfined
        with host.model(folder, allowed) as model:
            found = _inspected(evaluation, label, folder, model)
    except ModelError as fault:  # a model that cannot be loaded is a finding
        found = {"faults": [f"it cannot be loaded: {first_line(fault)}"], "requests": 0}
    return Inspection(size_mb=round(size, 3), unconfined=unconfined, **found)


def _inspected(evaluation: Path, label: str, folder: Path, model: RemoteModel) -> dict[str, Any]:
    """What was found of a loaded model, by the names in `Inspection`."""
    requests = Requests.read(evaluation)
    answers = pd.read_parquet(evaluation / label / "answers.parquet")
    expected = (
        np.array(answers["item_ids"].tolist(), dtype=object),
        np.array(answers["scores"].tolist(), dtype=np.float32),
    )
    inspector = Inspector(model, read_catalogue(folder))
    k = expected[0].shape[1]
    inspector.sound(requests, expected)
    inspector.hostile(requests, k)
    reach = inspector.reach(requests)
    timings = inspector.latencies(requests, k) if not inspector.faults else []
    return {
        "faults": inspector.faults,
        "requests": len(requests.history),
        "reach": reach,
        "processors": os.cpu_count() or 1,
        # Where one of them failed, the others are no measurement.
        **({} if inspector.faults else _quantiles(timings)),
    }


def _quantiles(timings: Sequence[Timing]) -> dict[str, float]:
    """The median and the 99th percentile of each time, by their names in `Inspection`."""
    times: dict[str, Callable[[Timing], float]] = {
        "": lambda timing: timing.milliseconds,
        "processor_": lambda timing: timing.processor_ms,
        "reference_": lambda timing: timing.reference_ms,
    }
    return {
        f"{name}p{percent}_ms": round(float(np.percentile([*map(of, timings)], percent)), 3)
        for name, of in times.items()
        for percent in (50, 99)
    }
