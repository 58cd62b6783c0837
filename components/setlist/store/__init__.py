"""The model store: immutable revisions and one pointer that moves by compare-and-swap.

objects      what a place of objects can do, and which place an address names
sizes        how large everything may be
files        entries of listings; files that report their progress and have a limit
folder       a local folder as a place of objects
bucket       a Google Cloud Storage prefix as a place of objects
refusals     what the answers of Google Cloud Storage mean, and what to do about each
race         a write that others were faster at is tried again, but not without end
manifest     the JSON documents of a store, and how each is read strictly
transfer     upload, download and verification of a model's files, several at once
reader       names, revisions and HEAD for those who read: fetch, verify
model_store  stage and promote
head         the one place that writes HEAD
pins         what no prune removes
kept_report  the reports of revisions and of runs that pushed nothing
retention    what prune removes, and which numbers are never given again
"""
