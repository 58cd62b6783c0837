"""The retraining pipeline, its settings, and the places where it runs."""
