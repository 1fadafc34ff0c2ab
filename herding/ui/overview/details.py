"""The details of one prompt, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from markupsafe import Markup

from herding.ui.kit import prompt_text
from herding.ui.kit.format import (
    chip,
    datetime_tag,
    el,
    format_value,
    join,
    key_values,
    mean_rating,
)
from herding.ui.kit.variables import help_text
from herding.values import PromptInfo


def prompt_details(prompt: PromptInfo) -> Markup:
    """Return the variables, template, parameters, checks, models and notes of a prompt."""
    head = el("div", el("h2", prompt.name), el("code", prompt.key), cls="page-head")
    stats = prompt.stats
    last = datetime_tag(stats.last_used_at) if stats.last_used_at is not None else None
    used = key_values(
        [
            ("Runs", f"{stats.uses:,}"),
            ("Last used", last),
            ("Rating", mean_rating(stats.mean_stars, stats.rated)),
        ]
    )
    sections = [
        ("Target models", el("ul", *(_model(m, prompt.served.get(m, ())) for m in prompt.target_models), cls="plain")),
        ("Variables", _variables(prompt.variables)),
        ("Template", el("pre", prompt.body, cls="code", tabindex="0")),
        ("Parameters", _pairs(prompt.parameters.given())),
        ("Checks", _pairs(prompt.checks)),
    ]
    written = [el("section", el("h3", title), body) for title, body in sections if body]
    description = el("p", prompt.description) if prompt.description else None
    return join(
        [
            head,
            description,
            el("div", prompt_text.label_chip(prompt), prompt_text.tag_chips(prompt), cls="chips"),
            used,
            prompt_text.notes_panel(prompt.notes),
            *written,
        ]
    )


def _model(model: str, nodes: tuple[str, ...]) -> Markup:
    return el("li", el("code", model), " ", chip(", ".join(nodes), "good") if nodes else chip("Not available"))


def _variables(variables: Mapping[str, Mapping[str, Any]]) -> Markup:
    if not variables:
        return el("p", "No variables", cls="muted")
    return el("ul", *(_variable(name, variable) for name, variable in variables.items()), cls="plain variables")


def _variable(name: str, variable: Mapping[str, Any]) -> Markup:
    default, choices = variable.get("default"), variable.get("choices") or ()
    first = el("div", el("code", name), " ", chip(str(variable["type"]).replace("_", " ")))
    parts = [
        el("p", help_text(variable), cls="muted") if help_text(variable) else None,
        el("p", "One of: ", ", ".join(choices)) if choices else None,
        el("p", "Default: ", el("q", format_value(default))) if default is not None else None,
    ]
    return el("li", first, *parts)


def _pairs(values: Mapping[str, Any]) -> Markup:
    """Return settings with their values; nested ones as YAML."""
    shown = []
    for name, given in values.items():
        if isinstance(given, dict):
            shown.append((name, el("pre", yaml.safe_dump(given, allow_unicode=True, sort_keys=False), cls="code")))
        else:
            text = ", ".join(map(repr, given)) if isinstance(given, list | tuple) else format_value(given)
            shown.append((name, el("code", text)))
    return key_values(shown) if shown else Markup()
