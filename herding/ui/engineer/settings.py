"""The forms of a prompt's parameters, checks and details."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.engineer.messages import error_slot
from herding.ui.engineer.setting_fields import CHECKS, COMMON_PARAMETERS, PARAMETERS, SettingField
from herding.ui.kit.fields import button, checkbox, hidden_field, select_field, text_field
from herding.ui.kit.format import chip, el, join, truncate

_LINES = {"lines": 2, "json": 3}


def parameters(given: Mapping[str, Any], *, can_edit_all: bool) -> Markup:
    """Return the parameters: the common ones, and folded the others. Roles that save nothing get the common ones."""
    first = [_field("param", PARAMETERS[name], given.get(name)) for name in COMMON_PARAMETERS]
    others = [name for name in PARAMETERS if name not in COMMON_PARAMETERS]
    used = [name for name in others if given.get(name) is not None]
    shown = [_field("param", PARAMETERS[name], given.get(name)) for name in (*used, *others) if can_edit_all]
    more = el(
        "details",
        el("summary", f"More parameters ({len(others)})"),
        el("div", *dict.fromkeys(shown), cls="engineer-settings"),
        open="" if used else None,
        cls="engineer-details",
    )
    return _section(
        "Parameters",
        "parameters",
        join([el("div", *first, cls="engineer-settings"), more if can_edit_all else None, error_slot("parameters")]),
        given,
    )


def checks(given: Mapping[str, Any]) -> Markup:
    """Return the checks of a prompt."""
    fields = el("div", *(_field("check", found, given.get(name)) for name, found in CHECKS.items()))
    return _section("Checks", "checks", el("div", fields, cls="engineer-settings-box"), given)


def details(data: Mapping[str, Any]) -> Markup:
    """Return the name, description, tags and target models."""
    name, tags = str(data.get("name") or ""), ", ".join(map(str, data.get("tags") or ()))
    targets = [target_chip(str(model)) for model in data.get("target_models") or ()]
    fields = el(
        "div",
        _with_error("about.name", text_field("Name", "about.name", name, id="about-name", maxlength="200")),
        _with_error("about.tags", text_field("Tags", "about.tags", tags, info="Comma-separated", id="about-tags")),
        _with_error(
            "about.description",
            text_field("Description", "about.description", str(data.get("description") or ""), id="about-description"),
        ),
        _with_error(
            "about.chat",
            checkbox("Chat", "about.chat", checked=bool(data.get("chat")), info="Keeps earlier turns", id="about-chat"),
        ),
        cls="engineer-settings",
    )
    models = el(
        "div",
        el("span", "Target models", cls="label"),
        el("ul", *targets, id="engineer-targets", cls="chips"),
        error_slot("target"),
        cls="field",
    )
    about = truncate(str(data.get("description") or ""), 60)
    return _section(
        "Details", "details", join([fields, models]), {"": about} if about else {}, part=("about", "targets")
    )


def target_chip(model: str) -> Markup:
    """Return a target model with the button that removes it."""
    return el(
        "li",
        hidden_field("target", model),
        chip(model),
        button("×", kind="quiet", data_remove_target="", aria_label=f"Remove {model}", title="Remove target model"),
        cls="engineer-target",
    )


def target_template() -> Markup:
    """Return the blank chip that the page copies for a new target model."""
    return el("template", target_chip("{model}"), id="engineer-target")


def _field(prefix: str, found: SettingField, value: Any) -> Markup:
    name, text = f"{prefix}.{found.name}", found.show(value)
    common: dict[str, Any] = {"info": found.info, "id": f"{prefix}-{found.name}"}
    if found.kind == "yes_no":
        options = [("Not set", ""), ("Yes", "true"), ("No", "false")]
        return _with_error(name, select_field(found.name, name, options, text, **common))
    lines = max(_LINES.get(found.kind, 1), min(text.count("\n") + 1, 12))
    numeric = "decimal" if found.kind in ("number", "integer") else None
    placeholder = "Model default" if prefix == "param" and found.kind in ("number", "integer") else None
    field = text_field(
        found.name,
        name,
        text,
        lines=lines,
        inputmode=numeric,
        placeholder=placeholder,
        spellcheck="false",
        **common,
    )
    return _with_error(name, field, wide=found.kind == "json")


def _with_error(name: str, field: Markup, *, wide: bool = False) -> Markup:
    return el("div", field, error_slot(name), cls="wide" if wide else "")


def _section(
    title: str, key: str, content: Markup, given: Mapping[str, Any], *, part: Iterable[str] | None = None
) -> Markup:
    """Return a folded section whose summary names the values."""
    parts = [hidden_field("part", name) for name in (part or (key,))]
    return el(
        "details",
        el("summary", el("h2", title), el("span", summary(given), cls="muted one-line")),
        *parts,
        content,
        id=f"{key}-section",
        cls="engineer-section",
    )


def summary(given: Mapping[str, Any]) -> str:
    """Return the values of a section in one line."""
    return " · ".join(truncate(f"{name} {_short(value)}".strip(), 40) for name, value in given.items())


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_short, value)) if all(isinstance(item, str | int | float) for item in value) else "…"
    return "…" if isinstance(value, Mapping) else str(value)
