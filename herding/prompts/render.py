"""Rendering: inserts checked values into a template, and finds the template for a family of models.

There is one pass, and only for `{{name}}`. Inserted text is never scanned again and never code. A backslash before
double braces makes them literal: `\\{{name}}` becomes `{{name}}`, and two backslashes are one before a value.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate

from herding.prompts.variables import Value, show

CACHED_CHARS = 5_000
"""Characters of the longest template whose pieces are cached."""

_BRACES = re.compile(r"(?<!\\)(\\*)\{\{(?:[ \t]{0,8}([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]{0,8}|[^{}\n]{0,200})\}\}")
"""Double braces with the backslashes before them, and the name in them if there is only a name."""

# Each match consumes one character and looks ahead at the rest, so that nested markup is found as well.
_MARKUP = re.compile(
    r"\[(?=(/?INST\]|s?gMASK\]|/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS|CALL_ID)\]))"
    r"|<(?=(</?SYS>>|/?SYS>>|\|[^\s<>|]{1,64}\|>|｜[^\s<>｜]{1,64}｜>|/?s>|(?:start|end)_of_(?:turn|utterance|image)>"
    r"|(?:bos|eos|pad|unk|mask|sop|eop)>|(?:unused|extra_id_|reserved_)\d{1,4}>"
    r"|/?(?:think|tools?|tool_call|tool_response)>))",
    re.IGNORECASE,
)


def split(text: str) -> tuple[str, ...]:
    """Return literal texts and names of variables in turn, beginning and ending with a literal text."""
    return _split_and_cached(text) if len(text) <= CACHED_CHARS else _split(text)


def _split(text: str) -> tuple[str, ...]:
    pieces, literal, last = list[str](), list[str](), 0
    for found in _BRACES.finditer(text):
        slashes, name = len(found[1]), found[2]
        escaped = slashes % 2 == 1
        if name is None and not escaped:
            continue
        literal += [text[last : found.start()], found[1][: slashes // 2]]
        last = found.end()
        if escaped:
            literal.append(found[0][slashes:])
        else:
            pieces += ["".join(literal), name]
            literal = []
    return *pieces, "".join([*literal, text[last:]])


_split_and_cached = lru_cache(maxsize=500)(_split)


def placeholders(text: str) -> list[str]:
    """Return the names in double braces, in order, without those that are literal."""
    return list(split(text)[1::2])


def rendered_size(texts: Iterable[str], values: Mapping[str, Value]) -> int:
    """Return the number of characters that `insert` would return for all texts together."""
    return sum([sum(map(len, _fill(text, values))) for text in texts])


def insert(text: str, values: Mapping[str, Value]) -> str:
    """Replace every placeholder in `text` by its value, in linear time."""
    return "".join(_fill(text, values))


def _fill(text: str, values: Mapping[str, Value]) -> list[str]:
    pieces = list(split(text))
    for place in range(1, len(pieces), 2):
        value = values[pieces[place]]
        pieces[place] = value if isinstance(value, str) else show(value)
    return pieces


def insert_guarded(text: str, values: Mapping[str, Value]) -> str:
    """Replace every placeholder in a raw prompt, and break control markup of chat formats that comes from a value.

    A space is put into the markup. In `messages` the engine keeps roles and texts apart, so that `insert` is enough.
    """
    pieces = _fill(text, values)
    ends = list(accumulate(map(len, pieces)))

    def broken(found: re.Match[str]) -> str:
        last = found.start() + len(found[found.lastindex or 0])
        first_piece, last_piece = bisect_right(ends, found.start()), bisect_right(ends, last)
        inside_template = first_piece == last_piece and first_piece % 2 == 0
        return found[0] if inside_template else found[0] + " "

    return _MARKUP.sub(broken, "".join(pieces))


_FAMILY = re.compile(r"[a-z0-9](?:[a-z0-9._:/-]{0,98}[a-z0-9])?", re.IGNORECASE | re.ASCII)


def check_families(keys: Iterable[str]) -> None:
    """Raise ValueError for an invalid or repeated key.

    A key such as `llama-2` matches a model whose id contains it, in any case, but not within a longer word or number:
    it matches `meta-llama/Llama-2-7b-chat-hf`, but not `llama-20b` or `codellama-2`.
    """
    seen: set[str] = set()
    for key in keys:
        if not _FAMILY.fullmatch(key):
            message = "use letters and digits, and '.', '_', ':', '/' or '-' within, at most 100 characters"
            raise ValueError(f"'{key[:100]}' is not a valid model family: {message}")
        if key.lower() in seen:
            raise ValueError(f"the family '{key}' is given twice")
        seen.add(key.lower())


def family_of(model: str, keys: Iterable[str]) -> str | None:
    """Return the longest (then first) of `keys` that matches `model`, or None."""
    return max((key for key in keys if _matches(key.lower(), model.lower())), key=len, default=None)


def _matches(key: str, model: str) -> bool:
    at = model.find(key)
    while at >= 0:
        if not _are_joined(model[at - 1 : at], key[0]) and not _are_joined(key[-1], model[at + len(key) :][:1]):
            return True
        at = model.find(key, at + 1)
    return False


def _are_joined(left: str, right: str) -> bool:
    """Return whether two characters belong to the same word or number."""
    return (left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())
