"""Simple learners: models that are fitted in seconds, and that a model of minutes has to beat."""
