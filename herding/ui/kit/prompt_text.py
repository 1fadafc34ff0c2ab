"""What the tabs say about prompts, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.errors import ConfigError, HerdingError
from herding.ui.kit.format import chip, el, empty_state, join, panel
from herding.values import PromptInfo

_TONES = {"prod": "good", "test": "busy", "dev": "calm"}


def picker_option(prompt: PromptInfo) -> str:
    """A prompt as the picker lists it."""
    return prompt.name if prompt.name == prompt.key else f"{prompt.name} · {prompt.key}"


def label_chip(prompt: PromptInfo) -> Markup:
    """The label of a prompt."""
    return chip(prompt.label, _TONES.get(prompt.label, "plain"), title="label")


def tag_chips(prompt: PromptInfo) -> Markup:
    """The tags of a prompt, and whether it is a chat."""
    marks = [chip("chat over several turns", "accent")] if prompt.chat else []
    return join([*marks, *(chip(tag) for tag in prompt.tags)])


def summary(info: PromptInfo | None, *, new: bool = False) -> Markup:
    """Description and tags, below the picker."""
    if info is None:
        return empty_state("No prompts yet", "Put a YAML file into the prompts directory, then open this page again.")
    words = el("p", info.description) if info.description else None
    mark = chip("not saved yet", "accent") if new else label_chip(info)
    return el("div", words, el("div", mark, _version(info), tag_chips(info), cls="chips"), cls="about")


def _version(info: PromptInfo) -> Markup | None:
    """The version that is shown, where a key alone means another one."""
    served = info.labels.get("prod", info.newest)
    if info.version in (0, served):
        return None
    return chip(f"version {info.version}, served is {served}", "busy", title="a key alone means the served version")


def not_opened(key: str, *, known: bool, running: bool) -> Markup:
    """Why another prompt is shown than the one that was asked for."""
    if known and running:
        return panel(
            "warn", "An answer still runs", el("p", "Wait for it, or stop it, before you choose another prompt.")
        )
    return panel("warn", f"There is no prompt '{key}'", el("p", "This is another one; choose from the list above."))


def load_errors(errors: Sequence[ConfigError]) -> Markup:
    """The prompt files that did not load; nothing if all did."""
    if not errors:
        return Markup()
    count = len(errors)
    title = "A prompt file did not load" if count == 1 else f"{count} prompt files did not load"
    return panel("warn", title, el("ul", *(el("li", _place(error), " ", error.reason) for error in errors)))


def _place(error: ConfigError) -> Markup:
    parts = [error.file or "", f"line {error.line}" if error.line else "", f"key {error.key}" if error.key else ""]
    return el("code", ", ".join(part for part in parts if part))


def no_model(info: PromptInfo) -> Markup:
    """None of the target models is up."""
    models = ", ".join(info.target_models)
    return panel(
        "warn",
        "No target model of this prompt is up",
        el("p", f"It asks for {models}. Switch a node to one of them in the Nodes tab, or wait if one is loading."),
    )


def edit_note(what: str, changed: bool, *, may_edit: bool = True) -> Markup:
    """The mark on a section whose content is not the prompt's own."""
    if changed:
        return el(
            "p",
            chip("edited, not saved", "accent"),
            f" The next run uses the {what} as shown here; the file stays as it is.",
        )
    return Markup() if may_edit else el("p", "Your role may read the template, not change it.", cls="muted")


def new_prompt_note() -> Markup:
    """The mark on a prompt that is not saved yet."""
    return el("p", chip("new", "accent"), " Try it as it stands; it is nobody else's before you save it.")


def variant_note(name: str | None) -> Markup:
    """The variant that the inputs pick."""
    return el("p", "These values pick the variant ", chip(name, "accent")) if name else Markup()


def error_note(error: HerdingError) -> Markup:
    """What stands in the way of a run."""
    return el("p", error.message, cls="wrong")
