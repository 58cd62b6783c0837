"""Every command where the installation has profiles, at the API and behind the page's gateway.

No recording has profiles: the stub refuses as the sources of 2.17.0 say.
"""

import pytest
import requests
from tests.setlist_pipelines.kubeflow.kfp_profiles import Profiles
from tests.setlist_pipelines.kubeflow.kfp_stories import pod
from tests.waiting import PATIENCE

MINE, THEIRS = "session=mine", "session=theirs"
RUN = "00000001-0000"
COMMANDS = {
    "submit": "submit --config FILE --wait",
    "list": "runs list",
    "show": f"runs show {RUN}",
    "logs": f"runs logs {RUN} plan",
    "compare": f"runs compare {RUN} {RUN}",
    "archive": f"runs archive {RUN}",
    "apply": "schedule apply --config FILE",
    "schedules": "schedule list --config FILE",
    "pause": "schedule pause daily --config FILE",
    "resume": "schedule resume daily --config FILE",
    "run-now": "schedule run-now daily --config FILE",
    "delete schedule": "schedule delete daily --config FILE",
    "delete": f"runs delete {RUN} --yes",
}


@pytest.fixture(params=[False, True], ids=["api", "page"])
def profiles(request, cluster):
    """The stub with the profiles `team` and `others`, as seen through the page or not."""
    cluster.ui = request.param
    cluster.profiles = Profiles({MINE: "team", THEIRS: "others"})
    cluster.logs = {pod("plan"): "planned\n"}
    return cluster


@pytest.fixture
def mine(on_cluster, monkeypatch):
    """Runs a command as the owner of `team`, in `team`."""

    def run(words: str, namespace: str = "team", session: str = MINE) -> tuple[int, str]:
        monkeypatch.setenv("KFP_COOKIES", session)
        monkeypatch.setenv("KFP_NAMESPACE", namespace)
        return on_cluster(words)

    return run


def test_every_command_passes_with_its_namespace(profiles, mine):
    for name, words in COMMANDS.items():
        code, said = mine(words)
        assert code == 0, f"{name}: {said}"
    assert {one["namespace"] for one in (*profiles.pipelines, *profiles.experiments)} == {"team"}


def test_stop_passes_with_its_namespace(profiles, mine):
    assert mine("submit --config FILE")[0] == 0
    assert mine(f"runs stop {RUN} --yes")[0] == 0


@pytest.mark.parametrize("name", ["submit", "list", "apply", "schedules", "pause", "run-now"])
def test_what_needs_a_namespace_says_so_in_one_sentence(profiles, mine, name):
    for words in COMMANDS.values():
        if name == "pause" and "schedule pause" in words:
            break
        assert mine(words)[0] == 0 if name == "pause" else True
    code, said = mine(COMMANDS[name], namespace="")
    assert code == 1
    assert said.endswith(
        "where the server has profiles, set KFP_NAMESPACE or --namespace to yours."
    ), said


def test_a_run_is_found_by_its_id_alone_and_a_log_behind_the_page_is_not(profiles, mine):
    assert mine(COMMANDS["submit"])[0] == 0
    for name in ("show", "compare", "archive"):
        assert mine(COMMANDS[name], namespace="")[0] == 0
    code, said = mine(COMMANDS["logs"], namespace="")
    if profiles.ui:
        assert (code, "podnamespace argument is required" in said) == (1, True)
        assert said.endswith("set KFP_NAMESPACE or --namespace to yours.")
    else:
        assert (code, said.endswith("planned")) == (0, True)


@pytest.mark.parametrize("name", ["show", "archive", "delete"])
def test_a_run_of_others_is_refused(profiles, mine, name):
    assert mine(COMMANDS["submit"])[0] == 0
    code, said = mine(COMMANDS[name], namespace="others", session=THEIRS)
    assert (code, "does not allow this (403" in said) == (1, True)
    assert "ask for the rights" in said
    assert profiles.runs


@pytest.mark.parametrize("name", ["submit", "list", "apply", "schedules"])
def test_the_namespace_of_others_is_refused(profiles, mine, name):
    code, said = mine(COMMANDS[name], namespace="others")
    assert (code, "does not allow this (403" in said) == (1, True)
    assert [profiles.pipelines, profiles.experiments, profiles.recurringruns] == [[], [], []]


def test_each_sees_its_own(profiles, mine):
    assert mine(COMMANDS["submit"])[0] == 0
    code, said = mine(COMMANDS["list"], namespace="others", session=THEIRS)
    assert (code, RUN in said) == (0, False)
    assert mine(COMMANDS["submit"], namespace="others", session=THEIRS)[0] == 0
    assert [one["namespace"] for one in profiles.experiments] == ["team", "others"]


def test_whom_the_server_does_not_know_is_told_to_sign_in(profiles, mine):
    code, said = mine(COMMANDS["list"], session="session=expired")
    assert (code, "does not accept the credentials" in said) == (1, True)
    assert ("(302" in said) == profiles.ui
    assert ("`kubectl create token default-editor" in said) != profiles.ui


def test_a_header_of_ones_own_names_nobody_behind_the_gateway(profiles):
    """It writes `kubeflow-userid` from the session, whatever a caller puts there."""
    answer = requests.get(
        f"{profiles.url}/apis/v2beta1/runs",
        params={"namespace": "team"},
        headers={"kubeflow-userid": "a@example.org"},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    assert answer.status_code == (302 if profiles.ui else 401)


def test_the_doctor_says_which_namespace_is_seen(profiles, mine):
    code, said = mine("doctor --config FILE")
    assert "with cookies, runs can be seen in team" in said
    code, said = mine("doctor --config FILE", namespace="")
    assert code == 1
    assert "none is named → set KFP_NAMESPACE or --namespace to your profile's" in said
    code, said = mine("doctor --config FILE", namespace="others")
    assert (code, "does not allow this (403" in said) == (1, True)
