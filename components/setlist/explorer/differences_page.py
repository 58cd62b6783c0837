"""The page of the listeners for whom two models differ most."""

from urllib.parse import urlencode

import streamlit as st

from setlist.evaluation.results import LISTENER_SLICE
from setlist.explorer.columns import label_words, render
from setlist.explorer.sidebar import Choice, report_missing
from setlist.printable import one_line
from setlist.report.listeners import inputs_of

LISTENERS_SHOWN = 25
VALUES_OFFERED = 200
"""How many values of an input can be chosen, the most frequent."""
ORDERS = (DIFFER, WORSE, BETTER) = ("lists differ most", "served worse", "served better")
EVERYBODY = "everybody"


def show_differences(choice: Choice) -> None:
    """Show controls for two models, a group and an order, and a table of listeners.

    Each listener is a link to the page with the lists of both models.
    """
    run = choice.run
    if run is None:
        st.info("Only the listeners of a run can be compared, and no run is chosen.")
        return
    labels = [model.label for model in run.evaluation.models]
    columns = st.columns(3)
    first = columns[0].selectbox(
        "Model",
        labels,
        index=labels.index("candidate"),
        key="model",
        bind="query-params",
        on_change=report_missing("model", labels),
    )
    others = [label for label in labels if label != first]
    second = columns[1].selectbox(
        "instead of",
        others,
        index=others.index(run.baseline) if run.baseline in others else 0,
        key="instead_of",
        bind="query-params",
        # All labels: the model on the left is available too, though it is not offered here.
        on_change=report_missing("instead_of", labels),
    )
    order = columns[2].selectbox("Show whose", ORDERS, key="order", bind="query-params")
    depth = min(choice.depth, run.evaluation.k)
    table = run.compare(first, second, depth)
    slices = [*inputs_of(run.users), LISTENER_SLICE]
    for name, column in zip(slices, st.columns(len(slices)), strict=True):
        values = run.users[name].value_counts().index.tolist()[:VALUES_OFFERED]
        picked = column.selectbox(
            "history" if name == LISTENER_SLICE else label_words(name),
            [EVERYBODY, *values],
            format_func=lambda value: one_line(value) or "not known",  # "" means not known
            key=f"only_{name}",
            bind="query-params",
        )
        # None: the address names a value that is not offered.
        if picked not in (EVERYBODY, None):
            table = table[table[name] == picked]
    if order == WORSE:
        rows = table[table["gain"] < 0].sort_values("gain", kind="stable")
    elif order == BETTER:
        rows = table[table["gain"] > 0].sort_values("gain", ascending=False, kind="stable")
    else:
        rows = table.sort_values("shared", kind="stable")
    # On the page of the listener, the reference is the left column.
    models = [("models", label) for label in (second, first)]
    query = [("run", run.folders.name), *models, ("against", second)]
    st.html(
        render(
            "differences.html.j2",
            first=first,
            second=second,
            table=table,
            rows=[
                (row, urlencode([*query, ("listener", row["user_id"])]))
                for row in rows.head(LISTENERS_SHOWN).to_dict("records")
            ],
            slices=slices,
            primary=run.verdict.primary,
            depth=depth,
        )
    )
