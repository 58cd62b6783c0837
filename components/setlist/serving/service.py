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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from setlist.models.profile import read_profile
from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_worker import ModelWorker
from setlist.models.worker.query import Query, RankedList
from setlist.serving.canary import SHADOW_NICENESS, AnsweredQuery, Shadow, gets_candidate
from setlist.serving.follower import ModelFollower
from setlist.serving.messages import (
    BatchRequest,
    ListRequest,
    ModelResponse,
    RefusedRequest,
    parse_body,
)
from setlist.serving.model_pool import Gone, ModelPool
from setlist.serving.monitoring import FollowerMetrics
from setlist.serving.request_log import KEEP_DAYS, LoggedList, RequestLog, ServingRole
from setlist.serving.served_model import ServedModel
from setlist.serving.spare_worker import SpareWorker

LATENCY_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Seconds; most requests take 1 to 20 ms."""
REQUEST_SECONDS = 5.0
"""Of a request that has no deadline of its own."""
SILENT_SECONDS = 60.0
"""For so long a model may not answer before the process is given up: it is replaced in some two."""


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
        log_days: days after which what was logged is removed.
        workers: processes that answer for a model, each with a copy of it.
        any_input: whether requests may send inputs that no model knows.
        allowed: operations of a graph that are allowed beside the usual ones.
    """

    store: str
    name: str
    folder: Path
    every: timedelta = timedelta(minutes=1)
    candidate: int | None = None
    share: float | None = None
    log: str = ""
    rate: float = 1.0
    log_days: int = KEEP_DAYS
    workers: int = 1
    any_input: bool = False
    allowed: tuple[str, ...] = ()


class Service:
    """Loads, swaps, asks, counts and logs the models that are served."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Create all parts; `start` starts them."""
        self.settings = settings
        self.live: ServedModel | None = None
        self.candidate: ServedModel | None = None
        self.draining = False
        """Whether the process is about to end, and wants no further connections."""
        self.unconfined: str | None = None
        """What the kernel does not let the process of a model give up; "" for nothing."""
        self.registry = CollectorRegistry()
        self.log = None
        if settings.log:
            self.log = RequestLog(
                settings.log, settings.rate, self.registry, keep_days=settings.log_days
            )
        self._spare = SpareWorker()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._retiring: set[asyncio.Task[None]] = set()
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
        begun.set_function(lambda: self.live.pool.open_requests if self.live else 0)
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

    def lock_folders(self) -> None:
        """Reserve the folders of the revisions for this process; `start` does it as well.

        Raises:
            SettingsError: another process uses one of them, or it cannot be written.
        """
        for follower in self.followers:
            follower.lock_folder()

    def start(self) -> None:
        """Start all parts; called in the event loop that answers requests."""
        self._loop = asyncio.get_running_loop()
        self._spare.start()
        gc.collect()
        # Imported modules never become garbage. Without this, a full collection looks at all of
        # their objects and stops every thread for 0.3 s.
        gc.freeze()
        for part in (self.shadow, self.log):
            if part:
                part.start()
        for follower in self.followers:
            follower.start()

    async def stop(self) -> None:
        """End all parts; the log is written."""
        await asyncio.gather(*(asyncio.to_thread(each.stop) for each in self.followers))
        if self.shadow:
            await self.shadow.stop()
        for model in (self.live, self.candidate):
            if model:
                await model.pool.close()
        for task in list(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await asyncio.to_thread(self._spare.close)
        # The log ends last, because the shadow still writes to it.
        if self.log:
            await asyncio.to_thread(self.log.stop)

    @property
    def full(self) -> bool:
        """Whether a request is refused, because too many wait."""
        return self.live is not None and self.live.pool.full

    async def answers(self) -> bool:
        """Whether there is a model, and it answers."""
        return self.live is not None and await self.live.pool.probe()

    async def healthy(self) -> bool:
        """Whether the process may go on: no model yet, or one that answers, or did so lately."""
        if self.live is None or await self.live.pool.probe():
            return True
        return time.monotonic() - self.live.pool.last_answer < SILENT_SECONDS

    def health(self) -> dict[str, object]:
        """The state of the followers and the log, as JSON values."""
        live, *others = [follower.health() for follower in self.followers]
        return {
            "live": live,
            "candidate": others[0] if others else None,
            "unconfined": self.unconfined,
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
            promoted=in_use.promoted if in_use and in_use.folder == live.folder else "",
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
        candidate, share = self.candidate, self.settings.share
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
            role: ServingRole = "candidate" if model is self.candidate else "live"
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

    def _swap(self, revision: int, folder: Path) -> None:
        follower, take = self.followers[0], self._spare.take
        before, self.live = self.live, self._load(revision, folder, "live", take, follower)
        self._retire(before)
        print(f"revision {revision} of {self.settings.name} is live here", flush=True)

    def _set_candidate(self, revision: int, folder: Path) -> None:
        def niced() -> ModelWorker:
            return ModelWorker(Limits(niceness=SHADOW_NICENESS))

        take = niced if self.shadow else self._spare.take
        follower = self.followers[1]
        loaded = self._load(revision, folder, "candidate", take, follower)
        before, self.candidate = self.candidate, loaded
        self._retire(before)
        print(f"revision {revision} of {self.settings.name} runs beside the live one", flush=True)

    def _load(
        self,
        revision: int,
        folder: Path,
        role: str,
        take: Callable[[], ModelWorker],
        follower: ModelFollower,
    ) -> ServedModel:
        """A revision, loaded, warm and started; in the thread of a follower.

        Raises:
            SetlistError: the model does not load, or does not answer.
        """
        settings = self.settings

        def count(reason: str) -> None:
            self.lost.labels(role, reason).inc()
            print(f"a worker of revision {revision} {reason}; it is replaced", flush=True)

        profile = read_profile(folder)
        pool = ModelPool(
            folder, take, settings.workers, settings.allowed, count, follower.fetch_again
        )
        info = pool.load()
        if self.unconfined is None and pool.unconfined:
            print(f"models are less confined here: {pool.unconfined}", flush=True)
        self.unconfined = pool.unconfined
        self._in_loop(pool.start)
        known = {*info.categorical_inputs, *(profile.offered if profile else ())}
        anything = settings.any_input or not known
        return ServedModel(revision, folder, info, None if anything else frozenset(known), pool)

    def _retire(self, model: ServedModel | None) -> None:
        """End the workers of a model when its last request is answered."""
        if model is None:
            return

        def begin() -> None:
            task = asyncio.create_task(model.pool.retire(REQUEST_SECONDS))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

        self._in_loop(begin)

    def _in_loop(self, act: Callable[[], None]) -> None:
        """Call something in the event loop, from a follower's thread."""
        if self._loop is None:
            raise RuntimeError("the service was not started")
        self._loop.call_soon_threadsafe(act)
