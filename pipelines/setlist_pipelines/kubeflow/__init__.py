"""The pipeline on a Kubeflow cluster: compiled, submitted, scheduled and looked at."""
