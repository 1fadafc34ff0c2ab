"""Servers for one's own machines: vLLM, llama.cpp, Ollama, Text Generation Inference."""

from __future__ import annotations

import json

from starlette.responses import Response

from tests.support.providers.wire import DONE, Asked, data, event, refused, stream, usage, whole


def vllm(asked: Asked) -> Response:
    """Reasoning is called `reasoning`, and every event counts where `continuous_usage_stats` is asked for.

    - the name: https://github.com/vllm-project/vllm/pull/27752
    - errors without `error` around them: https://github.com/openai/openai-agents-python/issues/2129
    - an error in a stream, `stop_reason`, `token_ids`: vllm-project/vllm,
      vllm/entrypoints/openai/chat_completion/protocol.py and serving.py
    """
    if "too long" in asked.said:
        message = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
        return refused(
            {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}, 400
        )
    if "crash" in asked.said:
        error = {
            "message": "EngineCore encountered an issue.",
            "type": "InternalServerError",
            "param": None,
            "code": 500,
        }
        return stream(
            event({"role": "assistant", "content": ""}), event({"content": "Hel"}), data({"error": error}), DONE
        )
    ids = asked.body.get("return_token_ids")
    if not asked.body.get("stream"):
        message = {"content": "Hello world", "refusal": None, "audio": None, "tool_calls": [], "reasoning": "I greet."}
        more = {"prompt_logprobs": None, "prompt_token_ids": [1, 2] if ids else None, "kv_transfer_params": None}
        return whole(asked, message, "stop", usage=usage(2, 5, prompt_tokens_details=None), **more)
    return stream(
        event({"role": "assistant", "content": ""}, prompt_token_ids=[1, 2] if ids else None),
        event({"reasoning": "I "}),
        event({"reasoning": "greet."}),
        _vllm("Hello", [7] if ids else None),
        _vllm(" world", [8] if ids else None),
        _vllm("", None, finish="stop"),
        event(choices=[], usage=usage(2, 5, prompt_tokens_details=None)),
        DONE,
    )


def _vllm(text: str, ids: list[int] | None, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish, "stop_reason": None}
    return event(choices=[{**choice, "token_ids": ids}])


def llamacpp(asked: Asked) -> Response:
    """Answers 503 while its model loads, counts in `timings` too, and says by how much a prompt is too long.

    - errors: https://github.com/ggml-org/llama.cpp/pull/15780, https://github.com/ggml-org/llama.cpp/issues/19774
    - loading, `timings`, `reasoning_content`: ggml-org/llama.cpp, tools/server/README.md
    """
    if "loading" in asked.said:
        error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
        return refused({"error": error}, 503)
    if "too long" in asked.said:
        text = "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it"
        error = {
            "code": 400,
            "message": text,
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 4390,
            "n_ctx": 4096,
        }
        return refused({"error": error}, 400)
    timings = {"prompt_n": 2, "predicted_n": 5, "predicted_per_second": 81.5}
    more = {"usage": usage(2, 5), "timings": timings, "system_fingerprint": "b10488-9d77fa172"}
    if not asked.body.get("stream"):
        return whole(asked, {"content": "Hello world", "reasoning_content": "I greet."}, "stop", **more)
    return stream(
        event({"role": "assistant", "content": None}),
        event({"reasoning_content": "I greet."}),
        event({"content": "Hello"}),
        event({"content": " world"}),
        event({}, "stop"),
        event(choices=[], **more),
        DONE,
    )


def ollama(asked: Asked) -> Response:
    """Repeats the role in every event, sends a tool call in one, and takes pictures as data only.

    All of it: ollama/ollama, openai/openai.go and middleware/openai.go
    """
    if "missing" in asked.said:
        message = 'model "mistral" not found, try pulling it first'
        return refused({"error": {"message": message, "type": "not_found_error", "param": None, "code": None}}, 404)
    for message in asked.body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else []
        if any(not part["image_url"]["url"].startswith("data:") for part in parts if part["type"] == "image_url"):
            error = {"message": "invalid image input", "type": "invalid_request_error", "param": None, "code": None}
            return refused({"error": error}, 400)
    call = {"id": "call_k5xqs2l7", "index": 0, "type": "function"}
    function = {"name": "get_weather", "arguments": '{"location":"Paris"}'}
    tools = [{**call, "function": function}] if asked.body.get("tools") else []
    said = {"role": "assistant", "content": "" if tools else "Hello world", "reasoning": "I think."}
    finish = "tool_calls" if tools else "stop"
    more = {"system_fingerprint": "fp_ollama"}
    if not asked.body.get("stream"):
        return whole(asked, {**said, **({"tool_calls": tools} if tools else {})}, finish, usage=usage(2, 5), **more)
    last = [event(choices=[], usage=usage(2, 5), **more)] if asked.include_usage else []
    return stream(
        event({"role": "assistant", "content": "", "reasoning": "I think."}, **more),
        event({"role": "assistant", "content": said["content"], **({"tool_calls": tools} if tools else {})}, **more),
        event({"role": "assistant", "content": ""}, finish, **more),
        *last,
        DONE,
    )


def tgi(asked: Asked) -> Response:
    """Repeats the id of a tool call in every event, ends without an event for it, and calls errors by `error_type`.

    - streams: huggingface/text-generation-inference, router/src/chat.rs
    - errors: huggingface/text-generation-inference, router/src/infer/mod.rs and router/src/server.rs
    """
    if "too long" in asked.said:
        error = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4390 tokens."
        return refused({"error": error, "error_type": "validation"}, 422)
    if "overloaded" in asked.said:
        return refused({"error": "Model is overloaded", "error_type": "overloaded"}, 429)
    if "crash" in asked.said:
        error = {"error": "Request failed during generation: Server error", "error_type": "generation"}
        return stream(event({"role": "assistant", "content": "Hel"}), f"data:{json.dumps(error)}\n\n")
    last = [event(choices=[], usage=usage(2, 5), id="")] if asked.include_usage else []
    if not asked.body.get("tools"):
        said = [
            event({"role": "assistant", "content": "Hello"}),
            event({"role": "assistant", "content": " world"}, "stop"),
        ]
        return stream(*(one.replace("data: ", "data:") for one in (*said, *last, DONE)))
    pieces = ["{", '"location": "Pa', 'ris"', "}"]
    calls = [_tgi_call(piece, "get_weather" if n == 0 else None) for n, piece in enumerate(pieces)]
    return stream(*calls, event({"role": "assistant", "content": ""}, "tool_calls"), *last, DONE)


def _tgi_call(arguments: str, name: str | None) -> str:
    call = {"index": 0, "id": "0", "type": "function", "function": {"name": name, "arguments": arguments}}
    return event({"role": "assistant", "tool_calls": [call]})
