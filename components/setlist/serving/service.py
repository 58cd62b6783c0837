"""What is served: the live model, perhaps a candidate, and all that runs beside them.

Every request is answered by the model that was live when it was read, also when it is swapped
meanwhile; the answer names the revision.
"""

import gc
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from setlist.serving.batching import Batching
from setlist.serving.canary import Shadow, Shown, chosen
from setlist.serving.follower import ModelFollower
from setlist.serving.messages import Ask, Batch, ModelAnswer, Refused, parse
from setlist.serving.prometheus import FollowerMetrics
from setlist.serving.request_log import Entry, Role, ServingLog
from setlist.serving.served_model import Listed, Question, ServedModel

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


@dataclass(frozen=True)
class Serving:
    """What to serve.

    Attributes:
        store, name: of the model.
        folder: where revisions are kept.
        every: between two looks at HEAD.
        candidate: a revision that runs beside the live one.
        share: of listeners who get it; None: nobody, it runs in the shadow.
        log: where requests are logged, a folder or gs://bucket/prefix; "" for nowhere.
        rate: the share of requests that are logged.
    """

    store: str
    name: str
    folder: Path
    every: timedelta = timedelta(minutes=1)
    candidate: int | None = None
    share: float | None = None
    log: str = ""
    rate: float = 1.0


class Service:
    """The models that are served, and everything that runs beside them."""

    def __init__(self, serving: Serving) -> None:
        """Nothing runs before `start`."""
        self.serving = serving
        self.live: ServedModel | None = None
        self.candidate: ServedModel | None = None
        self.registry = CollectorRegistry()
        self.batching = Batching()
        self.log = ServingLog(serving.log, serving.rate, self.registry) if serving.log else None
        head = ModelFollower(
            serving.store, serving.name, serving.folder / "live", self._swap, serving.every
        )
        self.followers = [head]
        self.shadow: Shadow | None = None
        if serving.candidate is not None:
            self.followers.append(
                ModelFollower(
                    serving.store,
                    serving.name,
                    serving.folder / "candidate",
                    self._try,
                    serving.every,
                    revision=serving.candidate,
                )
            )
            if serving.share is None:
                self.shadow = Shadow(lambda: self.candidate, self._log_shadow, self.registry)
        self.registry.register(FollowerMetrics(self.followers))
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "setlist_requests", "Requests, by status.", ["status"], registry=self.registry
        )
        self.listeners = Counter(
            "setlist_listeners",
            "Lists given, by the revision that made them.",
            ["revision"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "setlist_request_seconds",
            "From a request's first byte read to its answer.",
            ["revision"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def claim(self) -> None:
        """Make the folders of the models this process's own; `start` does it as well.

        Raises:
            SetlistError: another process is at work in one, or it cannot be written.
        """
        for follower in self.followers:
            follower.claim()

    def start(self) -> None:
        """Start all threads."""
        gc.collect()
        gc.freeze()  # what was imported stays: a collection that looks at it stops all for .3 s
        self.batching.start()
        for part in (self.shadow, self.log):
            if part:
                part.start()
        for follower in self.followers:
            follower.start()

    def stop(self) -> None:
        """End all threads; logs are written."""
        for follower in self.followers:
            follower.stop()
        for part in (self.batching, self.shadow, self.log):
            if part:
                part.stop()

    def health(self) -> dict[str, object]:
        """How everything stands, as JSON values."""
        live, *others = [follower.health() for follower in self.followers]
        return {
            "live": live,
            "candidate": others[0] if others else None,
            "log": {"to": self.serving.log, "fault": self.log.fault} if self.log else None,
        }

    def model(self) -> ModelAnswer:
        """What answers now.

        Raises:
            Refused: nothing does yet.
        """
        live, at = self.ready(), self.followers[0].live
        info = live.info
        return ModelAnswer(
            name=self.serving.name,
            revision=live.revision,
            model=info.name,
            kind=info.kind,
            inputs=list(info.inputs),
            history_length=info.history_length,
            catalogue_size=info.catalogue_size,
            training_window=info.training_window,
            promoted=at.promoted if at and at.revision == live.revision else "",
            candidate=self.candidate.revision if self.candidate else None,
            share=self.serving.share,
        )

    def ready(self) -> ServedModel:
        """The live model.

        Raises:
            Refused: there is none yet.
        """
        if self.live is None:
            raise Refused(503, "no model is here yet; /healthz says why")
        return self.live

    async def answer(self, body: bytes) -> str:
        """The JSON that answers a request.

        Raises:
            Refused: the request is not what is asked for, or there is no model.
        """
        began = time.perf_counter()
        asked = parse(body)
        asks = asked.requests if isinstance(asked, Batch) else [asked]
        live = self.ready()
        models = [self._model_of(ask.listener, live) for ask in asks]
        questions = [ask.question() for ask in asks]
        lists = await self._lists(models, questions)
        request_id = uuid.uuid4().hex
        rendered = [model.render(listed) for model, listed in zip(models, lists, strict=True)]
        if isinstance(asked, Batch):
            content = f'{{"answers": [{", ".join(rendered)}], "request_id": "{request_id}"}}'
        else:
            content = f'{rendered[0][:-1]}, "request_id": "{request_id}"}}'
        self.seconds.labels(live.revision).observe(time.perf_counter() - began)
        self._note(asks, questions, models, lists, request_id)
        return content

    async def _lists(
        self, models: Sequence[ServedModel], questions: Sequence[Question]
    ) -> list[Listed]:
        """The list of each, by its model."""
        lists: dict[int, Listed] = {}
        for model in dict.fromkeys(models):
            rows = [row for row, own in enumerate(models) if own is model]
            found = await self.batching.ask(model, [questions[row] for row in rows])
            lists.update(zip(rows, found, strict=True))
        return [lists[row] for row in range(len(models))]

    def _model_of(self, listener: str | None, live: ServedModel) -> ServedModel:
        """The live model, or the candidate for its share of the listeners."""
        candidate, share = self.candidate, self.serving.share
        if candidate and share is not None and chosen(listener, candidate.revision, share):
            return candidate
        return live

    def _note(
        self,
        asks: Sequence[Ask],
        questions: Sequence[Question],
        models: Sequence[ServedModel],
        lists: Sequence[Listed],
        request_id: str,
    ) -> None:
        """Count, log and shadow what was answered."""
        logged = self.log is not None and self.log.sampled()
        for ask, question, model, listed in zip(asks, questions, models, lists, strict=True):
            self.listeners.labels(model.revision).inc()
            shown = Shown(model.revision, question, listed, ask.listener, request_id)
            if logged:
                self._log(model, shown, "candidate" if model is self.candidate else "live")
            if self.shadow:
                self.shadow.show(shown)

    def _log_shadow(self, model: ServedModel, shown: Shown) -> None:
        if self.log:
            self._log(model, shown, "shadow")

    def _log(self, model: ServedModel, shown: Shown, role: Role) -> None:
        if self.log:
            history, ages, inputs = model.seen(shown.question)
            entry = Entry(
                request_id=shown.request_id,
                listener=shown.listener or "",
                name=self.serving.name,
                revision=model.revision,
                role=role,
                k=shown.question.k,
                history=history,
                ages=ages,
                inputs=inputs,
                exclude=list(shown.question.exclude),
                listed=shown.listed,
                time=time.time(),
            )
            self.log.put(entry)

    def _swap(self, revision: int, folder: Path) -> None:
        self.live = ServedModel(revision, folder)
        print(f"revision {revision} of {self.serving.name} is live here", flush=True)

    def _try(self, revision: int, folder: Path) -> None:
        self.candidate = ServedModel(revision, folder)
        print(f"revision {revision} of {self.serving.name} runs beside it", flush=True)
