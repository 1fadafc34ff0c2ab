"""The panel with the API calls: what it shows, and that every language reads the code as it was meant."""

from __future__ import annotations

import ast
import datetime
import html
import json
import re
import shlex
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from herding.errors import VariableError
from herding.prompts.variables import IntegerVariable, NumberListVariable, NumberVariable, TextVariable, fill
from herding.ui.engineer.code_panel import (
    LANGUAGES,
    MAX_INTEGER,
    ApiCall,
    base_url,
    curl,
    javascript,
    json_value,
    python,
    variable_values,
)
from herding.ui.kit.variables import initial_value
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop
from tests.ui.engineer.pages import Form, opened

ADA = principal("ada", "user")


async def code(form: Form, **fields: str) -> str:
    """The code that the panel shows."""
    piece = await form.desktop.post("engineer/code", who=form.who, **{**form.fields, **fields})
    return html.unescape(piece.html)


async def test_the_code_follows_the_form(desktop: Desktop) -> None:
    form = await opened(desktop)
    shown = await code(form)
    assert "curl -sS" in shown
    assert '"text": "one two three"' in shown
    assert '"parameters"' not in shown
    form["var.text"] = "quite new"
    form["param.temperature"] = "0.9"
    shown = await code(form, model="echo")
    assert '"text": "quite new"' in shown
    assert '"parameters": {\n    "temperature": 0.9\n  }' in shown
    assert '"model": "echo"' in shown


async def test_a_response_can_be_rated(desktop: Desktop) -> None:
    form = await opened(desktop)
    assert "/api/v1/score" not in await code(form)
    assert '"request_id": "abc"' in await code(form, rated="abc")
    assert '"score": 5' in await code(form, rated="abc", rated_stars="0")
    assert '"score": 2' in await code(form, rated="abc", rated_stars="2")


async def test_only_users_with_a_token_see_its_variable(desktop: Desktop) -> None:
    assert "HERDING_TOKEN" not in await code(await opened(desktop))
    shown = await code(await opened(desktop, who=replace(ADA, token="public-part")))
    assert '-H "Authorization: Bearer $HERDING_TOKEN"' in shown
    assert "public-part" not in shown


async def test_unsaved_edits_and_chats_have_a_note(desktop: Desktop) -> None:
    form = await opened(desktop, "chat")
    assert "session_id" in await code(form)
    assert '"message": "hi there"' in await code(form, message="hi there")
    form["messages.0.content"] = "Be brief."
    assert "not saved" in await code(form)


async def test_hostile_texts_stay_text(desktop: Desktop) -> None:
    form = await opened(desktop, "hostile")
    shown = (await desktop.post("engineer/code", **form.fields)).html
    for evil in ("<img", "<script", "${alert", "{{#each"):
        assert evil not in shown
    assert HOSTILE_TEXT in html.unescape(shown)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, "http://inside:7860"),
        ({"referer": "https://x.hf.space/?tab=overview&prompt=a/b"}, "https://x.hf.space"),
        (
            {"referer": "https://x.example/tools/herding/?q=1", "origin": "https://x.example"},
            "https://x.example/tools/herding",
        ),
        ({"referer": "https://evil.example/", "origin": "https://x.example"}, "http://inside:7860"),
        ({"referer": "javascript:alert(1)"}, "http://inside:7860"),
        ({"referer": "https://user@x.example/"}, "http://inside:7860"),
        ({"referer": "http://[bad"}, "http://inside:7860"),
        ({"referer": "http://[::1]:7860/", "origin": "http://[::1]:7860"}, "http://[::1]:7860"),
    ],
)
def test_the_address_is_the_one_that_the_browser_sees(headers: dict[str, str], found: str) -> None:
    assert base_url(headers, "http://inside:7860/") == found


BASE = "https://herding.example:8443/a path/'x'"
TEXT = st.text(max_size=60) | st.text(alphabet="'\"\\$`{}<>/!\n\r\t\0\u2028\u202e\ud800é😀 #&?=%+", max_size=40)
NUMBER = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False).map(
    lambda x: x + 0.0
)
VALUE = TEXT | st.booleans() | NUMBER.map(json_value) | st.lists(TEXT | st.integers(-99, 99), max_size=4)
VARIABLES = st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), VALUE, max_size=5)
PARAMETERS = st.fixed_dictionaries(
    {}, optional={"temperature": st.floats(0, 2), "top_k": st.integers(1, 99), "stop": st.lists(TEXT, min_size=1)}
)
NASTY = {"text": 'It\'s `id` $HOME "x" \\ {{y}}\n</script><!-- \u2028\ud800'}


def infer(variables: Any, parameters: Any, *, token: bool = True) -> ApiCall:
    """A call that runs a prompt."""
    body = {"prompt": "my/prompt", "variables": variables, "model": "org/model", "parameters": parameters}
    return ApiCall(f"{BASE}/api/v1/infer", body, "text", token)


def whole(value: Any) -> Any:
    """`value` with what no encoding can carry in its escaped form, to compare."""
    return json.loads(json.dumps(value))


@given(VARIABLES, PARAMETERS, st.booleans())
@example(NASTY, {}, False)
def test_the_shell_reads_the_curl_call(variables: Any, parameters: Any, token: bool) -> None:
    call = infer(variables, parameters, token=token)
    words = shlex.split(curl(call).replace("\\\n", ""))
    assert words[:3] == ["curl", "-sS", f"{BASE}/api/v1/infer"]
    assert words[-2] == "-d"
    assert json.loads(words[-1]) == whole(call.body)
    assert ("Authorization: Bearer $HERDING_TOKEN" in words) is token
    assert len(words) == (9 if token else 7)


@given(VARIABLES, PARAMETERS, st.booleans())
@example(NASTY, {"stop": ["\n"]}, True)
def test_python_runs_the_httpx_call(variables: Any, parameters: Any, token: bool) -> None:
    call, sent = infer(variables, parameters, token=token), {}

    def post(url: str, **more: Any) -> Any:
        sent.update(url=url, **more)
        return SimpleNamespace(raise_for_status=lambda: None, json=lambda: {"text": "fine"})

    told = run(python(call), httpx=SimpleNamespace(post=post))
    assert told == ["fine"]
    assert sent["url"] == f"{BASE}/api/v1/infer"
    assert whole(sent["json"]) == whole(call.body)
    assert sent.get("headers") == ({"Authorization": "Bearer secret"} if token else None)


@given(VARIABLES, PARAMETERS)
@example(NASTY, {})
def test_javascript_holds_the_body_as_a_literal(variables: Any, parameters: Any) -> None:
    call = infer(variables, parameters)
    text = javascript(call)
    body = re.fullmatch(r".*JSON\.stringify\((.*?)\),\n\}\);\nconst data.*", text, re.DOTALL)
    assert body
    assert json.loads(body[1]) == whole(call.body)
    assert "</" not in text
    assert "<!" not in text
    assert text.encode()  # a page that holds it can be sent


def test_a_rating_is_written_in_every_language() -> None:
    score = ApiCall(f"{BASE}/api/v1/score", {"request_id": "abc", "score": 4}, "score")
    assert json.loads(shlex.split(curl(score))[-1]) == {"request_id": "abc", "score": 4}
    for language, (_, write) in LANGUAGES.items():
        assert '"request_id": "abc"' in write(score), language


NUMBERS = st.from_regex(r" ?-?[0-9]{1,20}(\.[0-9]{0,20})?(e[+-]?[0-9]{1,3})?", fullmatch=True)


@given(st.text(max_size=20) | NUMBERS, st.lists(NUMBERS, max_size=4).map(", ".join))
def test_the_values_of_the_form_mean_what_their_texts_mean(text: str, numbers: str) -> None:
    kinds = {"n": NumberVariable(type="number", required=False), "l": NumberListVariable(type="number_list")}
    dumped = {name: variable.model_dump() for name, variable in kinds.items()}
    made = variable_values(dumped, {"n": text, "l": numbers})
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
    assert variable_values({"v": variable.model_dump()}, {"v": typed}) == sent


def test_without_edits_the_defaults_are_sent() -> None:
    variables = {
        "a": TextVariable(default="é").model_dump(),
        "b": NumberListVariable(type="number_list", default=[1, 2]),
    }
    variables["b"] = variables["b"].model_dump()
    assert variable_values(variables, {}) == {"a": "é", "b": [1, 2]}
    assert variable_values(variables, {"b": initial_value(variables["b"])}) == {"a": "é", "b": [1, 2]}


def test_what_yaml_can_hold_and_json_cannot_becomes_text() -> None:
    held = {"a": float("inf"), "b": datetime.date(2026, 1, 2), "c": 10**30, "d": {1: [None, True]}}
    assert json_value(held) == {"a": "inf", "b": "2026-01-02", "c": str(10**30), "d": {"1": [None, True]}}


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
