"""The alert rules by promtool, and the dashboard by what Grafana asks of one."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import typer
import yaml
from tests.manifests.prometheus import MONITORING, configuration, program

from setlist_pipelines.cli.main import app

CASES = Path(__file__).parent / "alerts.test.yaml"
RULES = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def promtool(*arguments: str | Path) -> str:
    """What it prints; it has to succeed."""
    command = [program("promtool", "prometheus"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", MONITORING / "alerts.yaml")


def test_promtool_takes_the_configuration(tmp_path):
    """But for the search in Kubernetes, which Debian's Prometheus lacks."""
    (tmp_path / "alerts.yaml").write_bytes((MONITORING / "alerts.yaml").read_bytes())
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration({"127.0.0.1:1": {}}, "127.0.0.1:2")))
    assert f"{len(RULES)} rules found" in promtool("check", "config", file)


def test_alerts_fire_when_they_should_and_not_before():
    assert "SUCCESS" in promtool("test", "rules", CASES)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    silent, firing = set(), set()
    for case in yaml.safe_load(CASES.read_text("utf-8"))["tests"]:
        for expected in case["alert_rule_test"]:
            (firing if expected["exp_alerts"] else silent).add(expected["alertname"])
    assert silent == firing == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert all(text.endswith(".") for text in rule["annotations"].values())


def test_the_commands_that_alerts_name_exist():
    text = " ".join(rule["annotations"]["description"] for rule in RULES)
    commands = re.findall(r"`setlist ([a-z ]+)`", text)
    assert len(commands) > 4
    for command in commands:
        node = typer.main.get_command(app)
        for word in command.split():
            node = node.commands[word]


def test_panels_have_an_id_a_place_and_words_of_their_own():
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    taken = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert all(panel["description"].endswith(".") for panel in PANELS)


def test_panels_ask_the_data_source_that_was_chosen_and_nothing_of_where_it_was_made():
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"datasource", "name"}
    for panel in PANELS:
        targets = panel["targets"]
        for place in (panel, *targets):
            assert place["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in targets}) == len(targets)
        used = re.findall(r"\$\{?(\w+)", " ".join(target["expr"] for target in targets))
        assert set(used) <= {"name", "__rate_interval"}
    assert not {"id", "__inputs", "__requires"} & DASHBOARD.keys(), "an export of some Grafana"


def test_the_command_of_the_page_makes_a_resource_of_the_rules():
    page = (MONITORING.parents[1] / "docs" / "how-to" / "dashboard-and-alerts.md").read_text(
        "utf-8"
    )
    [command] = re.findall(r"```bash\n +(\{ printf .*?)\| kubectl apply -f -", page, re.DOTALL)
    made = subprocess.run(
        ["bash", "-ec", command], cwd=MONITORING.parents[1], capture_output=True, check=True
    )
    resource = yaml.safe_load(made.stdout)
    assert (resource["kind"], resource["metadata"]["name"]) == ("PrometheusRule", "setlist")
    assert resource["spec"] == yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))


def test_the_page_names_every_alert():
    page = (MONITORING.parents[1] / "docs" / "how-to" / "dashboard-and-alerts.md").read_text(
        "utf-8"
    )
    table = page.partition("# Watch it with Prometheus and Grafana")[2].partition("\n\nThe bounds")[
        0
    ]
    assert set(re.findall(r"`(Setlist\w+)`", table)) == {rule["alert"] for rule in RULES}
    assert f"has {len(RULES)} alert rules" in table
