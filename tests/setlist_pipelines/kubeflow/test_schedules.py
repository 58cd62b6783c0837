"""Schedules against the stub and its clock: what fires, once, whatever is stopped where."""

import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from tests.setlist_pipelines.kubeflow.kfp_profiles import Profiles
from tests.setlist_pipelines.kubeflow.kfp_stub import Fault, serve

from setlist.data.curation import WindowSettings, resolve_window
from setlist.data.schema import parse_instant
from setlist.errors import SetlistError
from setlist.runs.scheduled_time import resolve_scheduled, scheduled
from setlist_pipelines.cli.main import main
from setlist_pipelines.kubeflow import api as kubeflow
from setlist_pipelines.kubeflow import packages, schedule_sync
from setlist_pipelines.kubeflow import recurring_runs as recurring
from setlist_pipelines.kubeflow.access import Access
from setlist_pipelines.kubeflow.api import Kubeflow
from setlist_pipelines.kubeflow.recurring_runs import finish, recurring_runs
from setlist_pipelines.kubeflow.schedule_sync import apply_schedules, desired_schedule
from setlist_pipelines.settings.file import SAMPLE, Settings, read_settings

IMAGE = "registry.example/setlist@sha256:" + "a" * 64
OTHER = "registry.example/setlist@sha256:" + "b" * 64
DAILY = "0 0 5 * * *"
STORE = "gs://bucket/models"
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
VARIABLES = ("KF_PIPELINES_ENDPOINT", "KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "SETLIST_IMAGE")


class Killed(BaseException):
    """What a kill does: nothing of ours runs after it."""


@pytest.fixture
def stub(monkeypatch):
    with serve() as stub:
        monkeypatch.setattr(recurring, "utc_now", lambda: stub.clock.now)
        monkeypatch.setattr(
            recurring, "sleep", lambda seconds: stub.clock.advance(timedelta(seconds=seconds))
        )
        monkeypatch.setattr(recurring, "SCHEDULE_POLL_SECONDS", 20.0)
        monkeypatch.setattr(kubeflow, "RETRY_PAUSES_SECONDS", (0.01, 0.02, 0.04))
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        yield stub


@pytest.fixture(scope="module")
def compiled(packaged):
    return packaged(read_settings(SAMPLE, [f"store={STORE}"]), IMAGE)


@pytest.fixture
def client(stub, compiled, monkeypatch):
    """The API; to compile takes seconds, so here another image is all that changes a package."""
    monkeypatch.setattr(
        schedule_sync,
        "compile_package",
        lambda settings, image, pipeline: replace(
            compiled, content=compiled.content + f"# {image}".encode()
        ),
    )
    return Kubeflow(Access(stub.url))


@pytest.fixture
def setlist(monkeypatch, capsys, stub, packaged, tmp_path):
    """Runs the command line against the stub; its exit code and all that it printed."""
    for module in (schedule_sync, packages):
        monkeypatch.setattr(module, "compile_package", packaged)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", stub.url)
    monkeypatch.setenv("SETLIST_IMAGE", IMAGE)

    def run(*arguments, schedules="", told=True) -> tuple[int, str]:
        file = tmp_path / "home.yaml"
        sample = SAMPLE.read_text().replace(".setlist/store", STORE)
        file.write_text(sample + schedules)
        line = ["setlist", *map(str, arguments), *(["--config", str(file)] if told else [])]
        monkeypatch.setattr(sys, "argv", line)
        monkeypatch.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run


def settings(schedules: dict | None = None, **changes) -> Settings:
    document = read_settings(SAMPLE, [f"store={STORE}"]).document()
    entries = {"daily": {"cron": DAILY}} if schedules is None else schedules
    return Settings.model_validate(document | changes | {"schedules": entries})


def applied(client, wanted: Settings, image: str = IMAGE) -> dict[str, str]:
    return apply_schedules(client, wanted, image, lambda name, line: None)


def times(cron: str, start: datetime, end: datetime) -> list[datetime]:
    """All fire times after the start, until the end."""
    found, moments = [], croniter(cron, start, second_at_beginning=True)
    while (moment := moments.get_next(datetime)) <= end:
        found.append(moment)
    return found


def ran(stub) -> Counter:
    return Counter(datetime.fromisoformat(run["scheduled_at"]) for run in stub.clock.fired)


# The settings


@pytest.mark.parametrize(
    "cron", [DAILY, "0 30 4 ? * MON-FRI", "0 0 */6 * * *", "15 5/20 * 1,15 jan-mar ?"]
)
def test_a_cron_line_that_both_sides_read_alike_is_taken(cron):
    assert settings({"one": {"cron": cron}}).schedules["one"].cron == cron


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 5 * * *", "5 fields; write six"),  # the backend would read it as seconds first
        ("@daily", "write six"),
        ("0 0 5 * * 7", "no day of the week"),  # Sunday to us, an error to the backend
        ("0 0 22-2 * * *", "no hour"),
        ("0 0 5 L * *", "no day of the month"),
        ("0 0 5 1 * MON", "limits the day of the month and the day of the week"),
        ("0 0 5 */2 * MON", "limits the day of the month and the day of the week"),
        ("0 0 5 31 2 *", "never comes"),
        ("0 * * * * *", "within five minutes"),
        ("0 0 5 * * */0", "no day of the week"),
    ],
)
def test_a_cron_line_that_means_something_else_to_the_backend_is_refused(cron, words):
    with pytest.raises(ValueError, match=words):
        settings({"one": {"cron": cron}})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"concurrency": 11}, "less than or equal to 10"),
        ({"time_zone": "Mars/Olympus"}, "no time zone"),
        ({"set": {"as_of": "2026-01-01"}}, "cannot set as_of"),
        ({"set": {"store": "gs://staging/models"}}, "cannot set store"),
        ({"crone": DAILY}, "Extra inputs"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(entry, words):
    with pytest.raises(ValueError, match=words):
        settings({"one": {"cron": DAILY} | entry})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("window.test_dayz", 7, "test_dayz: there is no such setting; write test_days"),
        ("window.test_days", "soon", "window.test_days"),
        ("name.first", 1, "cannot set"),
        ("inputs.first", 1, "inputs is not a section"),
    ],
)
def test_what_a_schedule_sets_is_checked_like_the_settings(key, value, words):
    with pytest.raises((SetlistError, ValueError), match=words):
        desired_schedule(settings({"one": {"cron": DAILY, "set": {key: value}}}), "one")


def test_the_document_of_settings_with_schedules_says_the_same():
    there = settings({"one": {"cron": DAILY, "set": {"window.test_days": 7}}})
    assert Settings.model_validate(there.document()) == there
    assert "schedules" not in there.arguments()


def test_runs_of_a_schedule_end_early_without_new_data_unless_it_says_otherwise():
    schedules = {
        "one": {"cron": DAILY},
        "two": {"cron": DAILY, "set": {"only_new_data": False}},
    }
    there = settings(schedules)
    assert desired_schedule(there, "one").arguments["only_new_data"] is True
    assert desired_schedule(there, "two").arguments["only_new_data"] is False


# The moment


def test_the_window_ends_at_the_time_that_the_backend_writes():
    text = scheduled(DAILY).replace("[[ScheduledTime]]", "20261125050000")
    window = resolve_window(WindowSettings(), resolve_scheduled(text), None)
    assert window.end == parse_instant("2026-11-25T05:00:00Z", "end")
    assert parse_instant("20261125050000", "as_of") == window.end


def test_where_the_backend_writes_nothing_it_is_the_last_fire_time(monkeypatch):
    before = datetime.now(UTC)
    moment = parse_instant(resolve_scheduled(scheduled(DAILY)), "as_of")
    assert (moment.hour, moment.minute, moment.second) == (5, 0, 0)
    assert before - DAY < moment <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["20261325050000", "x by 0 0 5 * * *", "[[ScheduledTime]] by x"])
def test_a_moment_that_is_none_is_one_sentence(text):
    with pytest.raises(SetlistError, match=r"as_of: .* is not an ISO 8601 date"):
        parse_instant(resolve_scheduled(text), "as_of")


# Apply


def test_apply_makes_what_the_settings_say_and_twice_changes_nothing(client, stub):
    schedules = {
        "daily": {"cron": DAILY, "concurrency": 2, "set": {"window.test_days": 7}},
        "weekly": {"cron": "0 0 6 * * MON", "catch_up": True},
    }
    there = settings(schedules, platform={"service_account": "retrainer"})
    assert applied(client, there) == {"daily": "created", "weekly": "created"}
    first, second = stub.recurringruns
    assert first["display_name"] == "home-daily"
    assert first["mode"] == "ENABLE"
    assert (first["max_concurrency"], first["no_catchup"]) == ("2", True)
    assert second["no_catchup"] is False
    assert first["service_account"] == "retrainer"
    parameters = first["runtime_config"]["parameters"]
    assert parameters["as_of"] == "[[ScheduledTime]] by 0 0 5 * * *"
    assert parameters["window"]["test_days"] == 7
    assert parameters["only_new_data"] is True

    stub.seen.clear()
    assert applied(client, there) == {"daily": "unchanged", "weekly": "unchanged"}
    assert {one.method for one in stub.seen} == {"GET"}
    assert stub.recurringruns == [first, second]


@pytest.mark.parametrize(
    "change",
    [
        {"cron": "0 0 6 * * *"},
        {"concurrency": 2},
        {"catch_up": True},
        {"set": {"window.test_days": 7}},
    ],
)
def test_a_changed_entry_takes_the_place_of_the_old_one(client, stub, change):
    applied(client, settings())
    [old] = stub.recurringruns
    stub.clock.advance(timedelta(hours=3))
    changed = settings({"daily": {"cron": DAILY} | change})

    assert applied(client, changed) == {"daily": "replaced"}
    [new] = stub.recurringruns
    assert new["recurring_run_id"] != old["recurring_run_id"]
    assert new["mode"] == "ENABLE"
    assert applied(client, changed) == {"daily": "unchanged"}


def test_another_image_and_a_changed_platform_replace_but_a_note_does_not(client, stub):
    applied(client, settings())
    assert applied(client, settings(), OTHER) == {"daily": "replaced"}
    account = settings(platform={"service_account": "other"})
    assert applied(client, account, OTHER) == {"daily": "replaced"}
    noted = settings({"daily": {"cron": DAILY, "time_zone": "Europe/Stockholm"}})
    assert applied(client, noted.model_copy(update={"platform": account.platform}), OTHER) == {
        "daily": "unchanged"
    }


def test_an_entry_that_is_gone_is_deleted_and_nothing_of_anybody_else(client, stub):
    applied(client, settings({"daily": {"cron": DAILY}, "weekly": {"cron": "0 0 6 * * 1"}}))
    applied(client, settings(name="other"))
    stranger = dict(stub.recurringruns[0], recurring_run_id="5e1f", description="mine")
    stub.recurringruns.append(stranger)

    assert applied(client, settings()) == {"daily": "unchanged", "weekly": "deleted"}
    assert [one["display_name"] for one in stub.recurringruns] == [
        "home-daily",
        "other-daily",
        "home-daily",
    ]


def test_settings_of_another_store_leave_those_of_the_same_name_alone_and_say_so(client, stub):
    applied(client, settings())
    said = []
    staging = settings(store="gs://staging/models")
    apply_schedules(client, staging, IMAGE, lambda name, line: said.append(f"{name} {line}"))
    assert f"--set store={STORE}` removes it" in said[-1]
    stores = [one["runtime_config"]["parameters"]["store"] for one in stub.recurringruns]
    assert stores == [STORE, "gs://staging/models"]
    assert applied(client, settings(store=f"{STORE}/")) == {"daily": "replaced"}
    assert applied(client, settings({}, store="gs://staging/models")) == {"daily": "deleted"}
    assert [one["mode"] for one in stub.recurringruns] == ["ENABLE"]


def test_a_paused_one_is_replaced_by_a_paused_one(client, stub):
    applied(client, settings())
    recurring.pause(client, recurring_runs(client, "home", STORE)["daily"][0])
    assert applied(client, settings()) == {"daily": "unchanged"}
    assert applied(client, settings(), OTHER) == {"daily": "replaced"}
    assert [one["mode"] for one in stub.recurringruns] == ["DISABLE"]
    stub.clock.advance(3 * DAY)
    assert not stub.clock.fired


def test_nothing_is_sent_when_an_entry_is_wrong(client, stub):
    wrong = settings({"daily": {"cron": DAILY}, "two": {"cron": DAILY, "set": {"windo.x": 1}}})
    with pytest.raises(SetlistError, match=r"^schedules\.two\.set: windo: there is no such"):
        applied(client, wrong)
    assert not stub.seen


# Without a gap or a double

CHANGES = {"the same times": {"concurrency": 2}, "other times": {"cron": "0 30 5 * * *"}}


def follow(stub, client, start: datetime, change: dict, kill: int, done: bool, pause: timedelta):
    """Apply, change, be killed at a call that writes, and apply again after a while.

    Between two of these the server stays as it is, so all other moments are like one of them.
    """
    stub.clock.__init__(now=start - 2 * DAY, lasts=2 * MINUTE)
    applied(client, settings())
    stub.clock.advance(start - stub.clock.now)
    ask, left = client._call, kill

    def killed(method, *arguments, **named):
        nonlocal left
        left -= method != "GET"
        if left < 0 and not done:
            raise Killed
        answer = ask(method, *arguments, **named)
        if left < 0:
            raise Killed
        return answer

    changed = settings({"daily": {"cron": DAILY} | change})
    client._call = killed
    try:
        applied(client, changed)
    except Killed:
        stub.clock.advance(pause)
    client._call = ask
    applied(client, changed)
    switched = datetime.fromisoformat(stub.recurringruns[0]["created_at"])
    stub.clock.advance(3 * DAY)
    return switched, left < 0


def expected(start: datetime, switched: datetime, cron: str, end: datetime) -> Counter:
    before = times(DAILY, start - 2 * DAY, min(switched, end))
    return Counter(before + times(cron, switched, end))


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize(
    ("start", "pause"),
    [("04:58:30", 0), ("05:00:05", 10), ("12:00", 23 * 60)],
    ids=["short before", "in its run", "a day later"],
)
def test_each_time_runs_once_wherever_apply_is_killed(stub, client, what, start, pause, done):
    begin = datetime.fromisoformat(f"2026-11-25T{start}+00:00")
    cron = CHANGES[what].get("cron", DAILY)
    for kill in range(20):
        pausing = timedelta(minutes=pause)
        switched, was = follow(stub, client, begin, CHANGES[what], kill, done, pausing)
        assert ran(stub) == expected(begin, switched, cron, stub.clock.now), f"killed at {kill}"
        assert [one["mode"] for one in stub.recurringruns] == ["ENABLE"]
        assert not [run for run in stub.clock.fired if run["state"] == "FAILED"]
        if not was:
            break
    else:
        pytest.fail("it never came to its end")
    assert kill >= 4  # make, disable, enable, delete


@pytest.mark.parametrize("late", ["asked", "asked in its second", "answered"])
@pytest.mark.parametrize("call", ["recurringruns", ":disable", ":enable", "DELETE"])
@pytest.mark.parametrize("what", CHANGES)
def test_each_time_runs_once_when_a_call_takes_minutes_and_a_time_passes(
    stub, client, what, call, late
):
    begin = datetime(2026, 11, 25, 4, 57, 20, tzinfo=UTC)
    stub.clock.__init__(now=begin - DAY, lasts=2 * MINUTE)
    applied(client, settings())
    stub.clock.advance(begin - stub.clock.now)
    ask, slow = client._call, []

    def slowly(method, path, *arguments, **named):
        hit = not slow and method != "GET" and f"{method} {path}".endswith(call)
        hit = hit or (not slow and call == method)
        if hit:
            slow.append(path)
        if hit and late == "asked":
            stub.clock.advance(4 * MINUTE)
        if hit and late == "asked in its second":  # its run is there, and cannot be seen yet
            stub.clock.advance(begin.replace(hour=5, minute=0, second=0) - stub.clock.now)
        answer = ask(method, path, *arguments, **named)
        if hit and late == "answered":
            stub.clock.advance(4 * MINUTE)
        return answer

    client._call = slowly
    applied(client, settings({"daily": {"cron": DAILY} | CHANGES[what]}))
    assert slow
    [new] = stub.recurringruns
    stub.clock.advance(2 * DAY)
    switched = datetime.fromisoformat(new["created_at"])
    cron = CHANGES[what].get("cron", DAILY)
    before = times(DAILY, begin - DAY, switched)
    assert ran(stub) == Counter(before + times(cron, switched, stub.clock.now))
    assert not [run for run in stub.clock.fired if run["state"] == "FAILED"]


def test_with_catch_up_each_missed_time_runs_once_after_days_without_apply(stub, client):
    for kill in range(20):
        begin = datetime(2026, 11, 25, 12, tzinfo=UTC)
        change = {"catch_up": True}
        switched, was = follow(stub, client, begin, change, kill, True, 3 * DAY)
        assert ran(stub) == expected(begin, switched, DAILY, stub.clock.now), f"killed at {kill}"
        if not was:
            break
    assert kill >= 4


def test_it_waits_for_a_time_that_is_near_and_says_so(stub, client):
    stub.clock.now = datetime(2026, 11, 25, 4, 58, 30, tzinfo=UTC)
    applied(client, settings())
    said = []
    apply_schedules(client, settings(), OTHER, lambda name, line: said.append(line))
    assert "waits: it runs at 05:00:00 UTC" in said
    assert any("goes on" in line for line in said)  # and then for that run
    assert not [run for run in stub.clock.fired if run["state"] != "SUCCEEDED"]


def test_it_gives_up_on_a_run_that_is_due_and_does_not_start(stub, client):
    applied(client, settings())
    stub.clock.look = lambda: None  # the controller is down
    stub.clock.now += DAY
    with pytest.raises(SetlistError, match="has not started for ten minutes"):
        applied(client, settings(), OTHER)
    assert [one["mode"] for one in stub.recurringruns] == ["ENABLE"]


def test_a_deletion_waits_for_a_run_that_it_would_end(stub, client):
    applied(client, settings())
    stub.clock.now = datetime(2026, 11, 26, 5, 1, tzinfo=UTC)
    stub.clock.advance(MINUTE)
    assert applied(client, settings({})) == {"daily": "deleted"}
    assert [run["state"] for run in stub.clock.fired] == ["SUCCEEDED"]
    assert not stub.recurringruns


def test_an_answer_that_comes_too_late_leaves_one_recurring_run(stub, client, monkeypatch):
    monkeypatch.setattr(kubeflow, "CALL_TIMEOUT_SECONDS", stub.time_out)
    applied(client, settings())
    key = stub.recurringruns[0]["recurring_run_id"]
    stub.faults = [
        Fault("POST", "recurringruns", late=True),
        Fault("POST", f"recurringruns/{key}:disable", late=True),
        Fault("DELETE", f"recurringruns/{key}", late=True),
    ]
    assert applied(client, settings(), OTHER) == {"daily": "replaced"}
    assert not stub.faults
    assert [one["mode"] for one in stub.recurringruns] == ["ENABLE"]
    assert len(stub.calls("POST", "recurringruns")) == 2  # one each, the first and its replacement


def test_a_conflict_is_looked_into_and_not_taken_for_a_failure(stub, client):
    applied(client, settings())
    stub.faults = [Fault("POST", "recurringruns", 409, done=True)]
    assert applied(client, settings(), OTHER) == {"daily": "replaced"}
    stub.faults = [Fault("POST", "recurringruns", 409)]
    with pytest.raises(SetlistError, match="409"):
        applied(client, settings())
    assert [one["mode"] for one in stub.recurringruns] == ["ENABLE"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cron": DAILY}, "unknown field"),
        ({"trigger": {"cron_schedule": {"crone": DAILY}}}, "unknown field"),
        ({"max_concurrency": 2}, "not a str"),
        ({"max_concurrency": "11"}, "out of range"),
        ({"mode": "PAUSE"}, "is none of"),
        ({"runtime_config": {"parameters": {"windoe": {}}}}, "unknown argument windoe"),
        ({"pipeline_version_reference": {}}, "no such pipeline version"),
    ],
)
def test_the_stub_refuses_what_the_api_does_not_know(stub, client, change, said):
    applied(client, settings())
    [body] = [one.body for one in stub.calls("POST", "recurringruns")]
    with pytest.raises(SetlistError, match=said):
        client.post("recurringruns", body | change)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("done", [False, True])
def test_lost_answers_leave_one_recurring_run(stub, client, status, done):
    applied(client, settings())
    key = stub.recurringruns[0]["recurring_run_id"]
    stub.faults = [
        Fault("POST", "recurringruns", status, done=done and status != 429),
        Fault("POST", f"recurringruns/{key}:disable", status, done=done),
        Fault("DELETE", f"recurringruns/{key}", status, done=done),
    ]
    assert applied(client, settings(), OTHER) == {"daily": "replaced"}
    assert not stub.faults
    assert [one["mode"] for one in stub.recurringruns] == ["ENABLE"]


def test_who_may_not_is_told_and_changes_nothing(stub, client):
    applied(client, settings())
    for status in (401, 403):
        stub.faults = [Fault("POST", "recurringruns", status)]
        with pytest.raises(SetlistError, match=str(status)):
            applied(client, settings(), OTHER)
    assert [one["mode"] for one in stub.recurringruns] == ["ENABLE"]


# Pause, resume, run now


def only(client):
    [one] = recurring_runs(client, "home", STORE)["daily"]
    return one


@pytest.mark.parametrize("catch_up", [False, True])
def test_resume_runs_what_was_missed_only_with_catch_up(stub, client, catch_up):
    applied(client, settings({"daily": {"cron": DAILY, "catch_up": catch_up}}))
    stub.clock.advance(DAY)
    recurring.pause(client, only(client))
    stub.clock.advance(3 * DAY)
    recurring.resume(client, only(client), lambda line: None)
    resumed = stub.clock.now
    stub.clock.advance(2 * DAY)

    missed = times(DAILY, resumed - 3 * DAY, resumed)
    assert [ran(stub)[moment] for moment in missed] == [int(catch_up)] * 3
    assert [ran(stub)[moment] for moment in times(DAILY, resumed, stub.clock.now)] == [1, 1]
    assert only(client).enabled


def test_a_resume_that_was_killed_is_finished_by_the_next_call(stub, client, monkeypatch):
    applied(client, settings())
    recurring.pause(client, only(client))
    stub.clock.advance(2 * DAY)

    def killed(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recurring, "_take_over", killed)
        with pytest.raises(Killed):
            recurring.resume(client, only(client), lambda line: None)
    assert len(stub.recurringruns) == 2
    left = finish(client, recurring_runs(client, "home", STORE)["daily"], lambda line: None)
    assert left
    assert left.enabled
    assert len(stub.recurringruns) == 1


def test_two_that_were_applied_at_once_become_one(stub, client):
    applied(client, settings())
    stub.recurringruns.append(dict(stub.recurringruns[0], recurring_run_id="d0b1e"))
    assert applied(client, settings()) == {"daily": "unchanged"}
    assert len(stub.recurringruns) == 1


def test_resume_sends_nothing_back_that_the_server_filled_in(stub, client):
    applied(client, settings())
    assert only(client).document["namespace"] == "kubeflow"
    recurring.pause(client, only(client))
    stub.clock.advance(2 * DAY)
    recurring.resume(client, only(client), lambda line: None)
    assert only(client).enabled


def test_with_profiles_a_resumed_schedule_stays_in_its_own(stub, client):
    stub.profiles = Profiles({"Bearer mine": "team"})
    there = Kubeflow(Access(stub.url, namespace="team", token="mine"))
    applied(there, settings())
    [one] = recurring_runs(there, "home", STORE)["daily"]
    recurring.pause(there, one)
    stub.clock.advance(2 * DAY)
    [one] = recurring_runs(there, "home", STORE)["daily"]
    recurring.resume(there, one, lambda line: None)
    assert [each["namespace"] for each in stub.recurringruns] == ["team"]
    assert [each["mode"] for each in stub.recurringruns] == ["ENABLE"]


def test_what_takes_the_place_of_a_schedule_leaves_its_past_runs_their_pods(stub, client):
    applied(client, settings())
    stub.clock.advance(2 * DAY)
    assert stub.clock.fired
    assert applied(client, settings(), OTHER) == {"daily": "replaced"}
    stub.clock.advance(DAY)
    recurring.pause(client, only(client))
    stub.clock.advance(2 * DAY)
    recurring.resume(client, only(client), lambda line: None)
    assert applied(client, settings({})) == {"daily": "deleted"}
    assert stub.clock.gone == []


# The command line

ENTRIES = f"""
schedules:
  daily: {{cron: "{DAILY}", time_zone: Europe/Stockholm}}
"""


def test_the_commands_from_apply_to_delete(setlist, stub):
    code, said = setlist("schedule", "apply", schedules=ENTRIES)
    assert code == 0, said
    assert "daily        created" in said

    def row(image=""):
        text = setlist("schedule", "list", "--image", image, schedules=ENTRIES)[1]
        return " ".join(text.split())

    listed = row(IMAGE)
    assert "running yes" in listed
    elsewhere = setlist("schedule", "list", "--set", "store=gs://other", schedules=ENTRIES)[1]
    assert "absent" in elsewhere
    assert f"no: of {STORE}" in " ".join(elsewhere.split())
    assert "Thu 2026-11-26 05:00 UTC" in listed
    assert "06:00 CET" in listed
    assert setlist("schedule", "pause", "daily", schedules=ENTRIES) == (0, "daily is paused\n")
    assert "paused yes" in row()
    assert setlist("schedule", "resume", "daily", schedules=ENTRIES) == (0, "daily runs\n")
    stub.clock.advance(DAY)
    assert "SUCCEEDED" in row()
    changed = ENTRIES.replace("}", ", concurrency: 3}")
    assert "no: apply" in setlist("schedule", "list", schedules=changed)[1]
    assert "not in the settings" in " ".join(setlist("schedule", "list")[1].split())
    assert setlist("schedule", "delete", "daily", schedules=ENTRIES)[0] == 0
    assert not stub.recurringruns
    assert "absent no: apply" in row()
    code, said = setlist("schedule", "pause", "daily", schedules=ENTRIES)
    assert (code, "no schedule daily" in said) == (1, True)
    assert "`setlist schedule apply --config /" in said


@pytest.mark.parametrize(
    "command", ["apply", "list", "pause daily", "resume daily", "delete daily", "run-now daily"]
)
def test_no_schedule_is_touched_by_the_settings_of_the_sample(setlist, stub, command):
    code, said = setlist("schedule", *command.split(), told=False)
    assert (code, "--config" in said, stub.seen) == (2, True, [])


def test_run_now_starts_a_run_as_of_the_present_moment(setlist, stub):
    code, said = setlist("schedule", "run-now", "daily", schedules=ENTRIES)
    assert code == 0, said
    [run] = stub.runs
    assert run["display_name"].startswith("home-daily-2026")
    parameters = run["runtime_config"]["parameters"]
    assert parameters["as_of"].startswith("2026-11-25T12:00:")
    assert parameters["only_new_data"] is True
    assert run["run_id"] in said
    assert setlist("schedule", "run-now", "nightly", schedules=ENTRIES)[0] == 1


WATCHED = f"""
monitoring: {{log: gs://bucket/served, days: 2}}
schedules:
  daily: {{cron: "{DAILY}"}}
  watch: {{cron: "0 0 9 * * *", pipeline: monitoring}}
"""


def test_the_monitoring_pipeline_is_scheduled_beside_the_retraining(setlist, stub):
    code, said = setlist("schedule", "apply", schedules=WATCHED)
    assert code == 0, said
    assert "watch        created" in said
    watch, daily = sorted(stub.recurringruns, key=lambda one: "log" not in run_parameters(one))
    assert run_parameters(watch)["log"] == "gs://bucket/served"
    assert run_parameters(watch)["days"] == 2
    assert "model" not in run_parameters(watch)
    assert "log" not in run_parameters(daily)
    pipelines = [one["pipeline_version_reference"]["pipeline_id"] for one in (watch, daily)]
    assert pipelines[0] != pipelines[1]
    assert {one["display_name"] for one in stub.pipelines} == {"retraining", "monitoring"}
    assert (
        " ".join(setlist("schedule", "apply", schedules=WATCHED)[1].split()).count("unchanged") == 2
    )
    listed = setlist("schedule", "list", schedules=WATCHED)[1]
    assert " ".join(listed.split()).count("running yes") == 2
    code, said = setlist("schedule", "run-now", "watch", schedules=WATCHED)
    assert code == 0, said
    [run] = stub.runs
    assert run["display_name"].startswith("home-watch-2026")
    assert run["pipeline_version_reference"]["pipeline_id"] == pipelines[0]
    code, said = setlist("submit", "--pipeline", "monitoring", schedules=WATCHED)
    assert code == 0, said
    assert "pipeline  monitoring " in said
    code, said = setlist("schedule", "apply", schedules=WATCHED.replace("monitoring: {", "#"))
    assert code == 1
    assert "there is no section `monitoring`" in " ".join(said.split())


def test_a_schedule_that_no_step_could_take_is_refused_before_anything_is_sent(setlist, stub):
    values = ", ".join(f"value-{number:04}" for number in range(9_000))
    where = f"data.events.where: [[country, in, [{values}]]]"
    schedules = ENTRIES.replace("}", f", set: {{{where}}}}}")
    code, said = setlist("schedule", "apply", schedules=schedules)
    assert code == 1
    assert "schedules.daily: the settings of a run are" in " ".join(said.split())
    assert "a step of a cluster takes 100,000; shorten data" in " ".join(said.split())
    assert not stub.seen


def run_parameters(recurring_run):
    return recurring_run["runtime_config"]["parameters"]


@pytest.mark.parametrize("command", ["apply", "run-now"])
def test_an_image_that_is_no_digest_is_refused_before_anything_is_sent(setlist, stub, command):
    named = ["daily"] if command == "run-now" else []
    code, said = setlist(
        "schedule", command, *named, "--image", "setlist:latest", schedules=ENTRIES
    )
    assert (code, "by digest" in said) == (1, True)
    assert not stub.seen


def test_a_wrong_schedule_stops_a_submission_too(setlist, stub):
    wrong = ENTRIES.replace("}", ", set: {windo.days: 1}}")
    code, said = setlist("submit", schedules=wrong)
    assert code == 1
    assert "schedules.daily.set: windo" in " ".join(said.split())
    assert not stub.seen
