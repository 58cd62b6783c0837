"""The settings file of a run, validated before anything runs."""
