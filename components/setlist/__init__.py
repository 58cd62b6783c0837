"""What the steps of the retraining pipeline do, one folder a subject.

data        tables and their checks, the bundled sample, curation, transformation
models      the model contract, heuristics, the two-tower and its training
evaluation  metrics, statistics, the evaluation of any model folder, the gate
store       the model store: a local folder or a Google Cloud Storage prefix
serving     the follower, which swaps models, and the server over it
dashboard   the report page
steps       every Kubeflow component, a few lines each: the pipeline's typed interface
errors      the one exception that is meant for the person at the keyboard
"""
