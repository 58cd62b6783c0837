"""A package of another team, installed beside setlist: one metric, heuristic, trainer and rule.

The package is a module with its metadata in a folder on the path, as pip leaves it.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from pydantic import ValidationError

from setlist.errors import EvaluationError, ModelError, SettingsError
from setlist.evaluation.metric_names import BUILT_IN, parse_metric
from setlist.evaluation.policy import Policy, check_policy
from setlist.evaluation.results import MetricInfo
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.plugins import HEURISTICS, METRICS, POLICY_RULES, TRAINERS

MODULE = '''
import numpy as np
import setlist


@setlist.metric(reads_truth=False)
def known_share(ranking, k):
    """The share of the list that more than ten listeners have played."""
    return ranking.mean_over_list(ranking.catalogue.listeners > 10, k)


class FixedOrder(setlist.Recommender):
    kind = "fixed order"

    def __init__(self, catalogue, scores):
        super().__init__(catalogue)
        self.scores = np.asarray(scores, np.float32)[None]

    def score(self, history, inputs):
        return self.scores


def last_first(features, settings):
    return FixedOrder(features.items["item_id"].tolist(), np.arange(len(features.items)))


def train(features, settings, output, record, label, *, live=None):
    items = features.items
    order = np.arange(len(items), 0, -1) * settings.options["factor"]
    FixedOrder(items["item_id"].tolist(), order).export(output, label, features.window)
    epoch = setlist.Epoch(number=1, loss=0.5, check=None, ndcg=None, seconds=0.1)
    return setlist.TrainingRecord(
        label=label, settings=settings, epochs=[epoch], best=1, listeners=0, loss=None, ndcg=None,
        seconds=0.1,
    )


def known_enough(case, settings):
    value = case.value(case.candidate, "known_share@3")
    best = max(case.value(model, "known_share@3") for model in case.heuristics)
    bound = settings["of_best"] * best
    return setlist.Reason(
        rule="known enough",
        outcome="pass" if value >= bound else "fail",
        value=value,
        needed=bound,
        sentence=f"the share is {value:.2f}, at least {bound:.2f} is needed.",
    )


def fails(*arguments, **named):
    raise KeyError("weight")


def answers_nothing(*arguments, **named):
    return None


not_callable = 3
'''
ENTRY_POINTS = """
[setlist.metrics]
known_share = other_team:known_share
ndcg = other_team:known_share
plain = other_team:fails
[setlist.heuristics]
last_first = other_team:last_first
fails = other_team:fails
answers_nothing = other_team:answers_nothing
../outside = other_team:last_first
[setlist.models]
other_model = other_team:train
fails = other_team:fails
answers_nothing = other_team:answers_nothing
[setlist.policy_rules]
known_enough = other_team:known_enough
fails = other_team:fails
answers_nothing = other_team:answers_nothing
not_callable = other_team:not_callable
missing = other_team:missing
broken = other_team_broken:rule
"""
SETTINGS = """
data: {events: {path: events.csv}}
heuristics: {fit: [most_popular, last_first]}
candidates:
  other: {trainer: other_model, options: {factor: 2}}
evaluation: {only: ["ndcg@10", "known_share@3"]}
policy: {guardrails: [], rules: {known_enough: {of_best: 0.5}}}
"""
SCRIPT = """
import json, sys
from pathlib import Path
import setlist
from setlist.data.features import Features
from setlist.models.heuristics import fit_heuristics
from setlist.models.selection import settings_of
from setlist.models.trainers import train_candidate
from setlist.report.page import write_report
from setlist_pipelines.settings.file import read_settings

run, folder = map(Path, sys.argv[1:])
settings = read_settings(folder / "settings.yaml")
features = Features.read(run / "transform" / "features")
fit_heuristics(run / "transform" / "features", settings.heuristics, folder / "models")
model = settings_of(settings.model, settings.candidates, "other")
train_candidate(features, model, folder / "candidate", folder / "training", "other")
evaluation = setlist.evaluate(
    folder / "candidate",
    sorted((folder / "models").iterdir()),
    run / "transform" / "features",
    run / "curate" / "dataset",
    folder / "evaluation",
    live=run / "resolve-live" / "live" / "live-3",
    revision=3,
    settings=settings.evaluation,
)
verdict = setlist.judge(folder / "evaluation", settings.policy)
verdict.write(folder / "verdict")
write_report(folder / "evaluation", folder / "verdict", folder / "page", folder / "training")
"""


def install(folder: Path, name: str, module: str, entry_points: str) -> Path:
    """Leave a package on a folder for the path."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{name}.py").write_text(module)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    return folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = install(tmp_path / "site", "other_team", MODULE, ENTRY_POINTS)
    (folder / "other_team_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("other_team", "other_team_broken"):
        sys.modules.pop(name, None)


def test_one_of_each_through_the_real_code(package, small_run, tmp_path):
    (tmp_path / "settings.yaml").write_text(textwrap.dedent(SETTINGS))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(small_run), str(tmp_path)],
        env={"PYTHONPATH": ":".join([str(package), *map(str, sys.path)]), "PATH": ""},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads((tmp_path / "verdict").read_text())
    rule = next(reason for reason in verdict["reasons"] if reason["rule"] == "known enough")
    # The candidate lists the first items that a listener did not play: a0, a1 and a2, which twenty
    # listeners have played each, or for the listeners of a0 and b0 half of these and a3.
    assert rule == verdict["reasons"][-1]
    assert rule["outcome"] == "pass"
    assert rule["needed"] == 0.5 * verdict["values"]["most_popular"]["known_share@3"]
    assert set(verdict["values"]) == {"candidate", "live-3", "last_first", "most_popular"}
    assert set(verdict["values"]["candidate"]) == {"ndcg@10", "known_share@3"}
    record = json.loads((tmp_path / "training" / "other.json").read_text())
    assert record["settings"]["options"] == {"factor": 2}
    assert json.loads((tmp_path / "candidate" / "model.json").read_text())["kind"] == "fixed order"
    assert (tmp_path / "candidate" / "items.parquet").is_file()
    page = (tmp_path / "page").read_text("utf-8")
    assert "The share of the list that more than ten listeners have played." in page
    assert "known enough" in page


def test_listing_imports_nothing(package):
    assert METRICS.names() == ["known_share", "ndcg", "plain"]
    assert HEURISTICS.names() == ["answers_nothing", "fails", "last_first"]
    assert TRAINERS.names() == ["answers_nothing", "fails", "other_model"]
    assert len(POLICY_RULES.names()) == 6
    HeuristicSettings(fit=("relisten", "last_first"))
    ModelSettings(trainer="other_model")
    Policy(rules={"known_enough": {"of_best": 0.5}})
    assert "other_team" not in sys.modules


def test_a_built_in_metric_is_not_replaced(package):
    assert parse_metric("ndcg@10").metric is BUILT_IN["ndcg"]
    assert parse_metric("known_share@10").metric.name == "known_share"


def test_without_the_package_the_names_are_unknown():
    with pytest.raises(SettingsError, match=r"'known_share@10' is not known; choose from dcg, "):
        parse_metric("known_share@10")
    with pytest.raises(
        ValidationError, match="there is no heuristic 'last_first'; choose from most"
    ):
        HeuristicSettings(fit=("last_first",))
    with pytest.raises(
        ValidationError, match="no trainer 'other_model'; choose from two_tower, or"
    ):
        ModelSettings(trainer="other_model")
    with pytest.raises(
        ValidationError, match="no policy rule 'known_enough'; choose from none, or"
    ):
        Policy(rules={"known_enough": {}})


def test_a_name_that_is_no_name_of_a_folder_is_not_read(package):
    with pytest.raises(ValidationError, match=r"there is no heuristic '\.\./outside'"):
        HeuristicSettings(fit=("../outside",))


def test_settings_of_a_package_hold_no_null(package):
    with pytest.raises(ValidationError):
        ModelSettings(trainer="other_model", options={"factor": None})
    with pytest.raises(ValidationError):
        Policy(rules={"known_enough": {"of_best": None}})


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("broken", r"cannot be imported from other_team_broken:rule \(ZeroDivisionError: "),
        ("missing", r"cannot be imported from other_team:missing \(AttributeError: "),
        ("not_callable", "other_team:not_callable is a int, not a function; correct the entry"),
    ],
)
def test_a_rule_that_cannot_be_imported_ends_the_run_before_it_begins(package, rule, sentence):
    metrics = (MetricInfo.of("ndcg@10"),)
    with pytest.raises(SettingsError, match=sentence):
        check_policy(Policy(guardrails=(), rules={rule: {}}), metrics)


def test_two_packages_with_one_name(package, tmp_path, monkeypatch):
    points = "[setlist.metrics]\nknown_share = third_team:known_share\n"
    monkeypatch.syspath_prepend(str(install(tmp_path / "third", "third_team", "", points)))
    with pytest.raises(SettingsError, match="declared by several packages"):
        parse_metric("known_share@10")


def test_an_entry_point_that_is_no_metric(package):
    with pytest.raises(SettingsError, match="plain is not a metric; put @metric"):
        parse_metric("plain@10")


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("fails", "policy rule fails failed .KeyError: 'weight'.; correct its package"),
        ("answers_nothing", "returned a NoneType, not a Reason; correct its package"),
    ],
)
def test_a_rule_without_a_reason_ends_the_gate(package, tmp_path, rule, sentence):
    from tests.setlist.evaluation.test_gate import PLAIN, against

    import setlist

    folder = against(0.75).write(tmp_path / "evaluation")
    with pytest.raises(EvaluationError, match=sentence):
        setlist.judge(folder, PLAIN.model_copy(update={"rules": {rule: {}}}))


@pytest.mark.parametrize("name", ["fails", "answers_nothing"])
def test_a_heuristic_or_trainer_without_a_model_ends_the_step(package, small_run, tmp_path, name):
    from setlist.data.features import Features
    from setlist.models.heuristics import fit_heuristics
    from setlist.models.trainers import train_candidate

    folder = small_run / "transform" / "features"
    with pytest.raises(ModelError, match=f"heuristic {name} (failed|returned a NoneType)"):
        fit_heuristics(folder, HeuristicSettings(fit=(name,)), tmp_path / "models")
    features = Features.read(folder)
    with pytest.raises(ModelError, match=f"trainer {name} (failed|returned no TrainingRecord)"):
        train_candidate(
            features, ModelSettings(trainer=name), tmp_path / "model", tmp_path / "record", "other"
        )
