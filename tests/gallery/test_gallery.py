"""Every rogue is refused by its own rule, and goes live without it; the honest ones pass."""

from dataclasses import replace

import pytest
from tests.gallery.cases import ROGUES, UNFIT, Case
from tests.gallery.honest import HONEST
from tests.gallery.table import markdown
from tests.gallery.trial import broken, error, without

pytestmark = pytest.mark.slow

SEEN_BY_SEVERAL = {
    "hits_of_one_region",
    "the_same_ten",
    "random_order",
    "constant_scores",
    "shuffled_ids",
    "lists_what_was_heard",
    "knows_when_it_is_tested",
    "loses_to_a_learner_of_one_second",
}


@pytest.mark.parametrize("crime", ROGUES)
def test_refused(trial, crime):
    verdict = trial.verdicts[crime]
    assert verdict.decision in ("reject", "undecided")
    assert verdict.ships == ""
    rules, own = broken(verdict), ROGUES[crime].own
    assert {rule for rule in rules if not rule.startswith(own)} == set()
    for meant in own:
        assert any(rule.startswith(meant) for rule in rules), meant
    assert (len(rules) == 1) == (crime not in SEEN_BY_SEVERAL)


@pytest.mark.parametrize("crime", ROGUES)
def test_promoted_without_its_own_rule(trial, crime):
    assert without(ROGUES[crime], trial.verdicts[crime].reasons) == "promote"


@pytest.mark.parametrize("crime", UNFIT)
def test_cannot_even_be_evaluated(world, crime):
    case, said = UNFIT[crime]
    assert said in error(world, case)


@pytest.mark.parametrize("name", HONEST)
def test_honest_and_promoted(trial, name):
    verdict = trial.verdicts[name]
    assert broken(verdict) == set()
    assert (verdict.decision, verdict.ships) == ("promote", name)


def test_what_the_data_cannot_tell_is_no_rejection(trial):
    assert trial.verdicts["a_hair_better"].decision == "undecided"


@pytest.mark.parametrize("case", [*ROGUES.values(), *HONEST.values()], ids=lambda case: case.name)
def test_departure_from_the_default_is_told(case):
    usual = Case(case.name, case.does, case.export, case.own)
    assert (replace(case, but="") == usual) == (case.but == "")


def test_table_has_a_row_for_every_model(trial):
    lines = markdown(trial).splitlines()
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]]
    assert names == [name.replace("_", " ") for name in (*ROGUES, *UNFIT, *HONEST)]
    assert "**" not in "".join(lines)
