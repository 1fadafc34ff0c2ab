"""Texts about a prompt that several tabs show, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.errors import ConfigError
from herding.ui.kit.format import chip, el, join, panel
from herding.values import PromptInfo

_TONES = {"prod": "good", "test": "busy", "dev": "calm"}


def picker_option(prompt: PromptInfo) -> str:
    """Return the label of a prompt in a picker."""
    return prompt.name if prompt.name == prompt.key else f"{prompt.name} · {prompt.key}"


def label_chip(prompt: PromptInfo) -> Markup:
    """Return the label of a prompt as a badge."""
    return label_name(prompt.label)


def label_name(label: str) -> Markup:
    """Return a label as a badge."""
    return chip(label, _TONES.get(label, "plain"), title="Label")


def tag_chips(prompt: PromptInfo) -> Markup:
    """Return the tags of a prompt as badges, and one for a chat."""
    chat = [chip("Chat", "accent")] if prompt.chat else []
    tags = (tag for tag in prompt.tags if not (prompt.chat and tag.lower() == "chat"))
    return join([*chat, *(chip(tag) for tag in tags)])


def summary(prompt: PromptInfo, *, new: bool = False) -> Markup:
    """Return the description, label and tags of the selected prompt."""
    description = el("p", prompt.description) if prompt.description else None
    label = chip("Not saved", "accent") if new else label_chip(prompt)
    chips = el("div", label, _version(prompt), tag_chips(prompt), cls="chips")
    return el("div", description, chips, notes_panel(prompt.notes), cls="about")


def notes_panel(notes: Sequence[str]) -> Markup | None:
    """Return the notes about a prompt, None without any."""
    return panel("warn", "Notes", el("ul", *(el("li", note) for note in notes))) if notes else None


def _version(prompt: PromptInfo) -> Markup | None:
    """Return the version if it is not the live one."""
    live = prompt.labels.get("prod", prompt.newest)
    if prompt.version in (0, live):
        return None
    title = f"Requests without a version run v{live}"
    return chip(f"Editing v{prompt.version} · v{live} is live", "busy", title=title)


def not_opened(key: str) -> Markup:
    """Return the reason why another prompt than `key` is shown."""
    return panel("warn", f"Prompt '{key}' not found", el("p", "Another prompt is shown. Select one from the list."))


def load_errors(errors: Sequence[ConfigError]) -> Markup:
    """Return the prompt files that failed to load; empty if there are none."""
    if not errors:
        return Markup()
    count = len(errors)
    title = "1 prompt file failed to load" if count == 1 else f"{count} prompt files failed to load"
    return panel("warn", title, el("ul", *(el("li", _place(error), " ", error.reason) for error in errors)))


def _place(error: ConfigError) -> Markup:
    parts = [error.file or "", f"line {error.line}" if error.line else "", f"key {error.key}" if error.key else ""]
    return el("code", ", ".join(part for part in parts if part))


def no_model(prompt: PromptInfo) -> Markup:
    """Return a warning that no target model is available."""
    models = ", ".join(prompt.target_models)
    body = f"Target models: {models}. Load one of them in the Nodes tab, or wait if one is loading."
    return panel("warn", "No target model is available", el("p", body))
