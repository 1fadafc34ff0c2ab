"""The tab "Nodes": the nodes with their models, which can be loaded and unloaded here, and the form for a new one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from urllib.parse import urlencode

from markupsafe import Markup

from herding.access.operations import MANAGE_NODES, MODELS, NODES, SWITCH_MODEL
from herding.errors import NotFoundError, UserError
from herding.ui.header import herd_line
from herding.ui.kit.fields import button
from herding.ui.kit.format import el, empty_state, join, plural, success
from herding.ui.kit.live import live, patch, poll
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.ui.nodes.card import card, off_line
from herding.ui.nodes.form import (
    edit_form,
    exchange_view,
    fields_as_shown,
    kind_fields,
    new_form,
    read_change,
    read_node,
)
from herding.ui.nodes.models import TARGET, slug, small_models
from herding.ui.nodes.sections import bot_list, event_list, plugin_list
from herding.values import NodeInfo, NodeRecord
from herding.values.sizes import format_size

PAGE_SIZE = 24
"""Cards that are shown at first; more on request."""

REFRESH_SECONDS = 3.0
LOADING_SECONDS = 1.0
FIRST_STEP_SECONDS = 2.0
"""Seconds to wait for the first step of a load, which may fail at once."""

REFRESH = "shown from:closest .view, nodes-changed from:body"


class NodesTab(View):
    """The tab. Its address keeps nothing: every reader sees the same nodes."""

    key = "nodes"
    label = "Nodes"
    rights = frozenset({NODES})

    @fragment("GET", "", NODES)
    async def open(self, call: Call) -> Markup:
        """Return the whole tab."""
        may_manage = MANAGE_NODES in call.principal.rights
        form = plugins = None
        if may_manage:
            summary = el("summary", "Add node", cls="btn", id="node-new")
            form = el("details", summary, el("div", new_form(), id="node-new-form"), id="node-form", cls="node-new")
            plugins = plugin_list(await self._orchestrator.nodes.plugins(call.principal))
        return join([form, el("div", await self._live(call), id=TARGET), plugins])

    @fragment("GET", "/live", NODES)
    async def live(self, call: Call) -> Markup:
        """Return the nodes as they are now."""
        return await self._live(call)

    @fragment("POST", "/{node}/load", SWITCH_MODEL)
    async def load(self, call: Call) -> Markup:
        """Begin to load a model. Loading goes on afterwards, and its progress is on the card of the node."""
        model = call.text("model").strip()
        if not model:
            raise UserError("Enter a model first.", param="model")
        steps = self._orchestrator.nodes.load_model(call.path["node"], model, call.principal)
        with suppress(TimeoutError, StopAsyncIteration):
            async with aclosing(steps), asyncio.timeout(FIRST_STEP_SECONDS):
                await anext(steps)
        return await self._live(call)

    @fragment("DELETE", "/{node}/model", SWITCH_MODEL)
    async def unload(self, call: Call) -> Reply:
        """Unload a model, cancel its loading, or dismiss the error of its last load."""
        model = call.text("model")
        await self._orchestrator.nodes.unload_model(call.path["node"], model, call.principal)
        return Reply(await self._live(call), notice=f"Loading {model} cancelled." if call.text("cancel") else "")

    @fragment("DELETE", "/{node}/listed", MANAGE_NODES)
    async def remove_model(self, call: Call) -> Reply:
        """Remove a model that was added at run time from the list, with its files if that was chosen."""
        model, files = call.text("model"), call.text("delete_files") == "on"
        nodes = self._orchestrator.nodes
        await nodes.remove_model(call.path["node"], model, call.principal, delete_files=files)
        return Reply(await self._live(call), notice=f"{model} removed from the list.")

    @fragment("DELETE", "/{node}/files", MANAGE_NODES)
    async def delete_files(self, call: Call) -> Reply:
        """Delete the files of a model."""
        model = call.text("model")
        size = await self._orchestrator.nodes.delete_model_files(call.path["node"], model, call.principal)
        return Reply(await self._live(call), notice=f"Files of {model} deleted ({format_size(size)}).")

    @fragment("GET", "/{node}/small", SWITCH_MODEL)
    async def small(self, call: Call) -> Markup:
        """Return models to choose from for a node."""
        who = call.principal
        node = _find(await self._orchestrator.nodes.list_all(who), call.path["node"])
        found = await self._orchestrator.nodes.small_models(who) if MODELS in who.rights else []
        if MANAGE_NODES not in who.rights:
            found = [model for model in found if model.id in node.status.offers]
        return small_models(node, found)

    @fragment("POST", "/{node}/retry", MANAGE_NODES)
    async def retry(self, call: Call) -> Reply:
        """Send requests to a node again at once."""
        name = call.path["node"]
        await self._orchestrator.nodes.retry(name, call.principal)
        return Reply(await self._live(call), notice=f"The next request goes to {name} again.")

    @fragment("DELETE", "/{node}", MANAGE_NODES)
    async def remove(self, call: Call) -> Reply:
        """Remove a node after its running requests."""
        name = call.path["node"]
        await self._orchestrator.registry.remove(name, call.principal)
        return Reply(await self._live(call), notice=f"{name} removed.")

    @fragment("GET", "/fields", MANAGE_NODES)
    async def fields(self, call: Call) -> Markup:
        """Return the fields of another kind, with what was entered."""
        given = {name: call.text(name) for name in ("url", "models", "template")}
        return kind_fields(call.text("kind"), given)

    @fragment("POST", "/test", MANAGE_NODES)
    async def test(self, call: Call) -> Markup:
        """Send the test prompt, and return the request and the response."""
        prompt = call.text("prompt") or "Hello!"
        with fields_as_shown(call.text("kind")):
            node = read_node(call, "test")
            return exchange_view(await self._orchestrator.registry.test_call(node, prompt, call.principal))

    @fragment("POST", "", MANAGE_NODES)
    async def add(self, call: Call) -> Reply:
        """Add a node, and clear the form."""
        with fields_as_shown(call.text("kind")):
            node = await self._orchestrator.registry.add(read_node(call), call.principal)
        text = f"{node.name} ({node.label}) added. State: {node.status.state}."
        return Reply(new_form(success(text)), notice=text, events={"nodes-changed": ""})

    @fragment("GET", "/{node}/form", MANAGE_NODES)
    async def form(self, call: Call) -> Markup:
        """Return the form that changes a node; nothing with the field `close`."""
        return Markup() if call.text("close") else edit_form(await self._record(call))

    @fragment("POST", "/{node}/save", MANAGE_NODES)
    async def save(self, call: Call) -> Reply:
        """Change a node once its running requests have ended, and close its form."""
        record = await self._record(call)
        with fields_as_shown(record.kind):
            await self._orchestrator.registry.update(record.name, read_change(call, record), call.principal)
        closed = el("div", id=f"node-{slug(record.name)}-form", hx_swap_oob="true")
        return Reply(join([await self._live(call), closed]), notice=f"{record.name} saved.")

    async def _record(self, call: Call) -> NodeRecord:
        name = call.path["node"]
        for record in await self._orchestrator.registry.records(call.principal):
            if record.name == name:
                return record
        raise NotFoundError(f"Node '{name[:64]}' was not added here. Change it in the nodes file.", param="node")

    async def _live(self, call: Call) -> Markup:
        """Return all that changes by itself: the nodes, their events, and the line in the header."""
        who, orchestrator = call.principal, self._orchestrator
        nodes, events = await orchestrator.nodes.list_all(who), await orchestrator.nodes.events(who)
        added = orchestrator.registry.names(who) if MANAGE_NODES in who.rights else frozenset()
        small = {}
        if MODELS in who.rights:
            small = {model.id: model for model in await orchestrator.nodes.small_models(who)}
        on = sorted((node for node in nodes if node.status.state != "off"), key=_rank)
        off = [node for node in nodes if node.status.state == "off"]
        limit = max(PAGE_SIZE, min(call.whole("limit", PAGE_SIZE), len(on)))
        cards = (card(node, small, who, added=node.name in added) for node in on[:limit])
        loading = any(_loads(node) for node in nodes)
        url = f"ui/nodes/live?{urlencode({'limit': limit})}" if limit > PAGE_SIZE else "ui/nodes/live"
        parts = [
            poll(url, TARGET, seconds=LOADING_SECONDS if loading else REFRESH_SECONDS, event=REFRESH),
            live("p", "nodes-summary", _summary(nodes), cls="muted") if nodes else None,
            live("div", "nodes-cards", *cards, cls="nodes-cards") if on else _no_nodes(nodes),
            _more(limit, len(on)),
            _off(off, added),
            bot_list(orchestrator.bots(), events),
            event_list(events, bots=orchestrator.bots()),
            herd_line(nodes, swap=True),
        ]
        return join(part for part in parts if part)


def _rank(node: NodeInfo) -> int:
    """Return the place of a node: those that load models first, then the others that are up."""
    return (0 if node.status.models else 1) if node.status.state != "down" else 2


def _loads(node: NodeInfo) -> bool:
    loads = any(model.state == "loading" for model in node.status.models)
    return loads or node.status.state in ("loading", "starting")


def _summary(nodes: list[NodeInfo]) -> str:
    ready = sum(node.answers for node in nodes)
    models = {model for node in nodes if node.answers for model in node.status.serves}
    return f"{ready} of {plural(len(nodes), 'node')} ready · {plural(len(models), 'model')} loaded or served"


def _no_nodes(nodes: list[NodeInfo]) -> Markup:
    text = "Set up one of those below." if nodes else "Add one above, or to the nodes file, then restart Herding."
    return live("div", "nodes-none", empty_state("No active nodes" if nodes else "No nodes", text))


def _more(limit: int, total: int) -> Markup | None:
    if limit >= total:
        return None
    url = f"ui/nodes/live?{urlencode({'limit': limit + PAGE_SIZE})}"
    label = f"Show {min(PAGE_SIZE, total - limit)} more"
    return live("div", "nodes-more", button(label, id="nodes-more-button", hx_get=url, **patch(TARGET)))


def _off(nodes: list[NodeInfo], added: frozenset[str]) -> Markup | None:
    """Return the nodes that are not configured, one line each."""
    if not nodes:
        return None
    rows = live("ul", "nodes-off-list", *(off_line(node, added=node.name in added) for node in nodes))
    return live("section", "nodes-off", live("h2", "nodes-off-title", "Not configured"), rows, cls="nodes-off")


def _find(nodes: list[NodeInfo], name: str) -> NodeInfo:
    for node in nodes:
        if node.name == name:
            return node
    raise NotFoundError(f"There is no node '{name[:64]}'.", param="node")
