"""One model of an evaluation, or lists in place of one: asked, measured and described."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from setlist.arrays import Bools, Float32s, Int32s
from setlist.data.schema import parse_instant
from setlist.errors import EvaluationError, ModelError, SetlistError
from setlist.evaluation.contenders import AnyContender, Contender, ListContender
from setlist.evaluation.given_lists import code_lists
from setlist.evaluation.lists import count_excluded, top_lists, without_repeats
from setlist.evaluation.measurement import compute_metrics
from setlist.evaluation.ranking import FOREIGN, Ranking
from setlist.evaluation.requests import write_answers
from setlist.evaluation.results import LEARNED_ROLES, SHARED_PART, EvaluatedModel
from setlist.evaluation.setup import EvaluationSetup
from setlist.models.contract import folder_digest, read_catalogue, read_info
from setlist.models.worker.model_host import ModelHost

NOT_ASKED_OF_LISTS = (
    "whether it serves as evaluated, and how fast: there is no model",
    "whether it lists the whole catalogue when lists are long enough",
    "what it answers to listeners and items that it does not know",
)
"""What the gate asks of a model only."""


def examine_model(
    contender: Contender,
    setup: EvaluationSetup,
    cutoff: pd.Timestamp | None,
    output: Path,
    host: ModelHost,
    allowed: Collection[str],
) -> EvaluatedModel:
    """Ask a model for its lists, write and measure them; what the evaluation says of it.

    Args:
        contender: the model.
        setup: what all models share.
        cutoff: where its training has to end; None where times are not known.
        output: the evaluation folder.
        host: asks it.
        allowed: operations that it may have beside the usual ones.

    Raises:
        EvaluationError: for a model that was trained past the cutoff.
        ModelError: for a model that answers outside the contract.
    """
    began = time.monotonic()
    info = read_info(contender.folder)
    trained_until = parse_instant(
        info.training_window.get("end", ""),
        f"{contender.folder / 'model.json'}: training_window.end",
    )
    if cutoff is not None and trained_until > cutoff:
        raise EvaluationError(
            f"{contender.label} was trained on data until {trained_until:%Y-%m-%d %H:%M}, after "
            f"the cutoff of this run ({cutoff:%Y-%m-%d %H:%M}), so it has seen the test period",
            "choose a later as_of",
        )
    people = setup.people
    try:
        with host.model(contender.folder, allowed) as model:
            answered, scores = top_lists(
                model, people, setup.inputs, setup.item_ids, setup.shelf, setup.k
            )
    except SetlistError as fault:
        raise ModelError(f"{contender.label}: {fault.message}", fault.remedy) from fault
    parts = dict(setup.parts)
    if setup.shared is not None and contender.role in LEARNED_ROLES:
        parts[SHARED_PART] = setup.shared
    return EvaluatedModel(
        label=contender.label,
        role=contender.role,
        kind=info.kind,
        digest=folder_digest(contender.folder),
        content=folder_digest(contender.folder / "saved_model"),
        revision=contender.revision,
        training_window={} if cutoff is None else info.training_window,
        known=float(setup.item_ids.isin(read_catalogue(contender.folder)).mean()),
        **_measure(contender, setup, parts, answered, scores, output, began),
    )


def examine_lists(contender: ListContender, setup: EvaluationSetup, output: Path) -> EvaluatedModel:
    """`examine_model` for lists that were given."""
    began = time.monotonic()
    people = setup.people
    coded = code_lists(contender.lists, people.users["user_id"], setup.item_ids, setup.k)
    measured = _measure(contender, setup, setup.parts, coded.top, coded.scores, output, began)
    notes = list(coded.notes)
    if excluded := measured["excluded"]:
        notes.append(
            f"{excluded:,} positions hold an item that the listener had played before, which the "
            "discovery shelf leaves out"
        )
    return EvaluatedModel(
        label=contender.label,
        role=contender.role,
        kind="lists",
        digest="",
        content="",
        training_window={},
        known=coded.known,
        source="lists",
        notes=notes,
        not_asked=[*NOT_ASKED_OF_LISTS, *contender.not_asked],
        **measured,
    )


def _measure(
    contender: AnyContender,
    setup: EvaluationSetup,
    parts: Mapping[str, Bools],
    answered: Int32s,
    scores: Float32s,
    output: Path,
    began: float,
) -> dict[str, Any]:
    """Write the tables of one contender's lists, and return what the evaluation says of them."""
    people = setup.people
    # Metrics read the lists without repeats; `excluded` below counts what the model answered.
    top = without_repeats(answered)
    ranking = Ranking(top, people.truth, people.history, setup.catalogue, people.gains)
    per_user, corpus = compute_metrics(ranking, setup.metrics, parts)
    folder = output / contender.label
    folder.mkdir()
    np.save(folder / "top.npy", top)
    per_user.to_parquet(folder / "per_user.parquet", index=False)
    write_answers(folder, top[setup.requests], scores[setup.requests], setup.item_ids)
    seconds = time.monotonic() - began
    print(f"evaluated {contender.label} in {seconds:.1f} s", flush=True)
    return {
        "corpus": corpus,
        "foreign": int((answered == FOREIGN).sum()),
        "excluded": count_excluded(answered, people.history, setup.catalogue)
        if setup.shelf == "discovery"
        else 0,
        "seconds": round(seconds, 2),
    }
