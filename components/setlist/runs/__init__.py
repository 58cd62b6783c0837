"""What a run of the pipeline is: planned, taken up again, pushed, recorded and announced."""
