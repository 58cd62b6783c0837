"""One metric over the runs of a model: a table and a chart.

Sentences and labels are untrusted text: they are values of the data, which the chart never reads
as a formula or as markup. Visitors can download the rows of a chart as a table, so that a text in
them must be no formula of a spreadsheet either.
"""

from collections.abc import Iterable, Iterator

import altair as alt
import pandas as pd

from setlist.data.schema import parse_instant
from setlist.explorer.history import History
from setlist.printable import cell, one_line

# Colours that colour-blind people can tell apart (Okabe and Ito), with a contrast of at least 3:1
# on white and on black. The shapes tell the verdicts apart without colours.
VERDICT_MARKS = {
    "promoted": ("#0072B2", "circle"),
    "staged": ("#009E73", "square"),
    "refused": ("#D55E00", "cross"),
    "undecided": ("#CC79A7", "diamond"),
}
LIVE, HEURISTIC = "live model", "best heuristic"
GREY = "#808080"
TICK_LABEL = "[utcFormat(datum.value, '%Y-%m-%d'), utcFormat(datum.value, '%H:%M')]"
"""A Vega expression: date and time on two lines, because a phone has no room for one line."""
TABLE_COLUMNS = {
    "ended": "datetime64[us, UTC]",
    "outcome": "str",
    "goes live": "str",
    "revision": "Int64",
    "head": "str",
    "candidate": "float64",
    "live model": "float64",
    "best heuristic": "float64",
    "heuristic": "str",
    "training period": "str",
    "test period": "str",
    "sentence": "str",
    "run": "str",
    "who": "str",
}
LABEL_LENGTH, SENTENCE_LENGTH = 80, 400
"""Characters in a tooltip, and in the table of the page."""
TOOLTIP_FIELDS = ("model", "what", "metric value", "ended", "run", "revision", "sentence")


def table(history: History, metric: str) -> pd.DataFrame:
    """Tabulate the history, the newest entry first.

    Returns:
        `TABLE_COLUMNS`. `outcome` is that of the candidate, and `goes live` what went live.
        `head` says what the revision is in HEAD. `candidate`, `live model` and
        `best heuristic` are values of the metric in the run's evaluation, or missing; `heuristic`
        is the label of the best one. The periods are days as text. `who` is set for what a person
        did, and "" for a run.
    """
    rows = []
    for entry in reversed(history.entries):
        candidate, live, best = (
            entry.value(metric, role) or ("", None) for role in ("candidate", "live", "heuristic")
        )
        # Without an evaluation, the window is that of the training, which ends at "end".
        window = entry.window
        row = {
            "ended": entry.when,
            "outcome": entry.candidate_outcome,
            "goes live": entry.goes_live,
            "revision": entry.revision,
            "head": entry.place,
            "candidate": candidate[1],
            "live model": live[1],
            "best heuristic": best[1],
            "heuristic": best[0],
            "training period": _period(window, "start", "cut" if "cut" in window else "end"),
            "test period": _period(window, "cut", "end"),
            "sentence": entry.sentence,
            "run": entry.run_id,
            "who": entry.who,
        }
        rows.append(row)
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS)).astype(TABLE_COLUMNS)


def chart(history: History, metric: str) -> alt.LayerChart:
    """Draw a metric over time: every candidate, its live model and its best heuristic.

    Every run has another test period, so a step of all three lines is caused by the period. The
    number of runs without a value stands below the title.
    """
    points = list(_points(history, metric))
    runs = [entry for entry in history.entries if entry.outcome not in ("promotion", "rollback")]
    without = sum(entry.value(metric, "candidate") is None for entry in runs)
    base = alt.Chart().encode(
        x=alt.X(
            field="time",
            type="temporal",
            title="end of the run (UTC)",
            axis=alt.Axis(labelExpr=TICK_LABEL, tickCount=5, labelBound=True),
            scale=_time_scale(points),
        ),
        y=alt.Y(field="value", type="quantitative", title=None, scale=alt.Scale(zero=False)),
        tooltip=[alt.Tooltip(field=name, type="nominal", title=name) for name in TOOLTIP_FIELDS],
    )
    lines = base.properties(data=_data(points, (LIVE, HEURISTIC))).mark_line(
        color=GREY, point=alt.OverlayMarkDef(color=GREY, size=20)
    )
    candidates = base.properties(data=_data(points, VERDICT_MARKS)).mark_point(
        filled=True, size=110, opacity=1
    )
    # One legend above and one below: side by side, they would be wider than a phone.
    legend = alt.Legend(title="candidate", orient="bottom", columns=2)
    colours, shapes = (
        alt.Scale(domain=list(VERDICT_MARKS), range=[mark[part] for mark in VERDICT_MARKS.values()])
        for part in (0, 1)
    )
    dashes = alt.Scale(domain=[LIVE, HEURISTIC], range=[[1, 0], [5, 4]])
    subtitle = f"{without:,} of {len(runs):,} runs have no value." if without else ""
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
        title=alt.TitleParams(
            text=[one_line(metric, LABEL_LENGTH)],
            subtitle=[subtitle] if subtitle else alt.Undefined,
            subtitleColor=GREY,
            anchor="start",
        ),
    ).resolve_legend(strokeDash="independent", color="independent", shape="independent")


def _points(history: History, metric: str) -> Iterator[dict[str, str | float]]:
    """The rows of the chart: up to three for each run."""
    for entry in history.entries:
        kinds = (("candidate", entry.judgement), ("live", LIVE), ("heuristic", HEURISTIC))
        for role, what in kinds:
            if labelled_value := entry.value(metric, role):
                label, value = labelled_value
                yield {
                    "time": entry.when.isoformat(),
                    "value": value,
                    "what": what,
                    "model": cell(label, LABEL_LENGTH),
                    "metric value": f"{value:.4f}",
                    "ended": f"{entry.when:%Y-%m-%d %H:%M} UTC",
                    "run": cell(entry.run_id, LABEL_LENGTH),
                    "revision": str(entry.revision or "none"),
                    "sentence": cell(entry.sentence, SENTENCE_LENGTH),
                }


def _data(points: list[dict[str, str | float]], kinds: Iterable[str]) -> alt.InlineData:
    """The rows of these kinds as plain values: Altair refuses a table of more than 5,000 rows."""
    selected = set(kinds)
    return alt.InlineData(values=[point for point in points if point["what"] in selected])


def _time_scale(points: list[dict[str, str | float]]) -> alt.Scale:
    """The time axis from the first to the last point, with room at both ends."""
    if not points:
        return alt.Scale(type="utc")
    times = [pd.Timestamp(str(point["time"])) for point in points]
    # Half a day if all points have the same time: an axis needs a length.
    room = (max(times) - min(times)) / 20 or pd.Timedelta(hours=12)
    ends = [(min(times) - room).isoformat(), (max(times) + room).isoformat()]
    return alt.Scale(type="utc", domain=ends)


def _period(window: dict[str, str], start: str, end: str) -> str:
    """Two days of a window as text; "" if the window does not have both."""
    if start not in window or end not in window:
        return ""
    return " to ".join(f"{parse_instant(window[key], key):%Y-%m-%d}" for key in (start, end))
