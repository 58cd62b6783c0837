"""The page of one listener, real or invented: what each model would put on their home page."""

import time
from functools import cache
from itertools import zip_longest

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from setlist.errors import ModelError
from setlist.explorer.columns import (
    ListenerQuery,
    label_words,
    recommend_lists,
    render,
    side_by_side,
)
from setlist.explorer.item_directory import ItemDirectory, ShownItem
from setlist.explorer.resources import current_scene, model_host, open_directory
from setlist.explorer.run_folder import ExploredRun, ListenerRecord
from setlist.explorer.sidebar import SHOWN_LENGTH, Choice
from setlist.models.contract import ModelInfo, read_info
from setlist.printable import one_line
from setlist.report.listeners import pick_listeners
from setlist.report.untrusted_text import clip

OWN_VALUE = "\0own"
"""An option that stands for the listener's own value of an input; no value of the data equals it,
because it begins with a null character."""
TITLES_OFFERED = 25
"""How many titles a search offers."""
VALUES_OFFERED = 200
"""How many values of an input can be chosen, the most frequent."""
PLAYS_COMPARED = 200
"""With how many of the latest plays the tags of a list are compared."""
LISTENERS_PER_SEGMENT = 20
"""How many listeners of each segment the button leads to."""
LATEST_TITLES = 5
"""How many titles of the history are named, the latest first."""
PLAYED_TITLES = 8
"""How many titles of what the listener played in the test period are named."""
INVENTED_AGE_DAYS = 1.0
"""How old the plays of an invented history are."""
INVENTED = ListenerRecord("", (), (), {})


def show_listener(choice: Choice) -> None:
    """Show the controls and one column for each model.

    A part that is not always on the page stands in a container that is. Otherwise the rest would
    move up or down, and the browser would show it twice until the new page is complete.
    """
    if choice.run:
        st.html(render("verdict.html.j2", verdict=choice.run.verdict))
    if not choice.models:
        st.info("Choose models in the sidebar.")
        return
    models = {label: read_info(folder) for label, folder in choice.models.items()}
    directory = open_directory(choice.run, tuple(choice.models.values()))
    listener = _choose_listener(choice.run)
    if listener is None:
        return
    names = choice.run.inputs if choice.run else []
    names = [*names, *(name for info in models.values() for name in info.categorical_inputs)]
    inputs = _choose_inputs(list(dict.fromkeys(names)), choice.run, listener)
    switches = st.container(horizontal=True)
    asked = switches.empty()
    on_discovery = choice.run is None or choice.run.evaluation.shelf == "discovery"
    exclude_history = switches.toggle(
        "Leave out what the listener knows",
        on_discovery,
        key="discovery",
        bind="query-params",
        help="On as for the discovery shelf, off as for the shortcuts shelf.",
    )
    history, ages = listener.history, listener.ages
    favourites = st.container()
    if not listener.user_id or asked.toggle(
        "What if the history were another", key="other", bind="query-params"
    ):
        history = _choose_favourites(favourites, directory)
        ages = (INVENTED_AGE_DAYS,) * len(history)

    def query(
        history: tuple[str, ...], ages: tuple[float, ...], inputs: dict[str, str]
    ) -> ListenerQuery:
        exclude = tuple(dict.fromkeys(history)) if exclude_history else ()
        return ListenerQuery(history, ages, exclude, inputs)

    original = query(listener.history, listener.ages, listener.inputs)
    current = query(history, ages, inputs)
    what_if = bool(listener.user_id) and current != original
    began = time.perf_counter()
    queries = [current, original] if what_if else [current]
    answers = _ask_models(choice, queries)
    lists = {label: answer[0] for label, answer in answers.items()}
    # A changed listener is compared with the listener before the change, model by model; an
    # unchanged one across the models, with the reference.
    if what_if:
        against = {label: ("its own list before", answer[1]) for label, answer in answers.items()}
    elif choice.reference:
        reference_list = lists.get(choice.reference, [])
        against = {
            label: (choice.reference, reference_list)
            for label in lists
            if label != choice.reference
        }
    else:
        against = {}
    # The score of the evaluation is that of these lists only if they were made in the same way.
    as_evaluated = exclude_history == on_discovery and not what_if
    row = listener.row if as_evaluated else None
    about = {label: _about(models[label], choice.run, label, row) for label in lists}
    columns = side_by_side(
        lists, against, directory, history[-PLAYS_COMPARED:], listener.played, about
    )
    elapsed = time.perf_counter() - began
    st.html(
        render(
            "lists.html.j2",
            columns=columns,
            history=bool(history),
            depth=max((len(column.entries) for column in columns), default=0),
            items=len(directory),
            played=len(listener.played),
            reference=choice.reference,
            what_if=what_if,
            who=f"listener {listener.user_id}" if listener.user_id else "an invented listener",
        )
    )
    st.caption(
        f"{len(lists)} models answered in {elapsed * 1000:,.0f} ms. The address of this page "
        "leads back to this view."
    )


def _ask_models(choice: Choice, queries: list[ListenerQuery]) -> dict[str, list[list[str]]]:
    """The lists of each model; what went wrong is shown for a model that has none."""
    allowed = current_scene().operations
    answers = {}
    for label, folder in choice.models.items():
        try:
            with model_host().model(folder, allowed) as model:
                answers[label] = recommend_lists(model, queries, choice.depth)
        except ModelError as fault:
            st.html(render("notice.html.j2", text=f"{label}: {fault}"))
    return answers


def _choose_listener(run: ExploredRun | None) -> ListenerRecord | None:
    """Show the choice of a listener; None if nobody has the id that was typed."""
    if run is None:
        return INVENTED
    order = _tour(run)
    line = st.container(horizontal=True, vertical_alignment="bottom")
    user_id = line.text_input(
        "Listener",
        order[0],
        key="listener",
        bind="query-params",
        placeholder="nobody: invent a listener below",
        help=f"The id of one of {run.listeners:,} listeners; leave it empty to invent one.",
    )

    def next_listener() -> None:
        place = order.index(user_id) + 1 if user_id in order else 0
        st.session_state["listener"] = order[place % len(order)]

    line.button("Another one", on_click=next_listener)
    about = st.container()
    if not user_id:
        return INVENTED
    listener = run.find(user_id)
    if listener is None:
        text = f"No listener of this run has the id {clip(user_id, SHOWN_LENGTH)}."
        about.html(render("notice.html.j2", text=f"{text} Empty the field to invent a listener."))
        return None
    directory = open_directory(run, ())
    latest = directory.items(listener.history[: -LATEST_TITLES - 1 : -1])
    played = directory.items(listener.played[:PLAYED_TITLES])
    about.html(
        render(
            "listener.html.j2",
            listener=listener,
            activity="" if listener.row is None else run.users["listener"].iloc[listener.row],
            latest=[item.title for item in latest],
            played=[item.title for item in played],
        )
    )
    return listener


@cache
def _tour(run: ExploredRun) -> list[str]:
    """EvaluatedModel listeners for the button, of every segment in turn, heavy listeners first."""
    segments = pick_listeners(run.users, LISTENERS_PER_SEGMENT)[::-1]
    turns = zip_longest(*segments)
    return [run.users["user_id"].iloc[row] for turn in turns for row in turn if row is not None]


def _choose_inputs(
    names: list[str], run: ExploredRun | None, listener: ListenerRecord
) -> dict[str, str]:
    """Show one control for each named input: the listener's own value, or another."""
    if not names:
        return {}
    inputs = {}
    for name, place in zip(names, st.columns(len(names)), strict=True):
        own_value = listener.inputs.get(name, "")
        values = [value for value in run.values.get(name, []) if value] if run else []
        if not values:
            inputs[name] = place.text_input(
                label_words(name), own_value, key=f"text_{name}", bind="query-params"
            )
            continue
        # The browser keeps the words of the option that it shows. So the option for the own value
        # has the same words for every listener.
        real = bool(listener.user_id)
        options = ["", *values[:VALUES_OFFERED]]
        picked = place.selectbox(
            f"What if {label_words(name)} were" if real else label_words(name),
            [OWN_VALUE, *options] if real else options,
            format_func=lambda value: (
                "as it is" if value == OWN_VALUE else one_line(value) or "not known"
            ),
            key=f"in_{name}" if real else f"own_{name}",
            bind="query-params",
        )
        inputs[name] = own_value if picked in (OWN_VALUE, None) else picked
    return inputs


def _choose_favourites(place: DeltaGenerator, directory: ItemDirectory) -> tuple[str, ...]:
    """Show a search for items by title; the ids of those that were chosen, which the address holds.

    A search offers other options than the one before. A choice that is made while the options
    change comes back as the words that the browser shows, so the options are names, and the session
    keeps the id of every name that was offered.
    """
    search_field, history_field = place.columns(2)
    words = search_field.text_input(
        "Search titles",
        key="search",
        placeholder="words of a title, or an id",
        live="100ms",
    )
    id_of_name: dict[str, str] = st.session_state.setdefault("id_of_name", {})

    def offer(items: list[ShownItem]) -> list[str]:
        names = {item.name: item.item_id for item in items}
        id_of_name.update(names)
        return list(names)

    if "favourites" not in st.session_state:
        requested = st.query_params.get_all("favourite")
        st.session_state["favourites"] = offer(directory.items(requested))
    results = offer(directory.search(words, TITLES_OFFERED))
    picked = history_field.multiselect(
        "History, oldest first",
        list(dict.fromkeys([*st.session_state["favourites"], *results])),
        key="favourites",
        placeholder=(
            f"choose from {len(results)} results" if words else "choose from the most popular"
        ),
    )
    ids = [id_of_name[name] for name in picked if name in id_of_name]
    st.query_params["favourite"] = ids
    return tuple(ids)


def _about(info: ModelInfo, run: ExploredRun | None, label: str, row: int | None) -> list[str]:
    """Facts about a model: kind, end of its data, and its score for an evaluated listener."""
    until = info.training_window.get("end", "")[:10] or "an unknown day"
    facts = [f"{info.kind.replace('_', ' ')}, data until {until}"]
    if run and row is not None and label in {model.label for model in run.evaluation.models}:
        facts.append(f"{run.verdict.primary.replace('_', ' ')} {run.score(label)[row]:.4f}")
    return facts
