"""The explorer: a Streamlit app that shows what models recommend to a listener, and their history.

launch            starts the app, after it visited every page once
app               the frame of every page; back.js leads "back" to the view before
sidebar           the choice of a run and of models
listener_page     one listener, real or invented; columns compares the lists of the models
differences_page  the listeners to whom another model makes the largest difference
history_page      all runs over time; history reads them from the store, live_age says how old the
                  live model is, trend draws them
resources         what the app shows, opened once: run_folder (a run), item_directory (items)
"""
