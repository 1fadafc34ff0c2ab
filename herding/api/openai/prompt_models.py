"""Prompts that are called like models, as `prompt:<key>`.

The field `variables` holds the variables. The last user message fills a variable too: the last text variable that the
prompt's last message uses (or for a chain, a step); its images and other parts are added to that message. For a prompt
that is a chat, the messages before it are the earlier turns. Tool calls and their results may follow it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from herding.errors import NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.model import Prompt
from herding.prompts.render import placeholders
from herding.prompts.variables import TextVariable
from herding.values import TEXT_PARTS, Fields, Message, Parameters, Principal, Request

CALLS = {"tool_calls", "function_call"}
"""Fields of an assistant's message with calls of tools."""

PREFIX = "prompt:"
AUTO = "auto"


async def prompt_request(
    orchestrator: Orchestrator,
    model: str,
    messages: Sequence[Message],
    *,
    variables: Mapping[str, Any] | None,
    parameters: Parameters,
    who: Principal,
) -> Request:
    """Return a run of the prompt that `model` names, with the contents of `messages`."""
    found = await orchestrator.prompts.find(model.removeprefix(PREFIX), who)
    asked, given = _last_question(messages), variables or {}
    attachments, fields = tuple[Fields, ...](), dict[str, Any]()
    turns, after = tuple(messages), tuple[Message, ...]()
    if asked is not None:
        question, turns, after = messages[asked], tuple(messages[:asked]), tuple(messages[asked + 1 :])
        fields = dict(question.fields)
        attachments = tuple(part for part in question.parts or () if part.get("type") not in TEXT_PARTS)
        if question.content or not attachments:
            given = {**given, **_fill_variable(question.content, found.prompt, given)}
    return Request(
        prompt=f"{found.key}@{found.number}",
        variables=given,
        turns=turns or None,
        parameters=parameters,
        attachments=attachments,
        fields=fields,
        after=after,
    )


def _last_question(messages: Sequence[Message]) -> int | None:
    """Return the position of the last user message, if only tool calls and their results follow; None without one."""
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if message.role == "user":
            return position
        if message.role not in ("tool", "function") and not CALLS & message.fields.keys():
            return None
    return None


def model_of(model: str | None, variables: Mapping[str, Any] | None) -> str | None:
    """Return the model of a request without prompt, None for any. Raises UserError if there are variables."""
    if variables:
        raise UserError(f"Only prompts have variables. Name one as the model: '{PREFIX}<key>'.", param="variables")
    if model == "":
        raise NotFoundError(f"Name a model, or '{AUTO}'.", param="model")
    return None if model == AUTO else model


def _fill_variable(text: str, prompt: Prompt, variables: Mapping[str, Any]) -> dict[str, str]:
    """Return the variable that the last user message fills."""
    name = message_variable(prompt)
    if name is None:
        raise UserError("This prompt takes no free text. Send its variables, and no user message.", param="messages")
    if name in variables:
        message = f"The last user message fills the variable '{name}', which is given as well. Leave out one of them."
        raise UserError(message, param="messages")
    return {name: text}


def message_variable(prompt: Prompt) -> str | None:
    """Return the last text variable that the last message, or the raw text, of the prompt uses; None without one.

    Of a chain whose own text has none, it is the last one that the first of its steps with one uses.
    """
    filled = prompt.retrieval and prompt.retrieval.into
    for used in _used(prompt):
        texts = [name for name in used if isinstance(prompt.variables.get(name), TextVariable) and name != filled]
        if texts:
            return texts[-1]
    return None


def _used(prompt: Prompt) -> Iterator[list[str]]:
    """Yield the variables that the last message uses, then those of each step."""
    template = next(prompt.templates(), None)
    if template is not None:
        yield placeholders((template.prompt if template.messages is None else template.messages[-1].content) or "")
    for step in prompt.steps or ():
        yield [*(name for name, _ in step.used()), *([step.each] if step.each else [])]
