"""What went to a node and what came back, as a person reads it."""

from __future__ import annotations

from markupsafe import Markup

from herding.ui.kit.format import duration, el, join, panel
from herding.values import Exchange


def exchange(told: Exchange) -> Markup:
    """The whole exchange: how it ended first, then request and answer as they were."""
    if told.error:
        end = panel("bad", "No answer", el("p", told.error), role="alert")
    else:
        end = el("div", el("p", f"✓ An answer after {duration(told.milliseconds)}:", cls="saved", role="status"),
                 _block(told.extracted or "(an empty text)", "The text that was found"))  # fmt: skip
    status = "nothing came" if told.status is None else f"HTTP {told.status}"
    sent = _half("Sent", told.line, told.sent, told.body) if told.line else None
    received = _half("Received", status, told.received, told.answer)
    return el("div", join([end, sent, received]), cls="exchange")


def _half(title: str, first: str, headers: tuple[str, ...], body: str) -> Markup:
    lines = "\n".join([first, *headers, *(["", body] if body else [])])
    return el("section", el("h4", title), _block(lines, title))


def _block(written: str, label: str) -> Markup:
    return el("pre", written, cls="code", tabindex="0", role="region", aria_label=label)
