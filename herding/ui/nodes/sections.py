"""The sections of the Nodes tab besides the cards: events of the nodes, and the installed plugins."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.ui.kit.format import chip, el, join, time_tag
from herding.ui.kit.live import live
from herding.values import NodeEvent, PluginInfo

MAX_EVENTS = 30
_KINDS = {
    "added": ("Added", "calm"),
    "changed": ("Changed", "calm"),
    "removed": ("Removed", "calm"),
    "switched": ("Loaded", "good"),
    "unloaded": ("Unloaded", "calm"),
    "cancelled": ("Load cancelled", "calm"),
    "unlisted": ("Removed from list", "calm"),
    "deleted": ("Files deleted", "calm"),
    "ejected": ("Unavailable", "bad"),
    "misconfigured": ("Key rejected", "bad"),
    "resting": ("Overloaded", "warn"),
    "recovered": ("Recovered", "good"),
    "mended": ("Retry", "calm"),
}
_PLUGIN_STATES = {"loaded": ("Loaded", "good"), "failed": ("Failed", "bad"), "off": ("Off", "calm")}


def event_list(events: Sequence[NodeEvent]) -> Markup:
    """Return the latest events, newest first."""
    if events:
        rows = (_event(event) for event in events[:MAX_EVENTS])
        content = el("ul", *rows, tabindex="0", aria_label="Node events")
    else:
        content = el("p", "No events since the app started.", cls="muted")
    return live("section", "nodes-events", el("h2", "Events"), content, cls="node-events")


def _event(event: NodeEvent) -> Markup:
    label, tone = _KINDS.get(event.kind, (event.kind.capitalize(), "calm"))
    detail = event.detail
    if event.kind == "switched" and detail.startswith("not loaded "):
        label, tone, detail = "Not loaded", "bad", detail.removeprefix("not loaded ")
    kind = chip(label, tone)
    text = el("span", el("b", event.node), " ", el("span", detail.removeprefix("loaded "), cls="muted"))
    return el("li", time_tag(event.at_ms), kind, text)


def plugin_list(plugins: Sequence[PluginInfo]) -> Markup:
    """Return the plugins of this installation with their state."""
    if not plugins:
        text = "No plugins installed. A plugin is a package that adds nodes, checks, sources, filters or policies."
        content = el("p", text, cls="muted")
    else:
        content = el("ul", *(_plugin(plugin) for plugin in plugins), cls="node-plugins")
    return el("section", el("h2", "Plugins"), content, id="nodes-plugins", cls="nodes-plugins")


def _plugin(plugin: PluginInfo) -> Markup:
    package = " ".join(part for part in (plugin.package, plugin.version) if part)
    provides = el("div", *(chip(name) for name in plugin.provides), cls="chips") if plugin.provides else None
    problem = el("p", plugin.problem, cls="wrong small") if plugin.problem else None
    name = el("div", el("b", plugin.name), el("div", package, cls="muted small"))
    state = chip(*_PLUGIN_STATES.get(plugin.state, (plugin.state, "plain")))
    return el("li", name, el("div", state), el("div", join([provides, problem])))
