"""The explorer: what several models recommend to a listener, side by side, and their history.

serve        starts the app, a Streamlit script, after a rehearsal
app          the frame of every page; choice is its sidebar
listener     one listener, real or invented; columns asks the models and compares their lists
differences  the listeners whom a change of model changes most
timeline     all runs over time; history reads them from the store, trend draws them
scene        what is looked at, opened once: run (one listener of a million), catalogue (items)
"""
