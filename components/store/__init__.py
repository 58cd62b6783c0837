"""The model store: immutable revisions and one pointer that moves by compare-and-swap.

objects   a local folder or a Google Cloud Storage prefix behind one small interface
manifest  the documents of a store, and how each is read: strictly, or not at all
store     names, revisions and HEAD: stage, promote, fetch
"""
