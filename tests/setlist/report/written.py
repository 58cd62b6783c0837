"""A run's parts, written by hand, so that every number on its page is known."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.data.curation import CurationReport
from setlist.data.events import RuleCount
from setlist.evaluation.gate import gate
from setlist.evaluation.policy import Guardrail, Policy, SliceRule
from setlist.evaluation.results import (
    ITEM_PARTS,
    EvaluatedModel,
    Evaluation,
    Inspection,
    MetricInfo,
)
from setlist.evaluation.verdict import Mode, SeenHead
from setlist.models.settings import ModelSettings
from setlist.models.training_record import Epoch, TrainingRecord

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"><b onclick='alert(3)'>{{ 7 * 7 }}",
    "</bdi></td></table><!--",
)
ITEMS = 14
UNTAGGED, NEW = 5, 6


def build(
    folder: Path, live: bool = True, titles: tuple[str, ...] = HOSTILE, mode: Mode = "auto"
) -> tuple[Path, Path]:
    """An evaluation of 76 listeners and the gate's verdict about it.

    The values of a model are the same for everybody but a fixed ripple, so its mean is exact.
    Plays of the head are everybody's, of the torso those of the first 40 and of the tail of 6;
    nothing is new.
    """
    count = 76
    users = pd.DataFrame(
        {
            "user_id": [f"u<{number:02}>" for number in range(count)],
            "country": ["SE"] * 40 + [""] * 30 + ["<i>NG</i>"] * 6,
            "relevant": 2,
            "history": [0, 20, 80, 20] * 19,
            "listener": ["newcomer", "light", "heavy", "light"] * 19,
        }
    )
    names = [*titles, *(f"Title {number}" for number in range(len(titles), ITEMS))]
    items = pd.DataFrame(
        {
            "item_id": [f"i{number}" for number in range(ITEMS)],
            "title": names,
            "tags": [[] if item == UNTAGGED else ["folk", "<u>"] for item in range(ITEMS)],
            "released": pd.NaT,
            "plays": 3,
            "listeners": [0 if item == NEW else 2 for item in range(ITEMS)],
        }
    )
    evaluations = folder / "evaluations"
    evaluations.mkdir()
    users.to_parquet(evaluations / "users.parquet", index=False)
    items.to_parquet(evaluations / "items.parquet", index=False)
    pd.DataFrame({"user": np.repeat(np.arange(count), 2), "item": [0, 13] * count}).to_parquet(
        evaluations / "truth.parquet", index=False
    )
    shown = np.arange(10)
    models = []
    for label, role, mean, gini, top in (
        ("candidate", "candidate", 0.5, 0.25, shown),
        *([("live-7", "live", 0.4, 0.5, np.r_[13, shown[1:8], -2, -1])] if live else []),
        ("co_visited", "heuristic", 0.3, 0.75, np.r_[shown[1:], 13]),
        ("relisten", "heuristic", 0.0, 0.0, np.full(10, -1)),
    ):
        home = evaluations / label
        home.mkdir()
        np.save(home / "top.npy", np.tile(top.astype(np.int32), (count, 1)))
        ripple = np.tile([0.01, -0.01], count // 2) * (mean > 0)
        values = pd.DataFrame({"ndcg@10": mean + ripple, "intra_list_diversity@10": mean})
        for part, size in zip(ITEM_PARTS, (count, 40, 6, 0), strict=True):
            values[f"ndcg@10 {part}"] = np.where(np.arange(count) < size, mean / 2, np.nan)
        if live and role != "heuristic":
            values["ndcg@10 shared"] = 0.5
            values["intra_list_diversity@10 shared"] = 0.5
            values.loc[:5, ["ndcg@10 shared", "intra_list_diversity@10 shared"]] = np.nan
        values.to_parquet(home / "per_user.parquet", index=False)
        models.append(
            EvaluatedModel(
                label=label,
                role=role,
                kind="two_tower" if role != "heuristic" else "heuristic",
                digest=hashlib.sha256(label.encode()).hexdigest(),
                content=label,
                revision=7 if role == "live" else None,
                training_window={"start": "2026-01-01T00:00:00+00:00", "end": "2026-04-01T06:00"},
                corpus={"gini@10": gini},
                foreign=count if role == "live" else 0,
                excluded=0,
                known=1.0,
                inspection=Inspection(
                    faults=[], requests=76, reach=1.0, p50_ms=1.0, p99_ms=2.0, size_mb=3.0
                ),
                seconds=1.5,
            )
        )
    evaluation = Evaluation(
        shelf="discovery",
        window={
            "start": "2026-01-01T00:00:00+00:00",
            "cut": "2026-04-01T00:00:00+00:00",
            "end": "2026-04-15T00:00:00+00:00",
        },
        metrics=tuple(map(MetricInfo.of, ("ndcg@10", "intra_list_diversity@10", "gini@10"))),
        slices=("listener", "country"),
        k=10,
        listeners=count,
        sampled_from=count,
        catalogue=ITEMS,
        left_out={"events on items that were not known at the cutoff": 1234},
        models=models,
    )
    (evaluations / "evaluation.json").write_text(json.dumps(evaluation.model_dump()))
    policy = Policy(
        guardrails=(Guardrail(metric="gini@10", at_most=0.2),),
        slices=SliceRule(columns=("country", "listener", "item_part")),
        mode=mode,
    )
    verdict = folder / "verdict"
    gate(evaluations, policy, SeenHead(live=7, version="1") if live else None).write(verdict)
    return evaluations, verdict


def without_tags(evaluations: Path) -> None:
    """Take the tags from all items of an evaluation."""
    path = evaluations / "items.parquet"
    items = pd.read_parquet(path)
    items["tags"] = [[] for _ in range(ITEMS)]
    items.to_parquet(path, index=False)


def trainings(folder: Path, *labels: str, held: bool = True) -> Path:
    """Records of trainings; the first one is chosen."""
    for place, label in enumerate(labels):
        TrainingRecord(
            label=label,
            settings=ModelSettings(dimension=2 ** (place + 3)),
            epochs=[
                Epoch(
                    number,
                    8 - number / 4,
                    8.5 - number / 8 if held else None,
                    number / 20 if held else None,
                    number / 2,
                )
                for number in range(1, 7 + place)
            ],
            best=5,
            listeners=1_234 if held else 0,
            loss=7.125 if held else None,
            ndcg=0.5 - place / 4 if held else None,
            seconds=12.25,
        ).write(folder)
    if len(labels) > 1:
        (folder / "chosen.json").write_text(json.dumps({"chosen": labels[0]}))
    return folder


def counts(note: str = "users: there is no table.") -> str:
    """An account of a curation."""
    counted = [
        RuleCount(rule="read", rows=1_000, users=90, items=20),
        RuleCount(rule="missing id", rows=900, users=80, items=20, removed=100, fate="rejected"),
        RuleCount(rule="training period", rows=700, users=76, items=ITEMS),
    ]
    return CurationReport(
        window={},
        counts=counted,
        read=1_000,
        train=700,
        test=150,
        rejected={"missing id": 100},
        outside=50,
        below_support=0,
        unknown_users=0,
        items=ITEMS,
        users=76,
        notes=[note],
    ).model_dump_json()
