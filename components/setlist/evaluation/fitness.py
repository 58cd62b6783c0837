"""Whether a model is fit to serve: it answers, in time, and is no larger than allowed."""

from collections.abc import Iterator

from setlist.errors import EvaluationError
from setlist.evaluation.case import Case
from setlist.evaluation.latency import latency_reason
from setlist.evaluation.results import Inspection
from setlist.evaluation.verdict import Reason


def fit_to_serve(case: Case) -> Iterator[Reason]:
    """The candidate answers sound and hostile requests, within the limits of time and size.

    Raises:
        EvaluationError: when the candidate was not inspected.
    """
    inspection, limits = case.candidate.inspection, case.policy.limits
    if case.candidate.source == "lists":  # "not asked", in the verdict
        return
    if inspection is None:
        raise EvaluationError(
            f"{case.folder / 'evaluation.json'}: {case.candidate.label} was not inspected in a "
            "fresh process",
            "evaluate the models again",
        )
    yield Reason(
        rule="serves as evaluated",
        outcome="fail" if inspection.faults else "pass",
        value=len(inspection.faults),
        needed=0,
        sentence="; ".join(inspection.faults[:3]) + "."
        if inspection.faults
        else f"a fresh process got the evaluated answers to {inspection.requests:,} requests, and "
        f"sound ones to hostile requests{_limits_missing(inspection)}.",
    )
    for name, value, processor, limit in (
        ("p50", inspection.p50_ms, inspection.processor_p50_ms, limits.p50_ms),
        ("p99", inspection.p99_ms, inspection.processor_p99_ms, limits.p99_ms),
    ):
        if limit is not None:
            yield latency_reason(name, value, processor, limit, inspection)
    if limits.size_mb is not None:
        yield Reason(
            rule="size at most",
            outcome="pass" if inspection.size_mb <= limits.size_mb else "fail",
            value=inspection.size_mb,
            needed=limits.size_mb,
            sentence=f"size is {inspection.size_mb:.1f} MB, at most {limits.size_mb:g} MB is "
            "allowed.",
        )


def _limits_missing(inspection: Inspection) -> str:
    return f"; it was not confined: {inspection.unconfined}" if inspection.unconfined else ""
