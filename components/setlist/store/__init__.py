"""The model store: immutable revisions and one pointer that moves by compare-and-swap.

objects      what a place of objects can do, and which place an address names
folder       a local folder as a place of objects; files that report their progress
bucket       a Google Cloud Storage prefix as a place of objects
manifest     the JSON documents of a store, and how each is read strictly
transfer     upload, download and verification of a model's files, several at once
reader       names, revisions and HEAD for those who read: fetch, verify
model_store  stage and promote
retention    pins, and what prune removes
"""
