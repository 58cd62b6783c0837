"""Pages and cards of a run whose titles, tags, values and sentences a stranger wrote."""

import re
from pathlib import Path

import pandas as pd
import pytest
from tests.hostile_text import HOSTILE, LETTERS, check_plain, raw
from tests.setlist.report.written import build

from setlist.data.verdict import DataReason, DataVerdict
from setlist.evaluation.verdict import Verdict
from setlist.models.contract import ModelInfo
from setlist.report import card
from setlist.report.identity import Identity
from setlist.report.page import write_report
from setlist.report.skew import render_skew
from setlist.store.kept_report import Neighbour, run_path

NAME = f"{LETTERS} {HOSTILE}"


def written(folder: Path) -> tuple[Path, Path]:
    """The parts of a run with hostile titles, tags, ids, inputs and sentences."""
    evaluations, verdict = build(folder, titles=(NAME, HOSTILE))
    users = pd.read_parquet(evaluations / "users.parquet")
    users["country"] = users["country"].replace("<i>NG</i>", HOSTILE).replace("SE", NAME)
    users["user_id"] += HOSTILE
    users.to_parquet(evaluations / "users.parquet", index=False)
    items = pd.read_parquet(evaluations / "items.parquet")
    items["tags"] = [[NAME, HOSTILE]] * len(items)
    items.to_parquet(evaluations / "items.parquet", index=False)
    judged = Verdict.read(verdict)
    reasons = [
        reason.model_copy(update={"rule": HOSTILE, "sentence": NAME}) for reason in judged.reasons
    ]
    judged.model_copy(update={"sentence": NAME, "reasons": reasons}).write(verdict)
    return evaluations, verdict


def test_the_report(tmp_path: Path) -> None:
    evaluations, verdict = written(tmp_path)
    neighbour = Neighbour(NAME, HOSTILE, run_path(HOSTILE))
    identity = Identity(HOSTILE, NAME, HOSTILE, neighbours=[neighbour])
    write_report(evaluations, verdict, tmp_path / "page", identity=identity)
    page = (tmp_path / "page").read_text("utf-8")
    assert raw(page, keep="\n\t") == ""
    assert LETTERS in page
    assert r"東京\x1b[2J" in page
    assert "<script>alert(1)" not in page
    assert "<img" not in page.replace('<img src="data:', "")


def test_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, verdict = written(tmp_path)
    info = ModelInfo.model_construct(
        name=NAME,
        kind=HOSTILE,
        catalogue_size=1,
        history_length=1,
        inputs=(HOSTILE,),
        fallback=NAME,
        approximation=HOSTILE,
        training_window={"start": HOSTILE, "end": NAME},
        code_version=HOSTILE,
    )
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").touch()
    # A model with such names is refused when it is read; the card does not rely on that.
    monkeypatch.setattr(card, "read_info", lambda _: info)
    check_markdown(
        card.render_card(
            name=NAME,
            revision=1,
            run_id=HOSTILE,
            model=model,
            verdict=Verdict.read(verdict),
            metadata={"data_fingerprint": HOSTILE, "refit_of": HOSTILE, "refit_overlap": 0.5},
        )
    )


def test_the_page_of_a_monitoring_run() -> None:
    reason = DataReason(
        rule=HOSTILE,
        outcome="warn",
        value=1.0,
        bound=0.5,
        sentence=NAME,
        remedy=HOSTILE,
        example=HOSTILE,
    )
    check_markdown(render_skew(HOSTILE, 1, NAME, DataVerdict.of([reason])))


def check_markdown(text: str) -> None:
    check_plain(text)
    assert "Ärger 東京" in text
    assert "<script>" not in text
    # Neither code, nor a cell, a picture or an address.
    assert not re.search(r"(?<!\\)`b|(?<!\\)\| a |(?<!\\)\[i|\bhttp://", text)
