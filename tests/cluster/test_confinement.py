"""What a step's pod may not do, and what its settings give it."""

import pytest
from tests.cluster.conftest import EVERYTHING, Run
from tests.cluster.documents import step_pod
from tests.cluster.pods import Cluster

from setlist_pipelines.settings.file import SAMPLE, read_settings
from setlist_pipelines.settings.platform import parse_quantity

PROBE = """
import json, os
def refused(path):
    try:
        open(path, "w").close()
    except OSError as fault:
        return fault.strerror
    return ""
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "user": os.getuid(), "root": refused("/setlist-was-here"), "tmp": refused("/tmp/here"),
    "home": refused(os.path.expanduser("~/here")), "capabilities": int(status["CapEff"], 16),
    "no_new_privileges": int(status["NoNewPrivs"]), "seccomp": int(status["Seccomp"]),
    "token": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"),
}))
"""


def test_the_image_is_content_with_little(cluster: Cluster):
    assert cluster.ask(PROBE) == {
        "user": 10001,
        "root": "Read-only file system",
        "tmp": "",
        "home": "",
        "capabilities": 0,
        "no_new_privileges": 1,
        "seccomp": 2,
        "token": False,
    }


@pytest.mark.parametrize(
    ("where", "asked", "refusal"),
    [
        ("pod", {"runAsNonRoot": False}, "runAsNonRoot"),
        ("pod", {"seccompProfile": {"type": "Unconfined"}}, "seccompProfile"),
        ("container", {"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation != false"),
        ("container", {"capabilities": {"add": ["NET_ADMIN"]}}, "unrestricted capabilities"),
    ],
)
def test_the_namespace_takes_no_less(first: Run, cluster: Cluster, where, asked, refusal):
    """Otherwise the whole suite would prove nothing: pods as they are, but for one setting."""
    step = next(iter(first.steps.values()))
    pod = step_pod("refused", step, cluster.image, cluster.folder)
    spec = pod["spec"]
    (spec if where == "pod" else spec["containers"][0])["securityContext"] |= asked
    with pytest.raises(AssertionError, match=f"violates PodSecurity.*{refusal}"):
        cluster.apply(pod)


def test_each_step_gets_what_the_settings_say(first: Run, cluster: Cluster):
    """What the API has of the pods, not what was asked of it."""
    platform = read_settings(SAMPLE, ["store=gs://a/b", *EVERYTHING]).platform
    for task, step in first.steps.items():
        spec = cluster.pod(first.ended[task].pod)["spec"]
        main, own = spec["containers"][0], platform.for_step(step.name)
        given = main["resources"]
        asked = [own.cpu_request, own.memory_request, own.memory_limit]
        seen = [*(given["requests"][kind] for kind in ("cpu", "memory")), given["limits"]["memory"]]
        assert [parse_quantity(one) for one in seen] == [
            parse_quantity(one) for one in asked if one
        ], task
        assert main["image"] == cluster.image
        assert spec["activeDeadlineSeconds"] > 0, task


def test_a_step_that_needs_more_memory_is_seen_to(first: Run, cluster: Cluster):
    ended = cluster.run(first.steps["train"].changed(), memory="96Mi")
    assert (ended.exit_code, ended.reason) == (137, "OOMKilled"), str(ended)
