"""The app that Streamlit runs, anew at every click; see `setlist.explorer.launch`."""

from pathlib import Path

import streamlit as st

from setlist.errors import SetlistError
from setlist.explorer import differences_page as differences
from setlist.explorer import history_page as timeline
from setlist.explorer import listener_page as listener
from setlist.explorer.columns import render
from setlist.explorer.resources import shown
from setlist.explorer.sidebar import choose

PAGES = (LISTS, DIFFERENCES, HISTORY) = ("Listener", "Whom it changes", "History")


def main() -> None:
    """The frame of every page. All have one address: what differs stands in its query."""
    st.set_page_config("setlist", "🎧", layout="wide")
    st.html(Path(__file__).with_name("explorer.css"))
    try:
        scene = shown()
        st.html(render("heading.html.j2", name=scene.name))
        page = st.segmented_control(
            "Page",
            PAGES,
            default=LISTS,
            required=True,
            key="page",
            bind="query-params",
            label_visibility="collapsed",
        )
        chosen = choose(scene)
        if page == DIFFERENCES:
            differences.page(chosen)
        elif page == HISTORY:
            timeline.page(scene)
        else:
            listener.page(chosen)
    except SetlistError as fault:
        st.html(render("said.html.j2", said=str(fault)))


main()
