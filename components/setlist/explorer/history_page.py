"""The page of all runs over time: their values and verdicts, and the model that is live."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import streamlit as st

from setlist.errors import SetlistError
from setlist.evaluation.verdict import Verdict
from setlist.explorer.columns import render
from setlist.explorer.history import History, duration_text
from setlist.explorer.resources import Scene
from setlist.explorer.trend import chart, table


def show_history(scene: Scene) -> None:
    """Show the age of the live model, a chart of one metric, and a table of all runs."""
    history = _read_history(scene.store, scene.name)
    local_runs = {_evaluation_digest(run.verdict): run.name for run in scene.runs()[0]}
    local_names = {
        entry.run_id: local_runs[entry.verdict.evaluation_digest]
        for entry in history.entries
        if entry.verdict and entry.verdict.evaluation_digest in local_runs
    }
    # A run on this disk gets the name that the sidebar shows, and a link to its page.
    entries = [
        replace(entry, run_id=local_names.get(entry.run_id, entry.run_id))
        for entry in history.entries
    ]
    history = replace(history, entries=entries)
    now = datetime.now(UTC)
    st.html(
        render(
            "live.html.j2",
            history=history,
            live=history.live,
            age=lambda since: duration_text(now - since),
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
            local_names=set(local_names.values()),
        )
    )


@cache
def _evaluation_digest(verdict: Path) -> str:
    """The digest of the evaluation that a verdict is about; "" if the verdict cannot be read.

    The digest identifies a run: in the store, a run has the id of its platform, on this disk it
    has the name of its folder.
    """
    try:
        return Verdict.read(verdict).evaluation_digest
    except SetlistError:
        return ""


@st.cache_data(ttl="10s", show_spinner="Reading the store …")
def _read_history(store: str, name: str) -> History:
    # A copy, because visitors are threads; whoever comes last keeps what he has read.
    documents = dict(_documents().get((store, name), {}))
    history = History.read(store, name, datetime.now(UTC), documents)
    _documents()[store, name] = documents
    return history


@st.cache_resource(show_spinner=False)
def _documents() -> dict[tuple[str, str], dict[str, bytes]]:
    """The records that were read, by store and name; the app is run anew at every click."""
    return {}
