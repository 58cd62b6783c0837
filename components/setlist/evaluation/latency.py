"""Whether a model answers in time, though the node on which it was timed was shared.

Neighbours can delay a request as much as they like: a model of 0.1 MB was seen to take half a
second. So a latency above its limit refuses a model only if the model is the reason for it. That is
so where its processor time alone is above the limit, and where nothing else was delayed: after each
timed request the inspection computes something that always takes as long. In between it is
undecided, and the model is timed again.
"""

from setlist.evaluation.results import Inspection
from setlist.evaluation.verdict import Outcome, Reason, not_measured

CALM = 1.5
"""The most that the reference's 99th percentile of latency is of its median on a calm node. On two
processors 1.0 to 1.4 was measured where nothing else ran, 1.6 to 4.6 beside two busy processes and
2.7 to 4.5 beside four, except where these left short requests alone: 1.0, and no request took
longer than its processor time."""


def latency_reason(
    name: str, value: float | None, processor: float | None, limit: float, inspection: Inspection
) -> Reason:
    """Whether a latency of the inspection is within its limit.

    Args:
        name: p50 or p99, as in the limits of the policy.
        value: the latency, in milliseconds; None where it was not measured.
        processor: the same percentile of processor time; None in older records.
        limit: of the policy.
        inspection: of the model.
    """
    rule = f"{name} latency at most"
    if value is None:
        return not_measured(rule, limit)
    sentence = f"{name} latency is {value:.1f} ms, at most {limit:g} ms is allowed"
    usual, worst = inspection.reference_p50_ms, inspection.reference_p99_ms
    outcome: Outcome = "pass" if value <= limit else "fail"
    if outcome == "fail" and processor is not None and usual is not None and worst is not None:
        # No division among processors makes a request faster than this.
        least = processor / inspection.processors
        if least > limit:
            sentence += (
                f"; the requests need {processor:.1f} ms of processor time on "
                f"{inspection.processors} processors, whatever else runs there"
            )
        elif worst > CALM * usual:
            outcome = "undecided"
            sentence += (
                f", but the node was busy: what usually takes {usual:.1f} ms took {worst:.1f} ms; "
                f"evaluate again where less runs beside it, or raise limits.{name}_ms"
            )
        else:
            sentence += "; the node was calm"
    return Reason(
        rule=rule,
        outcome=outcome,
        value=value,
        needed=limit,
        sentence=f"{sentence}.",
    )
