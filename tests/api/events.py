"""Reads server-sent events."""

from __future__ import annotations

import json
from typing import Any

import httpx


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    """Name and data of each event of a finished stream; data that is not JSON stays text."""
    assert response.headers["content-type"].startswith("text/event-stream")
    return [_event(block) for block in response.text.split("\n\n") if block]


def _event(block: str) -> tuple[str, Any]:
    lines = dict(line.split(": ", 1) for line in block.split("\n"))
    data = lines["data"]
    return lines.get("event", ""), json.loads(data) if data != "[DONE]" else data
