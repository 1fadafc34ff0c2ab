"""The settings of a column: one line that unfolds into fields, and what differs from the replayed request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.compare.choices import Board, Pickers
from herding.ui.compare.columns import Column, list_parameters, parameter_text
from herding.ui.compare.inputs import FORM
from herding.ui.compare.replay import version_of
from herding.ui.engineer.models import ModelChoice, model_options
from herding.ui.engineer.setting_fields import COMMON_PARAMETERS, PARAMETERS, SettingField
from herding.ui.kit.fields import hidden_field, select_field, text_field
from herding.ui.kit.format import el, format_value, join
from herding.ui.kit.variables import given_values
from herding.ui.nodes.models import loading_text
from herding.values import EngineModel, Outcome, Parameters, PromptInfo

AUTO = "Auto"
MODEL_DEFAULT = "Model default"
_NUMERIC = ("number", "integer")


def settings_line(column: Column, board: Board) -> str:
    """Return what a column runs in one line, such as `v3 · Auto · temperature 0.2`."""
    config, info = column.config, column.info
    name = (info.name if info else config.prompt) if config.prompt != board.prompt.key else ""
    parts = [name, version_text(column), config.model or AUTO, list_parameters(config.parameters)]
    return " · ".join(part for part in parts if part)


def version_text(column: Column) -> str:
    """Return the version of a column, with the label that stands for it."""
    config, info = column.config, column.info
    if config.is_draft:
        return "My draft"
    number = f"v{info.version}" if info and info.version else ""
    if not config.version:
        return f"{number} live".strip()
    return number if config.version.isdigit() else f"{number} {config.version}".strip()


def settings_fields(column: Column, pickers: Pickers) -> Markup:
    """Return the fields of a column."""
    letter, config = column.letter, column.config
    shown = hidden_field(f"{letter}.prompt_shown", config.prompt, form=FORM)
    own = column.info.parameters if column.info else Parameters()
    return join(
        [
            shown,
            _select("Prompt", letter, "prompt", pickers.prompts, config.prompt),
            _select("Version", letter, "version", pickers.versions, config.version),
            _model(letter, config.model, pickers.models),
            el("div", *(_parameter(letter, PARAMETERS[name], config.parameters.get(name), own)
                        for name in COMMON_PARAMETERS), cls="compare-parameters"),
        ]
    )  # fmt: skip


def _select(label: str, letter: str, name: str, options: Any, value: str) -> Markup:
    return select_field(label, f"{letter}.{name}", options, value, id=f"compare-{letter}-{name}", form=FORM)


def _model(letter: str, chosen: str, choices: Any) -> Markup:
    options = model_options(choices, chosen)
    auto = el("option", AUTO, value="", selected=None if chosen else "")
    name = f"compare-{letter}-model"
    select = el("select", auto, *options, name=f"{letter}.model", id=name, cls="input", form=FORM)
    known = next((choice for choice in choices if choice.id == chosen), None)
    note = el("div", model_note(known) if chosen else None, id=f"{name}-note", cls="compare-model-note")
    return el("div", el("label", el("span", "Model", cls="label"), select, cls="field"), note)


def model_note(choice: ModelChoice | None) -> Markup | None:
    """Return why a selected model does not respond now, None if it does."""
    if choice is None or not (choice.nodes or choice.loads_on or choice.offered_by):
        return el("small", "No node serves this model now.", cls="wrong")
    if choice.nodes:
        return None
    held = choice.held or EngineModel(choice.id)
    if choice.loads_on:
        percent = None if held.progress is None else f"{held.progress:.2f}"
        bar = el("progress", value=percent, aria_label=f"Loading {choice.id}")
        return el("small", bar, f" {loading_text(held)}", role="status")
    return el("small", held.error or "This model is not loaded.", cls="wrong")


def _parameter(letter: str, found: SettingField, value: Any, own: Parameters) -> Markup:
    default = format_value(getattr(own, found.name)) or MODEL_DEFAULT
    return text_field(
        found.name,
        f"{letter}.param.{found.name}",
        found.show(list(value) if isinstance(value, tuple) else value),
        lines=2 if found.kind == "lines" else 1,
        placeholder=default,
        inputmode="decimal" if found.kind in _NUMERIC else None,
        id=f"compare-{letter}-{found.name.replace('_', '-')}",
        form=FORM,
        spellcheck="false",
    )


def differences(column: Column, board: Board) -> Markup:
    """Return how the settings of a column differ from those of the replayed request; empty without one."""
    if board.past is None or column.info is None:
        return Markup()
    changes = _changes(board.past.outcome, column, column.info)
    if not changes:
        return el("p", "Same settings as the past run", cls="compare-same muted")
    parts = (el("li", el("b", name), f" {before} → {after}") for name, before, after in changes)
    return el("ul", *parts, cls="compare-changes", aria_label="Differences from the past run")


def _changes(past: Outcome, column: Column, info: PromptInfo) -> list[tuple[str, str, str]]:
    """Return names with the values of the past request and of a column."""
    config = column.config
    found = []
    if config.prompt != past.prompt:
        found.append(("prompt", past.prompt, config.prompt))
    before, after = version_of(past) or "unsaved", "My draft" if config.is_draft else f"v{info.version}"
    if before != after:
        found.append(("version", before, after))
    if config.model != (past.model or ""):
        found.append(("model", past.model or "none", config.model or AUTO))
    old, new = past.parameters, config.overrides.over(info.parameters)
    for name in COMMON_PARAMETERS:
        ran, runs = getattr(old, name), getattr(new, name)
        if ran != runs:
            found.append((name, _shown(name, ran), _shown(name, runs)))
    return found


def _shown(name: str, value: Any) -> str:
    return "default" if value in (None, ()) else parameter_text(name, value)


def changed_inputs(board: Board) -> list[str]:
    """Return the variables whose values differ from those of the replayed request."""
    if board.past is None:
        return []
    before: Mapping[str, Any] = given_values(board.past.outcome, board.prompt)
    return [
        name
        for name, value in board.values.items()
        if name in before and _text(value) != _text(before[name])
    ]  # fmt: skip


def _text(value: Any) -> str:
    text = format_value(value) if not isinstance(value, str) else value
    return text.replace("\r\n", "\n").strip()
