"""The page of whom a change of model changes most, and whom it serves worse."""

from urllib.parse import urlencode

import streamlit as st

from setlist.evaluation.results import LISTENER_SLICE
from setlist.explorer.columns import plain, render
from setlist.explorer.sidebar import Choice, gone
from setlist.report.listeners import inputs_of

SHOWN = 25
"""Listeners in the table."""
ORDERS = (DIFFER, WORSE, BETTER) = ("lists differ most", "served worse", "served better")
EVERYBODY = "everybody"


def page(chosen: Choice) -> None:
    """Two models, a group, an order; the listeners, each a link to the page of their lists."""
    run = chosen.run
    if run is None:
        st.info("Only the listeners of a run can be compared; there is no run here.")
        return
    labels = [one.label for one in run.evaluation.models]
    rival = next((one.label for one in run.evaluation.models if one.role == "live"), None)
    fields = st.columns(3)
    first = fields[0].selectbox(
        "Model",
        labels,
        index=labels.index("candidate"),
        key="model",
        bind="query-params",
        on_change=gone("model", labels),
    )
    others = [label for label in labels if label != first]
    second = fields[1].selectbox(
        "instead of",
        others,
        index=others.index(rival) if rival in others else 0,
        key="instead_of",
        bind="query-params",
        on_change=gone("instead_of", labels),
    )
    order = fields[2].selectbox("Show whose", ORDERS, key="order", bind="query-params")
    depth = min(chosen.depth, run.evaluation.k)
    table = run.compare(first, second, depth)
    groups = [*inputs_of(run.users), LISTENER_SLICE]
    for name, place in zip(groups, st.columns(len(groups)), strict=True):
        values = run.users[name].value_counts().index.tolist()[:200]
        picked = place.selectbox(
            "history" if name == LISTENER_SLICE else plain(name),
            [EVERYBODY, *values],
            format_func=lambda value: value or "not known",
            key=f"only_{name}",
            bind="query-params",
        )
        if picked not in (EVERYBODY, None):
            table = table[table[name] == picked]
    if order == WORSE:
        rows = table[table["gain"] < 0].sort_values("gain", kind="stable")
    elif order == BETTER:
        rows = table[table["gain"] > 0].sort_values("gain", ascending=False, kind="stable")
    else:
        rows = table.sort_values("shared", kind="stable")
    models = [("models", label) for label in (second, first)]
    told = [("run", run.folders.name), *models, ("against", second)]
    st.html(
        render(
            "differences.html.j2",
            first=first,
            second=second,
            table=table,
            rows=[
                (one, urlencode([*told, ("listener", one["user_id"])]))
                for one in rows.head(SHOWN).to_dict("records")
            ],
            groups=groups,
            primary=run.verdict.primary,
            depth=depth,
        )
    )
