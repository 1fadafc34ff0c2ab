"""The drawer with the details of one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from markupsafe import Markup

from herding.ui.kit import prompt_text
from herding.ui.kit.fields import close_button, copy_button
from herding.ui.kit.format import (
    chip,
    date_tag,
    datetime_tag,
    el,
    format_value,
    join,
    key_values,
    mean_rating,
)
from herding.ui.kit.links import tab_address
from herding.ui.kit.variables import help_text
from herding.ui.kit.views import Call
from herding.ui.overview.calls import calls
from herding.values import Principal, PromptInfo, PromptVersion

VERSIONS = 3
"""Versions that the drawer lists."""

LINKS = {
    "compare": "Compare",
    "history": "History",
    "versions": "Versions",
    "insights": "Insights",
}
"""Tabs that a prompt can be opened in, beside the editor."""


def drawer(prompt: PromptInfo, versions: Sequence[PromptVersion], call: Call) -> Markup:
    """Return the details of a prompt, with the links that lead on."""
    head = el("div", el("h2", prompt.name), close_button("Close details"), cls="drawer-head")
    key = el("p", el("code", prompt.key), " ", copy_button("Copy prompt ID"), cls="drawer-id")
    description = el("p", prompt.description) if prompt.description else None
    models = [_model(m, prompt.served.get(m, ())) for m in prompt.target_models]
    steps = [el("li", el("code", step["prompt"])) for step in prompt.content.get("steps") or ()]
    sections = [
        ("Models", el("ul", *models, cls="plain") if models else None),
        ("Steps", el("ol", *steps, cls="plain") if steps else None),
        ("Variables", _variables(prompt.variables)),
        ("Versions", _versions(prompt, versions, call.principal)),
        ("Template", el("pre", prompt.body, cls="code", tabindex="0") if prompt.body else None),
        ("Parameters", _pairs(prompt.parameters.given())),
        ("Checks", _pairs(prompt.checks)),
        ("API", calls(prompt, call)),
    ]
    written = [el("section", el("h3", title), body) for title, body in sections if body]
    chips = el("div", prompt_text.label_chip(prompt), prompt_text.tag_chips(prompt), cls="chips")
    return join(
        [head, key, description, chips, links(prompt, call.principal), _numbers(prompt),
         prompt_text.notes_panel(prompt.notes), *written]
    )  # fmt: skip


def links(prompt: PromptInfo, who: Principal) -> Markup:
    """Return the links to the tabs that the role sees."""
    opens = el("a", "Open in engineer", href=tab_address("engineer", prompt=prompt.key), cls="btn primary",
               id="overview-open")  # fmt: skip
    others = [
        el("a", label, href=tab_address(tab, prompt=prompt.key), cls="btn")
        for tab, label in LINKS.items()
        if tab in who.tabs
    ]
    return el("div", opens if "engineer" in who.tabs else None, *others, cls="answers drawer-links")


def _numbers(prompt: PromptInfo) -> Markup:
    stats = prompt.stats
    last = datetime_tag(stats.last_used_at) if stats.last_used_at is not None else "never"
    rated = mean_rating(stats.mean_stars, stats.rated)
    return key_values([("Runs", f"{stats.uses:,}"), ("Rating", rated), ("Last run", last)], cls="facts")


def _versions(prompt: PromptInfo, versions: Sequence[PromptVersion], who: Principal) -> Markup | None:
    """Return the labels, and the latest versions with their notes."""
    if not versions and not prompt.labels:
        return None
    named: dict[int, list[str]] = {}
    for label, number in prompt.labels.items():
        named.setdefault(number, []).append(label)
    numbers = {version.number for version in versions}
    rows = [_version(version.number, named, version) for version in versions]
    older = [_version(number, named) for number in sorted(named, reverse=True) if number not in numbers]
    more = el("a", f"All versions ({prompt.newest:,})", href=tab_address("versions", prompt=prompt.key))
    return join([el("ul", *rows, *older, cls="plain drawer-versions"), more if "versions" in who.tabs else None])


def _version(number: int, named: Mapping[int, Sequence[str]], version: PromptVersion | None = None) -> Markup:
    """Return a version with its labels, its note and its date."""
    labels = map(prompt_text.label_name, named.get(number, ()))
    note = el("span", version.message, cls="version-note") if version and version.message else None
    date = el("span", date_tag(version.created_at), cls="muted") if version else None
    return el("li", el("b", f"v{number}"), *labels, note, date)


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
