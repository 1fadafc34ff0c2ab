"""The models of a node: its memory, and a row for each model with its state and what can be done with it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from markupsafe import Markup

from herding.access.operations import MANAGE_NODES, SWITCH_MODEL
from herding.ui.kit.charts.chart import series
from herding.ui.kit.fields import button, confirm_button
from herding.ui.kit.format import chip, el, join, plural, rough_duration
from herding.ui.kit.live import live, patch
from herding.values import EngineModel, ModelMemory, NodeInfo, Principal, SmallModel
from herding.values.sizes import format_size

TARGET = "nodes-live"
MAX_ROWS = 12
"""Models that a node of another kind than an engine shows at once; the others are folded."""

STATES = {
    "loaded": ("Loaded", "good"),
    "loading": ("Loading", "busy"),
    "failed": ("Not loaded", "bad"),
    "available": ("Available", "plain"),
}


def slug(text: str) -> str:
    """Return a name of any characters as a part of an id."""
    return f"{zlib.crc32(text.encode()):08x}"


def is_engine(node: NodeInfo) -> bool:
    """Return True for a node that runs Herding's engine, which takes models of the hub and of paths."""
    return node.kind in ("local", "herding") and node.status.state not in ("off", "down")


def model_states(node: NodeInfo) -> tuple[EngineModel, ...]:
    """Return the models of a node that can load some, the loaded ones first; those of an engine as it tells them."""
    status = node.status
    if status.models or not status.offers:
        return status.models
    loaded = tuple(EngineModel(model, "loaded") for model in status.serves)
    loading = [EngineModel(status.loading, "loading", progress=status.progress)] if status.loading else []
    known = {*status.serves, status.loading}
    return (*loaded, *loading, *(EngineModel(model) for model in status.offers if model not in known))


def model_section(node: NodeInfo, small: Mapping[str, SmallModel], who: Principal) -> Markup | None:
    """Return the memory and the models of a node that loads models; None for another one."""
    models, key = model_states(node), f"node-{slug(node.name)}"
    if not models:
        return None
    memory = node.status.memory
    colours = _colours(models) if memory else {}
    rows = [
        model_row(node, model, small.get(model.id), who, colour=colours.get(model.id), memory=memory)
        for model in models
    ]
    listed = live("ul", f"{key}-list", *rows, cls="node-models")
    bar = memory_bar(node, memory, models, colours) if memory else None
    again = _refresh_picker(node, models, key) if is_engine(node) and SWITCH_MODEL in who.rights else None
    return live("section", f"{key}-models", bar, listed, again, aria_label=f"Models of {node.name}")


def _refresh_picker(node: NodeInfo, models: Sequence[EngineModel], key: str) -> Markup:
    """Return an element that asks for the models to choose from again when a model changes its state."""
    is_open = f"document.querySelector('#{key}-add details')?.open"
    states = " ".join(f"{model.id}:{model.state}" for model in models)
    return live("span", f"{key}-states", hx_get=f"ui/nodes/{node.name}/small", hx_trigger=f"load[{is_open}]",
                hx_target=f"#{key}-small", data_states=states)  # fmt: skip


def _colours(models: Sequence[EngineModel]) -> dict[str, str]:
    loaded = [model.id for model in models if model.state == "loaded"]
    return {model: series(number) for number, model in enumerate(loaded)}


def memory_bar(
    node: NodeInfo, memory: ModelMemory, models: Sequence[EngineModel], colours: Mapping[str, str]
) -> Markup:
    """Return the memory of an engine as a bar with a part for each loaded model."""
    held = [(model, 100 * (model.size or 0) / memory.budget) for model in models if model.id in colours]
    parts = (
        el("span", cls=f"memory-part {colours[model.id]}", style=f"width:{share:.2f}%", title=model.id)
        for model, share in held
        if memory.budget
    )
    text = f"{format_size(memory.used)} of {format_size(memory.budget)} used · {format_size(memory.free)} free"
    percent = round(100 * memory.used / memory.budget) if memory.budget else 0
    track = el(
        "div",
        *parts,
        cls="memory-track",
        role="meter",
        aria_label=f"Model memory of {node.name}",
        aria_valuemin="0",
        aria_valuemax="100",
        aria_valuenow=str(min(percent, 100)),
        aria_valuetext=text,
    )
    rests = node.status.keep_alive
    keep = (
        f"Models loaded on demand are unloaded after {rough_duration(rests * 1000)} without requests." if rests else ""
    )
    key = f"node-{slug(node.name)}-memory"
    head = el("div", el("h3", "Model memory"), el("span", text, cls="memory-text"), cls="memory-head")
    return live("div", key, head, track, el("p", keep, cls="muted small") if keep else None, cls="node-memory")


def model_row(
    node: NodeInfo,
    model: EngineModel,
    small: SmallModel | None,
    who: Principal,
    *,
    colour: str | None,
    memory: ModelMemory | None,
) -> Markup:
    """Return one model with its state, its size, and its buttons."""
    key = f"node-{slug(node.name)}-{slug(model.id)}"
    mark = el("span", cls=f"model-mark {colour or ''}".rstrip(), aria_hidden="true")
    name = el("div", mark, el("b", model.id), cls="model-name")
    size = format_size(model.size) if model.size else f"about {format_size(small.memory)}" if small else ""
    fits = _fits(model, small, memory)
    actions = _actions(node, model, key, fits=fits) if SWITCH_MODEL in who.rights else None
    manage = _manage(node, model, key) if MANAGE_NODES in who.rights else None
    return live(
        "li",
        key,
        el("div", name, el("div", _facts(model, small), cls="muted small"), manage, cls="model-what"),
        el("div", _state(model, fits=fits, keep_alive=node.status.keep_alive, memory=memory), cls="model-state"),
        el("div", size, cls="number model-size"),
        el("div", actions, cls="model-actions"),
        cls=f"model-row {model.state}",
    )


def _fits(model: EngineModel, small: SmallModel | None, memory: ModelMemory | None) -> bool:
    need = model.size or (small.memory if small else 0)
    return memory is None or need <= memory.budget


def _facts(model: EngineModel, small: SmallModel | None) -> str:
    """Return what is known of a model, on one line."""
    if model.state != "loaded":
        return f"{small.parameters} parameters · {small.note}" if small else ""
    found = (
        f"{small.parameters} parameters" if small else "",
        f"context {model.context_length:,} tokens" if model.context_length else "",
        " ".join(part for part in (model.device, model.dtype) if part),
        "tools" if "tools" in model.features else "",
    )
    return " · ".join(part for part in found if part)


def _state(model: EngineModel, *, fits: bool, keep_alive: float | None, memory: ModelMemory | None) -> Markup:
    if model.state == "loading":
        return progress_bar(model.progress, loading_text(model))
    parts: list[object] = [chip(*STATES[model.state])]
    if model.state == "loaded":
        parts.append(el("span", _rest(model, keep_alive), cls="muted small"))
        if not model.chat:
            text = "No chat template: it takes raw templates and text completions, but no chats."
            parts.append(el("p", text, cls="small warn-text"))
    elif model.state == "failed":
        parts.append(el("p", model.error, cls="wrong small"))
    elif not fits and memory:
        parts = [chip("Does not fit", "warn"), el("span", f"Budget {format_size(memory.budget)}", cls="muted small")]
    elif model.downloaded is not None:
        parts = [chip("Partly downloaded", "warn"), el("span", download_text(model), cls="muted small")]
    elif not model.on_disk:
        parts = [chip("Not downloaded")]
    return join(parts)


def loading_text(model: EngineModel) -> str:
    """Return what is being done to load a model."""
    text = model.stage.capitalize() or "Loading"
    return f"{text} {download_text(model)}" if model.stage == "downloading" and model.downloaded is not None else text


def download_text(model: EngineModel) -> str:
    """Return how much of a model is downloaded."""
    done = format_size(model.downloaded or 0)
    return f"{done} of {format_size(model.download_size)}" if model.download_size else done


def _rest(model: EngineModel, keep_alive: float | None) -> str:
    """Return whether a loaded model is used, and when it is unloaded."""
    if model.running:
        return plural(model.running, "request")
    if model.idle_seconds is None:
        return ""
    idle = f"Idle {rough_duration(model.idle_seconds * 1000)}"
    if model.resident:
        return f"{idle} · stays loaded"
    left = (keep_alive or 0) - model.idle_seconds
    return f"{idle} · unloads in {rough_duration(left * 1000)}" if left > 0 else idle


def _actions(node: NodeInfo, model: EngineModel, key: str, *, fits: bool) -> Markup | None:
    """Return the buttons of a model."""
    base, named = f"ui/nodes/{node.name}", urlencode({"model": model.id})
    gone = {"hx_delete": f"{base}/model?{named}", "hx_disabled_elt": "this", **patch(TARGET)}
    wanted = {"hx_post": f"{base}/load?{named}", "hx_disabled_elt": "this", **patch(TARGET)}
    if model.state == "loading":
        cancel = button("Cancel", id=f"{key}-cancel", aria_label=f"Cancel loading {model.id}",
                        **gone | {"hx_delete": f"{base}/model?{named}&cancel=1"})  # fmt: skip
        return cancel if is_engine(node) else None
    if model.state == "loaded":
        if not is_engine(node):
            return None
        question = f"Unload {model.id}? It is loaded again when a request needs it."
        return confirm_button("Unload", question, "Unload", kind="", id=f"{key}-unload",
                              aria_label=f"Unload {model.id}", **gone)  # fmt: skip
    label = "Try again" if model.state == "failed" else "Load" if model.downloaded is None else "Resume"
    load = button(label, id=f"{key}-load", aria_label=f"{label}: {model.id}", disabled=None if fits else "", **wanted)
    if model.state == "failed":
        dismiss = button("Dismiss", kind="quiet", id=f"{key}-dismiss", aria_label=f"Dismiss the error of {model.id}",
                         **gone)  # fmt: skip
        return join([load, dismiss])
    return load


def _manage(node: NodeInfo, model: EngineModel, key: str) -> Markup | None:
    """Return the buttons that delete the files of a model, and that remove it from the list."""
    base, named, size = f"ui/nodes/{node.name}", urlencode({"model": model.id}), format_size(model.files)
    shared = {"kind": "quiet", "hx_disabled_elt": "this", **patch(TARGET)}
    parts: list[Markup] = []
    if model.added:
        check = {"data_check": f"Delete its files ({size})", "data_check_name": "delete_files"} if model.files else {}
        more = "" if model.state != "loading" else " Its loading is cancelled."
        question = f"Remove {model.id} from the list of {node.name}?{more} Prompts can't use it then."
        parts.append(confirm_button("Remove from list", question, "Remove", id=f"{key}-remove",
                                    aria_label=f"Remove from list: {model.id}",
                                    hx_delete=f"{base}/listed?{named}", **shared | check))  # fmt: skip
    if model.files and model.state in ("available", "failed"):
        question = f"Delete the files of {model.id} ({size})? They are downloaded or made again when it is loaded."
        parts.append(confirm_button(f"Delete files ({size})", question, "Delete", id=f"{key}-delete",
                                    aria_label=f"Delete files of {model.id} ({size})",
                                    hx_delete=f"{base}/files?{named}", **shared))  # fmt: skip
    return el("div", *parts, cls="model-manage") if parts else None


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


def served(node: NodeInfo) -> Markup | None:
    """Return the models of a node that loads none, the first ones at once and the others folded."""
    models = (*node.status.serves, *node.status.embeds, *node.status.reranks)
    if model_states(node) or not models:
        return None
    shown = dict.fromkeys(models)
    first, others = list(shown)[:MAX_ROWS], list(shown)[MAX_ROWS:]
    tone = "good" if node.answers else "plain"
    more = None
    if others:
        summary = el("summary", f"{plural(len(others), 'more model')}")
        more = el("details", summary, el("div", *(chip(model, tone) for model in others), cls="chips"))
    return join([el("div", *(chip(model, tone) for model in first), cls="chips"), more])


def picker(node: NodeInfo, who: Principal) -> Markup:
    """Return the folded panel that loads any model: a field, and models to choose from, which are asked for later."""
    key, base = f"node-{slug(node.name)}", f"ui/nodes/{node.name}"
    field = el(
        "label",
        el("span", "Model", cls="label"),
        el("input", type="text", name="model", required="", maxlength="300", cls="input", autocomplete="off",
           id=f"{key}-any", placeholder="owner/name, /path/to/model or /path/model.gguf"),
        el("small", "Hub ID, or the path of a directory or a .gguf file on the machine of this node."),
        cls="field",
    )  # fmt: skip
    form = el(
        "form",
        field,
        button("Load model", kind="primary", submit=True, id=f"{key}-any-load"),
        cls="node-any",
        hx_post=f"{base}/load",
        hx_disabled_elt="find button",
        **patch(TARGET),
    )
    small = el(
        "div",
        el("p", "Loading…", cls="muted"),
        id=f"{key}-small",
        hx_get=f"{base}/small",
        hx_trigger="toggle from:closest details",
        hx_sync="this:replace",
    )
    inside = [form if MANAGE_NODES in who.rights else None, small]
    return el("details", el("summary", "Load another model", cls="btn"), el("div", *inside, cls="node-picker"))


def small_models(node: NodeInfo, models: Sequence[SmallModel]) -> Markup:
    """Return good models of the hub to choose from, with their sizes; those that do not fit are folded."""
    memory = node.status.memory
    fitting = [model for model in models if memory is None or model.memory <= memory.budget]
    larger = [model for model in models if model not in fitting]
    rows = el("ul", *(_small_row(node, model) for model in fitting), cls="small-models") if fitting else None
    more = None
    if larger and memory:
        verb = "does" if len(larger) == 1 else "do"
        text = f"{plural(len(larger), 'larger model')} {verb} not fit in {format_size(memory.budget)}"
        listed = el("ul", *(_small_row(node, model) for model in larger), cls="small-models")
        more = el("details", el("summary", text), listed, id=f"node-{slug(node.name)}-larger")
    return join([el("h3", "Small models of the hub"), rows, more])


def _small_row(node: NodeInfo, model: SmallModel) -> Markup:
    state = next((known.state for known in node.status.models if known.id == model.id), None)
    memory, base = node.status.memory, f"ui/nodes/{node.name}"
    fits = memory is None or model.memory <= memory.budget
    if state in ("loaded", "loading"):
        action: Markup = chip(*STATES[state])
    else:
        action = button(
            "Load",
            aria_label=f"Load {model.id}",
            disabled=None if fits else "",
            hx_post=f"{base}/load?{urlencode({'model': model.id})}",
            hx_disabled_elt="this",
            **patch(TARGET),
        )
    wants = None
    if memory and not fits:
        wants = chip(f"Does not fit in {format_size(memory.budget)}", "warn")
    elif memory and state is None and model.memory > memory.free:
        wants = chip("Unloads idle models", "calm", title=f"{format_size(memory.free)} are free")
    gated = chip("Needs HF_TOKEN", "calm", title="Accept its license at the hub first") if model.gated else None
    facts = f"{model.parameters} · download {format_size(model.download)} · {model.license}"
    return el(
        "li",
        el("div", el("b", model.id), el("div", model.note, cls="small"), el("div", facts, cls="muted small")),
        el("div", el("span", format_size(model.memory), cls="number"), wants, gated, cls="small-need"),
        el("div", action, cls="model-actions"),
        cls="small-model",
    )
