"""The whole pipeline on Kubeflow Pipelines: submitted, promoted, submitted again, refused.

--image is a reference by digest of what the nodes have or can pull; `setlist kind load` prints one.
"""

import json
import os
import re
import subprocess
import sys
import uuid

import pytest
from tests.cluster.conftest import LOOK
from tests.cluster.documents import EMULATOR
from tests.cluster.pods import Cluster

pytestmark = pytest.mark.kfp
KUBEFLOW = "kubeflow"
STORE = "setlist-suite"
"""A ConfigMap beside the runs that sends their steps to the stand-in for the store."""
RECORD = """
import json, sys
from setlist.runs.record import RunRecord
print(json.dumps(RunRecord.read(sys.argv[1], "home", sys.argv[2]).outcome))
"""


@pytest.fixture(scope="module")
def submit(cluster: Cluster, request: pytest.FixtureRequest):
    """Submits the bundled settings and follows the run; its exit code and its outcome."""
    if not (host := request.config.getoption("--kfp-host")):
        pytest.skip("needs Kubeflow Pipelines 2.17: --kfp-host http://...")
    variables = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": STORE, "namespace": KUBEFLOW},
        "data": {"emulator": EMULATOR},
    }
    cluster.kubectl("apply", "--namespace", KUBEFLOW, "-f", "-", stdin=json.dumps(variables))
    store = f"gs://setlist/kubeflow-{uuid.uuid4().hex[:8]}"
    settings = [
        f"store={store}",
        f"platform.config_maps={{{STORE}: {{emulator: STORAGE_EMULATOR_HOST}}}}",
    ]

    def run(*more: str) -> tuple[int, str, dict]:
        changed = [f"--set={one}" for one in [*settings, *more]]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "setlist_pipelines",
                "submit",
                "--wait",
                "--host",
                host,
                *changed,
            ],
            env=os.environ | {"SETLIST_IMAGE": cluster.image},
            capture_output=True,
            text=True,
            check=False,
        )
        started = re.search(r"^run +\S+ ([0-9a-f-]{36})", done.stdout, re.MULTILINE)
        assert started, done.stdout + done.stderr
        outcome = cluster.ask(RECORD, store, started[1])
        return done.returncode, outcome, cluster.ask(LOOK, store, "home")

    yield run
    cluster.kubectl("delete", "--namespace", KUBEFLOW, "configmap", STORE)


def test_promoted_then_nothing_new_then_refused_then_failed(submit):
    live = {"live": 1, "revisions": [1]}
    assert submit() == (0, "promoted", live)
    assert submit("only_new_data=true") == (0, "nothing_new", live)
    assert submit() == (0, "refused", live)
    assert submit("as_of=1999-01-01") == (1, "failed", live)
