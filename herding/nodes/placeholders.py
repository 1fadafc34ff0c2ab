"""Templates of requests: plain JSON whose texts have placeholders, filled in one pass and never changed.

`{USER_PROMPT}` is the raw text, or the last user message. What a chat has besides, and the template has no place of its
own for, goes before it: the system message (place: `{SYSTEM_PROMPT}`), then the earlier turns as `User: ...` and
`Assistant: ...`. `{MESSAGES}` is the whole chat as a list and a place for all of it. `{MODEL_NAME}`,
`{MODEL_TEMPERATURE}` and `{MAX_TOKENS}` are what was asked for; `{SECRET}` and `{SECRET:NAME}` are secrets that the
node was given.

A text that is one placeholder and nothing else becomes its value (a number, a list); where that is not set, the entry
is left out. Inside a longer text it becomes words, or nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from herding.values import Call, Message

USER_PROMPT, MESSAGES, SYSTEM_PROMPT = "USER_PROMPT", "MESSAGES", "SYSTEM_PROMPT"
MODEL_NAME, SECRET = "MODEL_NAME", "SECRET"

_HOLE = re.compile(
    r"\{(USER_PROMPT|SYSTEM_PROMPT|MESSAGES|MODEL_NAME|MODEL_TEMPERATURE|MAX_TOKENS|SECRET(?::[A-Za-z_][A-Za-z0-9_]*)?)\}"
)
_SPEAKERS = {"user": "User", "assistant": "Assistant"}


class _NotSet:
    """In the place of a value that the request does not have."""


NOT_SET: Final = _NotSet()

Values = Mapping[str, Any]
"""What stands for each placeholder, by its name without braces."""


def names(template: Any) -> set[str]:
    """The placeholders in all texts of a template."""
    return {found for text in _texts(template) for found in _HOLE.findall(text)}


def secret_names(template: Any) -> set[str]:
    """The secrets that a template needs; the one without a name is `SECRET`."""
    return {name.removeprefix("SECRET:") for name in names(template) if name.startswith(SECRET)}


def values_of(call: Call, secrets: Mapping[str, str], used: set[str]) -> Values:
    """What the placeholders stand for in one call; `used` are those that the template has."""
    chosen = call.parameters
    return {
        USER_PROMPT: _prompt(call, used),
        SYSTEM_PROMPT: _system(call),
        MESSAGES: [{"role": message.role, "content": message.content} for message in _chat(call)],
        MODEL_NAME: call.model,
        "MODEL_TEMPERATURE": NOT_SET if chosen.temperature is None else chosen.temperature,
        "MAX_TOKENS": NOT_SET if chosen.max_tokens is None else chosen.max_tokens,
        **{f"SECRET:{name}": value for name, value in secrets.items()},
        SECRET: secrets.get(SECRET, ""),
    }


def filled(template: Any, values: Values) -> Any:
    """A new object like `template`, its texts filled; NOT_SET where nothing is left of it."""
    if isinstance(template, str):
        whole = _HOLE.fullmatch(template)
        return values[whole[1]] if whole else filled_text(template, values)
    if isinstance(template, Mapping):
        made = {key: filled(value, values) for key, value in template.items()}
        return {key: value for key, value in made.items() if value is not NOT_SET}
    if isinstance(template, list | tuple):
        return [value for part in template if (value := filled(part, values)) is not NOT_SET]
    return template


def filled_text(template: str, values: Values, encode: Callable[[str], str] = str) -> str:
    """A text with words in the place of its placeholders; what is put in is not looked at again."""
    return _HOLE.sub(lambda hole: encode(words(values[hole[1]])), template)


def filled_url(template: str, values: Values) -> str:
    """A URL in which what is put in stands for itself, whatever its characters."""
    return filled_text(template, values, lambda text: quote(text, safe="", errors="replace"))


def words(value: Any) -> str:
    """A value inside a text."""
    if value is NOT_SET:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from _texts(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from _texts(value)


def _chat(call: Call) -> Sequence[Message]:
    return call.messages if call.messages is not None else (Message("user", call.text or ""),)


def _system(call: Call) -> str:
    return "\n\n".join(message.content for message in _chat(call) if message.role == "system")


def _prompt(call: Call, used: set[str]) -> str:
    turns = [message for message in _chat(call) if message.role != "system"]
    if MESSAGES in used:
        return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")
    system = "" if SYSTEM_PROMPT in used else _system(call)
    if len(turns) <= 1:
        said = "".join(turn.content for turn in turns)
    else:
        said = "\n".join([*(f"{_SPEAKERS[turn.role]}: {turn.content}" for turn in turns), "Assistant:"])
    return f"{system}\n\n{said}" if system and said else system or said
