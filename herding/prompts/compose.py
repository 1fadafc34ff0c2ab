"""Composes the input of a model: chooses the variant, inserts the values, and adds the earlier turns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from herding.errors import UserError
from herding.prompts.checks import Checks
from herding.prompts.model import Prompt, Template
from herding.prompts.parameters import PromptParameters
from herding.prompts.render import family_of, insert, insert_guarded, rendered_size
from herding.prompts.variables import Value, clean_parameter
from herding.values import TEXT_PARTS, Fields, Message, Request, bounded

SYSTEM_ROLES = ("system", "developer")
TOOL_ROLES = ("tool", "function")
PART_CHARS = 4_000
"""The estimated size of an image or another part that is no text, in bytes of input."""

_to_json = json.JSONEncoder(ensure_ascii=False).encode

MAX_CHARS = 4_000_000
"""Maximum length of a rendered prompt with its texts for model families, in characters."""


@dataclass(frozen=True)
class RenderedPrompt:
    """The input of a model: `messages` or raw `text`. When a long chat is trimmed, `head` messages and `tail` stay.

    `families` are pairs of a model family and the raw text for it. `prompts` are raw inputs that are no single text.
    `notes`, in a preview, are those of the prompt.
    """

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    variant: str | None = None
    head: int = 0
    families: tuple[tuple[str, str], ...] = ()
    tail: int = 1
    prompts: tuple[Any, ...] | None = None
    notes: tuple[str, ...] = ()

    def for_model(self, model: str) -> RenderedPrompt:
        """Return the input for a model: the raw text for its family, if there is one."""
        if not self.families:
            return self
        family = family_of(model, (key for key, _ in self.families))
        return self if family is None else RenderedPrompt(text=dict(self.families)[family], variant=self.variant)

    def without_oldest_turns(self, count: int) -> RenderedPrompt:
        """Return the same chat without its `count` oldest turns."""
        if self.messages is None:
            return self
        start, end = self.head + count, len(self.messages) - self.tail
        while start < end and self.messages[start].role in TOOL_ROLES:
            start += 1  # results need the call before them
        kept = self.messages[: self.head] + self.messages[start:]
        return RenderedPrompt(kept, None, self.variant, self.head, tail=self.tail)

    @cached_property
    def is_text(self) -> bool:
        """True if nothing but text is in it: no message has other parts, further fields, or the result of a tool."""
        messages = self.messages or ()
        return all([m.parts is None and not m.fields and m.role not in TOOL_ROLES for m in messages])

    @cached_property
    def stored_text(self) -> str:
        """The input as the history keeps it: the raw text, or the messages as a JSON list."""
        if self.messages is None:
            return self.text or ""
        if self.is_text:
            return _to_json([{"role": message.role, "content": message.content} for message in self.messages])
        return _to_json([stored_message(message) for message in self.messages])

    @cached_property
    def size(self) -> int:
        """The size of the input in bytes, for estimates; images and the like count as a few thousand each."""
        if self.messages is None or self.is_text or all(message.parts is None for message in self.messages):
            return utf8_size(self.stored_text)
        texts = (_to_json({**message.fields, "content": message.content}) for message in self.messages)
        parts = sum(part.get("type") not in TEXT_PARTS for message in self.messages for part in message.parts or ())
        return sum(map(utf8_size, texts)) + parts * PART_CHARS

    @property
    def text_size(self) -> int:
        """The size of the texts alone in bytes, without roles and all else that a message has."""
        if self.messages is None:
            return utf8_size(self.text or "")
        return sum(utf8_size(message.content) for message in self.messages)

    @property
    def turns(self) -> int:
        """The number of earlier turns in the chat."""
        return len(self.messages) - self.head - self.tail if self.messages else 0


def utf8_size(text: str) -> int:
    """Return the bytes of a text in UTF-8, which tell more about its tokens than its characters do."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def compose(
    prompt: Prompt,
    values: Mapping[str, Value],
    turns: Sequence[Message] = (),
    *,
    attachments: Sequence[Fields] = (),
    after: Sequence[Message] = (),
    fields: Fields | None = None,
) -> RenderedPrompt:
    """Render `prompt` with validated `values`. Earlier `turns` go before the last message of the template.

    A system message at their beginning comes first, where the prompt has none. Raises UserError where it has.
    `attachments` and `fields` are added to that message, and the messages `after` follow it.
    """
    template, variant = choose_template(prompt, values)
    _refuse_size(template, values)
    raw = tuple([(family, insert_guarded(text, values)) for family, text in (template.families or {}).items()])
    system, turns = _split_system(turns, template) if turns else ((), ())
    if template.prompt is not None:
        if turns or system:
            raise UserError("This prompt is raw text and takes no earlier turns. Remove them.")
        if after:
            raise UserError("This prompt is raw text and takes no tool calls. Remove them.", param="messages")
        if attachments:
            raise UserError("This prompt is raw text and takes text only. Remove the other parts.", param="messages")
        if fields:
            raise UserError(f"This prompt is raw text. Remove {', '.join(sorted(fields))}.", param="messages")
        return RenderedPrompt(text=insert_guarded(template.prompt, values), variant=variant, families=raw)
    written = [Message(m.role, insert(m.content, values)) for m in template.messages or ()]
    if turns and not prompt.chat:
        raise UserError("This prompt is not a chat (chat: true) and takes no earlier turns. Remove them.")
    last = _completed(written[-1], attachments, fields or {}) if attachments or fields else written[-1]
    messages, head = (*system, *written[:-1], *turns, last, *after), len(system) + len(written) - 1
    families = () if attachments or after else raw
    return RenderedPrompt(messages=messages, variant=variant, head=head, families=families, tail=1 + len(after))


def _split_system(turns: Sequence[Message], template: Template) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return the system messages at the beginning of `turns`, and the others."""
    if any(turn.role in SYSTEM_ROLES for turn in turns) and any(
        message.role in SYSTEM_ROLES for message in template.messages or ()
    ):
        raise UserError("The system message is the prompt's. Remove yours.", param="messages")
    count = next((place for place, turn in enumerate(turns) if turn.role not in SYSTEM_ROLES), len(turns))
    return turns[:count], turns[count:]


def _completed(message: Message, attachments: Sequence[Fields], fields: Fields) -> Message:
    """Return a message with parts that are no text after its own text, and with further fields."""
    if message.role != "user":
        raise UserError("The prompt's last message is not the user's. It takes text only.", param="messages")
    parts = ({"type": "text", "text": message.content}, *attachments) if attachments else None
    return Message("user", message.content, parts, fields)


def _refuse_size(template: Template, values: Mapping[str, Value]) -> None:
    """Raise UserError, before anything is rendered, if many placeholders would multiply long values."""
    if rendered_size(template.texts, values) > MAX_CHARS:
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
    return prompt, None


NO_PROMPT = Prompt.model_construct(name="", target_models=[], parameters=PromptParameters(), checks=Checks())
"""Replaces the prompt in requests without one: no checks, no parameters, any model."""


def render_free_input(request: Request) -> RenderedPrompt:
    """Render a request without a prompt. Leading system messages stay when it is trimmed."""
    if bool(request.messages) == (request.text is not None):
        raise UserError("Name a prompt, or give either messages or text.", param="messages")
    for text in (request.text or "", *(message.content for message in request.messages)):
        clean_parameter(text, "messages", subject="The input")
    messages = request.messages
    if not messages:
        return RenderedPrompt(text=request.text, prompts=request.prompts)
    head = next((n for n, m in enumerate(messages) if m.role not in SYSTEM_ROLES), len(messages))
    last_user = next((n for n in range(len(messages) - 1, 0, -1) if messages[n].role == "user"), len(messages) - 1)
    head = min(head, last_user)
    return RenderedPrompt(messages=messages, head=head, tail=len(messages) - last_user)


def stored_message(message: Message) -> dict[str, Any]:
    """Return a message as the history keeps it: large images and the like are replaced by their size and hash."""
    body = message.body()
    return body if message.plain else bounded(body)
