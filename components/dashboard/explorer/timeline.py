"""The page of all runs over time: what each measured, what was said of it, and what is live."""

from datetime import UTC, datetime

import streamlit as st

from components.dashboard.explorer.columns import render
from components.dashboard.explorer.history import History
from components.dashboard.explorer.scene import Scene
from components.dashboard.explorer.trend import chart, table


def page(scene: Scene) -> None:
    """Show the live model's age, the chart and the table."""
    history = _read(scene.store, scene.name)
    now = datetime.now(UTC)
    st.html(render("live.html.j2", history=history, live=history.live, now=now))
    if history.metrics:
        metric = st.selectbox("Metric", history.metrics, key="metric", bind="query-params")
        st.altair_chart(
            chart(history, metric),
            width="stretch",
            height=380,
            alt=f"{metric} of every run; the table below holds the same values.",
        )
    else:
        metric = ""
    rows = table(history, metric).astype(object)
    st.html(
        render(
            "history.html.j2", metric=metric, rows=rows.where(rows.notna(), None).to_dict("records")
        )
    )


@st.cache_data(ttl="10s", show_spinner="Reading the store …")
def _read(store: str, name: str) -> History:
    return History.read(store, name, datetime.now(UTC))
