"""The command line in this process, with the stub as its cluster."""

import sys
from collections.abc import Callable

import pytest
from tests.setlist_pipelines.kubeflow.kfp_stub import Stub, serve
from tests.waiting import PATIENCE

from setlist_pipelines.cli.main import main
from setlist_pipelines.kubeflow import api, packages, recurring_runs, schedule_sync, submission
from setlist_pipelines.settings.file import SAMPLE

IMAGE = "registry.example/setlist@sha256:" + "a" * 64
SCHEDULES = """
schedules:
  daily: {cron: "0 0 5 * * *"}
"""
VARIABLES = (
    *("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"),
    *("KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "KUBERNETES_SERVICE_HOST", "SETLIST_IMAGE"),
)


@pytest.fixture
def cluster():
    """The stub, with nothing on it."""
    with serve() as stub:
        yield stub


@pytest.fixture
def on_cluster(
    monkeypatch, capsys, cluster: Stub, packaged, gcs_emulator, tmp_path
) -> Callable[..., tuple[int, str]]:
    """Runs a command of the line there; its exit code and all that it printed, on one line."""
    for module in (packages, schedule_sync):
        monkeypatch.setattr(module, "compile_package", packaged)
    monkeypatch.setattr(api, "RETRY_PAUSES_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(api, "CALL_TIMEOUT_SECONDS", (PATIENCE, PATIENCE))
    monkeypatch.setattr(submission, "RUN_POLL_SECONDS", 0.01)
    monkeypatch.setattr(recurring_runs, "utc_now", lambda: cluster.clock.now)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)  # it lacks the bucket of the store
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", cluster.url)
    monkeypatch.setenv("SETLIST_IMAGE", IMAGE)
    file = tmp_path / "home.yaml"
    file.write_text(SAMPLE.read_text().replace(".setlist/store", "gs://bucket/models") + SCHEDULES)

    def run(words: str, *more: str) -> tuple[int, str]:
        line = words.replace("FILE", str(file)).split()
        monkeypatch.setattr(sys, "argv", ["setlist", *line, *more])
        monkeypatch.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((printed.out + printed.err).split())

    return run
