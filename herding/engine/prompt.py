"""From a request's messages or text to the tokens of a prompt."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

from jinja2 import TemplateError

from herding.engine.body import Generation
from herding.engine.refusals import NoChatTemplateError
from herding.errors import UserError
from herding.values import Message


class Prompter:
    """Encodes prompts with one tokenizer; may be called from any thread.

    Message contents are data: control tokens of the model that appear in them are encoded as ordinary text, so
    that only the chat template writes control tokens. A raw text is the caller's own markup and encoded as is.
    """

    def __init__(self, tokenizer: Any, *, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        tokenizer.chat_control_tokens = _markup_tokens(tokenizer)

    @property
    def has_template(self) -> bool:
        """Whether the model can read messages."""
        return bool(self._tokenizer.chat_template)

    def encode(self, wanted: Generation) -> list[int]:
        """The prompt's token ids; UserError where the model cannot read it."""
        with self._lock:
            ids = self._chat(wanted.messages) if wanted.messages else self._raw(wanted.text or "")
        if not ids:
            raise UserError("The prompt is empty for this model.", param="text")
        if max(ids) >= self._vocabulary:
            raise UserError("The prompt contains a token that the model has no weights for.", param="messages")
        return ids

    def _raw(self, text: str) -> list[int]:
        start = self._tokenizer.bos_token
        has_start = bool(start) and text.startswith(start)
        return cast(list[int], self._tokenizer.encode(text, add_special_tokens=not has_start))

    def _chat(self, messages: Sequence[Message]) -> list[int]:
        if not self.has_template:
            raise NoChatTemplateError(
                "This model has no chat template. Send a raw prompt as text instead of messages.", param="messages"
            )
        try:
            return self._render(messages)
        except TemplateError:
            return self._render_without_system(messages)

    def _render_without_system(self, messages: Sequence[Message]) -> list[int]:
        try:
            return self._render(fold_system(messages))
        except TemplateError as error:
            raise UserError(f"The model's chat template refuses these messages: {error}", param="messages") from error

    def _render(self, messages: Sequence[Message]) -> list[int]:
        try:
            ids = self._tokenizer.apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                add_generation_prompt=True,
                sanitize_control_tokens=True,
                return_dict=False,
            )
        except ValueError as error:
            raise UserError(f"The model cannot read these messages safely: {error}", param="messages") from error
        return cast(list[int], ids)


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """The messages with the system text put in front of the first user message."""
    system = [message.content for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    for index, message in enumerate(others):
        if message.role == "user":
            others[index] = Message("user", "\n\n".join([*system, message.content]))
            return others
    return [Message("user", "\n\n".join(system)), *others]


def _markup_tokens(tokenizer: Any) -> list[str]:
    """Added tokens that look like markup (`<tool_call>`), special or not; not runs of spaces and the like."""
    texts = (token.content for token in tokenizer.added_tokens_decoder.values())
    return [text for text in texts if text.strip() and text[0] in "<[{|" and text[-1] in ">]}|"]
