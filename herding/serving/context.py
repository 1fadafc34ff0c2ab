"""Fits the input of a request into the context of a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from herding.nodes.base import Node
from herding.prompts.compose import RenderedPrompt
from herding.serving.request import ANSWER_TOKENS, PreparedRequest
from herding.values import Call


async def fit_to_context(request: PreparedRequest, node: Node, model: str) -> RenderedPrompt:
    """Return the input for a model: a chat loses its oldest turns until input and output fit into the context.

    A raw text for the family of the model takes precedence over messages, unless there is a response format.
    """
    full = request.rendered if request.response_format else request.rendered.for_model(model)
    if not full.turns:
        return full

    async def fits(dropped: int) -> bool:
        size = await node.count(call_of(request, model, full.without_oldest_turns(dropped)))
        if size is None:
            return True
        tokens, context = size
        return tokens + min(request.parameters.max_tokens or ANSWER_TOKENS, context // 2) <= context

    if await fits(0):
        return full
    return full.without_oldest_turns(await _fewest_turns(fits, full.turns))


def call_of(request: PreparedRequest, model: str, rendered: RenderedPrompt) -> Call:
    """Return the call of a node with an input."""
    messages, text = rendered.messages, rendered.text
    return Call(request.id, model, messages, text, request.parameters, request.response_format)


async def _fewest_turns(fits: Callable[[int], Awaitable[bool]], turns: int) -> int:
    """Return the fewest oldest turns to drop, in pairs of question and answer, so that the rest fits."""
    low, high = 1, -(-turns // 2)
    while low < high:
        middle = (low + high) // 2
        if await fits(2 * middle):
            high = middle
        else:
            low = middle + 1
    return min(2 * low, turns)
