"""The history of real stores: runs gated, pushed, recorded, rolled back; values known by hand."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from tests.conftest import BUCKET
from tests.evaluations import evaluated, evaluation
from tests.setlist.runs.unasked import unasked

from setlist.errors import SetlistError
from setlist.evaluation.gate import gate
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import MetricInfo
from setlist.evaluation.verdict import SeenHead, Verdict
from setlist.explorer.columns import render
from setlist.explorer.history import KEPT_DOCUMENTS, History, Kept
from setlist.explorer.live_age import LiveAge, duration_text, live_age
from setlist.explorer.trend import HEURISTIC, LIVE, TABLE_COLUMNS, VERDICT_MARKS, chart, table
from setlist.models.contract import folder_digest
from setlist.runs import record as record_module
from setlist.runs.promotion import REFRESH_OF, promote_staged, push, rollback
from setlist.runs.record import PAGE_RECORDS, RunRecord
from setlist.store.model_store import open_store
from setlist.store.objects import open_objects

LISTENERS = 40
SWING = np.resize([0.25, -0.25], LISTENERS)  # a difference that is 0 in the mean
HOSTILE = "</script><img src=x onerror=alert(1)> {{ 7 * 7 }} datum.value [a](javascript:alert(2))"
WINDOW = {
    "start": "2020-01-01T00:00:00+00:00",
    "cut": "2020-04-01T00:00:00+00:00",
    "end": "2020-04-15T00:00:00+00:00",
}
LEARNED = {"start": WINDOW["start"], "end": WINDOW["cut"]}
NOW = datetime(2020, 4, 10, tzinfo=UTC)
PLAIN = {
    "over_heuristics": 0.25,
    "under_live": 0.25,
    "believable": None,
    "guardrails": (),
    "slices": None,
    "bootstrap": "none",
}
GINI = {"candidate": 0.5, "most_popular": 0.875, "relisten": 0.125, "live-1": 0.625}
WITHOUT_VALUES = {"window", "roles", "values"}


class Runs:
    """Runs on one store, each evaluated, gated, pushed and recorded by the real steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "store")

    def run(self, run_id: str, ended: str, record: bool = True, sentence="", **values) -> Verdict:
        """A run whose models are worth so much to every listener; `policy` may be among them."""
        policy = Policy(**(PLAIN | values.pop("policy", {})))
        home = self.folder / run_id
        model(home / "candidate", run_id)
        model(home / "heuristics" / "most_popular", "most_popular")
        folders = {"candidate": home / "candidate"} | {
            one.name: one for one in (home / "heuristics").iterdir()
        }
        models = []
        for name, worth in values.items():
            label = name.replace("live_", "live-")
            folder = folders.get(label)
            said = {"digest": folder_digest(folder)} if folder else {}
            corpus = {"gini@10": GINI.get(label, 0.25)}
            models.append(evaluated(label, corpus=corpus, content=f"{label} {run_id}", **said))
            (home / "evaluations" / label).mkdir(parents=True)
            pd.DataFrame({"ndcg@10": np.zeros(LISTENERS) + worth, "ndcg@10 tail": 1.0}).to_parquet(
                home / "evaluations" / label / "per_user.parquet"
            )
        metrics = tuple(map(MetricInfo.of, ("ndcg@10", "gini@10")))
        document = evaluation(models, LISTENERS).model_copy(
            update={"window": WINDOW, "metrics": metrics}
        )
        (home / "evaluations" / "evaluation.json").write_text(document.model_dump_json())
        users = pd.DataFrame({"user_id": map(str, range(LISTENERS)), "listener": "heavy"})
        users.to_parquet(home / "evaluations" / "users.parquet")
        head = open_store(self.store).head("home")
        verdict = gate(home / "evaluations", policy, SeenHead(**vars(head)) if head else None)
        if sentence:
            verdict = verdict.model_copy(update={"sentence": sentence, "live_sentence": ""})
        pushed = None
        if verdict.ships:
            heuristics = home / "heuristics"
            revision = push(self.store, "home", run_id, folders["candidate"], heuristics, verdict)
            pushed = home / "pushed"
            pushed.write_text(json.dumps({"revision": revision}))
        verdict.write(home / "verdict")
        if record:
            self.record(RunRecord.of_run("home", run_id, home / "verdict", pushed), ended)
        return verdict

    def record(self, record: RunRecord, ended: str) -> None:
        record.model_copy(update={"ended": ended}).write(self.store)

    def read(self, now: datetime = NOW) -> History:
        return History.read(self.store, "home", now)


def model(folder: Path, name: str) -> Path:
    return unasked(folder, name, LEARNED)


@pytest.fixture
def runs(tmp_path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture
def six(runs) -> Runs:
    """Two promotions and all other ends that a run can have; then a rollback."""
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5, relisten=0.25)
    runs.run("b", "2020-04-16T01:00:00Z", candidate=0.25, most_popular=0.5, live_1=0.75)
    runs.run(
        "c",
        "2020-04-17T01:00:00Z",
        sentence=HOSTILE,
        candidate=0.625 + SWING,
        most_popular=0.5,
        live_1=0.5,
    )
    runs.record(RunRecord.of_failure("home", "d", HOSTILE), "2020-04-18T01:00:00Z")
    runs.record(RunRecord.of_run("home", "e", None, None), "2020-04-19T01:00:00Z")
    runs.run("f", "2020-04-20T01:00:00Z", candidate=1.0, most_popular=0.5, live_1=0.75)
    rollback(runs.store, "home", why="Too loud.")
    return runs


def summary(history: History) -> list[tuple]:
    return [(one.run_id, one.outcome, one.revision, one.place) for one in history.entries]


def test_every_run_has_its_outcome_and_people_their_own_lines(six):
    history = six.read()
    assert summary(history) == [
        ("a", "promoted", 1, "live"),
        ("b", "refused", None, ""),
        ("c", "undecided", None, ""),
        ("d", "failed", None, ""),
        ("e", "nothing new", None, ""),
        ("f", "promoted", 2, "previous"),
        ("a", "rollback", 1, ""),
    ]
    assert history.faults == []
    assert history.entries[0].when == datetime(2020, 4, 15, 1, tzinfo=UTC)
    assert history.entries[3].sentence == HOSTILE
    back = history.entries[-1]
    assert (back.sentence, back.verdict) == ("Too loud.", None)
    assert "@" in back.who


def test_the_values_are_those_that_the_gate_saw(six):
    history = six.read()
    first, refused = history.entries[:2]
    assert first.value("ndcg@10", "candidate") == ("candidate", 0.75)
    assert first.value("ndcg@10", "live") is None
    assert first.value("ndcg@10", "heuristic") == ("most_popular", 0.5)
    assert refused.value("ndcg@10", "live") == ("live-1", 0.75)
    # The best heuristic is the best by ndcg@10, though another one has less gini@10.
    assert first.value("gini@10", "heuristic") == ("most_popular", 0.875)
    assert first.value("ndcg@10 tail", "candidate") is None
    assert first.value("mrr@10", "candidate") is None
    assert history.metrics == ["ndcg@10", "gini@10"]
    assert first.window == WINDOW
    assert history.entries[3].window == {}


def test_the_table_is_for_people_newest_first(six):
    found = table(six.read(), "ndcg@10")
    assert list(found) == list(TABLE_COLUMNS)
    assert found["run"].tolist() == ["a", "f", "e", "d", "c", "b", "a"]
    assert found["revision"].fillna(0).tolist() == [1, 2, 0, 0, 0, 0, 1]
    assert found["head"].tolist() == ["", "previous", "", "", "", "", "live"]
    assert found["candidate"].fillna(-1).tolist() == [-1, 1, -1, -1, 0.625, 0.25, 0.75]
    assert found["live model"].fillna(-1).tolist() == [-1, 0.75, -1, -1, 0.5, 0.75, -1]
    assert found["best heuristic"].fillna(-1).tolist() == [-1, 0.5, -1, -1, 0.5, 0.5, 0.5]
    assert found["heuristic"][1] == "most_popular"
    assert found["training period"][1] == "2020-01-01 to 2020-04-01"
    assert found["test period"][1] == "2020-04-01 to 2020-04-15"
    assert (found["training period"][2], found["test period"][2]) == ("", "")
    assert found["sentence"][3] == HOSTILE
    assert (found["who"] != "").tolist() == [True] + [False] * 6


def test_where_a_heuristic_goes_live_the_table_and_the_chart_both_say_refused(runs):
    best = {"policy": {"bootstrap": "heuristic"}}
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.25, most_popular=0.5, **best)
    runs.run("b", "2020-04-16T01:00:00Z", candidate=0.25, most_popular=0.5, live_1=0.5)
    runs.record(RunRecord.of_failure("home", "c", "Lost."), "2020-04-18T01:00:00Z")
    history = runs.read()
    found = table(history, "ndcg@10")
    assert found[["run", "outcome", "goes live"]].to_numpy().tolist() == [
        ["c", "failed", ""],
        ["b", "refused", "nothing changes"],
        ["a", "refused", "heuristic most_popular"],
    ]
    _, (_, candidates) = rows(chart(history, "ndcg@10"))
    assert [one["what"] for one in candidates] == ["refused", "refused"]
    shown = found.astype(object)
    page = render(
        "history.html.j2",
        metric="ndcg@10",
        rows=shown.where(shown.notna(), None).to_dict("records"),
        local_names=set(),
    )
    assert "sl-promoted" not in page
    assert "live: <bdi>heuristic most_popular</bdi>" in page


@pytest.mark.parametrize(
    ("policy", "promoted"), [({}, "candidate"), ({"mode": "manual"}, "candidate, staged")]
)
def test_the_table_says_that_the_candidate_goes_live_or_is_staged(runs, policy, promoted):
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5, policy=policy)
    assert table(runs.read(), "ndcg@10")["goes live"].tolist() == [promoted]


def rows(drawn: alt.LayerChart) -> list[tuple[dict, list[dict]]]:
    """Every layer of what is drawn, with its rows; `to_dict` holds it against the schema."""
    spec = drawn.to_dict()
    return [(layer, spec["datasets"][layer["data"]["name"]]) for layer in spec["layer"]]


def test_the_chart_has_a_point_a_candidate_and_two_lines(six):
    (line, beside), (point, candidates) = rows(chart(six.read(), "ndcg@10"))
    assert (line["mark"]["type"], point["mark"]["type"]) == ("line", "point")
    assert [(one["time"][:10], one["what"], one["value"]) for one in candidates] == [
        ("2020-04-15", "promoted", 0.75),
        ("2020-04-16", "refused", 0.25),
        ("2020-04-17", "undecided", 0.625),
        ("2020-04-20", "promoted", 1.0),
    ]
    assert [(one["model"], one["value"]) for one in beside if one["what"] == LIVE] == [
        ("live-1", 0.75),
        ("live-1", 0.5),
        ("live-1", 0.75),
    ]
    assert [(one["model"], one["value"]) for one in beside if one["what"] == HEURISTIC] == [
        ("most_popular", 0.5)
    ] * 4
    for channel in ("color", "shape"):
        scale = point["encoding"][channel]["scale"]
        assert point["encoding"][channel]["field"] == "what"
        assert scale["domain"] == list(VERDICT_MARKS)
        assert len(set(scale["range"])) == len(VERDICT_MARKS)
    assert chart(six.read(), "ndcg@10").to_dict()["title"]["subtitle"] == [
        "2 of 6 runs have no value."
    ]


def test_other_peoples_text_is_a_value_and_nothing_else(six):
    spec = chart(six.read(), "ndcg@10").to_dict()
    datasets = spec.pop("datasets")
    said = [one["sentence"] for values in datasets.values() for one in values]
    assert HOSTILE in said
    assert "onerror" not in json.dumps(spec)
    plain = json.dumps(spec)
    for feature in ("transform", "expr", "signal", "href", "url", "datum"):
        assert f'"{feature}"' not in plain
    fields = {
        one["field"]
        for layer in spec["layer"]
        for found in layer["encoding"].values()
        for one in (found if isinstance(found, list) else [found])
    }
    assert fields == set(datasets.popitem()[1][0])


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [colour for colour, _ in VERDICT_MARKS.values()])
def test_the_points_stand_out_on_white_and_on_black(colour):
    assert contrast(colour, "#FFFFFF") >= 3
    assert contrast(colour, "#000000") >= 3


def test_one_run_has_room_around_it(runs):
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5)
    (line, beside), (_, candidates) = rows(chart(runs.read(), "gini@10"))
    assert [(one["what"], one["value"]) for one in (*candidates, *beside)] == [
        ("promoted", 0.5),
        (HEURISTIC, 0.875),
    ]
    assert line["mark"]["point"], "a line of one point is none"
    first, last = map(pd.Timestamp, line["encoding"]["x"]["scale"]["domain"])
    assert last - first == timedelta(days=1)


def test_of_a_heuristic_that_goes_live_the_candidate_is_told_as_refused(runs):
    policy = {"bootstrap": "heuristic"}
    runs.run("a", "2020-04-15T01:00:00Z", policy=policy, candidate=0.25, most_popular=0.5)
    history = runs.read()
    assert summary(history) == [("a", "promoted", 1, "live")]
    _, (_, candidates) = rows(chart(history, "ndcg@10"))
    assert [(one["what"], one["value"]) for one in candidates] == [("refused", 0.25)]


def test_what_a_person_makes_live_is_told_beside_the_run_that_staged_it(runs):
    runs.run(
        "a", "2020-04-15T01:00:00Z", policy={"mode": "manual"}, candidate=0.75, most_popular=0.5
    )
    assert summary(runs.read()) == [("a", "staged", 1, "")]
    assert runs.read().live is None
    promote_staged(runs.store, "home", 1, why="I like it.")
    history = runs.read()
    assert summary(history) == [("a", "staged", 1, "live"), ("a", "promotion", 1, "")]
    assert history.entries[1].sentence == "I like it."
    _, (_, candidates) = rows(chart(history, "ndcg@10"))
    assert [one["what"] for one in candidates] == ["staged"]


def test_a_revision_without_a_record_is_there_with_its_values(runs):
    runs.run("a", "", record=False, candidate=0.75, most_popular=0.5)
    history = runs.read()
    assert summary(history) == [("a", "promoted", 1, "live")]
    assert history.entries[0].value("ndcg@10", "candidate") == ("candidate", 0.75)
    promotion = open_store(runs.store).history("home")[-1]
    assert history.entries[0].when == datetime.fromisoformat(promotion.when)


def test_a_refreshed_revision_has_no_values_of_its_own(runs):
    first = runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5)
    store = open_store(runs.store)
    store.stage(
        "home",
        runs.folder / "a" / "candidate",
        run_id="refresh-1",
        digest="new",
        training_window=LEARNED,
        metadata={"verdict": first.model_dump(mode="json"), REFRESH_OF: 1},
    )
    refreshed = runs.read().entries[-1]
    assert (refreshed.outcome, refreshed.revision, refreshed.verdict) == ("staged", 2, None)
    assert refreshed.window == LEARNED
    assert "Revision 1 with a new item table" in refreshed.sentence
    promote_staged(runs.store, "home", 2)
    history = runs.read()
    assert [one.outcome for one in history.entries] == ["promoted", "staged", "promotion"]
    assert history.live is not None
    assert history.live.proven == timedelta(days=14), "it is the proof of revision 1"


def test_a_run_that_failed_after_its_push_has_a_revision(runs):
    runs.run("a", "", record=False, candidate=0.75, most_popular=0.5)
    runs.record(RunRecord.of_failure("home", "a", "lost"), "2020-04-15T01:00:00Z")
    history = runs.read()
    assert summary(history) == [("a", "failed", 1, "live"), ("a", "promotion", 1, "")]
    assert history.entries[0].value("ndcg@10", "candidate") == ("candidate", 0.75)


def test_what_is_damaged_is_named_and_the_rest_is_there(six):
    manifest = Path(six.store) / "home" / "revisions" / "2" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"run_id": "f"', '"run_id": "g"'))
    history = six.read()
    assert len(history.faults) == 1
    assert "home/revisions/2/manifest.json is damaged" in history.faults[0]
    assert summary(history)[5] == ("f", "promoted", 2, "previous")
    assert history.entries[5].value("ndcg@10", "candidate") == ("candidate", 1.0)
    record = Path(six.store) / "home" / "runs" / "b.json"
    record.write_text("{}")
    with pytest.raises(SetlistError, match=r"home/runs/b.json is no record of a run"):
        six.read()


def test_a_verdict_that_is_none_is_named(runs):
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5)
    open_store(runs.store).stage(
        "home",
        runs.folder / "a" / "candidate",
        run_id="b",
        digest="new",
        training_window=LEARNED,
        metadata={"verdict": {"decision": "perhaps"}},
    )
    history = runs.read()
    assert [one.outcome for one in history.entries] == ["promoted", "staged"]
    [fault] = history.faults
    assert "the verdict in the manifest of home revision 2 cannot be read" in fault


def test_a_date_that_is_none_is_named(runs):
    runs.record(RunRecord.of_failure("home", "a", "lost"), "yesterday")
    with pytest.raises(SetlistError, match=r"home/runs/a.json: ended: 'yesterday' is not an ISO"):
        runs.read()


def test_an_empty_store_has_an_empty_history(runs):
    history = runs.read()
    assert (history.entries, history.live, history.faults, history.metrics) == ([], None, [], [])
    assert list(table(history, "ndcg@10")) == list(TABLE_COLUMNS)
    assert table(history, "ndcg@10").empty
    assert [values for _, values in rows(chart(history, "ndcg@10"))] == [[], []]


def test_documents_of_before_are_read_without_values(runs):
    judged = runs.run("a", "", record=False, candidate=0.75, most_popular=0.5)
    before = judged.model_dump(mode="json", exclude=WITHOUT_VALUES)
    store = open_store(runs.store)
    revision = store.stage(
        "home",
        runs.folder / "a" / "candidate",
        run_id="b",
        digest="new",
        training_window=LEARNED,
        metadata={"verdict": before},
    )
    store.promote("home", revision, expected=store.head("home"), why="Better.")
    record = RunRecord(
        name="home",
        run_id="b",
        outcome="promoted",
        sentence="Better.",
        revision=revision,
        ended="2999-01-01T00:00:00Z",
        verdict=judged,
    )
    document = record.model_dump_json(exclude={"verdict": WITHOUT_VALUES}).encode()
    open_objects(runs.store).write("home/runs/b.json", document, expected=None)
    history = runs.read()
    assert summary(history) == [("a", "promoted", 1, "previous"), ("b", "promoted", 2, "live")]
    assert history.entries[1].window == LEARNED
    assert table(history, "ndcg@10")["candidate"].fillna(-1).tolist() == [-1, 0.75]
    _, (_, candidates) = rows(chart(history, "ndcg@10"))
    assert [one["run"] for one in candidates] == ["a"]
    assert history.live is not None
    assert (history.live.proven, history.live.stale) == (None, "")
    assert history.live.as_of == datetime(2020, 4, 1, tzinfo=UTC)
    later = aged(runs, "2020-04-01T03:00:00+00:00", datetime(2020, 4, 15, 12, tzinfo=UTC))
    assert " end 14.5 days ago (2020-04-01), longer than 14 days, the bound for" in later.stale


def aged(runs: Runs, created: str, now: datetime, window=None, **metadata: str) -> LiveAge:
    """The age of the live model, had it come into the store at another time."""
    store = open_store(runs.store)
    pointer, _ = store.read_pointer("home")
    assert pointer is not None
    manifest = store.manifest("home", pointer.live)
    document = manifest.metadata.get("verdict")
    verdict = Verdict.model_validate(document) if document else None
    if verdict and window:
        verdict = verdict.model_copy(update={"window": window})
    changes = {"created": created, "metadata": manifest.metadata | metadata}
    return live_age("home", pointer, manifest.model_copy(update=changes), verdict, now)


RAN = "2020-04-15T02:00:00+00:00"
"""Two hours after the end of the test period."""


def test_the_live_model_is_stale_when_what_its_run_saw_is_older_than_its_proof(runs):
    """It is trained on the days before the test period alone: that makes no new model stale."""
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5)
    live = aged(runs, RAN, datetime(2020, 4, 15, 2, 5, tzinfo=UTC))
    assert (live.revision, live.fixed, live.stale) == (1, False, "")
    assert live.data_end == datetime(2020, 4, 1, tzinfo=UTC)
    assert live.as_of == datetime(2020, 4, 15, tzinfo=UTC)
    assert live.proven == timedelta(days=14)
    when = open_store(runs.store).history("home")[-1].when
    assert live.since == datetime.fromisoformat(when)
    assert aged(runs, RAN, datetime(2020, 4, 29, tzinfo=UTC)).stale == ""
    later = aged(runs, RAN, datetime(2020, 5, 6, tzinfo=UTC))
    assert later.stale == (
        "The data of the run that made the live model, revision 1 of home, end 21 days ago "
        "(2020-04-15), longer than the 14 days on which it was tested; train on newer data with "
        "`setlist run`, or see why the runs since were refused or failed."
    )


def test_a_model_of_a_fixed_moment_is_not_called_stale(runs):
    """As of the sample: the run itself was of data that had ended long ago."""
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5)
    for now in (datetime(2026, 11, 30, tzinfo=UTC), datetime(2036, 11, 30, tzinfo=UTC)):
        live = aged(runs, "2026-11-30T00:00:00+00:00", now)
        assert (live.fixed, live.stale) == (True, "")
        assert live.as_of == datetime(2020, 4, 15, tzinfo=UTC)


def test_a_refresh_makes_no_old_model_new(runs):
    """The item table is of today, and what was judged is as old as before."""
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5)
    today, now = "2020-06-01T00:00:00+00:00", datetime(2020, 6, 2, tzinfo=UTC)
    assert aged(runs, today, now).fixed
    refreshed = aged(runs, today, now, refreshed="2020-05-31T23:00:00+00:00")
    assert not refreshed.fixed
    assert "end 48 days ago (2020-04-15)" in refreshed.stale


def test_a_test_period_without_an_end_ends_with_the_run(runs):
    runs.run("a", "2020-04-15T01:00:00Z", candidate=0.75, most_popular=0.5)
    window = {"cut": "2020-04-01T00:00:00+00:00", "end": "2100-01-01T00:00:00+00:00"}
    live = aged(runs, RAN, datetime(2020, 5, 6, tzinfo=UTC), window)
    assert live.as_of == datetime.fromisoformat(RAN)
    assert not live.fixed


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=5), "0 minutes"),
        (timedelta(seconds=65), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=223, hours=8), "223.3 days"),
    ],
)
def test_a_time_in_words(time, words):
    assert duration_text(time) == words


def test_since_is_the_last_time_that_it_went_live(six):
    live = six.read().live
    assert live is not None
    promotions = open_store(six.store).history("home")
    assert [one.revision for one in promotions] == [1, 2, 1]
    assert live.since == datetime.fromisoformat(promotions[-1].when)


def test_a_live_model_that_does_not_say_where_its_data_end_is_not_passed_over(runs):
    model(runs.folder / "model", "bare")
    store = open_store(runs.store)
    store.stage(
        "home",
        runs.folder / "model",
        run_id="a",
        digest="bare",
        training_window={},
        metadata={},
    )
    store.promote("home", 1, expected=None)
    history = runs.read()
    assert summary(history) == [("a", "staged", 1, "live"), ("a", "promotion", 1, "")]
    assert history.live is not None
    assert history.live.data_end is None
    assert "It is not known where the data of the live model, revision 1 of home, end;" in (
        history.live.stale
    )


MANY = 10_000


@pytest.fixture(params=["folder", "bucket"])
def many_records(request, tmp_path, monkeypatch):
    """The address of a store with as many records; on a bucket a twentieth, which takes long."""
    record = RunRecord.of_failure("home", "0", "lost")

    def text(number: int) -> bytes:
        return record.model_copy(update={"run_id": str(number)}).model_dump_json().encode()

    if request.param == "bucket":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs_bucket"))
        store = f"gs://{BUCKET}/many"
        objects = open_store(store).objects
        for number in range(MANY // 20):
            objects.write(f"home/runs/{number}.json", text(number), expected=None)
        return store, MANY // 20
    folder = tmp_path / "store" / "home" / "runs"
    folder.mkdir(parents=True)
    for number in range(MANY):
        (folder / f"{number}.json").write_bytes(text(number))
        os.utime(folder / f"{number}.json", (1e9 + number, 1e9 + number))
    return str(tmp_path / "store"), MANY


def test_of_many_records_only_a_page_is_read_and_only_once(many_records, monkeypatch):
    store, many = many_records
    kind = type(open_store(store).objects)
    reads, read = [], kind.read
    monkeypatch.setattr(
        kind, "read", lambda self, key, *limit: (reads.append(key), read(self, key, *limit))[1]
    )

    def look(page: int) -> tuple[History, int]:
        reads.clear()
        history = History.read(store, "home", NOW, page, kept)
        return history, sum("/runs/" in key for key in reads)

    kept = Kept()
    first, number = look(0)
    assert (len(first.entries), number) == (PAGE_RECORDS, PAGE_RECORDS)
    assert first.pages == -(-many // PAGE_RECORDS)
    assert look(0)[1] == 0
    second, number = look(1)
    assert number == PAGE_RECORDS
    assert not {entry.run_id for entry in first.entries} & {
        entry.run_id for entry in second.entries
    }
    RunRecord.of_failure("home", "new", "lost").write(store)
    third, number = look(0)
    assert number == 1
    assert "new" in {entry.run_id for entry in third.entries}
    assert len(look(10**6)[0].entries) == (many + 1) % PAGE_RECORDS
    for page in range(min(first.pages, 12)):
        look(page)
        kept = kept.copy()
    assert len(kept.records) <= KEPT_DOCUMENTS


def test_pages_hold_each_entry_once(six, monkeypatch):
    whole = six.read()
    monkeypatch.setattr(record_module, "PAGE_RECORDS", 2)
    pages = [History.read(six.store, "home", NOW, page) for page in (2, 1, 0)]
    assert [page.pages for page in pages] == [3, 3, 3]
    # What the runs did: within a second, a promotion may be taken for one of the page before.
    of_runs = [
        sorted(map(str, (each for each in summary(history) if each[1] != "promotion")))
        for history in (replace(whole, entries=[e for page in pages for e in page.entries]), whole)
    ]
    assert of_runs[0] == of_runs[1]
    assert [page.live for page in pages] == [whole.live] * 3
