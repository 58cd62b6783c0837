"""The sidebar: the choice of a run and of the models that get a column."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from setlist.errors import SetlistError
from setlist.explorer.columns import render
from setlist.explorer.resources import Scene, open_run
from setlist.explorer.run_folder import ExploredRun, RunFolders
from setlist.printable import one_line
from setlist.report.untrusted_text import clip
from setlist.store.reader import open_reader

DEPTHS = (10, 20, 50, 100)
NO_CHOICE = "none"
SHOWN_LENGTH = 80
"""The longest text from the address in a message, in characters."""


@dataclass(frozen=True)
class Choice:
    """What was chosen in the sidebar.

    Attributes:
        run: None if there is no run.
        models: the folder of each model in a column, by label, in the order of the columns.
        reference: the label of the model that the others are compared with; "" for none.
        depth: the length of the lists.
    """

    run: ExploredRun | None
    models: Mapping[str, Path]
    reference: str
    depth: int


def show_sidebar(scene: Scene, *, lists: bool, depth: bool) -> Choice:
    """Show the sidebar and return what is chosen there.

    What the page does not use is greyed out: if it were left out, it would forget its choice.

    Args:
        scene: the runs and the store that the explorer shows.
        lists: whether the page shows the lists of the models.
        depth: whether their depth matters.
    """
    all_runs, fault_sentences = scene.runs()
    folders_by_run = {folders.name: folders for folders in all_runs}
    labels = [*folders_by_run] or [NO_CHOICE]
    requested = st.query_params.get("run", labels[0])
    with st.sidebar:
        # `bind` would leave the default out of the address, and a link would then lead to another
        # run as soon as there is a newer one. So the address is written here.
        name = st.selectbox(
            "Run",
            labels,
            index=labels.index(requested) if requested in labels else None,
            key="run",
            placeholder="choose a run",
            help="Its listeners, items and evaluation. A new run appears after a reload.",
            disabled=not depth,
        )
        if st.query_params.get("run") != (name or requested):
            st.query_params["run"] = name or requested
        if name is None:
            _notice(f"There is no run {clip(requested, SHOWN_LENGTH)} here; choose another.")
        run = None
        if name in folders_by_run:
            try:
                run = open_run(folders_by_run[name])
            except SetlistError as fault:
                _notice(str(fault))
        if run and run.folders.report.is_file():
            st.download_button(
                "Report page",
                run.folders.report.read_bytes,
                f"{run.folders.name}.html",
                "text/html",
                on_click="ignore",
                width="stretch",
            )
        sources = _available_models(scene, folders_by_run, run)
        default = _default_models(run, [*sources])
        # Another run has another default. It replaces models that nobody chose by hand.
        last_default = st.session_state.get("last_default", default)
        if default != last_default and st.session_state.get("models") == last_default:
            st.session_state["models"] = default
        st.session_state["last_default"] = default
        picked = st.multiselect(
            "Models",
            [*sources],
            default=default,
            key="models",
            bind="query-params",
            on_change=report_missing("models", sources),
            help="One column each: models of this run, of other runs, and revisions of the store.",
            disabled=not lists,
        )
        reference = st.selectbox(
            "Compare with",
            [*picked, NO_CHOICE],
            index=_default_reference(picked, run),
            key="against",
            bind="query-params",
            help="▲▼ ranks moved and shared items are relative to this column; while you ask "
            "what if, every list is compared with itself before.",
            disabled=not lists or _asks_what_if(),
        )
        length = st.selectbox("Depth", DEPTHS, key="depth", bind="query-params", disabled=not depth)
        st.text(one_line(f"Store: {scene.name} in {scene.store}"))
        for sentence in fault_sentences:
            _notice(sentence)
    models = {}
    with st.spinner("Fetching and verifying models …"):
        for label in picked:
            source = sources[label]
            models[label] = scene.revision(source) if isinstance(source, int) else source
    reference = "" if reference in (NO_CHOICE, None) else reference
    return Choice(run, models, reference, int(length or DEPTHS[0]))


def _asks_what_if() -> bool:
    """Whether the listener is another than the real one; the address holds no defaults."""
    return any(key == "other" or key.startswith("in_") for key in st.query_params)


def report_missing(key: str, available: Collection[str]) -> Callable[[], None]:
    """Show which values of the address a control cannot have, because they are not available.

    Streamlit drops such values from the control and from the address, so they are kept in the
    session.

    Args:
        key: of the control and of its parameter in the address.
        available: the values that are no reason for a message.

    Returns:
        A callback that removes the message, for when other values are chosen.
    """
    session_key, container = f"missing_{key}", st.container()
    requested = st.query_params.get_all(key)
    missing = st.session_state.setdefault(
        session_key, [value for value in requested if value not in available]
    )
    if missing:
        names = ", ".join(clip(value, SHOWN_LENGTH) for value in missing)
        text = f"The address names values that are not available here: {names}; choose others."
        container.html(render("notice.html.j2", text=text))
    return lambda: st.session_state.update({session_key: []})


def _notice(text: str) -> None:
    st.html(render("notice.html.j2", text=text))


def _available_models(
    scene: Scene, folders_by_run: Mapping[str, RunFolders], run: ExploredRun | None
) -> dict[str, Path | int]:
    """All models that can be asked, by label: a folder, or the number of a revision."""
    models: dict[str, Path | int] = {}
    if run:
        models |= run.folders.models
    models |= {f"revision {number}": number for number in revisions(scene.store, scene.name)}
    for name, folders in folders_by_run.items():
        if (run is None or folders != run.folders) and "candidate" in folders.models:
            models[f"candidate of {name}"] = folders.models["candidate"]
    return models


@st.cache_data(ttl="10s", show_spinner=False)
def revisions(store: str, name: str) -> list[int]:
    """The revisions of the store, the newest first.

    If the store cannot be read, the reason is shown and the list is empty.
    """
    try:
        return open_reader(store, new=True).revisions(name)[::-1]
    except SetlistError as fault:
        st.sidebar.text(str(fault))
        return []


def _default_models(run: ExploredRun | None, labels: list[str]) -> list[str]:
    """Most popular, the live model or the best heuristic, and the candidate; else the first two."""
    if run is None:
        return labels[:2]
    wanted = dict.fromkeys(["most_popular", run.baseline, "candidate"])
    return [label for label in wanted if label in labels]


def _default_reference(picked: list[str], run: ExploredRun | None) -> int:
    """The index in `picked` of the live model or the best heuristic; 0 if that is not picked."""
    return picked.index(run.baseline) if run and run.baseline in picked else 0
