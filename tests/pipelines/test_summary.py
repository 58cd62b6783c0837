"""What a person reads at the end of a run, of outputs that are written by hand."""

import json

import pytest

from components.evaluation.policy import Policy
from pipelines.config import SAMPLE, read_settings
from pipelines.local import Run
from pipelines.summary import print_summary
from pipelines.trial import trial

POLICY = Policy(guardrails=(), believable=None)


@pytest.fixture
def summary(tmp_path, write_evaluation, capsys):
    """What is printed of a run whose candidate has this value, where the best heuristic has .5."""

    def printed(candidate: float, policy: Policy = POLICY) -> str:
        folder = tmp_path / "evaluate" / "evaluations"
        write_evaluation(folder, {"candidate": candidate, "live-3": 0.5, "most_popular": 0.5})
        verdict = trial(folder, policy)
        (tmp_path / "gate").mkdir()
        verdict.write(tmp_path / "gate" / "verdict")
        if verdict.decision == "promote":
            record = {"store": "/models", "name": "home", "revision": 4}
            (tmp_path / "push").mkdir()
            (tmp_path / "push" / "pushed").write_text(json.dumps(record))
        print_summary(Run(tmp_path, tmp_path / "log"), read_settings(SAMPLE))
        return capsys.readouterr().out

    return printed


def test_a_promotion_says_where_the_model_is(summary, tmp_path):
    out = summary(0.75)
    assert "PROMOTE" in out
    assert "40 listeners, 100 items, discovery shelf, 95% intervals" in " ".join(out.split())
    assert "pushed   candidate as revision 4 of home in /models\n" in out
    assert f"report   {tmp_path / 'report.html'}\n" in out
    assert "staged" not in out


def test_in_mode_manual_it_says_how_to_make_it_live(summary):
    out = summary(0.75, POLICY.model_copy(update={"mode": "manual"}))
    assert "staged   to make it live: setlist models promote --store /models --name home 4\n" in out


def test_a_refusal_says_that_nothing_moved(summary):
    out = summary(0.25)
    assert "REJECT" in out
    assert "pushed   nothing; home stays as it was" in out
    assert "no group by history length worse off than with live-3" in out
