"""Events that add nothing but text are read at a glance, and to the same effect as all others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from herding.nodes.responses import openai_response
from herding.nodes.responses.openai_choices import plain_text
from herding.nodes.responses.openai_response import StreamReader
from herding.values import Chunk


def event(*choices: Any, **more: Any) -> str:
    return json.dumps({"id": "1", "object": "chat.completion.chunk", "choices": list(choices), **more})


def says(text: Any, **more: Any) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": text}, "finish_reason": None, **more}


EVENTS = [
    event(says("One", logprobs=None), usage=None),
    event(says(" two"), says("Eins", index=1)),
    event(says(" three"), usage={"prompt_tokens": 3, "completion_tokens": 3}),
    event(says(" four", logprobs={"content": []})),
    event({"index": 0, "delta": {"content": " five", "reasoning_content": "Hm."}}),
    event(says([{"type": "text", "text": " six"}])),
    event(says(None)),
    event(says(" seven"), provider="somebody"),
    event(says("", message={"content": "all again"}), system_fingerprint="fp"),
    event({"index": 0, "message": {"content": "all again"}}),
    event(says(" eight"), x_groq={"usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
    event(says(" nine", stop_reason=None, token_ids=None, matched_stop=None), obfuscation="xyz"),
    event(says(" ten", stop_reason=2)),
    event({"index": 0, "delta": {"role": "assistant", "content": " 11", "reasoning": None, "tool_calls": []}}),
    event({"index": 0, "delta": {"content": " 12", "annotations": [{"url": "https://example.org"}]}}),
    event(says(" 13"), depth=json.loads("[" * 90 + "]" * 90)),
    event({"delta": {"content": " 14"}, "index": None}),
    event(says(" 15\ud800"), service_tier="default"),
    event(says(" 16"), nan=float("nan")),
    event(says(" 17", finish_reason="length")),
]


def result(events: list[str]) -> tuple[list[Chunk], Any, Any]:
    reader = StreamReader("n")
    chunks = [chunk for one in events for chunk in reader.read([one.encode()])]
    return chunks, reader.finish(), reader.usage


@pytest.mark.parametrize("first", range(len(EVENTS) - 1))
def test_reading_at_a_glance_changes_nothing(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    events = EVENTS[first:-1] + EVENTS
    quick = result(events)
    monkeypatch.setattr(openai_response, "plain_text", lambda _: None)
    assert quick == result(events)


@pytest.mark.parametrize(
    "plain",
    [
        event(says("x", logprobs=None), obfuscation="xyz", service_tier="default", usage=None),  # OpenAI
        event(says("x", logprobs=None, token_ids=None)),  # vLLM
        event(says("x", logprobs=None, matched_stop=None)),  # SGLang
        event({"index": 0, "delta": {"role": "assistant", "content": "x"}, "finish_reason": None}),  # Ollama, Gemini
        event(says("x", native_finish_reason=None, logprobs=None), provider="somebody"),  # OpenRouter
    ],
)
def test_events_of_common_servers_are_plain(plain: str) -> None:
    assert plain_text(plain.encode()) == "x"
