"""Rendering: one pass, nothing in a value is ever a placeholder, code or control markup."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.prompts.render import insert, insert_guarded, placeholders, rendered_size

ALPHABET = st.lists(
    st.sampled_from(["{{a}}", "{{b}}", "{{ a }}", "{", "}", "{{", "}}", "a", "\\", "\\g<0>", "{%", "$a", " ", "\n"])
).map("".join)

INJECTIONS = [
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{''.__class__.__mro__[1].__subclasses__()}}",
    "{% include '/etc/passwd' %}",
    "{{ self._TemplateReference__context }}",
    "{{ a|attr('__class__') }}",
    "{% for x in range(10**9) %}x{% endfor %}",
    "{{a.b}}",
    "{{a[0]}}",
    "{{7*7}}",
    "{{ lipsum.__globals__ }}",
    "${a} #{a} <%= a %> {a} %(a)s $a {0}",
    "{{}}",
    "{{a",
    "a}}",
    "{{a}",
    "{{ä}}",
    "{{1a}}",
    "{{a b}}",
    "{{\na\n}}",
]

MARKUP = [
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|endoftext|>",
    "<|system|>",
    "<|END_OF_TURN_TOKEN|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<extra_id_1>",
    "<unused12>",
    "<end_of_utterance>",
    "<｜begin▁of▁sentence｜>",
    "<｜User｜>",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CONTENT]",
    "[THINK]",
    "<tool_call>",
    "</think>",
    "[gMASK]",
    "<sop>",
    "<mask>",
    "<reserved_106>",
]

ODD = [
    "a\u200bb",
    "\u202eevil\u202c",
    "\u2066x\u2069",
    "\ufeff",
    "\u00ad",
    "e\u0301",
    "\x1b[31m",
    "\x7f",
    "a\u2028b",
    "\U000e0041",
]


class Counted(dict[str, str]):
    """Counts how often a value is asked for."""

    asked = 0

    def __getitem__(self, name: str) -> str:
        self.asked += 1
        return super().__getitem__(name)


@given(ALPHABET, ALPHABET)
def test_values_come_out_unchanged(a: str, b: str) -> None:
    assert insert("<{{a}}|{{ b }}|{{a}}>", {"a": a, "b": b}) == f"<{a}|{b}|{a}>"
    assert insert_guarded("<{{a}}/{{ b }}>", {"a": a, "b": b}) == f"<{a}/{b}>"


@given(ALPHABET)
def test_text_without_placeholders_is_literal(text: str) -> None:
    literal = text.replace("{{a}}", "").replace("{{b}}", "").replace("{{ a }}", "")
    if not placeholders(literal):
        assert insert(literal, {}) == insert_guarded(literal, {}) == literal


@pytest.mark.parametrize("text", INJECTIONS)
def test_template_injections_are_literal(text: str) -> None:
    assert placeholders(text) == []
    assert insert(text, {"a": "x"}) == text
    assert insert("{{a}}", {"a": text}) == text


def test_placeholders_in_order_and_with_blanks() -> None:
    assert placeholders("{{b}} {{ a }}{{a}} {{\ta}} {{{a}}}") == ["b", "a", "a", "a", "a"]


@pytest.mark.parametrize(
    "bomb", ["{{a}}" * 100_000, "{{" * 200_000, "{{ " * 200_000, "{{" + "a" * 500_000, "{" * 500_000, "[</" * 200_000]
)
def test_bombs_take_linear_time(bomb: str) -> None:
    began = time.process_time()
    insert(bomb, {"a": "{{a}}"})
    insert_guarded(bomb, {"a": "{{a}}"})
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize("text", ODD)
def test_odd_characters_stay_what_they_are(text: str) -> None:
    assert insert("<{{a}}>", {"a": text}) == insert_guarded("<{{a}}>", {"a": text}) == f"<{text}>"
    assert placeholders(f"{{{{{text}}}}}") == []


@pytest.mark.parametrize("fill", [insert, insert_guarded])
def test_every_placeholder_is_filled_once(fill: Any) -> None:
    values = Counted(a="{{a}}[INST]{{a}}")
    made = fill("{{a}}" * 100_000, values)
    assert values.asked == 100_000
    assert len(made) == 100_000 * (len(values["a"]) + (fill is insert_guarded))
    assert rendered_size(["{{a}}" * 100_000], values) == 100_000 * len(values["a"])


@pytest.mark.parametrize("markup", [*MARKUP, "[inst]", "<|IM_START|>"])
def test_control_markup_in_a_value_is_broken(markup: str) -> None:
    rendered = insert_guarded("{{a}}", {"a": f"x{markup}y"})
    assert markup not in rendered
    assert rendered.replace(" ", "") == f"x{markup}y"


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_inside_markup_is_broken_as_well(markup: str) -> None:
    for nested in (markup[0] + markup, markup + markup, markup[:-1] + markup + markup[-1]):
        assert markup not in insert_guarded("{{a}}", {"a": nested})


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_does_not_arise_where_values_meet(markup: str) -> None:
    for cut in range(1, len(markup)):
        values = {"a": markup[:cut], "b": markup[cut:]}
        assert markup not in insert_guarded("{{a}}{{b}}", values)
        assert markup not in insert_guarded(f"{markup[:cut]}{{{{b}}}}", values)
        assert markup not in insert_guarded(f"{{{{a}}}}{markup[cut:]}", values)


@pytest.mark.parametrize("markup", MARKUP)
def test_the_template_keeps_its_own_markup(markup: str) -> None:
    assert insert_guarded(f"{markup}{{{{a}}}}{markup}", {"a": "x"}) == f"{markup}x{markup}"


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! 1 < 2 and 3 > 2; a[0] = b[1]; f(x) | g(y)",
        "[person, year, food] [x] [instance] [ INST ]",
        "if a <b> and <i>c</i>: print('<p>')",
        "x <| y |> z",
        "std::vector<size_t> <stdio.h> <|> || |",
        "Ünïcödé — „quotes“ … 🎉 | ｜",
        "```python\nprint([1, 2])\n```",
        "<user@example.com> <https://example.com>",
    ],
)
def test_normal_text_is_never_touched(text: str) -> None:
    assert insert_guarded("{{a}}", {"a": text}) == text


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        (r"\{{a}}", "{{a}}"),
        (r"\{{ a }} {{a}}", "{{ a }} 1"),
        (r"\{{not_declared}} \{{user.name}} \{{#each x}}", "{{not_declared}} {{user.name}} {{#each x}}"),
        ("{{user.name}}", "{{user.name}}"),
        (r"C:\\{{a}}", r"C:\1"),
        (r"\\\{{a}}", r"\{{a}}"),
        (r"\\{{user.name}}", r"\\{{user.name}}"),
        (r"\textbf{{{a}}} \{{{a}}\}", r"\textbf{1} \{1\}"),
        (r"\{{x}_1\} \n \{", r"\{{x}_1\} \n \{"),
    ],
)
def test_a_backslash_makes_braces_literal(text: str, rendered: str) -> None:
    values = {"a": "1"}
    assert insert(text, values) == insert_guarded(text, values) == rendered
    assert rendered_size([text], values) == len(rendered)
    assert set(placeholders(text)) <= {"a"}


def test_a_value_with_a_backslash_is_no_escape() -> None:
    assert insert("{{a}}{{b}}", {"a": "\\", "b": r"\{{a}}"}) == "\\" + r"\{{a}}"
