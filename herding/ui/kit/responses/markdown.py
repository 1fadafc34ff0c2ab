"""Markdown that a model or a person wrote, as safe HTML.

HTML in the text stays text, links open in a new tab without a referrer, and images are named but never loaded: their
server would learn who reads what.
"""

from __future__ import annotations

import json
import re
from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from herding.ui.kit.fields import copy_button
from herding.ui.kit.format import el, entities

MAX_CHARS = 100_000
"""Texts beyond this length are shown as plain text: neither the server nor the page should stop for them."""

MAX_BRACKETS = 2_000
"""A paragraph with more of them is shown as plain text: the time to pair them grows with their square."""

_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "ul", "ol", "li"),
    *("em", "strong", "s", "code", "pre", "a", "span", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title", "target"},
    "ol": {"start", "dir"},
    "ul": {"dir"},
    "blockquote": {"dir"},
    "pre": {"data-lang"},
    "th": {"style"},
    "td": {"style"},
    "span": {"class"},
}
_PRE = re.compile(r'<pre data-lang="([^"]*)">')
_JSON = re.compile(r"^[{\[]$", re.MULTILINE)
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")


def render_markdown(text: str) -> Markup:
    """Return a text as HTML; as plain text if it is too long, or takes too long to read."""
    if len(text) > MAX_CHARS or _is_slow(text):
        return el("pre", text, cls="code", tabindex="0")
    return _finish(_parser().render(_fenced(text)))


def _fenced(text: str) -> str:
    """Return a text with the first JSON in it that has lines of its own as code, which keeps its indentation."""
    found = _JSON.search(text)
    if found is None or "```" in text[: found.start()]:
        return text
    try:
        _, end = json.JSONDecoder().raw_decode(text, found.start())
    except (ValueError, RecursionError):
        return text
    return f"{text[: found.start()]}\n```json\n{text[found.start() : end]}\n```\n{text[end:]}"


def complete_blocks(text: str) -> tuple[Markup, int]:
    """Return the HTML of the blocks of a growing text that can no longer change, and where the open one begins."""
    if _is_slow(text):
        return Markup(), 0
    parser = _parser()
    env: MutableMapping[str, Any] = {}
    tokens = parser.parse(text, env)
    last = next((place for place in range(len(tokens) - 1, -1, -1) if _begins(tokens[place])), 0)
    begins = tokens[last].map if last else None
    if begins is None:
        return Markup(), 0
    start = _offset(text, begins[0])
    return _finish(parser.renderer.render(tokens[:last], parser.options, env)), start


def _is_slow(text: str) -> bool:
    return any(block.count("[") > MAX_BRACKETS for block in text.split("\n\n"))


def _begins(token: Token) -> bool:
    """Return True for the first token of a block that is in no other block."""
    return token.level == 0 and token.nesting >= 0 and token.map is not None


def _offset(text: str, line: int) -> int:
    """Return the place of a line's first character; lines are counted as the parser does."""
    place = 0
    for _ in range(line):
        place = text.index("\n", place) + 1
    return place


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 60}, renderer_cls=_Renderer)
    return parser.enable(["table", "strikethrough"])


def _finish(html: str) -> Markup:
    """Return rendered HTML without anything but the tags of Markdown, and with buttons that copy blocks of code."""
    safe = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        filter_style_properties={"text-align"},
    )
    framed = _PRE.sub(_code_head, safe).replace("</pre>", "</pre></div>")
    return entities(framed)


def _code_head(found: re.Match[str]) -> str:
    head = el("div", el("span", Markup(found[1])), copy_button("Copy code"), cls="code-head")  # noqa: S704 (sanitised before)
    return f'<div class="code-block">{head}<pre class="code" tabindex="0">'


class _Renderer(RendererHTML):
    """Writes links that open in a new tab, blocks of code with their language, and the names of images.

    Lists and quotes have their marks at the side where their text begins.
    """

    def ordered_list_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        tokens[idx].attrSet("dir", "auto")
        return self.renderToken(tokens, idx, options, env)

    bullet_list_open = blockquote_open = ordered_list_open

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        tokens[idx].attrSet("target", "_blank")
        return self.renderToken(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        label = self.renderInlineAsText(token.children or [], options, env).strip()
        return str(el("span", f"[Image: {label or token.attrs.get('src', '')}]", cls="image-name"))

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: ARG002 (its signature)
        found = _LANGUAGE.match(tokens[idx].info.strip())
        return str(el("pre", el("code", tokens[idx].content), data_lang=found[0] if found else ""))

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: ARG002
        return str(el("pre", el("code", tokens[idx].content), data_lang=""))
