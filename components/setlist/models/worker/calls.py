"""What a worker can be asked: to load a model, to warm it up, to list items for listeners."""

import socket
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
from setlist.models.worker.confinement import Limits, Watch, used_memory
from setlist.models.worker.frames import Message
from setlist.models.worker.query import Query


class Worker:
    """The model that was loaded last, and what can be asked of it."""

    def __init__(self, limits: Limits, watch: Watch) -> None:
        self._limits, self._watch = limits, watch
        self._model: SavedModel | None = None
        self._answers: AnsweringModel | None = None
        tf.function(tf.identity)(
            tf.constant(0)
        )  # TensorFlow starts its threads with the first call
        self._baseline = used_memory()
        self.calls: dict[str, Callable[[Message], Message]] = {
            "load": self._load,
            "warm_up": self._warm_up,
            "answer": self._answer,
            "signature": self._signature,
            "lists": self._lists,
        }

    @property
    def model(self) -> SavedModel:
        """The loaded model."""
        if self._model is None:
            raise ModelError("no model is loaded")
        return self._model

    def _load(self, asked: Message) -> Message:
        folder = Path(asked.head["folder"])
        self._model = self._answers = None
        self._watch.limit_memory(self._limits, folder, self._baseline)
        self._model = SavedModel(folder, asked.head["allowed"])
        return Message({"info": self._model.info.model_dump()})

    def _warm_up(self, asked: Message) -> Message:
        self._answers = AnsweringModel(self.model, Path(asked.head["folder"]))
        return Message({"slowest": self._answers.warm_up()})

    def _answer(self, asked: Message) -> Message:
        if self._answers is None:
            raise ModelError("the model is not warm")
        lists = self._answers.lists([Query(**query) for query in asked.head["queries"]])
        head: dict[str, object] = {"sizes": [len(ranked.rendered) for ranked in lists]}
        if asked.head["ids"]:
            head |= {
                "ids": [ranked.item_ids for ranked in lists],
                "scores": [ranked.scores for ranked in lists],
            }
        rendered = np.frombuffer(b"".join(ranked.rendered for ranked in lists), np.uint8)
        return Message(head, {"rendered": rendered})

    def _signature(self, asked: Message) -> Message:
        ids, scores = self.model.signature(**asked.head["arguments"])
        return Message({"ids": ids.tolist()}, {"scores": scores})

    def _lists(self, asked: Message) -> Message:
        arrays = asked.arrays
        codes, scores = self.model.lists(
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
