"""What is generated says what was meant, whatever is in it: the texts are read by the languages themselves."""

from __future__ import annotations

import ast
import datetime
import json
import re
import shlex
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from herding.errors import VariableError
from herding.prompts.variables import IntegerVariable, NumberListVariable, NumberVariable, TextVariable, fill
from herding.ui.engineer import code_snippets
from herding.ui.engineer.code_snippets import LARGEST, Wanted
from herding.ui.kit.variable_form import initial_value

BASE = "https://herding.example:8443/a path/'x'"
TEXT = st.text(max_size=60) | st.text(alphabet="'\"\\$`{}<>/!\n\r\t\0\u2028\u202e\ud800é😀 #&?=%+", max_size=40)
NUMBER = st.integers(-LARGEST, LARGEST) | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
VALUE = TEXT | st.booleans() | NUMBER.map(code_snippets.plain) | st.lists(TEXT | st.integers(-99, 99), max_size=4)
VARIABLES = st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), VALUE, max_size=5)
PARAMETERS = st.fixed_dictionaries(
    {}, optional={"temperature": st.floats(0, 2), "top_k": st.integers(1, 99), "stop": st.lists(TEXT, min_size=1)}
)
NASTY = {"text": 'It\'s `id` $HOME "x" \\ {{y}}\n</script><!-- \u2028\ud800'}


def wanted(variables: Any, parameters: Any, *, token: bool = True) -> Wanted:
    return Wanted(BASE, "my/prompt", variables, "org/model", parameters, token)


def whole(value: Any) -> Any:
    """`value` with what no encoding can carry in its escaped form, to compare."""
    return json.loads(json.dumps(value))


@given(VARIABLES, PARAMETERS, st.booleans())
@example(NASTY, {}, False)
def test_the_shell_reads_the_curl_call(variables: Any, parameters: Any, token: bool) -> None:
    made = wanted(variables, parameters, token=token)
    words = shlex.split(code_snippets.curl(made.run).replace("\\\n", ""))
    assert words[:3] == ["curl", "-sS", f"{BASE}/api/v1/infer"]
    assert words[-2] == "-d"
    assert json.loads(words[-1]) == whole(made.body)
    assert ("Authorization: Bearer $HERDING_TOKEN" in words) is token
    assert len(words) == (9 if token else 7)


@given(VARIABLES, PARAMETERS, st.booleans())
@example(NASTY, {"stop": ["\n"]}, True)
def test_python_runs_the_httpx_call(variables: Any, parameters: Any, token: bool) -> None:
    made, sent = wanted(variables, parameters, token=token), {}

    def post(url: str, **more: Any) -> Any:
        sent.update(url=url, **more)
        return SimpleNamespace(raise_for_status=lambda: None, json=lambda: {"text": "fine"})

    told = run(code_snippets.python(made.run), httpx=SimpleNamespace(post=post))
    assert told == ["fine"]
    assert sent["url"] == f"{BASE}/api/v1/infer"
    assert whole(sent["json"]) == whole(made.body)
    assert sent.get("headers") == ({"Authorization": "Bearer secret"} if token else None)


@given(VARIABLES, PARAMETERS, st.booleans())
@example(NASTY, {"stop": ["\n"]}, True)
def test_python_runs_the_call_of_openais_client(variables: Any, parameters: Any, token: bool) -> None:
    made, sent = wanted(variables, parameters, token=token), {}

    def create(**more: Any) -> Any:
        sent.update(more)
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content="fine"))])

    def client(**more: Any) -> Any:
        sent.update(more)
        return SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))

    assert run(code_snippets.openai(made), openai=SimpleNamespace(OpenAI=client)) == ["fine"]
    assert (sent.pop("base_url"), sent.pop("api_key")) == (f"{BASE}/v1", "secret" if token else "any")
    assert (sent.pop("model"), sent.pop("messages")) == ("prompt:my/prompt", [])
    extra = sent.pop("extra_body", {})
    assert whole(extra.pop("variables", {})) == whole(variables)
    assert whole(sent | extra) == whole(parameters)


@given(VARIABLES, PARAMETERS)
@example(NASTY, {})
def test_javascript_holds_the_body_as_a_literal(variables: Any, parameters: Any) -> None:
    made = wanted(variables, parameters)
    for text in (code_snippets.javascript(made.run), code_snippets.node(made.run)):
        body = re.fullmatch(r".*JSON\.stringify\((.*?)\),\n\}\);\nconst answer.*", text, re.DOTALL)
        assert body
        assert json.loads(body[1]) == whole(made.body)
        assert "</" not in text
        assert "<!" not in text
        assert text.encode()  # a page that holds it can be sent


@given(VARIABLES)
@example(NASTY)
def test_the_link_carries_the_variables(variables: Any) -> None:
    parts = urlsplit(code_snippets.link(Wanted("http://h", "my/prompt", variables)))
    assert unquote(parts.path) == "/api/v1/run/my/prompt"
    told = {name: [code_snippets.told(value).encode(errors="replace").decode()] for name, value in variables.items()}
    assert parse_qs(parts.query, keep_blank_values=True) == told


def test_stars_are_given_in_every_language() -> None:
    score = wanted({}, {}).score("abc", 4)
    assert json.loads(shlex.split(code_snippets.curl(score))[-1]) == {"request_id": "abc", "score": 4}
    for kind, write in code_snippets.SCORES.items():
        assert '"request_id": "abc"' in write(score), kind
    assert set(code_snippets.KINDS) - set(code_snippets.SCORES) == {"link"}


NUMBERS = st.from_regex(r" ?-?[0-9]{1,20}(\.[0-9]{0,20})?(e[+-]?[0-9]{1,3})?", fullmatch=True)


@given(st.text(max_size=20) | NUMBERS, st.lists(NUMBERS, max_size=4).map(", ".join))
def test_the_values_of_the_form_mean_what_their_texts_mean(text: str, numbers: str) -> None:
    kinds = {"n": NumberVariable(type="number", required=False), "l": NumberListVariable(type="number_list")}
    dumped = {name: variable.model_dump() for name, variable in kinds.items()}
    made = code_snippets.values_of(dumped, {"n": text, "l": numbers})
    assert whole(made) == made
    for name, given_text in {"n": text, "l": numbers}.items():
        assert outcome(name, kinds, {name: made.get(name)}) == outcome(name, kinds, {name: given_text})


def outcome(name: str, kinds: Any, values: Any) -> Any:
    """What a run makes of values, or that it refuses them."""
    try:
        return fill({name: kinds[name]}, values)[name]
    except VariableError:
        return "refused"


@pytest.mark.parametrize(
    ("variable", "typed", "sent"),
    [
        (TextVariable(default="x"), "", {"v": ""}),
        (TextVariable(), "", {"v": ""}),
        (TextVariable(required=False), "", {}),
        (IntegerVariable(type="integer", default=3), "7", {"v": 7}),
        (IntegerVariable(type="integer", default=3), "", {}),
        (NumberVariable(type="number"), "1e400", {"v": "1e400"}),
        (NumberVariable(type="number"), "9" * 20, {"v": "9" * 20}),
        (NumberListVariable(type="number_list", default=[1]), "", {"v": []}),
        (NumberListVariable(type="number_list", default=[1]), "900, x", {"v": "900, x"}),
    ],
)
def test_what_is_sent_of_a_field(variable: Any, typed: str, sent: dict[str, Any]) -> None:
    assert code_snippets.values_of({"v": variable.model_dump()}, {"v": typed}) == sent


def test_without_edits_the_defaults_are_sent() -> None:
    variables = {
        "a": TextVariable(default="é").model_dump(),
        "b": NumberListVariable(type="number_list", default=[1, 2]),
    }
    variables["b"] = variables["b"].model_dump()
    assert code_snippets.values_of(variables, {}) == {"a": "é", "b": [1, 2]}
    assert code_snippets.values_of(variables, {"b": initial_value(variables["b"])}) == {"a": "é", "b": [1, 2]}


def test_what_yaml_can_hold_and_json_cannot_becomes_text() -> None:
    held = {"a": float("inf"), "b": datetime.date(2026, 1, 2), "c": 10**30, "d": {1: [None, True]}}
    assert code_snippets.plain(held) == {"a": "inf", "b": "2026-01-02", "c": str(10**30), "d": {"1": [None, True]}}


def run(program: str, **modules: Any) -> list[str]:
    """What a program prints, with stubs in the place of what it imports."""
    tree = ast.parse(program)
    names = {
        name for node in tree.body if isinstance(node, ast.Import) for name in (alias.name for alias in node.names)
    }
    assert names <= {"os", "httpx"}
    stubs = {"os": SimpleNamespace(environ={"HERDING_TOKEN": "secret"}), **modules}
    printed: list[str] = []
    built = {"__import__": lambda name, *_: stubs[name], "print": printed.append}
    exec(compile(tree, "call.py", "exec"), {"__builtins__": built})
    return printed
