"""The one door: whatever a front door wants, it asks here, and here the principal is checked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from herding.access.operations import (
    CHAT,
    EMBED,
    MANAGE_NODES,
    METRICS,
    MODELS,
    NODES,
    PROMPTS,
    RATE,
    RUN,
    SAVE,
    SWITCH_MODEL,
)
from herding.access.role_file import ADMIN, GUEST
from herding.access.roles import allows, may_see, owner, owner_filter, require
from herding.errors import (
    BROKEN,
    AuthenticationError,
    ConfigError,
    HerdingError,
    LimitError,
    NotFoundError,
    StoreError,
    UserError,
)
from herding.evaluation.insights import Insights
from herding.evaluation.learning import Learning
from herding.evaluation.preferences import Preferences
from herding.herd.fleet import Fleet
from herding.herd.listing import model_infos, node_infos, usable
from herding.herd.model_switcher import ModelSwitcher
from herding.herd.prober import Prober
from herding.herd.registry import Registry
from herding.people.accounts import Accounts
from herding.prompts.compose import Rendered
from herding.prompts.key import no_prompt
from herding.prompts.library import Library
from herding.prompts.variables import clean_parameter
from herding.serving.dispatcher import WAIT_SECONDS, Dispatcher
from herding.serving.embedder import Embedder
from herding.serving.metrics import Metrics
from herding.serving.preparer import Preparer
from herding.serving.run import Flight
from herding.store import Facets, Store, now_ms
from herding.studio.cached_stats import CachedStats
from herding.studio.drafts import Drafts
from herding.studio.listing import Listing
from herding.studio.studio import Studio
from herding.studio.sync import Sync
from herding.studio.version_cache import Edition, VersionCache
from herding.values import (
    Done,
    Embeddings,
    Entry,
    Event,
    HistoryFilter,
    LoadProgress,
    ModelInfo,
    NodeEvent,
    NodeInfo,
    Outcome,
    Page,
    Principal,
    PromptInfo,
    Request,
    Score,
)

MAX_PAGE = 200
MAX_COMMENT = 10_000
LOOK_EVERY = 0.5
"""Seconds between two looks at whose token is over."""

DAY_MS = 24 * 3600 * 1000

log = logging.getLogger(__name__)


class Orchestrator:
    """Runs prompts on the herd and remembers what happened.

    Every method takes the principal who asks and raises AccessError where their role does not allow it.
    """

    def __init__(
        self,
        *,
        library: Library,
        fleet: Fleet,
        store: Store,
        accounts: Accounts,
        registry: Registry,
        still_valid: Callable[[Principal], Awaitable[bool]],
        clock: Callable[[], int] = now_ms,
        wait_seconds: float = WAIT_SECONDS,
        role_names: Callable[[], Sequence[str]] = lambda: (GUEST, ADMIN),
    ) -> None:
        self._library = library
        self.fleet = fleet
        self._store = store
        self.accounts = accounts
        self.registry = registry
        self._still_valid = still_valid
        self._clock = clock
        self._learning = Learning(store=store, rng=fleet.rng, clock=clock)
        self._dispatcher = Dispatcher(fleet=fleet, learning=self._learning, clock=clock, wait_seconds=wait_seconds)
        fleet.changed = self._dispatcher.pump
        accounts.hush = self._hush
        self._prober = Prober(fleet)
        waiting = self._dispatcher
        self._switcher = ModelSwitcher(fleet, wanted=waiting.wanted, waited_for=waiting.waited_for)
        admitted: dict[str, Any] = {"admit": self._admit, "record": self._record}
        self._embedder = Embedder(herd=fleet, dispatcher=self._dispatcher, clock=clock, **admitted)
        self._flights: dict[str, Flight] = {}
        counts = {"running": lambda: len(self._flights), "waiting": lambda: self._dispatcher.waiting}
        self._metrics = Metrics(fleet, **counts)
        self._version_cache = VersionCache(store)
        self._sync = Sync(library=library, store=store, version_cache=self._version_cache, clock=clock)
        edited: dict[str, Any] = {
            "library": library,
            "store": store,
            "version_cache": self._version_cache,
            "sync": self._sync,
        }
        shown: dict[str, Any] = {
            "library": library,
            "version_cache": self._version_cache,
            "sync": self._sync,
            "fleet": fleet,
        }
        self._preparer = Preparer(find=self.find, version_cache=self._version_cache, store=store, clock=clock)
        self._listing = Listing(**shown, tally=CachedStats(store.prompt_stats))
        self.studio = Studio(**edited, roles=role_names, clock=clock)
        written: dict[str, Any] = {"store": store, "version_cache": self._version_cache, "studio": self.studio}
        self.drafts = Drafts(**written, find=self._find, clock=clock)
        self.preferences = Preferences(store=store, see=self._rateable, clock=clock)
        looked_at: dict[str, Any] = {"store": store, "learning": self._learning, "fleet": fleet}
        self.insights = Insights(**looked_at, find=self._find, clock=clock)

    # NodeCall a prompt

    async def run(self, request: Request, who: Principal) -> Outcome:
        """Run a prompt to its end. Raises what `stream` raises."""
        async with aclosing(self.stream(request, who)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.outcome
        raise AssertionError("a stream ends with Done or raises")

    async def stream(self, request: Request, who: Principal) -> AsyncGenerator[Event, None]:
        """Run a request and yield Queued*, Started, Delta*, Done; the row is durable before Done, or before an error.

        UserError, AccessError and LimitError come before anything ran, and leave no row. A NodeError has the id of its
        row. Closing the stream early ends the generation; the row then says `abandoned`.
        """
        require(who, RUN if request.prompt else CHAT)
        flight = await self._preparer.prepared(request, who)
        self._dispatcher.check_format(flight)
        await self._admit(flight, flight.most_tokens)
        try:
            async with aclosing(self._dispatcher.answer(flight)) as events:
                async for event in events:
                    yield event
            if flight.expelled:
                raise AuthenticationError("The token of this request is not valid any more.")
            if not flight.stopped:
                await flight.judge()
            flight.end("cancelled" if flight.stopped else "succeeded")
        except HerdingError as error:
            flight.end("cancelled" if flight.expelled else "failed", error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            flight.end("abandoned")
            raise
        except Exception as error:
            log.exception("Request %s failed inside Herding", flight.id)
            broken = HerdingError(BROKEN)
            flight.end("failed", broken)
            raise broken from error
        finally:
            outcome = await self._record(flight)
        yield Done(outcome)

    async def embed(
        self, model: str, texts: Sequence[str], who: Principal, *, dimensions: int | None = None
    ) -> tuple[Outcome, Embeddings]:
        """A vector for each text, with the request's outcome; its row is durable by then. Raises what `stream` raises.

        NotFoundError where no node makes embeddings with `model`. The vectors themselves are not kept.
        """
        require(who, EMBED)
        return await self._embedder.embed(clean_parameter(model, "model"), texts, who, dimensions=dimensions)

    async def cancel(self, request_id: str, who: Principal) -> None:
        """Stop a running request of this principal; its stream ends with Done and status `cancelled`."""
        require(who, RUN)
        flight = self._flights.get(request_id)
        if flight is None or owner(who) not in (None, flight.who.id):
            raise NotFoundError("This request is not running.", param="request_id")
        flight.stop()

    async def preview(self, request: Request, who: Principal) -> Rendered:
        """What a run of `request` would send to a model, and which variant it picks."""
        require(who, RUN)
        return await self._preparer.rendered(request, who)

    async def _admit(self, flight: Flight, tokens: int) -> None:
        """Enter a request that starts to run into its caller's limits."""
        who, kept = flight.who, flight.kept(flight.outcome())
        try:
            await self._store.reserve(kept, limits=who.limits, tokens=tokens, account=who.account or who.id)
        except LimitError:
            self._metrics.over_limit()
            raise
        self._flights[flight.id] = flight

    async def _record(self, flight: Flight) -> Outcome:
        """Write the request's row: the only place that does, however the request ended."""
        outcome = flight.outcome()
        try:
            written = self._store.finish(flight.kept(outcome))
            written.add_done_callback(lambda _: self._flights.pop(flight.id, None))
        except StoreError:
            self._flights.pop(flight.id, None)
            raise
        await written
        self._metrics.ended(outcome)
        self._learning.ended(outcome)
        return outcome

    def _hush(self, principal: str, request_ids: Sequence[str] | None) -> None:
        """Keep no texts of those of a principal's requests that run now."""
        for flight in self._flights.values():
            if flight.who.id == principal and (request_ids is None or flight.id in request_ids):
                flight.hushed = True

    # Feedback

    async def rate(self, request_id: str, stars: int | None, who: Principal) -> Score:
        """Give a request 1-5 stars, or take them back with None; durable on return."""
        await self._rateable(request_id, who)
        if stars is not None and (isinstance(stars, bool) or stars not in (1, 2, 3, 4, 5)):
            raise UserError("A score is 1, 2, 3, 4 or 5 stars.", param="score")
        score = await self._store.rate(request_id=request_id, principal=who.id, stars=stars, at=self._clock())
        self._learning.rated(request_id, who.id, stars)
        return score

    async def comment(self, request_id: str, text: str, who: Principal) -> Score:
        """Say something about a request; an empty text takes it back; durable on return."""
        await self._rateable(request_id, who)
        if len(text) > MAX_COMMENT:
            raise UserError(f"A comment has at most {MAX_COMMENT:,} characters.", param="comment")
        if text and who.opt_out:
            raise UserError("You chose that no texts of yours are kept, so no comment is. Give stars.", param="comment")
        said = clean_parameter(text, "comment")
        return await self._store.comment(request_id=request_id, principal=who.id, text=said, at=self._clock())

    async def _rateable(self, request_id: str, who: Principal) -> None:
        require(who, RATE)
        await self._entry(request_id, who, owner(who))

    # Prompts

    async def find(self, reference: str, who: Principal) -> Edition:
        """The version of a prompt that `key`, `key@<number>`, `key@<label>` or `key@newest` means.

        A key alone is its version with the label prod, else the newest. NotFoundError where there is none for `who`.
        """
        require(who, RUN)
        return await self._find(reference, who)

    async def _find(self, reference: str, who: Principal) -> Edition:
        await self._sync.settle()
        key, _, wanted = reference.partition("@")
        served = await self._version_cache.find(key)
        if not may_see(who, key, served.prompt.roles):
            raise no_prompt(key)
        found = await self._version_cache.find(reference) if wanted else served
        if not may_see(who, key, found.prompt.roles):
            raise NotFoundError(f"'{key}' has no '{wanted}' for you.", param="prompt")
        return found

    async def prompts(self, who: Principal) -> list[PromptInfo]:
        """All prompts that `who` may use, as their files are now, with who serves them and how they did."""
        require(who, PROMPTS)
        return await self._listing.infos(await self._listing.visible(who), who)

    async def prompt(self, reference: str, who: Principal) -> PromptInfo:
        """One prompt, as its file is now. Raises what `find` raises."""
        require(who, PROMPTS)
        await asyncio.to_thread(self._library.refresh)
        (info,) = await self._listing.infos([await self._find(reference, who)], who)
        if SAVE not in who.rights:
            return info
        return replace(info, text=await self._sync.files.text(info.key, info.version))

    async def sketch(self, key: str, whole: str, who: Principal) -> PromptInfo:
        """A prompt that is written and not saved, as YAML; UserError names the line and the key of what is wrong."""
        require(who, PROMPTS)
        found, prompt = await self._preparer.asked(Request(prompt=key, whole=whole), who)
        return await self._listing.sketch(replace(found, prompt=prompt), who)

    def alias(self, path: str) -> tuple[str, Mapping[str, str]] | None:
        """The key of the prompt with the short address `path`, and names in its query with the variables they mean."""
        return self._version_cache.alias(path)

    async def read_prompts(self) -> None:
        """Brings what the prompt files hold into the store, before the first request; what fails is tried again."""
        try:
            await self._sync.look()
            for key in list(self._version_cache.heads):
                with suppress(NotFoundError):
                    await self._version_cache.find(key)
        except StoreError as error:
            log.warning("Prompt files wait for the database: %s", error)

    async def learn(self) -> None:
        """Takes in how models did before, at the start; without it every model is as good as any other."""
        try:
            await self._learning.load()
        except StoreError as error:
            log.warning("What is known of the models waits for the database: %s", error)

    async def watch_prompts(self) -> None:
        """Runs as long as the app: an edit of a prompt file is a version within two seconds."""
        await self._sync.watch()

    async def broken_prompts(self, who: Principal) -> tuple[ConfigError, ...]:
        """What is wrong with the files that did not load."""
        require(who, PROMPTS)
        return self._library.snapshot.broken

    # History

    async def history(self, where: HistoryFilter, who: Principal, *, offset: int = 0, limit: int = 25) -> Page:
        """A page of requests, newest first: everybody's where the role allows it, else the principal's own."""
        page = {"offset": max(0, offset), "limit": max(1, min(limit, MAX_PAGE))}
        return await self._store.history(_narrowed(where, who), viewer=who.id, **page)

    def export(self, where: HistoryFilter, who: Principal) -> AsyncIterator[Entry]:
        """All requests that fit, newest first."""
        return self._store.export(_narrowed(where, who), viewer=who.id)

    async def request(self, request_id: str, who: Principal) -> Entry:
        """One request; NotFoundError also where it belongs to somebody else."""
        return await self._entry(request_id, who, owner_filter(who))

    async def _entry(self, request_id: str, who: Principal, owner: str | None) -> Entry:
        entry = await self._store.entry(request_id, viewer=who.id, owner=owner)
        if entry is None:
            raise NotFoundError("There is no such request.", param="request_id")
        return entry

    async def facets(self, who: Principal) -> Facets:
        """The prompts, models and nodes that occur in the history that `who` may see."""
        return await self._store.facets(principal=owner_filter(who))

    # Nodes

    async def nodes(self, who: Principal) -> list[NodeInfo]:
        """The nodes that `who` may use, at this moment."""
        require(who, NODES)
        herd = usable(self.fleet, who)
        stats = await self._store.node_stats(since=self._clock() - DAY_MS)
        prompts = {found.key: found.prompt.target_models for found in await self._listing.visible(who)}
        return await node_infos(self.fleet, herd, stats, prompts)

    async def node_events(self, who: Principal, *, limit: int = 50) -> list[NodeEvent]:
        """What happened to the nodes that `who` may use since the app started, the newest first."""
        require(who, NODES)
        events = (event for event in self.fleet.events.latest() if allows(who.nodes, event.node))
        return list(islice(events, limit))

    async def mend_node(self, node: str, who: Principal) -> None:
        """Somebody mended a node: it is tried again at once, whatever it did before."""
        require(who, MANAGE_NODES)
        self._check_node(node, who)
        self.fleet.health.reset(node)
        self.fleet.changed()

    def _check_node(self, node: str, who: Principal) -> None:
        if node not in self.fleet or not allows(who.nodes, node):
            raise NotFoundError(f"There is no node '{node}'.", param="node")

    async def models(self, who: Principal) -> list[ModelInfo]:
        """Every model that `who` may use, with its nodes and the prompts that target it."""
        require(who, MODELS)
        visible = await self._listing.visible(who) if PROMPTS in who.rights else []
        return model_infos(usable(self.fleet, who), {found.key: found.prompt.target_models for found in visible})

    async def switch_model(self, node: str, model: str, who: Principal) -> AsyncGenerator[LoadProgress, None]:
        """Switch a node to another model; yields progress. The switch goes on when the caller leaves."""
        require(who, SWITCH_MODEL)
        self._check_node(node, who)
        async with aclosing(self._switcher.switch(node, model)) as steps:
            async for progress in steps:
                yield progress

    async def upkeep(self) -> None:
        """Runs as long as the app: once a day, drops what no limit can need any more, and all days if one fails."""
        while True:
            try:
                await self._store.prune(before=self._clock())
            except StoreError as error:
                log.warning("What no limit needs any more stays another day: %s", error)
            await asyncio.sleep(DAY_MS / 1000)

    async def watch(self) -> None:
        """Runs as long as the app: ends, within a second, the requests of whoever's token is over."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for flight in list(self._flights.values()):
                if not await self._still_valid(flight.who):
                    flight.expel()

    async def follow_demand(self) -> None:
        """Runs as long as the app: switches nodes that may be to models that requests wait for."""
        await self._switcher.watch()

    async def probe(self) -> None:
        """Runs as long as the app: brings back, by a small call, nodes that failed and that nobody calls."""
        await self._prober.watch()

    async def metrics(self, who: Principal) -> bytes:
        """Counts and times for monitoring, as Prometheus reads them."""
        require(who, METRICS)
        return self._metrics.text(node.name for node in usable(self.fleet, who))

    async def ready(self) -> str | None:
        """None when a request can be served now, else what is missing."""
        problem = (await self._store.check()).problem
        if problem:
            return problem
        able = any(node.serves or node.embeds for node in self.fleet.values())
        return None if able else "No node serves a model yet."


def _narrowed(where: HistoryFilter, who: Principal) -> HistoryFilter:
    """`where`, limited to what `who` may see."""
    owner = owner_filter(who)
    return where if owner is None else replace(where, principal=owner)
