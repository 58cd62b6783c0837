"""The sidebar: which run, and which models stand in the columns."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from setlist.errors import SetlistError
from setlist.explorer.columns import render
from setlist.explorer.resources import Scene, open_run
from setlist.explorer.run_folder import Run, RunFolders
from setlist.report.listeners import clip

DEPTHS = (10, 20, 50, 100)
NONE = "none"


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        run: None where there is none.
        models: the folder of each model in a column, by label, in the order of the columns.
        reference: the label that the others are compared with; "" for none.
        depth: the length of the lists.
    """

    run: Run | None
    models: Mapping[str, Path]
    reference: str
    depth: int


def choose(scene: Scene) -> Choice:
    """Show the sidebar; what was chosen there."""
    every, faults = scene.runs()
    runs = {folders.name: folders for folders in every}
    labels = [*runs] or [NONE]
    asked = st.query_params.get("run", labels[0])
    with st.sidebar:
        # Not bound to the address, which would leave out the default: a link goes on to mean this
        # run when there is a newer one.
        name = st.selectbox(
            "Run",
            labels,
            index=labels.index(asked) if asked in labels else None,
            key="run",
            placeholder="choose one",
            help="Its listeners, items and evaluation. A new one appears at a reload.",
        )
        if st.query_params.get("run") != (name or asked):
            st.query_params["run"] = name or asked
        if name is None:
            _say(f"There is no run {clip(asked, 80)} here; choose another.")
        run = None
        if name in runs:
            try:
                run = open_run(runs[name])
            except SetlistError as fault:
                _say(str(fault))
        if run and run.folders.report.is_file():
            st.download_button(
                "Report page",
                run.folders.report.read_bytes,
                f"{run.folders.name}.html",
                "text/html",
                on_click="ignore",
                width="stretch",
            )
        folders = _models(scene, runs, run)
        usual = _usual(run, [*folders])
        if st.session_state.get("models") == st.session_state.get("usual", usual) != usual:
            st.session_state["models"] = usual  # nobody chose those of the run before
        st.session_state["usual"] = usual
        picked = st.multiselect(
            "Models",
            [*folders],
            default=usual,
            key="models",
            bind="query-params",
            on_change=gone("models", folders),
            help="One column each: of this run, of other runs, and revisions of the store.",
        )
        reference = st.selectbox(
            "Compare with",
            [*picked, NONE],
            index=_reference(picked, run),
            key="against",
            bind="query-params",
            help="Moves and shared items are told against this column.",
        )
        depth = st.selectbox("Depth", DEPTHS, key="depth", bind="query-params")
        st.text(f"Store: {scene.name} in {scene.store}")
        for said in faults:
            _say(said)
    chosen = {}
    with st.spinner("Fetching and verifying models …"):
        for label in picked:
            found = folders[label]
            chosen[label] = scene.revision(found) if isinstance(found, int) else found
    return Choice(run, chosen, "" if reference in (NONE, None) else reference, int(depth or 10))


def gone(key: str, here: Collection[str]) -> Callable[[], None]:
    """Say which of the values that the address names are not here.

    A control of this key leaves them out, and out of the address, too: they are kept.

    Returns:
        What forgets them, for when others are chosen.
    """
    kept, place = f"gone_{key}", st.container()
    asked = st.query_params.get_all(key)
    if missing := st.session_state.setdefault(kept, [one for one in asked if one not in here]):
        names = ", ".join(clip(one, 80) for one in missing)
        said = f"The address names {names}, not found here; choose others."
        place.html(render("said.html.j2", said=said))
    return lambda: st.session_state.update({kept: []})


def _say(said: str) -> None:
    st.html(render("said.html.j2", said=said))


def _models(scene: Scene, runs: Mapping[str, RunFolders], run: Run | None) -> dict[str, Path | int]:
    """All that can be asked, by label: a folder, or a revision of the store."""
    found: dict[str, Path | int] = {}
    if run:
        found |= run.folders.models
    found |= {_revision(number): number for number in revisions(scene.store, scene.name)}
    for name, folders in runs.items():
        if (run is None or folders != run.folders) and "candidate" in folders.models:
            found[f"candidate of {name}"] = folders.models["candidate"]
    return found


@st.cache_data(ttl="10s", show_spinner=False)
def revisions(store: str, name: str) -> list[int]:
    """The revisions of the store, the newest first; none where it cannot be read, which is said."""
    from setlist.store.model_store import open_store

    try:
        return open_store(store).revisions(name)[::-1]
    except SetlistError as fault:
        st.sidebar.text(str(fault))
        return []


def _revision(number: int) -> str:
    return f"revision {number}"


def _usual(run: Run | None, labels: list[str]) -> list[str]:
    """Most popular, what is live, and the candidate."""
    if run is None:
        return labels[:2]
    lives = [one.label for one in run.evaluation.models if one.role == "live"]
    return [label for label in ("most_popular", *lives, "candidate") if label in labels]


def _reference(picked: list[str], run: Run | None) -> int:
    """The live model if it is there, else the first column."""
    lives = {one.label for one in run.evaluation.models if one.role == "live"} if run else set()
    return next((place for place, label in enumerate(picked) if label in lives), 0)
