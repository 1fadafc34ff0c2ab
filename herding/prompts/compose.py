"""Composes the input of a model: chooses the variant, inserts the values, and adds the earlier turns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from herding.errors import UserError
from herding.prompts.checks import Checks
from herding.prompts.model import Prompt, PromptParameters, Template
from herding.prompts.render import family_of, insert, insert_guarded, rendered_size
from herding.prompts.variables import Value, clean_parameter, show
from herding.values import Message, Request

_to_json = json.JSONEncoder(ensure_ascii=False).encode

MAX_CHARS = 4_000_000
"""Maximum length of a rendered prompt with its texts for model families, in characters."""


@dataclass(frozen=True)
class RenderedPrompt:
    """The input of a model: `messages` or raw `text`. The first `head` messages stay when a long chat is trimmed.

    `families` are pairs of a model family and the raw text for it. `notes`, in a preview, are those of the prompt.
    """

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    variant: str | None = None
    head: int = 0
    families: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def for_model(self, model: str) -> RenderedPrompt:
        """Return the input for a model: the raw text for its family, if there is one."""
        family = family_of(model, (key for key, _ in self.families))
        return self if family is None else RenderedPrompt(text=dict(self.families)[family], variant=self.variant)

    def without_oldest_turns(self, count: int) -> RenderedPrompt:
        """Return the same chat without its `count` oldest turns."""
        if self.messages is None:
            return self
        kept = self.messages[: self.head] + self.messages[self.head + count :]
        return RenderedPrompt(kept, None, self.variant, self.head)

    @cached_property
    def stored_text(self) -> str:
        """The input as the history keeps it: the raw text, or the messages as a JSON list."""
        if self.messages is None:
            return self.text or ""
        return _to_json([{"role": message.role, "content": message.content} for message in self.messages])

    @property
    def turns(self) -> int:
        """The number of earlier turns in the chat."""
        return len(self.messages) - self.head - 1 if self.messages else 0


def compose(prompt: Prompt, values: Mapping[str, Value], turns: Sequence[Message] = ()) -> RenderedPrompt:
    """Render `prompt` with validated `values`. Earlier `turns` go before the last message of the template."""
    template, variant = choose_template(prompt, values)
    said = {name: show(value) for name, value in values.items()}
    _refuse_size(template, said)
    raw = tuple((family, insert_guarded(text, said)) for family, text in (template.families or {}).items())
    if template.prompt is not None:
        if turns:
            raise UserError("This prompt is raw text and takes no earlier turns. Remove them.")
        return RenderedPrompt(text=insert_guarded(template.prompt, said), variant=variant, families=raw)
    written = [Message(m.role, insert(m.content, said)) for m in template.messages or ()]
    if turns and not prompt.chat:
        raise UserError("This prompt is not a chat (chat: true) and takes no earlier turns. Remove them.")
    messages, head = (*written[:-1], *turns, written[-1]), len(written) - 1
    return RenderedPrompt(messages=messages, variant=variant, head=head, families=raw)


def _refuse_size(template: Template, said: Mapping[str, str]) -> None:
    """Raise UserError, before anything is rendered, if many placeholders would multiply long values."""
    if sum(rendered_size(text, said) for text in template.texts()) > MAX_CHARS:
        raise UserError(f"With these values the prompt has more than {MAX_CHARS:,} characters. Shorten a value.")


def choose_template(prompt: Prompt, values: Mapping[str, Value]) -> tuple[Template, str | None]:
    """Return the template for `values` and the name of its variant. Raises UserError if no template fits."""
    for variant in prompt.variants or ():
        try:
            if variant.condition.holds(values):
                return variant, variant.name
        except ValueError as error:
            raise UserError(f"Variant '{variant.name}' has an error: {error}.") from None
    if prompt.messages is None and prompt.prompt is None:
        conditions = "; ".join(variant.when for variant in prompt.variants or ())
        raise UserError(f"No variant of this prompt fits these values ({conditions}). Change a value or add a variant.")
    return Template(messages=prompt.messages, prompt=prompt.prompt, templates=prompt.families), None


NO_PROMPT = Prompt.model_construct(name="", target_models=[], parameters=PromptParameters(), checks=Checks())
"""Replaces the prompt in requests without one: no checks, no parameters, any model."""


def render_free_input(request: Request) -> RenderedPrompt:
    """Render a request without a prompt. Leading system messages stay when it is trimmed."""
    if bool(request.messages) == (request.text is not None):
        raise UserError("Name a prompt, or give either messages or text.", param="messages")
    for text in (request.text or "", *(message.content for message in request.messages)):
        clean_parameter(text, "messages", subject="The input")
    if not request.messages:
        return RenderedPrompt(text=request.text)
    head = next((n for n, m in enumerate(request.messages) if m.role != "system"), len(request.messages))
    return RenderedPrompt(messages=request.messages, head=min(head, len(request.messages) - 1))
