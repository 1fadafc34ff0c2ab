"""What a chat request says: texts, pictures, sounds and files of its messages, and the tools that it offers."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^,]*)?;base64,(.*)", re.DOTALL)


class Refused(Exception):
    """A request that the server does not take; `status`, `code` and `param` are those of the error body."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status


def text_of(content: Any) -> str:
    """The text of a message; what is not text is described with its size, which shows that it came whole."""
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(filter(None, map(_part, content)))


def _part(part: Mapping[str, Any]) -> str:
    match part["type"]:
        case "text":
            return str(part["text"])
        case "refusal":
            return f"[refused: {part['refusal']}]"
        case "image_url":
            detail = part["image_url"].get("detail")
            return f"[image {_data(part['image_url']['url'])}{f', detail {detail}' if detail else ''}]"
        case "input_audio":
            audio = part["input_audio"]
            return f"[audio {audio['format']}, {len(base64.b64decode(audio['data'], validate=True))} bytes]"
        case "file":
            file = part["file"]
            if "file_id" in file:
                return f"[file {file['file_id']}]"
            return f"[file {file.get('filename', 'unnamed')} {_data(file['file_data'])}]"
        case "video_url":
            return f"[video {_data(part['video_url']['url'])}]"
    raise Refused(f"Invalid value: '{part['type']}'.", param="messages", code="invalid_value")


def _data(url: str) -> str:
    found = _DATA_URL.fullmatch(url)
    return f"{found[1]}, {len(base64.b64decode(found[2], validate=True))} bytes" if found else url


def check(messages: Any) -> None:
    """Raise Refused where the results of tools do not belong to calls of the message before them, as OpenAI does."""
    if not isinstance(messages, list) or not messages:
        raise Refused("Invalid 'messages': empty array.", param="messages", code="empty_array")
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                text = "Invalid parameter: messages with role 'tool' must be a response to a preceding 'tool_calls'."
                raise Refused(text, param=f"messages.[{place}].role")
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            text = "An assistant message with 'tool_calls' must be followed by tool messages for each 'tool_call_id'."
            raise Refused(f"{text} Missing: {', '.join(sorted(waiting))}.", param=f"messages.[{place}].role")
        waiting = {call["id"] for call in message.get("tool_calls") or ()}


class Conversation:
    """A chat request. `text` is what the user said last."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.messages: list[dict[str, Any]] = body["messages"]
        self.last = self.messages[-1]
        self._since = max((n for n, one in enumerate(self.messages) if one["role"] == "user"), default=-1)
        self.asked = self.messages[self._since] if self._since >= 0 else {"content": ""}
        self.text = text_of(self.asked["content"])

    @property
    def results(self) -> list[str]:
        """The results of tools and functions at the end of the chat."""
        found = []
        for message in reversed(self.messages):
            if message["role"] not in ("tool", "function"):
                break
            found.append(text_of(message["content"]))
        return found[::-1]

    @property
    def called(self) -> set[str]:
        """The tools that were called since the user said something."""
        later = self.messages[self._since + 1 :]
        return {call["function"]["name"] for one in later for call in one.get("tool_calls") or ()}

    @property
    def thoughts(self) -> list[str]:
        """The reasoning that came back with earlier messages."""
        return [one["reasoning_content"] for one in self.messages if one.get("reasoning_content")]
