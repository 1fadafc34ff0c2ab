"""The parts of messages that are no text, as HTML: reasoning, tool calls, images, and further choices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.kit.format import chip, el, join, panel, plural
from herding.values import TEXT_PARTS, Choice, Outcome

_PICTURE = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
"""An image that is part of the page. Others are not loaded: their server would learn who reads what."""

_IMAGE_PARTS = ("image_url", "input_image", "image")


def response_parts(outcome: Outcome) -> Markup:
    """Return all of a response besides the text of its first choice; empty for a plain text."""
    first, others = outcome.first, outcome.choices[1:]
    note = el("p", outcome.note, cls="muted") if outcome.note and not outcome.refusal else None
    ignored = f"Not sent, since {outcome.node} does not take it: {', '.join(outcome.ignored)}."
    return join(
        (
            *_choice_parts(first),
            note,
            el("p", ignored, cls="muted") if outcome.ignored else None,
            el("details", el("summary", plural(len(others), "more choice")), *map(_choice, others), cls="choices")
            if others
            else None,
        )
    )


def reasoning_block(text: str) -> Markup:
    """Return reasoning, folded."""
    head = el("summary", "Reasoning", el("span", f" {plural(len(text.split()), 'word')}", cls="muted"))
    return el("details", head, el("div", text, cls="reasoning-text"), cls="reasoning")


def tool_call_cards(calls: Iterable[Any]) -> Markup:
    """Return tool calls as cards with the name of the tool and its arguments."""
    return join(_card(call) for call in calls if isinstance(call, Mapping))


def message_body(body: Mapping[str, Any]) -> Markup:
    """Return the content of a message in OpenAI's form."""
    content, calls = body.get("content"), body.get("tool_calls")
    thought = body.get("reasoning_content") or body.get("reasoning")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    called = body.get("tool_call_id") or body.get("name")
    return join(
        (
            el("p", f"{called}", cls="muted") if called else None,
            reasoning_block(thought) if isinstance(thought, str) and thought else None,
            *map(_part, parts),
            tool_call_cards(calls) if isinstance(calls, list) else None,
        )
    )


def _choice(choice: Choice) -> Markup:
    text = el("pre", choice.text, cls="code", tabindex="0") if choice.text else None
    return el("div", chip(f"Choice {choice.index + 1}"), *_choice_parts(choice), text, cls="turn")


def _choice_parts(choice: Choice) -> list[Markup]:
    fields, parts = choice.fields, list[Markup]()
    if choice.reasoning:
        parts.append(reasoning_block(choice.reasoning))
    if isinstance(refusal := fields.get("refusal"), str) and refusal:
        parts.append(panel("warn", "The model refused", el("p", refusal)))
    if isinstance(calls := fields.get("tool_calls"), list):
        parts.append(tool_call_cards(calls))
    if isinstance(call := fields.get("function_call"), Mapping):
        parts.append(tool_call_cards([{"function": call}]))
    if isinstance(images := fields.get("images"), list):
        parts.extend(map(_part, images))
    return parts


def _card(call: Mapping[str, Any]) -> Markup:
    called = call.get("function") or call.get("custom")
    function: Mapping[str, Any] = called if isinstance(called, Mapping) else {}
    arguments = function.get("arguments", function.get("input", ""))
    head = el("div", chip("Tool call", "accent"), el("b", str(function.get("name") or "unnamed")), cls="tool-head")
    return el("div", head, el("pre", _pretty(arguments), cls="code", tabindex="0"), cls="tool-call")


def _pretty(arguments: Any) -> str:
    """Return arguments as indented JSON, or as they are if they are no JSON."""
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
        return json.dumps(given, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return str(arguments)


def _part(part: Any) -> Markup:
    """Return one part of a message; an image of the message itself is shown, all else is named."""
    if not isinstance(part, Mapping):
        return Markup()
    kind = str(part.get("type"))
    if kind in TEXT_PARTS:
        return el("pre", str(part.get("text") or ""), cls="code", tabindex="0")
    found = part.get(kind)
    url = found.get("url") if isinstance(found, Mapping) else found
    if kind in _IMAGE_PARTS and isinstance(url, str) and _PICTURE.fullmatch(url):
        return el("img", src=url, alt="Image of this message", cls="picture", loading="lazy")
    words = url if isinstance(url, str) and not url.startswith("data:") else _name(found)
    return el("p", chip(kind.removesuffix("_url").replace("_", " ").capitalize()), f" {words}", cls="part")


def _name(found: Any) -> str:
    """Return what is known of a part that is not shown: its name, format or note."""
    if isinstance(found, str):
        return found[:200] if not found.startswith("data:") else found.partition(";")[0].removeprefix("data:")
    if not isinstance(found, Mapping):
        return ""
    names = [str(found[key])[:200] for key in ("filename", "name", "format", "file_id") if found.get(key)]
    data = next((found[key] for key in ("data", "file_data") if isinstance(found.get(key), str)), "")
    if data.startswith("("):  # the note of one that is too large to be stored
        return data
    return ", ".join([*names, f"{len(data):,} characters"] if data else names)
