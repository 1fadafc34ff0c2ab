"""What the providers' answers are made of: events of a stream and JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Asked:
    """One request as a provider saw it; `before` is how many it saw before."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    before: int

    @property
    def said(self) -> str:
        """What the user said last."""
        texts = [one["content"] for one in self.body["messages"] if one["role"] == "user"]
        last = texts[-1]
        return last if isinstance(last, str) else " ".join(part.get("text", "") for part in last)

    @property
    def include_usage(self) -> bool:
        """Whether the stream shall end with the usage."""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))


def event(delta: Mapping[str, Any] | None = None, finish: str | None = None, **more: Any) -> str:
    """One event of a stream with one choice; `more` are fields beside it, which replace it as `choices`."""
    choice: dict[str, Any] = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "m"}
    return data({**body, "choices": [choice], **more})


def data(body: Any) -> str:
    """One event."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def stream(*events: str, headers: Mapping[str, str] | None = None) -> Response:
    """The events, each written by itself."""

    async def written() -> AsyncIterator[bytes]:
        for one in events:
            yield one.encode()

    return StreamingResponse(written(), media_type="text/event-stream", headers=dict(headers or {}))


def whole(asked: Asked, message: Mapping[str, Any], finish: str, **more: Any) -> Response:
    """The response to a request without a stream."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": asked.body["model"]}
    return JSONResponse({**body, "choices": [choice], **more})


def usage(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    """Token counts."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**counts, **more}


def refused(body: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An error."""
    return JSONResponse(body, status, headers=dict(headers or {}))
