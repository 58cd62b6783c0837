"""The pipeline on this machine: in processes, in containers, on a cluster of kind."""
