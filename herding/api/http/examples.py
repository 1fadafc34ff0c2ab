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
RUN: Json = {
    "parameters": [
        {
            "name": "variables",
            "in": "query",
            "description": "each variable of the prompt by its name: `?name=Ada`; those left out have their defaults",
            "style": "form",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            "example": {"name": "Ada"},
        }
    ]
}
"""What the description of a link's query cannot know from the code."""

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
    "checks": {"ok": True, "reason": None},
    "routing": {
        "policy": "only",
        "reason": "herding/cria is the only model that can answer; local serves it",
        "candidates": [
            {"model": "herding/cria", "node": "local", "share": 1.0, "excluded": None},
            {
                "model": "HuggingFaceTB/SmolLM2-360M-Instruct",
                "node": None,
                "share": None,
                "excluded": "no node serves it",
            },
        ],
        "attempts": [
            {
                "number": 1,
                "node": "local",
                "model": "herding/cria",
                "started_at": 1_790_000_000_000,
                "total_ms": 180.5,
                "error_type": None,
                "error": None,
            }
        ],
    },
}
EVENTS = (
    f'event: start\ndata: {{"request_id": "{REQUEST_ID}", "model": "herding/cria", "node": "local", "reason": "..."}}'
    '\n\nevent: delta\ndata: {"text": "Hello"}\n\nevent: done\ndata: {"request_id": "...", "text": "Hello"}\n\n'
)
SCORE: Json = {"request_id": REQUEST_ID, "score": 5}
FEEDBACK: Json = {"request_id": REQUEST_ID, "comment": "Found both names."}
SCORED: Json = {**SCORE, "comment": "Found both names."}
PREFERENCE: Json = {"better": REQUEST_ID, "worse": "1c0d6bd2e6f95b6fae7f30505cf5c107", "verdict": "better"}
NEW_PROMPT: Json = {
    "name": "Greeting",
    "description": "Greets somebody by name.",
    "label": "dev",
    "target_models": ["herding/cria"],
    "variables": {"name": {"type": "text", "default": "Ada", "max_chars": 60}},
    "messages": [{"role": "user", "content": "Greet {{name}} in one sentence."}],
    "parameters": {"temperature": 0.3, "max_tokens": 30},
    "checks": {"max_words": 20},
    "message": "first draft",
}
PROMPT: Json = {
    "key": "greeting",
    "version": 3,
    "newest": 4,
    "name": "Greeting",
    "label": "prod",
    "labels": {"prod": 3, "dev": 4},
    "roles": None,
    "cors": [],
    "target_models": ["herding/cria"],
    "variables": {"name": {"type": "text", "default": "Ada"}},
    "body": "messages:\n- role: user\n  content: Hello {{name}}\n",
    "served": {"herding/cria": ["local"]},
    "stats": {"uses": 3, "rated": 1, "mean_stars": 5.0, "last_used_at": 1795238503934},
}
ONE_PROMPT: Json = {**PROMPT, "content": {name: value for name, value in NEW_PROMPT.items() if name != "message"}}
VERSION: Json = {
    "number": 3,
    "author": "ada",
    "message": "shorter",
    "source": "ui",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-01-31T12:00:00.000+00:00",
}
ONE_VERSION: Json = {**VERSION, "key": "greeting", "labels": ["prod"], "content": ONE_PROMPT["content"]}
DIFF: Json = {
    "fields": [
        {
            "section": "template",
            "name": "messages.1.content",
            "old": "Greet {{name}}.",
            "new": "Greet {{name}} warmly.",
            "lines": [
                {
                    "kind": "changed",
                    "old": [{"text": "Greet {{name}}", "changed": False}, {"text": ".", "changed": False}],
                    "new": [{"text": "Greet {{name}}", "changed": False}, {"text": " warmly", "changed": True}],
                    "old_number": 1,
                    "new_number": 1,
                }
            ],
        }
    ]
}
SET_LABEL: Json = {"version": 3, "message": "tested by Hanna"}
LABEL_MOVE: Json = {
    "id": 7,
    "key": "greeting",
    "label": "prod",
    "version": 3,
    "previous": 2,
    "author": "ada",
    "message": "tested by Hanna",
    "at": "2026-01-31T12:00:00.000+00:00",
    "undoes": None,
}
CONFLICT: Json = {"key": "greeting", "base": 2, "ours": 3, "theirs": 4, "at": "2026-01-31T12:00:00.000+00:00"}
CHOICE: Json = {"version": 4, "message": "the file is right"}
SAVED: Json = {"key": "greeting", "version": 4, "new": False, "changed": False, "file": "written"}
IMPORTED: Json = {"key": "greeting", "saved": SAVED, "error": None}
DRAFT: Json = {
    "variables": {"name": "Hanna"},
    "template": None,
    "parameters": {"temperature": 0.2},
    "whole": None,
    "base": 3,
}
KEPT: Json = {"key": "greeting", **DRAFT, "updated_at": "2026-01-31T12:00:00.000+00:00"}
ENTRY: Json = {
    **ANSWER,
    "status": "succeeded",
    "created_at": "2026-01-31T12:00:00.000+00:00",
    "score": 5,
    "comment": None,
}
HISTORY: Json = {"entries": [ENTRY], "total": 1, "offset": 0, "limit": 25}
NODE: Json = {"name": "local", "kind": "local", "status": {"state": "ready", "serves": ["herding/cria"]}}
NODE_EVENT: Json = {
    "at": "2026-01-31T12:00:00.000+00:00",
    "node": "local",
    "kind": "ejected",
    "detail": "cannot be reached: 3 failures in a row; ejected for 5 s",
}
NEW_NODE: Json = {
    "kind": "template",
    "name": "chatglm",
    "models": ["chatglm2-6b"],
    "url": "http://127.0.0.1:8008/api/generate",
    "headers": {"Authorization": "Bearer {SECRET}"},
    "body": {"input": "{USER_PROMPT}", "model_name": "{MODEL_NAME}", "temperature": "{MODEL_TEMPERATURE}"},
    "response_extract": "data.items[].attributes.answer",
    "secret": "sk-...",
    "owner": "operategpt",
}
ADDED_NODE: Json = {
    "name": "chatglm",
    "kind": "template",
    "config": {name: value for name, value in NEW_NODE.items() if name not in ("secret", "owner")},
    "origin": "http://127.0.0.1:8008",
    "owner": "operategpt",
    "added_by": "ada",
    "at": "2026-01-31T12:00:00.000+00:00",
}
TRIAL: Json = {**NEW_NODE, "prompt": "who are you?"}
EXCHANGE: Json = {
    "line": "POST http://127.0.0.1:8008/api/generate",
    "sent": ["authorization: Bearer [key removed]"],
    "body": '{"input":"who are you?","model_name":"chatglm2-6b","temperature":0.7}',
    "status": 200,
    "received": ["content-type: application/json"],
    "answer": '"I am ChatGLM2-6B."',
    "extracted": "I am ChatGLM2-6B.",
    "error": None,
    "milliseconds": 41.5,
}
OFFLINE: Json = {"model_name": "chatglm2-6b", "req_url_template": "http://127.0.0.1:8008/api/generate"}
REGISTER: Json = {
    **OFFLINE,
    "body": {"input": "{USER_PROMPT}", "model_name": "{MODEL_NAME}"},
    "owner": "operategpt",
    "response_extract": "",
}
REGISTERED: Json = {"success": True, "msg": "register LLM chatglm2-6b succeed!"}
WORKERS: Json = {"success": True, "data": [OFFLINE]}
GONE_OFFLINE: Json = {
    "success": True,
    "msg": "remove llm worker(model_name=chatglm2-6b, url=http://127.0.0.1:8008/api/generate) succeed!",
}
SWITCH: Json = {"model": "herding/cria", "stream": False}
MODEL: Json = {
    "id": "herding/cria",
    "nodes": ["local"],
    "embeds": [],
    "offered_by": ["local"],
    "prompts": ["greeting"],
    "stats": {"total": 40, "errors": 1, "error_rate": 0.025, "ok_rate": 0.975, "share": 0.8},
}
RESET: Json = {"prompt": "greeting", "at": "2026-01-31T12:00:00.000+00:00", "by": "ada"}
INSIGHTS: Json = {
    "prompt": "greeting",
    "version": 3,
    "days": 30,
    "since": "2026-01-01T12:00:00.000+00:00",
    "until": "2026-01-31T12:00:00.000+00:00",
    "routing": {"policy": "stars", "pinned": None, "explore": True, "slow_ms": 2500, "fast_ms": 900},
    "cells": [
        {
            "version": 3,
            "edited": False,
            "model": "herding/cria",
            "requests": 40,
            "errors": 1,
            "error_rate": 0.025,
            "check_failure_rate": 0.1,
            "rated": 4,
            "mean_stars": 4.5,
            "low": 3.93,
            "high": 5.0,
            "p50_ms": 240.0,
            "p95_ms": 810.0,
            "input_tokens": 42.5,
            "output_tokens": 17.1,
            "share": 1.0,
        }
    ],
    "models": [
        {
            "model": "herding/cria",
            "share": 1.0,
            "quality": 0.86,
            "why": "4.5 stars from 4 ratings; fails 2 % of the time",
            "against": None,
        }
    ],
    "buckets": [{"at": "2026-01-31T00:00:00.000+00:00", "model": "herding/cria", "requests": 40}],
    "bucket_ms": 86400000,
    "total": 40,
    "read": 40,
    "reset": None,
}
PROGRESS = 'event: progress\ndata: {"fraction": 0.5, "stage": "loading", "done": false}\n\n'
SEED_CHAT: Json = {"input": "Hello! Who are you?", "model_name": "herding/cria"}
SEED_ANSWER: Json = {"success": True, "msg": "execute succeed", "result": "I am cria."}
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
EMBEDDINGS: Json = {"model": "BAAI/bge-m3", "input": ["Hanna likes sushi.", "Food from Japan"]}
EMBEDDINGS_ANSWER: Json = {
    "object": "list",
    "data": [
        {"object": "embedding", "index": 0, "embedding": [0.012, -0.034]},
        {"object": "embedding", "index": 1, "embedding": [0.015, -0.029]},
    ],
    "model": "BAAI/bge-m3",
    "usage": {"prompt_tokens": 11, "total_tokens": 11},
}
OPENAI_MODEL: Json = {"id": "herding/cria", "object": "model", "created": 0, "owned_by": "local"}
LIMIT: Json = {"type": "request", "interval": 24, "limit": 500}
NEW_USER: Json = {"id": "ada", "name": "Ada", "role": "user", "limits": [LIMIT]}
CHANGE_OF_USER: Json = {"role": "rater", "limits": [LIMIT]}
USER: Json = {**NEW_USER, "opt_out_history_content": False, "disabled": False, "created_at": "2026-01-31T12:00:00.000Z"}
NEW_TOKEN: Json = {"user": "ada", "name": "web shop", "role": "rater", "expires_in_days": 90}
TOKEN: Json = {
    "id": "4pWm2QzT8sXc",
    "user": "ada",
    "name": "web shop",
    "role": "rater",
    "created_at": "2026-01-31T12:00:00.000+00:00",
    "created_by": "admin",
    "expires_at": "2026-05-01T12:00:00.000+00:00",
    "revoked_at": None,
    "last_used_at": None,
}
MADE_TOKEN: Json = {"token": "hl_4pWm2QzT8sXc_...", **TOKEN}
ME: Json = {
    "id": "ada",
    "name": "Ada",
    "role": "user",
    "rights": ["chat", "run"],
    "tabs": ["engineer", "overview"],
    "nodes": ["*"],
    "prompts": ["*"],
    "limits": [LIMIT],
    "opt_out_history_content": False,
    "token": {"id": "4pWm2QzT8sXc", "expires_at": None},
}
USE: Json = {**LIMIT, "used": 37, "frees_at": "2026-02-01T08:12:00.000+00:00"}
ROLES: Json = {"text": "roles:\n  guest: ...", "digest": "9f86d0...", "problem": None}
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


def answers(example: Any, *, events: str | None = None, error: Any = ERROR, status: int = 200) -> dict[int | str, Json]:
    """What an operation answers, for the documentation: JSON, the same as events where it can stream, and errors."""
    content: Json = {"application/json": {"example": example}}
    if events:
        content["text/event-stream"] = {"example": events}
    return {status: {"description": "OK", "content": content}, **refusals(error)}


def refusals(error: Any = ERROR) -> dict[int | str, Json]:
    """What an operation answers when it cannot do what it should."""
    refused = {
        "description": "An error; the message says what to do",
        "content": {"application/json": {"example": error}},
    }
    return {"4XX": refused, "5XX": refused}
