"""Every step of the pipeline, as compiled, as a pod of the image; in a chain over one volume."""

import json

import pyarrow.parquet as pq
import pytest

from components.data.features import Features
from components.evaluation.evaluation import read_evaluation, read_values
from components.evaluation.verdict import Verdict
from components.models.contract import model_folders, read_info
from pipelines.platform import STEPS
from tests.cluster.conftest import Rehearsal, Run
from tests.cluster.pods import Cluster

HEAD = """
import json, sys
from components.store.store import open_store
store = open_store(sys.argv[1])
head = store.head("home")
print(json.dumps({"live": head and head.live, "revisions": store.revisions("home")}))
"""


def left(run: Run, task: str):
    assert task in run.left, f"{task} left nothing: {run.failure}"
    return run.left[task]


@pytest.fixture(scope="session")
def second(first: Run, rehearsal: Rehearsal) -> Run:
    """The same once more, with the first one's model live; what may be cached is."""
    left(first, "push")
    return rehearsal.run()


class TestFirstRun:
    def test_nothing_failed_and_every_step_ran(self, first: Run):
        assert first.failure is None
        assert {step.name for step in first.steps.values()} == set(STEPS)

    def test_plan(self, first: Run):
        plan = left(first, "plan").parameters
        assert plan["window"]["end"].startswith("2026-05-01")
        assert len(plan["data_fingerprint"]) == 64
        assert not plan["head"], "nothing is live"
        assert left(first, "news").parameters == {"Output": "new"}

    def test_curate(self, first: Run, cluster: Cluster, tmp_path):
        artifacts = left(first, "curate").artifacts
        dataset = cluster.fetch(artifacts["dataset"], tmp_path)
        assert pq.read_metadata(dataset / "train.parquet").num_rows > 10_000
        page = cluster.fetch(artifacts["report"], tmp_path).read_text("utf-8")
        assert page.startswith("# Curation")
        fingerprint = artifacts["dataset"]["metadata"]["fingerprint"]
        assert fingerprint == left(first, "plan").parameters["data_fingerprint"]

    @pytest.mark.parametrize("task", ["transform", "transform-whole"])
    def test_features(self, first: Run, cluster: Cluster, tmp_path, task):
        folder = cluster.fetch(left(first, task).artifacts["features"], tmp_path)
        assert len(Features.read(folder).items) > 1_000

    def test_nothing_was_live(self, first: Run, cluster: Cluster, tmp_path):
        live = left(first, "resolve-live").artifacts["live"]
        assert live["metadata"] == {"live": "none"}
        folder = cluster.fetch(live, tmp_path)
        assert json.loads((folder / "rivals.json").read_text("utf-8")) == []

    def test_heuristics(self, first: Run, cluster: Cluster, tmp_path):
        folder = cluster.fetch(left(first, "fit-heuristics").artifacts["models"], tmp_path)
        assert "co_visited" in {one.name for one in model_folders(folder)}

    @pytest.mark.parametrize("task", ["train", "train-2"])
    def test_train(self, first: Run, cluster: Cluster, tmp_path, task):
        artifacts = left(first, task).artifacts
        assert read_info(cluster.fetch(artifacts["candidate"], tmp_path)).catalogue_size > 1_000
        assert artifacts["metrics"]["metadata"]["epochs"] >= 2

    def test_choose(self, first: Run):
        assert left(first, "choose").artifacts["better"]["metadata"] == {"candidate": "wide"}

    def test_evaluate(self, first: Run, cluster: Cluster, tmp_path):
        artifacts = left(first, "evaluate").artifacts
        folder = cluster.fetch(artifacts["evaluations"], tmp_path)
        values = read_values(folder, read_evaluation(folder).model("candidate"))
        assert values["ndcg@10"] == artifacts["metrics"]["metadata"]["ndcg@10"] > 0.1

    def test_gate(self, first: Run, cluster: Cluster, tmp_path):
        judged = left(first, "gate")
        verdict = Verdict.read(cluster.fetch(judged.artifacts["verdict"], tmp_path))
        assert verdict.decision == judged.parameters["Output"] == "promote"

    def test_report(self, first: Run, cluster: Cluster, tmp_path):
        page = cluster.fetch(left(first, "report").artifacts["page"], tmp_path)
        assert page.read_text("utf-8").lstrip().lower().startswith("<!doctype html>")

    def test_refit_and_push(self, first: Run, rehearsal: Rehearsal, tmp_path):
        assert left(first, "refit").artifacts["refitted"]["metadata"]["refit_of"]
        pushed = rehearsal.cluster.fetch(left(first, "push").artifacts["pushed"], tmp_path)
        assert json.loads(pushed.read_text("utf-8"))["revision"] == 1
        found = rehearsal.cluster.ask(HEAD, rehearsal.arguments["store"])
        assert found["live"] == 1

    def test_announced(self, first: Run, rehearsal: Rehearsal):
        left(first, "announce-failure")
        log = rehearsal.cluster.kubectl("logs", "--selector=app=setlist-suite", "--tail=-1")
        assert "home" in log
