"""The first steps of the documentation: from three tables of a stranger to a verdict."""

import re
import shlex
import subprocess

import pytest
from tests.setlist_pipelines.laptop.small_run import SETLIST, environment, finish
from tests.strangers import Stranger, orders

from setlist.evaluation.results import USUAL_METRICS, read_evaluation, read_per_user
from setlist_pipelines.settings.file import read_settings

STEPS = """
setlist init orders.csv --items articles.csv --users clients.csv
setlist data check --config settings.yaml
setlist run --config settings.yaml
"""
"""Exactly the commands of the documentation."""
METRIC = """
import setlist


@setlist.metric()
def fresh_share(ranking: setlist.Ranking, k: int):
    return ranking.mean_over_list(ranking.catalogue.listeners == 0, k)
"""
METRIC_LINE = 'evaluation: {metrics: ["my_team.metrics:fresh_share@10"]}'
"""Exactly the line of the documentation."""
WORDS = ("next: setlist data check", "next: setlist run --config settings.yaml", "report ")


@pytest.fixture
def folder(tmp_path):
    orders(tmp_path, Stranger.draw(users=300, items=60))
    return tmp_path


@pytest.mark.slow
def test_three_commands_lead_to_a_verdict_with_a_metric_of_ones_own(folder):
    for line, words in zip(STEPS.strip().splitlines(), WORDS, strict=True):
        code, screen = finish(folder, *shlex.split(line)[1:])
        assert code == 0, screen
        assert words in screen
        settings = folder / "settings.yaml"
        if "init" in line:
            (folder / "my_team").mkdir()
            (folder / "my_team" / "metrics.py").write_text(METRIC)
            settings.write_text(settings.read_text() + METRIC_LINE + "\n")
    assert re.search(r"(PROMOTE|REJECT|UNDECIDED)", screen)
    (run,) = (folder / ".setlist").glob("retraining-*")
    assert (run / "report.html").is_file()
    evaluations = run / "evaluate" / "evaluations"
    names = [metric.name for metric in read_evaluation(evaluations).metrics]
    assert names == [*USUAL_METRICS, "my_team.metrics:fresh_share@10"]
    values = read_per_user(evaluations, "most_popular")["my_team.metrics:fresh_share@10"]
    assert values.between(0, 1).all()


def test_only_events_pass_the_check_without_a_line_by_hand(folder):
    for name in ("articles.csv", "clients.csv"):
        (folder / name).unlink()
    code, screen = finish(folder, "init", "orders.csv")
    assert code == 0, screen
    code, screen = finish(folder, "data", "check", "--config", "settings.yaml")
    assert code == 0, screen
    assert "gate for data: pass" in screen


def test_what_is_printed_is_a_settings_file(folder):
    """`setlist init orders.csv > home.yaml`: nothing else goes to the standard output."""
    done = subprocess.run(
        [*SETLIST, "init", "orders.csv"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    (folder / "home.yaml").write_text(done.stdout)
    assert read_settings(folder / "home.yaml") == read_settings(folder / "settings.yaml")
