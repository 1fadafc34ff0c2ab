"""Tool calls that models write into their text: which format a chat template uses, and how it is read.

A tokenizer may bring a response template of its own; those of the common families are here. The parser is that of
transformers.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers.utils.chat_parsing import ResponseParser

_log = logging.getLogger(__name__)

ToolCall = dict[str, Any]
"""A tool call in OpenAI's form."""


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """The format in which a model writes tool calls: the response template, and the text with which a call begins."""

    template: Mapping[str, Any]
    marker: str


def _fields(**tool_calls: Any) -> dict[str, Any]:
    calls = {"repeats": True, **tool_calls}
    fields = {"tool_calls": calls, "content": {"content": "text"}}
    return {"defaults": {"role": "assistant"}, "start_anchor": "assistant", "fields": fields}


_HERMES = ToolFormat(
    _fields(open_pattern=r"\s*<tool_call>", close="</tool_call>", content="json"),
    "<tool_call>",
)
_QWEN_XML = ToolFormat(
    _fields(
        open_pattern=r"\s*<tool_call>\s*<function=(?P<name>[^>\n]+)>",
        close_pattern=r"</function>\s*</tool_call>",
        content="xml-inline",
        content_args={"tag_pattern": r"<parameter=(?P<key>[^>\n]+)>\s*(?P<value>.*?)\s*</parameter>"},
        transform={"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
    ),
    "<tool_call>",
)
_MISTRAL = ToolFormat(_fields(open_pattern=r"\s*\[TOOL_CALLS\]", close="</s>", content="json"), "[TOOL_CALLS]")
_LLAMA = ToolFormat({}, "<|python_tag|>")


def find_tool_format(tokenizer: Any) -> ToolFormat | None:
    """Return the format of a tokenizer whose chat template knows tools; None without one that can be read."""
    template = tokenizer.chat_template
    text = "\n".join(template.values()) if isinstance(template, dict) else template or ""
    if "tools" not in text:
        return None
    own = getattr(tokenizer, "response_template", None)
    if isinstance(own, Mapping) and "tool_calls" in own.get("fields", {}):
        return ToolFormat(own, "")
    if "<tool_call>" in text:
        return _QWEN_XML if "<function=" in text else _HERMES
    if "[TOOL_CALLS]" in text and "[ARGS]" not in text:
        return _MISTRAL
    return _LLAMA if "ipython" in text or "<|python_tag|>" in text else None


class ToolCallReader:
    """Separates the tool calls of one response from its text.

    A call is returned when it is complete. What looks like one and is none stays text.
    """

    def __init__(self, tool_format: ToolFormat, *, tools: Sequence[Any]) -> None:
        template = dict(tool_format.template)
        self._parser: Any = ResponseParser(template, "", tools=list(tools)) if template else _WholeJson()
        self._raw = ""
        self._said = 0
        self._broken = False
        self.calls = 0

    def feed(self, text: str) -> tuple[str, list[ToolCall]]:
        """Return the text and the calls that are complete with the next piece."""
        return self._read(text, lambda: self._parser.feed(text))

    def finish(self) -> tuple[str, list[ToolCall]]:
        """Return what was held back at the end of the response."""
        text, calls = self._read("", lambda: self._parser.finalize()[1])
        return text, calls

    def _read(self, text: str, parse: Any) -> tuple[str, list[ToolCall]]:
        self._raw += text
        if self._broken:
            return text, []
        try:
            return self._collect(parse())
        except Exception:  # noqa: BLE001  a model may write anything where a call should be
            _log.info("tool call is not valid", exc_info=True)
            self._broken = True
            return self._raw[self._said :], []

    def _collect(self, events: Iterable[Mapping[str, Any]]) -> tuple[str, list[ToolCall]]:
        texts, calls = list[str](), list[ToolCall]()
        for event in events:
            if event["field"] == "content" and event["type"] == "region_chunk":
                texts.append(event["text"])
                self._said = max(self._said, self._raw.find(event["text"], self._said) + len(event["text"]))
            elif event["field"] == "tool_calls" and event["type"] == "region_close":
                calls += [self._call(found) for found in _as_list(event["value"])]
                self._said = len(self._raw)
        return "".join(texts), calls

    def _call(self, found: Mapping[str, Any]) -> ToolCall:
        """Return a call as OpenAI's API has it. Raises KeyError or TypeError if it has no name."""
        function = found.get("function", found)
        arguments = function.get("arguments", function.get("parameters", {}))
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        index, self.calls = self.calls, self.calls + 1
        return {
            "index": index,
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": str(function["name"]), "arguments": arguments},
        }


class _WholeJson:
    """Reads a response that is one JSON object with a name and parameters, as Llama models write calls."""

    def __init__(self) -> None:
        self._held = ""
        self._is_text = False

    def feed(self, text: str) -> list[dict[str, Any]]:
        """Return the events of a piece of text; nothing while it may be a call."""
        if self._is_text:
            return [_chunk(text)]
        self._held += text
        start = self._held.lstrip()
        if not start or start.startswith(("{", _LLAMA.marker)) or _LLAMA.marker.startswith(start):
            return []
        return self._release()

    def finalize(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the events at the end: calls, or the text that was held back."""
        try:
            found = [json.loads(part) for part in self._held.strip().removeprefix(_LLAMA.marker).split("; ")]
            if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in found):
                raise ValueError("no call")
        except ValueError:
            return {}, self._release() if self._held else []
        return {}, [{"type": "region_close", "field": "tool_calls", "value": found}]

    def _release(self) -> list[dict[str, Any]]:
        held, self._held, self._is_text = self._held, "", True
        return [_chunk(held)]


def _chunk(text: str) -> dict[str, Any]:
    return {"type": "region_chunk", "field": "content", "text": text}


def _as_list(value: Any) -> list[Mapping[str, Any]]:
    return value if isinstance(value, list) else [value]


def template_messages(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages as chat templates read them: the arguments of calls are objects, not JSON in a text."""
    return [_template_message(message) for message in messages]


def _template_message(message: Mapping[str, Any]) -> dict[str, Any]:
    if not message.get("tool_calls"):
        return dict(message)
    calls = [{**call, "function": _with_object(call.get("function") or {})} for call in message["tool_calls"]]
    return {**message, "content": message.get("content") or "", "tool_calls": calls}


def _with_object(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return dict(function)
    return {**function, "arguments": arguments}
