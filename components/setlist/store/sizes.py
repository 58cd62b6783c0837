"""How large everything may be that a store is asked for: no answer is read without a limit.

Each limit is many times what real stores hold, and small enough to be held in memory. Whoever
writes is held to the same limits, so that nothing is written that cannot be read.
"""

KIBIBYTE, MEBIBYTE = 2**10, 2**20

HEAD_BYTES = MEBIBYTE
"""50 promotions of 2 KB each, and some thousand pins."""
SMALL_BYTES = 64 * KIBIBYTE
"""For a claim, or a pin of a former version."""
MANIFEST_BYTES = 64 * MEBIBYTE
"""100,000 files of 200 bytes each, and the verdict."""
DOCUMENT_VALUES = 1_000_000
"""In a document of any kind; 100,000 files of a manifest are a third of it. Of one that is nothing
but empty lists, 60 MB take 4 GB of memory and two minutes."""
DOCUMENT_BYTES = 16 * MEBIBYTE
"""For every other document: the record of a run, a model card."""
REPORT_BYTES = 16 * MEBIBYTE
"""For the report of a run; those of real runs have a few hundred kB."""
FILE_BYTES = 2**30
"""For a file of a revision that is read into memory, whatever its manifest says."""
CHECKPOINT_BYTES = 16 * 2**30
"""A million items and as many listeners with 512 numbers each and twice as many of the optimizer
are 12 GiB."""

MANIFEST_FILES = 100_000
"""In one revision; a SavedModel has tens."""
LISTED_KEYS = 1_000_000
"""In one listing."""
REVISION_DIGITS = 15
"""Of a number; such a number is exact in every reader of JSON."""
