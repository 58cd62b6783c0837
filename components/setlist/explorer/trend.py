"""A metric over the runs of a model: a table and a chart for people.

Sentences and labels are other people's text: here they are values of data, and nothing reads them
as a formula or as markup.
"""

from collections.abc import Iterable, Iterator

import altair as alt
import pandas as pd

from setlist.data.schema import parse_instant
from setlist.explorer.history import History

LOOKS = {
    # Colours that colour-blind people tell apart (Okabe and Ito), at least 3:1 on white and on
    # black; the shapes say the same without any.
    "promoted": ("#0072B2", "circle"),
    "staged": ("#009E73", "square"),
    "refused": ("#D55E00", "cross"),
    "undecided": ("#CC79A7", "diamond"),
}
LIVE, HEURISTIC = "live then", "best heuristic"
GREY = "#808080"
MOMENT = "[utcFormat(datum.value, '%Y-%m-%d'), utcFormat(datum.value, '%H:%M')]"
"""The label of a tick, on two lines: one would be wider than a phone has room for."""
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
            axis=alt.Axis(labelExpr=MOMENT, tickCount=5, labelBound=True),
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
    # One legend above, one below: side by side they are wider than a phone.
    legend = alt.Legend(title="candidate", orient="bottom", columns=2)
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
                        title=None, orient="top", symbolType="stroke", symbolSize=500
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
    room = (max(times) - min(times)) / 20 or pd.Timedelta(hours=12)
    ends = [(min(times) - room).isoformat(), (max(times) + room).isoformat()]
    return alt.Scale(type="utc", domain=ends)


def _period(window: dict[str, str], start: str, end: str) -> str:
    """Two days of a window, in words; "" where it has not both."""
    if start not in window or end not in window:
        return ""
    return " to ".join(f"{parse_instant(window[one], one):%Y-%m-%d}" for one in (start, end))
