import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from setlist.errors import SetlistError
from setlist.evaluation.gate import gate
from setlist.evaluation.policy import Guardrail, Limits, Policy, SliceRule, check_policy
from setlist.evaluation.results import (
    EvaluatedModel,
    Evaluation,
    EvaluationSettings,
    Inspection,
    MetricInfo,
)
from setlist.evaluation.statistics import MIN_LISTENERS, bootstrap
from setlist.evaluation.verdict import Reason, SeenHead, Verdict

METRICS = tuple(MetricInfo.of(text) for text in ("ndcg@10", "mrr@10", "coverage@10"))
LISTENERS = 40
HEAD = SeenHead(live=3, previous=2, version="9", anchor=2)
FIRST = SeenHead(live=3, version="7")
PLAIN = Policy(
    over_heuristics=0.25,
    under_live=0.25,
    believable=None,
    guardrails=(),
    slices=None,
    bootstrap="none",
)
SOUND = Inspection(faults=[], requests=200, reach=1.0, p50_ms=2.0, p99_ms=9.0, size_mb=12.0)
INTEGRITY = {  # what holds for every model here, unless a test is about it
    "another model than live-3",
    "another model than anchor-2",
    "lists nothing excluded",
    "knows the catalogue",
    "serves as evaluated",
    "p99 latency at most",
    "size at most",
}
SWING = np.resize([0.25, -0.25], LISTENERS)  # a difference that is 0 in the mean


class Models:
    """An evaluation to be written: models with constant values, to be spoilt in many ways."""

    def __init__(self, listeners: int = LISTENERS) -> None:
        self.listeners = listeners
        self.models: list[dict[str, Any]] = []
        self.tables: dict[str, pd.DataFrame] = {}
        self.slices: dict[str, Any] = {}

    def add(self, label, ndcg, *, role="", coverage=0.5, mrr=0.5, **more) -> "Models":
        start, _, number = label.partition("-")
        role = role or (start if start in ("candidate", "live", "anchor") else "heuristic")
        self.models.append(
            {
                "label": label,
                "role": role,
                "kind": "heuristic" if role == "heuristic" else "two_tower",
                "digest": f"digest of {label}",
                "revision": int(number) if number.isdecimal() else None,
                "training_window": {"start": "2026-01-01", "end": "2026-02-01"},
                "corpus": {"coverage@10": coverage},
                "content": f"content of {label}",
                "foreign": 0,
                "excluded": 0,
                "known": 1.0,
                "inspection": SOUND,
                "seconds": 1.0,
            }
            | more
        )
        self.tables[label] = pd.DataFrame(
            {
                metric: np.resize(values, self.listeners) * 1.0
                for metric, values in (("ndcg@10", ndcg), ("mrr@10", mrr))
            }
        )
        return self

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        evaluation = Evaluation(
            shelf="discovery",
            window={"start": "2026-01-01", "cut": "2026-02-01", "end": "2026-02-15"},
            metrics=METRICS,
            slices=("listener", *self.slices),
            k=10,
            listeners=self.listeners,
            sampled_from=self.listeners,
            catalogue=100,
            left_out={},
            models=[EvaluatedModel(**model) for model in self.models],
        )
        (folder / "evaluation.json").write_text(evaluation.model_dump_json(indent=1))
        users = {"user_id": [f"u{row}" for row in range(self.listeners)], "listener": "heavy"}
        pd.DataFrame(users | self.slices).to_parquet(folder / "users.parquet", index=False)
        for label, table in self.tables.items():
            (folder / label).mkdir(exist_ok=True)
            table.to_parquet(folder / label / "per_user.parquet", index=False)
        return folder


def against(candidate, heuristic=0.5) -> Models:
    return Models().add("candidate", candidate).add("most_popular", heuristic)


def running(candidate, live, *, anchor=0.25, heuristic=0.25) -> Models:
    """Live is revision 3, and its anchor is revision 2."""
    return against(candidate, heuristic).add("live-3", live).add("anchor-2", anchor)


def one_sentence(fault: BaseException) -> str:
    message = str(fault)
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message
    return message


def refusal(folder: Path, policy: Policy = PLAIN, head: SeenHead | None = None) -> str:
    with pytest.raises(SetlistError) as caught:
        gate(folder, policy, head)
    return one_sentence(caught.value)


def outcomes(verdict: Verdict) -> dict[str, str]:
    """Of the rules that a test is about: those that compare, and whatever did not pass."""
    return {
        reason.rule: reason.outcome
        for reason in verdict.reasons
        if reason.rule not in INTEGRITY or reason.outcome != "pass"
    }


def reason_of(verdict: Verdict, rule: str) -> Reason:
    return next(reason for reason in verdict.reasons if reason.rule.startswith(rule))


# Better than the heuristics.


def test_promote(tmp_path):
    verdict = gate(against(0.75).write(tmp_path), PLAIN, None)
    assert verdict.decision == "promote"
    assert (verdict.ships, verdict.ships_digest) == ("candidate", "digest of candidate")
    assert verdict.head is None
    # .75 - .5 for every listener, and .25 * .5 more is asked for.
    assert {reason.rule for reason in verdict.reasons} - {"better than most_popular"} < INTEGRITY
    assert reason_of(verdict, "better") == (
        Reason(
            rule="better than most_popular",
            outcome="pass",
            value=0.25,
            low=0.25,
            high=0.25,
            needed=0.125,
            detectable=0.0,
            sentence="ndcg@10 0.7500, most_popular 0.5000: +0.2500 [+0.2500, +0.2500], "
            "needed above +0.1250; a difference of 0.0000 could be detected.",
        )
    )


def test_reject(tmp_path):
    verdict = gate(against(0.25).write(tmp_path), PLAIN, None)
    assert verdict.decision == "reject"
    assert (verdict.ships, verdict.ships_digest) == ("", "")
    assert outcomes(verdict) == {"better than most_popular": "fail"}
    assert reason_of(verdict, "better").value == -0.25
    assert verdict.sentence == "The candidate is rejected; it broke: better than most_popular."


def test_undecided(tmp_path):
    """The mean difference is that asked for, and half of the listeners say otherwise."""
    verdict = gate(against(0.625 + SWING).write(tmp_path), PLAIN, None)
    assert verdict.decision == "undecided"
    assert verdict.ships == ""
    reason = reason_of(verdict, "better")
    assert reason.outcome == "undecided"
    assert (reason.value, reason.needed) == (0.125, 0.125)
    assert reason.low is not None
    assert reason.high is not None
    assert reason.low < 0.125 < reason.high
    # 20 times .25 above and 20 times below: 2.801585 * .25 sqrt(40 / 39) / sqrt(40) = .112153.
    assert reason.detectable == pytest.approx(0.112153, abs=1e-6)
    assert "these 40 listeners cannot settle it" in reason.sentence
    assert "a difference of 0.1122 could be detected" in reason.sentence
    assert verdict.sentence == (
        "The candidate is undecided; the evaluation cannot settle: better than most_popular."
    )


def test_the_interval_is_that_of_the_paired_differences(tmp_path):
    rng = np.random.default_rng(1)
    ours, theirs = rng.random(LISTENERS), rng.random(LISTENERS)
    reason = reason_of(gate(against(ours, theirs).write(tmp_path), PLAIN, None), "better")
    # The margin is resampled with the rival: the bounds are those of ours - 1.25 theirs, set off
    # by .25 of the rival's mean.
    interval = bootstrap((ours - 1.25 * theirs)[:, None])[0]
    assert reason.needed == pytest.approx(0.25 * theirs.mean())
    assert reason.value == pytest.approx(ours.mean() - theirs.mean())
    assert reason.low == pytest.approx(interval.low + reason.needed)
    assert reason.high == pytest.approx(interval.high + reason.needed)


def test_every_heuristic_has_to_be_beaten(tmp_path):
    models = against(0.75).add("recently_popular", 0.65).add("relisten", 0.0)
    verdict = gate(models.write(tmp_path), PLAIN, None)
    assert verdict.decision == "reject"  # .75 < 1.25 * .65
    assert outcomes(verdict) == {
        "better than most_popular": "pass",
        "better than recently_popular": "fail",
        "better than relisten": "pass",
    }


def test_a_failed_rule_weighs_more_than_an_undecided_one(tmp_path):
    models = against(0.625 + SWING).add("recently_popular", 1.0)
    verdict = gate(models.write(tmp_path), PLAIN, None)
    assert verdict.decision == "reject"
    assert sorted(outcomes(verdict).values()) == ["fail", "undecided"]


@pytest.mark.parametrize(
    ("more", "outcome"), [(2**-20, "pass"), (0, "undecided"), (-(2**-20), "fail")]
)
def test_the_margin_over_a_heuristic_at_its_border(tmp_path, more, outcome):
    # 1.25 * .5 = .625; all of these are exact in binary.
    verdict = gate(against(0.625 + more).write(tmp_path), PLAIN, None)
    assert outcomes(verdict) == {"better than most_popular": outcome}


def test_a_tie_is_not_better(tmp_path):
    policy = PLAIN.model_copy(update={"over_heuristics": 0.0})
    verdict = gate(against(0.5).write(tmp_path), policy, None)
    assert outcomes(verdict) == {"better than most_popular": "undecided"}


@pytest.mark.parametrize("listeners", [1, 2, MIN_LISTENERS - 1, MIN_LISTENERS])
def test_a_handful_of_listeners_settles_nothing(tmp_path, listeners):
    models = Models(listeners).add("candidate", 0.75).add("most_popular", 0.5)
    verdict = gate(models.write(tmp_path / "better"), PLAIN, None)
    assert verdict.decision == ("promote" if listeners >= MIN_LISTENERS else "undecided")
    models = Models(listeners).add("candidate", 0.25).add("most_popular", 0.5)
    verdict = gate(models.write(tmp_path / "worse"), PLAIN, None)
    assert verdict.decision == ("reject" if listeners >= MIN_LISTENERS else "undecided")
    verdict.write(tmp_path / "verdict.json")
    assert Verdict.read(tmp_path / "verdict.json") == verdict


# Nothing is live yet.


def test_the_best_heuristic_goes_live_where_nothing_is(tmp_path):
    models = against(0.25).add("recently_popular", 0.75)
    policy = PLAIN.model_copy(update={"bootstrap": "heuristic"})
    verdict = gate(models.write(tmp_path), policy, None)
    assert (verdict.decision, verdict.live) == ("reject", "heuristic")
    assert (verdict.ships, verdict.ships_digest) == (
        "recently_popular",
        "digest of recently_popular",
    )
    assert set(outcomes(verdict).values()) == {"fail"}


def test_a_good_candidate_goes_live_instead_of_a_heuristic(tmp_path):
    policy = PLAIN.model_copy(update={"bootstrap": "heuristic"})
    assert gate(against(0.75).write(tmp_path), policy, None).ships == "candidate"


def test_no_heuristic_goes_live_where_the_policy_says_none(tmp_path):
    verdict = gate(against(0.25).write(tmp_path), PLAIN, None)
    assert (verdict.decision, verdict.ships) == ("reject", "")


@pytest.mark.parametrize("candidate", [0.125, 0.625 + SWING])
def test_no_heuristic_replaces_a_live_model(tmp_path, candidate):
    policy = PLAIN.model_copy(update={"bootstrap": "heuristic"})
    verdict = gate(running(candidate, 0.5, heuristic=0.6).write(tmp_path), policy, HEAD)
    assert verdict.decision in ("reject", "undecided")
    assert verdict.ships == ""
    assert verdict.head == HEAD


BOOTSTRAP = PLAIN.model_copy(update={"bootstrap": "heuristic"})


@pytest.mark.parametrize("listeners", [2, 29, 30])
def test_a_few_listeners_are_no_evidence_for_a_heuristic(tmp_path, listeners):
    models = Models(listeners).add("candidate", 0.25).add("most_popular", 0.5)
    verdict = gate(models.write(tmp_path), BOOTSTRAP, None)
    if listeners < 30:
        assert (verdict.ships, verdict.live) == ("", "unchanged")
        assert verdict.live_sentence == (
            "Nothing changes: the best heuristic, most_popular, has too little evidence to go "
            f"live: {listeners} listeners, 30 are needed (bootstrap_at_least)."
        )
    else:
        assert (verdict.ships, verdict.live) == ("most_popular", "heuristic")
    lenient = BOOTSTRAP.model_copy(update={"bootstrap_at_least": listeners})
    assert gate(tmp_path, lenient, None).ships == "most_popular"


@pytest.mark.parametrize("hits", [3, 8])
def test_a_heuristic_whose_interval_reaches_0_does_not_go_live(tmp_path, hits):
    """Of 40 listeners 3 have a hit: mean .075, error .0422, and 2.02 errors reach below 0."""
    values = np.r_[np.ones(hits), np.zeros(LISTENERS - hits)]
    models = Models().add("candidate", 0.0).add("most_popular", values)
    verdict = gate(models.write(tmp_path), BOOTSTRAP, None)
    if hits == 8:  # mean .2, error .0640
        assert verdict.ships == "most_popular"
    else:
        assert verdict.ships == ""
        assert verdict.live_sentence.startswith(
            "Nothing changes: the best heuristic, most_popular, has too little evidence to go "
            "live: ndcg@10 0.0750 [-0.01"
        )
        assert verdict.live_sentence.endswith("may be nothing.")


# Two statements: what becomes of the candidate, and what goes live.

MANUAL = {"mode": "manual"}
BETTER = "The candidate beats every heuristic, and breaks no rule of the policy."
WORSE = "The candidate is rejected; it broke: better than most_popular."
OPEN = "The candidate is undecided; the evaluation cannot settle: better than most_popular."
LIVE_STAYS = "Nothing changes: revision 3 stays live."


@pytest.mark.parametrize(
    ("candidate", "head", "change", "words"),
    [
        (0.75, None, {}, ("promote", BETTER, "candidate", "The candidate goes live.")),
        (0.75, FIRST, {}, ("promote", BETTER, "candidate", "The candidate goes live.")),
        (
            0.75,
            FIRST,
            MANUAL,
            (
                "promote",
                BETTER,
                "candidate, staged",
                "The candidate is staged; it goes live when a person promotes it.",
            ),
        ),
        (0.25, FIRST, {}, ("reject", f"{WORSE[:-1]}, not worse than live-3.", None, LIVE_STAYS)),
        (0.625 + SWING, FIRST, {}, ("undecided", OPEN, None, LIVE_STAYS)),
        (
            0.25,
            None,
            {},
            (
                "reject",
                WORSE,
                "heuristic most_popular",
                "The best heuristic, most_popular (ndcg@10 0.5000), goes live, because nothing is "
                "live yet.",
            ),
        ),
        (
            0.625 + SWING,
            None,
            MANUAL,
            (
                "undecided",
                OPEN,
                "heuristic most_popular, staged",
                "The best heuristic, most_popular (ndcg@10 0.5000), is staged, because nothing is "
                "live yet; it goes live when a person promotes it.",
            ),
        ),
        (
            0.25,
            None,
            {"bootstrap": "none"},
            (
                "reject",
                WORSE,
                None,
                "Nothing changes: the policy lets no heuristic go live (bootstrap: none).",
            ),
        ),
    ],
)
def test_a_verdict_makes_two_statements(tmp_path, candidate, head, change, words):
    models = against(candidate)
    if head:
        models.add("live-3", 0.5)
    verdict = gate(models.write(tmp_path), BOOTSTRAP.model_copy(update=change), head)
    decision, sentence, live_words, live_sentence = words
    assert (verdict.decision, verdict.sentence) == (decision, sentence)
    assert (verdict.live_words, verdict.live_sentence) == (
        live_words or "nothing changes",
        live_sentence,
    )
    assert verdict.sentences == f"{sentence} {live_sentence}"
    kinds = {None: "unchanged", "candidate": "candidate", "heuristic most_popular": "heuristic"}
    assert verdict.live == kinds.get(live_words, "staged")
    assert json.loads(verdict.model_dump_json())["live"] == verdict.live
    html = verdict._repr_html_()
    assert f"<p>candidate: {decision}. {sentence}</p>" in html
    assert f"<p>live: {verdict.live_words}. {live_sentence}</p>" in html


@pytest.mark.parametrize("roles", [True, False])
def test_an_older_verdict_that_promotes_a_heuristic_rejects_the_candidate(tmp_path, roles):
    document = gate(against(0.25).write(tmp_path), BOOTSTRAP, None).model_dump()
    del document["live"], document["live_sentence"]
    if not roles:
        document["roles"] = {}
    older = Verdict.model_validate(document | {"decision": "promote", "sentence": "Both."})
    assert (older.decision, older.live) == ("reject", "heuristic")
    assert older.live_words == "heuristic most_popular"
    assert older.sentences == "Both."


# Beside the live model and the anchor.


def test_not_worse_than_live_and_the_anchor(tmp_path):
    verdict = gate(running(0.5, 0.5, anchor=0.6).write(tmp_path), PLAIN, HEAD)
    assert verdict.decision == "promote"
    assert outcomes(verdict) == {
        "better than most_popular": "pass",
        "not worse than live-3": "pass",
        "not worse than anchor-2": "pass",
    }
    live = reason_of(verdict, "not worse than live-3")
    assert (live.value, live.low, live.needed) == (0, 0, -0.125)


@pytest.mark.parametrize(
    ("more", "outcome"), [(2**-20, "pass"), (0, "undecided"), (-(2**-20), "fail")]
)
def test_the_tolerance_under_live_at_its_border(tmp_path, more, outcome):
    # .75 * .5 = .375
    verdict = gate(running(0.375 + more, 0.5).write(tmp_path), PLAIN, HEAD)
    assert outcomes(verdict)["not worse than live-3"] == outcome


@pytest.mark.parametrize("worse", ["live-3", "anchor-2"])
def test_each_of_them_can_refuse(tmp_path, worse):
    models = against(0.5, 0.25)
    for label in ("live-3", "anchor-2"):
        models.add(label, 1.0 if label == worse else 0.25)
    verdict = gate(models.write(tmp_path), PLAIN, HEAD)
    assert verdict.decision == "reject"
    assert [rule for rule, outcome in outcomes(verdict).items() if outcome == "fail"] == [
        f"not worse than {worse}"
    ]


# Guardrails.


@pytest.mark.parametrize(
    ("guardrail", "held"),
    [
        (Guardrail(metric="coverage@10", at_least=0.5), True),
        (Guardrail(metric="coverage@10", at_least=0.5 + 2**-20), False),
        (Guardrail(metric="coverage@10", at_most=0.5), True),
        (Guardrail(metric="coverage@10", at_most=0.5 - 2**-20), False),
        (Guardrail(metric="coverage@10", at_most=0), False),
        (Guardrail(metric="mrr@10", at_least=0.5), True),  # a mean over listeners
        (Guardrail(metric="mrr@10", at_most=0.25), False),
    ],
)
def test_an_absolute_guardrail(tmp_path, guardrail, held):
    policy = PLAIN.model_copy(update={"guardrails": (guardrail,)})
    verdict = gate(against(0.75).write(tmp_path), policy, None)
    assert verdict.decision == ("promote" if held else "reject")
    reason = reason_of(verdict, guardrail.metric)
    assert reason.value == 0.5
    assert reason.needed == (
        guardrail.at_most if guardrail.at_least is None else guardrail.at_least
    )


@pytest.mark.parametrize(
    ("bound", "live", "needed", "held"),
    [
        ({"at_least": 0.5}, 1.0, 0.5, True),
        ({"at_least": 0.75}, 1.0, 0.75, False),
        ({"at_most": 2}, 0.25, 0.5, True),
        ({"at_most": 1.5}, 0.25, 0.375, False),
    ],
)
def test_a_guardrail_relative_to_the_live_model(tmp_path, bound, live, needed, held):
    guardrail = Guardrail(metric="coverage@10", of="live", **bound)
    policy = PLAIN.model_copy(update={"guardrails": (guardrail,)})
    models = against(0.5, 0.25).add("live-3", 0.5, coverage=live)
    verdict = gate(models.write(tmp_path), policy, FIRST)
    assert verdict.decision == ("promote" if held else "reject")
    reason = reason_of(verdict, "coverage@10")
    assert (reason.value, reason.needed) == (0.5, needed)
    assert "of live-3's" in reason.rule


def test_a_relative_guardrail_waits_for_a_live_model(tmp_path):
    guardrail = Guardrail(metric="coverage@10", at_least=1, of="live")
    policy = PLAIN.model_copy(update={"guardrails": (guardrail,)})
    verdict = gate(against(0.75).write(tmp_path), policy, None)
    assert outcomes(verdict) == {"better than most_popular": "pass"}


def with_diversity(path: Path) -> Path:
    """An evaluation in which every list is as diverse as can be."""
    models = against(0.75)
    for table in models.tables.values():
        table["intra_list_diversity@10"] = 1.0
    folder = models.write(path)
    metric = MetricInfo.of("intra_list_diversity@10").model_dump()
    edit(lambda document: document["metrics"].append(metric))(folder)
    return folder


@pytest.mark.parametrize("tags", [[], ["folk"], None])
def test_diversity_is_not_asked_where_items_have_no_tags(tmp_path, tags):
    """Without any tag a list is as diverse as can be, whatever it holds."""
    folder = with_diversity(tmp_path)
    if tags is not None:
        pd.DataFrame({"tags": [[], tags]}).to_parquet(folder / "items.parquet")
    guardrail = Guardrail(metric="intra_list_diversity@10", at_least=0.2)
    verdict = gate(folder, PLAIN.model_copy(update={"guardrails": (guardrail,)}), None)
    reason = reason_of(verdict, "intra_list_diversity@10")
    assert verdict.decision == "promote"
    if tags == []:
        assert (reason.outcome, reason.word) == ("not_asked", "not asked")
        assert reason.sentence == "items have no tags."
        assert reason.value is None, "1 would read as if it were measured"
        assert "<td>not asked</td>" in verdict._repr_html_()
    else:
        assert reason.outcome == "pass", "older folders have no table of items"


def test_a_table_of_items_that_cannot_be_read_is_refused(tmp_path):
    folder = with_diversity(tmp_path)
    (folder / "items.parquet").write_bytes(b"PAR1 and no more")
    guardrail = Guardrail(metric="intra_list_diversity@10", at_least=0.2)
    policy = PLAIN.model_copy(update={"guardrails": (guardrail,)})
    assert "items.parquet is damaged" in refusal(folder, policy)


def test_which_metrics_say_nothing_without_tags():
    metrics = ("intra_list_diversity@10", "serendipity@10", "calibration@10", "novelty@10")
    assert [MetricInfo.of(text).reads_tags for text in metrics] == [True, True, True, False]
    older = MetricInfo.of("calibration@10").model_dump(exclude={"reads_tags"})
    assert MetricInfo.model_validate(older).reads_tags is False


@pytest.mark.parametrize("bounds", [{}, {"at_least": 0.1, "at_most": 0.2}])
def test_a_guardrail_has_one_bound(bounds):
    with pytest.raises(ValidationError, match="either at_least or at_most"):
        Guardrail(metric="coverage@10", **bounds)


# The policy against what is evaluated.


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Policy(primary="recall@10", guardrails=()), "recall@10 is not evaluated"),
        (Policy(primary="ndcg@20", guardrails=()), "add it to evaluation.metrics"),
        (
            Policy(guardrails=(Guardrail(metric="gini@10", at_most=1),)),
            "gini@10 is not evaluated",
        ),
        (Policy(primary="auc@10", guardrails=()), "auc@10 is not evaluated"),
        (Policy(primary="coverage@10", guardrails=()), "no value for a single listener"),
        (Policy(primary="popularity@10", guardrails=()), "better when it is lower"),
    ],
)
def test_a_policy_that_cannot_be_judged(tmp_path, policy, says):
    with pytest.raises(SetlistError) as caught:
        check_policy(policy, (*METRICS, MetricInfo.of("popularity@10")))
    assert says in one_sentence(caught.value)
    assert refusal(against(0.75).write(tmp_path), policy)


@pytest.mark.parametrize(
    "document",
    [
        {"over_heuristics": float("nan")},
        {"over_heuristics": float("inf")},
        {"over_heuristics": -0.1},
        {"under_live": float("nan")},
        {"under_live": 1},
        {"under_live": -0.1},
        {"guardrails": [{"metric": "coverage@10", "at_least": float("-inf")}]},
        {"guardrails": [{"metric": "coverage@10", "at_most": float("nan")}]},
        {"anchor": "sometimes"},
        {"believable": 1},
        {"slices": {"at_least": 5}},
        {"slices": {"doubt": -0.01}},
        {"slices": {"doubt": 1.01}},
        {"bootstrap_at_least": 0},
        {"limits": {"p99_ms": 0}},
        {"mode": "maybe"},
        {"bootstrap": "candidate"},
        {"margin": 0.1},
    ],
)
def test_a_policy_that_would_wave_anything_through_is_no_policy(document):
    with pytest.raises(ValidationError):
        Policy.model_validate(document)


def test_the_default_policy_fits_the_default_metrics():
    check_policy(Policy(), tuple(map(MetricInfo.of, EvaluationSettings().evaluated)))


# Attempts to be promoted by a broken evaluation. Each candidate would pass if all were well.


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Changes evaluation.json."""

    def spoil(folder: Path) -> None:
        path = folder / "evaluation.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return spoil


def edit_model(name: str, /, **values) -> Callable[[Path], None]:
    def change(document: dict[str, Any]) -> None:
        next(one for one in document["models"] if one["label"] == name).update(values)

    return edit(change)


def drop(label: str) -> Callable[[Path], None]:
    return edit(
        lambda document: document.update(
            models=[one for one in document["models"] if one["label"] != label]
        )
    )


def edit_values(label: str, change: Callable[[pd.DataFrame], pd.DataFrame]):
    def spoil(folder: Path) -> None:
        path = folder / label / "per_user.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)

    return spoil


def spoil_one(label: str, value: float, column: str = "ndcg@10"):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[7, column] = value
        return table

    return edit_values(label, change)


def nobody(folder: Path) -> None:
    edit(lambda document: document.update(listeners=0))(folder)
    for path in folder.glob("*/per_user.parquet"):
        pd.read_parquet(path).head(0).to_parquet(path, index=False)


def overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def rename_live(label: str) -> Callable[[Path], None]:
    """So that the candidate would be compared with itself."""
    return edit_model("live-3", label=label)


NAN, INF = float("nan"), float("inf")
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no evaluation": (lambda folder: (folder / "evaluation.json").unlink(), "evaluation.json is"),
    "half an evaluation": (overwrite("evaluation.json", b'{"shelf": "disc'), "evaluate again"),
    "an empty evaluation": (overwrite("evaluation.json", b"{}"), "shelf"),
    "not text": (overwrite("evaluation.json", b"\xff\xfe"), "evaluate again"),
    "no models": (edit(lambda document: document.update(models=[])), "exactly one candidate"),
    "no candidate": (drop("candidate"), "exactly one candidate"),
    "two candidates": (edit_model("anchor-2", role="candidate"), "exactly one candidate"),
    "no heuristic": (drop("most_popular"), "at least one heuristic"),
    "no live model": (drop("live-3"), "live revision is 3, but none was evaluated"),
    "another live model": (edit_model("live-3", revision=4), "live revision is 3, but [4] was"),
    "live without a number": (edit_model("live-3", revision=None), "live revision is 3"),
    "two live models": (edit_model("anchor-2", role="live"), "live revision is 3"),
    "the live model as an anchor": (edit_model("live-3", role="anchor"), "live revision is 3"),
    "no anchor": (drop("anchor-2"), "anchor revision is 2, but none was evaluated"),
    "not inspected": (edit_model("candidate", infra=None), "candidate was not inspected"),
    "no slices": (lambda folder: (folder / "users.parquet").unlink(), "users.parquet is missing"),
    "slices of others": (
        lambda folder: pd.DataFrame({"listener": ["heavy"]}).to_parquet(folder / "users.parquet"),
        "does not belong to its evaluation",
    ),
    "an unknown role": (edit_model("live-3", role="friend"), "role"),
    "a label twice": (rename_live("candidate"), "two models are called candidate"),
    "a label that leads elsewhere": (rename_live("live-3/../candidate"), "label"),
    "a label of this folder": (rename_live("./candidate"), "label"),
    "no values of a heuristic": (
        lambda folder: (folder / "most_popular" / "per_user.parquet").unlink(),
        "most_popular/per_user.parquet is missing",
    ),
    "damaged values": (
        overwrite("most_popular/per_user.parquet", b"PAR1 and no more"),
        "per_user.parquet is damaged",
    ),
    "fewer rows": (
        edit_values("most_popular", lambda table: table.head(LISTENERS - 1)),
        "ndcg@10 of 40 listeners is missing",
    ),
    "one row": (edit_values("live-3", lambda table: table.head(1)), "ndcg@10 of 40 listeners"),
    "more rows": (
        edit_values("candidate", lambda table: pd.concat([table, table])),
        "ndcg@10 of 40 listeners is missing",
    ),
    "another number of listeners": (
        edit(lambda document: document.update(listeners=39)),
        "ndcg@10 of 39 listeners is missing",
    ),
    "nobody": (nobody, "listeners"),
    "no column": (
        edit_values("most_popular", lambda table: table[["mrr@10"]]),
        "ndcg@10 of 40 listeners is missing",
    ),
    "text for numbers": (
        edit_values("most_popular", lambda table: table.astype(str)),
        "ndcg@10 of 40 listeners is missing",
    ),
    "NaN of the candidate": (spoil_one("candidate", NAN), "candidate: ndcg@10 is not finite"),
    "NaN of a heuristic": (spoil_one("most_popular", NAN), "most_popular: ndcg@10 is not finite"),
    "NaN of the live model": (spoil_one("live-3", NAN), "live-3: ndcg@10 is not finite"),
    "NaN of the anchor": (spoil_one("anchor-2", NAN), "anchor-2: ndcg@10 is not finite"),
    "infinite candidate": (spoil_one("candidate", INF), "candidate: ndcg@10 is not finite"),
    "infinitely bad heuristic": (spoil_one("most_popular", -INF), "is not finite"),
    "NaN in a guardrail": (spoil_one("candidate", NAN, "mrr@10"), "mrr@10 is not finite"),
    "a corpus value that is NaN": (
        edit_model("candidate", corpus={"coverage@10": NAN}),
        "finite number",
    ),
    "an infinite corpus value": (edit_model("candidate", corpus={"coverage@10": INF}), "finite"),
    "an infinite corpus value of live": (
        edit_model("live-3", corpus={"coverage@10": -INF}),
        "finite",
    ),
    "no corpus value": (edit_model("candidate", corpus={}), "candidate has no coverage@10"),
    "no corpus value of live": (edit_model("live-3", corpus={}), "live-3 has no coverage@10"),
    "heuristics without a single hit": (
        edit_values("most_popular", lambda table: table * 0),
        "for 40 listeners, no heuristic has a ndcg@10 above 0: there is nothing to beat; evaluate",
    ),
    "the primary metric was not evaluated": (
        edit(lambda document: document.update(metrics=document["metrics"][1:])),
        "ndcg@10 is not evaluated",
    ),
}
STRICT = PLAIN.model_copy(
    update={
        "bootstrap": "heuristic",
        "slices": SliceRule(),
        "guardrails": (
            Guardrail(metric="coverage@10", at_least=0.1),
            Guardrail(metric="coverage@10", at_least=0.5, of="live"),
            Guardrail(metric="mrr@10", at_least=0.1),
        ),
    }
)


def test_the_evaluation_that_is_going_to_be_broken_promotes(tmp_path):
    assert gate(running(0.75, 0.5).write(tmp_path), STRICT, HEAD).decision == "promote"


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_evaluation_is_refused(tmp_path, case):
    spoil, says = BROKEN[case]
    folder = running(0.75, 0.5).write(tmp_path)
    spoil(folder)
    assert says in refusal(folder, STRICT, HEAD)


def test_a_corpus_value_does_not_stand_in_for_values_of_listeners(tmp_path):
    folder = running(0.75, 0.5).write(tmp_path)
    edit_model("candidate", corpus={"coverage@10": 0.5, "mrr@10": 1.0, "ndcg@10": 1.0})(folder)
    policy = PLAIN.model_copy(update={"guardrails": (Guardrail(metric="mrr@10", at_least=0.9),)})
    assert reason_of(gate(folder, policy, HEAD), "mrr@10").value == 0.5


def test_a_live_model_that_the_plan_did_not_see_is_refused(tmp_path):
    message = refusal(running(0.75, 0.5).write(tmp_path), PLAIN, None)
    assert "the live revision is none, but [3] was evaluated" in message


def test_the_anchor_can_be_left_out_by_the_policy(tmp_path):
    policy = PLAIN.model_copy(update={"anchor": False})
    models = against(0.75, 0.25).add("live-3", 0.5)
    assert gate(models.write(tmp_path), policy, HEAD).decision == "promote"


# Verdicts.


def noisy() -> Models:
    rng = np.random.default_rng(9)
    models = Models(200)
    for label in ("candidate", "live-3", "anchor-2", "most_popular", "relisten"):
        models.add(label, rng.random(200))
    return models


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    for place, candidate in enumerate((0.75, 0.625 + SWING, 0.125)):
        verdict = gate(running(candidate, 0.5, heuristic=0.5).write(tmp_path), STRICT, HEAD)
        path = tmp_path / f"{place}.json"
        verdict.write(path)
        assert Verdict.read(path) == verdict


def test_a_verdict_keeps_what_it_saw_of_every_model(tmp_path):
    models = running(0.75, 0.5, anchor=0.25, heuristic=0.375)
    models.tables["candidate"]["ndcg@10 tail"] = 1.0
    models.tables["candidate"]["mrr@10"] = np.inf
    models.models[0]["corpus"] = {}
    verdict = gate(models.write(tmp_path), PLAIN, HEAD)
    assert verdict.window == {"start": "2026-01-01", "cut": "2026-02-01", "end": "2026-02-15"}
    assert verdict.roles == {
        "candidate": "candidate",
        "most_popular": "heuristic",
        "live-3": "live",
        "anchor-2": "anchor",
    }
    # Neither parts of the truth, nor what is not finite or was not measured.
    assert verdict.values == {
        "candidate": {"ndcg@10": 0.75},
        "most_popular": {"ndcg@10": 0.375, "mrr@10": 0.5, "coverage@10": 0.5},
        "live-3": {"ndcg@10": 0.5, "mrr@10": 0.5, "coverage@10": 0.5},
        "anchor-2": {"ndcg@10": 0.25, "mrr@10": 0.5, "coverage@10": 0.5},
    }


def test_a_verdict_of_before_has_no_values(tmp_path):
    verdict = gate(against(0.75).write(tmp_path), PLAIN, None)
    before = verdict.model_dump_json(exclude={"window", "roles", "values"})
    (tmp_path / "verdict").write_text(before)
    read = Verdict.read(tmp_path / "verdict")
    assert (read.window, read.roles, read.values) == ({}, {}, {})
    assert (
        read.model_copy(
            update={"window": verdict.window, "roles": verdict.roles, "values": verdict.values}
        )
        == verdict
    )


def test_a_verdict_has_no_values_that_are_not_finite(tmp_path):
    document = gate(against(0.75).write(tmp_path), PLAIN, None).model_dump()
    document["values"]["candidate"]["ndcg@10"] = float("nan")
    with pytest.raises(ValidationError):
        Verdict.model_validate(document)


def test_the_same_evaluation_has_the_same_verdict_bit_for_bit(tmp_path):
    folder = noisy().write(tmp_path / "evaluation")
    for name in ("once", "again"):
        gate(folder, STRICT, HEAD).write(tmp_path / name)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_models_does_not_matter(tmp_path, seed):
    models = noisy()
    expected = gate(models.write(tmp_path / "a"), STRICT, HEAD)
    np.random.default_rng(seed).shuffle(models.models)
    verdict = gate(models.write(tmp_path / "b"), STRICT, HEAD)
    # Only the digest of the file tells that it is another one.
    assert verdict.evaluation_digest != expected.evaluation_digest
    verdict.evaluation_digest = expected.evaluation_digest
    assert verdict == expected


def test_of_equally_good_heuristics_the_first_by_name_goes_live(tmp_path):
    models = Models().add("candidate", 0.25)
    policy = PLAIN.model_copy(update={"bootstrap": "heuristic"})
    for label in ("recently_popular", "co_visited", "most_popular"):
        models.add(label, 0.5)
    assert gate(models.write(tmp_path), policy, None).ships == "co_visited"


def test_the_digests_tell_what_was_judged_by_what(tmp_path):
    folder = against(0.75).write(tmp_path / "one")
    verdict = gate(folder, PLAIN, None)
    again = gate(folder, Policy.model_validate(PLAIN.model_dump()), None)
    assert verdict.policy_digest == again.policy_digest
    for change in (
        {"over_heuristics": 0.0},
        {"under_live": 0.0},
        {"anchor": False},
        {"mode": "manual"},
        {"slices": SliceRule()},
        {"bootstrap_at_least": 31},
        {"limits": Limits(p50_ms=5)},
        {"bootstrap": "heuristic"},
        {"primary": "mrr@10"},
        {"guardrails": (Guardrail(metric="coverage@10", at_least=0),)},
    ):
        other = gate(folder, PLAIN.model_copy(update=change), None)
        assert other.policy_digest != verdict.policy_digest, change
        assert other.evaluation_digest == verdict.evaluation_digest
    another = gate(against(0.75).add("relisten", 0.25).write(tmp_path / "two"), PLAIN, None)
    assert another.evaluation_digest != verdict.evaluation_digest


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"decision": "promote"}', b"\xff"])
def test_without_a_verdict_nothing_is_read(tmp_path, content):
    path = tmp_path / "verdict.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SetlistError) as caught:
        Verdict.read(path)
    assert str(path) in one_sentence(caught.value)


# The anchor: many small losses do not add up.


def test_a_candidate_that_is_proven_better_is_the_next_anchor(tmp_path):
    assert gate(running(0.75, 0.5, anchor=0.5).write(tmp_path), PLAIN, HEAD).anchor is None
    assert gate(against(0.75).write(tmp_path / "first"), PLAIN, None).anchor is None


def test_one_that_is_only_not_worse_stays_beside_the_old_anchor(tmp_path):
    assert gate(running(0.5, 0.5, anchor=0.5).write(tmp_path), PLAIN, HEAD).anchor == 2
    alone = against(0.5, 0.25).add("live-3", 0.5)
    assert gate(alone.write(tmp_path / "alone"), PLAIN, FIRST).anchor == 3


def test_a_slow_decline_is_stopped_by_the_anchor(tmp_path):
    """Each candidate is .9 of the one before, within the tolerance of .25, and none is better."""
    live, anchor, shipped = 1.0, None, []
    for step in range(5):
        candidate = live * 0.9
        models = against(candidate, 0.1).add("live-3", live)
        head = FIRST
        if anchor is not None:
            models.add("anchor-2", anchor)
            head = HEAD
        verdict = gate(models.write(tmp_path / str(step)), PLAIN, head)
        shipped.append(verdict.ships)
        if not verdict.ships:
            assert list(outcomes(verdict)) == [
                "better than most_popular",
                "not worse than live-3",
                "not worse than anchor-2",
            ]
            assert outcomes(verdict)["not worse than anchor-2"] == "fail"
            break
        assert verdict.anchor is not None
        anchor, live = anchor or live, candidate
    assert shipped == ["candidate", "candidate", ""]  # .9, .81, and .729 < .75


# What no figure can make good.


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"content": "content of live-3"}, "another model than live-3"),
        ({"content": "content of anchor-2"}, "another model than anchor-2"),
        ({"excluded": 1}, "lists nothing excluded"),
        ({"known": 0.94}, "knows the catalogue"),
        ({"inspection": SOUND.model_copy(update={"faults": ["NaN"]})}, "serves as evaluated"),
        ({"inspection": SOUND.model_copy(update={"p99_ms": 251.0})}, "p99 latency at most"),
        ({"inspection": SOUND.model_copy(update={"size_mb": 2001.0})}, "size at most"),
    ],
)
def test_a_better_model_is_refused_for_one_fault(tmp_path, more, rule):
    models = running(0.75, 0.5)
    models.models[0] |= more
    verdict = gate(models.write(tmp_path), PLAIN, HEAD)
    assert verdict.decision == "reject"
    assert [reason.rule for reason in verdict.reasons if reason.outcome == "fail"] == [rule]


FAILED = Inspection(faults=["unknown ids: no answer"], requests=200, size_mb=12.0)
OLDER = Inspection(faults=["no answer"], requests=200, reach=0, p50_ms=0, p99_ms=0, size_mb=12.0)


@pytest.mark.parametrize("inspection", [FAILED, OLDER])
def test_what_a_failed_inspection_did_not_measure_is_not_asked(tmp_path, inspection):
    models = running(0.75, 0.5)
    models.models[0] |= {"inspection": inspection}
    policy = PLAIN.model_copy(update={"limits": Limits(p50_ms=5)})
    verdict = gate(models.write(tmp_path), policy, HEAD)
    assert verdict.sentence == "The candidate is rejected; it broke: serves as evaluated."
    lost = ["knows the catalogue", "p50 latency at most", "p99 latency at most"]
    unknown = [reason for reason in verdict.reasons if reason.outcome == "not_asked"]
    assert [reason.rule for reason in unknown] == lost
    assert {(reason.value, reason.sentence) for reason in unknown} == {
        (None, "it was not measured, because the inspection failed (serves as evaluated).")
    }
    measured = {reason.rule: reason.outcome for reason in verdict.reasons}
    assert measured["size at most"] == "pass"


@pytest.mark.parametrize("missing", ["reach", "p50_ms", "p99_ms"])
def test_without_a_fault_everything_has_to_be_measured(tmp_path, missing):
    folder = running(0.75, 0.5).write(tmp_path)
    document = json.loads((folder / "evaluation.json").read_text())
    del document["models"][0]["infra"][missing]
    (folder / "evaluation.json").write_text(json.dumps(document))
    with pytest.raises(SetlistError, match="is missing, though no fault is named"):
        gate(folder, PLAIN, HEAD)


BUSY = SOUND.model_copy(
    update={
        "p99_ms": 251.0,
        "processor_p50_ms": 1.0,
        "processor_p99_ms": 9.0,
        "reference_p50_ms": 2.0,
        "reference_p99_ms": 9.0,
    }
)


def test_a_busy_node_neither_refuses_nor_promotes(tmp_path):
    models = running(0.75, 0.5)
    models.models[0] |= {"inspection": BUSY}
    verdict = gate(models.write(tmp_path / "a"), PLAIN, HEAD)
    assert (verdict.decision, verdict.ships) == ("undecided", "")
    assert verdict.sentence == (
        "The candidate is undecided; the evaluation cannot settle: p99 latency at most."
    )
    policy = PLAIN.model_copy(update={"bootstrap": "heuristic"})
    models = Models().add("candidate", 0.25).add("best", 0.75, inspection=BUSY)
    assert gate(models.write(tmp_path / "b"), policy, None).ships == "", "nor a heuristic"


def test_a_limit_can_be_lifted_or_set(tmp_path):
    folder = against(0.75).write(tmp_path)
    for limits, decision in ((Limits(p50_ms=1.9), "reject"), (Limits(p50_ms=2), "promote")):
        policy = PLAIN.model_copy(update={"limits": limits})
        assert gate(folder, policy, None).decision == decision
    none = Limits(p50_ms=None, p99_ms=None, size_mb=None)
    rules = outcomes(gate(folder, PLAIN.model_copy(update={"limits": none}), None))
    assert rules == {"better than most_popular": "pass"}


def test_what_is_too_good_is_not_believed(tmp_path):
    policy = PLAIN.model_copy(update={"believable": 1.5})
    verdict = gate(against(0.75).write(tmp_path / "fair"), policy, None)
    assert verdict.decision == "promote"
    verdict = gate(against(0.76).write(tmp_path / "magic"), policy, None)
    assert outcomes(verdict)["not too good to be true"] == "fail"
    assert "the test period has leaked" in reason_of(verdict, "not too good").sentence


# Nobody is left behind; the search itself is tested in test_harm.py.


def by_country(models: Models, **sizes: int) -> Models:
    models.slices["country"] = [name for name, size in sizes.items() for _ in range(size)]
    return models


def sliced(*columns: str) -> Policy:
    rule = SliceRule(tolerance=0.1, columns=columns or None)
    return PLAIN.model_copy(update={"slices": rule})


def test_a_group_that_is_worse_off_than_with_live_refuses_a_better_candidate(tmp_path):
    models = Models(200)
    ours = np.r_[np.full(50, 0.2), np.full(150, 0.9)]
    models.add("candidate", ours).add("most_popular", 0.25)
    models.add("live-3", 0.5).add("anchor-2", 0.25)
    by_country(models, JP=50, SE=150)
    verdict = gate(models.write(tmp_path), sliced(), HEAD)
    assert verdict.decision == "reject"
    assert [rule for rule, outcome in outcomes(verdict).items() if outcome == "fail"] == [
        "no group by country worse off than with live-3"
    ]
    assert "of 2 groups JP (50 listeners)" in reason_of(verdict, "no group by country").sentence
    assert outcomes(verdict)["no group by history length worse off than with live-3"] == "pass"


def test_while_nothing_is_live_groups_are_held_against_the_best_heuristic(tmp_path):
    models = against(0.75).add("second", 0.25)
    verdict = gate(by_country(models, JP=40).write(tmp_path), sliced("country"), None)
    assert outcomes(verdict)["no group by country worse off than with most_popular"] == "pass"


def test_the_policy_chooses_the_slices(tmp_path):
    folder = by_country(against(0.75), JP=40).write(tmp_path)
    rules = [reason.rule for reason in gate(folder, sliced("country"), None).reasons]
    assert [rule for rule in rules if rule.startswith("no group")] == [
        "no group by country worse off than with most_popular"
    ]
    message = refusal(folder, sliced("city"))
    assert "policy.slices.columns: city is no slice" in message
    assert "(now: listener, country)" in message


def add_parts(models: Models, label: str, **parts) -> None:
    """Values on plays of the parts of the catalogue, of as many listeners as there are values."""
    for part in ("head", "torso", "tail", "new"):
        values = np.full(models.listeners, np.nan)
        given = parts.get(part, [])
        values[: len(given)] = given
        models.tables[label][f"ndcg@10 {part}"] = values


def test_plays_of_a_part_of_the_catalogue_are_groups_too(tmp_path):
    models = Models(100).add("candidate", 0.75).add("most_popular", 0.5)
    add_parts(models, "candidate", head=[0.9] * 100, tail=[0.1] * 60, new=[0.0] * 29)
    add_parts(models, "most_popular", head=[0.5] * 100, tail=[0.2] * 60, new=[0.5] * 29)
    folder = models.write(tmp_path)
    verdict = gate(folder, sliced("item_part"), None)
    assert verdict.decision == "reject"
    reason = reason_of(verdict, "no group by item part worse off than with most_popular")
    assert reason.outcome == "fail"
    assert (reason.value, reason.needed) == (pytest.approx(-0.1), pytest.approx(-0.02))
    assert "of 2 groups tail (60 listeners)" in reason.sentence
    assert reason.sentence.endswith("; too few to say: new (29).")
    # Left out of the policy, they are not asked for.
    assert gate(folder, sliced("listener"), None).decision == "promote"


def test_parts_that_were_not_evaluated_are_missed(tmp_path):
    folder = against(0.75).write(tmp_path)
    assert "ndcg@10 head of 40 listeners is missing" in refusal(folder, sliced("item_part"))


def test_parts_say_nothing_of_a_metric_that_does_not_read_the_truth(tmp_path):
    models = against(0.75)
    for table in models.tables.values():
        table["novelty@10"] = table["ndcg@10"]
    folder = models.write(tmp_path)
    novelty = MetricInfo.of("novelty@10").model_dump()
    edit(lambda document: document["metrics"].append(novelty))(folder)
    policy = sliced("item_part").model_copy(update={"primary": "novelty@10"})
    message = refusal(folder, policy)
    assert "policy.slices.columns: novelty@10 is the same for plays of any items" in message


def test_a_heuristic_that_cannot_serve_does_not_go_live(tmp_path):
    policy = PLAIN.model_copy(update={"bootstrap": "heuristic"})
    broken = SOUND.model_copy(update={"faults": ["it cannot be loaded"]})
    models = Models().add("candidate", 0.25).add("best", 0.75, inspection=broken).add("second", 0.5)
    assert gate(models.write(tmp_path / "a"), policy, None).ships == "second"
    models = Models().add("candidate", 0.25).add("best", 0.75, inspection=broken)
    verdict = gate(models.write(tmp_path / "b"), policy, None)
    assert (verdict.decision, verdict.ships) == ("reject", "")
    assert verdict.live_sentence == "Nothing changes: no heuristic is fit to serve."


def test_the_mode_is_handed_on(tmp_path):
    folder = against(0.75).write(tmp_path)
    assert gate(folder, PLAIN, None).mode == "auto"
    assert gate(folder, PLAIN.model_copy(update={"mode": "manual"}), None).mode == "manual"
