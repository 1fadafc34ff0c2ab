"""The sections of the Nodes tab besides the cards: events of the nodes, and the installed plugins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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
    "cancelled": ("Load cancelled", "warn"),
    "unlisted": ("Removed from list", "calm"),
    "deleted": ("Files deleted", "calm"),
    "ejected": ("Unavailable", "bad"),
    "misconfigured": ("Key rejected", "bad"),
    "resting": ("Overloaded", "warn"),
    "recovered": ("Recovered", "good"),
    "mended": ("Retry", "calm"),
    "down": ("Down", "bad"),
    "up": ("Up again", "good"),
    "connected": ("Connected", "good"),
    "disconnected": ("Disconnected", "warn"),
}
_PLUGIN_STATES = {"loaded": ("Loaded", "good"), "failed": ("Failed", "bad"), "off": ("Off", "calm")}


def event_list(events: Sequence[NodeEvent], *, bots: Collection[str] = ()) -> Markup:
    """Return the latest events, newest first; those of `bots` are in the same list."""
    if events:
        rows = (_event(event, is_bot=event.node in bots) for event in events[:MAX_EVENTS])
        content = el("ul", *rows, tabindex="0", aria_label="Node events")
    else:
        content = el("p", "No events since the app started.", cls="muted")
    return live("section", "nodes-events", el("h2", "Events"), content, cls="node-events")


def _event(event: NodeEvent, *, is_bot: bool) -> Markup:
    label, tone = _KINDS.get(event.kind, (event.kind.capitalize(), "calm"))
    if is_bot and event.kind == "misconfigured":  # not only its token may be wrong
        label = "Failed"
    detail = event.detail
    if event.kind == "switched" and detail.startswith("not loaded "):
        label, tone, detail = "Not loaded", "bad", detail.removeprefix("not loaded ")
    kind = chip(label, tone)
    text = el("span", el("b", event.node), " ", el("span", detail.removeprefix("loaded "), cls="muted"))
    return el("li", time_tag(event.at_ms), kind, text)


_BOT_STATES = {
    "starting": ("Starting", "busy"),
    "connected": ("Connected", "good"),
    "reconnecting": ("Reconnecting", "warn"),
    "failed": ("Failed", "bad"),
    "stopped": ("Stopped", "calm"),
}


def bot_list(states: Mapping[str, str], events: Sequence[NodeEvent]) -> Markup | None:
    """Return the bots with their state and the reason for it; None without bots. `events` are newest first."""
    if not states:
        return None
    latest = {event.node: event for event in reversed(events)}
    rows = (_bot(name, state, latest.get(name)) for name, state in states.items())
    return live("section", "nodes-bots", el("h2", "Bots"), el("ul", *rows, cls="node-plugins"), cls="nodes-plugins")


def _bot(name: str, state: str, event: NodeEvent | None) -> Markup:
    chips = el("div", chip(*_BOT_STATES.get(state, (state.capitalize(), "plain"))))
    said = el("p", event.detail, cls="wrong small" if state == "failed" else "muted small") if event else None
    return el("li", el("b", name), chips, el("div", said))


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
