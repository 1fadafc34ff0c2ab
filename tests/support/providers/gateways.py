"""Groq and OpenRouter, which serve the models of others."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tests.support.providers.wire import DONE, Asked, data, event, refused, stream, usage, whole

THOUGHT = {
    "type": "reasoning.text",
    "text": "I greet.",
    "signature": "c2lnbmVk",
    "format": "anthropic-claude-v1",
    "index": 0,
}


def groq(asked: Asked) -> Response:
    """Counts in `x_groq`, refuses fields that OpenAI has, and says what a failed tool call was.

    - fields: https://console.groq.com/docs/openai
    - `x_groq`: groq/groq-python, src/groq/types/chat/chat_completion_chunk.py
    - failed tools: https://github.com/groq/groq-typescript/issues/28, in a stream:
      https://github.com/tensorzero/tensorzero/pull/1893
    - limits: https://console.groq.com/docs/rate-limits
    """
    for name in ("logprobs", "logit_bias", "top_logprobs"):
        if name in asked.body:
            return _groq_error(f"property '{name}' is unsupported")
    if any("name" in message for message in asked.body["messages"]):
        return _groq_error("'messages.0' : property 'name' is unsupported")
    if "too fast" in asked.said:
        message = "Rate limit reached for model `m` on tokens per minute (TPM). Please try again in 7.66s."
        error = {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}
        limits = {"retry-after": "8", "x-ratelimit-limit-tokens": "6000", "x-ratelimit-reset-tokens": "7.66s"}
        return refused({"error": error}, 429, limits)
    failed: dict[str, Any] = {"type": "invalid_request_error", "code": "tool_use_failed"}
    failed |= {"message": "Failed to call a function.", "failed_generation": "<function=get_weather>"}
    if "bad tool" in asked.said:
        return refused({"error": failed}, 400)
    if "late tool" in asked.said:
        return stream(
            event({"role": "assistant", "content": ""}),
            f"event: error\n{data({'error': {**failed, 'status_code': 400}})}",
        )
    times = {"queue_time": 0.147255087, "prompt_time": 0.006949183, "completion_time": 0.033333333, "total_time": 0.04}
    counts = usage(2, 5, **times)
    if not asked.body.get("stream"):
        message = {"content": "Hello world", "reasoning": "I greet."}
        return whole(asked, message, "stop", usage=counts, x_groq={"id": "req_01jrtvd4tye14v6tchdwj65nce"})
    return stream(
        event({"role": "assistant", "content": ""}, x_groq={"id": "req_01jrtvd4tye14v6tchdwj65nce"}),
        event({"reasoning": "I greet."}),
        event({"content": "Hello"}),
        event({"content": " world"}),
        event({}, "stop", x_groq={"id": "req_01jrtvd4tye14v6tchdwj65nce", "usage": counts}),
        DONE,
    )


def _groq_error(message: str) -> Response:
    return refused({"error": {"message": message, "type": "invalid_request_error"}}, 400)


def openrouter(asked: Asked) -> Response:
    """Sends comments while it looks for a provider, reasons in signed details, and fails in the middle of streams.

    - comments, errors in streams: https://openrouter.ai/docs/api-reference/streaming
    - errors: https://openrouter.ai/docs/errors
    - `reasoning_details`: https://openrouter.ai/docs/use-cases/reasoning-tokens
    - cost: https://openrouter.ai/docs/use-cases/usage-accounting
    """
    if "flagged" in asked.said:
        metadata = {"reasons": ["violence"], "flagged_input": "flagged", "provider_name": "OpenAI"}
        error = {"code": 403, "message": "Your input was flagged", "metadata": metadata}
        return refused({"error": error}, 403)
    waiting = ": OPENROUTER PROCESSING\n\n"
    if "lost" in asked.said:
        error = {"code": "server_error", "message": "Provider disconnected unexpectedly"}
        return stream(waiting, event({"content": "Hel"}), event({"content": ""}, "error", error=error))
    if "no credit" in asked.said:
        return refused({"error": {"code": 402, "message": "Insufficient credits"}}, 200)
    counts = usage(2, 5, cost=0.00014, is_byok=False, prompt_tokens_details={"cached_tokens": 0})
    if not asked.body.get("stream"):
        message = {"content": "Hello world", "reasoning": "I greet.", "reasoning_details": [THOUGHT]}
        return whole(asked, message, "stop", provider="Anthropic", usage=counts)
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "native_finish_reason": "end_turn"}
    return stream(
        waiting,
        event(
            {"role": "assistant", "content": "", "reasoning": "I greet.", "reasoning_details": [THOUGHT]},
            provider="Anthropic",
        ),
        waiting,
        event({"content": "Hello"}, provider="Anthropic"),
        event({"content": " world"}, provider="Anthropic"),
        event(choices=[last], provider="Anthropic"),
        event(choices=[], usage=counts, provider="Anthropic"),
        DONE,
    )
