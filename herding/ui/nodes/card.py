"""A node as a card: its state and models, its last 24 hours, and the load of its machine."""

from __future__ import annotations

from markupsafe import Markup

from herding.ui.kit.bars import meter
from herding.ui.kit.format import byte_size, chip, duration, el, join, key_values, state_chip
from herding.values import Gpu, NodeHealth, NodeInfo, NodeStats, NodeStatus, System
from herding.values.durations import DAY_MS

MAX_PROMPTS = 12
"""Prompts named on a card; the others are counted."""

_HEALTH = {
    "ejected": ("Unavailable", "bad"),
    "trial": ("Retrying", "warn"),
    "resting": ("Overloaded", "warn"),
    "misconfigured": ("Key rejected", "bad"),
}


def card(node: NodeInfo) -> Markup:
    """Return the card of a node, without its controls."""
    status = node.status
    title = el(
        "div",
        el("h3", node.name),
        el("code", node.kind, cls="muted"),
        state_chip(status.state),
        _health(node.health),
        chip("Draining", "warn") if node.draining else None,
        cls="card-head",
    )
    loading = (
        progress_bar(status.progress, status.detail or "Loading") if status.state in ("loading", "starting") else None
    )
    detail = (
        el("p", status.detail, cls="wrong" if status.state == "down" else "muted")
        if status.detail and not loading
        else None
    )
    return join(
        [title, loading, detail, _problem(node.health), _now(node), _prompts(node), _day(node.stats), _machine(status)]
    )


def progress_bar(fraction: float | None, stage: str) -> Markup:
    """Return a progress bar; `fraction` is from 0 to 1, None if unknown."""
    percent = None if fraction is None else f"{min(max(fraction, 0), 1):.0%}"
    fill = el("span", style=f"width:{percent or '35%'}", cls="fill" if percent else "fill unknown")
    shown = "" if fraction is None else str(round(min(max(fraction, 0), 1) * 100))
    track = el(
        "div",
        fill,
        cls="track",
        role="progressbar",
        aria_label=stage,
        aria_valuemin="0",
        aria_valuemax="100",
        aria_valuenow=shown or None,
    )
    return el(
        "div", el("div", el("span", stage), el("span", percent or "", cls="muted"), cls="bar-head"), track, cls="bar"
    )


def _health(health: NodeHealth) -> Markup | None:
    text, tone = _HEALTH.get(health.state, ("", ""))
    return chip(text, tone) if text else None


def _problem(health: NodeHealth) -> Markup | None:
    """Return why the node gets no requests, and until when."""
    if health.state == "healthy":
        return None
    until = f" Next attempt in {health.seconds:.0f} s." if health.seconds else ""
    if health.state == "misconfigured":
        until += " It gets no requests before that; an operator must check its key."
    return el("p", f"The node {health.reason or 'failed'}.{until}", cls="wrong")


def _now(node: NodeInfo) -> Markup:
    status = node.status
    ready = status.state == "ready"
    chips = join(chip(model, "good" if ready else "plain") for model in status.serves)
    slots = f" of {node.concurrency} slots" if node.concurrency else " requests"
    load = f"{node.running}{slots}" if node.running else "idle"
    title = "Models" if ready else "Models (offline)"
    models = el("div", el("dt", title), el("dd", chips or el("span", "none", cls="muted")), cls="whole")
    return key_values(
        [
            ("Context", f"{status.context_length:,} tokens" if status.context_length else ""),
            ("Device", status.device),
            ("Load", load if ready else ""),
        ],
        before=models,
    )


def _prompts(node: NodeInfo) -> Markup:
    if not node.prompts:
        return el("p", "Not used by any prompt", cls="muted")
    shown = node.prompts[:MAX_PROMPTS]
    left = len(node.prompts) - len(shown)
    more = el("span", f"and {left:,} more", cls="muted") if left else None
    return el("div", el("span", "Prompts", cls="muted"), *(chip(key) for key in shown), more, cls="chips")


def _day(stats: NodeStats) -> Markup:
    percent = 100 * stats.busy_ms / DAY_MS
    busy = "below 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"
    shown = key_values(
        [
            ("Requests", f"{stats.requests:,}"),
            ("Failed attempts", chip(f"{stats.failures:,}", "bad") if stats.failures else "0"),
            ("Input tokens", f"{stats.input_tokens:,}"),
            ("Output tokens", f"{stats.output_tokens:,}"),
            ("Mean latency", duration(stats.mean_ms)),
            ("Utilization", busy),
        ],
        cls="facts metrics three",
    )
    return el("section", el("h4", "Last 24 hours"), shown)


def _machine(status: NodeStatus) -> Markup:
    """Return the load of the node's machine, if the node reports it."""
    if status.system is None:
        return el("section", el("h4", "Machine"), el("p", "This node reports no metrics.", cls="muted"))
    return el("section", el("h4", "Machine"), el("div", *_meters(status.system), cls="meters"))


def _meters(system: System) -> list[Markup]:
    shown = [
        meter("CPU", system.cpu_percent, f"{system.cpu_percent:.0f} %"),
        _used("Memory", system.memory_used, system.memory_total),
        _used("Swap", system.swap_used, system.swap_total) if system.swap_total else None,
        _used("Disk", system.disk_used, system.disk_total),
    ]
    shown += [part for gpu in system.gpus for part in _gpu(gpu)]
    swap = "" if system.swap_total else "none"
    load, own = f"{system.load_1m:.2f}", byte_size(system.process_memory)
    values = key_values([("Load (1 min)", load), ("Engine memory", own), ("Swap", swap)])
    return [part for part in shown if part] + [values]


def _gpu(gpu: Gpu) -> list[Markup]:
    memory = _used(f"{gpu.name} memory", gpu.memory_used, gpu.memory_total)
    if gpu.utilisation is None:
        return [memory]
    return [meter(gpu.name, gpu.utilisation, f"{gpu.utilisation:.0f} %"), memory]


def _used(name: str, used: int, total: int) -> Markup:
    percent = 100 * used / total if total else 0
    return meter(name, percent, f"{byte_size(used)} of {byte_size(total)}")
