"""Every step of the pipeline, as compiled, as a pod of the image; in a chain over one volume."""

import json

import pyarrow.parquet as pq
import pytest
from tests.cluster.conftest import Rehearsal, Run, left
from tests.cluster.pods import Cluster

from setlist.data.features import Features
from setlist.data.verdict import DataVerdict
from setlist.evaluation.results import read_evaluation, read_values
from setlist.evaluation.verdict import Verdict
from setlist.models.contract import model_folders, read_info
from setlist_pipelines.settings.platform import RETRAINING_STEPS


class TestFirstRun:
    def test_nothing_failed_and_every_step_ran(self, first: Run):
        assert first.failure is None
        assert {step.name for step in first.steps.values()} == set(RETRAINING_STEPS)

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

    def test_check_data(self, first: Run, cluster: Cluster, tmp_path):
        verdict = cluster.fetch(left(first, "check-data").artifacts["verdict"], tmp_path)
        assert DataVerdict.read(verdict).decision == "warn"

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
        assert verdict.decision == "promote"
        assert verdict.live == judged.parameters["Output"] == "candidate"

    def test_report(self, first: Run, cluster: Cluster, tmp_path):
        page = cluster.fetch(left(first, "report").artifacts["page"], tmp_path)
        assert page.read_text("utf-8").lstrip().lower().startswith("<!doctype html>")

    def test_refit_and_push(self, first: Run, rehearsal: Rehearsal, tmp_path):
        assert left(first, "refit").artifacts["refitted"]["metadata"]["refit_of"]
        pushed = rehearsal.cluster.fetch(left(first, "push").artifacts["pushed"], tmp_path)
        assert json.loads(pushed.read_text("utf-8"))["revision"] == 1
        assert rehearsal.store("home") == {"live": 1, "revisions": [1]}

    def test_announced(self, first: Run):
        left(first, "announce")
        left(first, "announce-failure")
        assert "promoted" in first.ended["announce"].log
        said = first.ended["announce-failure"].log.splitlines()
        assert not [line for line in said if line.startswith("home")], "nothing failed"
