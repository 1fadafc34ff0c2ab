"""Makers of models that serve them: Mistral, DeepSeek, Moonshot."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tests.support.providers.wire import DONE, Asked, event, refused, stream, usage, whole

MISTRAL_FIELDS = frozenset(
    (
        *("model", "messages", "stream", "temperature", "top_p", "max_tokens", "stop", "random_seed", "tools"),
        *("tool_choice", "response_format", "n", "presence_penalty", "frequency_penalty", "safe_prompt", "prompt_mode"),
        *("parallel_tool_calls", "prediction", "metadata"),
    )
)


def mistral(asked: Asked) -> Response:
    """Refuses every field that it does not know, counts unasked, and thinks in parts of the content.

    - fields: https://github.com/dnakov/anon-kode/issues/53 (`stream_options`),
      https://github.com/editor-code-assistant/eca/issues/231 (`max_completion_tokens`), https://docs.mistral.ai/api/
    - thinking: https://docs.mistral.ai/capabilities/reasoning/
    """
    if unknown := sorted(asked.body.keys() - MISTRAL_FIELDS):
        detail = [_extra(name, asked.body[name]) for name in unknown]
        error = {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}
        return refused({**error, "param": None, "code": None}, 422)
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "I greet."}]}
    finish = "model_length" if "long" in asked.said else "stop"
    if not asked.body.get("stream"):
        content = [thought, {"type": "text", "text": "Hello world"}]
        return whole(asked, {"content": content, "tool_calls": None}, finish, usage=usage(2, 5))
    return stream(
        event({"role": "assistant", "content": ""}),
        event({"content": [thought]}),
        event({"content": "Hello"}),
        event({"content": [{"type": "text", "text": " world"}]}),
        event({"content": ""}, finish, usage=usage(2, 5)),
        DONE,
    )


def _extra(name: str, value: Any) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": value}


def deepseek(asked: Asked) -> Response:
    """Keeps connections alive with comments, counts the cache by names of its own, and may run out of resources.

    - keep-alive: https://api-docs.deepseek.com/quick_start/rate_limit
    - finish reasons, counts: https://api-docs.deepseek.com/api/create-chat-completion
    - 402: https://api-docs.deepseek.com/quick_start/error_codes
    """
    if "broke" in asked.said:
        error = {
            "message": "Insufficient Balance",
            "type": "unknown_error",
            "param": None,
            "code": "invalid_request_error",
        }
        return refused({"error": error}, 402)
    finish = "insufficient_system_resource" if "busy" in asked.said else "stop"
    cached = {
        "prompt_cache_hit_tokens": 1,
        "prompt_cache_miss_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    counts = usage(2, 5, **cached, completion_tokens_details={"reasoning_tokens": 2})
    if not asked.body.get("stream"):
        message = {"content": "Hello world", "reasoning_content": "I greet."}
        return whole(asked, message, finish, usage=counts, system_fingerprint="fp_ffc7281d48_prod0820_fp8_kvcache")
    return stream(
        ": keep-alive\n\n",
        ": keep-alive\n\n",
        event({"role": "assistant", "content": None, "reasoning_content": ""}, usage=None),
        event({"content": None, "reasoning_content": "I greet."}, usage=None),
        event({"content": "Hello", "reasoning_content": None}, usage=None),
        event({"content": " world", "reasoning_content": None}, usage=None),
        event({"content": "", "reasoning_content": None}, finish, usage=counts),
        DONE,
    )


def moonshot(asked: Asked) -> Response:
    """Counts inside the choice, continues messages marked `partial`, and has tools that are no functions.

    - usage: https://github.com/earendil-works/pi/issues/2017
    - `partial`: https://platform.moonshot.ai/docs/api/partial, `$web_search`: https://platform.moonshot.ai/docs/guide/use-web-search
    - quota: https://platform.moonshot.ai/docs/api/chat#error-codes
    """
    if "broke" in asked.said:
        message = "Your account is suspended due to insufficient balance, please recharge your account."
        return refused({"error": {"message": message, "type": "exceeded_current_quota_error"}}, 429)
    begun = asked.body["messages"][-1]
    text = " world" if begun.get("partial") else "Hello world"
    counts = usage(2, 5, cached_tokens=1)
    if not asked.body.get("stream"):
        return whole(asked, {"content": text, "reasoning_content": "I greet."}, "stop", usage=counts)
    return stream(
        event({"role": "assistant", "content": ""}),
        event({"reasoning_content": "I greet."}),
        event({"content": text}),
        event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": counts}]),
        DONE,
    )
