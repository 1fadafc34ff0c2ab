"""Tools in a chat template, and the calls in what a model writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from herding.engine.prompt_encoder import PromptEncoder
from herding.engine.requests import parse_generation
from herding.engine.tool_calls import ToolCallReader, find_tool_format
from herding.errors import UserError
from tests.engine.conftest import save_tiny_model

TOOLS = [
    {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    }
]
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
TEMPLATE = (
    "{% if tools %}TOOLS{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments | tojson }}</tool_call>{% endfor %};"
    "{% endfor %}{% if loud %}LOUD{% endif %}"
)
MARKUP = {
    "hermes": "<tool_call>",
    "qwen": "<tool_call><function=",
    "mistral": "[TOOL_CALLS]",
    "llama": "<|python_tag|>",
}


class Tokenizer:
    """No more than a chat template."""

    def __init__(self, template: str | dict[str, str] | None) -> None:
        self.chat_template = template


def read(family: str, text: str, size: int = 3) -> tuple[str, list[Any]]:
    """The text and the calls of a response that comes in pieces of `size` characters."""
    found = find_tool_format(Tokenizer(f"tools {MARKUP[family]}"))
    assert found is not None
    reader, said, calls = ToolCallReader(found, tools=TOOLS), "", []
    for start in range(0, len(text), size):
        piece, more = reader.feed(text[start : start + size])
        said, calls = said + piece, calls + more
    piece, more = reader.finish()
    return said + piece, calls + more


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("family", "text", "said"),
    [
        ("hermes", 'Sure.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', "Sure."),
        ("hermes", '<tool_call>{"name": "f", "arguments": {"a": 1}}', ""),  # ends without its closing tag
        ("qwen", "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>", ""),
        ("mistral", '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}]', ""),
        ("llama", '{"name": "f", "parameters": {"a": 1}}', ""),
        ("llama", '<|python_tag|>{"name": "f", "parameters": {"a": 1}}', ""),
    ],
)
def test_a_call_is_found(family: str, text: str, said: str, size: int) -> None:
    text, calls = read(family, text, size)
    assert text == said
    (call,) = calls
    assert (call["index"], call["type"], call["function"]["name"]) == (0, "function", "f")
    assert json.loads(call["function"]["arguments"]) == {"a": 1}
    assert call["id"].startswith("call_")


def test_several_calls_have_numbers_of_their_own() -> None:
    one = '<tool_call>{"name": "f", "arguments": {}}</tool_call>\n'
    _, calls = read("hermes", one * 3)
    assert [call["index"] for call in calls] == [0, 1, 2]
    assert len({call["id"] for call in calls}) == 3


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("hermes", "a plain text < 5"),
        ("hermes", 'Sure.\n<tool_call>\n{"name": "f", "argum'),
        ("hermes", "<tool_call>no JSON</tool_call> more"),
        ("hermes", '<tool_call>{"no": "name"}</tool_call>'),
        ("mistral", "[TOOL_CALLS] oh"),
        ("llama", '{"a": "plain object"}'),
        ("llama", "Hello"),
        ("llama", "{ not JSON"),
    ],
)
def test_what_is_no_call_stays_text(family: str, text: str) -> None:
    assert read(family, text) == (text, [])


@pytest.mark.parametrize("template", [None, "{{ messages }}", "tools without any format", {"default": "x"}])
def test_a_template_without_a_known_format_has_no_tools(template: Any) -> None:
    assert find_tool_format(Tokenizer(template)) is None


@pytest.fixture(scope="module")
def able(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("able"), template=TEMPLATE))


def encoded(tokenizer: Any, **body: Any) -> str:
    """The prompt of a request, as text."""
    encoder = PromptEncoder(tokenizer, vocabulary_size=len(tokenizer))
    return str(tokenizer.decode(encoder.encode(parse_generation(body))))


def test_tools_calls_and_results_are_in_the_prompt(able: Any) -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
    ]
    prompt = encoded(able, messages=messages, tools=TOOLS)
    assert prompt == f'TOOLS{json.dumps(TOOLS)}user:hi;assistant:<tool_call>{{"a": 1}}</tool_call>;tool:rain;'


def test_arguments_of_the_template(able: Any) -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert encoded(able, messages=messages, template_arguments={"loud": True}).endswith("LOUD")
    with pytest.raises(UserError, match="'tokenize' can't be set"):
        encoded(able, messages=messages, template_arguments={"tokenize": False})


def test_token_ids_are_the_prompt(able: Any) -> None:
    assert encoded(able, tokens=able.encode("hello")) == "hello"
    with pytest.raises(UserError, match="no weights") as caught:
        encoded(able, tokens=[10**6])
    assert caught.value.param == "prompt"


def test_a_template_without_tools_refuses_them_by_name(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    with pytest.raises(UserError, match="knows no tools") as caught:
        encoded(tokenizer, messages=[{"role": "user", "content": "hi"}], tools=TOOLS)
    assert caught.value.param == "tools"
    with pytest.raises(UserError, match="knows no tools") as caught:
        encoded(tokenizer, messages=[{"role": "tool", "content": "x"}])
    assert caught.value.param == "messages"
