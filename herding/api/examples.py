"""Examples for the interactive documentation."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

REQUEST_ID = "0b9c5ac1d5e84a5f9e6f2f4f4be4b0f6"
INFER: Json = {
    "prompt": "entity_recognition",
    "variables": {"categories": "[person, food]", "text": "Hanna likes sushi."},
    "parameters": {"max_tokens": 100},
}
TEXT = '{"person": ["Hanna"], "food": ["sushi"]}'
ANSWER: Json = {
    "request_id": REQUEST_ID,
    "text": TEXT,
    "prompt": "entity_recognition",
    "version": 1,
    "variant": None,
    "model": "herding/cria",
    "node": "local",
    "finish_reason": "stop",
    "usage": {"input_tokens": 61, "output_tokens": 17, "source": "node"},
    "timings": {"queued_ms": 0.4, "first_token_ms": 35.2, "total_ms": 180.9},
    "contract": {"ok": True, "reason": None},
    "routing": {"policy": "least_busy", "reason": "only local serves it", "candidates": None, "attempts": []},
}
EVENTS = (
    f'event: start\ndata: {{"request_id": "{REQUEST_ID}", "model": "herding/cria", "node": "local", "reason": "..."}}'
    '\n\nevent: delta\ndata: {"text": "Hello"}\n\nevent: done\ndata: {"request_id": "...", "text": "Hello"}\n\n'
)
SCORE: Json = {"request_id": REQUEST_ID, "score": 5}
FEEDBACK: Json = {"request_id": REQUEST_ID, "comment": "Found both names."}
SCORED: Json = {**SCORE, "comment": "Found both names."}
PROMPT: Json = {
    "key": "greeting",
    "name": "Greeting",
    "label": "prod",
    "target_models": ["herding/cria"],
    "variables": {"name": {"type": "text", "default": "Ada"}},
    "body": "messages:\n- role: user\n  content: Hello {{name}}\n",
    "served": {"herding/cria": ["local"]},
    "stats": {"uses": 3, "rated": 1, "mean_stars": 5.0},
}
ENTRY: Json = {
    **ANSWER,
    "status": "succeeded",
    "created_at": "2026-01-31T12:00:00.000+00:00",
    "score": 5,
    "comment": None,
}
HISTORY: Json = {"entries": [ENTRY], "total": 1, "offset": 0, "limit": 25}
NODE: Json = {"name": "local", "kind": "local", "status": {"state": "ready", "serves": ["herding/cria"]}}
SWITCH: Json = {"model": "herding/cria", "stream": False}
MODEL: Json = {"id": "herding/cria", "nodes": ["local"], "offered_by": ["local"], "prompts": ["greeting"]}
PROGRESS = 'event: progress\ndata: {"fraction": 0.5, "stage": "loading", "done": false}\n\n'
SEED_CHAT: Json = {"input": "Hello! Who are you?", "model_name": "herding/cria"}
SEED_ANSWER: Json = {"success": True, "msg": "herding/cria on local answered", "result": "I am cria."}
CHAT: Json = {"model": "herding/cria", "messages": [{"role": "user", "content": "Hello! Who are you?"}]}
COMPLETION: Json = {"model": "herding/cria", "prompt": "Hello", "max_tokens": 50}
USAGE: Json = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
CHAT_ANSWER: Json = {
    "id": f"chatcmpl-{REQUEST_ID}",
    "object": "chat.completion",
    "created": 1769860800,
    "model": "herding/cria",
    "system_fingerprint": None,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "I am cria.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}
COMPLETION_ANSWER: Json = {
    **CHAT_ANSWER,
    "id": f"cmpl-{REQUEST_ID}",
    "object": "text_completion",
    "choices": [{"index": 0, "text": ", world", "logprobs": None, "finish_reason": "stop"}],
}
OPENAI_MODEL: Json = {"id": "herding/cria", "object": "model", "created": 0, "owned_by": "local"}
ERROR: Json = {
    "error": {"type": "not_found", "message": "There is no prompt 'x'.", "param": "prompt", "request_id": None}
}
OPENAI_ERROR: Json = {
    "error": {
        "message": "No node serves x.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
}


def answers(example: Any, *, events: str | None = None, error: Any = ERROR) -> dict[int | str, Json]:
    """What an operation answers, for the documentation: JSON, the same as events where it can stream, and errors."""
    content: Json = {"application/json": {"example": example}}
    if events:
        content["text/event-stream"] = {"example": events}
    refused = {
        "description": "An error; the message says what to do",
        "content": {"application/json": {"example": error}},
    }
    return {200: {"description": "OK", "content": content}, "4XX": refused, "5XX": refused}
