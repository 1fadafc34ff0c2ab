"""A node as a card: its state in words, its models, its last 24 hours, and the load of its machine."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from herding.access.operations import HISTORY, MANAGE_NODES, SWITCH_MODEL
from herding.ui.kit.charts.bars import meter
from herding.ui.kit.fields import button, confirm_button
from herding.ui.kit.format import chip, duration, el, key_values, plural, state_chip
from herding.ui.kit.links import tab_address
from herding.ui.kit.live import fixed, live, patch
from herding.ui.nodes.models import TARGET, is_engine, model_section, picker, progress_bar, served, slug
from herding.values import Gpu, NodeHealth, NodeInfo, NodeStatus, Principal, SmallModel, System
from herding.values.durations import DAY_MS
from herding.values.sizes import format_size

MAX_PROMPTS = 8
"""Prompts named on a card; the others are counted."""

_HEALTH = {
    "ejected": ("Unavailable", "bad"),
    "trial": ("Retrying", "warn"),
    "resting": ("Overloaded", "warn"),
    "misconfigured": ("Key rejected", "bad"),
}
QUESTION = (
    "The node gets no new requests. It is removed with its secret when its running requests have ended. "
    "This can't be undone."
)


def card(node: NodeInfo, small: Mapping[str, SmallModel], who: Principal, *, added: bool) -> Markup:
    """Return the card of a node. `added`: it was added at run time, and can be changed and removed."""
    key = f"node-{slug(node.name)}"
    may_load = is_engine(node) and SWITCH_MODEL in who.rights
    served_by, models = served(node), model_section(node, small, who)
    parts = [
        head(node, key),
        _problem(node, key, who),
        live("div", f"{key}-now", _now(node, who)),
        live("div", f"{key}-served", served_by) if served_by else None,
        models,
        fixed("div", f"{key}-add", picker(node, who)) if may_load else None,
        live("div", f"{key}-prompts", _prompts(node), cls="node-prompts"),
        _machine(node.status, key),
        manage(node.name, key) if added and MANAGE_NODES in who.rights else None,
    ]
    cls = "node wide" if models else "node"
    return live("article", key, *(part for part in parts if part), cls=cls, aria_label=node.name)


def head(node: NodeInfo, key: str) -> Markup:
    """Return the name, the kind and the state of a node."""
    return live(
        "header",
        f"{key}-head",
        el("h2", node.name),
        el("span", node.label, cls="muted"),
        state_chip(node.status.state) if node.status.state != "ready" or node.answers else None,
        _health(node.health),
        chip("Draining", "warn", title="It gets no new requests") if node.draining else None,
        cls="node-head",
    )


def manage(name: str, key: str) -> Markup:
    """Return the buttons of a node that was added at run time, and a place for its form."""
    edit = button("Edit", id=f"{key}-edit", hx_get=f"ui/nodes/{name}/form", hx_target=f"#{key}-form")
    remove = confirm_button(
        "Remove node",
        QUESTION,
        "Remove",
        id=f"{key}-remove",
        hx_delete=f"ui/nodes/{name}",
        hx_disabled_elt="this",
        **patch(TARGET),
    )
    buttons = fixed("div", f"{key}-buttons", edit, remove, cls="answers")
    return fixed("div", f"{key}-manage", buttons, el("div", id=f"{key}-form"), cls="node-manage")


def off_line(node: NodeInfo, *, added: bool) -> Markup:
    """Return a node that is not configured, as one line."""
    key = f"node-{slug(node.name)}"
    text = el("span", node.status.detail or "Off", cls="muted one-line", title=node.status.detail or None)
    kind = el("span", node.label, cls="muted small")
    return live(
        "li",
        f"{key}-off",
        el("div", el("b", node.name), kind, text, cls="off-line"),
        manage(node.name, key) if added else None,
    )


def _health(health: NodeHealth) -> Markup | None:
    text, tone = _HEALTH.get(health.state, ("", ""))
    return chip(text, tone) if text else None


def _problem(node: NodeInfo, key: str, who: Principal) -> Markup | None:
    """Return what is wrong with a node, what to do, and a button that tries it again."""
    health, status = node.health, node.status
    parts: list[object] = []
    loading = status.state in ("loading", "starting")
    if loading and not any(model.state == "loading" for model in status.models):
        parts.append(progress_bar(status.progress, status.detail or "Starting"))
    elif status.state == "down":
        parts.append(el("p", status.detail or "The node can't be reached.", cls="wrong"))
        if node.kind not in ("local", "herding"):
            parts.append(el("p", "Check its URL, and that its server is running.", cls="muted small"))
    elif status.detail and not loading and not status.models:
        parts.append(el("p", status.detail, cls="muted"))
    parts.extend(el("p", f"{model}: {fault}", cls="wrong") for model, fault in status.faults.items())
    if health.state != "healthy":
        parts.append(el("p", _advice(health), cls="wrong"))
        if MANAGE_NODES in who.rights:
            retry = button("Retry now", id=f"{key}-retry", hx_post=f"ui/nodes/{node.name}/retry", **patch(TARGET))
            parts.append(el("div", retry, cls="answers"))
    return live("div", f"{key}-problem", *parts, cls="node-problem") if parts else None


def _advice(health: NodeHealth) -> str:
    """Return why a node gets no requests, until when, and what to do."""
    reason = f"The node {health.reason or 'failed'}."
    if health.state == "misconfigured":
        return f"{reason} Requests are paused. Check its API key, then retry."
    after = f"Next attempt in {health.seconds:.0f} s." if health.seconds else "The next request tries it again."
    if health.state == "ejected":
        return f"{reason} {after} Check that its server runs and can be reached."
    return f"{reason} {after}"


def _now(node: NodeInfo, who: Principal) -> Markup:
    """Return the present load and the last 24 hours."""
    status, stats = node.status, node.stats
    slots = f" of {node.concurrency}" if node.concurrency else ""
    busy = f"{100 * stats.busy_ms / DAY_MS:.1f} %" if stats.busy_ms >= DAY_MS / 1000 else "below 0.1 %"
    return key_values(
        [
            ("In flight", f"{node.running}{slots}"),
            ("Queued", f"{status.waiting:,}"),
            ("Requests (24 h)", f"{stats.requests:,}"),
            ("Failed (24 h)", _failures(node, who)),
            ("Mean latency", duration(stats.mean_ms)),
            ("Tokens in / out", f"{stats.input_tokens:,} / {stats.output_tokens:,}"),
            ("Utilization", busy if stats.busy_ms else "0 %"),
        ],
        cls="facts node-facts",
    )


def _failures(node: NodeInfo, who: Principal) -> object:
    failures = node.stats.failures
    if not failures:
        return "0"
    shown = f"{failures:,}"
    if HISTORY not in who.rights or "history" not in who.tabs:
        return chip(shown, "bad")
    href = tab_address("history", node=node.name, status="failed")
    return el("a", chip(shown, "bad"), href=href, title="Show failed requests",
              aria_label=f"{plural(failures, 'failed attempt')}: show failed requests")  # fmt: skip


def _prompts(node: NodeInfo) -> Markup:
    if not node.prompts:
        return el("p", "Not used by any prompt", cls="muted small")
    shown = node.prompts[:MAX_PROMPTS]
    left = len(node.prompts) - len(shown)
    more = el("span", f"and {left:,} more", cls="muted small") if left else None
    links = (el("a", key, href=tab_address("engineer", prompt=key), cls="chip") for key in shown)
    return el("div", el("span", "Used by", cls="muted small"), *links, more, cls="chips")


def _machine(status: NodeStatus, key: str) -> Markup | None:
    """Return the load of the node's machine, folded; None if the node does not report it."""
    if status.system is None:
        return None
    system = status.system
    used = f"{format_size(system.memory_used)} of {format_size(system.memory_total)}"
    line = f"CPU {system.cpu_percent:.0f} % · memory {used}"
    summary = live("summary", f"{key}-machine-line", "Machine ", el("span", line, cls="muted small"))
    meters = live("div", f"{key}-meters", *_meters(system), cls="node-meters")
    return live("details", f"{key}-machine", summary, meters)


def _meters(system: System) -> list[Markup]:
    shown = [
        meter("CPU", system.cpu_percent, f"{system.cpu_percent:.0f} %"),
        _used("Memory", system.memory_used, system.memory_total),
        _used("Swap", system.swap_used, system.swap_total) if system.swap_total else None,
        _used("Disk", system.disk_used, system.disk_total),
    ]
    shown += [part for gpu in system.gpus for part in _gpu(gpu)]
    if not system.gpus:
        shown.append(el("p", "No GPU. Models run on the CPU.", cls="muted small"))
    values = key_values(
        [("Load (1 min)", f"{system.load_1m:.2f}"), ("Engine memory", format_size(system.process_memory))]
    )
    return [part for part in shown if part] + [values]


def _gpu(gpu: Gpu) -> list[Markup]:
    memory = _used(f"{gpu.name} memory", gpu.memory_used, gpu.memory_total)
    if gpu.utilisation is None:
        return [memory]
    return [meter(gpu.name, gpu.utilisation, f"{gpu.utilisation:.0f} %"), memory]


def _used(name: str, used: int, total: int) -> Markup:
    percent = 100 * used / total if total else 0
    return meter(name, percent, f"{format_size(used)} of {format_size(total)}")
