"""Text of strangers in every place that it goes to."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile_text import FORMULA, HOSTILE, LETTERS, check_plain, raw

from setlist.errors import StoreDamagedError
from setlist.printable import LINE_LENGTH, cell, lines, markdown, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        (LETTERS, LETTERS),
        (r"C:\folder", r"C:\folder"),
        ("no-break\u00a0and\u3000wide", "no-break\u00a0and\u3000wide"),
        ("a\x1b[2J\u202eb\x9b", r"a\x1b[2J\u202eb\x9b"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("pay\u200dpal, \u200c", r"pay\u200dpal, \u200c"),
        ("blank\u3164\u2800", r"blank\u3164\u2800"),
        ("half\ud800", r"half\ud800"),
        ("tag\U000e0041", r"tag\U000e0041"),
        (0.5, "0.5"),
        (None, "None"),
    ],
)
def test_what_is_obeyed_becomes_words_and_letters_stay(text, shown):
    assert one_line(text) == shown


@given(st.text(st.characters(), max_size=60))
def test_nothing_raw_is_left_of_any_text_and_twice_is_as_once(text):
    for function in (one_line, cell, markdown):
        assert raw(function(text), keep="") == ""
        function(text).encode()
    assert raw(lines(text), keep="\n\t") == ""
    assert one_line(one_line(text)) == one_line(text)
    assert lines(lines(text)) == lines(text)


def test_a_text_of_any_length_is_cut():
    assert one_line("x" * 10, 4) == "xxx…"
    assert one_line("xxxx", 4) == "xxxx"
    for function in (one_line, cell):
        assert len(function("\x1b" * 10_000_000)) == LINE_LENGTH


def test_lines_keep_their_breaks_and_lose_their_colours():
    assert (
        lines("\x1b[1;31mred\x1b[0m\r\nnext\tx\x1b[2J\rover") == "red\nnext\tx" + r"\x1b[2J\rover"
    )
    assert lines("a\u2028b\x0bc\n") == r"a\u2028b\x0bc" + "\n"


@pytest.mark.parametrize("text", [FORMULA, "+1", "-1", "@x", " =1", "\t=1"])
def test_no_cell_is_a_formula(text):
    assert cell(text) == f"'{one_line(text)}"
    assert cell("a=1") == "a=1"


def test_an_error_is_one_line_and_its_parts_are_as_they_were():
    error = StoreDamagedError(HOSTILE, "ask\nsomebody")
    check_plain(str(error))
    assert "\n" not in str(error)
    assert "Ärger 東京" in str(error)
    assert (error.message, error.remedy) == (HOSTILE, "ask\nsomebody")
    assert len(str(StoreDamagedError("x" * 1_000_000, "y"))) < LINE_LENGTH + 10


STEP = """
import sys, warnings
sys.path[:0] = {path!r}
from tests.hostile_text import HOSTILE
from setlist.step_process import begin_step
begin_step("train")
begin_step("train")
print(HOSTILE, flush=True)
print("\\x1b[32mgreen\\x1b[0m", "ö", end="!\\n")
sys.stdout.writelines([HOSTILE, "\\n"])
warnings.warn(HOSTILE)
raise ValueError(HOSTILE)
"""


def test_whatever_a_step_prints_is_plain():
    done = subprocess.run(
        [sys.executable, "-c", STEP.format(path=sys.path)], capture_output=True, check=False
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert raw(out + err) == ""
    assert "green ö!\n" in out
    assert r"\x1b[2J" in out
    assert "ValueError: Ärger" in err
    assert "UserWarning: Ärger" in err
    assert done.returncode == 1
