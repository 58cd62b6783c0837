"""`setlist models`, over a folder and over the emulator of Google Cloud Storage alike."""

import re

import pytest
from tests.setlist.store.conftest import gcs_uri, uri  # noqa: F401

from setlist.evaluation.verdict import Reason, SeenHead, Verdict
from setlist.models.contract import ModelInfo, folder_digest, write_info
from setlist.report.card import render_card
from setlist.runs.promotion import push
from setlist.store.model_store import open_store


def model(folder, name, end):
    """A folder that is a model to everything that does not ask it."""
    (folder / "saved_model").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_text(name)
    info = ModelInfo(
        name=name,
        kind="test",
        catalogue_size=1,
        history_length=1,
        training_window={"start": "2026-01-01", "end": end},
        code_version="0",
    )
    write_info(folder, info, ["song"])
    return folder


@pytest.fixture
def pushed(uri, tmp_path, monkeypatch):  # noqa: F811
    """Pushes a candidate as the next run would, and says where."""
    monkeypatch.setenv("SETLIST_WHO", "tester@desk")

    def one(run, mode="auto", end="2026-02-01", anchor=None, head="now") -> int:
        candidate = model(tmp_path / run, run, end)
        now = open_store(uri).head("home")
        if head == "now":
            head = SeenHead(**vars(now)) if now else None
        reason = Reason(
            rule="better than [most_popular]",
            outcome="pass",
            value=float(len(run)) / 10,
            needed=0.1,
            sentence=f"it is, says {run}.",
        )
        verdict = Verdict(
            decision="promote",
            mode=mode,
            primary="ndcg@10",
            ships="candidate",
            ships_digest=folder_digest(candidate),
            sentence=f"{run} is better.",
            reasons=[reason],
            anchor=anchor,
            evaluation_digest="0",
            policy_digest="0",
            head=head,
        )
        return push(
            uri,
            "home",
            run,
            candidate,
            tmp_path,
            verdict,
            write_card=lambda number, folder, metadata: render_card(
                name="home",
                revision=number,
                run_id=run,
                model=folder,
                verdict=verdict,
                metadata=metadata,
            ),
        )

    return one


@pytest.fixture
def models(setlist, uri):  # noqa: F811
    """Runs a command of `setlist models` on the store."""
    return lambda *arguments: setlist("models", *arguments, "--store", uri)


def well(done):
    assert done.code == 0, done.err
    return done.out


def fault(done):
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("setlist: ")
    assert done.err.count("\n") == 1, "one sentence"
    return done.err


def rows(out):
    return [line.split() for line in out.splitlines() if line.strip()]


def live(store):
    return open_store(store).head("home").live


def test_list_marks_what_is_live_previous_pinned_or_staged(models, pushed, uri):  # noqa: F811
    assert re.search("there is no (revision under home|store at)", fault(models("list")))
    for run in ("run-1", "run-2", "run-3"):
        pushed(run)
    pushed("run-4", mode="manual")
    well(models("pin", 1, "--why", "the audit's"))
    _, _, *table = rows(well(models("list")))
    assert [row[0] for row in table] == ["1", "2", "3", "4"]
    assert [row[1] for row in table] == ["pinned", "previous", "live", "staged"]
    for row in table:
        assert row[2:3] == ["candidate"]
        assert row[4] == "2026-02-01"
        assert row[5] == open_store(uri).manifest("home", int(row[0])).digest[:12]
        assert row[6] == "0.0"


def test_list_shows_a_damaged_revision_as_such(models, pushed, uri):  # noqa: F811
    pushed("run-1"), pushed("run-2", mode="manual")
    place = open_store(uri).objects
    found = place.read("home/revisions/2/manifest.json")
    place.write("home/revisions/2/manifest.json", found[0][:-9], expected=found[1])
    out = well(models("list"))
    assert "staged DAMAGED" in out
    assert "live" in out
    assert "manifest.json is damaged" in models("verify").out


def test_show_says_where_a_revision_came_from(models, pushed, uri, setlist):  # noqa: F811
    pushed("run-1")
    out = well(models("show", 1))
    manifest = open_store(uri).manifest("home", 1)
    for words in (
        "home, revision 1",
        "run-1",
        manifest.digest,
        "2026-01-01 to 2026-02-01",
        "promote. run-1 is better.",
        "saved_model/saved_model.pb",
        manifest.files["model.json"].sha256,
    ):
        assert words in out
    assert "home has no revision 7" in fault(models("show", 7))
    for never in (0, -1):
        said = fault(setlist("models", "show", "--store", uri, "--", never))
        assert f"home never had a revision {never}: numbers begin at 1" in said


def state_of(out):
    [line] = [line for line in out.splitlines() if line.split()[:1] == ["state"]]
    return " ".join(line.split()[1:])


def test_show_says_whether_a_revision_is_live(models, pushed, uri):  # noqa: F811
    pushed("run-1", mode="manual")
    assert "nothing is live under home" in fault(models("show"))
    assert state_of(well(models("show", 1))) == "staged, not live"
    pushed("run-2"), pushed("run-3")
    when = {entry.revision: entry.when for entry in open_store(uri).history("home")}
    assert state_of(well(models("show", 1))) == "staged, not live"
    assert state_of(well(models("show", 2))) == f"was live until {when[3]}"
    assert well(models("show")) == well(models("show", 3))
    assert state_of(well(models("show", 3))) == "live"
    well(models("rollback"))
    rolled = open_store(uri).history("home")[-1].when
    assert state_of(well(models("show", 2))) == "live"
    assert state_of(well(models("show", 3))) == f"was live until {rolled}"


def test_show_does_not_guess_beyond_the_history(models, pushed, monkeypatch):
    monkeypatch.setattr("setlist.store.model_store.PROMOTIONS_KEPT", 2)
    for run in ("run-1", "run-2", "run-3", "run-4"):
        pushed(run)
    assert re.match(r"not live, and was not since 2\d{3}-", state_of(well(models("show", 1))))
    assert state_of(well(models("show", 4))) == "live"


def test_show_does_not_say_of_a_staged_revision_that_it_goes_live(models, uri, tmp_path):  # noqa: F811
    folder = model(tmp_path / "model", "candidate", "2026-02-01")
    verdict = {"decision": "reject", "sentence": "It is worse.", "live_sentence": "ials goes live."}
    settings = {"layers": [64, 32], "optimizer": {"name": "adam", "rate": 0.1}, "warm": False}
    open_store(uri).stage(
        "home", folder, run_id="run-1", digest=folder_digest(folder), training_window={},
        metadata={"verdict": verdict, "settings": settings},
    )  # fmt: skip
    shown = " ".join(well(models("show", 1)).split())
    assert "It is worse. When it was judged: ials goes live." in shown
    words = "layers=[64, 32], optimizer.name=adam, optimizer.rate=0.1, warm=false"
    assert f"settings {words}" in shown


def test_verify_names_the_fault_and_ends_with_1(models, pushed, uri):  # noqa: F811
    pushed("run-1"), pushed("run-2")
    assert well(models("verify")) == "revision 1 of home is whole\nrevision 2 of home is whole\n"
    place = open_store(uri).objects
    place.remove("home/revisions/1/catalogue.txt")
    place.write("home/revisions/1/more", b"x", expected=None)
    done = models("verify")
    assert done.code == 1
    assert "home/revisions/1/catalogue.txt is missing" in done.out
    assert "home/revisions/1/more is not in the manifest" in done.out
    assert done.out.endswith("revision 2 of home is whole\n")
    assert well(models("verify", 2)) == "revision 2 of home is whole\n"
    assert models("verify", 1).code == 1
    assert "there is no revision under evening" in models("verify", "--name", "evening").err


def test_diff_shows_what_differs_and_nothing_else(models, pushed):
    pushed("run-1"), pushed("another", end="2026-03-01")
    out = well(models("diff", 1, 2))
    for words in (
        "revision 1",
        "revision 2",
        "data end",
        "2026-03-01",
        "model name",
        "rule better than [most_popular]",
        "pass: 0.7000",
        "file saved_model/saved_model.pb",
    ):
        assert words in out
    for same in ("data start", "catalogue.txt", "label"):
        assert same not in out
    assert "run-1" not in well(models("diff", 1, 1))


def test_promote_makes_a_staged_revision_live(models, pushed, uri):  # noqa: F811
    for run in ("run-1", "run-2"):
        pushed(run, mode="manual", head=None)
    assert well(models("promote", 2)) == "revision 2 of home is live\n"
    assert live(uri) == 2
    assert well(models("promote", 2)) == "revision 2 of home is live\n"
    assert "HEAD of home moved from no revision to 2" in fault(models("promote", 1))
    assert live(uri) == 2


def test_promote_refuses_what_has_no_verdict_or_is_not_whole(models, pushed, uri, tmp_path):  # noqa: F811
    pushed("run-1", mode="manual")
    folder = model(tmp_path / "by hand", "by hand", "2026-02-01")
    some = {"run_id": "by hand", "training_window": {}, "metadata": {}}
    open_store(uri).stage("home", folder, digest=folder_digest(folder), **some)
    assert "revision 2 of home has no verdict that ships it" in fault(models("promote", 2))
    assert "home has no revision 3" in fault(models("promote", 3))
    open_store(uri).objects.remove("home/revisions/1/catalogue.txt")
    assert "1/catalogue.txt is missing" in fault(models("promote", 1))
    assert open_store(uri).head("home") is None


def test_older_data_go_live_only_where_that_is_asked_for(models, pushed, uri):  # noqa: F811
    pushed("run-1"), pushed("run-2", mode="manual", end="2026-01-15")
    assert "ask for it with --older or roll back" in fault(models("promote", 2))
    assert live(uri) == 1
    well(models("promote", 2, "--older"))
    assert live(uri) == 2


def test_rollback_goes_back_and_history_says_why(models, pushed, uri):  # noqa: F811
    assert "nothing was live under home before" in fault(models("rollback"))
    pushed("run-1")
    assert "nothing was live under home before revision 1" in fault(models("rollback"))
    pushed("run-2", end="2026-03-01"), pushed("run-3", end="2026-04-01")
    out = well(models("rollback", "--why", "odd lists in Brazil"))
    assert out == "revision 2 of home is live again, 3 is not\n"
    assert well(models("rollback", "--to", 1)).startswith("revision 1 of home is live again")
    assert "revision 1 of home is live already" in fault(models("rollback", "--to", 1))
    assert live(uri) == 1
    out = well(models("history"))
    assert out.count("promote") == 3
    assert out.count("rollback") == 2
    for words in ("odd lists in Brazil", "tester@desk", "run-2", "run-3 is better."):
        assert words in out


def test_rollback_refuses_what_was_never_live_and_passed_no_gate(models, pushed, uri, tmp_path):  # noqa: F811
    pushed("run-1")
    folder = model(tmp_path / "by hand", "by hand", "2026-02-01")
    some = {"run_id": "by hand", "training_window": {}, "metadata": {}}
    open_store(uri).stage("home", folder, digest=folder_digest(folder), **some)
    assert "revision 2 of home has no verdict" in fault(models("rollback", "--to", 2))
    assert live(uri) == 1


def test_a_head_that_was_edited_is_refused_and_pointed_anew(models, pushed, uri):  # noqa: F811
    pushed("run-1"), pushed("run-2")
    place = open_store(uri).objects
    found = place.read("home/HEAD")
    place.write("home/HEAD", found[0].replace(b'"live": 2', b'"live": 1'), expected=found[1])
    for command in (("list",), ("promote", 1), ("rollback",), ("history",)):
        said = fault(models(*command))
        assert "home/HEAD is damaged (its checksum does not fit its content)" in said
        assert "setlist models promote REVISION --force-head" in said
    well(models("promote", 2, "--force-head", "--why", "HEAD was edited"))
    assert live(uri) == 2
    assert "HEAD was edited" in well(models("history"))
    assert "HEAD of home is not damaged" in fault(models("promote", 1, "--force-head"))
    well(models("promote", 2, "--force-head", "--why", "HEAD is from a backup"))
    assert "HEAD is from a backup" in well(models("history"))


def test_prune_keeps_what_the_gate_and_people_need(models, pushed, uri):  # noqa: F811
    for run in ("run-1", "run-2", "run-3", "run-4"):
        pushed(run)
    pushed("run-5", anchor=1)  # the last one that was proven better is the first
    pushed("run-6", anchor=1)
    well(models("pin", 3))
    out = well(models("prune", "--keep", 1, "--dry-run"))
    assert "revisions that would be removed: 2, 4\n" in out
    assert open_store(uri).revisions("home") == [1, 2, 3, 4, 5, 6]
    out = well(models("prune", "--keep", 1))
    assert out == "revisions removed: 2, 4\nhalf-written removed: none\nrevisions kept: 4\n"
    assert open_store(uri).revisions("home") == [1, 3, 5, 6]
    well(models("unpin", 3))
    assert "revisions removed: 3\n" in well(models("prune", "--keep", 0))
    assert "revision 3 of home was pruned" in fault(models("rollback", "--to", 3))
    assert well(models("verify")).count("is whole") == 3


def test_card_prints_the_card(models, pushed, uri, tmp_path):  # noqa: F811
    pushed("run-1")
    out = well(models("card", 1))
    assert out.startswith("# home, revision 1\n\nCandidate: promote. run-1 is better.\n")
    assert out == open_store(uri).card("home", 1)
    assert "| trained by run | run-1 |" in out
    assert r"**better than \[most_popular\]**: it is, says run-1." in out
    folder = model(tmp_path / "by hand", "by hand", "2026-02-01")
    some = {"run_id": "by hand", "training_window": {}, "metadata": {}}
    open_store(uri).stage("home", folder, digest=folder_digest(folder), **some)
    assert "was staged without card" in fault(models("card", 2))


COMMANDS = "list show verify diff promote rollback history pin unpin prune card refresh-items"


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_command_explains_itself(setlist, command):
    assert well(setlist("models", command, "--help")).count("\n") > 8
