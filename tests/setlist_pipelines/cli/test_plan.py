"""`setlist plan`: what it prints, what it refuses, and the page of the docs that it fills."""

import re

import pytest
import yaml
from tests.cases.cost_page import BLOCK, PAGE, printed

from setlist_pipelines.settings.cost_table import COSTS
from setlist_pipelines.settings.platform import Platform

MILLION = ("--listeners", "1_000_000", "--items", "100_000", "--plays", "50_000_000")


def rows(out):
    """CPU hours, memory and disk by the first column of the table."""
    row = re.compile(r"^(\S.*?) +([\d.,]+) +([\d.,]+) +([\d.,]+)(?:   .+)?$", re.MULTILINE)
    return {
        found[0]: [float(text.replace(",", "")) for text in found[1:]] for found in row.findall(out)
    }


def test_the_table_has_every_step_and_adds_up(setlist):
    done = setlist("plan", *MILLION)
    assert done.code == 0, done.err
    assert done.out.startswith("1,000,000 listeners, 100,000 items and 50,000,000 plays\n")
    found = rows(done.out)
    assert set(found) == set(COSTS) - {"read"} | {"a run"}
    total, steps = found.pop("a run"), [own for step, own in found.items() if step != "serve"]
    columns = list(zip(*steps, strict=True))
    rounding = 0.005 * (len(steps) + 1)
    assert total[0] == pytest.approx(sum(columns[0]), abs=rounding)
    assert total[1] == max(columns[1])
    assert total[2] == pytest.approx(sum(columns[2]), abs=rounding)


def test_what_is_to_be_set_is_yaml_of_the_settings(setlist):
    out = setlist("plan", *MILLION, "--memory", "10_000").out
    section = out[out.index("platform:") : out.index("\ntraining reads")]
    platform = Platform.model_validate(yaml.safe_load(section)["platform"])
    assert "evaluate" in platform.steps


def test_nothing_to_set_is_told_from_nothing_that_helps(setlist):
    assert "to set: nothing, since no step" in setlist("plan", *MILLION, "--memory", "1").out


def test_what_is_bounded_is_said(setlist):
    out = setlist("plan", *MILLION).out
    assert "training reads 20,000,000 plays, those of 40.00% of the listeners" in out
    assert "evaluation asks for 200,000 of the listeners" in out
    small = setlist("plan", "--listeners", "1000", "--items", "100", "--plays", "5000").out
    assert "to set: nothing\n" in small
    assert "training reads" not in small
    assert "evaluation asks" not in small


def test_limits_stand_in_their_order_up_to_the_first_beyond_this_size(setlist):
    out = setlist("plan", *MILLION, "--memory", "32", "--hours", "12").out
    assert "by a machine with 32 GB and 12 hours of CPU a step\n" in out
    found = [
        float(text.replace(",", ""))
        for text in re.findall(r"^  at (\S+) of this size", out, re.MULTILINE)
    ]
    _, *machine = found
    assert machine == sorted(machine)
    assert machine[-1] > 1
    assert all(factor <= 1 for factor in machine[:-1])
    first = float(
        re.search(r"by a machine.*\n  at (\S+) of", setlist("plan", *MILLION, "--memory", "8").out)[
            1
        ]
    )
    assert first < machine[0], "a smaller machine is met sooner"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--listeners": "0"}, "--listeners 0: that is too few; give at least 1."),
        ({"--items": "1"}, "--items 1: a model needs two to choose from; give at least 2."),
        (
            {"--plays": "999_999"},
            "--plays 999,999: every listener has played something; give at least 1,000,000.",
        ),
        ({"--memory": "0.5"}, "--memory 0.5: that is too few; give at least 1."),
        ({"--hours": "0"}, "--hours 0.0: that is too few; give at least 1."),
    ],
)
def test_numbers_that_mean_nothing_are_refused_in_one_sentence(setlist, change, sentence):
    options = dict(zip(MILLION[::2], MILLION[1::2], strict=True)) | change
    done = setlist("plan", *[word for option in options.items() for word in option])
    assert (done.code, done.out, done.err) == (1, "", f"setlist: {sentence}\n")


def test_the_page_holds_what_the_command_prints():
    page = PAGE.read_text("utf-8")
    assert len(BLOCK.findall(page)) == 3
    assert printed(page) == page, "write it anew with python tests/cases/cost_page.py"
