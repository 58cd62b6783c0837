"""The push under faults, over both backends; tests/benchmarks/faults.py does more of the same."""

from pathlib import Path

import pytest
from tests.faults.killed import WRITES, kill_at_every_write, kill_at_random
from tests.faults.mutations import mutate
from tests.faults.store_race import RACERS, race

pytestmark = pytest.mark.slow

ROUNDS = 20
MUTATIONS = 100
KILLS = 5


def test_of_pushes_at_once_one_wins_and_none_is_lost(uri: str, tmp_path: Path):
    found = race(uri, tmp_path, ROUNDS)
    assert found.faults == []
    assert found.winners == [1] * ROUNDS
    assert found.revisions == RACERS * ROUNDS


def test_a_push_killed_at_any_write_harms_nobody_and_is_taken_up(uri: str, tmp_path: Path):
    found = kill_at_every_write(uri, tmp_path)
    assert found.faults == []
    assert found.kills == found.unharmed == found.finished == len(WRITES)


def test_a_push_killed_at_any_moment_harms_nobody_and_is_taken_up(uri: str, tmp_path: Path):
    found = kill_at_random(uri, tmp_path, KILLS, seed=1)
    assert found.faults == []
    assert found.kills > 0
    assert found.unharmed == found.finished == KILLS


def test_all_damage_is_refused_by_name(uri: str, tmp_path: Path):
    found = mutate(uri, tmp_path, MUTATIONS, seed=1)
    assert found.accepted == []
    assert found.refused == found.served == found.made.total() == MUTATIONS
    assert len(found.made) == 13, found.made
