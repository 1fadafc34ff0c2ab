"""How the server answers a chat: always the same to the same request, and so that what was dropped on the way shows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.upstream.conversation import Conversation
from tests.support.upstream.schema import Filler, quoted

WORD = 4
"""Letters that a word of a tool's name has at least, where saying it means the tool."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One choice, before it is in the form of the API."""

    content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    function_call: dict[str, str] | None = None
    finish: str = "stop"


def answer(chat: Conversation, choice: int) -> Answer:
    """The answer number `choice` to a chat."""
    reasoning = _reasoning(chat)
    if tools := _tools_to_call(chat):
        calls = [(tool, arguments) for tool in tools for arguments in _arguments(tool, chat)]
        if chat.body.get("functions"):
            name, arguments = calls[0][0]["name"], calls[0][1]
            return Answer(
                reasoning=reasoning, function_call={"name": name, "arguments": arguments}, finish="function_call"
            )
        if chat.body.get("parallel_tool_calls") is False:
            calls = calls[:1]
        made = tuple(_call(len(chat.messages), n, tool, arguments) for n, (tool, arguments) in enumerate(calls))
        return Answer(reasoning=reasoning, tool_calls=made, finish=_finish_of_calls(chat))
    if "refuse" in chat.text:
        return Answer(reasoning=reasoning, refusal="I can't help with that.")
    content, finish = _cut(_text(chat, choice), chat.body)
    return Answer(content=content, reasoning=reasoning, finish=finish)


def pieces(text: str) -> list[str]:
    """The tokens of a text: words with the spaces before them."""
    return re.findall(r"\s*\S+(?:\s+\Z)?|\s+", text)


def _text(chat: Conversation, choice: int) -> str:
    format = chat.body.get("response_format") or {"type": "text"}
    if format["type"] == "json_schema":
        return json.dumps(Filler(format["json_schema"]["schema"], chat.text).value(), ensure_ascii=False)
    if format["type"] == "json_object":
        return json.dumps({key: f"a {key}" for key in quoted(chat.text)} or {"answer": chat.text}, ensure_ascii=False)
    if chat.results:
        said = f"The tools returned: {' | '.join(chat.results)}"
    else:
        said = f"{chat.asked.get('name') or 'You'} said: {chat.text}"
    return said if choice == 0 else f"{said} (choice {choice})"


def _cut(text: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """The text up to a stop string and within the tokens that it may have, and the finish reason."""
    stop = body.get("stop") or []
    ends = [text.index(end) for end in ([stop] if isinstance(stop, str) else stop) if end and end in text]
    text = text[: min(ends)] if ends else text
    limit, tokens = body.get("max_completion_tokens") or body.get("max_tokens"), pieces(text)
    if limit is not None and len(tokens) > limit:
        return "".join(tokens[:limit]), "length"
    return text, "stop"


def _reasoning(chat: Conversation) -> str | None:
    if "reasoner" not in chat.body["model"]:
        return None
    effort = chat.body.get("reasoning_effort")
    thought = f"The user wrote {len(chat.text)} characters.{f' I think with {effort} effort.' if effort else ''}"
    return f"{thought} Before, I thought: {chat.thoughts[-1]}" if chat.thoughts else thought


def _functions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [tool["function"] for tool in body.get("tools") or ()] + (body.get("functions") or [])


def _tools_to_call(chat: Conversation) -> Sequence[dict[str, Any]]:
    """The functions to call now: the one that is asked for, one where one is required, else those that are meant."""
    functions = _functions(chat.body)
    choice = chat.body.get("tool_choice", chat.body.get("function_call", "auto"))
    if not functions or choice == "none":
        return ()
    if isinstance(choice, dict):
        name = (choice.get("function") or choice)["name"]
        return [one for one in functions if one["name"] == name]
    if choice == "required":
        return [next((one for one in functions if one["name"] not in chat.called), functions[-1])]
    if chat.results:
        return ()
    said = chat.text.lower()
    return [one for one in functions if any(word in said for word in one["name"].split("_") if len(word) >= WORD)]


def _arguments(function: Mapping[str, Any], chat: Conversation) -> list[str]:
    """The arguments of each call: a function of one text is called for every quoted text."""
    schema = function.get("parameters") or {"type": "object"}
    properties, texts = schema.get("properties", {}), quoted(chat.text)
    if len(texts) > 1 and len(properties) == 1 and next(iter(properties.values())).get("type") == "string":
        return [json.dumps({next(iter(properties)): text}, ensure_ascii=False) for text in texts]
    value = Filler({"type": "object", **schema}, chat.text).value()
    return [json.dumps(value, ensure_ascii=False)]


def _call(turn: int, number: int, function: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    name = {"name": function["name"], "arguments": arguments}
    return {"id": f"call_{turn}_{number}", "type": "function", "function": name}


def _finish_of_calls(chat: Conversation) -> str:
    """A named tool ends with `stop`, as at OpenAI."""
    return "stop" if isinstance(chat.body.get("tool_choice"), dict) else "tool_calls"
