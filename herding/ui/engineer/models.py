"""The model picker: the prompt's target models, then all others that nodes serve or can load."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from markupsafe import Markup

from herding.access.operations import MODELS, NODES, SAVE, SWITCH_MODEL
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import button
from herding.ui.kit.format import byte_size, el, join
from herding.ui.kit.live import every
from herding.values import NodeInfo, Principal, PromptInfo

URL = "ui/engineer/model"
SHORT = "#engineer-form [name=key], #engineer-form [name=target], #model-picker"
"""The fields that the picker needs; not all of the form, since they go into an address."""

FIRST_STEP_S = 2.0
"""Seconds to wait for the first step of a load, which may fail at once."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model of the picker.

    nodes: those that serve it now; offered_by: those that can load it. While it loads, `stage` and `progress` (0-1,
    None if unknown) tell how far it is; `error` says why the last load failed. `size` is in bytes. `soon` is true if it
    is loaded without being asked for: a node that offers it starts.
    """

    id: str
    target: bool
    nodes: tuple[str, ...] = ()
    offered_by: tuple[str, ...] = ()
    loading: bool = False
    stage: str = ""
    progress: float | None = None
    error: str = ""
    size: int | None = None
    soon: bool = False

    @property
    def label(self) -> str:
        """The model with its nodes, or why it does not respond now."""
        if self.nodes:
            return f"{self.id} · {', '.join(self.nodes)}"
        if self.loading:
            return f"{self.id} · loading"
        return f"{self.id} · {'not loaded' if self.offered_by else 'not available'}"


async def model_choices(prompt: PromptInfo, who: Principal, orchestrator: Orchestrator) -> list[ModelChoice]:
    """Return the models to pick from: the target models first, then all others that the role may use."""
    known = {info.id: info for info in await orchestrator.nodes.models(who)} if MODELS in who.rights else {}
    nodes = await orchestrator.nodes.list_all(who) if NODES in who.rights else []
    usable = (model for model, info in known.items() if info.nodes or info.offered_by)
    others = [model for model in usable if model not in prompt.target_models]
    found = []
    for model in (*prompt.target_models, *others):
        info = known.get(model)
        loading, stage, progress, error, size = _load_state(model, nodes)
        found.append(
            ModelChoice(
                id=model,
                target=model in prompt.target_models,
                nodes=prompt.served.get(model) or (info.nodes if info else ()),
                offered_by=info.offered_by if info else (),
                loading=loading,
                stage=stage,
                progress=progress,
                error=error,
                size=size,
                soon=_comes_soon(model, nodes),
            )
        )
    return found


def _load_state(model: str, nodes: Sequence[NodeInfo]) -> tuple[bool, str, float | None, str, int | None]:
    """Return whether a model loads, with stage and progress, the error of the last load, and its size."""
    error, size = "", None
    for node in nodes:
        status = node.status
        for held in status.models:
            if held.id == model:
                if held.state == "loading":
                    return True, held.stage, held.progress, "", held.size
                error, size = error or held.error, size or held.size
        if status.loading == model:
            return True, status.detail, status.progress, "", size
    return False, "", None, error, size


def _comes_soon(model: str, nodes: Sequence[NodeInfo]) -> bool:
    """Return True if a node starts that will load a model by itself, or that has not said yet whether it will."""
    for status in (node.status for node in nodes):
        if status.state not in ("starting", "loading"):
            continue
        residents = (held.id for held in status.models if held.resident and held.state == "available")
        if model in (residents if status.models else status.offers):
            return True
    return False


def model_picker(prompt: PromptInfo, chosen: str, choices: Sequence[ModelChoice], who: Principal) -> Markup:
    """Return the picker with a note on the selected model."""
    by_id = {choice.id: choice for choice in choices}
    if chosen and chosen not in by_id:
        by_id[chosen] = ModelChoice(chosen, target=False)
    targets = [choice for choice in by_id.values() if choice.target]
    auto = el("option", "Auto", value="", selected=None if chosen else "")
    select = el(
        "select",
        auto,
        *model_options(choices, chosen),
        name="model",
        id="model-picker",
        cls="input",
        aria_label="Model",
        hx_post=URL,
        hx_include="#engineer-form",
        hx_target="#engineer-model",
        hx_swap="outerHTML",
        hx_sync="this:replace",
    )
    selected = by_id.get(chosen)
    waits = (selected is not None and selected.loading) or (not chosen and not any(choice.nodes for choice in targets))
    polling = "shown from:closest .view" + (f", {every(1.5)}" if waits else "")
    shown = el("input", type="hidden", name="targets_shown", value=targets_key(prompt))
    return el(
        "div",
        select,
        shown,
        model_note(prompt, selected, targets, who),
        id="engineer-model",
        hx_get=URL,
        hx_include=SHORT,
        hx_trigger=polling,
        hx_swap="outerHTML",
        hx_sync="#model-picker:drop",
    )


def targets_key(prompt: PromptInfo) -> str:
    """Return the target models as one text."""
    return " ".join(prompt.target_models)


def model_options(choices: Sequence[ModelChoice], chosen: str) -> list[Markup | None]:
    """Return the options of a picker in two groups, with the selected model even if no node offers it."""
    if chosen and all(choice.id != chosen for choice in choices):
        choices = [*choices, ModelChoice(chosen, target=False)]
    targets = [choice for choice in choices if choice.target]
    others = [choice for choice in choices if not choice.target]
    return [_group("Target models", targets, chosen), _group("Other models", others, chosen)]


def _group(label: str, choices: Sequence[ModelChoice], chosen: str) -> Markup | None:
    options = [
        el("option", choice.label, value=choice.id, selected="" if choice.id == chosen else None) for choice in choices
    ]
    return el("optgroup", *options, label=label) if options else None


def model_note(
    prompt: PromptInfo, selected: ModelChoice | None, targets: Sequence[ModelChoice], who: Principal
) -> Markup | None:
    """Return what there is to say of the selected model, None if it is a target and responds."""
    if selected is None:
        if not prompt.target_models or any(choice.nodes for choice in targets):
            return None
        if loading := next((choice for choice in targets if choice.loading), None):
            waits = el("p", "Requests wait for it.", cls="muted")
            return el("div", _state(loading, who), waits, id="model-note", cls="engineer-model-note", role="status")
        if any(choice.soon for choice in targets):
            text = el("p", "The models of this prompt are loaded next. Requests wait for them.", cls="muted")
            return el("div", text, id="model-note", cls="engineer-model-note", role="status")
        return el("div", prompt_text.no_model(prompt), id="model-note")
    parts = [_state(selected, who), None if selected.target else _not_a_target(selected, who)]
    shown = [part for part in parts if part]
    return el("div", *shown, id="model-note", cls="engineer-model-note", role="status") if shown else None


def _state(selected: ModelChoice, who: Principal) -> Markup | None:
    """Return how far the model is loaded; None if it responds."""
    if selected.nodes:
        return None
    if selected.loading:
        percent = None if selected.progress is None else f"{selected.progress:.2f}"
        bar = el("progress", value=percent, aria_label=f"Loading {selected.id}")
        return el("p", bar, f" Loading {selected.id} · {selected.stage or 'starting'}")
    if not selected.offered_by:
        return el("p", "No node serves this model now.", cls="wrong")
    size = f" ({byte_size(selected.size)})" if selected.size else ""
    error = el("p", f"Not loaded: {selected.error}", cls="wrong") if selected.error else None
    if SWITCH_MODEL not in who.rights:
        return join([error, el("p", "This model is not loaded. Your role can't load models.")])
    load = button("Load model", hx_post=f"{URL}/load", hx_include="#engineer-form", hx_target="#engineer-model",
                  hx_swap="outerHTML", kind="quiet", id="model-load")  # fmt: skip
    return join([error, el("p", f"This model is not loaded{size}. ", load)])


def _not_a_target(selected: ModelChoice, who: Principal) -> Markup:
    text = "Not a target model of this prompt. "
    if SAVE not in who.rights:
        return el("p", text, cls="muted")
    add = button("Add to this prompt", data_add_target=selected.id, kind="quiet", id="model-add")
    return el("p", text, add, cls="muted")


async def load(model: str, who: Principal, orchestrator: Orchestrator) -> None:
    """Begin to load a model on a node that offers it, unless one serves or loads it already.

    Raises HerdingError if that fails at once; loading goes on afterwards.
    """
    infos = await orchestrator.nodes.models(who) if MODELS in who.rights else []
    info = next((info for info in infos if info.id == model), None)
    if info is None or info.nodes or not info.offered_by:
        return
    steps = orchestrator.nodes.load_model(info.offered_by[0], model, who)
    with suppress(TimeoutError, StopAsyncIteration):
        async with aclosing(steps), asyncio.timeout(FIRST_STEP_S):
            await anext(steps)


async def try_load(model: str, who: Principal, orchestrator: Orchestrator) -> str:
    """Begin to load a picked model where the role may; return why it failed, empty if it did not."""
    if not model or SWITCH_MODEL not in who.rights:
        return ""
    try:
        await load(model, who, orchestrator)
    except HerdingError as error:
        return error.message
    return ""
