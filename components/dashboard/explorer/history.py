"""What became of every run of a model, what it measured, and how old the live model is.

One entry a run or revision, and one for each promotion or rollback that no run did by itself. All
of it comes out of the store: HEAD, the manifests, the records of runs, and the verdicts in both.
Sentences are other people's text: here they are data only, and who shows them escapes them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Self

import altair as alt
import pandas as pd
from pydantic import ValidationError

from components.data.schema import parse_instant
from components.errors import SetlistError
from components.evaluation.verdict import Verdict, decide
from components.promotion import REFRESH_OF
from components.record import RunRecord
from components.store.manifest import Manifest, Pointer
from components.store.store import open_store

Outcome = Literal[
    "promoted", "staged", "refused", "undecided", "failed", "nothing new", "promotion", "rollback"
]
"""Of a run; `promotion` and `rollback` are what a person did."""
Place = Literal["live", "previous", ""]
ASSUMED = timedelta(days=14)
"""How long a model is taken to hold where the period that it was proven on is not known."""
LOOKS = {
    # Colours that colour-blind people tell apart (Okabe and Ito), at least 3:1 on white and on
    # black; the shapes say the same without any.
    "promoted": ("#0072B2", "circle"),
    "staged": ("#009E73", "square"),
    "refused": ("#D55E00", "cross"),
    "undecided": ("#CC79A7", "diamond"),
}
LIVE, HEURISTIC = "live in that evaluation", "best heuristic"
GREY = "#808080"
COLUMNS = {
    "ended": "datetime64[us, UTC]",
    "outcome": "str",
    "revision": "Int64",
    "now": "str",
    "candidate": "float64",
    "live then": "float64",
    "best heuristic": "float64",
    "its name": "str",
    "learned from": "str",
    "judged on": "str",
    "sentence": "str",
    "run": "str",
    "who": "str",
}
TOOLTIP = ("model", "what", "worth", "ended", "run", "revision", "sentence")


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
        """What the gate said of the candidate, a key of LOOKS; "" where nothing was judged.

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
        pointer, _ = models.look(name)
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


def table(history: History, metric: str) -> pd.DataFrame:
    """The history for people, newest first, one row an entry.

    The columns are COLUMNS: `now` says what the revision is in HEAD; `candidate`, `live then` and
    `best heuristic` are the metric's values in the run's evaluation, or missing, `its name` is the
    heuristic's; `learned from` and `judged on` are days as text; `who` is only set for persons.
    """
    rows = []
    for one in reversed(history.entries):
        candidate, live, best = (
            one.value(metric, role) or ("", None) for role in ("candidate", "live", "heuristic")
        )
        learned = _period(one.window, "start", "cut" if "cut" in one.window else "end")
        judged = _period(one.window, "cut", "end")
        found = (one.when, one.outcome, one.revision, one.place, candidate[1], live[1], best[1])
        rows.append((*found, best[0], learned, judged, one.sentence, one.run_id, one.who))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def chart(history: History, metric: str) -> alt.LayerChart:
    """A metric over the ends of runs: every candidate, what was live beside it, the best heuristic.

    Each evaluation has a test period of its own, so a step that all three make is the period's.
    How many runs have no value is said below the title.
    """
    points = list(_points(history, metric))
    runs = [one for one in history.entries if one.outcome not in ("promotion", "rollback")]
    without = sum(one.value(metric, "candidate") is None for one in runs)
    base = alt.Chart().encode(
        x=alt.X(
            field="time",
            type="temporal",
            title="end of the run (UTC)",
            axis=alt.Axis(format="%Y-%m-%d %H:%M", tickCount=5),
            scale=_span(points),
        ),
        y=alt.Y(field="value", type="quantitative", title=None, scale=alt.Scale(zero=False)),
        tooltip=[alt.Tooltip(field=one, type="nominal", title=one) for one in TOOLTIP],
    )
    lines = base.properties(data=_data(points, (LIVE, HEURISTIC))).mark_line(
        color=GREY, point=alt.OverlayMarkDef(color=GREY, size=20)
    )
    candidates = base.properties(data=_data(points, LOOKS)).mark_point(
        filled=True, size=110, opacity=1
    )
    legend = alt.Legend(title="candidate", orient="bottom")
    colours, shapes = (
        alt.Scale(domain=list(LOOKS), range=[look[part] for look in LOOKS.values()])
        for part in (0, 1)
    )
    dashes = alt.Scale(domain=[LIVE, HEURISTIC], range=[[1, 0], [5, 4]])
    said = f"{without:,} of {len(runs):,} runs have no value." if without else ""
    return alt.LayerChart(
        layer=[
            lines.encode(
                strokeDash=alt.StrokeDash(
                    field="what",
                    type="nominal",
                    scale=dashes,
                    legend=alt.Legend(
                        title="beside it", orient="bottom", symbolType="stroke", symbolSize=500
                    ),
                )
            ),
            candidates.encode(
                color=alt.Color(field="what", type="nominal", scale=colours, legend=legend),
                shape=alt.Shape(field="what", type="nominal", scale=shapes, legend=legend),
            ),
        ],
        title=alt.TitleParams(text=[metric], subtitle=[said], subtitleColor=GREY, anchor="start"),
    ).resolve_legend(strokeDash="independent", color="independent", shape="independent")


def _points(history: History, metric: str) -> Iterator[dict[str, str | float]]:
    """The rows of the chart: up to three a run."""
    for one in history.entries:
        for role, what in (("candidate", one.judgement), ("live", LIVE), ("heuristic", HEURISTIC)):
            if found := one.value(metric, role):
                yield {
                    "time": one.when.isoformat(),
                    "value": found[1],
                    "what": what,
                    "model": found[0],
                    "worth": f"{found[1]:.4f}",
                    "ended": f"{one.when:%Y-%m-%d %H:%M} UTC",
                    "run": one.run_id,
                    "revision": str(one.revision or "none"),
                    "sentence": one.sentence,
                }


def _data(points: list[dict[str, str | float]], whats: Iterable[str]) -> alt.InlineData:
    """Those rows as plain values: a table would be cut off at 5,000."""
    wanted = set(whats)
    return alt.InlineData(values=[one for one in points if one["what"] in wanted])


def _span(points: list[dict[str, str | float]]) -> alt.Scale:
    """From the first to the last point with some room, which a single one needs, too."""
    if not points:
        return alt.Scale(type="utc")
    times = [pd.Timestamp(str(one["time"])) for one in points]
    room = max((max(times) - min(times)) / 20, pd.Timedelta(hours=12))
    ends = [(min(times) - room).isoformat(), (max(times) + room).isoformat()]
    return alt.Scale(type="utc", domain=ends)


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
        bound = f"the {_days(limit)} on which it was proven"
        if proven is None:
            bound = f"{_days(limit)}, the bound where the period that it was proven on is not known"
        stale = (
            f"The data of {which} end {_days(now - data_end)} ago ({data_end:%Y-%m-%d}), longer "
            f"than {bound}; train on newer data with `setlist run`, or see why the runs since "
            "were refused or failed."
        )
    else:
        stale = ""
    return Live(revision, since, data_end, proven, stale)


def _period(window: dict[str, str], start: str, end: str) -> str:
    """Two days of a window, in words; "" where it has not both."""
    if start not in window or end not in window:
        return ""
    return " to ".join(f"{_moment(window[one], one):%Y-%m-%d}" for one in (start, end))


def _days(time: timedelta) -> str:
    days = round(time / timedelta(days=1), 1)
    return "1 day" if days == 1 else f"{days:,g} days"


def _moment(text: str, key: str) -> datetime:
    return parse_instant(text, key).to_pydatetime()
