"""Models that do what no model should: refused by name, or harmless within the limits."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cases import hostile_models as hostile
from tests.waiting import until

from setlist.evaluation import inspection
from setlist.evaluation.contenders import Contender
from setlist.evaluation.inspection import inspect_models
from setlist.evaluation.latency import CALM, latency_reason
from setlist.evaluation.results import Inspection
from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_host import ModelHost

UNKNOWN = "no such item"
"""An id that the inspection asks about, once it has seen sound answers to sound requests."""
LISTENERS, K = 200, 5


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Path:
    """What the model underneath all hostile ones answers, to be found again."""
    folder = tmp_path_factory.mktemp("evaluated")
    history = [[f"I{row % 10}", f"I{row % 7}"] for row in range(LISTENERS)]
    exclude = [[f"I{row % 10}"] for row in range(LISTENERS)]
    ages = [[2.0, 1.0]] * LISTENERS
    pd.DataFrame({"history": history, "exclude": exclude, "history_age_days": ages}).to_parquet(
        folder / "requests.parquet"
    )
    with ModelHost() as host, host.model(hostile.write_harmless(folder / "model")) as model:
        ids, scores = model.recommend(history, exclude, K)
    (folder / "answered").mkdir()
    pd.DataFrame({"item_ids": list(ids), "scores": list(scores)}).to_parquet(
        folder / "answered" / "answers.parquet"
    )
    return folder


@pytest.fixture
def inspected(evaluation) -> Callable[..., list[Inspection]]:
    """What is found of models, in one inspection after the other."""

    def found(*models: Path, allowed=()) -> list[Inspection]:
        contenders = []
        for number, model in enumerate(models):
            label = f"model-{number}"
            (evaluation / label).mkdir(exist_ok=True)
            shutil.copy(evaluation / "answered" / "answers.parquet", evaluation / label)
            contenders.append(Contender(model, label, "heuristic"))
        return list(inspect_models(evaluation, contenders, allowed).values())

    return found


def write_reads(folder: Path) -> Path:
    (folder.parent / "secret").write_text("do not tell")
    return hostile.write_reads_secret(folder, folder.parent / "secret", folder.parent / "stolen")


REFUSED = {
    "While": hostile.write_hangs_always,
    "StatelessWhile": lambda folder: hostile.write_hangs_on(folder, UNKNOWN),
    "ReadFile": write_reads,
    "PrintV2": lambda folder: hostile.write_prints(folder, hostile.HOSTILE_NAME),
    "Abort": lambda folder: hostile.write_dies_on(folder, UNKNOWN),
}


def test_what_could_do_more_than_compute_is_refused_by_name(inspected, tmp_path, capfd):
    found = inspected(*(write(tmp_path / name) for name, write in REFUSED.items()))
    for name, one in zip(REFUSED, found, strict=True):
        assert one.faults[0].startswith("it cannot be loaded: "), name
        assert "While" in one.faults[0] if "While" in name else f"'{name}'" in one.faults[0]
        assert "policy.operations" in one.faults[0]
        assert len(one.faults) == 1
    assert not (tmp_path / "stolen").exists()
    assert "\x1b" not in capfd.readouterr().out


def test_a_hang_is_named_by_its_occasion_and_the_next_model_is_asked(
    inspected, tmp_path, monkeypatch
):
    """Also where the policy allows endless loops, and where loops that end do not in practice."""
    monkeypatch.setattr(inspection, "OCCASION_SECONDS", 4.0)
    always, poisoned, works, sound = inspected(
        hostile.write_hangs_always(tmp_path / "always"),
        hostile.write_hangs_on(tmp_path / "poisoned", UNKNOWN),
        hostile.write_works_on(tmp_path / "works", UNKNOWN),
        hostile.write_harmless(tmp_path / "sound"),
        allowed=("While", "StatelessWhile"),
    )
    hung = "no answer to 'signature' within 4 s; its process was ended"
    assert always.faults == [f"a request alone: {hung}"]
    assert poisoned.faults == [f"unknown ids: {hung}"]
    assert works.faults == [f"unknown ids: {hung}"]
    assert sound.faults == []
    assert sound.requests == LISTENERS


def test_processor_time_is_bounded_for_each_model(inspected, tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "LIMITS", Limits(processor_seconds=10))
    works, sound = inspected(
        hostile.write_works_on(tmp_path / "works", UNKNOWN),
        hostile.write_harmless(tmp_path / "sound"),
    )
    assert works.faults == ["unknown ids: its process used more than 10 s of processor time"]
    assert sound.faults == []


def test_memory_is_bounded(inspected, tmp_path):
    huge, sound = inspected(
        hostile.write_allocates(tmp_path / "huge", 1.5, UNKNOWN),
        hostile.write_harmless(tmp_path / "sound"),
    )
    assert huge.faults == [
        "unknown ids: its process used more than the 1.07 GB of memory that it may have, asked "
        "about 1 listener (longest history 1,000, most exclusions 2); let it read fewer plays of "
        "each listener, score fewer listeners at a time, or know fewer items"
    ]
    assert (huge.p50_ms, huge.p99_ms, huge.reach) == (None, None, None), "nothing was measured"
    assert sound.faults == []


def test_a_death_is_named_by_its_occasion(inspected, tmp_path):
    dies, sound = inspected(
        hostile.write_dies_on(tmp_path / "dies", UNKNOWN),
        hostile.write_harmless(tmp_path / "sound"),
        allowed=("Abort",),
    )
    assert dies.faults == ["unknown ids: its process ended with signal SIGABRT in 'signature'"]
    assert sound.faults == []


def test_what_is_allowed_to_write_a_file_does_not_write_it(inspected, tmp_path):
    [reads] = inspected(write_reads(tmp_path / "reads"), allowed=("ReadFile", "WriteFile"))
    if "Landlock" in reads.unconfined:
        pytest.skip(reads.unconfined)
    assert reads.faults[0].startswith("a request alone: ")
    assert not (tmp_path / "stolen").exists()


def test_what_is_allowed_to_print_does_not_reach_the_terminal_raw(inspected, tmp_path, capfd):
    prints = REFUSED["PrintV2"](tmp_path / "prints")
    inspected(prints, allowed=("PrintV2", "StringFormat"))
    printed = capfd.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(printed.out + printed.err)


@pytest.mark.parametrize("key", ["name", "kind", "inputs", "fallback", "code_version"])
def test_a_text_that_a_terminal_would_obey_is_refused(inspected, tmp_path, capfd, key):
    folder = hostile.write_harmless(tmp_path / "model")
    document = json.loads((folder / "model.json").read_text())
    document[key] = [hostile.HOSTILE_NAME] if key == "inputs" else hostile.HOSTILE_NAME
    (folder / "model.json").write_text(json.dumps(document))
    [found] = inspected(folder)
    assert found.faults[0].startswith(f"it cannot be loaded: {folder / 'model.json'}: {key}: ")
    assert found.faults[0].isprintable()
    assert "\x1b" not in capfd.readouterr().out


# Time, where the node is shared.


@pytest.fixture
def neighbours() -> Iterator[None]:
    """Four processes that do nothing but work, which is more than the node has for them."""
    number = max(4, 2 * (os.cpu_count() or 1))
    working = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in working:
            process.kill()
            process.wait()


def p99(found: Inspection, limit: float) -> str:
    return latency_reason("p99", found.p99_ms, found.processor_p99_ms, limit, found).outcome


@pytest.mark.slow
def test_neighbours_do_not_refuse_a_harmless_model(inspected, tmp_path, neighbours):
    """Whatever the limit, as long as it is more than the processor time of its requests."""
    harmless = hostile.write_harmless(tmp_path / "harmless")
    records = []

    def disturbed() -> bool:
        records[:] = inspected(harmless)
        assert records[0].faults == []
        return records[0].reference_p99_ms > CALM * records[0].reference_p50_ms

    until(disturbed)
    [found] = records
    for limit in np.geomspace(found.processor_p99_ms, 2 * found.p99_ms, 20):
        assert p99(found, limit) == ("pass" if found.p99_ms <= limit else "undecided")


@pytest.mark.slow
def test_neighbours_do_not_save_a_slow_model(inspected, tmp_path, neighbours):
    """On each of the processors its requests need more than the limit, whoever else is there."""
    milliseconds = 5.0 * (os.cpu_count() or 1)
    [found] = inspected(hostile.write_slow(tmp_path / "slow", milliseconds))
    assert found.faults == []
    reason = latency_reason("p99", found.p99_ms, found.processor_p99_ms, 1.0, found)
    assert reason.outcome == "fail"
    assert "of processor time" in reason.sentence
