"""Evaluates every model of a run on the same listeners, with the same items and exclusions.

The folder that it writes is described in `setlist.evaluation.results`.
"""

import json
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

from setlist.data.features import Features
from setlist.errors import EvaluationError
from setlist.evaluation.audience import slice_columns
from setlist.evaluation.contenders import AnyContender, Contender, ListContender
from setlist.evaluation.examination import examine_lists, examine_model
from setlist.evaluation.inspection import inspect_models
from setlist.evaluation.intervals import write_intervals
from setlist.evaluation.results import (
    LISTENER_SLICE,
    Evaluation,
    EvaluationSettings,
    first_repeated,
)
from setlist.evaluation.setup import HeldOut, set_up, write_tables
from setlist.evaluation.shown_intervals import primary_metric, wanted_of_evaluation
from setlist.models.worker.model_host import ModelHost


def evaluate(
    models: Sequence[AnyContender],
    features: Features,
    dataset: Path,
    settings: EvaluationSettings,
    output: Path,
    allowed: Collection[str] = (),
) -> Evaluation:
    """Evaluate every model and write the evaluation folder: `evaluate_on` of a curated dataset."""
    return evaluate_on(HeldOut.read(dataset, features), models, features, settings, output, allowed)


def evaluate_on(
    test: HeldOut,
    models: Sequence[AnyContender],
    features: Features,
    settings: EvaluationSettings,
    output: Path,
    allowed: Collection[str] = (),
) -> Evaluation:
    """Evaluate every model and write the evaluation folder.

    What the run may ship (the candidate, and the heuristics while nothing is live) is then loaded
    again in a fresh process and gets valid and broken requests (`setlist.evaluation.inspection`);
    beside lists in place of a candidate nothing can be shipped. Last come the intervals of what
    the report will show (`setlist.evaluation.intervals`).

    Args:
        test: the plays of the test period.
        models: each with its role.
        features: what the models know of the listeners and items.
        settings: metrics, shelf and slices.
        output: the folder to write.
        allowed: operations that a model may have beside the usual ones (`policy.operations`).

    Raises:
        SettingsError: for an unknown metric, or a slice that is no column of the users table.
        DataError: for a test period without relevant plays.
        ModelError: for a model that answers outside the contract.
        EvaluationError: for a model that was trained past the cutoff, two models of one label, or
            an output that is not empty.
    """
    if output.exists() and any(output.iterdir()):
        raise EvaluationError(f"{output} is not empty", "remove it, or name another folder")
    if twice := first_repeated([contender.label for contender in models]):
        raise EvaluationError(f"two models are called {twice}", "rename one of the folders")
    asked = any(isinstance(model, Contender) for model in models)
    # The host starts while the tables are read; lists need none.
    with ModelHost() if asked else nullcontext() as host:
        setup = set_up(models, features, test, settings)
        output.mkdir(parents=True, exist_ok=True)
        write_tables(setup, features, settings, output)
        evaluated = []
        for contender in models:
            if isinstance(contender, ListContender):
                evaluated.append(examine_lists(contender, setup, output))
            elif host:
                cutoff = features.window.cutoff if test.window else None
                evaluated.append(examine_model(contender, setup, cutoff, output, host, allowed))
    candidates = [
        model for model in models if model.role == "candidate" and isinstance(model, Contender)
    ]
    heuristics = [
        model
        for model in models
        if model.role == "heuristic"
        and isinstance(model, Contender)
        and candidates
        and setup.shared is None
    ]
    inspections = inspect_models(output, candidates + heuristics, allowed)
    evaluation = Evaluation(
        shelf=settings.shelf,
        window=dict(test.window),
        metrics=settings.metric_infos(),
        # Without any play before the test, all listeners are of one kind, which says nothing.
        slices=tuple(
            name
            for name in slice_columns(features, settings)
            if name != LISTENER_SLICE or len(features.plays)
        ),
        k=setup.k,
        listeners=len(setup.people.users),
        sampled_from=setup.people.sampled_from,
        catalogue=setup.catalogue.size,
        left_out={**test.left_out, **setup.people.left_out},
        models=[
            model.model_copy(update={"inspection": inspections.get(model.label)})
            for model in evaluated
        ],
    )
    evaluation.intervals_digest = write_intervals(
        output, evaluation, wanted_of_evaluation(output, evaluation, primary_metric(evaluation))
    )
    document = json.dumps(evaluation.model_dump(), indent=1, allow_nan=False)
    (output / "evaluation.json").write_text(document + "\n", "utf-8")
    return evaluation
