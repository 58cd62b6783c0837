"""Models in a process of their own: a call that does not come back, or a crash, ends only that.

A running TensorFlow call cannot be cancelled, so whoever asks a model asks a worker, and kills the
worker at its deadline.

frames        messages between a process and its worker
confinement   what a worker gives up before it loads a model
model_worker  start a worker, ask it, replace it
remote_model  a model in a worker, asked as one that is loaded here
model_host    models in a worker that is replaced when it is lost
answers       ranked lists, and their JSON, as the server needs them
main          the program of the worker

Only `main` and `answers` import TensorFlow, and only the worker runs them.
"""
