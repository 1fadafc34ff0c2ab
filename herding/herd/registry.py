"""Nodes that are added, changed and taken away while Herding runs, and stay over a restart."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from herding.access.encryption import Cipher
from herding.access.operations import MANAGE_NODES, NODES
from herding.access.roles import allows, require
from herding.errors import ConflictError, HerdingError, NotFoundError, UserError
from herding.herd.fleet import Fleet
from herding.herd.test_call import send_test_prompt
from herding.nodes.base import BuildContext, DisabledNode, Node
from herding.nodes.origin import Origin
from herding.nodes.spec import NodeSpec, config_models, read_config, read_spec, spec_secrets, spec_url
from herding.nodes.ssrf_guard import SsrfGuard
from herding.store import Store, now_ms
from herding.values import Exchange, NodeInfo, NodeRecord, NodeStats, Principal

MAX_NODES = 500
TESTS_AT_ONCE = 4

log = logging.getLogger(__name__)

T = TypeVar("T")


class Registry:
    """Every method takes the principal who asks, and raises AccessError where their role does not allow it.

    Nodes of the nodes file are the operator's own: they are not here, and nothing here changes them.
    """

    def __init__(
        self, *, fleet: Fleet, store: Store, seal: Cipher, guard: SsrfGuard, clock: Callable[[], int] = now_ms
    ) -> None:
        self._fleet, self._store, self._seal, self._guard, self._clock = fleet, store, seal, guard, clock
        self._records: dict[str, NodeRecord] = {}
        self._changing = asyncio.Lock()
        self._testing = asyncio.Semaphore(TESTS_AT_ONCE)
        self._working: set[asyncio.Task[Any]] = set()

    def names(self, who: Principal) -> frozenset[str]:
        """The names of the nodes that were added at run time."""
        require(who, MANAGE_NODES)
        return frozenset(self._records)

    async def load(self) -> None:
        """Start the nodes that the store keeps; one that cannot run any more is there, off, and says why."""
        for record in await self._store.nodes():
            if record.name in self._fleet:
                log.warning("Node %s was added at run time, but the nodes file has one of that name now", record.name)
                continue
            node = self._kept(record)
            await node.start()
            self._records[record.name] = record
            self._fleet.add(node)

    async def records(self, who: Principal) -> tuple[NodeRecord, ...]:
        """The nodes as they were added, the oldest first; their secrets are not in it."""
        require(who, MANAGE_NODES)
        found = [record for record in self._records.values() if allows(who.nodes, record.name)]
        return tuple(replace(record, sealed=None) for record in found)

    async def add(self, given: Mapping[str, Any], who: Principal) -> NodeInfo:
        """Add a node, which gets requests from now on. `given` are the words of the nodes file; see `read_spec`.

        UserError for what cannot be, or where the guard keeps its URL closed; ConflictError where the name is taken.
        """
        require(who, NODES)
        require(who, MANAGE_NODES)
        spec = read_spec(given, spec_secrets(given) or {})
        return await self._through(self._add(spec, who))

    async def register(self, given: Mapping[str, Any], model: str, who: Principal) -> NodeInfo:
        """Add a template node for one model under a name made of it; several URLs may serve one model.

        ConflictError where this model is registered at this URL. Raises what `add` raises.
        """
        require(who, MANAGE_NODES)
        return await self._through(self._register(given, model, who))

    async def update(self, name: str, given: Mapping[str, Any], who: Principal) -> NodeInfo:
        """Change everything of a node but its name and kind; what runs on it ends first.

        Its secrets stay where none are given and it stays where it is. UserError where it goes elsewhere without them:
        they were given for the place where it was.
        """
        self._require_change(name, who)
        return await self._through(self._update(name, given, who))

    async def remove(self, name: str, who: Principal) -> None:
        """Take a node away: it gets no more requests, and is gone when those that it has are over."""
        self._require_change(name, who)
        await self._through(self._remove(name, who))
        await self._detached(self._fleet.remove(name))

    async def offline(self, model: str, url: str, who: Principal) -> None:
        """Take away the node that serves `model` at `url`, and nothing else. Raises what `remove` raises."""
        require(who, MANAGE_NODES)
        if not model or not url:
            raise UserError("Name the model and its URL: model_name and req_url_template.", param="model_name")
        name = self._at(model, url, who)
        if name is None:
            raise NotFoundError("No llm worker to remove.", param="model_name")
        if len(self._models(name)) > 1:
            raise UserError(f"Node '{name}' serves more models than this one. Remove it by its name.", param="node")
        await self.remove(name, who)

    async def workers(self, who: Principal) -> tuple[tuple[str, str], ...]:
        """Each model of the nodes that were added, with the URL that it is at; of an engine, the one it serves now."""
        found = [record.name for record in await self.records(who)]
        return tuple((model, self._url(name)) for name in found for model in self._models(name))

    async def test_call(self, given: Mapping[str, Any], prompt: str, who: Principal) -> Exchange:
        """Send one prompt to a node that need not be added yet, and tell all that went to and fro.

        A node that was added is tried with its secrets where none are given and it stays where it is.
        """
        require(who, MANAGE_NODES)
        spec = read_spec(given, self._secrets_for(given, who))
        await self._guard.check_addresses(spec.url)
        async with self._testing:
            return await send_test_prompt(spec, prompt, self._guard.transport(spec.url))

    def _require_change(self, name: str, who: Principal) -> None:
        require(who, MANAGE_NODES)
        if name not in self._records or not allows(who.nodes, name):
            raise NotFoundError(f"There is no node '{name[:64]}' that was added at run time.", param="node")

    # Work that goes on when its caller leaves

    async def _through(self, work: Awaitable[T]) -> T:
        """Change one thing at a time."""
        return await self._detached(self._alone(work))

    async def _detached(self, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return await asyncio.shield(task)

    async def _alone(self, work: Awaitable[T]) -> T:
        async with self._changing:
            return await work

    async def _add(self, spec: NodeSpec, who: Principal) -> NodeInfo:
        if spec.name in self._fleet:
            raise ConflictError(f"There is a node '{spec.name}' already. Choose another name.", param="name")
        if len(self._records) >= MAX_NODES:
            raise UserError(f"At most {MAX_NODES} nodes are added at run time. Remove one first.")
        if not allows(who.nodes, spec.name):
            raise UserError("Your role may not use a node of this name. Choose another one.", param="name")
        origin = await self._guard.check_addresses(spec.url)
        node = self._built(spec)
        record = self._record(spec, origin, who)
        try:
            await self._store.add_node(record)
        except BaseException:
            await node.close()
            raise
        log.info("%s added the node %s (%s at %s)", who.id, record.name, record.kind, record.origin)
        return await self._enter(record, node)

    async def _register(self, given: Mapping[str, Any], model: str, who: Principal) -> NodeInfo:
        url = spec_url(given)
        if self._at(model, url, who) is not None:
            raise ConflictError(f"LLM(model_name({model}), url={url}) has registered!", param="model_name")
        named = {**given, "name": self._free_name(model), "models": [model]}
        return await self._add(read_spec(named, spec_secrets(given) or {}), who)

    async def _update(self, name: str, given: Mapping[str, Any], who: Principal) -> NodeInfo:
        self._require_change(name, who)
        old = self._records[name]
        given = {"kind": old.kind, **given, "name": name}
        if given["kind"] != old.kind:
            raise UserError("A node keeps its kind. Remove it and add another one.", param="kind")
        secrets = self._secrets_for(given, who)
        spec = read_spec(given, secrets)
        origin = await self._guard.check_addresses(spec.url)
        node = self._built(spec)
        record = replace(self._record(spec, origin, who), added_by=old.added_by, at=old.at)
        try:
            await self._store.update_node(record)
        except BaseException:
            await node.close()
            raise
        log.info("%s changed the node %s (%s at %s)", who.id, name, record.kind, record.origin)
        await node.start()
        info = NodeInfo(name, node.kind, await node.status(), NodeStats())  # by now it knows what it serves
        self._records[name] = record
        await self._fleet.replace(node)
        return info

    async def _remove(self, name: str, who: Principal) -> None:
        self._require_change(name, who)
        await self._store.delete_node(name)
        del self._records[name]
        log.info("%s removed the node %s", who.id, name)

    async def _enter(self, record: NodeRecord, node: Node) -> NodeInfo:
        await node.start()
        self._records[record.name] = record
        self._fleet.add(node)
        return NodeInfo(node.name, node.kind, await node.status(), NodeStats())

    # From records to nodes and back

    def _built(self, spec: NodeSpec) -> Node:
        context = BuildContext(secret=spec.secrets.get, transport=self._guard.transport(spec.url))
        return spec.config.build(context)

    def _kept(self, record: NodeRecord) -> Node:
        """The node of a record, or one in its place that is off."""
        secrets = self._opened(record)
        why = "Its secret cannot be read any more: the key of this installation is another one. Enter it again."
        if secrets is not None:
            try:
                return self._built(NodeSpec(read_config(record.config), secrets, record.owner))
            except HerdingError as error:
                why = error.message
        log.warning("Node %s is off: %s", record.name, why)
        return DisabledNode(record.name, kind=record.kind, reason=why)

    def _record(self, spec: NodeSpec, origin: Origin, who: Principal) -> NodeRecord:
        sealed = self._seal.encrypt(spec.secrets, _place(spec.name, str(origin))) if spec.secrets else None
        return NodeRecord(
            name=spec.name,
            kind=spec.config.kind,
            config=spec.config.model_dump(mode="json"),
            origin=str(origin),
            owner=spec.owner,
            added_by=who.id,
            at=self._clock(),
            sealed=sealed,
        )

    def _opened(self, record: NodeRecord) -> dict[str, str] | None:
        if record.sealed is None:
            return {}
        return self._seal.decrypt(record.sealed, _place(record.name, record.origin))

    def _secrets_for(self, given: Mapping[str, Any], who: Principal) -> Mapping[str, str]:
        """The secrets in `given`; where it says none, those of the node of that name, at its origin only."""
        found = spec_secrets(given)
        if found is not None:
            return found
        record = self._records.get(str(given.get("name")))
        if record is None or record.sealed is None or not allows(who.nodes, record.name):
            return {}
        if str(self._guard.check(spec_url(given))) != record.origin:
            message = f"The secret was given for {record.origin}. Enter it again for another place, or an empty one."
            raise UserError(message, param="secret")
        return self._opened(record) or {}

    def _at(self, model: str, url: str, who: Principal) -> str | None:
        """The node that was added for a model at a URL."""
        for name in self._records:
            if allows(who.nodes, name) and model in self._models(name) and self._url(name) == url:
                return name
        return None

    def _url(self, name: str) -> str:
        return read_config(self._records[name].config).address

    def _models(self, name: str) -> tuple[str, ...]:
        """The models that a node was added with; an engine was not, and tells itself. One that cannot run has none."""
        node = self._fleet.get(name)
        try:
            config = read_config(self._records[name].config)
        except UserError:
            return ()
        named = (*config_models(config), *getattr(config, "embedding_models", ()))
        return named or (node.serves if node else ())

    def _free_name(self, model: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-._")[:56] or "model"
        taken = (name for number in range(1, MAX_NODES + 2) if (name := f"{plain}-{number}") not in self._fleet)
        return plain if plain not in self._fleet else next(taken)


def _place(name: str, origin: str) -> str:
    """What the secrets of a node are bound to."""
    return f"{name} at {origin}"
