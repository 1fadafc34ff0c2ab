"""Finds the syntax of other template languages in a prompt, which goes to the model as it is written.

People bring prompts from elsewhere. A statement that nothing runs, or a placeholder that nothing fills, would change
what the model reads without a word; so each kind of it becomes a note.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

MAX_NOTES = 10
MAX_SHOWN = 60
"""Characters of the quoted syntax."""

_ESCAPED = re.compile(r"(?<!\\)\\(?:\\\\)*\{\{[^{}\n]{0,200}\}\}")
_NAMED = re.compile(r"\{\{[ \t]{0,8}[A-Za-z_][A-Za-z0-9_]{0,63}[ \t]{0,8}\}\}")
_LITERAL = "Write \\{{ for literal braces"

_KINDS: tuple[tuple[str, str, str], ...] = (
    ("Jinja statement", r"\{%[-+]?(?s:.{0,200}?)%\}", "Use variants for conditions"),
    ("Jinja comment", r"\{#(?!\{)(?s:.{0,500}?)#\}", "Remove it"),
    ("EJS or ERB tag", r"<%(?s:.{0,200}?)%>", "Write {{name}} for a variable"),
    (
        "Mustache or Handlebars tag",
        r"\{\{~?[ \t]{0,8}(?:[#^/>!&=]|else\b)[^{}\n]{0,200}\}\}",
        f"Use variants for conditions. {_LITERAL}",
    ),
    ("Jinja filter", r"\{\{[^{}\n|]{1,100}\|[^{}\n]{0,100}\}\}", f"Write {{{{name}}}} for a variable. {_LITERAL}"),
    ("Jinja or Handlebars expression", r"\{\{[^{}\n]{1,200}\}\}", f"Write {{{{name}}}} for a variable. {_LITERAL}"),
    (
        "Template literal",
        r"[$#]\{[ \t]{0,8}[A-Za-z_][A-Za-z0-9_.]{0,100}[ \t]{0,8}\}",
        "Write {{name}} for a variable",
    ),
    ("Printf placeholder", r"%\([A-Za-z_][A-Za-z0-9_]{0,63}\)[sdfr]", "Write {{name}} for a variable"),
)
_PATTERNS = [(kind, re.compile(pattern), advice) for kind, pattern, advice in _KINDS]

# `{name}` and `{0}`, as in f-strings; not `\textbf{name}`, `${name}`, `{{name}}` nor JSON
_FORMAT = re.compile(
    r"(?<![\\{}$#\]_^A-Za-z0-9])"
    r"\{([A-Za-z_][A-Za-z0-9_]{0,63}|[0-9])(?:\.[A-Za-z_]\w{0,63}|\[[^\[\]{}\n]{1,40}\]){0,5}"
    r"(?:![rsa]|:[-<>=^+,.0-9a-zA-Z%]{1,10})?\}(?!\})"
)
_DOLLAR = re.compile(r"(?<![\\$A-Za-z0-9])\$([A-Za-z_][A-Za-z0-9_]{0,63})")
_TRIPLE = re.compile(r"(?<![\\{}A-Za-z0-9\]])\{\{\{[ \t]{0,8}[A-Za-z_][A-Za-z0-9_]{0,63}[ \t]{0,8}\}\}\}(?!\})")


def find_foreign_syntax(texts: Iterable[str], variables: Collection[str]) -> list[str]:
    """Return a note for each kind of foreign syntax in the texts of a template with these variables."""
    notes: dict[str, str] = {}
    for text in texts:
        for kind, shown, advice in _find(text, variables):
            quoted = shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}..."
            notes.setdefault(kind, f"{kind} {quoted} is not evaluated: the model reads it as written. {advice}.")
    return list(notes.values())[:MAX_NOTES]


def _find(text: str, variables: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the first of each kind in a text: its name, the syntax, and what to write instead."""
    text = _ESCAPED.sub("", text)
    if found := _TRIPLE.search(text):
        name = found[0].strip("{} \t")
        yield (
            "Triple-brace tag",
            found[0],
            f"The value gets one pair of braces. Write {{{{{name}}}}} for the value alone",
        )
    text = _NAMED.sub("", text)
    for kind, pattern, advice in _PATTERNS:
        if found := pattern.search(text):
            yield kind, found[0], advice
        text = pattern.sub("", text)  # a later kind does not name it again
    if found := _FORMAT.search(text):
        known = found[1] in variables
        yield "f-string field", found[0], f"Write {{{{{found[1] if known else 'name'}}}}} for a variable"
    if found := next((found for found in _DOLLAR.finditer(text) if found[1] in variables), None):
        yield "Dollar placeholder", found[0], f"Write {{{{{found[1]}}}}} for the variable"
