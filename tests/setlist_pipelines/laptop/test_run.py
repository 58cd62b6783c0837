"""The whole loop on real parts, as a person starts it: the command, its exit code, what it leaves.

The tables are a fifth of the bundled sample, written as CSV. Three runs on one store: the
candidate is refused and a heuristic goes live; the candidate meets it and wins; it meets itself,
the anchor and an impossible margin, and nothing moves. A fourth pushes to a bucket.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from google.cloud import storage
from kfp import dsl

from setlist import steps
from setlist.data import sample
from setlist.data.features import Features
from setlist.data.verdict import DataVerdict
from setlist.errors import SetlistError
from setlist.evaluation.policy import Limits, Policy
from setlist.evaluation.results import EvaluationSettings, read_evaluation, read_per_user
from setlist.evaluation.verdict import SeenHead, Verdict
from setlist.models.contract import folder_digest, read_catalogue
from setlist.models.saved_model import SavedModel
from setlist.models.selection import chosen
from setlist.models.training_record import read_training_records
from setlist.runs.promotion import promote_staged, push, resolve_live
from setlist.runs.record import RunRecord
from setlist.runs.refit_check import check_refit
from setlist.runs.refit_record import DEFAULT_REFIT_OVERLAP
from setlist.store.model_store import open_store
from setlist_pipelines.laptop.runner import _Log
from setlist_pipelines.settings.file import SAMPLE

pytestmark = pytest.mark.slow

SETLIST = [sys.executable, "-m", "setlist_pipelines"]
METRIC = """
from setlist.evaluation.metric import metric


@metric(reads_truth=False)
def fresh_share(ranking, k):
    \"\"\"Share of the list that nobody had played.\"\"\"
    return ranking.mean_over_list(ranking.catalogue.listeners == 0, k)
"""
IMPOSSIBLE = "policy.over_heuristics=5"
EASY = "policy.over_heuristics=0"
REFITTED = (
    *("name=refitted", "heuristics.fit=[most_popular]"),
    *("evaluation.metrics=[]", "evaluation.only=[ndcg@10]"),
    *("policy.believable=null", "policy.guardrails=[]"),
)


@dataclass
class Finished:
    code: int
    out: str
    err: str
    root: Path

    @property
    def verdict(self) -> Verdict:
        return Verdict.read(self.root / "gate" / "verdict")

    @property
    def labels(self) -> set[str]:
        evaluation = read_evaluation(self.root / "evaluate" / "evaluations")
        return {model.label for model in evaluation.models}


def setlist_run(work: Path, *changes: str, **environment: str) -> Finished:
    before = set(work.glob("retraining-*"))
    done = subprocess.run(
        [*SETLIST, "run", "--config", str(work / "settings.yaml"), "--workdir", str(work)]
        + [argument for change in changes for argument in ("--set", change)],
        capture_output=True,
        text=True,
        check=False,
        cwd=work,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
    )
    (root,) = set(work.glob("retraining-*")) - before or {work}
    return Finished(done.returncode, done.stdout, done.stderr, root)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with tables, settings and a metric of one's own."""
    folder = tmp_path_factory.mktemp("work")
    whole = sample.generate()
    # Without the bot, the last listener: it would be more than 5% of so small a table.
    some = set(whole.listeners["listener"].iloc[:-1:5])
    whole.events[whole.events["listener"].isin(some)].to_csv(folder / "events.csv", index=False)
    whole.playlists.to_csv(folder / "playlists.csv", index=False)
    whole.listeners.to_csv(folder / "listeners.csv", index=False)
    settings = yaml.safe_load(SAMPLE.read_text())
    for table, name in (("events", "events"), ("items", "playlists"), ("users", "listeners")):
        settings["data"][table]["path"] = f"{name}.csv"
    settings |= {"store": "store", "model": {"epochs": 15}}
    # The latency is left alone: a busy machine has a say in it.
    settings["policy"] = settings.get("policy", {}) | {"limits": {"p99_ms": None}}
    (folder / "my_metrics.py").write_text(METRIC)
    metrics = {"metrics": ["my_metrics:fresh_share@10"]}
    settings["evaluation"] = settings.get("evaluation", {}) | metrics
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    return folder


def kept(work: Path) -> dict[str, bytes]:
    """All that the store holds but for the records of runs."""
    files = [path for path in (work / "store").rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files if path.parent.name != "runs"}


def records(work: Path, name: str = "home") -> list[RunRecord]:
    """The records of runs, the last one last."""
    files = sorted(
        (work / "store" / name / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime
    )
    return [RunRecord.model_validate_json(path.read_bytes()) for path in files]


@pytest.fixture(scope="module")
def first(work):
    return setlist_run(work, IMPOSSIBLE)


@pytest.fixture(scope="module")
def second(work, first):
    return setlist_run(work, EASY)


@pytest.fixture(scope="module")
def third(work, second):
    """Before it, a run elsewhere shipped the model again, not proven better than revision 1."""
    store, made = str(work / "store"), second.root
    head = SeenHead(**vars(open_store(store).head("home")))
    judged = second.verdict.model_copy(update={"anchor": 1, "head": head})
    heuristics = made / "fit-heuristics" / "models"
    assert push(store, "home", "elsewhere", made / "train" / "candidate", heuristics, judged) == 3
    return setlist_run(work, IMPOSSIBLE)


@pytest.fixture(scope="module")
def several(work):
    """Two candidates, the second clearly the better, whose winner is refitted."""
    candidates = "candidates={weak: {epochs: 1, learning_rate: 1e-6, dimension: 4}, strong: {}}"
    changes = (candidates, "refit=true", "warm_start=true", "as_of=2026-04-16")
    return setlist_run(work, EASY, *changes, *REFITTED)


def test_of_two_candidates_the_better_is_chosen_and_only_it_meets_the_gate(several):
    assert several.code == 0, several.out + several.err
    compared = several.root / "choose" / "training"
    scores = {one.label: one.ndcg for one in read_training_records(compared)}
    assert scores["strong"] > scores["weak"]
    assert chosen(compared).label == "strong"
    evaluations = several.root / "evaluate" / "evaluations"
    evaluated = read_evaluation(evaluations)
    assert [one.label for one in evaluated.models if one.role == "candidate"] == ["candidate"]
    strong = folder_digest(several.root / "train-2" / "candidate")
    assert evaluated.model("candidate").digest == strong
    assert folder_digest(several.root / "choose" / "better") == strong
    assert strong != folder_digest(several.root / "train" / "candidate")
    assert several.verdict.ships_digest == strong


def test_the_candidates_are_trained_by_name_and_compared_in_the_end(several):
    for line in ("✓ Train weak", "✓ Train strong", "✓ Compare with strong", "✓ Refit the winner"):
        assert line in several.out
    assert re.search(r"^ *strong +dimension \d+, epochs 15.* chosen *$", several.out, re.MULTILINE)
    assert re.search(r"^ *weak +dimension 4, epochs 1,", several.out, re.MULTILINE)
    assert re.search(
        r"^refit +trained again on all days; \d\d% of the top 10 stayed$", several.out, re.M
    )
    page = (several.root / "report.html").read_text()
    assert "<strong>strong</strong> was chosen" in page
    assert "Loss after each epoch" in page


def test_what_ships_is_the_refit_of_what_was_evaluated(work, several, tmp_path):
    assert several.verdict.ships == "candidate", several.out
    store = open_store(str(work / "store"))
    manifest = store.manifest("refitted", 1)
    assert manifest.metadata["refit_of"] == several.verdict.ships_digest
    assert manifest.digest != several.verdict.ships_digest
    assert DEFAULT_REFIT_OVERLAP < manifest.metadata["refit_overlap"] < 1
    live = store.fetch("refitted", store.head("refitted").live, tmp_path / "live")
    assert (
        folder_digest(live)
        == manifest.digest
        == folder_digest(several.root / "refit" / "refitted" / "model")
    )
    window = read_evaluation(several.root / "evaluate" / "evaluations").window
    assert manifest.training_window == {"start": window["start"], "end": window["end"]}
    assert list((work / "store" / "checkpoints").glob("*")) == [], "cleared when training ended"


def test_a_warm_start_is_one_from_the_live_model_and_a_cold_one_is_told(
    work, several, second, tmp_path, capsys
):
    """The step by itself, a test period after the model that went live."""
    assert not any(one.warm for one in read_training_records(several.root / "choose" / "training"))
    log = Path(re.findall(r"^log +(.+)$", several.out, re.MULTILINE)[0]).read_text()
    assert log.count("cold start: nothing is live") == 3, "two candidates and the refit"
    resolve_live(str(work / "store"), "refitted", [1], tmp_path / "live")
    steps.train.python_func(
        features=dsl.Dataset(uri=str(second.root / "transform" / "features")),
        model={"epochs": 2.0},
        candidates={},
        label="two-tower",
        store=str(work / "store"),
        candidate=dsl.Model(uri=str(tmp_path / "candidate")),
        training=dsl.Artifact(uri=str(tmp_path / "training")),
        metrics=dsl.Metrics(uri=str(tmp_path / "metrics")),
        live=dsl.Model(uri=str(tmp_path / "live")),
    )
    assert "warm start from the model of 2026-04-16" in capsys.readouterr().out
    (trained,) = read_training_records(tmp_path / "training")
    assert trained.warm


def test_the_live_model_is_given_newer_items_without_training(work, several, tmp_path):
    shutil.copytree(work / "store", tmp_path / "store")
    store = open_store(str(tmp_path / "store"))

    def refresh(*more: str) -> str:
        arguments = ["models", "refresh-items", "--config", str(work / "settings.yaml"), *more]
        for change in (f"store={tmp_path / 'store'}", "name=refitted", "as_of=2026-05-01"):
            arguments += ["--set", change]
        done = subprocess.run(
            [*SETLIST, *arguments], capture_output=True, text=True, check=False, cwd=work
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert several.code == 0
    playlists = pd.read_csv(work / "playlists.csv")
    before = set(read_catalogue(store.fetch("refitted", 1, tmp_path / "before")))
    new = set(playlists["playlist"]) - before
    assert len(new) > 5
    assert refresh() == f"revision 2 of refitted can recommend {len(new)} new items\n"
    assert store.head("refitted").live == 1, "staged only"
    assert "revision 3 of refitted is live" in refresh("--promote")
    assert store.manifest("refitted", 3).metadata["refresh_of"] == 1
    assert store.card("refitted", 3).startswith(
        "> Revision 3 is revision 1 over the items of 2026-05-01"
    )
    model = SavedModel(store.fetch("refitted", 3, tmp_path / "after"))
    told = {"country": ["BR"], "age_band": [""]}
    ids, _ = model.recommend([sorted(before)[:3]], [sorted(before)], 5, told)
    assert set(ids[0]) <= new, "with all else excluded, its lists are new items"
    assert "" not in ids[0]
    # What was made of revision 1 is out of date once another one is live.
    stale = store.stage(
        "refitted",
        tmp_path / "before",
        run_id="stale",
        digest=folder_digest(tmp_path / "before"),
        training_window={},
        metadata={"refresh_of": 1},
    )
    with pytest.raises(SetlistError, match="is revision 1 with newer items, which is not live"):
        promote_staged(str(tmp_path / "store"), "refitted", stale)


def test_another_model_is_refused_as_a_refit(several):
    """Most-popular in place of the refit: sound, but other lists."""
    arguments = {
        "evaluations": several.root / "evaluate" / "evaluations",
        "features": Features.read(several.root / "transform" / "features"),
        "dataset": several.root / "curate" / "dataset",
        "settings": EvaluationSettings.model_validate(
            yaml.safe_load((several.root / "settings.yaml").read_text())["evaluation"]
        ),
        "policy": Policy(limits=Limits(p99_ms=None)),
    }
    popular = several.root / "fit-heuristics" / "models" / "most_popular"
    with pytest.raises(SetlistError, match=r"^refit: the top 10 .* less than refit_overlap"):
        check_refit(popular, min_overlap=DEFAULT_REFIT_OVERLAP, **arguments)
    same = check_refit(several.root / "choose" / "better", min_overlap=1.0, **arguments)
    assert same.overlap == 1.0
    assert same.refit_of == same.digest == several.verdict.ships_digest


def test_a_refused_candidate_lets_the_best_heuristic_start(work, first):
    assert first.code == 0, first.out + first.err
    verdict = first.verdict
    assert (verdict.decision, verdict.live) == ("reject", "heuristic")
    assert verdict.ships in {"spectral", "item_item", "ials"}
    assert f" candidate: REJECT, live: heuristic {verdict.ships} " in first.out
    assert f"pushed   {verdict.ships} as revision 1 of home" in first.out
    assert open_store(str(work / "store")).history("home")[0].revision == 1


def test_the_second_run_meets_the_firsts_live_model_and_beats_it(work, second, tmp_path):
    assert second.code == 0, second.out + second.err
    assert "live-1" in second.labels
    assert not any(label.startswith("anchor") for label in second.labels), "live is its own"
    assert second.verdict.decision == "promote"
    assert second.verdict.ships == "candidate"
    rules = {reason.rule for reason in second.verdict.reasons}
    assert {"another model than live-1", "not worse than live-1", "serves as evaluated"} <= rules
    assert "no group by country worse off than with live-1" in rules
    assert second.verdict.anchor is None, "it is proven better, so it stands for itself"
    checked = DataVerdict.read(second.root / "check-data" / "verdict")
    compared = {reason.rule for reason in checked.reasons}
    assert {"drift of country", "drift of tag", "lost listeners", "lost items"} <= compared
    store = open_store(str(work / "store"))
    assert [one.revision for one in store.history("home")][:2] == [1, 2]
    fetched = store.fetch("home", 2, tmp_path / "model")
    assert folder_digest(fetched) == folder_digest(second.root / "train" / "candidate")
    metadata = store.manifest("home", 2).metadata
    assert metadata["verdict"]["ships"] == "candidate"


def test_a_refusing_policy_moves_nothing(work, third):
    assert third.code == 0, "a refusal is a result, not a failure"
    assert third.verdict.decision == "reject"
    assert {"live-3", "anchor-1"} <= third.labels
    assert not {"live-1", "anchor-2"} & third.labels
    outcomes = {reason.rule: reason.outcome for reason in third.verdict.reasons}
    assert outcomes["not worse than live-3"] == outcomes["not worse than anchor-1"] == "pass"
    assert third.verdict.head is not None
    assert (third.verdict.head.live, third.verdict.head.anchor) == (3, 1)
    assert "REJECT" in third.out
    assert "pushed   nothing" in third.out
    assert not (third.root / "push").exists()
    store = open_store(str(work / "store"))
    assert store.head("home").live == 3
    assert store.revisions("home") == [1, 2, 3]


def test_the_summary_shows_models_metrics_verdict_and_where_things_are(second):
    for words in ("ndcg @10", "candidate", "co_visited", "PROMOTE", "needed above", "report   "):
        assert words in second.out
    page = second.root / "report.html"
    assert str(page) in second.out
    assert "<!doctype html>" in page.read_text().lower()[:100]
    assert "Traceback" not in second.out + second.err


def test_a_metric_from_the_working_folder_is_one_of_them(second):
    values = read_per_user(second.root / "evaluate" / "evaluations", "candidate")
    assert values["my_metrics:fresh_share@10"].between(0, 1).all()
    assert "fresh" in second.out
    page = (second.root / "report.html").read_text()
    assert "<dt>fresh share@10</dt><dd>Share of the list that nobody had played." in page


@pytest.mark.parametrize(("margin", "code"), [(0, 0), (5, 2), (-1, 1)])
def test_the_gate_can_be_asked_again_with_another_policy(work, second, tmp_path, margin, code):
    (tmp_path / "policy.yaml").write_text(f"over_heuristics: {margin}\nlimits: {{p99_ms: null}}\n")
    before = folder_digest(second.root)
    done = subprocess.run(
        [*SETLIST, "gate", str(second.root), "--policy", str(tmp_path / "policy.yaml")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # where the module of the metric is not
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert {0: "PROMOTE", 2: "REJECT", 1: "line 1: over_heuristics"}[code] in (
        done.stderr if code == 1 else done.stdout
    )
    assert folder_digest(second.root) == before


def test_progress_is_said_step_by_step(second):
    lines = [line for line in second.out.splitlines() if line.startswith("✓")]
    assert len(lines) == 14
    assert lines[0].startswith("✓ Plan the run")
    said = " ".join(lines)
    assert said.index("Push to the store") < said.index("Announce the promotion")
    assert lines[-1].startswith("✓ Look for a failure")


def test_a_run_records_its_end(work, third):
    found = records(work)
    assert [one.outcome for one in found[:3]] == ["promoted", "promoted", "refused"]
    assert [one.revision for one in found[:3]] == [1, 2, None]
    assert found[2].verdict == third.verdict


def test_without_new_data_a_run_ends_early_and_green_and_says_so(work, third):
    done = setlist_run(work, "only_new_data=true", "store=fresh", EASY)
    assert (done.code, open_store(str(work / "fresh")).head("home").live) == (0, 1)
    done = setlist_run(work, "only_new_data=true", "store=fresh", EASY)
    assert done.code == 0
    assert "no new data since the live model" in done.out
    assert not (done.root / "curate").exists()
    assert open_store(str(work / "fresh")).revisions("home") == [1]


def test_a_failed_run_is_announced(work, third):
    done = setlist_run(work, "inputs=[city]")
    assert done.code == 1
    record = records(work)[-1]
    assert record.outcome == "failed"
    assert record.sentence.startswith("Transform to features: ")
    assert "city" in record.sentence
    assert [each.task for each in record.failures] == ["transform"]
    assert not (work / "store" / "home" / "failures").exists()
    assert "home: failed. " in (work / f"run-{done.root.name}.log").read_text()


def test_curation_says_what_it_dropped(second):
    report = (second.root / "curate" / "report").read_text()
    assert "# Curation" in report
    rejected = pd.read_parquet(second.root / "curate" / "dataset" / "rejected.parquet")
    assert len(rejected) > 0


def test_pushes_to_a_bucket(work, gcs_emulator, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    client = storage.Client.create_anonymous_client()
    client.project = "p"
    client.create_bucket("models")
    done = setlist_run(work, EASY, "store=gs://models/setlist", STORAGE_EMULATOR_HOST=gcs_emulator)
    assert done.code == 0, done.out + done.err
    names = {blob.name for blob in client.list_blobs("models")}
    assert "setlist/home/HEAD" in names
    assert "setlist/home/revisions/1/manifest.json" in names
    assert "setlist/home/revisions/1/saved_model/saved_model.pb" in names
    pointer = json.loads(client.bucket("models").blob("setlist/home/HEAD").download_as_bytes())
    assert pointer["live"] == 1


def test_two_runs_at_once_in_one_work_folder_each_find_their_own(work):
    command = [*SETLIST, "run", "--config", "settings.yaml", "--workdir", "shared"]
    command += ["--set", "model.epochs=1", "--set", "heuristics.fit=[most_popular]"]
    running = {
        name: subprocess.Popen(
            [*command, "--set", f"name={name}"], cwd=work, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    }
    for name, process in running.items():
        out, _ = process.communicate()
        assert process.returncode == 0, out
        assert f"as revision 1 of {name}" in out
        (page,) = re.findall(r"^report   (.+)$", out, re.MULTILINE)
        pushed = json.loads((Path(page).parent / "push" / "pushed").read_text())
        assert pushed["name"] == name


def test_a_step_that_dies_silently_is_named():
    log = _Log(io.StringIO(), lambda *_: None)
    log.write("Executing task 'curate'\nValueError: of another step\n")
    log.write("Executing task 'train'\nTask 'train' finished with status FAILURE\n")
    assert log.failed == "it ended without saying why, as when memory runs out (step train)."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("setlist.errors.DataError: x.csv is empty; export it again.", "x.csv is empty; export it"),
        ("setlist.errors.StoreConflictError: HEAD has moved.", "HEAD has moved (step"),
        ("builtins.ValueError: no number", "ValueError: no number"),
        ("elsewhere.DataError: no number", "DataError: no number"),
    ],
)
def test_a_fault_of_setlist_is_its_sentence_and_another_has_its_class(line, sentence):
    log = _Log(io.StringIO(), lambda *_: None)
    log.write(f"Executing task 'train'\n{line}\nTask 'train' finished with status FAILURE\n")
    assert log.failed.startswith(sentence)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["data.events.path=none.csv"], "none.csv: there is no such file or folder"),
        (["data.events.columns.item_id=song"], "there is no column 'song'"),
        (["as_of=2020-01-01", "name=fresh"], "no event lies in the window"),
        (["as_of=2026-02-30"], "as_of: '2026-02-30' is not an ISO 8601 date"),
        (["store=gs:/bucket"], "'gs:/bucket' is no place for it"),
        (["inputs=[city]"], "the users table has no column 'city'"),
        (["store=events.csv/store"], "store "),
        (["data.events.columns.timestamp=playlist"], "all "),
        (["as_of=2026-04-20"], "choose a later as_of"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_without_a_push(work, third, changes, sentence):
    before = kept(work)
    done = setlist_run(work, *changes)
    assert done.code == 1
    said = [line for line in done.err.splitlines() if line.startswith("setlist: ")]
    assert len(said) == 1, done.err
    assert sentence in said[0]
    assert "Traceback" not in done.out + done.err
    assert kept(work) == before


def test_a_work_folder_that_cannot_be_made():
    done = subprocess.run(
        [*SETLIST, "run", "--workdir", "/proc/none/x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("setlist: /proc/none/x cannot be made")


def test_containers_see_the_work_folder_only(work):
    command = [*SETLIST, "run", "--config", "settings.yaml", "--workdir", "inner"]
    done = subprocess.run(
        [*command, "--docker", "any"], capture_output=True, text=True, check=False, cwd=work
    )
    assert done.returncode == 1
    assert "lies outside of" in done.stderr
