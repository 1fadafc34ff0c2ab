"""Syntax of other template languages: each kind gets a note that names it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from herding.prompts.foreign_syntax import find_foreign_syntax
from herding.prompts.library import Library

FOREIGN = [
    ("{% if premium %}Hi{% endif %}", "Jinja statement {% if premium %}"),
    ("{%- for i in x -%}", "Jinja statement {%- for i in x -%}"),
    ("{%\nif x\n%}", "Jinja statement {%"),
    ("{# a comment\n of two lines #}", "Jinja comment {# a comment"),
    ("{{ x | upper }}", "Jinja filter {{ x | upper }}"),
    ("{{x|default('a')}}", "Jinja filter {{x|default('a')}}"),
    ("{{ user.name }}", "expression {{ user.name }}"),
    ("{{ .Name }}", "expression {{ .Name }}"),
    ("{{ f(x) }}", "expression {{ f(x) }}"),
    ("{{ x[0] }}", "expression {{ x[0] }}"),
    ("{{#items}}a{{/items}}", "Mustache or Handlebars tag {{#items}}"),
    ("{{^items}}", "Mustache or Handlebars tag {{^items}}"),
    ("{{> part}}", "Mustache or Handlebars tag {{> part}}"),
    ("{{! note }}", "Mustache or Handlebars tag {{! note }}"),
    ("Hi {{{x}}}", "Triple-brace tag {{{x}}}"),
    ("<%= x %>", "EJS or ERB tag <%= x %>"),
    ("<% if (x) { %>", "EJS or ERB tag <% if (x) { %>"),
    ("${x} and ${user.name}", "Template literal ${x}"),
    ("#{x}", "Template literal #{x}"),
    ("Hello {x}", "f-string field {x}"),
    ("Hello {name}!", "f-string field {name}"),
    ("{0} and {x:.2f}", "f-string field {0}"),
    ("{x!r}", "f-string field {x!r}"),
    ("{x.y[0]}", "f-string field {x.y[0]}"),
    ("%(x)s", "Printf placeholder %(x)s"),
    ("Hello $x", "Dollar placeholder $x"),
]


@pytest.mark.parametrize(("text", "named"), FOREIGN)
def test_each_kind_is_named(text: str, named: str) -> None:
    notes = find_foreign_syntax([text], {"x"})
    assert any(named in note for note in notes), notes


@pytest.mark.parametrize(
    "text",
    [
        "{{x}} and {{ x }}",
        r"\{{ user }} \{{user.name}} \{{#each}} \{{x | upper}}",
        '{"a": {{x}}, "b": {"c": [1]}, "d": {}}',
        r"\textbf{word} \frac{a}{b} \textbf{{{x}}} x_{i} \{{{x}\}",
        "function f() { return a; } if (x) {y()} } {a, b}",
        "It costs $5 or 100%. Use <b>bold</b> and [x].",
        "[INST] <<SYS>>{{x}}<</SYS>> [/INST]",
    ],
)
def test_other_text_has_no_note(text: str) -> None:
    assert find_foreign_syntax([text], {"x"}) == []


def test_each_kind_is_named_once() -> None:
    assert len(find_foreign_syntax(["{% a %}{% b %}", "{% c %} {y}"], set())) == 2


@pytest.mark.parametrize("part", ["{%", "{#", "<%", "{{", "{{ a |", "${", "%(", "{a", "\\{{", "{{{", "$x"])
def test_a_long_text_takes_linear_time(part: str) -> None:
    begun = time.process_time()
    find_foreign_syntax([part * (200_000 // len(part))], {"x"})
    assert time.process_time() - begun < 5


def test_a_file_and_a_shipped_prompt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.yaml").write_text("name: A\ntarget_models: [m]\nprompt: '{% if x %}'\n")
    prompt = Library(tmp_path).refresh().prompts["a"].prompt
    assert prompt.notes[0].startswith("Jinja statement {% if x %} is not evaluated")
    assert "prompt has a note (a): Jinja statement" in caplog.text
    shipped = Library(Path(__file__).parents[2] / "prompts").refresh().prompts
    assert {key: found.prompt.notes for key, found in shipped.items() if found.prompt.notes} == {}
