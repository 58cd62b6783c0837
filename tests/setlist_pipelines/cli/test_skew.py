"""`setlist skew` against a real store and what a real server logged."""

import subprocess
import sys

import pytest
from tests.setlist.serving.models import promote, stage, write_towers
from tests.setlist.serving.processes import serving
from tests.setlist.serving.trained import features_of, listeners
from tests.setlist_pipelines.cli.documented import read_answer

from setlist_pipelines.settings.file import SAMPLE

pytestmark = pytest.mark.slow

TRAINED = listeners(400)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Revision 1 is live and has a profile; revision 2, not live, has none."""
    folder = tmp_path_factory.mktemp("skew")
    uri = str(folder / "store")
    stage(uri, write_towers(folder / "r1", "r1", features=features_of(TRAINED)), "run-1")
    stage(uri, write_towers(folder / "r2", "r2"), "run-2")
    promote(uri, 1)
    return uri


@pytest.fixture(scope="module")
def logs(store, tmp_path_factory):
    """The folders of two logs: of requests as they should be, and of those without a country."""
    folder = tmp_path_factory.mktemp("logs")
    for name in ("right", "wrong"):
        told = ["--store", store, "--folder", str(folder / "kept"), "--log", str(folder / name)]
        with serving(*told) as server:
            server.wait(1)
            asked = [one.body() for one in TRAINED[:100]]
            if name == "wrong":
                asked = [one | {"inputs": {}} for one in asked]
            for some in (asked[:50], asked[50:]):
                status, said = server.post({"requests": some})
                assert status == 200, said
            assert server.stop() == 0
    return folder


def test_it_ends_with_0_when_nothing_alerts(setlist, store, logs):
    done = setlist("skew", "--log", logs / "right", "--store", store)
    assert done.code == 0, done.err
    assert "100 listeners by the last request of each and 0 requests without an id" in done.out
    assert "0.0% without a history" in done.out
    assert done.out.splitlines()[-1] == "requests to revision 1 of home: pass (4 of 4 rules pass)"


def test_it_ends_with_3_and_names_what_is_wrong(setlist, store, logs):
    done = setlist("skew", "--log", logs / "wrong", "--store", store, "--days", 1)
    assert done.code == 3
    reason, decision = done.out.splitlines()[-2:]
    assert reason.startswith(
        "stop: served country: country: '' is 100.0% of what is served and 0.0% of training "
        "(distance 1.000, allowed: 0.300, by chance: "
    )
    assert reason.endswith(
        "or raise policy.data.serving.categories.stop where listeners have changed"
    )
    assert decision == "requests to revision 1 of home: stop (3 of 4 rules pass)"


def test_a_script_gets_the_same_numbers_and_the_same_code(setlist, store, logs):
    done = setlist("skew", "--log", logs / "wrong", "--store", store, "--json")
    assert done.code == 3
    answer = read_answer("skew", done.out)
    [country] = [row for row in answer["features"] if row["feature"] == "country"]
    assert country["distance"] == 1
    assert answer["verdict"]["decision"] == "stop"


def test_the_bounds_are_those_of_the_settings(setlist, store, logs, tmp_path):
    """With the sample's tables, which have none of these listeners."""
    options = ["--config", SAMPLE, "--log", logs / "wrong", "--store", store]
    done = setlist("skew", *options)
    assert done.code == 3
    assert "stop: matched ids: 100 of 100 listeners" in done.out
    loose = ("categories={}", "unmatched={}", "numbers={}")
    changes = [part for one in loose for part in ("--set", f"policy.data.serving.{one}")]
    done = setlist("skew", *options, *changes)
    assert done.code == 3
    assert "stop: " not in done.out
    assert "warn: matched listeners: 0 listeners of the log are in the tables" in done.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--revision", 2], "revision 2 of home has no profile.json"),
        (["--revision", 3], "home has no revision 3"),
        (["--name", "evening"], "nothing is live under evening; name a --revision"),
        (["--log", "elsewhere"], "it has no request that revision 1 of home answered"),
    ],
)
def test_it_ends_with_1_and_a_sentence(setlist, store, logs, options, sentence):
    done = setlist("skew", "--log", logs / "right", "--store", store, *options)
    assert done.code == 1
    assert done.err.startswith("setlist: ")
    assert sentence in done.err
    assert "Traceback" not in done.out + done.err


def test_it_needs_no_tensorflow(store, logs):
    code = (
        "import sys; from setlist_pipelines.cli.main import app; "
        "app(sys.argv[1:], standalone_mode=False); assert 'tensorflow' not in sys.modules"
    )
    told = ["skew", "--log", str(logs / "right"), "--store", store]
    done = subprocess.run(
        [sys.executable, "-c", code, *told], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_its_help_shows_how_it_is_asked(setlist):
    done = setlist("skew", "--help")
    assert "setlist skew --config home.yaml" in done.out
