"""Events that add nothing but text are read at a glance, and to the same effect as all others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from herding.nodes.responses import openai_response
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
    event(says(" eight", finish_reason="length")),
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
