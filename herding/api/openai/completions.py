"""Chats and completions, from the request body to the response."""

from __future__ import annotations

import json
from dataclasses import replace

from fastapi import Request, Response

from herding import values
from herding.api.http.errors import problem_of
from herding.api.http.request import until_disconnect
from herding.api.http.response import json_response, outcome_headers
from herding.api.http.sse import encode_event, event_stream
from herding.api.openai.prompt_models import PREFIX, model_of, prompt_request
from herding.api.openai.requests import ChatRequest, CompletionRequest
from herding.api.openai.responses import ChatCompletion, ChunkWriter, TextCompletion
from herding.errors import HerdingError, UserError
from herding.orchestrator import Orchestrator
from herding.values import Message, Principal


async def complete_chat(orchestrator: Orchestrator, body: ChatRequest, request: Request, who: Principal) -> Response:
    """Answer a chat, or run the prompt that its model names."""
    messages, response_format, parameters = body.to_messages(), body.to_response_format(), body.to_parameters()
    if body.model and body.model.startswith(PREFIX):
        run = await prompt_request(
            orchestrator, body.model, messages, variables=body.variables, parameters=parameters, who=who
        )
        run = replace(run, session_id=body.session_id, response_format=response_format)
    else:
        run = values.Request(
            model=model_of(body.model, body.variables),
            parameters=parameters,
            messages=messages,
            session_id=body.session_id,
            response_format=response_format,
        )
    if body.stream:
        return await _stream(orchestrator, body, run, request, who)
    with until_disconnect(request.receive):
        outcome = await orchestrator.pipeline.run(run, who)
    return json_response(ChatCompletion.from_outcome(outcome), headers=outcome_headers(outcome))


async def complete_text(
    orchestrator: Orchestrator, body: CompletionRequest, request: Request, who: Principal
) -> Response:
    """Continue a text, or run the prompt that its model names."""
    parameters, prompts = body.to_parameters(), body.to_prompts()
    text = prompts[0] if len(prompts) == 1 and isinstance(prompts[0], str) else None
    if body.model and body.model.startswith(PREFIX):
        if prompts and text is None:
            raise UserError("A prompt of Herding takes one text here.", param="prompt")
        messages = [Message("user", text)] if text else []
        run = await prompt_request(
            orchestrator, body.model, messages, variables=body.variables, parameters=parameters, who=who
        )
    else:
        shown = text if text is not None or not prompts else json.dumps(prompts, ensure_ascii=False)
        run = values.Request(
            model=model_of(body.model, body.variables),
            parameters=parameters,
            text=shown,
            prompts=prompts if text is None and prompts else None,
        )
    if body.stream:
        return await _stream(orchestrator, body, run, request, who)
    with until_disconnect(request.receive):
        outcome = await orchestrator.pipeline.run(run, who)
    return json_response(TextCompletion.from_outcome(outcome), headers=outcome_headers(outcome))


async def _stream(
    orchestrator: Orchestrator,
    body: ChatRequest | CompletionRequest,
    run: values.Request,
    request: Request,
    who: Principal,
) -> Response:
    writer = ChunkWriter(is_chat=isinstance(body, ChatRequest), include_usage=body.include_usage)
    return await event_stream(request, orchestrator.pipeline.stream(run, who), writer.encode, _encode_error)


def _encode_error(error: HerdingError) -> bytes:
    return encode_event(problem_of(error).openai().model_dump())
