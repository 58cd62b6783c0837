"""Evaluation: metrics, statistics, the evaluation of model folders and the gate."""
