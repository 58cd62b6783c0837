"""The page of all revisions over time."""

import streamlit as st

from components.dashboard.explorer.scene import Scene


def page(scene: Scene) -> None:
    """Show them."""
    st.text(scene.name)
