"""What people and models write is shown as characters, wherever it turns up."""

from __future__ import annotations

import re
from contextlib import suppress
from html.parser import HTMLParser

import gradio as gr
import pytest
from markupsafe import Markup

from herding.errors import HerdingError, UserError
from herding.ui.kit.events import GuardedBlocks, for_all_roles, on
from herding.ui.kit.format import el, escape, key_values
from tests.ui.conftest import HOSTILE_TEXT, Desktop

KNOWN = re.compile(
    "a|aside|b|button|code|dd|details|div|dl|dt|fieldset|h[1-4]|header|i|input|label|legend|li|nav|ol|p|path|pre|q|rect|circle|section"
    "|article|dialog|template|figure|footer|form|main|mark|menu|option|optgroup|output|progress|search|select|small|textarea|img"
    "|span|strong|summary|svg|table|tbody|td|th|thead|time|tr|ul|em|hr|br|kbd|del|ins|meter"
)
CHAT = f"""
    name: "<b>"
    chat: true
    target_models: [echo]
    variables:
      m: {{type: text, default: "{HOSTILE_TEXT}"}}
    messages: [{{role: user, content: "{{{{m}}}}"}}]
    """
BAD = f"""
    name: Bad
    target_models: [echo]
    prompt: hi
    "{HOSTILE_TEXT}": 1
    """


class Tags(HTMLParser):
    """The elements and attributes of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        assert not any((value or "").strip().lower().startswith("javascript:") for _, value in attrs)


def all_html(desktop: Desktop) -> dict[str, str]:
    """Every gr.HTML of the page that holds text, by its id."""
    blocks = desktop.demo.blocks.values()
    found = {block.elem_id: desktop.value(block) for block in blocks if isinstance(block, gr.HTML)}
    return {str(name): shown for name, shown in found.items() if isinstance(shown, str) and shown}


async def test_hostile_texts_are_characters_in_every_place(desktop: Desktop) -> None:
    desktop.place.write("bad", BAD)
    desktop.place.write("hostile_chat", CHAT)
    shown: list[dict[str, str]] = []
    for key in ("hostile", "failing", "hostile_chat"):
        with suppress(HerdingError):
            await desktop.run(key)
        shown.append({key: (await desktop.get("engineer", prompt=key)).html})
    latest = (await desktop.place.rows())[0]
    await desktop.place.orchestrator.feedback.comment(latest.request_id, HOSTILE_TEXT, desktop.who)
    paths = ["history", *(f"history/entries/{row.request_id}" for row in await desktop.place.rows())]
    shown += [{path: (await desktop.get(path)).html} for path in paths]
    await desktop.fire("page_load", prompt=HOSTILE_TEXT)
    shown.append(all_html(desktop))
    pieces = ("overview", "overview/prompts/hostile", "nodes")
    shown.append({"engineer": (await desktop.get("engineer", prompt=HOSTILE_TEXT)).html})
    shown.append({piece: (await desktop.get(piece)).html for piece in pieces})
    carriers = {name for page in shown for name, html in page.items() if "&lt;img src=x" in html}
    assert carriers >= {*pieces, "hostile", "engineer", *paths}
    for page in shown:
        for name, html in page.items():
            tags = Tags()
            tags.feed(html)
            assert [tag for tag in tags.tags if not KNOWN.fullmatch(tag)] == [], name
            assert not [attribute for attribute in tags.attributes if attribute.startswith("on")], name
            assert "${" not in html, name
            assert "{{" not in html, name


async def test_a_toast_shows_characters_too(desktop: Desktop) -> None:
    @for_all_roles
    async def refuse() -> None:
        raise UserError(HOSTILE_TEXT)

    demo = GuardedBlocks(analytics_enabled=False)
    with demo:
        on(gr.Button().click, refuse, [], name="refuse")
    with pytest.raises(gr.Error) as refused:
        await demo.process_api(next(iter(demo.fns.values())), [], None, desktop.request())
    assert "<" not in str(refused.value.message)
    assert "&lt;img src=x" in str(refused.value.message)


def test_text_and_attributes_are_escaped_once() -> None:
    assert escape('<a href="x">&\'') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;"
    assert el("p", el("b", "<"), title='"') == '<p title="&quot;"><b>&lt;</b></p>'
    assert escape(Markup("<b>")) == "<b>"


def test_facts_leave_out_what_is_not_known() -> None:
    assert key_values([("A", 0), ("B", None), ("C", "")]) == '<dl class="facts"><div><dt>A</dt><dd>0</dd></div></dl>'
