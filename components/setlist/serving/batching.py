"""Requests that wait for the model are asked together.

Nobody waits for others to come: whatever has come while the model was busy is its next batch.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from setlist.serving.served_model import Listed, Question, ServedModel

MOST = 16
"""Listeners a call: beyond, the scores of a batch outgrow the cache, and each takes longer."""


@dataclass(frozen=True)
class _Waiting:
    model: ServedModel
    questions: Sequence[Question]
    answer: "asyncio.Future[list[Listed]]"
    loop: asyncio.AbstractEventLoop


class Batching:
    """One thread that asks models; TensorFlow lets go of the interpreter meanwhile."""

    def __init__(self) -> None:
        """Nothing runs before `start`."""
        self._waiting: deque[_Waiting] = deque()
        self._come = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer all who wait, then end."""
        with self._come:
            self._stopped = True
            self._come.notify()
        self._thread.join(timeout=10)

    async def ask(self, model: ServedModel, questions: Sequence[Question]) -> list[Listed]:
        """The model's lists; the fault of a model is that of the one who asked it."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(model, questions, loop.create_future(), loop)
        with self._come:
            self._waiting.append(waiting)
            self._come.notify()
        return await waiting.answer

    def _run(self) -> None:
        while batch := self._next():
            questions = [question for one in batch for question in one.questions]
            try:
                lists = batch[0].model.lists(questions)
            except Exception as fault:  # a stranger's graph may raise anything
                if len(batch) == 1:
                    _tell(batch[0], fault)
                    continue
                for one in batch:  # so that one poisoned request fails alone
                    try:
                        _tell(one, one.model.lists(one.questions))
                    except Exception as own:
                        _tell(one, own)
                continue
            start = 0
            for one in batch:
                _tell(one, lists[start : start + len(one.questions)])
                start += len(one.questions)

    def _next(self) -> list[_Waiting]:
        """Those who wait for the model of the first; [] in the end."""
        with self._come:
            while not self._waiting:
                if self._stopped:
                    return []
                self._come.wait()
            batch = [self._waiting.popleft()]
            size = len(batch[0].questions)
            while self._waiting and self._waiting[0].model is batch[0].model:
                size += len(self._waiting[0].questions)
                if size > MOST:
                    break
                batch.append(self._waiting.popleft())
            return batch


def _tell(one: _Waiting, said: list[Listed] | Exception) -> None:
    def deliver() -> None:
        if one.answer.cancelled():  # the caller hung up
            return
        if isinstance(said, Exception):
            one.answer.set_exception(said)
        else:
            one.answer.set_result(said)

    one.loop.call_soon_threadsafe(deliver)
