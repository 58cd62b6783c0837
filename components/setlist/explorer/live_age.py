"""How old the live model of a name is, and whether it should be replaced."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from setlist.data.schema import parse_instant
from setlist.evaluation.verdict import Verdict
from setlist.store.manifest import Manifest, Pointer

DEFAULT_PROOF = timedelta(days=14)
"""How old the data of a live model may be if the length of its test period is not known."""


@dataclass(frozen=True)
class LiveAge:
    """How old the live model is.

    Attributes:
        since: UTC, when it went live; None if HEAD remembers no promotion of it.
        data_end: UTC, the end of its training data; None if its manifest does not hold it.
        proven: the length of its test period; None if its verdict does not hold it.
        stale: why and how the model should be replaced; "" if it need not be.
    """

    revision: int
    since: datetime | None
    data_end: datetime | None
    proven: timedelta | None
    stale: str


def live_age(
    source: str,
    pointer: Pointer,
    manifest: Manifest | None,
    verdict: Verdict | None,
    now: datetime,
) -> LiveAge:
    """How old the live model is; its manifest is None if that is damaged."""
    revision = pointer.live
    model = f"the live model, revision {revision} of {pointer.name},"
    times = [promotion.when for promotion in pointer.promotions if promotion.revision == revision]
    since = instant(times[-1], f"{source}/HEAD: promotions.when") if times else None
    end = manifest.training_window.get("end") if manifest else None
    data_end = None
    if end:
        data_end = instant(end, f"{source} revision {revision}: training_window.end")
    proven = None
    if verdict and {"cut", "end"} <= set(verdict.window):
        key = f"{source} revision {revision}: window"
        test_start, test_end = (
            instant(verdict.window[edge], f"{key}.{edge}") for edge in ("cut", "end")
        )
        proven = test_end - test_start
    limit = proven or DEFAULT_PROOF
    if data_end is None:
        stale = f"It is not known where the data of {model} end; train anew with `setlist run`."
    elif now - data_end > limit:
        bound = f"the {duration_text(limit)} on which it was tested"
        if proven is None:
            bound = f"{duration_text(limit)}, the bound for a model whose test period is not known"
        stale = (
            f"The data of {model} end {duration_text(now - data_end)} ago ({data_end:%Y-%m-%d}), "
            f"longer than {bound}; train on newer data with `setlist run`, or see why the runs "
            "since were refused or failed."
        )
    else:
        stale = ""
    return LiveAge(revision, since, data_end, proven, stale)


def duration_text(duration: timedelta) -> str:
    """A duration as text: minutes up to two hours, hours up to two days, then days and tenths."""
    hours = duration / timedelta(hours=1)
    if hours < 2:
        number, unit = round(60 * hours, 0), "minute"
    elif hours < 48:
        number, unit = round(hours, 0), "hour"
    else:
        number, unit = round(hours / 24, 1), "day"
    return f"{number:,g} {unit}{'s' * (number != 1)}"


def instant(text: str, key: str) -> datetime:
    """The moment that a document has under a key.

    Raises:
        DataError: it is none.
    """
    return parse_instant(text, key).to_pydatetime()
