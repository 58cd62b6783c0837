"""What the server says about a store whose documents a stranger wrote: its log and its metrics."""

from pathlib import Path

import pytest
from tests.hostile_text import HOSTILE, check_plain
from tests.setlist.serving.processes import serving
from tests.waiting import until

from setlist.store.manifest import Pointer, Promotion
from setlist.store.objects import open_objects

pytestmark = pytest.mark.slow


def test_the_log_and_the_metrics_of_a_server_are_plain(tmp_path: Path) -> None:
    store = tmp_path / "store"
    promotion = Promotion.model_construct(
        revision=1, when=HOSTILE, run_id=HOSTILE, who=HOSTILE, why=HOSTILE, action="promote"
    )
    pointer = Pointer.model_construct(
        name=HOSTILE,
        move=HOSTILE,
        live=1,
        live_manifest="0" * 64,
        previous=None,
        previous_manifest=None,
        promotions=[promotion],
        retired=[],
        number=1,
        origin=HOSTILE,
    )
    open_objects(str(store)).write("home/HEAD", pointer.to_bytes(), expected=None)
    arguments = ("--store", str(store), "--folder", str(tmp_path / "kept"), "--every", "0.2s")
    with serving(*arguments) as server:
        until(lambda: any("Ärger" in line for _, line in server.lines))
        _, metrics = server.get("/metrics")
        status, health = server.get("/healthz")
    assert status == 200
    assert "Ärger" in str(health)
    check_plain(metrics)
    check_plain(str(health))
    check_plain("\n".join(line for _, line in server.lines))
