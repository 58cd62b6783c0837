"""What became of every run of a model, what it measured, and how old the live model is.

One entry a run or revision, and one for each promotion or rollback that no run did by itself. All
of it comes out of the store: HEAD, the manifests, the records of runs, and the verdicts in both.
Sentences are other people's text: here they are data only, and who shows them escapes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import ValidationError

from setlist.data.schema import parse_instant
from setlist.errors import SetlistError
from setlist.evaluation.verdict import Verdict, decide
from setlist.runs.promotion import REFRESH_OF
from setlist.runs.record import RunRecord
from setlist.store.manifest import Manifest, Pointer
from setlist.store.model_store import open_store

Outcome = Literal[
    "promoted", "staged", "refused", "undecided", "failed", "nothing new", "promotion", "rollback"
]
"""Of a run; `promotion` and `rollback` are what a person did."""
Place = Literal["live", "previous", ""]
ASSUMED = timedelta(days=14)
"""How long a model is taken to hold where the period that it was proven on is not known."""


@dataclass(frozen=True)
class Entry:
    """One line of the history."""

    when: datetime
    """UTC: when the run ended, the revision was made, or the person acted."""
    outcome: Outcome
    run_id: str
    sentence: str
    revision: int | None = None
    place: Place = ""
    """Of the revision in HEAD today; "" for what a person did."""
    who: str = ""
    """The person; "" for a run."""
    window: dict[str, str] = field(default_factory=dict)
    """ISO text: the start, cut and end of the evaluation, or else the start and end of what the
    revision learned from, or else {}."""
    verdict: Verdict | None = None
    """On the run's own candidate; None where nothing was judged."""

    def value(self, metric: str, role: str) -> tuple[str, float] | None:
        """The label of a model of the run's evaluation, and its value; None where it has none.

        Args:
            metric: such as "ndcg@10".
            role: candidate, live, anchor, or heuristic for the best one by the gate's own metric.
        """
        if self.verdict is None:
            return None
        values, primary = self.verdict.values, self.verdict.primary
        labels = sorted(one for one, part in self.verdict.roles.items() if part == role)
        if role == "heuristic":
            labels = [one for one in labels if primary in values.get(one, {})]
            labels = [max(labels, key=lambda one: values[one][primary])] if labels else []
        found = [(one, values[one][metric]) for one in labels if metric in values.get(one, {})]
        return found[0] if found else None

    @property
    def judgement(self) -> str:
        """What the gate said of the candidate; "" where nothing was judged.

        promoted, staged, refused or undecided.
        It is not the outcome where a heuristic went live in the candidate's place.
        """
        if self.verdict is None:
            return ""
        decision = self.verdict.decision
        if self.verdict.roles.get(self.verdict.ships) == "heuristic":
            decision = decide(self.verdict.reasons)
        if decision == "promote":
            return "staged" if self.verdict.mode == "manual" else "promoted"
        return "refused" if decision == "reject" else "undecided"


@dataclass(frozen=True)
class Live:
    """How old the live model is."""

    revision: int
    since: datetime | None
    """UTC; None where HEAD remembers no promotion of it."""
    data_end: datetime | None
    """UTC, the end of what it learned from; None where its manifest does not say."""
    proven: timedelta | None
    """The length of the period that it was judged on; None where its verdict does not say."""
    stale: str
    """Why it should be replaced, and how, in plain text; "" while it need not be."""


@dataclass(frozen=True)
class History:
    """What became of every run of a name."""

    name: str
    entries: list[Entry]
    """Oldest first."""
    live: Live | None
    """None while nothing is."""
    faults: list[str]
    """One sentence for each revision that cannot be read."""

    @classmethod
    def read(cls, store: str, name: str, now: datetime) -> Self:
        """The history of a name; without entries where there is nothing.

        What persons did is known of the last 50 promotions: HEAD remembers no more.

        Args:
            store: a local folder or gs://bucket/prefix.
            name: of the model in the store.
            now: the moment, with its zone, from which the age is counted.

        Raises:
            SetlistError: when the store or HEAD cannot be read, a record of a run is damaged (it
                is named), or a date in a document is none.
        """
        models = open_store(store)
        # In this order whatever a document names is there when it is looked for.
        pointer, _ = models.read_pointer(name)
        records = RunRecord.all(store, name)
        found = models.manifests(name)
        faults = [str(one) for one in found.values() if isinstance(one, SetlistError)]
        manifests = {one.revision: one for one in found.values() if isinstance(one, Manifest)}
        verdicts: dict[int, Verdict] = {}
        for revision, manifest in manifests.items():
            try:
                if said := manifest.metadata.get("verdict"):
                    verdicts[revision] = Verdict.model_validate(said)
            except ValidationError:
                faults.append(
                    f"store {store}: the verdict in the manifest of {name} revision {revision} "
                    "cannot be read; stage the model again."
                )
        entries = list(_entries(f"store {store}: {name}", records, manifests, verdicts, pointer))
        live = None
        if pointer:
            now_live = manifests.get(pointer.live), verdicts.get(pointer.live)
            live = _live(f"store {store}: {name}", pointer, *now_live, now)
        return cls(name, sorted(entries, key=lambda one: one.when), live, faults)

    @property
    def metrics(self) -> list[str]:
        """The metrics that any run has values of; the gate's own in the latest one comes first."""
        judged = [one.verdict for one in reversed(self.entries) if one.verdict]
        known = [one for one in judged if one.values]
        every = [metric for one in known for values in one.values.values() for metric in values]
        return list(dict.fromkeys([*(one.primary for one in known[:1]), *every]))


def _entries(
    place: str,
    records: list[RunRecord],
    manifests: dict[int, Manifest],
    verdicts: dict[int, Verdict],
    pointer: Pointer | None,
) -> Iterator[Entry]:
    """One for each record, for each revision that no record tells of, and for each event."""
    promotions = pointer.promotions if pointer else []
    left = {one.run_id: one for one in manifests.values()}
    own: set[int | None] = set()
    for record in records:
        manifest = left.pop(record.run_id, None)
        # A run that failed after its push has a revision that its record does not know.
        revision = record.revision or (manifest.revision if manifest else None)
        if record.outcome == "promoted":
            own.add(revision)
        verdict = record.verdict or verdicts.get(revision or 0)
        yield Entry(
            when=_moment(record.ended, f"{place}/runs/{record.run_id}.json: ended"),
            outcome=_outcome(record),
            run_id=record.run_id,
            sentence=record.sentence,
            revision=revision,
            place=_place(revision, pointer),
            window=_window(verdict, manifest),
            verdict=verdict,
        )
    for manifest in left.values():
        refreshed = manifest.metadata.get(REFRESH_OF)
        verdict = verdicts.get(manifest.revision) if refreshed is None else None
        went = any(one.revision == manifest.revision for one in promotions)
        if went and verdict and verdict.mode == "auto":
            own.add(manifest.revision)
        yield Entry(
            when=_moment(manifest.created, f"{place} revision {manifest.revision}: created"),
            outcome="promoted" if manifest.revision in own else "staged",
            run_id=manifest.run_id,
            sentence=f"Revision {refreshed} over newer items; nothing was trained or judged."
            if refreshed is not None
            else (verdict.sentence if verdict else "There is no record of its run."),
            revision=manifest.revision,
            place=_place(manifest.revision, pointer),
            window=_window(verdict, manifest),
            verdict=verdict,
        )
    for one in promotions:
        if one.action == "promote" and one.revision in own:
            own.remove(one.revision)  # that one was the run's; the next is somebody's
            continue
        yield Entry(
            when=_moment(one.when, f"{place}/HEAD: promotions.when"),
            outcome="rollback" if one.action == "rollback" else "promotion",
            run_id=one.run_id,
            sentence=one.why,
            revision=one.revision,
            who=one.who,
        )


def _outcome(record: RunRecord) -> Outcome:
    if record.outcome == "nothing_new":
        return "nothing new"
    refused = record.outcome == "refused" and record.verdict
    return "undecided" if refused and refused.decision == "undecided" else record.outcome


def _place(revision: int | None, pointer: Pointer | None) -> Place:
    if revision is None or pointer is None:
        return ""
    if revision == pointer.live:
        return "live"
    return "previous" if revision == pointer.previous else ""


def _window(verdict: Verdict | None, manifest: Manifest | None) -> dict[str, str]:
    return (verdict.window if verdict else {}) or (manifest.training_window if manifest else {})


def _live(
    place: str, pointer: Pointer, manifest: Manifest | None, verdict: Verdict | None, now: datetime
) -> Live:
    """How old the live model is; its manifest is None where that is damaged."""
    revision, which = pointer.live, f"the live model, revision {pointer.live} of {pointer.name},"
    when = [one.when for one in pointer.promotions if one.revision == revision]
    since = _moment(when[-1], f"{place}/HEAD: promotions.when") if when else None
    said = manifest.training_window.get("end") if manifest else None
    data_end = _moment(said, f"{place} revision {revision}: training_window.end") if said else None
    proven = None
    if verdict and {"cut", "end"} <= set(verdict.window):
        key = f"{place} revision {revision}: window"
        cut, end = (_moment(verdict.window[one], f"{key}.{one}") for one in ("cut", "end"))
        proven = end - cut
    limit = proven or ASSUMED
    if data_end is None:
        stale = f"Nothing says where the data of {which} end; train anew with `setlist run`."
    elif now - data_end > limit:
        bound = f"the {duration(limit)} on which it was proven"
        if proven is None:
            bound = (
                f"{duration(limit)}, the bound where the period that it was proven on is not known"
            )
        stale = (
            f"The data of {which} end {duration(now - data_end)} ago ({data_end:%Y-%m-%d}), longer "
            f"than {bound}; train on newer data with `setlist run`, or see why the runs since "
            "were refused or failed."
        )
    else:
        stale = ""
    return Live(revision, since, data_end, proven, stale)


def duration(time: timedelta) -> str:
    """Words for a time: minutes up to two hours, hours up to two days, then days and tenths."""
    hours = time / timedelta(hours=1)
    if hours < 2:
        number, unit = round(60 * hours, 0), "minute"
    elif hours < 48:
        number, unit = round(hours, 0), "hour"
    else:
        number, unit = round(hours / 24, 1), "day"
    return f"{number:,g} {unit}{'s' * (number != 1)}"


def _moment(text: str, key: str) -> datetime:
    return parse_instant(text, key).to_pydatetime()
