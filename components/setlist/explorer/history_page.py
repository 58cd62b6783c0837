"""The page of all runs over time: their values and verdicts, and the model that is live."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import streamlit as st

from setlist.errors import SetlistError
from setlist.evaluation.verdict import Verdict
from setlist.explorer.columns import render
from setlist.explorer.history import History, Kept
from setlist.explorer.live_age import duration_text
from setlist.explorer.resources import Scene
from setlist.explorer.trend import chart, table

OLDER = "older"
"""In the address: how many pages of newer runs are passed over. `page` is the page of the app."""


def show_history(scene: Scene) -> None:
    """Show the age of the live model, a chart of one metric, and a table of all runs."""
    page = _requested_page()
    history = _read_history(scene.store, scene.name, page)
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
    if history.pages > 1:
        _show_pages(page, history.pages)


def _requested_page() -> int:
    """The page that the address asks for; the first, page 0, where it asks for none."""
    text = st.query_params.get(OLDER, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0


def _show_pages(page: int, pages: int) -> None:
    """Links to newer and older runs, where there are any."""
    page = min(page, pages - 1)
    newer, middle, older = st.columns([1, 1, 1])
    if newer.button("Newer runs", disabled=page == 0):
        st.query_params[OLDER] = str(page - 1)
        st.rerun()
    middle.caption(f"page {page + 1:,} of {pages:,}")
    if older.button("Older runs", disabled=page == pages - 1):
        st.query_params[OLDER] = str(page + 1)
        st.rerun()


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


@st.cache_data(ttl="10s", max_entries=8, show_spinner="Reading the store …")
def _read_history(store: str, name: str, page: int) -> History:
    # A copy, because visitors are threads; whoever comes last keeps what he has read.
    kept = _documents().get((store, name), Kept()).copy()
    history = History.read(store, name, datetime.now(UTC), page, kept)
    _documents()[store, name] = kept
    return history


@st.cache_resource(show_spinner=False)
def _documents() -> dict[tuple[str, str], Kept]:
    """What was read, by store and name; the app is run anew at every click."""
    return {}
