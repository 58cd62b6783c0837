"""The limit of latency: who is the reason that a request took long."""

import pytest
from tests.evaluations import SOUND

from setlist.evaluation.latency import latency_reason
from setlist.evaluation.results import Inspection

CALM_NODE = {"reference_p50_ms": 3.0, "reference_p99_ms": 4.5}
BUSY_NODE = {"reference_p50_ms": 3.0, "reference_p99_ms": 4.6}


def reason(latency: float, processor: float | None, limit: float = 100, **changes):
    inspection = SOUND.model_copy(update={"processors": 2, **changes})
    return latency_reason("p99", latency, processor, limit, inspection)


@pytest.mark.parametrize(
    ("latency", "processor", "node", "outcome", "said"),
    [
        (100, 1, CALM_NODE, "pass", "p99 latency is 100.0 ms, at most 100 ms is allowed."),
        (100, 900, BUSY_NODE, "pass", "allowed."),
        (101, 1, CALM_NODE, "fail", "; the node was calm."),
        (101, 1, BUSY_NODE, "undecided", "what usually takes 3.0 ms took 4.6 ms; evaluate again"),
        (101, 200, BUSY_NODE, "undecided", "or raise limits.p99_ms."),
        (101, 201, BUSY_NODE, "fail", "need 201.0 ms of processor time on 2 processors"),
        (101, 201, CALM_NODE, "fail", "of processor time"),
    ],
)
def test_above_the_limit_the_reason_decides(latency, processor, node, outcome, said):
    found = reason(latency, processor, **node)
    assert found.outcome == outcome
    assert said in found.sentence
    assert (found.rule, found.value, found.needed) == ("p99 latency at most", latency, 100)


def test_an_older_record_is_judged_as_it_was():
    document = {"faults": [], "requests": 9, "reach": 1, "p50_ms": 1, "p99_ms": 20, "size_mb": 3}
    older = Inspection.model_validate(document)
    for limit, outcome in ((20, "pass"), (19, "fail")):
        found = latency_reason("p99", older.p99_ms, older.processor_p99_ms, limit, older)
        assert found.outcome == outcome
        assert found.sentence == f"p99 latency is 20.0 ms, at most {limit} ms is allowed."
