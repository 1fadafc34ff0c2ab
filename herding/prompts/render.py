"""Rendering: a template and checked values become exactly what a model gets.

One pass, `{{name}}` only. Inserted text is never scanned again and never code; anything else in double braces is
plain text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from herding.prompts.variables import Value, show

_PLACEHOLDER = re.compile(r"\{\{[ \t]{0,8}([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]{0,8}\}\}")

# Each opens with one character; the rest is looked ahead at, so that markup inside markup is found as well.
_MARKUP = re.compile(
    r"\[(?=(/?INST\]|s?gMASK\]|/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS|CALL_ID)\]))"
    r"|<(?=(</?SYS>>|/?SYS>>|\|[^\s<>|]{1,64}\|>|｜[^\s<>｜]{1,64}｜>|/?s>|(?:start|end)_of_(?:turn|utterance|image)>"
    r"|(?:bos|eos|pad|unk|mask|sop|eop)>|(?:unused|extra_id_|reserved_)\d{1,4}>"
    r"|/?(?:think|tools?|tool_call|tool_response)>))",
    re.IGNORECASE,
)


def placeholders(text: str) -> list[str]:
    """The names in double braces, in order."""
    return _PLACEHOLDER.findall(text)


def size(text: str, values: Mapping[str, Value]) -> int:
    """How many characters `insert` would give, without the work."""
    literal = len(text) - sum(found.end() - found.start() for found in _PLACEHOLDER.finditer(text))
    return literal + sum(len(show(values[name])) for name in placeholders(text))


def insert(text: str, values: Mapping[str, Value]) -> str:
    """`text` with every placeholder replaced by its value; linear in both lengths."""
    return _PLACEHOLDER.sub(lambda found: show(values[found[1]]), text)


def insert_guarded(text: str, values: Mapping[str, Value]) -> str:
    """As `insert`, with a space inside any control markup of a well-known chat format that a value has a part in.

    For raw prompts, where the markup of `text` itself has power over the model. In `messages` the engine keeps roles
    and texts apart instead, and values stay as they are.
    """
    parts = _PLACEHOLDER.split(text)  # template text and names in turn
    pieces = [show(values[part]) if place % 2 else part for place, part in enumerate(parts)]
    ends = list(accumulate(map(len, pieces)))

    def broken(found: re.Match[str]) -> str:
        last = found.start() + len(found[found.lastindex or 0])
        first_piece, last_piece = bisect_right(ends, found.start()), bisect_right(ends, last)
        inside_template = first_piece == last_piece and first_piece % 2 == 0
        return found[0] if inside_template else found[0] + " "

    return _MARKUP.sub(broken, "".join(pieces))
