"""From a revision that is live in the store to lists: followed, served, watched.

kept       revisions on this disk, verified, and which one was good
follow     polls HEAD, downloads beside, hands over; keeps the last good model on any fault
metrics    what followers and server tell Prometheus
status     /healthz, /readyz and /metrics of a process that serves nothing else
base_path  the model base path of TensorFlow Serving
warm_up    the first questions to a model, before listeners ask
model      a model that is being served: lists with titles
batching   requests that wait for the model are asked together
api        what a request may say, and the answers
candidate  another revision in the live one's shadow, or on a share of listeners
log        what was shown to whom and why, as Parquet
served     what the log says was served, counted
skew       what was served beside what was trained on
service    what is served, and all that runs beside it
server     the HTTP service over it
"""
