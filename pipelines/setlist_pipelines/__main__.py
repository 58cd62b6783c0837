"""`python -m setlist_pipelines`: the command line."""

from setlist_pipelines.cli.main import main

main()
