"""The model store: immutable revisions and one pointer that moves by compare-and-swap.

objects   what a place of objects can do, and which one an address names
folder    a local folder
bucket    a Google Cloud Storage prefix
manifest  the documents of a store, and how each is read: strictly, or not at all
counted   files that tell how many of their bytes have passed
transfer  the files of a model on their way, several at once, every byte checked
reader    names, revisions and HEAD: fetch, verify
store     stage and promote
keep      pins, and what prune lets go
who       when, and who
"""
