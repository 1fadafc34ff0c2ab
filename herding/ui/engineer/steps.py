"""The steps of a chain in the form: what each runs, and what it fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.prompts.steps import as_text
from herding.ui.engineer.messages import error_slot
from herding.ui.engineer.step_data import TEXTS, has_text, steps_of
from herding.ui.kit.fields import hidden_field, text_field
from herding.ui.kit.format import chip, el, plural
from herding.ui.kit.links import tab_address


def steps_section(data: Mapping[str, Any], *, can_define: bool) -> Markup | None:
    """Return the steps of a chain; None for other prompts."""
    steps = steps_of(data)
    if not steps:
        return None
    shown = [_step(step, number, can_define=can_define) for number, step in enumerate(steps)]
    response = "Their outputs fill the messages below." if has_text(data) else "The last step gives the response."
    about = el(
        "p", f"{plural(len(steps), 'step')}, in this order. {response} Add or remove steps in the YAML.", cls="muted"
    )
    part = hidden_field("part", "steps") if can_define else None
    return el(
        "section",
        el("h2", "Steps"),
        part,
        about,
        el("ol", *shown, cls="plain engineer-steps"),
        error_slot("steps"),
        id="steps",
        cls="engineer-section",
    )


def _step(step: Mapping[str, Any], number: int, *, can_define: bool) -> Markup:
    prefix, readonly = f"steps.{number}.", None if can_define else ""
    prompt = str(step.get("prompt") or "")
    name = str(step.get("name") or step.get("into") or prompt)
    marks = [chip(text, "calm") for text in _marks(step)]
    link = el("a", "Open prompt", href=tab_address("engineer", prompt=prompt.partition("@")[0]))
    fields = [
        text_field(label, prefix + key, str(step.get(key) or ""), id=prefix + key, info=info, readonly=readonly)
        for key, (label, info) in TEXTS.items()
    ]
    given = step.get("variables")
    values = [
        text_field(f"Value of {variable}", f"{prefix}variables.{variable}", as_text(value),
                   id=f"{prefix}variables.{variable}", readonly=readonly)
        for variable, value in (given.items() if isinstance(given, Mapping) else ())
    ]  # fmt: skip
    return el(
        "li",
        el(
            "details",
            el("summary", el("b", f"{number + 1}. {name}"), " ", el("span", prompt, cls="muted"), " ", *marks),
            el("div", *fields, *values, cls="engineer-settings"),
            link,
        ),
        *(error_slot(prefix + key) for key in TEXTS),
        cls="engineer-step",
    )


def _marks(step: Mapping[str, Any]) -> list[str]:
    """Return what is special about a step, in a few words each."""
    found = [f"if {step['when']}"] if step.get("when") else []
    found += [f"for each of {step['each']}"] if step.get("each") else []
    return found + ([f"side by side: {step['group']}"] if step.get("group") else [])
