"""The model picker: the prompt's target models, then all others that nodes serve or can load."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup

from herding.access.operations import MODELS, NODES, SAVE, SWITCH_MODEL
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import button, hidden_field
from herding.ui.kit.format import el, join
from herding.ui.kit.live import every
from herding.ui.nodes.models import download_text, loading_text
from herding.values import EngineModel, NodeInfo, Principal, PromptInfo
from herding.values.sizes import format_size

URL = "ui/engineer/model"
SHORT = "#engineer-form [name=key], #engineer-form [name=target], #model-picker"
"""The fields that the picker needs; not all of the form, since they go into an address."""

FIRST_STEP_S = 2.0
"""Seconds to wait for the first step of a load, which may fail at once."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model of the picker.

    nodes: those that serve it now; offered_by: those that can load it. `held` is its state on an engine, and `loads_on`
    the node that loads it at this moment. `soon` is true if it is loaded without being asked for: a node that offers it
    starts.
    """

    id: str
    target: bool
    nodes: tuple[str, ...] = ()
    offered_by: tuple[str, ...] = ()
    held: EngineModel | None = None
    loads_on: str = ""
    soon: bool = False

    @property
    def label(self) -> str:
        """The model with its nodes, or why it does not respond now."""
        if self.nodes:
            return f"{self.id} · {', '.join(self.nodes)}"
        if self.loads_on:
            return f"{self.id} · loading"
        return f"{self.id} · {'not loaded' if self.offered_by else 'not available'}"


async def model_choices(prompt: PromptInfo, who: Principal, orchestrator: Orchestrator) -> list[ModelChoice]:
    """Return the models to pick from: the target models first, then all others that the role may use."""
    known = {info.id: info for info in await orchestrator.nodes.models(who)} if MODELS in who.rights else {}
    nodes = await orchestrator.nodes.list_all(who) if NODES in who.rights else []
    loading = [node for node in nodes if node.status.models or node.status.loading or node.status.state != "ready"]
    usable = (model for model, info in known.items() if info.nodes or info.offered_by)
    others = [model for model in usable if model not in prompt.target_models]
    found = []
    for model in (*prompt.target_models, *others):
        info = known.get(model)
        held, loads_on = _load_state(model, loading)
        found.append(
            ModelChoice(
                id=model,
                target=model in prompt.target_models,
                nodes=prompt.served.get(model) or (info.nodes if info else ()),
                offered_by=info.offered_by if info else (),
                held=held,
                loads_on=loads_on,
                soon=_comes_soon(model, loading),
            )
        )
    return found


def _load_state(model: str, nodes: Sequence[NodeInfo]) -> tuple[EngineModel | None, str]:
    """Return the state of a model on an engine, and the node that loads it now, empty without one."""
    found: EngineModel | None = None
    for node in nodes:
        status = node.status
        for held in status.models:
            if held.id == model:
                if held.state == "loading":
                    return held, node.name
                found = held if found is None or (held.error and not found.error) else found
        if status.loading == model:
            return EngineModel(model, "loading", progress=status.progress, stage=status.detail), node.name
    return found, ""


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
    waits = (selected is not None and selected.loads_on) or (not chosen and not any(choice.nodes for choice in targets))
    polling = "shown from:closest .view" + (f", {every(1.5)}" if waits else "")
    shown = hidden_field("targets_shown", targets_key(prompt))
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
        if loading := next((choice for choice in targets if choice.loads_on), None):
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
    held = selected.held or EngineModel(selected.id)
    if selected.loads_on:
        percent = None if held.progress is None else f"{held.progress:.2f}"
        bar = el("progress", value=percent, aria_label=f"Loading {selected.id}")
        shown = f" {held.progress:.0%}" if held.progress is not None else ""
        cancel = _action("Cancel", "cancel", selected.id, name=f"Cancel loading {selected.id}")
        may_cancel = SWITCH_MODEL in who.rights
        return el("p", bar, f" {loading_text(held)}{shown} ", cancel if may_cancel else None)
    if not selected.offered_by:
        return el("p", "No node serves this model now.", cls="wrong")
    error = el("p", f"Not loaded: {held.error}", cls="wrong") if held.error else None
    if SWITCH_MODEL not in who.rights:
        return join([error, el("p", f"{_missing(held)} Your role can't load models.")])
    label = "Load model" if held.downloaded is None else "Resume download"
    return join([error, el("p", f"{_missing(held)} ", _action(label, "load", selected.id))])


def _missing(held: EngineModel) -> str:
    if held.downloaded is not None:
        return f"This model is partly downloaded ({download_text(held)})."
    if not held.on_disk:
        return "This model is not downloaded."
    size = f" ({format_size(held.size)})" if held.size else ""
    return f"This model is not loaded{size}."


def _action(label: str, verb: str, model: str, *, name: str | None = None) -> Markup:
    """Return a button for a model, which may also be one that Auto waits for; it returns the picker as of then."""
    return button(
        label,
        kind="quiet",
        id=f"model-{verb}",
        hx_post=f"{URL}/{verb}?{urlencode({'of': model})}",
        hx_include="#engineer-form",
        hx_target="#engineer-model",
        hx_swap="outerHTML",
        hx_disabled_elt="this",
        aria_label=name,
    )


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


async def cancel(model: str, who: Principal, orchestrator: Orchestrator) -> bool:
    """Cancel the loading of a model; return False if it does not load any more."""
    nodes = await orchestrator.nodes.list_all(who) if NODES in who.rights else []
    _, node = _load_state(model, nodes)
    if not node:
        return False
    await orchestrator.nodes.unload_model(node, model, who)
    return True


async def try_load(model: str, who: Principal, orchestrator: Orchestrator) -> str:
    """Begin to load a picked model where the role may; return why it failed, empty if it did not."""
    if not model or SWITCH_MODEL not in who.rights:
        return ""
    try:
        await load(model, who, orchestrator)
    except HerdingError as error:
        return error.message
    return ""
