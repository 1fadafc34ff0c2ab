"""Chats and completions in OpenAI's form, from the body of the request to the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from fastapi import Request, Response

from herding import values
from herding.api.http.disconnect import while_there
from herding.api.http.reply import reply
from herding.api.http.response_headers import Headers, headers, noted
from herding.api.http.sse import EventStreamResponse
from herding.api.openai.prompt_models import PREFIX, model_of, prompt_request
from herding.api.openai.requests import ChatBody, CompletionBody
from herding.api.openai.responses import CHAT, TEXT, Style
from herding.api.openai.stream import chunks
from herding.orchestrator import Orchestrator
from herding.values import Done, Event, Message, Outcome, Principal


class Completions:
    """Answers both kinds, whole or in chunks."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    async def chat(self, body: ChatBody, request: Request, who: Principal) -> Response:
        """Answer a chat, or run a prompt with it."""
        parameters, messages = body.parameters(), body.turns()
        if body.model.startswith(PREFIX):
            wanted = await prompt_request(
                self._orchestrator, body.model, messages, variables=body.variables, parameters=parameters, who=who
            )
            wanted = replace(wanted, session_id=body.session_id, response_format=body.form())
        else:
            wanted = values.Request(
                model=model_of(body.model, body.variables),
                parameters=parameters,
                messages=messages,
                session_id=body.session_id,
                response_format=body.form(),
            )
        return await self._answer(body, request, self._orchestrator.pipeline.stream(wanted, who), CHAT)

    async def text(self, body: CompletionBody, request: Request, who: Principal) -> Response:
        """Continue a text, or run a prompt with it."""
        parameters, text = body.parameters(), body.text()
        if body.model.startswith(PREFIX):
            said = [Message("user", text)] if text else []
            wanted = await prompt_request(
                self._orchestrator, body.model, said, variables=body.variables, parameters=parameters, who=who
            )
        else:
            wanted = values.Request(model=model_of(body.model, body.variables), parameters=parameters, text=text)
        return await self._answer(body, request, self._orchestrator.pipeline.stream(wanted, who), TEXT)

    async def _answer(
        self, body: ChatBody | CompletionBody, request: Request, stream: AsyncGenerator[Event, None], style: Style
    ) -> Response:
        if body.stream:
            told: Headers = {}
            pieces = chunks(noted(stream, told), style, include_usage=body.include_usage)
            return EventStreamResponse(pieces, later=told)
        outcome = await while_there(request.receive, _outcome(stream))
        return reply(style.answer(outcome), headers=headers(outcome))


async def _outcome(stream: AsyncGenerator[Event, None]) -> Outcome:
    async with aclosing(stream):
        async for event in stream:
            if isinstance(event, Done):
                return event.outcome
    raise AssertionError("a stream ends with Done or raises")
