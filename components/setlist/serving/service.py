"""The service behind the HTTP interface: the live model, a candidate, and what runs beside them.

The model that is live when a request is read answers it, even if a swap happens meanwhile. The
response names the revision.
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
from setlist.serving.canary import AnsweredQuery, Shadow, gets_candidate
from setlist.serving.follower import ModelFollower
from setlist.serving.messages import (
    BatchRequest,
    ListRequest,
    ModelResponse,
    RefusedRequest,
    parse_body,
)
from setlist.serving.monitoring import FollowerMetrics
from setlist.serving.request_log import LoggedList, RequestLog, ServingRole
from setlist.serving.served_model import Query, RankedList, ServedModel

LATENCY_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Seconds; most requests take 1 to 20 ms."""


@dataclass(frozen=True)
class ServiceSettings:
    """What to serve, and how.

    Attributes:
        store, name: of the model.
        folder: where revisions are kept.
        every: time between two polls of HEAD.
        candidate: a revision that runs beside the live one.
        share: of the listeners who get the candidate; None: it runs as a shadow.
        log: where requests are logged, a folder or gs://bucket/prefix; "": they are not logged.
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
    """Loads, swaps, asks, counts and logs the models that are served."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Create all parts; their threads start with `start`."""
        self.settings = settings
        self.live: ServedModel | None = None
        self.candidate: ServedModel | None = None
        self.registry = CollectorRegistry()
        self.batching = Batching()
        self.log = RequestLog(settings.log, settings.rate, self.registry) if settings.log else None
        head = ModelFollower(
            settings.store, settings.name, settings.folder / "live", self._swap, settings.every
        )
        self.followers = [head]
        self.shadow: Shadow | None = None
        if settings.candidate is not None:
            self.followers.append(
                ModelFollower(
                    settings.store,
                    settings.name,
                    settings.folder / "candidate",
                    self._set_candidate,
                    settings.every,
                    revision=settings.candidate,
                )
            )
            if settings.share is None:
                self.shadow = Shadow(lambda: self.candidate, self._log_shadow, self.registry)
        self.registry.register(FollowerMetrics(self.followers))
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "setlist_requests", "Requests, by status.", ["status"], registry=self.registry
        )
        self.listeners = Counter(
            "setlist_listeners",
            "Lists in responses, by the revision that ranked them.",
            ["revision"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "setlist_request_seconds",
            "From a request's body read to its response.",
            ["revision"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )

    def lock_folders(self) -> None:
        """Reserve the folders of the revisions for this process; `start` does it as well.

        Raises:
            SettingsError: another process uses one of them, or it cannot be written.
        """
        for follower in self.followers:
            follower.lock_folder()

    def start(self) -> None:
        """Start all threads."""
        gc.collect()
        # Imported modules never become garbage. Without this, a full collection looks at all of
        # their objects and stops every thread for 0.3 s.
        gc.freeze()
        self.batching.start()
        for part in (self.shadow, self.log):
            if part:
                part.start()
        for follower in self.followers:
            follower.start()

    def stop(self) -> None:
        """End all threads; the log is written."""
        for follower in self.followers:
            follower.stop()
        # The log ends last, because the shadow still writes to it.
        for part in (self.batching, self.shadow, self.log):
            if part:
                part.stop()

    def health(self) -> dict[str, object]:
        """The state of the followers and the log, as JSON values."""
        live, *others = [follower.health() for follower in self.followers]
        return {
            "live": live,
            "candidate": others[0] if others else None,
            "log": {"to": self.settings.log, "fault": self.log.fault} if self.log else None,
        }

    def model(self) -> ModelResponse:
        """The description of the live model.

        Raises:
            RefusedRequest: there is no model yet (503).
        """
        live, in_use = self.ready(), self.followers[0].in_use
        info = live.info
        return ModelResponse(
            name=self.settings.name,
            revision=live.revision,
            model=info.name,
            kind=info.kind,
            inputs=list(info.inputs),
            history_length=info.history_length,
            catalogue_size=info.catalogue_size,
            training_window=info.training_window,
            # The follower notes a swap a moment after `_swap`; until then it has the old revision.
            promoted=in_use.promoted if in_use and in_use.revision == live.revision else "",
            candidate=self.candidate.revision if self.candidate else None,
            share=self.settings.share,
        )

    def ready(self) -> ServedModel:
        """The live model.

        Raises:
            RefusedRequest: there is no model yet (503).
        """
        if self.live is None:
            raise RefusedRequest(503, "no model is loaded yet; /healthz says why")
        return self.live

    async def answer(self, body: bytes) -> str:
        """The JSON of the response to a request's body.

        Raises:
            RefusedRequest: the request is invalid, or there is no model.
        """
        began = time.perf_counter()
        request = parse_body(body)
        requests = request.requests if isinstance(request, BatchRequest) else [request]
        live = self.ready()
        models = [self._model_for(part.listener, live) for part in requests]
        queries = [part.query() for part in requests]
        lists = await self._rank(models, queries)
        request_id = uuid.uuid4().hex
        rendered = [model.render(ranked) for model, ranked in zip(models, lists, strict=True)]
        # Joined by hand: the parts are JSON already, and a second encoding costs milliseconds.
        if isinstance(request, BatchRequest):
            content = f'{{"answers": [{", ".join(rendered)}], "request_id": "{request_id}"}}'
        else:
            content = f'{rendered[0][:-1]}, "request_id": "{request_id}"}}'
        self.seconds.labels(live.revision).observe(time.perf_counter() - began)
        self._record(requests, queries, models, lists, request_id)
        return content

    async def _rank(
        self, models: Sequence[ServedModel], queries: Sequence[Query]
    ) -> list[RankedList]:
        """The list for each query, from the model beside it; each model is asked once."""
        lists: dict[int, RankedList] = {}
        for model in dict.fromkeys(models):
            rows = [row for row, other in enumerate(models) if other is model]
            ranked = await self.batching.ask(model, [queries[row] for row in rows])
            lists.update(zip(rows, ranked, strict=True))
        return [lists[row] for row in range(len(models))]

    def _model_for(self, listener: str | None, live: ServedModel) -> ServedModel:
        """The live model, or the candidate for its share of the listeners."""
        candidate, share = self.candidate, self.settings.share
        if candidate and share is not None and gets_candidate(listener, candidate.revision, share):
            return candidate
        return live

    def _record(
        self,
        requests: Sequence[ListRequest],
        queries: Sequence[Query],
        models: Sequence[ServedModel],
        lists: Sequence[RankedList],
        request_id: str,
    ) -> None:
        """Count and log the lists of a response, and pass them to the shadow."""
        logged = self.log is not None and self.log.sampled()
        for request, query, model, ranked in zip(requests, queries, models, lists, strict=True):
            self.listeners.labels(model.revision).inc()
            answer = AnsweredQuery(model.revision, query, ranked, request.listener, request_id)
            if logged:
                self._log(model, answer, "candidate" if model is self.candidate else "live")
            if self.shadow:
                self.shadow.compare(answer)

    def _log_shadow(self, model: ServedModel, answer: AnsweredQuery) -> None:
        self._log(model, answer, "shadow")

    def _log(self, model: ServedModel, answer: AnsweredQuery, role: ServingRole) -> None:
        if self.log:
            history, ages, inputs = model.inputs_read(answer.query)
            row = LoggedList(
                request_id=answer.request_id,
                listener=answer.listener or "",
                name=self.settings.name,
                revision=model.revision,
                role=role,
                k=answer.query.k,
                history=history,
                ages=ages,
                inputs=inputs,
                exclude=list(answer.query.exclude),
                ranked=answer.ranked,
                time=time.time(),
            )
            self.log.put(row)

    def _swap(self, revision: int, folder: Path) -> None:
        # One assignment: requests that hold the old model finish on it.
        self.live = ServedModel(revision, folder)
        print(f"revision {revision} of {self.settings.name} is live here", flush=True)

    def _set_candidate(self, revision: int, folder: Path) -> None:
        self.candidate = ServedModel(revision, folder)
        print(f"revision {revision} of {self.settings.name} runs beside the live one", flush=True)
