"""The one door: hands out the services of the rooms. Every public method of theirs checks the principal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from herding.access.operations import METRICS
from herding.access.role_file import Roles
from herding.access.roles import require
from herding.errors import NotFoundError, StoreError
from herding.evaluation.feedback import Feedback
from herding.evaluation.insights import Insights
from herding.evaluation.learning import Learning
from herding.evaluation.usage import UsageReports
from herding.herd.fleet import Fleet
from herding.herd.model_switcher import ModelSwitcher
from herding.herd.nodes import Nodes
from herding.herd.prober import Prober
from herding.herd.registry import Registry
from herding.knowledge.collections import Collections
from herding.knowledge.documents import BuiltInLoaders, register_loaders
from herding.knowledge.embedder import Embedder
from herding.knowledge.folder import DocumentFolder
from herding.knowledge.indexer import Indexer
from herding.knowledge.reranker import Reranker
from herding.knowledge.retrieval import Retriever
from herding.knowledge.search import CollectionSearch
from herding.nodes.catalog import BuiltInKinds
from herding.people.accounts import Accounts
from herding.people.authenticator import Authenticator
from herding.plugins import Plugins
from herding.prompts.checks import BuiltInChecks
from herding.prompts.library import Library
from herding.routing.event_log import EventKind
from herding.routing.policies import BuiltInPolicies
from herding.serving.history import History
from herding.serving.metrics import Metrics
from herding.serving.pipeline import Pipeline
from herding.serving.preparer import Preparer
from herding.serving.queue import RequestQueue
from herding.serving.request import ActiveRequests
from herding.serving.selector import Selector
from herding.serving.sources import BuiltInSources
from herding.store import Store, now_ms
from herding.studio.catalog import CachedStats, PromptCatalog
from herding.studio.drafts import Drafts
from herding.studio.role_patterns import RolePatterns
from herding.studio.studio import Studio
from herding.studio.sync import Sync
from herding.studio.version_cache import VersionCache
from herding.values import Principal

WAIT_SECONDS = 60.0
PRUNE_SECONDS = 24 * 3600.0
INDEX_SECONDS = 1.0
"""Seconds between two looks for texts that the search index lacks."""

INDEX_RETRY_SECONDS = 10.0
PRESENCE_SECONDS = 20.0
DEMAND_SECONDS = 0.5
"""Seconds between two looks at the models that requests wait for."""

log = logging.getLogger(__name__)


def built_in() -> tuple[object, ...]:
    """Return the parts of this package that register through the hooks of plugins."""
    return BuiltInKinds(), BuiltInChecks(), BuiltInLoaders(), BuiltInSources(), BuiltInPolicies()


class Orchestrator:
    """Wires the services and hands them out.

    pipeline   runs requests: prompts, chats, completions, embeddings
    prompts    finds and lists prompts
    studio     saves, labels, compares and deletes prompts
    drafts     keeps unsaved prompts
    history    looks up requests
    feedback   stores stars, comments and preferences
    insights   tells how versions and models did
    collections   keeps and searches collections of documents
    usage      adds up requests by user, token, prompt, model, node and day
    nodes      lists nodes and models, switches models
    registry   adds and removes nodes at run time
    accounts   users, tokens, roles and limits
    role_patterns   finds patterns of roles that match no prompt

    `wait_seconds` is how long a request may wait for a node.
    `documents` is a directory to keep collections equal to.
    """

    def __init__(
        self,
        *,
        library: Library,
        fleet: Fleet,
        store: Store,
        roles: Roles,
        authenticator: Authenticator,
        registry: Registry,
        clock: Callable[[], int] = now_ms,
        wait_seconds: float = WAIT_SECONDS,
        documents: Path | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        plugins = plugins or Plugins(built_in=built_in())
        register_loaders(plugins.loaders)
        self._store, self._fleet, self._clock = store, fleet, clock
        self._active = ActiveRequests()
        self._bots: dict[str, str] = {}
        self._learning = Learning(store=store, rng=fleet.rng, clock=clock, plugins=plugins)
        self._prober, self._switcher = Prober(fleet), ModelSwitcher(fleet)
        self._version_cache = cache = VersionCache(store)
        self._sync = Sync(library=library, store=store, version_cache=cache, clock=clock)
        self.prompts = PromptCatalog(
            library=library,
            version_cache=cache,
            sync=self._sync,
            nodes=fleet,
            stats=CachedStats(store.prompt_stats),
        )
        self.studio = Studio(
            library=library, store=store, version_cache=cache, sync=self._sync, roles=roles, clock=clock
        )
        self.role_patterns = RolePatterns(cache, roles)
        self.drafts = Drafts(store=store, version_cache=cache, studio=self.studio, prompts=self.prompts, clock=clock)
        selector = Selector(fleet, self._learning)
        self._queue = RequestQueue(fleet, selector, wait_seconds=wait_seconds)
        self._metrics = Metrics(fleet, self._active, self._queue)
        embedder = Embedder(fleet)
        reranker = Reranker(fleet)
        search = CollectionSearch(store=store, embedder=embedder, reranker=reranker)
        self._indexer = Indexer(store=store, embedder=embedder, clock=clock)
        self.collections = Collections(
            store=store,
            embedder=embedder,
            reranker=reranker,
            search=search,
            wake=self._indexer.wake,
            clock=clock,
        )
        self.pipeline = Pipeline(
            preparer=Preparer(
                prompts=self.prompts,
                retriever=Retriever(store=store, search=search),
                store=store,
                clock=clock,
                plugins=plugins,
            ),
            store=store,
            fleet=fleet,
            selector=selector,
            queue=self._queue,
            learning=self._learning,
            active=self._active,
            metrics=self._metrics,
            plugins=plugins,
        )
        self.history = History(store)
        self._folder = documents and DocumentFolder(documents, store=store, clock=clock)
        self.feedback = Feedback(store=store, learning=self._learning, clock=clock)
        self.insights = Insights(store=store, learning=self._learning, fleet=fleet, prompts=self.prompts, clock=clock)
        self.usage = UsageReports(store=store, clock=clock)
        self.nodes = Nodes(
            fleet=fleet, store=store, prompts=self.prompts, switcher=self._switcher, clock=clock, plugins=plugins
        )
        self.registry = registry
        self.accounts = Accounts(
            store=store, roles=roles, authenticator=authenticator, active=self._active, clock=clock
        )

    async def metrics(self, who: Principal) -> bytes:
        """Return counts and times for monitoring, in Prometheus' text format."""
        require(who, METRICS)
        return self._metrics.text(node.name for node in self._fleet.usable(who))

    async def ready(self) -> str | None:
        """Return None when a request can be served now, else what is missing."""
        problem = (await self._store.check()).problem
        if problem:
            return problem
        able = any(node.serves or node.embeds or node.reranks for node in self._fleet.values())
        return None if able else "No node serves a model yet."

    def tell_bot(self, name: str, state: str, detail: str = "") -> None:
        """Note the state of a bot, which health shows; a change of its connection is an event of the Nodes tab."""
        self._bots[name] = state
        kinds: dict[str, EventKind] = {
            "connected": "connected",
            "reconnecting": "disconnected",
            "failed": "misconfigured",
        }
        if kind := kinds.get(state):
            self._fleet.events.record(name, kind, detail)

    def bots(self) -> dict[str, str]:
        """Return the state of each bot by its name."""
        return dict(self._bots)

    def running(self) -> int:
        """The number of requests that run or wait."""
        return len(self._active)

    def stop_accepting(self) -> None:
        """Start no further request, because the app stops."""
        self._active.stopping = True

    def interrupt_all(self) -> None:
        """Interrupt all running requests: their callers get an error, their rows the status `interrupted`."""
        self._active.interrupt_all()

    # Beside the requests

    async def load(self) -> None:
        """Read the prompt files and what was learned of the models; what fails is tried again later or left out."""
        try:
            await self._sync.refresh()
            for key in tuple(self._version_cache.heads):
                with suppress(NotFoundError):
                    await self._version_cache.resolve(key)
        except StoreError as error:
            log.warning("Prompt files wait for the database: %s", error)
        try:
            await self._learning.load()
        except StoreError as error:
            log.warning("The routing starts without what it learned: %s", error)

    def background_tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return the endless work that runs beside the requests."""
        folder = (self._folder.watch(),) if self._folder else ()
        watches = self._sync.watch(), self.accounts.watch(), self._prober.watch(), self.role_patterns.watch()
        return (
            *watches,
            self._follow_demand(),
            self._prune(),
            self._index(),
            self._stay_present(),
            self._indexer.run(),
            *folder,
        )

    async def _follow_demand(self) -> None:
        """Switch nodes that allow it to the models that requests wait for; never returns."""
        while True:
            await asyncio.sleep(DEMAND_SECONDS)
            if any(node.auto_switch for node in self._fleet.values()):
                await self._switcher.follow(self._queue.demand())

    async def _index(self) -> None:
        """Write ends of requests that the database missed, and index the texts of the history; never returns."""
        while True:
            await asyncio.sleep(INDEX_SECONDS)
            try:
                await self._store.finish_late()
                await self._store.index()
            except StoreError as error:
                log.warning("Ended requests and the search index wait for the database: %s", error)
                await asyncio.sleep(INDEX_RETRY_SECONDS)

    async def _stay_present(self) -> None:
        """Show other processes on the same database that this one lives; never returns."""
        while True:
            await asyncio.sleep(PRESENCE_SECONDS)
            try:
                await self._store.stay_present()
            except StoreError as error:
                log.warning("Other processes may take this one for ended: %s", error)

    async def _prune(self) -> None:
        """Delete once a day what no limit needs any more; never returns."""
        while True:
            try:
                await self._store.prune(before=self._clock())
            except StoreError as error:
                log.warning("Old entries of limits stay another day: %s", error)
            await asyncio.sleep(PRUNE_SECONDS)
