"""Gemini's and Anthropic's OpenAI-compatible endpoints, and Azure."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tests.support.providers.wire import DONE, Asked, event, refused, stream, usage, whole

SIGNATURE = {"google": {"thought_signature": "EjQKMgEMOdbHJChLX75QUCJjyYlm"}}


def gemini(asked: Asked) -> Response:
    """Errors are a list, tool calls have a signature that must come back and no index, and every event counts.

    - the signature: https://ai.google.dev/gemini-api/docs/thought-signatures#openai
    - no index: https://github.com/noho/dayu-agent/issues/45
    - errors: https://github.com/earendil-works/pi/pull/7745 and https://ai.google.dev/gemini-api/docs/troubleshooting
    """
    if "seed" in asked.body:
        return _google_error('Invalid JSON payload received. Unknown name "seed": Cannot find field.')
    calls = [call for message in asked.body["messages"] for call in message.get("tool_calls") or ()]
    if any(call.get("extra_content") != SIGNATURE for call in calls):
        return _google_error("Function call is missing a thought_signature in functionCall parts.")
    if asked.body.get("tools") and not calls:
        function = {"name": "get_weather", "arguments": '{"location":"Paris"}'}
        call = {"id": "function-call-1", "type": "function", "function": function, "extra_content": SIGNATURE}
        if not asked.body.get("stream"):
            return whole(asked, {"tool_calls": [call]}, "tool_calls", usage=usage(2, 5))
        return stream(event({"role": "assistant", "tool_calls": [call]}, "tool_calls", usage=usage(2, 5)), DONE)
    if not asked.body.get("stream"):
        return whole(asked, {"content": "Hello world"}, "stop", usage=usage(2, 5))
    return stream(
        event({"role": "assistant", "content": "Hello"}, usage=usage(2, 1)),
        event({"role": "assistant", "content": " world"}, "stop", usage=usage(2, 5)),
        DONE,
    )


def _google_error(message: str) -> Response:
    return refused([{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}], 400)


def anthropic(asked: Asked) -> Response:
    """Says 529 when it is overloaded and takes one choice; the details of its usage are empty.

    - the layer: https://docs.claude.com/en/api/openai-sdk
    - 529, and the form of errors: https://docs.claude.com/en/api/errors
    """
    headers = {"request-id": "req_018EeWyXxfu5pfWkrYcMdjWG"}
    if "overloaded" in asked.said:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, **headers}
        return refused(error, 529, headers)
    if (asked.body.get("n") or 1) != 1:
        error = {"code": None, "message": "n: must be exactly 1", "type": "invalid_request_error", "param": None}
        return refused({"error": error}, 400, headers)
    counts = usage(2, 5, prompt_tokens_details=None, completion_tokens_details=None)
    if not asked.body.get("stream"):
        return whole(asked, {"content": "Hello world", "refusal": None}, "stop", usage=counts)
    last = [event(choices=[], usage=counts)] if asked.include_usage else []
    words = [event({"role": "assistant", "content": "Hello"}), event({"content": " world"})]
    return stream(*words, event({}, "stop"), *last, DONE, headers=headers)


def azure(asked: Asked) -> Response:
    """Streams begin with filter results and no choice, and end with a choice without delta; models want another limit.

    - the first event: https://github.com/AbanteAI/archive-old-cli-mentat/issues/429
    - no delta: https://github.com/openai/openai-python/issues/1677
    - the filter's error: https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter
    - `retry-after-ms`: openai/openai-python, src/openai/_base_client.py
    """
    if "attack" in asked.said:
        return refused({"error": _filtered()}, 400)
    if "too fast" in asked.said:
        error = {"code": "429", "message": "Requests have exceeded the call rate limit. Please retry after 7 seconds."}
        return refused({"error": error}, 429, {"retry-after-ms": "6500", "retry-after": "7"})
    if "max_tokens" in asked.body:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        error = {
            "message": message,
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        }
        return refused({"error": error}, 400)
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    filters = [{"prompt_index": 0, "content_filter_results": safe}]
    finish = "content_filter" if "rude" in asked.said else "stop"
    if not asked.body.get("stream"):
        return whole(asked, {"content": "Hello world"}, finish, prompt_filter_results=filters, usage=usage(2, 5))
    offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 55}
    last = {"index": 0, "finish_reason": None, "content_filter_results": safe, "content_filter_offsets": offsets}
    return stream(
        event(choices=[], id="", object="", created=0, model="", prompt_filter_results=filters),
        event({"role": "assistant", "content": ""}),
        event({"content": "Hello"}),
        event({"content": " world"}),
        event({}, finish),
        event(choices=[last], id="", object="", created=0, model=""),
        event(choices=[], usage=usage(2, 5)),
        DONE,
    )


def _filtered() -> dict[str, Any]:
    found = {"jailbreak": {"detected": True, "filtered": True}}
    return {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found},
    }
