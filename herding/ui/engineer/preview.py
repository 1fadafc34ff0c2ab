"""The rendered input as a model gets it, with its tokens."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from herding.errors import HerdingError, VariableError
from herding.orchestrator import Orchestrator
from herding.prompts.compose import RenderedPrompt
from herding.ui.engineer.form import EditedPrompt, run_request
from herding.ui.kit import prompt_text
from herding.ui.kit.format import chip, el, join, plural
from herding.values import InputSize, Principal

_LAST = "This prompt has no text of its own: its last step gives the response."
MAX_SHOWN = 20_000
"""Characters of a message in the preview."""


async def preview(edited: EditedPrompt, who: Principal, orchestrator: Orchestrator) -> tuple[Markup, Markup, str]:
    """Return the summary and the content of the preview, and the variant of the values."""
    if edited.error is not None:
        return el("span", "The prompt has an error", cls="muted"), Markup(), ""
    try:
        request, content = replace(run_request(edited), turns=()), edited.prompt.content
        rendered, size = await orchestrator.pipeline.sized(request, who)
        if content.get("steps") or not content.get("retrieval"):
            rendered = await orchestrator.pipeline.preview(request, who)
    except VariableError as error:
        return el("span", error.message, cls="muted"), Markup(), ""
    except HerdingError as error:
        return el("span", "No preview", cls="muted"), el("p", error.message, cls="wrong"), ""
    if steps := len(content.get("steps") or ()):
        most = f"Chain of {plural(steps, 'step')} · up to {size.tokens:,} input tokens (estimated)"
        return el("span", most, cls="muted"), _chain(rendered), rendered.variant or ""
    head = join([chip(f"Variant: {rendered.variant}", "accent") if rendered.variant else None, " ", _tokens(size)])
    notes = prompt_text.notes_panel(rendered.notes)
    return head, join([notes, _content(rendered)]), rendered.variant or ""


def _chain(rendered: RenderedPrompt) -> Markup:
    """Return the text of a chain, with the names of the variables that its steps fill."""
    notes = prompt_text.notes_panel(rendered.notes)
    if not (rendered.messages or rendered.text):
        return join([notes, el("p", _LAST, cls="muted")])
    about = el("p", "Responses of steps show as the names of their variables.", cls="muted")
    return join([notes, about, _content(rendered)])


def _tokens(size: InputSize) -> Markup:
    """Return the number of input tokens, and how it was counted."""
    if size.model is None:
        return el("span", f"About {plural(size.tokens, 'token')} (estimated)", cls="muted", title="4 bytes per token")
    share = f" of {size.context:,}" if size.context else ""
    title = f"Counted by the tokenizer of {size.model}"
    return el("span", f"{plural(size.tokens, 'token')}{share}", cls="muted", title=title)


def _content(rendered: RenderedPrompt) -> Markup:
    if rendered.messages is None:
        return _turn("Raw text", rendered.text or "")
    return el("div", *(_turn(message.role.capitalize(), message.content) for message in rendered.messages))


def _turn(title: str, text: str) -> Markup:
    cut = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"
    return el("div", el("b", title), el("pre", cut, tabindex="0"), cls="engineer-turn")
