"""The record of a run in a real store, and announcements to real servers on this machine."""

import json
import socket
import threading
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.hostile_text import HOSTILE, check_plain
from tests.http_stub import Handler, served
from tests.waiting import PATIENCE, until

from setlist.data.verdict import DataReason, DataVerdict
from setlist.errors import SetlistError
from setlist.evaluation.verdict import Reason, Verdict
from setlist.runs import announcement
from setlist.runs.announcement import announce, announce_failure, notify
from setlist.runs.record import RunRecord
from setlist.runs.step_failure import StepFailure, read_failures
from setlist.store.objects import open_objects


@contextmanager
def recipient(*statuses, **headers):
    """A server that remembers what it was sent, and answers with these statuses, then with 200."""
    heard, left = [], list(statuses)

    class Answers(Handler):
        def handle_one(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append((self.command, self.path, body))
            self.respond(left.pop(0) if left else 200, **headers)

        do_POST = do_PUT = handle_one  # noqa: N815

    with served(Answers) as url:
        yield url, heard


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "store")


@pytest.fixture(autouse=True)
def silence(monkeypatch):
    """No address of whoever runs the tests, and no time-out on a machine that is busy."""
    for name in (
        announcement.WEBHOOK_VARIABLE,
        announcement.PUSH_GATEWAY_VARIABLE,
        announcement.PAGE_VARIABLE,
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(announcement, "ATTEMPT_TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(announcement, "TOTAL_TIMEOUT_SECONDS", PATIENCE)


@pytest.fixture
def verdict(tmp_path):
    path = tmp_path / "verdict"
    said = Verdict(
        decision="promote",
        mode="auto",
        primary="ndcg@10",
        ships="candidate",
        sentence="The candidate is better.",
        reasons=[],
        evaluation_digest="0" * 64,
        policy_digest="0" * 64,
        head=None,
    )
    said.write(path)
    return path


@pytest.fixture
def pushed(tmp_path):
    path = tmp_path / "pushed"
    path.write_text(json.dumps({"store": "s", "name": "home", "revision": 7}))
    return path


def test_each_way_to_the_end_has_its_outcome(store, verdict, pushed):
    assert announce(store, "home", "a", verdict, pushed).outcome == "promoted"
    assert announce(store, "home", "b", verdict, None).outcome == "refused"
    assert announce(store, "home", "c", None, None).outcome == "nothing_new"
    said = Verdict.read(verdict)
    said.model_copy(update={"mode": "manual"}).write(verdict)
    assert announce(store, "home", "d", verdict, pushed).outcome == "staged"
    found = RunRecord.read(store, "home", "a")
    assert (found.revision, found.verdict, found.sentence) == (7, said, said.sentence)
    assert RunRecord.read(store, "home", "b").revision is None


def test_warnings_about_the_data_are_announced_and_recorded(store, verdict, tmp_path, capsys):
    warned = DataVerdict.of(
        [
            DataReason(
                rule="a", outcome="warn", value=1, bound=0, sentence="3 days", remedy="load"
            ),
            DataReason(rule="b", outcome="pass", value=0, bound=0, sentence="all well"),
        ]
    )
    warned.write(tmp_path / "data")
    record = announce(store, "home", "a", verdict, None, tmp_path / "data")
    assert record.line.endswith("The candidate is better. The data: 3 days.")
    assert record.line in capsys.readouterr().out
    assert RunRecord.read(store, "home", "a").data_verdict == warned


def test_a_failure_is_what_left_no_record(store, verdict, capsys):
    announce(store, "home", "a", verdict, None)
    assert announce_failure(store, "home", "a", "") is None
    assert RunRecord.read(store, "home", "a").outcome == "refused"
    assert announce_failure(store, "home", "b", "step curate failed").outcome == "failed"
    assert RunRecord.read(store, "home", "b").sentence == "step curate failed"
    assert announce_failure(store, "home", "c", "").sentence == "A step failed; its log says why."
    assert "home: failed. step curate failed" in capsys.readouterr().out


def failed(store, reason="no rows", run_id="a", task="train", **values):
    usual = {"title": "Train wide", "attempt": 1, "ended": "2026-05-01T05:01:00Z"}
    failure = StepFailure(task=task, reason=reason, **(usual | values))
    return failure.write(store, "home", run_id)


def failures(store, run_id="a"):
    return read_failures(open_objects(store), "home", run_id)


def test_a_failed_run_tells_what_its_steps_have_written(store):
    written = failed(store), failed(store, "no memory")
    assert [each.attempt for each in written] == [1, 2]
    failed(store, "of another run", "b")
    told = announce_failure(store, "home", "a", "")
    assert told.sentence == "Train wide, attempt 2: no memory"
    assert RunRecord.read(store, "home", "a").failures == written
    assert failures(store) == [], "the record has them"
    assert len(failures(store, "b")) == 1


def test_a_run_that_succeeded_tells_which_steps_were_repeated(store, verdict):
    written = failed(store)
    announce(store, "home", "a", verdict, None)
    assert RunRecord.read(store, "home", "a").failures == (written,)
    assert failures(store) == []


def test_a_run_with_another_store_than_was_compiled_finds_its_failures(
    store, tmp_path, monkeypatch
):
    compiled = str(tmp_path / "compiled")
    written = failed(compiled)
    monkeypatch.setenv("SETLIST_RUN_STORE", compiled)
    assert announce_failure(store, "home", "a", "").failures == (written,)
    assert failures(compiled) == []


def test_a_run_without_failures_has_a_record_as_before(store, verdict):
    announce(store, "home", "a", verdict, None)
    stored = json.loads(open_objects(store).read("home/runs/a.json")[0])
    assert not stored.keys() & {"failures", "link", "made_up"}


def test_an_announcement_links_to_the_page_of_the_run(store, verdict, monkeypatch):
    monkeypatch.setenv(announcement.PAGE_VARIABLE, "https://kubeflow.example/pipeline/")
    link = "https://kubeflow.example/pipeline/#/runs/details/a"
    with recipient() as (url, heard):
        monkeypatch.setenv(announcement.WEBHOOK_VARIABLE, url)
        announce_failure(store, "home", "a", "no rows")
    assert json.loads(heard[0][2])["text"] == f"home: failed. no rows (run a) {link}"
    assert RunRecord.read(store, "home", "a").link == link


def test_the_pods_are_asked_only_in_a_pod_and_only_after_a_failure(store, verdict, monkeypatch):
    asked = []
    monkeypatch.setattr(announcement, "read_run_pods", lambda *place: asked.append(place))
    announce_failure(store, "home", "a", "")
    assert asked == []
    monkeypatch.setenv(announcement.NAMESPACE_VARIABLE, "team")
    announce(store, "home", "b", verdict, None)
    assert announce_failure(store, "home", "b", "") is None
    assert asked == []
    announce_failure(store, "home", "c", "")
    assert asked == [("c", "team")]


def test_a_failure_is_told_even_if_the_store_is_gone(tmp_path, capsys):
    (tmp_path / "file").touch()
    told = announce_failure(str(tmp_path / "file" / "store"), "home", "a", "the store is gone")
    assert told.outcome == "failed"
    assert "not recorded: " in capsys.readouterr().out


def test_a_run_whose_end_cannot_be_recorded_has_not_ended_well(tmp_path, verdict):
    (tmp_path / "file").touch()
    with pytest.raises(SetlistError):
        announce(str(tmp_path / "file" / "store"), "home", "a", verdict, None)


def test_something_else_under_the_records_key_is_named(store):
    open_objects(store).write("home/runs/a.json", b"{}", expected=None)
    with pytest.raises(SetlistError, match=r"home/runs/a.json is no record of a run"):
        RunRecord.read(store, "home", "a")
    with pytest.raises(SetlistError, match=r"home/runs/a.json is no record of a run"):
        RunRecord.all(store, "home")


def test_the_records_of_a_name_are_all_there_oldest_end_first(store, verdict):
    assert RunRecord.all(store, "home") == []
    for run_id, day in (("a", 3), ("b", 1), ("c", 2), ("d", 1)):
        ended = f"2026-05-0{day}T00:00:00Z"
        said = RunRecord.of_run("home", run_id, verdict, None)
        said.model_copy(update={"ended": ended}).write(store)
    RunRecord.of_failure("home/summer", "e", "").write(store)
    RunRecord.of_failure("work", "f", "").write(store)
    found = RunRecord.all(store, "home")
    assert [one.run_id for one in found] == ["b", "d", "c", "a"]
    assert found[-1] == RunRecord.read(store, "home", "a")
    assert [one.run_id for one in RunRecord.all(store, "home/summer")] == ["e"]
    with pytest.raises(SetlistError, match="is no model name"):
        RunRecord.all(store, "home/runs")


def record(outcome="promoted", revision=7, sentence="Better."):
    return RunRecord(
        name="home/new releases",
        run_id="run-1",
        outcome=outcome,
        sentence=sentence,
        revision=revision,
        ended="2026-05-01T00:00:00Z",
    )


@pytest.mark.parametrize(
    ("decision", "ships", "mode", "said"),
    [
        ("promote", "candidate", "auto", "candidate: promote, live: candidate as revision 7."),
        ("promote", "candidate", "manual", "candidate: promote, live: candidate, staged as rev"),
        ("reject", "plays", "auto", "candidate: reject, live: heuristic plays as revision 7."),
        ("undecided", "plays", "manual", "candidate: undecided, live: heuristic plays, staged as"),
        ("reject", "", "auto", "candidate: reject, live: nothing changes."),
        ("undecided", "", "auto", "candidate: undecided, live: nothing changes."),
    ],
)
def test_a_message_makes_two_statements_that_do_not_quarrel(
    store, verdict, pushed, decision, ships, mode, said
):
    outcome = {"reject": "fail", "undecided": "undecided"}.get(decision)
    reasons = [Reason(rule="r", outcome=outcome, value=0, needed=1, sentence="")] if outcome else []
    update = {"decision": decision, "ships": ships, "mode": mode, "reasons": reasons}
    update |= {"sentence": "Of the candidate.", "live_sentence": "Of what is live."}
    Verdict.read(verdict).model_copy(update=update).write(verdict)
    with recipient() as (url, heard):
        environment = {announcement.WEBHOOK_VARIABLE: f"{url}/secret"}
        record = announce(store, "home", "a", verdict, pushed if ships else None)
        notify(record, environment)
    text = json.loads(heard[0][2])["text"]
    assert text.startswith(f"home: {said}")
    assert text.endswith(". Of the candidate. Of what is live. (run a)")
    assert record.sentence == "Of the candidate. Of what is live."


def test_the_webhook_gets_one_message_with_markup_escaped():
    with recipient() as (url, heard):
        notify(record(sentence="<@U1> & co"), {announcement.WEBHOOK_VARIABLE: f"{url}/secret"})
    [(method, path, body)] = heard
    assert (method, path) == ("POST", "/secret")
    assert json.loads(body) == {
        "text": "home/new releases: promoted as revision 7. &lt;@U1&gt; &amp; co (run run-1)"
    }


def test_the_webhook_gets_one_plain_line():
    with recipient() as (url, heard):
        hostile = record(sentence=HOSTILE).model_copy(update={"run_id": HOSTILE})
        notify(hostile, {announcement.WEBHOOK_VARIABLE: url})
    [(_, _, body)] = heard
    text = json.loads(body)["text"]
    check_plain(text)
    assert "\n" not in text
    assert "<script>" not in text


def metrics(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_push_gateway_gets_metrics_that_prometheus_reads():
    with recipient() as (url, heard):
        notify(record(), {announcement.PUSH_GATEWAY_VARIABLE: url})
        notify(record("refused", None), {announcement.PUSH_GATEWAY_VARIABLE: url})
    for method, path, _ in heard:
        assert method == "POST", "a PUT would remove the live revision of earlier runs"
        assert path == "/metrics/job/setlist/name@base64/aG9tZS9uZXcgcmVsZWFzZXM="
    first, second = (metrics(body) for _, _, body in heard)
    assert first["setlist_live_revision",] == 7
    assert first["setlist_run_outcome", "promoted"] == 1
    assert first["setlist_run_outcome", "failed"] == 0
    assert first["setlist_data_gate_outcome", "stop"] == 0, "or that of the run before would stay"
    assert first["setlist_run_ended_timestamp_seconds",] > 1.7e9
    assert ("setlist_live_revision",) not in second
    assert second["setlist_run_outcome", "refused"] == 1


def test_a_staged_revision_is_not_the_live_one():
    with recipient() as (url, heard):
        notify(record("staged"), {announcement.PUSH_GATEWAY_VARIABLE: url})
    assert ("setlist_live_revision",) not in metrics(heard[0][2])


@pytest.mark.parametrize(
    "variable", [announcement.WEBHOOK_VARIABLE, announcement.PUSH_GATEWAY_VARIABLE]
)
def test_a_passing_fault_of_a_recipient_is_repeated(monkeypatch, variable):
    monkeypatch.setattr(announcement, "RETRIES", announcement.RETRIES.new(backoff_factor=0.01))
    with recipient(503, 429) as (url, heard):
        notify(record(), {variable: url})
    assert len(heard) == 3


def test_who_cannot_be_reached_is_a_line_without_the_address(monkeypatch, capsys):
    monkeypatch.setattr(announcement, "RETRIES", announcement.RETRIES.new(total=0))
    with recipient(404, 400) as (url, _):
        secret = f"{url}/T00/secret"
        notify(
            record(),
            {announcement.WEBHOOK_VARIABLE: secret, announcement.PUSH_GATEWAY_VARIABLE: secret},
        )
    gone = "http://127.0.0.1:1/T00/secret"
    notify(
        record(), {announcement.WEBHOOK_VARIABLE: gone, announcement.PUSH_GATEWAY_VARIABLE: gone}
    )
    said = capsys.readouterr().out
    assert "the webhook was not reached (status 404); correct SETLIST_WEBHOOK." in said
    assert "the push gateway was not reached (status 400)" in said
    assert said.count("was not reached") == 4
    assert "secret" not in said
    assert "127.0.0.1" not in said


def test_no_fault_of_a_listener_ends_the_run_or_shows_the_address(monkeypatch, capsys):
    monkeypatch.setattr(announcement, "RETRIES", announcement.RETRIES.new(total=0))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as caller:
                caller.sendall(b"\x15\x03\x01\n")  # as TLS answers plain text
                while caller.recv(65536):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        notify(
            record(),
            {announcement.PUSH_GATEWAY_VARIABLE: f"http://127.0.0.1:{server.getsockname()[1]}"},
        )
        thread.join()
    notify(record(), {announcement.PUSH_GATEWAY_VARIABLE: "http://push gateway:9091/secret"})
    said = capsys.readouterr().out
    assert "the push gateway was not reached (ConnectionError)" in said
    assert said.count("the push gateway was not reached (") == 2
    assert "secret" not in said


def test_a_listener_that_asks_for_hours_gets_two_minutes(monkeypatch, capsys):
    with recipient(429, **{"Retry-After": "21600"}) as (url, heard):

        class SinceHeard(Future):
            """Its patience begins when the recipient was asked, however busy the machine is."""

            def result(self, timeout=None):
                until(lambda: heard)
                return super().result(timeout)

        monkeypatch.setattr(announcement, "TOTAL_TIMEOUT_SECONDS", 1.0)
        monkeypatch.setattr(announcement, "Future", SinceHeard)
        notify(record(), {announcement.WEBHOOK_VARIABLE: url})
    assert len(heard) == 1
    assert "the webhook was not reached (not in 1 seconds)" in capsys.readouterr().out
