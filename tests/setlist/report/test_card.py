"""The model card: what it says, and that no name in it is more than a name."""

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from tests.evaluations import evaluated, evaluation

from setlist.errors import EvaluationError
from setlist.evaluation.results import MetricInfo
from setlist.evaluation.verdict import Reason, SeenHead, Verdict
from setlist.models.contract import ModelInfo, folder_digest, read_info, write_info
from setlist.printable import markdown
from setlist.report.card import render_card

LISTENERS = 120
HOSTILE = (
    "<script>alert(1)</script> **b** [a](javascript:x) `c` | d\n# e https://x.y www.z.w a@b.cd"
)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "saved_model").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"x" * 2_000_000)
    info = ModelInfo(
        name="two_tower",
        kind="two_tower",
        catalogue_size=1234,
        history_length=50,
        inputs=("country", HOSTILE.replace("\n", " "), "history_age_days"),
        training_window={"start": "2026-01-01T00:00:00", "end": "2026-04-01T00:00:00"},
        code_version="0",
    )
    write_info(folder, info, ["song"])
    return folder


@pytest.fixture
def evaluations(tmp_path):
    """60 light listeners, 40 heavy, 20 newcomers: the candidate is better for the light ones."""
    folder = tmp_path / "evaluations"
    kinds = np.repeat(["light", "heavy", "newcomer"], [60, 40, 20])
    for label, light, rest in (("candidate", 0.75, 0.25), ("most_popular", 0.25, 0.5)):
        (folder / label).mkdir(parents=True)
        values = {"ndcg@10": np.where(kinds == "light", light, rest)}
        values |= {f"ndcg@10 {part}": np.nan for part in ("head", "torso", "tail", "new")}
        pd.DataFrame(values).to_parquet(folder / label / "per_user.parquet", index=False)
    document = evaluation([evaluated("candidate"), evaluated("most_popular")], LISTENERS)
    document = document.model_copy(update={"left_out": {"listeners without plays": 1500}})
    (folder / "evaluation.json").write_text(document.model_dump_json())
    users = {"user_id": [str(row) for row in range(LISTENERS)], "listener": kinds}
    pd.DataFrame(users).to_parquet(folder / "users.parquet", index=False)
    return folder


def verdict(model, evaluations, **changes) -> Verdict:
    def reason(
        rule: str,
        sentence: str,
        detectable: float | None = None,
        too_small: list[str] | None = None,
    ) -> Reason:
        return Reason(
            rule=rule,
            outcome="pass",
            value=1,
            needed=0,
            detectable=detectable,
            too_small=too_small or [],
            sentence=sentence,
        )

    content = (evaluations / "evaluation.json").read_bytes()
    return Verdict(
        **{
            "decision": "promote",
            "mode": "auto",
            "primary": "ndcg@10",
            "ships": "candidate",
            "ships_digest": folder_digest(model),
            "sentence": "The candidate is better.",
            "reasons": [
                reason("better than most_popular", "by far.", detectable=0.0123),
                reason(
                    "no group worse off", "too few to say: newcomer (20).", too_small=["newcomer"]
                ),
                reason("size at most", HOSTILE),
            ],
            "evaluation_digest": hashlib.sha256(content).hexdigest(),
            "policy_digest": "0",
            "head": SeenHead(live=3, version="v"),
        }
        | changes
    )


def card(model, evaluations, judged, **metadata) -> str:
    return render_card(
        name="home",
        revision=7,
        run_id="run-1",
        model=model,
        verdict=judged,
        evaluations=evaluations,
        metadata=metadata,
    )


def test_it_says_what_the_model_is_and_what_it_is_worth(model, evaluations):
    text = card(model, evaluations, verdict(model, evaluations), data_fingerprint="f00")
    for words in (
        "# home, revision 7\n",
        "\nCandidate: promote. The candidate is better.\n",
        "\nLive: candidate.\n",
        "plays from 2026-01-01T00:00 to 2026-04-01T00:00 |",
        "| compared with | revision 3, which was live |",
        "| trained by run | run-1 |",
        "| catalogue | 1,234 items |",
        "| lists | exact |",
        "| size | 2.0 MB in 3 files |",
        f"| digest (SHA-256) | {folder_digest(model)} |",
        "| digest of the data | f00 |",
        "| **candidate** | 0.5000 \\[",
        "| most_popular | 0.3750 \\[",
        "Left out of the test: listeners without plays: 1,500.",
        "| worst | listener: heavy | 40 | 0.2500 | -0.2500 |",
        "| best | listener: light | 60 | 0.7500 | +0.5000 |",
        "- pass, **better than most_popular**: by far.",
        "- better than most_popular: a difference smaller than 0.0123 would probably",
        "- no group worse off: too few to say: newcomer (20).",
        "which are not compared: listener newcomer (20), plays of head (0)",
        '    country=tf.constant([""]),',
        "    history_age_days=tf.constant([[2.0, 1.0]]),",
    ):
        assert words in text


def test_it_says_how_far_lists_are_approximate(model, evaluations):
    info = read_info(model)
    measured = "4 of 60 clusters of items are read: recall@100 0.961"
    write_info(model, info.model_copy(update={"approximation": measured}), ["song"])
    text = card(model, evaluations, verdict(model, evaluations))
    assert f"| lists | approximate: {measured} |" in text


def test_it_says_that_a_sample_was_evaluated(model, evaluations):
    path = evaluations / "evaluation.json"
    window = {"end": "2026-04-15T00:00:00"}
    document = json.loads(path.read_text()) | {"sampled_from": 1_234_567, "window": window}
    path.write_text(json.dumps(document))
    text = card(model, evaluations, verdict(model, evaluations))
    said = "120 listeners of 1,234,567 (the same share of each group by history length), "
    assert said in text


def test_it_leaves_out_metrics_of_tags_where_no_item_has_any(model, evaluations):
    path = evaluations / "evaluation.json"
    document = json.loads(path.read_text("utf-8"))
    document["metrics"].append(MetricInfo.of("intra_list_diversity@10").model_dump())
    path.write_text(json.dumps(document))
    for label in ("candidate", "most_popular"):
        values = pd.read_parquet(evaluations / label / "per_user.parquet")
        values["intra_list_diversity@10"] = 1.0
        values.to_parquet(evaluations / label / "per_user.parquet", index=False)
    items = evaluations / "items.parquet"
    pd.DataFrame({"tags": [["folk"], []]}).to_parquet(items)
    text = card(model, evaluations, verdict(model, evaluations))
    assert "| intra" in text
    assert "Not shown" not in text
    pd.DataFrame({"tags": [[], []]}).to_parquet(items)
    text = card(model, evaluations, verdict(model, evaluations))
    assert "| intra" not in text
    assert "Not shown: intra" in text


def test_it_is_the_same_whenever_it_is_made(model, evaluations):
    judged = verdict(model, evaluations)
    assert card(model, evaluations, judged) == card(model, evaluations, judged)


def test_a_first_model_and_a_heuristic_and_a_refit_have_one(model, evaluations):
    judged = verdict(model, evaluations, ships="most_popular", head=None)
    text = card(model, evaluations, judged, refit_of="abc", refit_overlap=0.7)
    assert "| compared with | no live model: nothing was live |" in text
    assert "| **most_popular** | 0.3750" in text
    assert "| candidate | 0.5000" in text
    assert "the model with digest abc, and 70% of its first ten items are also in the" in text


def test_without_an_evaluation_it_says_so(model, evaluations):
    text = card(model, None, verdict(model, evaluations))
    assert "No measurements: this card was written without the evaluation." in text


def test_another_evaluation_than_the_judged_one_is_refused(model, evaluations):
    judged = verdict(model, evaluations, evaluation_digest="0" * 64)
    with pytest.raises(EvaluationError, match="is not the evaluation that was judged"):
        card(model, evaluations, judged)


def test_no_name_becomes_markup(model, evaluations):
    text = card(model, evaluations, verdict(model, evaluations, sentence=HOSTILE), label=HOSTILE)
    assert "<" not in text.replace("```", "")
    assert "https://" not in text
    assert "www." not in text
    assert "a@b" not in text
    assert text.count("\n# ") == 0, "one heading of that level, the first line"
    assert not re.search(r"(?<!\\)\*\*b\W", text)
    assert not re.search(r"(?<!\\)\[a", text)
    assert not re.search(r"(?<!\\)`c", text)
    assert not re.search(r"(?<!\\)\| d\b", text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("co_visited", "co_visited"),
        ("_x_ *y*", r"\_x\_ \*y\*"),
        ("a\n\nb", "a b"),
        ("a & b > c", "a &amp; b &gt; c"),
        ("back\\slash", r"back\\slash"),
        ("ndcg@10", "ndcg@10"),
        ("mailto:a", "mailto&#58;a"),
        (0.5, "0.5"),
    ],
)
def test_plain_text_stays_readable(text, shown):
    assert markdown(text) == shown
