"""Conversation memory: the earlier turns of a session, from the principal's own history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from herding.errors import UserError
from herding.prompts.compose import SYSTEM_ROLES
from herding.store import Store
from herding.studio.version_cache import RunnableVersion
from herding.values import Message, Outcome, Principal, Request

MAX_REQUESTS = 100
MAX_CHARS = 100_000
MAX_ID = 128


async def recall(request: Request, who: Principal, *, store: Store, prompt: RunnableVersion | None = None) -> Request:
    """Return `request` with the earlier turns of its session, oldest first, if it has a session and no turns.

    Turns are of the same principal and the same prompt (or none); partial and failed responses are left out. A chat
    without a prompt and without system messages keeps those of the session's latest request.
    """
    if request.session_id is None:
        return request
    if not 0 < len(request.session_id) <= MAX_ID or not request.session_id.isprintable():
        raise UserError(f"A session_id has 1 to {MAX_ID} printable characters.", param="session_id")
    if not _wants_turns(request, prompt):
        return request
    if who.opt_out:
        message = "Sessions need stored content, and you opted out of it. Send the earlier turns with the request."
        raise UserError(message, param="session_id")
    found = await store.session(principal=who.id, session_id=request.session_id, limit=MAX_REQUESTS)
    key = prompt.key if prompt else ""
    logs = [(_messages(outcome.input), outcome) for outcome in found if outcome.prompt == key]
    turns = _turns(logs)
    if prompt:
        return replace(request, turns=turns)
    head = _head(request.messages) or (_head(logs[-1][0]) if logs else ())
    return replace(request, messages=(*head, *turns, request.messages[-1]))


def _wants_turns(request: Request, prompt: RunnableVersion | None) -> bool:
    if prompt:
        return prompt.prompt.chat and request.turns is None
    said = request.messages[len(_head(request.messages)) :]
    return [message.role for message in said] == ["user"]


def _turns(logs: Sequence[tuple[tuple[Message, ...], Outcome]]) -> tuple[Message, ...]:
    """Return the user and assistant messages of each request, up to the newest `MAX_CHARS` characters."""
    pairs: list[tuple[Message, Message]] = []
    chars = 0
    for messages, outcome in reversed(logs):
        if not messages or messages[-1].role != "user" or not outcome.answer:
            continue
        pair = (messages[-1], Message("assistant", outcome.answer))
        chars += sum(len(message.content) for message in pair)
        if chars > MAX_CHARS:
            break
        pairs.append(pair)
    return tuple(message for pair in reversed(pairs) for message in pair)


def _head(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple(takewhile(lambda message: message.role in SYSTEM_ROLES, messages))


def _messages(written: str) -> tuple[Message, ...]:
    """Return the messages of a stored input; none for raw text, or where the text was deleted."""
    try:
        data: Any = json.loads(written)
        return tuple(Message.from_body(message) for message in data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
