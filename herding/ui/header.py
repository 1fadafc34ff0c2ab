"""The header: the name, and the state of the nodes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from markupsafe import Markup

from herding.access.operations import NODES
from herding.ui.kit.format import STATE, el
from herding.ui.kit.theme import LOGO
from herding.values import NodeInfo, Principal


def header(herd: Sequence[NodeInfo], principal: Principal | None) -> Markup:
    """Return the header; without the principal (before the page has loaded) it has no nodes."""
    brand = el("div", Markup(LOGO), el("h1", "Herding"), cls="brand")  # noqa: S704 (our own file)
    visible = principal is not None and NODES in principal.rights
    state = herd_line(herd) if visible else None
    keys = el(
        "button",
        "?",
        type="button",
        cls="keys",
        data_shortcuts="",
        aria_label="Keyboard shortcuts",
        title="Keyboard shortcuts (?)",
    )
    return el("header", brand, state, keys, cls="top")


def herd_line(herd: Sequence[NodeInfo], *, swap: bool = False) -> Markup:
    """Return the state of the nodes as one line; with `swap` for a reply, to take the place of the line on the page."""
    summary = herd_summary(herd)
    version = f"{zlib.crc32(summary.encode()):x}"
    return el("span", summary, id="herd-line", cls="herd-line", role="status", data_v=version,
              hx_swap_oob="true" if swap else None)  # fmt: skip


def herd_summary(herd: Sequence[NodeInfo]) -> Markup:
    """Return the most important node (loading first, then ready ones), and the number of other ready nodes."""
    order = ("loading", "starting", "ready", "down", "off")
    if not herd:
        return el("span", "No nodes")
    node = min(herd, key=lambda node: (order.index(node.status.state), not node.answers))
    others = sum(other.answers for other in herd if other is not node)
    more = el("span", f" · {others} more ready", cls="muted") if others else None
    tone = STATE["down" if _is_out(node) else node.status.state][1]
    return el("span", el("i", cls=f"dot {tone}", aria_hidden="true"), _state_text(node), more)


def _is_out(node: NodeInfo) -> bool:
    """Return True if the node is up but gets no requests."""
    return node.status.state == "ready" and not node.answers


def _state_text(node: NodeInfo) -> str:
    status = node.status
    if status.state == "loading" and status.progress is not None:
        return f"{node.name}: loading {100 * status.progress:.0f} %"
    if _is_out(node):
        return f"{node.name}: out of rotation"
    if status.state == "ready" and status.serves:
        models = status.serves[0] if len(status.serves) == 1 else f"{len(status.serves)} models"
        return f"{node.name}: {models} ready"
    return f"{node.name}: {STATE[status.state][0]}"


def is_settled(herd: Sequence[NodeInfo]) -> bool:
    """Return True if no node is starting, and none loads a model, the ones that serve others meanwhile included."""
    return not any(
        node.status.state in ("loading", "starting")
        or node.status.loading is not None
        or any(model.state == "loading" for model in node.status.models)
        for node in herd
    )
