"""A node as a card: what it is, what it did in the last day, and what its machine reports."""

from __future__ import annotations

from markupsafe import Markup

from herding.ui.kit.bars import meter
from herding.ui.kit.format import byte_size, chip, duration, el, join, key_values, state_chip
from herding.values import Gpu, NodeHealth, NodeInfo, NodeStats, NodeStatus, System

DAY_MS = 24 * 3600 * 1000
MOST_PROMPTS = 12
"""Prompts that a card names; of the others it tells how many they are."""

_HEALTH = {
    "ejected": ("out after failures", "bad"),
    "trial": ("on trial", "warn"),
    "resting": ("rests", "warn"),
    "misconfigured": ("refuses our key", "bad"),
}


def card(node: NodeInfo) -> Markup:
    """The whole card, without the control that switches models."""
    status = node.status
    title = el(
        "div",
        el("h3", node.name),
        el("code", node.kind, cls="muted"),
        state_chip(status.state),
        _health(node.health),
        chip("takes no new requests", "warn") if node.draining else None,
        cls="card-head",
    )
    loading = bar(status.progress, status.detail or "Loading") if status.state in ("loading", "starting") else None
    detail = (
        el("p", status.detail, cls="wrong" if status.state == "down" else "muted")
        if status.detail and not loading
        else None
    )
    return join(
        [title, loading, detail, _trouble(node.health), _now(node), _prompts(node), _day(node.stats), _machine(status)]
    )


def bar(fraction: float | None, stage: str) -> Markup:
    """Progress: a share of 1, or None where the length is not known."""
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
    """A mark for a node that gets no requests, or is on trial."""
    words, tone = _HEALTH.get(health.state, ("", ""))
    return chip(words, tone) if words else None


def _trouble(health: NodeHealth) -> Markup | None:
    """Why it gets none, and until when."""
    if health.state == "healthy":
        return None
    until = f" Next try in {health.seconds:.0f} s." if health.seconds else ""
    if health.seconds is None:
        until = " It is not called until somebody has mended it."
    return el("p", f"The node {health.reason or 'failed'}.{until}", cls="wrong")


def _now(node: NodeInfo) -> Markup:
    status = node.status
    ready = status.state == "ready"
    served = join(chip(model, "good" if ready else "plain") for model in status.serves)
    places = f" of {node.concurrency} places" if node.concurrency else " requests"
    load = f"{node.running}{places}" if node.running else "idle"
    when = "Serves now" if ready else "Serves when it is up"
    serves = el("div", el("dt", when), el("dd", served or el("span", "nothing", cls="muted")), cls="whole")
    return key_values(
        [
            ("Context", f"{status.context_length:,} tokens" if status.context_length else ""),
            ("Device", status.device),
            ("Load", load if ready else ""),
        ],
        before=serves,
    )


def _prompts(node: NodeInfo) -> Markup:
    if not node.prompts:
        return el("p", "It serves no prompt now.", cls="muted")
    shown = node.prompts[:MOST_PROMPTS]
    left = len(node.prompts) - len(shown)
    more = el("span", f"and {left:,} more", cls="muted") if left else None
    return el("div", el("span", "Prompts", cls="muted"), *(chip(key) for key in shown), more, cls="chips")


def _day(stats: NodeStats) -> Markup:
    percent = 100 * stats.busy_ms / DAY_MS
    busy = "below 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"
    shown = key_values(
        [
            ("Requests", f"{stats.requests:,}"),
            ("LoginThrottle", chip(f"{stats.failures:,}", "bad") if stats.failures else "0"),
            ("Tokens in", f"{stats.input_tokens:,}"),
            ("Tokens out", f"{stats.output_tokens:,}"),
            ("Mean time", duration(stats.mean_ms)),
            ("Utilisation", busy),
        ],
        cls="facts figures three",
    )
    return el("section", el("h4", "Last 24 hours"), shown)


def _machine(status: NodeStatus) -> Markup:
    """Meters of the node's machine; nothing is guessed where the node does not tell."""
    if status.system is None:
        return el("section", el("h4", "Machine"), el("p", "No figures: this node does not report any.", cls="muted"))
    return el("section", el("h4", "Machine"), el("div", *_meters(status.system), cls="meters"))


def _meters(system: System) -> list[Markup]:
    shown = [
        meter("CPU", system.cpu_percent, f"{system.cpu_percent:.0f} %"),
        _used("Memory", system.memory_used, system.memory_total),
        _used("Swap", system.swap_used, system.swap_total) if system.swap_total else None,
        _used("Disk", system.disk_used, system.disk_total),
    ]
    shown += [found for gpu in system.gpus for found in _gpu(gpu)]
    swap = "" if system.swap_total else "none"
    load, own = f"{system.load_1m:.2f}", byte_size(system.process_memory)
    figures = key_values([("Load (1 min)", load), ("Engine's memory", own), ("Swap", swap)])
    return [found for found in shown if found] + [figures]


def _gpu(gpu: Gpu) -> list[Markup]:
    memory = _used(f"{gpu.name} memory", gpu.memory_used, gpu.memory_total)
    if gpu.utilisation is None:
        return [memory]
    return [meter(gpu.name, gpu.utilisation, f"{gpu.utilisation:.0f} %"), memory]


def _used(name: str, used: int, total: int) -> Markup:
    percent = 100 * used / total if total else 0
    return meter(name, percent, f"{byte_size(used)} of {byte_size(total)}")
