"""The page of one listener, real or invented: what each model would put on that home page."""

import time
from functools import cache
from itertools import zip_longest

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from setlist.explorer.catalogue import Catalogue, Item
from setlist.explorer.columns import Told, lists, plain, render, side_by_side
from setlist.explorer.resources import open_catalogue, open_model
from setlist.explorer.run_folder import Listener, Run
from setlist.explorer.sidebar import Choice
from setlist.models.contract import ModelInfo
from setlist.report.listeners import choose, clip

OWN = "\0own"
"""Stands for the listener's own value among those of an input."""
FOUND = 25
"""Titles that a search offers."""
VALUES = 200
"""Values of an input that are offered, the most frequent."""
RECENT = 200
"""Plays of a history, the latest, that a list is held against."""
LEAVES = 20
"""Listeners of a segment that can be leafed through."""
LATEST, PLAYED = 5, 8
"""Titles that are told of the history, and of what was played later."""
AGE = 1.0
"""Days since a listener who is invented played a favourite."""
INVENTED = Listener("", (), (), {})


def page(chosen: Choice) -> None:
    """Show the controls and the columns.

    What is not always there has a container that is: were the rest to move up or down, the browser
    would show it twice until the new page is complete.
    """
    if chosen.run:
        st.html(render("verdict.html.j2", verdict=chosen.run.verdict))
    if not chosen.models:
        st.info("Choose models in the sidebar.")
        return
    models = {label: open_model(folder) for label, folder in chosen.models.items()}
    catalogue = open_catalogue(chosen.run, tuple(chosen.models.values()))
    somebody = _listener(chosen.run)
    if somebody is None:
        return
    names = chosen.run.inputs if chosen.run else []
    names = [*names, *(one for model in models.values() for one in model.info.categorical_inputs)]
    inputs = _inputs(list(dict.fromkeys(names)), chosen.run, somebody)
    left, right = st.columns(2)
    shelved = chosen.run is None or chosen.run.evaluation.shelf == "discovery"
    known = right.toggle(
        "Leave out what the listener knows",
        shelved,
        key="discovery",
        bind="query-params",
        help="On for the discovery shelf, off for the familiar.",
    )
    history, ages = somebody.history, somebody.ages
    favourites = st.container()
    if not somebody.user_id or left.toggle(
        "What if the history were another", key="other", bind="query-params"
    ):
        history = _favourites(favourites, catalogue)
        ages = (AGE,) * len(history)

    def told(history: tuple[str, ...], ages: tuple[float, ...], inputs: dict[str, str]) -> Told:
        return Told(history, ages, tuple(dict.fromkeys(history)) if known else (), inputs)

    before = told(somebody.history, somebody.ages, somebody.inputs)
    now = told(history, ages, inputs)
    what_if = bool(somebody.user_id) and now != before
    began = time.perf_counter()
    asked = [now, before] if what_if else [now]
    answers = {label: lists(model, asked, chosen.depth) for label, model in models.items()}
    listed = {label: answer[0] for label, answer in answers.items()}
    if what_if:
        against = {label: ("its own list before", one[1]) for label, one in answers.items()}
    else:
        other = listed.get(chosen.reference, [])
        against = {one: (chosen.reference, other) for one in listed if one != chosen.reference}
    row = somebody.row if known == shelved and not what_if else None
    about = {label: _about(model.info, chosen.run, label, row) for label, model in models.items()}
    columns = side_by_side(
        listed,
        against if chosen.reference or what_if else {},
        catalogue,
        history[-RECENT:],
        somebody.played,
        about,
    )
    took = time.perf_counter() - began
    st.html(
        render(
            "lists.html.j2",
            columns=columns,
            history=bool(history),
            depth=max((len(one.entries) for one in columns), default=0),
            items=len(catalogue),
            played=len(somebody.played),
            reference=chosen.reference,
            what_if=what_if,
            who=f"listener {somebody.user_id}" if somebody.user_id else "an invented listener",
        )
    )
    st.caption(
        f"{len(models)} models answered in {took * 1000:,.0f} ms. The address of this page brings "
        "back this view."
    )


def _listener(run: Run | None) -> Listener | None:
    """Who is looked at; None where nobody has the id that was given."""
    if run is None:
        return INVENTED
    order = _order(run)
    field, button = st.columns([5, 1], vertical_alignment="bottom")
    user_id = field.text_input(
        "Listener",
        order[0],
        key="listener",
        bind="query-params",
        placeholder="nobody: invent one below",
        help=f"The id of one of {run.listeners:,} listeners; leave it empty to invent one.",
    )

    def another() -> None:
        place = order.index(user_id) + 1 if user_id in order else 0
        st.session_state["listener"] = order[place % len(order)]

    button.button("Another one", on_click=another, width="stretch")
    about = st.container()
    if not user_id:
        return INVENTED
    somebody = run.find(user_id)
    if somebody is None:
        said = f"No listener of this run has the id {clip(user_id, 80)}."
        about.html(render("said.html.j2", said=f"{said} Empty the field to invent one."))
        return None
    known = run.users.iloc[somebody.row] if somebody.row is not None else None
    about.html(
        render(
            "listener.html.j2",
            somebody=somebody,
            kind="" if known is None else known["listener"],
            titles=[
                one.title
                for one in open_catalogue(run, ()).look(somebody.history[: -LATEST - 1 : -1])
            ],
            played=[one.title for one in open_catalogue(run, ()).look(somebody.played[:PLAYED])],
        )
    )
    return somebody


@cache
def _order(run: Run) -> list[str]:
    """Evaluated listeners to leaf through, of every segment in turn, heavy ones first."""
    turns = zip_longest(*choose(run.users, LEAVES)[::-1])
    return [run.users["user_id"].iloc[row] for turn in turns for row in turn if row is not None]


def _inputs(names: list[str], run: Run | None, somebody: Listener) -> dict[str, str]:
    """One choice an input: the listener's own value, or another."""
    if not names:
        return {}
    chosen = {}
    for name, place in zip(names, st.columns(len(names)), strict=True):
        own = somebody.inputs.get(name, "")
        values = [one for one in run.values.get(name, []) if one][:VALUES] if run else []
        if not values:
            chosen[name] = place.text_input(
                plain(name), own, key=f"text_{name}", bind="query-params"
            )
            continue
        # The browser keeps the words that it shows: they may not depend on who the listener is.
        real = bool(somebody.user_id)
        picked = place.selectbox(
            f"What if {plain(name)} were" if real else plain(name),
            [OWN, "", *values] if real else ["", *values],
            format_func=lambda value: "as it is" if value == OWN else value or "not known",
            key=f"in_{name}" if real else f"own_{name}",
            bind="query-params",
        )
        chosen[name] = own if picked in (OWN, None) else picked
    return chosen


def _favourites(place: DeltaGenerator, catalogue: Catalogue) -> tuple[str, ...]:
    """Items that are searched by title; the choice stands in the address, too."""
    field, favourites = place.columns(2)
    words = field.text_input(
        "Search titles",
        key="search",
        placeholder="words of a title, or an id",
        live="100ms",
    )
    # Options are names, not ids with names: a choice that is made while the options change comes
    # back as the words that the browser shows.
    offered: dict[str, str] = st.session_state.setdefault("offered", {})

    def named(items: list[Item]) -> list[str]:
        names = {one.named: one.item_id for one in items}
        offered.update(names)
        return list(names)

    if "favourites" not in st.session_state:
        asked = st.query_params.get_all("favourite")
        st.session_state["favourites"] = named(catalogue.look(asked))
    found = named(catalogue.search(words, FOUND))
    picked = favourites.multiselect(
        "History, oldest first",
        list(dict.fromkeys([*st.session_state["favourites"], *found])),
        key="favourites",
        placeholder=f"choose of {len(found)} found" if words else "choose of the most popular",
    )
    ids = [offered[name] for name in picked if name in offered]
    st.query_params["favourite"] = ids
    return tuple(ids)


def _about(info: ModelInfo, run: Run | None, label: str, row: int | None) -> list[str]:
    """What a model is, and what the evaluation of this listener says of it."""
    until = info.training_window.get("end", "")[:10] or "an unknown day"
    said = [f"{info.kind.replace('_', ' ')}, data until {until}"]
    if run and row is not None and label in {one.label for one in run.evaluation.models}:
        said.append(f"{run.verdict.primary.replace('_', ' ')} {run.score(label)[row]:.4f}")
    return said
