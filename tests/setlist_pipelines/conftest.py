"""The command line in this process, and an evaluation that is written by hand."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from tests.evaluations import evaluated, evaluation

from setlist_pipelines.cli.main import main
from setlist_pipelines.kubeflow.packages import Package, compile_package
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings

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


@pytest.fixture(scope="session")
def packaged() -> Callable[..., Package]:
    """`compile_package`, which takes a second, once for the same settings and image."""
    made: dict[tuple[str, str, str], Package] = {}

    def once(settings: Settings, image: str, pipeline: PipelineName = "retraining") -> Package:
        key = settings.model_dump_json(), image, pipeline
        if key not in made:
            made[key] = compile_package(settings, image, pipeline)
        return made[key]

    return once


class Finished(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def setlist(monkeypatch, capsys):
    """Runs the command line with these arguments."""

    def run(*arguments) -> Finished:
        monkeypatch.setattr(sys, "argv", ["setlist", *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Finished(int(ended.value.code or 0), *capsys.readouterr())

    return run
