"""The app: a script that Streamlit runs anew at every click; `launch` starts it."""

from pathlib import Path

import streamlit as st

from setlist.errors import SetlistError
from setlist.explorer.columns import render
from setlist.explorer.differences_page import show_differences
from setlist.explorer.history_page import show_history
from setlist.explorer.listener_page import show_listener
from setlist.explorer.resources import current_scene
from setlist.explorer.sidebar import show_sidebar

# In pixels; Streamlit's own is 300, of which the page beside it has more need. No docstring, which
# Streamlit would show.
SIDEBAR_WIDTH = 280
PAGES = (LISTS, DIFFERENCES, HISTORY) = ("Listener", "Whom it changes", "History")


def main() -> None:
    """Show the frame of every page. All pages have one address; the query tells them apart."""
    st.set_page_config("setlist", "🎧", layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    st.html(Path(__file__).with_name("explorer.css"))
    with st.sidebar:
        script = Path(__file__).with_name("back.js").read_text("utf-8")
        st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)  # nothing of the data
    try:
        scene = current_scene()
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
        choice = show_sidebar(scene, lists=page == LISTS, depth=page != HISTORY)
        if page == DIFFERENCES:
            show_differences(choice)
        elif page == HISTORY:
            show_history(scene)
        else:
            show_listener(choice)
    except SetlistError as fault:
        st.html(render("notice.html.j2", text=str(fault)))


main()
