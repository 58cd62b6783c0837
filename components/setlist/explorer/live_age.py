"""How old the live model of a name is, and whether it should be replaced."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from setlist.data.schema import parse_instant
from setlist.evaluation.verdict import Verdict
from setlist.runs.promotion import REFRESHED
from setlist.store.manifest import Manifest, Pointer

DEFAULT_PROOF = timedelta(days=14)
"""How old the data of a live model may be if the length of its test period is not known."""


@dataclass(frozen=True)
class LiveAge:
    """How old the live model is.

    Its run saw data up to `as_of`, the end of its test period: that a model is trained on the days
    before the test period alone does not make it old.

    Attributes:
        since: UTC, when it went live; None if HEAD remembers no promotion of it.
        data_end: UTC, the end of its training data; None if its manifest does not hold it.
        as_of: UTC, the end of the newest data that its run saw; None if that is not known.
        proven: the length of its test period; None if its verdict does not hold it.
        fixed: whether its run was of a moment in the past, chosen by a person: at its end the data
            were older already than `proven`. Such a model is no older today than on its first day.
        stale: why and how the model should be replaced; "" if it need not be.
    """

    revision: int
    since: datetime | None
    data_end: datetime | None
    as_of: datetime | None
    proven: timedelta | None
    fixed: bool
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
    source = f"{source} revision {revision}"
    end = manifest.training_window.get("end") if manifest else None
    data_end = instant(end, f"{source}: training_window.end") if end else None
    test_end = proven = None
    if verdict and {"cut", "end"} <= set(verdict.window):
        test_start, test_end = (
            instant(verdict.window[edge], f"{source}: window.{edge}") for edge in ("cut", "end")
        )
        proven = test_end - test_start
    limit = proven or DEFAULT_PROOF
    if manifest is None or data_end is None:
        stale = f"It is not known where the data of {model} end; train anew with `setlist run`."
        return LiveAge(revision, since, data_end, None, proven, fixed=False, stale=stale)
    created = instant(manifest.created, f"{source}: created")
    # A test period without an end goes on for as long as there are data.
    as_of = min(max(data_end, test_end or data_end), created)
    # A refresh has the verdict of another revision, and a moment of its own.
    moment = manifest.metadata.get(REFRESHED)
    chosen = instant(moment, f"{source}: {REFRESHED}") if isinstance(moment, str) else as_of
    fixed = created - chosen > limit
    stale = ""
    if not fixed and now - as_of > limit:
        bound = f"the {duration_text(limit)} on which it was tested"
        if proven is None:
            bound = f"{duration_text(limit)}, the bound for a model whose test period is not known"
        stale = (
            f"The data of the run that made {model} end {duration_text(now - as_of)} ago "
            f"({as_of:%Y-%m-%d}), longer than {bound}; train on newer data with `setlist run`, or "
            "see why the runs since were refused or failed."
        )
    return LiveAge(revision, since, data_end, as_of, proven, fixed, stale)


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
