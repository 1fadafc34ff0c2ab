"""What happened to the nodes, the newest first."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.ui.kit.format import chip, el, time_tag
from herding.values import NodeEvent

SHOWN = 30
_TONES = {"ejected": "bad", "misconfigured": "bad", "resting": "warn", "recovered": "good", "mended": "good"}


def feed(events: Sequence[NodeEvent]) -> Markup:
    """The events as a list, or a line that says that there are none."""
    head = el("h3", "What happened")
    if not events:
        return el("section", head, el("p", "Nothing since the app started.", cls="muted"), cls="node-events")
    lines = (_line(event) for event in events[:SHOWN])
    return el("section", head, el("ul", *lines, tabindex="0", aria_label="Events of nodes"), cls="node-events")


def _line(event: NodeEvent) -> Markup:
    kind = chip(event.kind, _TONES.get(event.kind, "calm"))
    what = el("span", el("b", event.node), " ", el("span", event.detail, cls="muted"))
    return el("li", time_tag(event.at_ms), kind, what)
