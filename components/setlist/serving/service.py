"""The service behind the HTTP interface: the live model, a candidate, and what runs beside them.

The model that is live when a request is read answers it, even if a swap happens meanwhile. The
response names the revision. Models run in processes of their own (`setlist.serving.model_pool`).
"""

import asyncio
import contextlib
import gc
import json
import time
import uuid
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from setlist.models.worker.query import Query, RankedList
from setlist.serving.canary import AnsweredQuery, Shadow, gets_candidate
from setlist.serving.messages import (
    BatchRequest,
    ListRequest,
    ModelResponse,
    RefusedRequest,
    parse_body,
)
from setlist.serving.monitoring import FollowerMetrics
from setlist.serving.request_log import LoggedList, RequestLog, ServingRole
from setlist.serving.request_queue import Gone
from setlist.serving.served_model import ServedModel
from setlist.serving.served_models import ServedModels, ServiceSettings

LATENCY_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Seconds; most requests take 1 to 20 ms."""
REQUEST_SECONDS = 5.0
"""Of a request that has no deadline of its own."""
SILENT_SECONDS = 60.0
"""For so long a model may not answer before the process is given up: it is replaced in some two."""


class Service:
    """Asks the models that are served, and counts and logs their lists."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Create all parts; `start` starts them."""
        self.settings = settings
        self.draining = False
        """Whether the process is about to end, and wants no further connections."""
        self.registry = CollectorRegistry()
        self.log = None
        if settings.log:
            self.log = RequestLog(
                settings.log, settings.rate, self.registry, keep_days=settings.log_days
            )
        self.models = ServedModels(settings, lambda *lost: self.lost.labels(*lost).inc())
        self.shadow: Shadow | None = None
        if settings.candidate is not None and settings.share is None:
            self.shadow = Shadow(lambda: self.models.candidate, self._log_shadow, self.registry)
        self.registry.register(FollowerMetrics(self.models.followers))
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "setlist_requests", "Requests, by status.", ["status"], registry=self.registry
        )
        # By role and not by revision, so that the series do not grow with every swap; which
        # revision has a role is in setlist_model_revision.
        self.listeners = Counter(
            "setlist_listeners", "Lists in responses, by role.", ["role"], registry=self.registry
        )
        begun = Gauge(
            "setlist_open_requests",
            "Requests to the live model that wait or are being answered.",
            registry=self.registry,
        )
        begun.set_function(self._open_requests)
        self.lost = Counter(
            "setlist_workers_lost",
            "Workers that did not come back from a call (hung) or ended (died), by role.",
            ["role", "reason"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "setlist_request_seconds",
            "From a request's body read to its response.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )

    def _open_requests(self) -> int:
        live = self.models.live
        return live.pool.open_requests if live else 0

    def start(self) -> None:
        """Start all parts; called in the event loop that answers requests."""
        gc.collect()
        # Imported modules never become garbage. Without this, a full collection looks at all of
        # their objects and stops every thread for 0.3 s.
        gc.freeze()
        for part in (self.shadow, self.log, self.models):
            if part:
                part.start()

    async def stop(self) -> None:
        """End all parts; the log is written."""
        await self.models.stop_following()
        if self.shadow:
            await self.shadow.stop()
        await self.models.close()
        # The log ends last, because the shadow still writes to it.
        if self.log:
            await asyncio.to_thread(self.log.stop)

    @property
    def full(self) -> bool:
        """Whether a request is refused, because too many wait."""
        return self.models.live is not None and self.models.live.pool.full

    async def answers(self) -> bool:
        """Whether there is a model, and it answers."""
        return self.models.live is not None and await self.models.live.pool.probe()

    async def healthy(self) -> bool:
        """Whether the process may go on: no model yet, or one that answers, or did so lately."""
        if self.models.live is None or await self.models.live.pool.probe():
            return True
        return time.monotonic() - self.models.live.pool.last_answer < SILENT_SECONDS

    def health(self) -> dict[str, object]:
        """The state of the followers and the log, as JSON values."""
        live, *others = [follower.health() for follower in self.models.followers]
        return {
            "live": live,
            "candidate": others[0] if others else None,
            "unconfined": self.models.unconfined,
            "log": {"to": self.settings.log, "fault": self.log.fault} if self.log else None,
        }

    def model(self) -> ModelResponse:
        """The description of the live model.

        Raises:
            RefusedRequest: there is no model yet (503).
        """
        live, in_use = self.ready(), self.models.followers[0].in_use
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
            promoted=in_use.promoted if in_use and in_use.folder == live.folder else "",
            candidate=self.models.candidate.revision if self.models.candidate else None,
            share=self.settings.share,
        )

    def ready(self) -> ServedModel:
        """The live model.

        Raises:
            RefusedRequest: there is no model yet (503).
        """
        if self.models.live is None:
            raise RefusedRequest(503, "no model is loaded yet; /healthz says why")
        return self.models.live

    async def answer(self, body: bytes, seconds: float, gone: Gone) -> bytes:
        """The JSON of the response to a request's body.

        Args:
            body: of the request.
            seconds: until its sender has no use for the response.
            gone: whether the sender has hung up.

        Raises:
            RefusedRequest: the request is invalid, there is no model, or no answer in time.
        """
        began = time.perf_counter()
        request = parse_body(body)
        requests = request.requests if isinstance(request, BatchRequest) else [request]
        live = self.ready()
        models = [self._model_for(part.listener, live) for part in requests]
        queries = [part.query() for part in requests]
        for place, (model, query) in enumerate(zip(models, queries, strict=True)):
            if name := model.unknown_input(query):
                batch = f"requests.{place}." if isinstance(request, BatchRequest) else ""
                known = ", ".join(sorted(model.known_inputs or ())) or "none"
                raise RefusedRequest(
                    422, f"no such input; the model's inputs are: {known}", f"{batch}inputs.{name}"
                )
        # A swap may close a pool that nobody holds, also while another one is asked.
        with contextlib.ExitStack() as held:
            for model in dict.fromkeys(models):
                held.enter_context(model.pool.held())
            lists = await self._rank(models, queries, seconds, gone)
        request_id = uuid.uuid4().hex
        rendered = [
            b'{"revision": %d, "model": %s, "items": %s'
            % (model.revision, json.dumps(model.info.name).encode(), ranked.rendered)
            for model, ranked in zip(models, lists, strict=True)
        ]
        # Joined by hand: the parts are JSON already, and a second encoding costs milliseconds.
        if isinstance(request, BatchRequest):
            content = b'{"answers": [%s}], "request_id": "%s"}'
            content %= b"}, ".join(rendered), request_id.encode()
        else:
            content = b'%s, "request_id": "%s"}' % (rendered[0], request_id.encode())
        self.seconds.observe(time.perf_counter() - began)
        self._record(requests, queries, models, lists, request_id)
        return content

    async def _rank(
        self,
        models: Sequence[ServedModel],
        queries: Sequence[Query],
        seconds: float,
        gone: Gone,
    ) -> list[RankedList]:
        """The list for each query, from the model beside it; each model is asked once."""
        lists: dict[int, RankedList] = {}
        with_ids = bool(self.log or self.shadow)

        async def ask(model: ServedModel) -> None:
            rows = [row for row, other in enumerate(models) if other is model]
            ranked = await model.pool.ask(
                [queries[row] for row in rows], seconds, with_ids=with_ids, gone=gone
            )
            lists.update(zip(rows, ranked, strict=True))

        await asyncio.gather(*map(ask, dict.fromkeys(models)))
        return [lists[row] for row in range(len(models))]

    def _model_for(self, listener: str | None, live: ServedModel) -> ServedModel:
        """The live model, or the candidate for its share of the listeners while it answers."""
        candidate, share = self.models.candidate, self.settings.share
        if candidate is None or share is None or not candidate.pool.at_work:
            return live
        return candidate if gets_candidate(listener, candidate.revision, share) else live

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
            role: ServingRole = "candidate" if model is self.models.candidate else "live"
            self.listeners.labels(role).inc()
            answer = AnsweredQuery(model.identity, query, ranked, request.listener, request_id)
            if logged:
                self._log(model, answer, role)
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
