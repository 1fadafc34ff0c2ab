"""All about one prompt, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from herding.ui.kit import prompt_text
from herding.ui.kit.format import Html, chip, el, facts, instant, join, mean, panel, plural, text, value
from herding.ui.kit.variable_form import hint
from herding.values import PromptInfo


def page(prompt: PromptInfo) -> Html:
    """Variables, template, parameters, checks, models and notes of a prompt."""
    head = el("div", el("h2", prompt.name), el("code", prompt.key), cls="page-head")
    stats = prompt.stats
    last = instant(stats.last_used_at) if stats.last_used_at is not None else None
    used = facts(
        [("Used", plural(stats.uses, "time")), ("Last used", last), ("Stars", mean(stats.mean_stars, stats.rated))]
    )
    notes = panel("calm", "Notes on the file", el("ul", *(el("li", note) for note in prompt.notes)))
    sections = [
        ("Target models", el("ul", *(_model(m, prompt.served.get(m, ())) for m in prompt.target_models), cls="plain")),
        ("Variables", _variables(prompt.variables)),
        ("Template", el("pre", prompt.body, cls="code", tabindex="0")),
        ("Parameters", _pairs(prompt.parameters.given())),
        ("Checks", _pairs(prompt.checks)),
    ]
    written = [el("section", el("h3", title), body) for title, body in sections if body]
    words = el("p", prompt.description) if prompt.description else None
    return join(
        [
            head,
            words,
            el("div", prompt_text.label(prompt), prompt_text.tags(prompt), cls="chips"),
            used,
            notes if prompt.notes else None,
            *written,
        ]
    )


def _model(model: str, nodes: tuple[str, ...]) -> Html:
    return el("li", el("code", model), " ", chip(", ".join(nodes), "good") if nodes else chip("not up"))


def _variables(variables: Mapping[str, Mapping[str, Any]]) -> Html:
    if not variables:
        return el("p", "None.", cls="muted")
    return el("ul", *(_variable(name, variable) for name, variable in variables.items()), cls="plain variables")


def _variable(name: str, variable: Mapping[str, Any]) -> Html:
    default, choices = variable.get("default"), variable.get("choices") or ()
    first = el("div", el("code", name), " ", chip(str(variable["type"]).replace("_", " ")))
    parts = [
        el("p", hint(variable), cls="muted") if hint(variable) else None,
        el("p", "one of: ", ", ".join(choices)) if choices else None,
        el("p", "default: ", el("q", value(default))) if default is not None else None,
    ]
    return el("li", first, *parts)


def _pairs(values: Mapping[str, Any]) -> Html:
    """Settings as names and values; the nested ones as YAML."""
    shown = []
    for name, given in values.items():
        nested = isinstance(given, dict)
        written = yaml.safe_dump(given, allow_unicode=True, sort_keys=False) if nested else None
        told = ", ".join(repr(part) for part in given) if isinstance(given, list | tuple) else value(given)
        shown.append((name, el("pre", written, cls="code") if written else el("code", text(told))))
    return facts(shown) if shown else Html()
