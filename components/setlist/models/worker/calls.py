"""What a worker can be asked: to load models, to warm one up, to list items for listeners.

Every call names the folder of the model that it is about.
"""

import gc
import hashlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Ragged
from setlist.errors import ModelError, SetlistError
from setlist.models.saved_model import SavedModel
from setlist.models.tf import tf
from setlist.models.worker import frames
from setlist.models.worker.answers import AnsweringModel
from setlist.models.worker.confinement import Limits, Watch, limit_processor, used_memory
from setlist.models.worker.frames import Message
from setlist.models.worker.query import Query

REFERENCE = bytes(4 << 20)
"""Its SHA-256 takes one thread some 3 ms on a processor of 2023, and 10 ms on one without
instructions for it: long enough that a busy node interrupts it, and no matter of any model."""


class Worker:
    """The models that were loaded, and what can be asked of them."""

    def __init__(self, limits: Limits, watch: Watch) -> None:
        self._limits, self._watch = limits, watch
        self._models: dict[str, SavedModel] = {}
        self._answers: dict[str, AnsweringModel] = {}
        # TensorFlow starts its threads with the first call.
        tf.function(tf.identity)(tf.constant(0))
        gc.freeze()  # what TensorFlow is made of stays; to look through it takes half a second
        self._baseline = used_memory()
        self.calls: dict[str, Callable[[Message], Message]] = {
            "load": self._load,
            "drop": self._drop,
            "warm_up": self._warm_up,
            "answer": self._answer,
            "signature": self._signature,
            "lists": self._lists,
            "timed": self._timed,
        }

    def _model(self, asked: Message) -> SavedModel:
        if asked.head["folder"] not in self._models:
            raise ModelError("the model is not loaded")
        return self._models[asked.head["folder"]]

    def _load(self, asked: Message) -> Message:
        folder = asked.head["folder"]
        self._drop(asked)
        limit_processor(self._limits)
        self._watch.limit_memory(asked.head["memory"], self._baseline)
        model = self._models[folder] = SavedModel(Path(folder), asked.head["allowed"])
        return Message({"info": model.info.model_dump()})

    def _drop(self, asked: Message) -> Message:
        self._answers.pop(asked.head["folder"], None)
        if self._models.pop(asked.head["folder"], None):
            gc.collect()  # the functions of a model refer to each other
        return Message({})

    def _warm_up(self, asked: Message) -> Message:
        folder = asked.head["folder"]
        answers = self._answers[folder] = AnsweringModel(self._model(asked), Path(folder))
        return Message({"slowest": answers.warm_up()})

    def _answer(self, asked: Message) -> Message:
        if asked.head["folder"] not in self._answers:
            raise ModelError("the model is not warm")
        answers = self._answers[asked.head["folder"]]
        lists = answers.lists([Query(**query) for query in asked.head["queries"]])
        head: dict[str, object] = {"sizes": [len(ranked.rendered) for ranked in lists]}
        if asked.head["ids"]:
            head |= {
                "ids": [ranked.item_ids for ranked in lists],
                "scores": [ranked.scores for ranked in lists],
            }
        rendered = np.frombuffer(b"".join(ranked.rendered for ranked in lists), np.uint8)
        return Message(head, {"rendered": rendered})

    def _signature(self, asked: Message) -> Message:
        ids, scores = self._model(asked).signature(**asked.head["arguments"])
        return Message({"ids": ids.tolist()}, {"scores": scores})

    def _timed(self, asked: Message) -> Message:
        """Milliseconds of a request, its processor time, and those of the reference after it."""
        model = self._model(asked)
        moments, used = [time.perf_counter()], time.process_time()
        model.recommend(**asked.head["arguments"])
        moments.append(time.perf_counter())
        used = time.process_time() - used
        hashlib.sha256(REFERENCE).digest()
        moments.append(time.perf_counter())
        asked_ms, reference_ms = np.diff(moments) * 1000
        return Message(
            {
                "milliseconds": asked_ms,
                "processor_ms": used * 1000,
                "reference_ms": reference_ms,
            }
        )

    def _lists(self, asked: Message) -> Message:
        arrays = asked.arrays
        codes, scores = self._model(asked).lists(
            pd.Index(asked.head["item_ids"], dtype=object),
            Ragged(arrays["play_offsets"], arrays["play"]),
            Ragged(arrays["exclude_offsets"], arrays["exclude"]),
            asked.head["k"],
            asked.head["inputs"],
            arrays.get("ages"),
        )
        return Message({}, {"codes": codes, "scores": scores})


def answer(worker: Worker, asked: Message) -> Message:
    """What the worker says to a message; a fault is a message as well."""
    try:
        return worker.calls[asked.head["call"]](asked)
    except SetlistError as fault:
        return Message({"error": [fault.message, fault.remedy]})
    except Exception as fault:  # whatever a stranger's graph raises is an answer
        first = str(fault).partition("\n")[0].removesuffix(".")
        return Message({"error": [f"{type(fault).__name__}: {first}", ""]})


def serve(connection: socket.socket, worker: Worker) -> None:
    """Answer one message after the other, until the parent is gone."""
    while True:
        try:
            asked = frames.receive(connection)
        except (EOFError, OSError):
            return
        frames.send(connection, answer(worker, asked))
