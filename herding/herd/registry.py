"""Nodes that are added, changed and removed at run time and kept in the database."""

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
from herding.nodes.base import BuildContext, DisabledConfig, DisabledNode, Node
from herding.nodes.catalog import REMOTE_KINDS
from herding.nodes.origin import Origin
from herding.nodes.spec import NodeSpec, config_models, read_config, read_spec, reading_models, spec_secrets, spec_url
from herding.nodes.ssrf_guard import SsrfGuard
from herding.store import Store, now_ms
from herding.values import Exchange, NodeInfo, NodeRecord, NodeStats, Principal

MAX_NODES = 500
MAX_CONCURRENT_TESTS = 4

log = logging.getLogger(__name__)

T = TypeVar("T")


class Registry:
    """Adds, changes and removes nodes; nodes of the nodes file are never changed.

    Public methods raise AccessError if the principal's role does not allow the operation.
    """

    def __init__(
        self, *, fleet: Fleet, store: Store, cipher: Cipher, guard: SsrfGuard, clock: Callable[[], int] = now_ms
    ) -> None:
        self._fleet, self._store, self._cipher, self._guard, self._clock = fleet, store, cipher, guard, clock
        self._records: dict[str, NodeRecord] = {}
        self._lock = asyncio.Lock()
        self._testing = asyncio.Semaphore(MAX_CONCURRENT_TESTS)
        self._tasks: set[asyncio.Task[Any]] = set()

    def names(self, who: Principal) -> frozenset[str]:
        """Return the names of the nodes that were added at run time."""
        require(who, MANAGE_NODES)
        return frozenset(self._records)

    async def load(self) -> None:
        """Start the saved nodes; a node that cannot run is replaced by a disabled one with the reason."""
        for record in await self._store.nodes():
            if record.name in self._fleet:
                log.warning("skip saved node (%s): the nodes file has a node with this name", record.name)
                continue
            node = self._restore(record)
            await node.start()
            self._records[record.name] = record
            self._fleet.add(node)

    async def records(self, who: Principal) -> tuple[NodeRecord, ...]:
        """Return the nodes as they were added, oldest first, without their secrets."""
        require(who, MANAGE_NODES)
        found = [record for record in self._records.values() if allows(who.nodes, record.name)]
        return tuple(replace(record, sealed=None) for record in found)

    async def add(self, fields: Mapping[str, Any], who: Principal) -> NodeInfo:
        """Add a node with the fields of the nodes file (see `read_spec`).

        Raises UserError for invalid fields or a URL that is not allowed, ConflictError if the name is taken.
        """
        require(who, NODES)
        require(who, MANAGE_NODES)
        spec = read_spec(fields, spec_secrets(fields) or {})
        return await self._exclusive(self._add(spec, who))

    async def register(self, fields: Mapping[str, Any], model: str, who: Principal) -> NodeInfo:
        """Add a template node for one model, named after the model; several URLs may serve one model.

        Raises ConflictError if the model is registered at this URL, and the errors of `add`.
        """
        require(who, MANAGE_NODES)
        return await self._exclusive(self._register(fields, model, who))

    async def update(self, name: str, fields: Mapping[str, Any], who: Principal) -> NodeInfo:
        """Replace the fields of a node, except its name and kind, after its running requests have finished.

        If no secrets are given, it keeps its present ones. Raises UserError if it moves to another origin without new
        secrets, because the present ones were entered for the old origin.
        """
        self._require_change(name, who)
        return await self._exclusive(self._update(name, fields, who))

    async def remove(self, name: str, who: Principal) -> None:
        """Remove a node after its running requests have finished; it gets no new ones."""
        self._require_change(name, who)
        await self._exclusive(self._remove(name, who))
        await self._detached(self._fleet.remove(name))

    async def offline(self, model: str, url: str, who: Principal) -> None:
        """Remove the node that serves only `model` at `url`. Raises the errors of `remove`."""
        require(who, MANAGE_NODES)
        if not model or not url:
            raise UserError("Send model_name and req_url_template.", param="model_name")
        name = self._find(model, url, who)
        if name is None:
            raise NotFoundError("No llm worker to remove.", param="model_name")
        if len(self._models(name)) > 1:
            raise UserError(f"Node '{name}' serves more models than this one. Remove it by name.", param="node")
        await self.remove(name, who)

    async def workers(self, who: Principal) -> tuple[tuple[str, str], ...]:
        """Return each model of the added nodes with its URL; for an engine, the loaded model."""
        found = [record.name for record in await self.records(who)]
        return tuple((model, self._url(name)) for name in found for model in self._models(name))

    async def test_call(self, fields: Mapping[str, Any], prompt: str, who: Principal) -> Exchange:
        """Send one prompt to a node that need not be added, and return the exchange.

        For an added node without given secrets, its own secrets are used if its origin is the same.
        """
        require(who, MANAGE_NODES)
        spec = read_spec(fields, self._secrets_for(fields, who))
        await self._guard.check_addresses(spec.url)
        async with self._testing:
            return await send_test_prompt(spec, prompt, self._guard.transport(spec.url))

    def _require_change(self, name: str, who: Principal) -> None:
        require(who, MANAGE_NODES)
        if name not in self._records or not allows(who.nodes, name):
            raise NotFoundError(f"No node '{name[:64]}' was added at run time.", param="node")

    async def _exclusive(self, work: Awaitable[T]) -> T:
        """Run `work` alone, to its end even if the caller is cancelled."""
        return await self._detached(self._locked(work))

    async def _detached(self, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _locked(self, work: Awaitable[T]) -> T:
        async with self._lock:
            return await work

    async def _add(self, spec: NodeSpec, who: Principal) -> NodeInfo:
        if spec.name in self._fleet:
            raise ConflictError(f"Node '{spec.name}' already exists. Choose another name.", param="name")
        if len(self._records) >= MAX_NODES:
            raise UserError(f"The limit of {MAX_NODES} added nodes is reached. Remove one first.")
        if not allows(who.nodes, spec.name):
            raise UserError("Your role may not use a node with this name. Choose another name.", param="name")
        origin = await self._guard.check_addresses(spec.url)
        node = self._build(spec)
        record = self._record(spec, origin, who)
        try:
            await self._store.add_node(record)
        except BaseException:
            await node.close()
            raise
        log.info("add node (%s, kind %s, origin %s, by %s)", record.name, record.kind, record.origin, who.id)
        return await self._enter(record, node)

    async def _register(self, fields: Mapping[str, Any], model: str, who: Principal) -> NodeInfo:
        url = spec_url(fields)
        if self._find(model, url, who) is not None:
            raise ConflictError(f"LLM(model_name({model}), url={url}) has registered!", param="model_name")
        named = {**fields, "name": self._free_name(model), "models": [model]}
        return await self._add(read_spec(named, spec_secrets(fields) or {}), who)

    async def _update(self, name: str, fields: Mapping[str, Any], who: Principal) -> NodeInfo:
        self._require_change(name, who)
        old = self._records[name]
        fields = {"kind": old.kind, **fields, "name": name}
        if fields["kind"] != old.kind:
            raise UserError("The kind can't be changed. Remove the node and add another one.", param="kind")
        secrets = self._secrets_for(fields, who)
        spec = read_spec(fields, secrets)
        origin = await self._guard.check_addresses(spec.url)
        node = self._build(spec)
        record = replace(self._record(spec, origin, who), added_by=old.added_by, at=old.at)
        try:
            await self._store.update_node(record)
        except BaseException:
            await node.close()
            raise
        log.info("change node (%s, kind %s, origin %s, by %s)", name, record.kind, record.origin, who.id)
        await node.start()
        info = await _info(node)  # read before the node is replaced
        self._records[name] = record
        await self._fleet.replace(node)
        return info

    async def _remove(self, name: str, who: Principal) -> None:
        self._require_change(name, who)
        await self._store.delete_node(name)
        del self._records[name]
        log.info("remove node (%s, by %s)", name, who.id)

    async def _enter(self, record: NodeRecord, node: Node) -> NodeInfo:
        await node.start()
        self._records[record.name] = record
        self._fleet.add(node)
        return await _info(node)

    def _build(self, spec: NodeSpec) -> Node:
        context = BuildContext(secret=spec.secrets.get, transport=self._guard.transport(spec.url))
        return spec.config.build(context)

    def _restore(self, record: NodeRecord) -> Node:
        """Return the node of a record, or a disabled node."""
        secrets = self._decrypt(record)
        reason = "Can't decrypt its secret because the secret key of this installation has changed. Enter it again."
        if secrets is not None:
            try:
                return self._build(NodeSpec(read_config(record.config), secrets, record.owner))
            except HerdingError as error:
                reason = error.message
        log.warning("disable saved node (%s): %s", record.name, reason)
        return DisabledNode(DisabledConfig(kind=record.kind, name=record.name, reason=reason))

    def _record(self, spec: NodeSpec, origin: Origin, who: Principal) -> NodeRecord:
        sealed = self._cipher.encrypt(spec.secrets, _secret_context(spec.name, str(origin))) if spec.secrets else None
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

    def _decrypt(self, record: NodeRecord) -> dict[str, str] | None:
        if record.sealed is None:
            return {}
        return self._cipher.decrypt(record.sealed, _secret_context(record.name, record.origin))

    def _secrets_for(self, fields: Mapping[str, Any], who: Principal) -> Mapping[str, str]:
        """Return the given secrets, otherwise those of the added node with this name if its origin is the same."""
        found = spec_secrets(fields)
        if found is not None:
            return found
        record = self._records.get(str(fields.get("name")))
        if record is None or record.sealed is None or not allows(who.nodes, record.name):
            return {}
        if str(self._guard.check(spec_url(fields))) != record.origin:
            message = f"The saved secret is for {record.origin}. Enter the secret for the new URL, or an empty one."
            raise UserError(message, param="secret")
        return self._decrypt(record) or {}

    def _find(self, model: str, url: str, who: Principal) -> str | None:
        """Return the name of the added node for a model at a URL."""
        for name in self._records:
            if allows(who.nodes, name) and model in self._models(name) and self._url(name) == url:
                return name
        return None

    def _url(self, name: str) -> str:
        return read_config(self._records[name].config).address

    def _models(self, name: str) -> tuple[str, ...]:
        """Return the configured models of a node, or those it serves if none are configured."""
        node = self._fleet.get(name)
        try:
            config = read_config(self._records[name].config)
        except UserError:
            return ()
        named = (*config_models(config), *reading_models(config))
        return named or (node.serves if node else ())

    def _free_name(self, model: str) -> str:
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-._")[:56] or "model"
        numbered = (name for number in range(1, MAX_NODES + 2) if (name := f"{base}-{number}") not in self._fleet)
        return base if base not in self._fleet else next(numbered)


async def _info(node: Node) -> NodeInfo:
    return NodeInfo(node.name, node.kind, await node.status(), NodeStats(), label=REMOTE_KINDS[node.kind].label)


def _secret_context(name: str, origin: str) -> str:
    """Return the context that encrypted secrets are bound to; stored secrets depend on its form."""
    return f"{name} at {origin}"
