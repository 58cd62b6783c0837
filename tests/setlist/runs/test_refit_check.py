"""What is refused as a refit; the whole check runs on a real one in `setlist run`'s own test."""

import numpy as np
import pandas as pd
import pytest
from tests.evaluations import SOUND, evaluated, evaluation

from setlist.errors import SetlistError
from setlist.evaluation.policy import Limits, Policy
from setlist.models.contract import EMPTY, FOREIGN
from setlist.runs.refit_check import check_lists, check_serving, mean_overlap

BUSY = {"processor_p99_ms": 1.0, "reference_p50_ms": 2.0, "reference_p99_ms": 9.0}


def codes(*lists):
    return np.array(lists, np.int32)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ([[1, 2, 3, 4]], [[4, 3, 2, 1]], 1.0),
        ([[1, 2, 3, 4]], [[1, 2, 8, 9]], 0.5),
        ([[1, 2, 3, 4]], [[5, 6, 7, 8]], 0.0),
        ([[1, 2, 3, 4], [1, 2, EMPTY, EMPTY]], [[1, 2, 8, 9], [2, 1, 3, 4]], 0.75),
        ([[1, 2, 3, 4], [EMPTY] * 4], [[1, 2, 8, 9], [1, 2, 3, 4]], 0.5),
        ([[1, 2, 3, 4]], [[EMPTY] * 4], 0.0),
        ([[1, FOREIGN, FOREIGN, EMPTY]], [[1, FOREIGN, FOREIGN, EMPTY]], 1.0),
    ],
)
def test_overlap_by_hand(before, after, share):
    assert mean_overlap(codes(*before), codes(*after)) == share


def test_nobody_had_a_list_and_nothing_changed():
    assert mean_overlap(codes([EMPTY, EMPTY]), codes([1, 2])) == 1.0


def test_lists_that_changed_too_much_are_refused():
    kind = pd.Series(["light", "heavy"])
    before, after = codes([1, 2], [1, 2]), codes([1, 9], [2, 9])
    check_lists(before, after, kind, 0.5, 0.5)
    with pytest.raises(SetlistError, match=r"^refit: the top 10 .* are 0.500 those .* \(0.51\)"):
        check_lists(before, after, kind, 0.5, 0.51)


def test_a_class_of_listeners_left_without_lists_is_refused_whatever_the_overlap():
    kind = pd.Series(["light", "newcomer", "heavy", "newcomer"])
    before = codes([1, 2], [1, 2], [1, 2], [EMPTY, EMPTY])
    check_lists(before, codes([1, 2], [3, EMPTY], [1, 2], [1, 2]), kind, 1.0, 0.0)
    for last in ([EMPTY, EMPTY], [1, 2]):  # who had none before does not make up for it
        after = codes([1, 2], [EMPTY, EMPTY], [1, 2], last)
        with pytest.raises(SetlistError, match="lists nothing for any newcomer listener"):
            check_lists(before, after, kind, 1.0, 0.0)


def test_who_never_had_lists_is_not_missed():
    before, after = codes([EMPTY], [1]), codes([EMPTY], [1])
    check_lists(before, after, pd.Series(["newcomer", "light"]), 1.0, 0.0)


@pytest.mark.parametrize(
    ("inspection", "limits", "said"),
    [
        (SOUND, {}, ""),
        (SOUND, {"p99_ms": 20}, ""),
        (SOUND, {"p99_ms": 19}, "p99 latency is 20.0 ms, at most 19 ms is allowed"),
        (SOUND.model_copy(update=BUSY), {"p99_ms": 20}, ""),
        (SOUND.model_copy(update=BUSY), {"p99_ms": 19}, "but the node was busy"),
        (SOUND, {"size_mb": 2}, "size is 3.0 MB"),
        (SOUND.model_copy(update={"faults": ["an empty history: NaN"]}), {}, "history: NaN"),
    ],
)
def test_what_is_not_fit_to_serve_is_refused(tmp_path, inspection, limits, said):
    written = evaluation([evaluated("candidate")], 1)
    (tmp_path / "evaluation.json").write_text(written.model_dump_json())
    policy = Policy(limits=Limits(**limits))
    if not said:
        check_serving(inspection, tmp_path, policy)
    else:
        with pytest.raises(SetlistError, match=f"^refit: .* not fit to serve .*{said}"):
            check_serving(inspection, tmp_path, policy)
