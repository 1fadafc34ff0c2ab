"""Encodes messages or text to prompt tokens."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

from jinja2 import TemplateError

from herding.engine.errors import NoChatTemplateError
from herding.engine.requests import GenerationRequest
from herding.engine.tool_calls import find_tool_format, template_messages
from herding.errors import UserError
from herding.values import Message

_TEMPLATE_ARGUMENTS = frozenset(
    {
        *("conversation", "tools", "documents", "chat_template", "add_generation_prompt", "continue_final_message"),
        *("tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict", "tokenizer_kwargs"),
        *("return_assistant_tokens_mask", "sanitize_control_tokens", "messages"),
    }
)
"""Arguments of the tokenizer that are no business of a request."""


class PromptEncoder:
    """Encodes prompts with one tokenizer; can be called from any thread. `tool_format` is None if it knows no tools.

    Message contents are data: control tokens of the model in them are encoded as ordinary text, so only the chat
    template writes control tokens. A raw text may contain control tokens and is encoded unchanged.
    """

    def __init__(self, tokenizer: Any, *, vocabulary_size: int) -> None:
        self._tokenizer = tokenizer
        self._vocabulary_size = vocabulary_size
        self._lock = threading.Lock()
        self.tool_format = find_tool_format(tokenizer)
        tokenizer.chat_control_tokens = _markup_tokens(tokenizer)

    @property
    def has_chat_template(self) -> bool:
        """True if the model accepts messages."""
        return bool(self._tokenizer.chat_template)

    def encode(self, request: GenerationRequest) -> list[int]:
        """Return the token ids of the prompt; raise UserError if the model cannot read it."""
        with self._lock:
            ids = self._encode(request)
        if not ids:
            raise UserError("The prompt has no tokens for this model.", param="text")
        if max(ids) >= self._vocabulary_size:
            param = "messages" if request.tokens is None else "prompt"
            raise UserError("The prompt contains a token that the model has no weights for.", param=param)
        return ids

    def _encode(self, request: GenerationRequest) -> list[int]:
        if request.tokens is not None:
            return list(request.tokens)
        if request.messages is None:
            return self._encode_text(request.text or "")
        return self._encode_chat(request.messages, request)

    def _encode_text(self, text: str) -> list[int]:
        start = self._tokenizer.bos_token
        has_start = bool(start) and text.startswith(start)
        return cast(list[int], self._tokenizer.encode(text, add_special_tokens=not has_start))

    def _encode_chat(self, messages: Sequence[Message], request: GenerationRequest) -> list[int]:
        if self.tool_format is None and (request.tools or any(not message.plain for message in messages)):
            message = "This model's chat template knows no tools. Leave them out, or choose a model that does."
            raise UserError(message, param="tools" if request.tools else "messages")
        if not self.has_chat_template:
            raise NoChatTemplateError(
                "This model has no chat template. Send a raw prompt as text instead of messages.", param="messages"
            )
        try:
            return self._apply_template(messages, request)
        except TemplateError:
            pass  # the template may refuse only the system message
        try:
            return self._apply_template(merge_system_message(messages), request)
        except TemplateError as error:
            raise UserError(f"The model's chat template refuses these messages: {error}", param="messages") from error

    def _apply_template(self, messages: Sequence[Message], request: GenerationRequest) -> list[int]:
        if reserved := sorted(_TEMPLATE_ARGUMENTS & request.template_arguments.keys()):
            raise UserError(f"'{reserved[0]}' can't be set here.", param="chat_template_kwargs")
        try:
            ids = self._tokenizer.apply_chat_template(
                template_messages([message.body() for message in messages]),
                tools=list(request.tools) or None,
                add_generation_prompt=True,
                sanitize_control_tokens=True,
                return_dict=False,
                **request.template_arguments,
            )
        except (TypeError, ValueError) as error:
            raise UserError(f"The model cannot read these messages safely: {error}", param="messages") from error
        return cast(list[int], ids)


def merge_system_message(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with the system text at the beginning of the first user message."""
    system = [message.content for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    for index, message in enumerate(others):
        if message.role == "user":
            others[index] = Message("user", "\n\n".join([*system, message.content]))
            return others
    return [Message("user", "\n\n".join(system)), *others]


def _markup_tokens(tokenizer: Any) -> list[str]:
    """Return the added tokens that look like markup (`<tool_call>`), special or not; runs of spaces do not."""
    texts = (token.content for token in tokenizer.added_tokens_decoder.values())
    return [text for text in texts if text.strip() and text[0] in "<[{|" and text[-1] in ">]}|"]
