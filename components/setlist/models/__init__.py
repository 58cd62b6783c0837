"""Models: the contract that every model keeps, the heuristics and the two-tower."""

import os

# The one place where TensorFlow's environment is set; it has to happen before TensorFlow is
# imported, and every module of ours that imports it lives in this package. TFRS is written for
# Keras 2, and the C++ start-up chatter hides the lines that people look for in a step's log.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
