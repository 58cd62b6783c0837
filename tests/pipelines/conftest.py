"""An evaluation that is written by hand, for what reads one without a pipeline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.evaluation.evaluation import Evaluated, Evaluation, Infra, Measured

LISTENERS = 40


@pytest.fixture
def write_evaluation() -> Callable[..., Path]:
    """Writes an evaluation folder of models with the same ndcg@10 for each of 40 listeners.

    The label says the part that a model plays: candidate, live-3, anchor-2, else a heuristic.
    """

    def written(folder: Path, values: dict[str, float]) -> Path:
        models = []
        for label, value in values.items():
            role, _, revision = label.partition("-")
            (folder / label).mkdir(parents=True)
            table = pd.DataFrame({"ndcg@10": np.full(LISTENERS, value)})
            table.to_parquet(folder / label / "per_user.parquet", index=False)
            models.append(
                Evaluated(
                    label=label,
                    role=role if role in ("candidate", "live", "anchor") else "heuristic",
                    kind="test",
                    digest=label,
                    content=label,
                    revision=int(revision) if revision else None,
                    training_window={},
                    corpus={},
                    foreign=0,
                    excluded=0,
                    known=1,
                    infra=Infra(faults=[], requests=9, reach=1.0, p50_ms=1, p99_ms=2, size_mb=3),
                    seconds=1,
                )
            )
        evaluation = Evaluation(
            shelf="discovery",
            window={},
            metrics=(Measured.of("ndcg@10"),),
            slices=("listener",),
            k=10,
            listeners=LISTENERS,
            sampled_from=LISTENERS,
            catalogue=100,
            left_out={},
            models=models,
        )
        (folder / "evaluation.json").write_text(evaluation.model_dump_json())
        users = {"user_id": [str(row) for row in range(LISTENERS)], "listener": "heavy"}
        pd.DataFrame(users).to_parquet(folder / "users.parquet", index=False)
        return folder

    return written
