"""Run by Python at its start where this folder is on PYTHONPATH: connects to the stand-in."""

import os
import sys

sys.path.insert(0, os.environ["BIGQUERY_STUB_ROOT"])

from tests.bigquery_stub import connected_to

from setlist.data import bigquery

bigquery.REST = os.environ["BIGQUERY_STUB_REST"]
bigquery.STREAM_BYTES = 100_000
bigquery.connect = connected_to(os.environ["BIGQUERY_STUB_ROWS"])
