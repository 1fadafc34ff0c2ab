"""From a prompt and a request to the input of a model: choose the variant, insert the values, add the chat so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from herding.errors import UserError
from herding.prompts.families import family_of
from herding.prompts.model import Checks, Prompt, PromptParameters, Template
from herding.prompts.render import insert, insert_guarded, size
from herding.prompts.variables import Value, clean_parameter, show
from herding.values import Message, Request

MAX_CHARS = 4_000_000
"""Characters of a rendered prompt, the texts for families of models included."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a model gets: `messages` or raw `text`. The first `head` messages stay when a long chat is trimmed.

    `families` are the raw texts for models of some families, with their keys.
    """

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    variant: str | None = None
    head: int = 0
    families: tuple[tuple[str, str], ...] = ()

    def for_model(self, model: str) -> Rendered:
        """What this model gets: the raw text for its family where there is one."""
        family = family_of(model, (key for key, _ in self.families))
        return self if family is None else Rendered(text=dict(self.families)[family], variant=self.variant)

    def without_oldest_turns(self, count: int) -> Rendered:
        """The same chat without its `count` oldest turns."""
        if self.messages is None:
            return self
        kept = self.messages[: self.head] + self.messages[self.head + count :]
        return Rendered(kept, None, self.variant, self.head)

    @property
    def turns(self) -> int:
        """How many earlier turns the chat holds."""
        return len(self.messages) - self.head - 1 if self.messages else 0


def compose(prompt: Prompt, values: Mapping[str, Value], turns: Sequence[Message] = ()) -> Rendered:
    """`prompt` rendered with checked `values`; `turns` go between the template's head and its last message."""
    template, variant = choose(prompt, values)
    said = {name: show(value) for name, value in values.items()}
    _refuse_size(template, said)
    raw = tuple((family, insert_guarded(text, said)) for family, text in (template.families or {}).items())
    if template.prompt is not None:
        if turns:
            raise UserError("This prompt is raw text and keeps no chat; run it without earlier turns.")
        return Rendered(text=insert_guarded(template.prompt, said), variant=variant, families=raw)
    written = [Message(m.role, insert(m.content, said)) for m in template.messages or ()]
    if turns and not prompt.chat:
        raise UserError("This prompt is not a chat (chat: true); run it without earlier turns.")
    messages, head = (*written[:-1], *turns, written[-1]), len(written) - 1
    return Rendered(messages=messages, variant=variant, head=head, families=raw)


def _refuse_size(template: Template, said: Mapping[str, str]) -> None:
    """Many placeholders for long values would multiply; that is refused before anything is written."""
    if sum(size(text, said) for text in template.texts()) > MAX_CHARS:
        raise UserError(f"With these values the prompt has more than {MAX_CHARS:,} characters. Shorten a value.")


def choose(prompt: Prompt, values: Mapping[str, Value]) -> tuple[Template, str | None]:
    """The template for `values`, and the name of its variant; UserError when no variant fits and there is no other."""
    for variant in prompt.variants or ():
        try:
            if variant.condition.holds(values):
                return variant, variant.name
        except ValueError as error:
            raise UserError(f"Variant '{variant.name}' cannot be decided: {error}.") from None
    if prompt.messages is None and prompt.prompt is None:
        conditions = "; ".join(variant.when for variant in prompt.variants or ())
        raise UserError(f"No variant of this prompt fits these values ({conditions}). Change a value or add a variant.")
    return Template(messages=prompt.messages, prompt=prompt.prompt, templates=prompt.families), None


FREE = Prompt.model_construct(name="", target_models=[], parameters=PromptParameters(), checks=Checks())
"""In the place of a prompt where there is none: no checks, no parameters of its own, any model."""


def free_input(request: Request) -> Rendered:
    """The input of a request without prompt; its system messages at the head stay when it is trimmed."""
    if bool(request.messages) == (request.text is not None):
        raise UserError("Name a prompt, or give either messages or text.", param="messages")
    for text in (request.text or "", *(message.content for message in request.messages)):
        clean_parameter(text, "messages", subject="The input")
    if not request.messages:
        return Rendered(text=request.text)
    head = next((n for n, m in enumerate(request.messages) if m.role != "system"), len(request.messages))
    return Rendered(messages=request.messages, head=min(head, len(request.messages) - 1))
