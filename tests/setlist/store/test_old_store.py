"""A store of the previous version is read, continued and verified by this version.

The documents are those that commit 29fa717 wrote, to the byte: their checksums cover the layout.
"""

from pathlib import Path

import pytest

from setlist.runs.promotion import anchor_of, rollback
from setlist.runs.record import RunRecord
from setlist.store.model_store import open_store

from .conftest import Behind, Stage, read_tree

HEAD = """\
{
  "checksum": "e344fed8a1334e04057aaffc1beee90ff0af0a4c0d54a7611d486d864ee2c659",
  "live": 1,
  "live_manifest": "6081863e75da424f2f90f88b8a8bb2e3f471bd1b44f42a8058de5e5bbb503dd6",
  "move": "2a1e1ed7f58f43fdb8f7ce50084c3893",
  "name": "home",
  "previous": null,
  "previous_manifest": null,
  "promotions": [
    {
      "action": "promote",
      "revision": 1,
      "run_id": "run-1",
      "when": "2026-11-28T02:52:52+00:00",
      "who": "ann@desk",
      "why": "The candidate is better."
    }
  ],
  "retired": []
}"""
CLAIM = """\
{
  "checksum": "1f39231b0f75b38ced10551c599ef8ce4f15b97b8b88d2bb21ebfcaff199ff81",
  "created": "2026-11-28T02:52:52+00:00",
  "digest": "digest 1",
  "revision": 1,
  "run_id": "run-1"
}"""
MANIFEST = """\
{
  "checksum": "e47e0f4cf560ff03693474571366310b7162bbca4e2b28f6a8e5b92e7bf10666",
  "created": "2026-11-28T02:52:52+00:00",
  "digest": "digest 1",
  "files": {
    "saved_model.pb": {
      "sha256": "16b9f2912007922fe48f5343d131850f01f2095edbc97bf38d36efc3178bafc2",
      "size": 9
    }
  },
  "metadata": {
    "card_sha256": "0e2085047f693ccd18af5dd09f1d5281b53eb1a7d191f62546adf16ca95040a4",
    "label": "candidate",
    "verdict": {
      "anchor": null,
      "decision": "promote",
      "evaluation_digest": "00",
      "head": null,
      "mode": "auto",
      "policy_digest": "11",
      "primary": "ndcg@10",
      "reasons": [
        {
          "detectable": 0.02,
          "high": 0.05,
          "low": 0.01,
          "needed": 0.0,
          "outcome": "pass",
          "rule": "better than live",
          "sentence": "It is.",
          "value": 0.03
        }
      ],
      "roles": {
        "candidate": "candidate"
      },
      "sentence": "The candidate is better.",
      "ships": "candidate",
      "ships_digest": "dd",
      "values": {
        "candidate": {
          "ndcg@10": 0.25
        }
      },
      "window": {
        "cut": "2026-04-01T00:00:00+00:00",
        "end": "2026-04-08T00:00:00+00:00",
        "start": "2026-01-01T00:00:00+00:00"
      }
    }
  },
  "name": "home",
  "revision": 1,
  "run_id": "run-1",
  "training_window": {
    "cut": "2026-04-01T00:00:00+00:00",
    "end": "2026-04-01T00:00:00+00:00",
    "start": "2026-01-01T00:00:00+00:00"
  }
}"""
RUN_RECORD = """\
{
 "name": "home",
 "run_id": "run-1",
 "outcome": "promoted",
 "sentence": "The candidate is better.",
 "revision": 1,
 "ended": "2026-04-01T05:12:34Z",
 "verdict": {
  "decision": "promote",
  "mode": "auto",
  "primary": "ndcg@10",
  "ships": "candidate",
  "ships_digest": "dd",
  "sentence": "The candidate is better.",
  "reasons": [
   {
    "rule": "better than live",
    "outcome": "pass",
    "value": 0.03,
    "low": 0.01,
    "high": 0.05,
    "needed": 0.0,
    "detectable": 0.02,
    "sentence": "It is."
   }
  ],
  "anchor": null,
  "evaluation_digest": "00",
  "policy_digest": "11",
  "head": null,
  "window": {
   "start": "2026-01-01T00:00:00+00:00",
   "cut": "2026-04-01T00:00:00+00:00",
   "end": "2026-04-08T00:00:00+00:00"
  },
  "roles": {
   "candidate": "candidate"
  },
  "values": {
   "candidate": {
    "ndcg@10": 0.25
   }
  }
 }
}
"""
FILES = {
    "home/HEAD": HEAD,
    "home/revisions/1.card.md": "# home, revision 1\n",
    "home/revisions/1.claim": CLAIM,
    "home/revisions/1/manifest.json": MANIFEST,
    "home/revisions/1/saved_model.pb": "the graph",
    "home/revisions/run-1.run": CLAIM,
    "home/runs/run-1.json": RUN_RECORD,
}


@pytest.fixture
def old(uri: str, behind: Behind) -> str:
    """The address of a store as the previous version left it."""
    for key, text in FILES.items():
        behind.put(key, text.encode())
    return uri


def test_an_old_store_is_read_whole(old: str, tmp_path: Path):
    store = open_store(old)
    head = store.head("home")
    assert head is not None
    assert (head.live, head.previous) == (1, None)
    assert head.version == "2a1e1ed7f58f43fdb8f7ce50084c3893"
    (entry,) = store.history("home")
    assert (entry.revision, entry.run_id, entry.who, entry.action) == (
        1,
        "run-1",
        "ann@desk",
        "promote",
    )
    manifest = store.manifest("home", 1)
    assert (manifest.digest, manifest.run_id) == ("digest 1", "run-1")
    assert manifest.training_window["cut"] == "2026-04-01T00:00:00+00:00"
    assert anchor_of(manifest) is None
    assert read_tree(store.fetch("home", 1, tmp_path / "to")) == {"saved_model.pb": b"the graph"}
    assert store.verify("home", 1) == []
    assert store.card("home", 1) == "# home, revision 1\n"


def test_an_old_store_is_continued(old: str, stage: Stage):
    store = open_store(old)
    assert stage("run-1", digest="digest 1") == 1, "the run finds its old claim"
    assert stage("run-2") == 2
    store.promote("home", 2, expected=store.head("home"))
    assert rollback(old, "home") == (2, 1)
    assert [entry.revision for entry in store.history("home")] == [1, 2, 1]


def test_an_old_record_of_a_run_is_read(old: str):
    record = RunRecord.read(old, "home", "run-1")
    assert record is not None
    assert (record.outcome, record.revision, record.ended) == (
        "promoted",
        1,
        "2026-04-01T05:12:34Z",
    )
    assert record.verdict is not None
    assert record.verdict.values == {"candidate": {"ndcg@10": 0.25}}
    assert RunRecord.all(old, "home") == [record]
