"""Planning, fetching rivals and pushing, on a real store and with model folders on disk."""

import json
from pathlib import Path

import pandas as pd
import pytest
from tests.setlist.runs.unasked import unasked

from setlist.data.curation import DataSettings, WindowSettings
from setlist.data.schema import Window
from setlist.data.source import TableSource
from setlist.errors import SetlistError
from setlist.evaluation.policy import Policy
from setlist.evaluation.verdict import SeenHead, Verdict
from setlist.models.contract import folder_digest
from setlist.runs.plan import DATA_FINGERPRINT, news, plan
from setlist.runs.promotion import (
    live_folder,
    promote_staged,
    prune_models,
    push,
    resolve_live,
    rollback,
)
from setlist.runs.refit_record import RefitRecord
from setlist.store.model_store import open_store

WINDOW = {"start": "2026-01-01T00:00:00+00:00", "end": "2026-04-01T00:00:00+00:00"}


def model(folder: Path, name: str) -> Path:
    return unasked(folder, name, WINDOW)


@pytest.fixture
def candidate(tmp_path):
    return model(tmp_path / "candidate", "two_tower")


@pytest.fixture
def heuristics(tmp_path):
    model(tmp_path / "heuristics" / "most_popular", "most_popular")
    return tmp_path / "heuristics"


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "store")


def verdict(
    folder: Path | None,
    label="candidate",
    head=None,
    decision="promote",
    mode="auto",
    anchor=None,
) -> Verdict:
    return Verdict(
        decision=decision,
        mode=mode,
        anchor=anchor,
        primary="ndcg@10",
        ships=label if folder else "",
        ships_digest=folder_digest(folder) if folder else "",
        sentence="",
        reasons=[],
        evaluation_digest="0" * 64,
        policy_digest="0" * 64,
        head=head,
    )


def seen(store: str) -> SeenHead:
    return SeenHead(**vars(open_store(store).head("home")))


def test_push_makes_the_candidate_live_and_keeps_the_verdict(store, candidate, heuristics):
    judged = verdict(candidate)
    assert push(store, "home", "run-1", candidate, heuristics, judged) == 1
    models = open_store(store)
    assert models.head("home").live == 1
    manifest = models.manifest("home", 1)
    assert manifest.digest == folder_digest(candidate)
    assert manifest.training_window == WINDOW
    assert manifest.metadata["label"] == "candidate"
    assert Verdict.model_validate(manifest.metadata["verdict"]) == judged


def test_push_is_idempotent_on_the_run(store, candidate, heuristics):
    judged = verdict(candidate)
    for _ in range(3):
        assert push(store, "home", "run-1", candidate, heuristics, judged) == 1
    assert open_store(store).revisions("home") == [1]


def test_push_ships_the_heuristic_that_the_verdict_names(store, candidate, heuristics):
    judged = verdict(heuristics / "most_popular", "most_popular")
    push(store, "home", "run-1", candidate, heuristics, judged)
    assert open_store(store).manifest("home", 1).digest == folder_digest(
        heuristics / "most_popular"
    )


@pytest.mark.parametrize("decision", ["reject", "undecided"])
def test_a_refusal_is_never_pushed(store, candidate, heuristics, decision):
    judged = verdict(candidate, decision=decision)
    with pytest.raises(SetlistError, match=f"the verdict is {decision}"):
        push(store, "home", "run-1", candidate, heuristics, judged)
    assert open_store(store).head("home") is None


def test_a_model_that_was_not_judged_is_never_pushed(store, candidate, heuristics):
    judged = verdict(candidate)
    (candidate / "catalogue.txt").write_text("another song\n")
    with pytest.raises(SetlistError, match="is not the model that was judged"):
        push(store, "home", "run-1", candidate, heuristics, judged)
    with pytest.raises(SetlistError, match="which this run did not make"):
        push(store, "home", "run-1", candidate, heuristics, verdict(candidate, "stranger"))
    assert open_store(store).revisions("home") == []


def test_of_two_runs_planned_on_the_same_head_one_wins(store, candidate, heuristics, tmp_path):
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    head = seen(store)
    other = model(tmp_path / "other", "other")
    push(store, "home", "run-2", other, heuristics, verdict(other, head=head))
    late = model(tmp_path / "late", "late")
    with pytest.raises(SetlistError, match="moved from revision 1 to 2 since this run was planned"):
        push(store, "home", "run-3", late, heuristics, verdict(late, head=head))
    assert open_store(store).head("home").live == 2


# Mode manual: a person makes it live.


def test_in_mode_manual_a_push_stages_and_does_not_promote(store, candidate, heuristics):
    judged = verdict(candidate, mode="manual")
    for _ in range(2):
        assert push(store, "home", "run-1", candidate, heuristics, judged) == 1
    models = open_store(store)
    assert models.head("home") is None
    assert models.revisions("home") == [1]
    assert models.manifest("home", 1).metadata["verdict"]["mode"] == "manual"


def test_a_staged_revision_is_made_live_by_hand(store, candidate, heuristics):
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate, mode="manual"))
    promote_staged(store, "home", 1)
    assert open_store(store).head("home").live == 1
    promote_staged(store, "home", 1)
    assert open_store(store).promoted_revisions("home") == [1]


def test_a_staged_revision_replaces_the_model_that_it_was_judged_beside(
    store, candidate, heuristics, tmp_path
):
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    other = model(tmp_path / "other", "other")
    staged = verdict(other, head=seen(store), mode="manual")
    assert push(store, "home", "run-2", other, heuristics, staged) == 2
    assert open_store(store).head("home").live == 1
    promote_staged(store, "home", 2)
    head = open_store(store).head("home")
    assert (head.live, head.previous) == (2, 1)


def test_of_two_staged_revisions_only_one_goes_live(store, candidate, heuristics, tmp_path):
    """The second was never compared with the first."""
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    head = seen(store)
    for place in (2, 3):
        other = model(tmp_path / str(place), f"model {place}")
        staged = verdict(other, head=head, mode="manual")
        assert push(store, "home", f"run-{place}", other, heuristics, staged) == place
    promote_staged(store, "home", 3)
    with pytest.raises(SetlistError, match="HEAD of home moved from revision 1 to 3"):
        promote_staged(store, "home", 2)
    assert open_store(store).head("home").live == 3


@pytest.mark.parametrize(
    "metadata", [{}, {"verdict": verdict(None, decision="reject").model_dump(mode="json")}]
)
def test_a_revision_without_a_verdict_that_ships_it_is_not_made_live(store, candidate, metadata):
    open_store(store).stage(
        "home",
        candidate,
        run_id="by hand",
        digest=folder_digest(candidate),
        training_window=WINDOW,
        metadata=metadata,
    )
    with pytest.raises(SetlistError, match="revision 1 of home has no verdict that ships it"):
        promote_staged(store, "home", 1)
    assert open_store(store).head("home") is None


def test_a_revision_that_is_not_there_is_not_made_live(store):
    with pytest.raises(SetlistError, match="home has no revision 7"):
        promote_staged(store, "home", 7)


def test_a_store_that_cannot_be_written_is_named(candidate, heuristics, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetlistError, match=r"store .*file"):
        push(str(tmp_path / "file"), "home", "r", candidate, heuristics, verdict(candidate))


def test_rivals_are_fetched_by_name_and_listed(store, candidate, heuristics, tmp_path):
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    other = model(tmp_path / "other", "other")
    push(store, "home", "run-2", other, heuristics, verdict(other, head=seen(store)))
    assert resolve_live(store, "home", [2, 1], tmp_path / "live") == ["live-2", "anchor-1"]
    assert folder_digest(tmp_path / "live" / "live-2") == folder_digest(other)
    assert folder_digest(tmp_path / "live" / "anchor-1") == folder_digest(candidate)


def test_nothing_live_is_a_statement(store, tmp_path):
    assert resolve_live(store, "home", [], tmp_path / "live") == []
    assert json.loads((tmp_path / "live" / "rivals.json").read_text()) == []


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,timestamp\nann,song,2026-04-01\n")
    return DataSettings(events=TableSource(path=str(path)))


def test_the_plan_settles_window_data_and_rivals(store, candidate, heuristics, data):
    settings = WindowSettings(train_days=30, test_days=10)
    empty = plan("home", store, "2026-05-01", data, settings, Policy())
    assert Window.from_json(empty.window).cutoff == pd.Timestamp("2026-04-21", tz="UTC")
    assert (empty.head, empty.rivals) == ({}, [])
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    later = plan("home", store, "2026-05-01", data, settings, Policy())
    assert later.rivals == [1]
    assert SeenHead.model_validate(later.head) == seen(store)
    assert later.data_fingerprint == empty.data_fingerprint


@pytest.fixture
def second(store, candidate, heuristics, tmp_path):
    """Makes a second revision live whose verdict names an anchor."""

    def pushed(anchor: int | None) -> None:
        push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
        other = model(tmp_path / "other", "other")
        judged = verdict(other, head=seen(store), anchor=anchor)
        push(store, "home", "run-2", other, heuristics, judged)

    return pushed


AFTER = "2026-05-01"
TEN_DAYS = WindowSettings(train_days=30, test_days=10)


def test_the_anchor_is_the_one_that_the_live_models_verdict_names(store, second, data):
    second(1)
    found = plan("home", store, AFTER, data, TEN_DAYS, Policy())
    assert found.rivals == [2, 1]
    head = SeenHead.model_validate(found.head)
    assert (head.live, head.previous, head.anchor) == (2, 1, 1)
    assert head.version == seen(store).version


def test_a_live_model_that_was_proven_better_is_its_own_anchor(store, second, data):
    second(None)
    found = plan("home", store, AFTER, data, TEN_DAYS, Policy())
    assert found.rivals == [2]
    assert "anchor" not in found.head


def test_a_policy_without_an_anchor_fetches_none(store, second, data):
    second(1)
    found = plan("home", store, AFTER, data, TEN_DAYS, Policy(anchor=False, operations=("While",)))
    assert found.rivals == [2]
    assert found.operations == ["While"]
    assert SeenHead.model_validate(found.head).anchor is None


def test_a_live_model_without_a_verdict_has_no_anchor(store, candidate, data):
    models = open_store(store)
    models.stage(
        "home",
        candidate,
        run_id="by hand",
        digest=folder_digest(candidate),
        training_window=WINDOW,
        metadata={},
    )
    models.promote("home", 1, expected=None)
    assert plan("home", store, AFTER, data, TEN_DAYS, Policy()).rivals == [1]


def test_what_the_plan_hands_on_is_plain(store, second, data):
    """Kubeflow passes it from step to step as JSON, and knows no null inside of it."""
    second(1)
    found = plan("home", store, AFTER, data, TEN_DAYS, Policy())
    assert json.loads(json.dumps(found._asdict())) == found._asdict()
    assert None not in found.head.values()


def test_an_anchor_that_knows_the_test_period_is_no_contender_either(
    store, candidate, heuristics, data, tmp_path
):
    """The live model was trained until earlier than its anchor."""
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    other = model(tmp_path / "other", "other")
    path = other / "model.json"
    path.write_text(path.read_text().replace("2026-04-01", "2026-02-01"))
    judged = verdict(other, head=seen(store), anchor=1, mode="manual")
    push(store, "home", "run-2", other, heuristics, judged)
    promote_staged(store, "home", 2, allow_older=True)
    with pytest.raises(SetlistError, match="revision 1 of home was trained on data until 2026-04"):
        plan("home", store, "2026-04-10", data, TEN_DAYS, Policy())
    assert plan("home", store, "2026-04-10", data, TEN_DAYS, Policy(anchor=False)).rivals == [2]


def test_the_plan_follows_the_input(store, data):
    settings = WindowSettings()
    before = plan("home", store, "2026-05-01", data, settings, Policy()).data_fingerprint
    with Path(data.events.path).open("a") as file:
        file.write("bob,song,2026-04-02\n")
    assert plan("home", store, "2026-05-01", data, settings, Policy()).data_fingerprint != before


def test_now_is_now(store, data):
    before = pd.Timestamp.now("UTC").floor("s")
    window = Window.from_json(plan("home", store, "", data, WindowSettings(), Policy()).window)
    assert before <= window.end <= pd.Timestamp.now("UTC")


def test_a_live_model_that_knows_the_test_period_is_no_contender(
    store, candidate, heuristics, data
):
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    with pytest.raises(SetlistError, match="revision 1 of home was trained on data until 2026-04"):
        plan("home", store, "2026-04-10", data, WindowSettings(), Policy())


# A refit: the same winner, trained on all days.


@pytest.fixture
def refitted(tmp_path, candidate):
    """What `refit` leaves for the candidate."""
    folder = model(tmp_path / "refitted" / "model", "two_tower again")
    RefitRecord(
        refit_of=folder_digest(candidate), digest=folder_digest(folder), overlap=0.75
    ).write(folder.parent)
    return folder.parent


def test_a_refitted_model_ships_and_says_what_it_is_a_refit_of(
    store, candidate, heuristics, refitted, tmp_path
):
    judged = verdict(candidate)
    for _ in range(2):
        assert push(store, "home", "run-1", candidate, heuristics, judged, refitted) == 1
    manifest = open_store(store).manifest("home", 1)
    assert manifest.digest == folder_digest(refitted / "model") != folder_digest(candidate)
    assert manifest.metadata["refit_of"] == folder_digest(candidate) == judged.ships_digest
    assert manifest.metadata["refit_overlap"] == 0.75
    fetched = open_store(store).fetch("home", 1, tmp_path / "fetched")
    assert folder_digest(fetched) == folder_digest(refitted / "model")


def test_a_heuristic_ships_as_evaluated(store, candidate, heuristics, tmp_path):
    RefitRecord().write(tmp_path / "refitted")
    judged = verdict(heuristics / "most_popular", "most_popular")
    push(store, "home", "run-1", candidate, heuristics, judged, tmp_path / "refitted")
    manifest = open_store(store).manifest("home", 1)
    assert manifest.digest == folder_digest(heuristics / "most_popular")
    assert "refit_of" not in manifest.metadata


def test_what_is_no_refit_of_what_was_judged_is_never_pushed(
    store, candidate, heuristics, refitted, tmp_path
):
    def refused(pattern: str) -> None:
        with pytest.raises(SetlistError, match=pattern):
            push(store, "home", "run-1", candidate, heuristics, verdict(candidate), refitted)
        assert open_store(store).revisions("home") == []

    record = RefitRecord.read(refitted)
    record.model_copy(update={"refit_of": "0" * 64}).write(refitted)
    refused("is no refit of the model that was judged")
    record.write(refitted)
    (refitted / "model" / "catalogue.txt").write_text("another song\n")
    refused("is not the model that was compared with the evaluated one")
    (refitted / "refit.json").write_text("{}x")
    refused("refit.json: Invalid JSON")
    (refitted / "refit.json").unlink()
    refused("refit.json is missing")
    record.write(refitted)
    (candidate / "catalogue.txt").write_text("another song\n")
    judged = verdict(candidate).model_copy(update={"ships_digest": record.refit_of})
    with pytest.raises(SetlistError, match="is not the model that was judged"):
        push(store, "home", "run-1", candidate, heuristics, judged, refitted)


# Back, and for good.


def test_rollback_is_to_what_was_live_before(store, candidate, heuristics, tmp_path):
    with pytest.raises(SetlistError, match="nothing was live under home before; choose one"):
        rollback(store, "home")
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    other = model(tmp_path / "other", "other")
    push(store, "home", "run-2", other, heuristics, verdict(other, head=seen(store)))
    assert rollback(store, "home", why="odd lists") == (2, 1)
    assert open_store(store).head("home").live == 1
    last = open_store(store).history("home")[-1]
    assert (last.action, last.why, last.revision) == ("rollback", "odd lists", 1)


def test_what_cannot_be_fetched_is_not_rolled_back_to(store, candidate, heuristics, tmp_path):
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    other = model(tmp_path / "other", "other")
    push(store, "home", "run-2", other, heuristics, verdict(other, head=seen(store)))
    (Path(store) / "home" / "revisions" / "1" / "catalogue.txt").write_text("another\n")
    with pytest.raises(SetlistError, match=r"home/revisions/1/catalogue.txt is damaged"):
        rollback(store, "home")
    assert open_store(store).head("home").live == 2


def test_a_push_says_who_why_and_from_which_run(store, candidate, heuristics, monkeypatch):
    monkeypatch.setenv("SETLIST_WHO", "pod-7")
    judged = verdict(candidate).model_copy(update={"sentence": "It is better."})
    push(store, "home", "run-1", candidate, heuristics, judged)
    (one,) = open_store(store).history("home")
    assert (one.who, one.why, one.run_id, one.action) == (
        "pod-7",
        "It is better.",
        "run-1",
        "promote",
    )


def test_of_two_runs_the_one_with_older_data_does_not_replace_the_other(
    store, candidate, heuristics, tmp_path
):
    """Both are kept, whichever comes first."""
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    older = model(tmp_path / "older", "older")
    path = older / "model.json"
    path.write_text(path.read_text().replace("2026-04-01", "2026-03-01"))
    with pytest.raises(SetlistError, match="was trained on data until 2026-03-01"):
        push(store, "home", "run-2", older, heuristics, verdict(older, head=seen(store)))
    models = open_store(store)
    assert (models.head("home").live, models.revisions("home")) == (1, [1, 2])


def test_prune_keeps_the_anchor(store, second, candidate, heuristics, tmp_path):
    second(1)
    for place in (3, 4):
        other = model(tmp_path / str(place), f"model {place}")
        judged = verdict(other, head=seen(store), anchor=1)
        push(store, "home", f"run-{place}", other, heuristics, judged)
    assert prune_models(store, "home", 1).revisions == [2]
    assert open_store(store).revisions("home") == [1, 3, 4]


# A warm start.


def test_the_live_folder_is_that_of_the_live_revision_not_of_the_anchor(tmp_path, capsys):
    (tmp_path / "rivals.json").write_text('["live-3", "anchor-2"]')
    assert live_folder(tmp_path) == tmp_path / "live-3"
    (tmp_path / "rivals.json").write_text("[]")
    assert live_folder(tmp_path) is None
    assert capsys.readouterr().out == "cold start: nothing is live\n"
    (tmp_path / "rivals.json").unlink()
    with pytest.raises(SetlistError, match=r"rivals.json is missing"):
        live_folder(tmp_path)


def test_there_is_news_unless_the_live_model_was_made_from_the_same_data(
    store, candidate, heuristics
):
    assert news(store, "home", "data-1", only_new_data=True), "nothing is live"
    made = {DATA_FINGERPRINT: "data-1"}
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate), metadata=made)
    assert not news(store, "home", "data-1", only_new_data=True)
    assert news(store, "home", "data-1", only_new_data=False), "nobody asked for new data"
    assert news(store, "home", "data-2", only_new_data=True)
    assert news(store, "other", "data-1", only_new_data=True), "another model"


def test_a_live_model_that_does_not_say_what_it_was_made_from_is_no_reason_to_stop(
    store, candidate, heuristics
):
    push(store, "home", "run-1", candidate, heuristics, verdict(candidate))
    assert news(store, "home", "data-1", only_new_data=True)
