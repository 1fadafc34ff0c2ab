"""What the tabs say about prompts, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from herding.errors import ConfigError, HerdingError
from herding.ui.kit.format import Html, chip, el, empty, join, panel
from herding.values import PromptInfo

_TONES = {"prod": "good", "test": "busy", "dev": "calm"}


def choice(prompt: PromptInfo) -> str:
    """A prompt as the picker lists it."""
    return prompt.name if prompt.name == prompt.key else f"{prompt.name} · {prompt.key}"


def label(prompt: PromptInfo) -> Html:
    """The label of a prompt."""
    return chip(prompt.label, _TONES.get(prompt.label, "plain"), title="label")


def tags(prompt: PromptInfo) -> Html:
    """The tags of a prompt, and whether it is a chat."""
    marks = [chip("chat over several turns", "accent")] if prompt.chat else []
    return join([*marks, *(chip(tag) for tag in prompt.tags)])


def prompt(info: PromptInfo | None, *, new: bool = False) -> Html:
    """Description and tags, below the picker."""
    if info is None:
        return empty("No prompts yet", "Put a YAML file into the prompts directory, then open this page again.")
    words = el("p", info.description) if info.description else None
    mark = chip("not saved yet", "accent") if new else label(info)
    return el("div", words, el("div", mark, _version(info), tags(info), cls="chips"), cls="about")


def _version(info: PromptInfo) -> Html | None:
    """The version that is shown, where a key alone means another one."""
    served = info.labels.get("prod", info.newest)
    if info.version in (0, served):
        return None
    return chip(f"version {info.version}, served is {served}", "busy", title="a key alone means the served version")


def instead(key: str, *, known: bool, running: bool) -> Html:
    """Why another prompt is shown than the one that was asked for."""
    if known and running:
        return panel(
            "warn", "An answer still runs", el("p", "Wait for it, or stop it, before you choose another prompt.")
        )
    return panel("warn", f"There is no prompt '{key}'", el("p", "This is another one; choose from the list above."))


def broken(errors: Sequence[ConfigError]) -> Html:
    """The prompt files that did not load; nothing if all did."""
    if not errors:
        return Html()
    count = len(errors)
    title = "A prompt file did not load" if count == 1 else f"{count} prompt files did not load"
    return panel("warn", title, el("ul", *(el("li", _place(error), " ", error.reason) for error in errors)))


def _place(error: ConfigError) -> Html:
    parts = [error.file or "", f"line {error.line}" if error.line else "", f"key {error.key}" if error.key else ""]
    return el("code", ", ".join(part for part in parts if part))


def nobody(info: PromptInfo) -> Html:
    """None of the target models is up."""
    models = ", ".join(info.target_models)
    return panel(
        "warn",
        "No target model of this prompt is up",
        el("p", f"It asks for {models}. Switch a node to one of them in the Nodes tab, or wait if one is loading."),
    )


def edited(what: str, changed: bool, *, may_edit: bool = True) -> Html:
    """The mark on a section whose content is not the prompt's own."""
    if changed:
        return el(
            "p",
            chip("edited, not saved", "accent"),
            f" The next run uses the {what} as shown here; the file stays as it is.",
        )
    return Html() if may_edit else el("p", "Your role may read the template, not change it.", cls="muted")


def begun() -> Html:
    """The mark on a prompt that is not saved yet."""
    return el("p", chip("new", "accent"), " Try it as it stands; it is nobody else's before you save it.")


def variant(name: str | None) -> Html:
    """The variant that the inputs pick."""
    return el("p", "These values pick the variant ", chip(name, "accent")) if name else Html()


def wrong(error: HerdingError) -> Html:
    """What stands in the way of a run."""
    return el("p", error.message, cls="wrong")
