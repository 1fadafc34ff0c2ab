"""Chat completions: whole, and the same in chunks."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from tests.support.upstream.answers import Answer, answer, pieces
from tests.support.upstream.conversation import Conversation, check, text_of

CREATED = 1_790_000_000
FINGERPRINT = "fp_44709d6fcb"
IMAGE_TOKENS = 85
ARGUMENT_PIECE = 5
"""Characters of the arguments of a tool call in each delta."""


def completion(body: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The whole response to a chat."""
    check(body.get("messages"))
    chat = Conversation(body)
    answers = [answer(chat, choice) for choice in range(body.get("n") or 1)]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": body["model"],
        "choices": [_choice(made, index, body) for index, made in enumerate(answers)],
        "usage": _usage(chat, answers),
        "service_tier": body.get("service_tier") or "default",
        "system_fingerprint": FINGERPRINT,
    }


def _choice(made: Answer, index: int, body: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": made.content, "refusal": made.refusal, "annotations": []}
    if made.reasoning is not None:
        message["reasoning_content"] = made.reasoning
    if made.tool_calls:
        message["tool_calls"] = list(made.tool_calls)
    if made.function_call:
        message["function_call"] = made.function_call
    if "audio" in (body.get("modalities") or ()):
        spoken = {"id": "audio_1", "expires_at": CREATED + 3600, "transcript": made.content or ""}
        message |= {"content": None, "audio": {**spoken, "data": base64.b64encode(b"RIFF" * 40).decode()}}
    logprobs = _logprobs(made.content or "", body.get("top_logprobs") or 0) if body.get("logprobs") else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": made.finish}


def _logprobs(text: str, alternatives: int) -> dict[str, Any]:
    def one(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    content = [
        {
            **one(token, -0.125 * (n % 4)),
            "top_logprobs": [one(f"{token}{'?' * k}", -0.125 * (n % 4) - k) for k in range(alternatives)],
        }
        for n, token in enumerate(pieces(text))
    ]
    return {"content": content, "refusal": None}


def _usage(chat: Conversation, answers: list[Answer]) -> dict[str, Any]:
    texts = [text_of(message.get("content")) for message in chat.messages]
    prompt = sum(map(count, texts)) + IMAGE_TOKENS * sum(text.count("[image ") for text in texts)
    reasoning = sum(count(made.reasoning or "") for made in answers)
    written = [made.content or made.refusal or str(made.tool_calls or made.function_call) for made in answers]
    spoken = 20 if "audio" in (chat.body.get("modalities") or ()) else 0
    made = sum(map(count, written)) + reasoning + spoken
    heard = 10 * sum(text.count("[audio ") for text in texts)
    return {
        "prompt_tokens": prompt + heard,
        "completion_tokens": made,
        "total_tokens": prompt + heard + made,
        "prompt_tokens_details": {"cached_tokens": prompt // 2, "audio_tokens": heard},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": spoken,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def count(text: str) -> int:
    """Tokens of a text, about as many as a real tokenizer makes of it."""
    return max(len(text.split()), len(text) // 4)


def chunks(whole: Mapping[str, Any], *, include_usage: bool) -> Iterator[dict[str, Any]]:
    """The same response in chunks; those of several choices take turns."""
    shared = {**whole, "object": "chat.completion.chunk"}
    usage = shared.pop("usage")
    if include_usage:
        shared["usage"] = None
    for together in zip_longest(*map(_choice_chunks, whole["choices"])):
        for choice in filter(None, together):
            yield {**shared, "choices": [choice]}
    if include_usage:
        yield {**shared, "choices": [], "usage": usage}


def _choice_chunks(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    message, logprobs = choice["message"], choice["logprobs"]
    probabilities = iter(logprobs["content"] if logprobs else ())

    def chunk(delta: Mapping[str, Any], finish: str | None = None, found: Any = None) -> dict[str, Any]:
        return {"index": choice["index"], "delta": delta, "logprobs": found, "finish_reason": finish}

    yield chunk({"role": "assistant", "content": "" if message["content"] is not None else None, "refusal": None})
    for piece in pieces(message.get("reasoning_content") or ""):
        yield chunk({"reasoning_content": piece})
    for piece in pieces(message["content"] or ""):
        probability = next(probabilities, None)
        yield chunk({"content": piece}, found={"content": [probability], "refusal": None} if probability else None)
    for piece in pieces(message["refusal"] or ""):
        yield chunk({"refusal": piece})
    for delta in (*_tool_deltas(message), *_function_deltas(message), *_audio_deltas(message)):
        yield chunk(delta)
    yield chunk({}, finish=choice["finish_reason"])


def _tool_deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """First the name, then the arguments bit by bit, with nothing but the index to tell whose they are."""
    for index, call in enumerate(message.get("tool_calls") or ()):
        begun = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [begun]}
        for piece in _in_parts(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _function_deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if call := message.get("function_call"):
        yield {"function_call": {"name": call["name"], "arguments": ""}}
        for piece in _in_parts(call["arguments"]):
            yield {"function_call": {"arguments": piece}}


def _audio_deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if audio := message.get("audio"):
        yield {"audio": {"id": audio["id"], "transcript": ""}}
        for piece in pieces(audio["transcript"]):
            yield {"audio": {"transcript": piece}}
        yield {"audio": {"data": audio["data"]}}
        yield {"audio": {"expires_at": audio["expires_at"]}}


def _in_parts(text: str) -> Iterator[str]:
    for start in range(0, len(text), ARGUMENT_PIECE):
        yield text[start : start + ARGUMENT_PIECE]
