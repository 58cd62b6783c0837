"""Serve the live model of a store: follow HEAD, answer requests, watch what is served.

local_revisions  verified revisions on the local disk, and which of them was good last
follower         polls HEAD, downloads, hands over; keeps the last good model on any fault
monitoring       metrics of followers, and status pages of a process without a server
tf_serving       the model base path of TensorFlow Serving
spare_worker     a process that waits for a model
request_queue    the requests that wait for a model
model_pool       the processes of one revision
served_model     a revision that is served
served_models    the live one and a candidate, loaded and swapped
messages         JSON of requests, responses and errors, with their limits
canary           a candidate as a shadow of the live model, or on a share of listeners
request_log      what was shown to whom and what the model read, as Parquet
log_reader       counts the feature values in the request log
skew             compares them with what the model was trained on
service          asks them, and counts and logs what they list
http_app         the HTTP interface of a service
http_connections connections with limits, and an end that loses no request

`follower` needs the base installation only; `http_app` needs the extra `serve`.
"""
