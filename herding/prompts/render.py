"""Rendering: a template and checked values become exactly what a model gets.

One pass, `{{name}}` only. Inserted text is never scanned again and never code; anything else in double braces is
plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from herding.prompts.variables import Value, show

_PLACEHOLDER = re.compile(r"\{\{[ \t]{0,8}([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]{0,8}\}\}")

_MARKUP = re.compile(
    r"\[(?=/?INST\])|\[(?=/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
    r"|<(?=</?SYS>>|/?SYS>>)|<(?=\|[^<>|\n]{1,64}\|>)|<(?=/?s>)|<(?=(?:start|end)_of_turn>)|<(?=(?:bos|eos|pad|unk)>)",
    re.IGNORECASE,
)


def placeholders(text: str) -> list[str]:
    """The names in double braces, in order."""
    return _PLACEHOLDER.findall(text)


def insert(text: str, values: Mapping[str, Value], *, guard: Callable[[str], str] = str) -> str:
    """`text` with every placeholder replaced by its value, passed through `guard`; linear in both lengths."""
    return _PLACEHOLDER.sub(lambda found: guard(show(values[found[1]])), text)


def neutralise(text: str) -> str:
    """`text` with a space inside the control markup of well-known chat formats, so that it is plain text.

    For values inserted into raw prompts, where the template's own markup has power over the model. In `messages`
    the engine keeps roles and texts apart instead, and values stay as they are.
    """
    return _MARKUP.sub(lambda found: found[0] + " ", text)
