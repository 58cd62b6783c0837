"""The page of all runs over time: what each measured, what was said of it, and what is live."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import streamlit as st

from setlist.errors import SetlistError
from setlist.evaluation.verdict import Verdict
from setlist.explorer.columns import render
from setlist.explorer.history import History, duration
from setlist.explorer.resources import Scene
from setlist.explorer.trend import chart, table


def page(scene: Scene) -> None:
    """Show the live model's age, the chart and the table."""
    history = _read(scene.store, scene.name)
    here = {_evaluated(one.verdict): one.name for one in scene.runs()[0]}
    names = {
        one.run_id: here[one.verdict.evaluation_digest]
        for one in history.entries
        if one.verdict and one.verdict.evaluation_digest in here
    }
    known = [replace(one, run_id=names.get(one.run_id, one.run_id)) for one in history.entries]
    history = replace(history, entries=known)
    now = datetime.now(UTC)
    st.html(
        render(
            "live.html.j2",
            history=history,
            live=history.live,
            age=lambda since: duration(now - since),
        )
    )
    if history.metrics:
        metric = st.selectbox("Metric", history.metrics, key="metric", bind="query-params")
        st.altair_chart(
            chart(history, metric),
            width="stretch",
            height=440,
            alt=f"{metric} of every run; the table below holds the same values.",
        )
    else:
        metric = ""
    rows = table(history, metric).astype(object)
    st.html(
        render(
            "history.html.j2",
            metric=metric,
            rows=rows.where(rows.notna(), None).to_dict("records"),
            here=set(names.values()),
        )
    )


@cache
def _evaluated(verdict: Path) -> str:
    """The digest of the evaluation that a run's verdict is about; "" where it cannot be read.

    By it the store's runs, which have ids of the platform, are known for those on this disk.
    """
    try:
        return Verdict.read(verdict).evaluation_digest
    except SetlistError:
        return ""


@st.cache_data(ttl="10s", show_spinner="Reading the store …")
def _read(store: str, name: str) -> History:
    return History.read(store, name, datetime.now(UTC))
