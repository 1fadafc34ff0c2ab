"""Prompt files that Herding writes: people can read them, and nothing changes on the way."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from herding.prompts.model import Prompt
from herding.prompts.yaml_dump import ORDER, dump_file
from herding.yaml_files import YamlDocument

_ODD = (
    "\n",
    "\r\n",
    "\r",
    " ",
    "  ",
    "\t",
    "#",
    " #",
    ": ",
    ":",
    "- ",
    "a",
    "{{x}}",
    "é",
    "🎉",
    "'",
    '"',
    "|",
    "\\",
    "%",
)
_ODDER = (
    "yes",
    "no",
    "12",
    "1e3",
    "0x1f",
    "---",
    "...",
    "\u2028",
    "\x85",
    "\ufeff",
    "\x07",
    "&a",
    "*a",
    "!x",
    "? ",
    "[",
)
_AND_MORE = ("]", "{", "}", ",", "null", "~", "<<", "=", "2020-01-01", "\xa0", "@", "`", ">", "12:30", "\u200b")
texts = st.lists(st.sampled_from(_ODD + _ODDER + _AND_MORE), max_size=40).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=30
)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def same(one: Any, other: Any) -> bool:
    """Equal in kind too: 1 is not 1.0, and not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(st.dictionaries(st.sampled_from(ORDER) | texts, values, max_size=4))
def test_whatever_is_written_is_read_back(data: dict[str, Any]) -> None:
    assert same(yaml.safe_load(dump_file(data).encode()), data)


@given(text=texts.filter(lambda text: "\x00" not in text), choices=st.lists(texts, min_size=1, max_size=3))
def test_a_prompt_is_read_back_by_the_strict_reader(text: str, choices: list[str]) -> None:
    variables = {"x": {"default": "", "description": text}, "y": {"type": "choice", "choices": choices}}
    messages = [{"content": text, "role": "system"}, {"role": "user", "content": f"{text}{{{{y}}}}{text}"}]
    data = {"messages": messages, "name": "X", "target_models": ["m"], "variables": variables}
    source = YamlDocument(dump_file(data))
    assert source.data == data
    assert source.build(Prompt).canonical == Prompt.model_validate(data).canonical


def test_people_can_read_it() -> None:
    data = {
        "checks": {"max_words": 20},
        "messages": [
            {"content": "Du bist höflich. 🎉\n\n  - eingerückt\n# kein Kommentar: {{name}}", "role": "system"},
            {"role": "user", "content": "{{name}}"},
        ],
        "parameters": {"stop": ["|end|", "\n"], "temperature": 0.3},
        "variables": {"name": {"default": "yes", "type": "text"}},
        "target_models": ["herding/cria", "org/other"],
        "label": "prod",
        "tags": [],
        "name": "12",
    }
    expected = """\
        name: '12'
        tags: []
        label: prod
        target_models: [herding/cria, org/other]
        variables:
          name:
            type: text
            default: 'yes'
        messages:
          - role: system
            content: |-
              Du bist höflich. 🎉

                - eingerückt
              # kein Kommentar: {{name}}
          - role: user
            content: '{{name}}'
        parameters:
          stop: ['|end|', "\\n"]
          temperature: 0.3
        checks:
          max_words: 20
        """
    assert dump_file(data) == dedent(expected)


def test_many_models_stand_one_below_the_other() -> None:
    models = [f"organisation/a-model-with-a-long-name-{n}" for n in range(5)]
    assert dump_file({"target_models": models}).splitlines()[1:] == [f"  - {model}" for model in models]


def test_the_order_knows_every_key() -> None:
    keys = {field.alias or name for name, field in Prompt.model_fields.items()}
    assert set(ORDER) | {"templates"} == keys | {"param", "version"}
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize(
    "data", [{"messages": "x"}, {"variables": [1], "variants": {"a": 1}}, {"messages": [[1], None]}]
)
def test_wrong_data_is_written_too(data: dict[str, Any]) -> None:
    """The reader says what is wrong with it."""
    assert yaml.safe_load(dump_file(data)) == data


def test_what_stands_twice_in_the_data_is_written_twice() -> None:
    shared = {"a": [1]}
    assert "&" not in dump_file({"x": shared, "y": shared})
