"""All commands that print what others wrote: nothing of it is obeyed, and no line is forged.

The documents are written past every check of the store, as a stranger with a right to write can.
"""

import hashlib
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.hostile_text import HOSTILE, LETTERS, check_plain, raw
from tests.setlist_pipelines.kubeflow.kfp_stories import fnv, instant
from tests.setlist_pipelines.kubeflow.kfp_stub import Stub, serve
from tests.waiting import PATIENCE

from setlist.runs.record import RunRecord
from setlist.store.manifest import File, Manifest, PinObject, Pointer, Promotion
from setlist.store.objects import open_objects
from setlist_pipelines.cli.answer import add_row, new_table
from setlist_pipelines.cli.screen import PlainConsole
from setlist_pipelines.kubeflow import api, submission

RUN = "00000001-0000"
NAME = f"{LETTERS} {HOSTILE}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Two revisions of "home", hostile in every field that takes a text; revision 2 is live."""
    uri = str(tmp_path / "store")
    objects = open_objects(uri)
    manifests = {}
    for number in (1, 2):
        info = json.dumps({"name": f"{number}{NAME}", "kind": HOSTILE}).encode()
        card = f"# {NAME}\n\n| a | b |\n".encode()
        folder = f"home/revisions/{number}"
        objects.write(f"{folder}/model.json", info, expected=None)
        objects.write(f"{folder}.card.md", card, expected=None)
        manifests[number] = Manifest.model_construct(
            name="home",
            revision=number,
            run_id=f"{number}{NAME}",
            created=NAME,
            digest=f"{number}{HOSTILE}",
            files={"model.json": File(sha256=sha256(info), size=len(info))},
            training_window={"start": NAME, "end": f"{number}{NAME}"},
            metadata={
                "label": NAME,
                "card_sha256": sha256(card),
                "data_fingerprint": f"{number}{NAME}",
                HOSTILE: {HOSTILE: [HOSTILE]},
                "settings": {HOSTILE: f"{number}{HOSTILE}"},
                "verdict": {
                    "decision": HOSTILE,
                    "sentence": f"{number}{NAME}",
                    "reasons": [{"rule": HOSTILE, "outcome": f"{number}{HOSTILE}", "value": 1.0}],
                },
            },
        ).to_bytes()
        objects.write(f"{folder}/manifest.json", manifests[number], expected=None)
    pin = PinObject.model_construct(name="home", revision=1, who=NAME, when=NAME, why=NAME)
    objects.write("home/revisions/1.pin", pin.to_bytes(), expected=None)
    pointer = Pointer.model_construct(
        name="home",
        move=NAME,
        live=2,
        live_manifest=sha256(manifests[2]),
        previous=1,
        previous_manifest=sha256(manifests[1]),
        promotions=[
            Promotion.model_construct(
                revision=number, when=NAME, run_id=NAME, who=NAME, why=NAME, action="promote"
            )
            for number in (1, 2)
        ],
        retired=[],
        number=2,
        origin=NAME,
    )
    objects.write("home/HEAD", pointer.to_bytes(), expected=None)
    return uri


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("show", 1),
        ("history",),
        ("diff", 1, 2),
        ("card", 1),
        ("verify",),
        ("pin", 1),
        ("promote", 1, "--why", HOSTILE),
        ("rollback", "--why", HOSTILE),
        ("prune", "--keep", 0, "--dry-run"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_models(setlist, store, arguments):
    done = setlist("models", *arguments, "--store", store)
    if arguments[0] == "card":  # a document of many lines, which are all its own
        assert raw(done.out) == ""
    else:
        check_plain(done.out + done.err)
    if arguments[0] in ("list", "show", "history", "diff", "card"):
        assert done.code == 0, done.err
        assert "Ärger" in "".join(done.out.split())
        assert r"\x1b" in "".join(done.out.split())
    if arguments[0] in ("list", "show", "history"):
        assert "[red]r[/red]" in done.out.replace("\n", "").replace(" ", ""), "no markup is obeyed"


def test_a_document_of_another_model_is_named_in_one_plain_line(setlist, store):
    head = Path(store) / "home" / "HEAD"
    pointer = Pointer.parse(head.read_bytes(), "HEAD").model_copy(update={"name": NAME})
    head.write_bytes(pointer.to_bytes())
    for command in (("models", "list"), ("models", "history"), ("skew", "--log", "nowhere")):
        done = setlist(*command, "--store", store)
        check_plain(done.out + done.err)
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert "HEAD is that of" in done.err
    done = setlist("models", "list", "--name", HOSTILE, "--store", store)
    check_plain(done.err)
    done = setlist("models", "list", "--store", store + HOSTILE)
    check_plain(done.err)


@pytest.fixture
def stub(monkeypatch, gcs_emulator):
    """A server whose runs, steps, errors, arguments and logs are a stranger's."""
    monkeypatch.setattr(api, "RETRY_PAUSES_SECONDS", (0.01,))
    monkeypatch.setattr(api, "CALL_TIMEOUT_SECONDS", (PATIENCE, PATIENCE))
    monkeypatch.setattr(submission, "RUN_POLL_SECONDS", 0.01)
    for name in ("KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with serve() as stub:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", stub.url)
        stub.runs = [
            {
                "run_id": f"0000000{number}-0000",
                "display_name": f"{number}{NAME}",
                "state": "FAILED",
                "created_at": instant(0),
                "finished_at": instant(1),
                "error": {"code": 1, "message": HOSTILE},
                "pipeline_version_reference": {"pipeline_version_id": f"{number}{NAME}"},
                "runtime_config": {
                    "parameters": {HOSTILE: f"{number}{NAME}", "store": NAME, "name": NAME}
                },
                "run_details": {
                    "task_details": [
                        {
                            "run_id": f"0000000{number}-0000",
                            "task_id": "1",
                            "display_name": "plan",
                            "state": "FAILED",
                            "start_time": instant(0),
                            "end_time": instant(1),
                            "create_time": instant(0),
                            "error": {"code": 1, "message": HOSTILE},
                            "child_tasks": [
                                {"pod_name": f"w-{fnv(name)}"}
                                for name in ("w.plan", "w.plan.executor")
                            ],
                        }
                    ]
                },
                "pipeline_spec": {
                    "root": {
                        "dag": {
                            "tasks": {
                                "plan": {
                                    "componentRef": {"name": "comp-plan"},
                                    "taskInfo": {"name": f"plan{HOSTILE}"},
                                }
                            }
                        }
                    },
                    "components": {"comp-plan": {"executorLabel": "exec-plan"}},
                },
            }
            for number in (1, 2)
        ]
        # The stub would go on with a run that it asks itself; this one has ended.
        monkeypatch.setattr(
            Stub, "progress", lambda self, key: next(r for r in self.runs if r["run_id"] == key)
        )
        monkeypatch.setattr(Stub, "door", lambda *_: f"first\n\x1b[31mred\x1b[0m {LETTERS} \x1b[2J")
        yield stub


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("show", RUN), ("logs", RUN), ("compare", RUN, "00000002-0000")],
    ids=lambda arguments: arguments[0],
)
def test_runs(setlist, stub, arguments):
    done = setlist("runs", *arguments)
    check_plain(done.out + done.err)
    assert done.code == 0, done.err
    if arguments[0] == "logs":
        assert f"\nfirst\nred {LETTERS} \\x1b[2J\n" in done.out
    else:
        assert r"\x1b" in "".join(done.out.split())


def test_a_refusal_of_a_server(setlist, stub, monkeypatch):
    monkeypatch.setattr(Stub, "progress", lambda *_: {"state": HOSTILE, "run_id": HOSTILE})
    for command in ("show", "logs"):
        done = setlist("runs", command, RUN)
        check_plain(done.out + done.err)


def test_tables(setlist, tmp_path):
    """Titles, tags, ids, a column and values of it, and the name of a file."""
    users = [f"u{number}" for number in range(30)]
    events = pd.DataFrame(
        {
            "user_id": [*users, *users, ""],
            "item_id": [f"i{number % 5}" for number in range(60)] + [HOSTILE.replace("|", "")],
            "timestamp": [f"2026-04-{15 + number % 14}T00:00:00Z" for number in range(59)]
            + [HOSTILE] * 2,
            HOSTILE: HOSTILE,
        }
    )
    events.to_parquet(tmp_path / "events.parquet")
    items = pd.DataFrame({"item_id": [f"i{number}" for number in range(5)] * 2})
    items.assign(title=NAME, tags=HOSTILE).to_parquet(tmp_path / "items.parquet")
    pd.DataFrame({"user_id": users, f"country {HOSTILE}": NAME}).to_parquet(
        tmp_path / "users.parquet"
    )
    settings = tmp_path / "settings.yaml"
    paths = {name: {"path": f"{tmp_path}/{name}.parquet"} for name in ("events", "items", "users")}
    settings.write_text(json.dumps({"data": paths, "as_of": "2026-05-01"}))
    done = setlist("data", "check", "--config", settings)
    check_plain(done.out + done.err)
    assert "Ärger" in done.err, "the ids and instants that cannot be read"
    events.head(58).to_parquet(tmp_path / "events.parquet")
    done = setlist("data", "check", "--config", settings)
    check_plain(done.out + done.err)
    assert "Ärger" in done.out, done.err
    for command in (
        ("data", "infer", "--config", settings, "--output", tmp_path / "expected.yaml"),
        ("init", tmp_path / "events.parquet", "--output", tmp_path / "new.yaml"),
        ("run", "--config", settings, "--set", f"inputs=[{json.dumps(HOSTILE)}]"),
        ("data", "check", "--config", settings, "--set", HOSTILE),
        ("report", tmp_path / HOSTILE.replace("/", "")),
        ("gate", tmp_path / HOSTILE.replace("/", "")),
        ("dashboard", tmp_path / HOSTILE.replace("/", "")),
    ):
        done = setlist(*command)
        check_plain(done.out + done.err)


def test_what_is_printed_without_a_thought_is_plain_too(capsys):
    """The net below all tables and lines: a console that obeys neither markup nor controls."""
    console = PlainConsole(sys.stdout)
    table = new_table(HOSTILE)
    add_row(table, HOSTILE)
    table.title = HOSTILE
    table.add_row(HOSTILE.replace("\n", ""))
    console.print(HOSTILE.replace("\n", ""), style="red")
    console.print(table)
    with console.status(HOSTILE.replace("\n", "")):
        pass
    printed = capsys.readouterr().out
    check_plain(printed.replace("\n", ""))
    assert "[red]r[/red]" in printed


def test_the_line_of_a_record_is_one(tmp_path):
    record = RunRecord.of_failure("home", HOSTILE, HOSTILE)
    check_plain(record.line)
    assert "\n" not in record.line
