"""An evaluation that is written by hand, for what reads one without a pipeline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.evaluations import evaluated, evaluation

LISTENERS = 40


@pytest.fixture
def write_evaluation() -> Callable[..., Path]:
    """Writes an evaluation folder of models with the same ndcg@10 for each of 40 listeners.

    The label says the part that a model plays: candidate, live-3, anchor-2, else a heuristic.
    """

    def written(folder: Path, values: dict[str, float]) -> Path:
        for label, value in values.items():
            (folder / label).mkdir(parents=True)
            table = pd.DataFrame({"ndcg@10": np.full(LISTENERS, value)})
            table.to_parquet(folder / label / "per_user.parquet", index=False)
        made = evaluation([evaluated(label) for label in values], LISTENERS)
        (folder / "evaluation.json").write_text(made.model_dump_json())
        users = {"user_id": [str(row) for row in range(LISTENERS)], "listener": "heavy"}
        pd.DataFrame(users).to_parquet(folder / "users.parquet", index=False)
        return folder

    return written
