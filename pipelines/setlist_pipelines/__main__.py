"""`python -m setlist_pipelines`: the command line."""

# Before the imports of the command line, which `-m` would look for in the working folder first.
from setlist_pipelines.laptop.step_main import put_working_folder_last

put_working_folder_last()

from setlist_pipelines.cli.main import main  # noqa: E402

main()
