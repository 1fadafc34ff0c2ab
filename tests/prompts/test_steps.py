"""The steps of a chain: what a file may say, and what is refused."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from herding.errors import UserError
from herding.prompts.library import Library
from herding.prompts.prompt_file import parse_prompt
from herding.prompts.steps import Step, find_fault, groups, parse_json


def chain(steps: str, more: str = "") -> str:
    variables = "variables: {text: {}, count: {type: integer, default: 1}}"
    return f"name: Chain\n{variables}\n{dedent(more)}steps:\n{dedent(steps)}"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("- {prompt: a, into: x, variables: {t: '{{nope}}'}}", "step 'x' uses 'nope', which is unknown here"),
        ("- {prompt: a, variables: {t: '{{later}}'}, into: x}\n- {prompt: b, into: later}", "uses 'later'"),
        ("- {prompt: a, into: x}\n- {prompt: b, into: x}", "another step has the name 'x'"),
        ("- {prompt: a, into: x}\n- {prompt: b, name: y, into: x}", "'x' is filled by another step"),
        ("- {prompt: a, into: text}\n- {prompt: b}", "'text' is filled by another step, or declared"),
        ("- {prompt: a, name: response, into: x}", "the prompt's own text has the name 'response'"),
        ("- {prompt: a, into: x, when: nope > 1}\n- {prompt: b}", "'nope', which is not declared"),
        ("- {prompt: a, into: x, when: text > 1}\n- {prompt: b}", "cannot be compared"),
        ("- {prompt: a, into: x, when: 'import os'}\n- {prompt: b}", "is not a condition"),
        ("- {prompt: a, into: x, otherwise: '1'}\n- {prompt: b}", "this needs 'when' and 'into'"),
        ("- {prompt: a, into: x, max_items: 3}\n- {prompt: b}", "this needs 'each'"),
        ("- {prompt: a, into: x, each: nope}\n- {prompt: b}", "'nope' is unknown here"),
        ("- {prompt: a, into: x, each: text, max_items: 51}\n- {prompt: b}", "less than or equal to 50"),
        ("- {prompt: a, each: text, into: x}", "can't run for each item"),
        ("- {prompt: a, into: x, group: g}\n- {prompt: b, group: g}", "can't run side by side"),
        (
            "- {prompt: a, into: x, group: g}\n- {prompt: b, into: y}\n- {prompt: c, group: g}",
            "must follow one another",
        ),
        ("- {prompt: a}\n- {prompt: b}", "fills no variable"),
        ("- {prompt: a, into: item}\n- {prompt: b}", "'item' is the item of a repeated step"),
        ("- {prompt: a, into: x}\n- {prompt: b, variables: {t: '{{x.name}}'}}", "name the field under 'fields'"),
        ("- {prompt: a, into: x, wrong: 1}", "this key is not known here"),
        ("- {prompt: a, fields: {x: {path: x, type: date}}}\n- {prompt: b}", "'text', 'number', 'boolean' or 'list'"),
    ],
)
def test_steps_that_do_not_fit_are_refused_with_their_place(steps: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_prompt("chain", chain(steps))
    assert said in caught.value.message
    assert "steps" in caught.value.message


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("checks: {max_words: 3}\n", "Move it to the prompt of the last step"),
        ("parameters: {temperature: 0}\n", "Move it to the prompt of the last step"),
        ("messages: [{role: user, content: '{{x}}'}]\n", "target_models: this key is missing"),
        ("target_models: [m]\nchat: true\nmessages: [{role: user, content: '{{x}}'}]\n", "can't be a chat"),
        ("target_models: [m]\nmessages: [{role: user, content: '{{y}}'}]\n", "{{y}}, which is not declared"),
    ],
)
def test_a_chain_whose_other_parts_do_not_fit_is_refused(more: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_prompt("chain", chain("- {prompt: a, into: x}", more))
    assert said in caught.value.message


def test_fields_are_written_as_they_were() -> None:
    steps = (
        "- {prompt: a, fields: {x: one.0, n: {path: two, type: number}}, when: count > 1}\n- {prompt: b, when: n > 2}"
    )
    prompt = parse_prompt("chain", chain(steps))
    assert prompt.content["steps"][0]["fields"] == {"x": "one.0", "n": {"path": "two", "type": "number"}}
    assert "target_models" not in prompt.content


def step(**given: Any) -> Step:
    return Step.model_validate({"prompt": "a", "into": "x", **given})


def test_fields_come_from_json_also_in_a_block() -> None:
    one = step(
        fields={"name": "who.name", "ages": {"path": "ages", "type": "list"}, "n": {"path": "ages.1", "type": "number"}}
    )
    said = 'Sure!\n```json\n{"who": {"name": "Ada"}, "ages": [1, 2.5, {"a": null}]}\n```\nDone.'
    assert one.filled(said) == {"x": said, "name": "Ada", "ages": [1, 2.5, '{"a": null}'], "n": 2.5}
    assert step(fields={"b": "a"}).filled('{"a": {"b": [1]}}')["b"] == '{"b": [1]}'
    assert step(fields={"b": "a"}).filled('{"a": null}')["b"] == ""


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("missing", "has no field 'missing'"),
        ("list.9", "has no field 'list.9'"),
        ({"path": "word", "type": "number"}, "is not a number"),
        ({"path": "yes", "type": "number"}, "is not a number"),
        ({"path": "word", "type": "list"}, "is not a list"),
        ({"path": "word", "type": "boolean"}, "is not a boolean"),
    ],
)
def test_a_field_that_is_missing_or_of_another_type_is_named(field: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        step(fields={"f": field}).filled('{"word": "a", "yes": true, "list": [1]}')


def test_values_keep_their_types_and_text_is_inserted_once() -> None:
    values = {"n": 3, "names": ["{{n}}", "b"], "yes": True}
    given = step(variables={"one": "{{n}}", "all": " {{ names }} ", "text": "{{names}}!", "fixed": 7}).given(values)
    assert given == {"one": 3, "all": ["{{n}}", "b"], "text": "{{n}}\nb!", "fixed": 7}


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (["a", "b"], ["a", "b"]),
        ('["a", {"b": 1}]', ["a", '{"b": 1}']),
        ("one\n\n two \n", ["one", "two"]),
        ("", []),
        ([1, 2.5], [1, 2.5]),
    ],
)
def test_items_of_a_list_of_json_and_of_lines(value: Any, items: list[Any]) -> None:
    assert step(each="list").items({"list": value}) == items


def test_skipped_outputs_are_empty_by_their_type_or_otherwise() -> None:
    skipped = step(
        when="1 < 2",
        otherwise="{{text}}?",
        fields={"n": {"path": "n", "type": "number"}, "b": {"path": "b", "type": "boolean"}, "t": "t"},
    )
    assert skipped.skipped({"text": "a"}) == {"x": "a?", "n": 0, "b": False, "t": ""}
    assert step(each="list", when="1 < 2").skipped({}) == {"x": []}


def test_neighbors_of_a_group_run_side_by_side() -> None:
    steps = [step(group=name, into=f"x{n}") for n, name in enumerate([None, "a", "a", "b", None, None])]
    assert [len(group) for group in groups(steps)] == [1, 2, 1, 1, 1]


def test_cycles_depth_and_missing_prompts_are_found() -> None:
    def steps_of(**of: list[str]) -> dict[str, list[Step]]:
        return {key: [step(prompt=one) for one in ones] for key, ones in of.items()}

    assert find_fault("a", steps_of(a=["b@prod", "c"], b=[], c=["b"])) is None
    assert find_fault("a", steps_of(a=["a@3"])) == "the chain runs itself: a -> a"
    assert find_fault("a", steps_of(a=["b"], b=["c"], c=["b"])) == "the chain runs itself: b -> c -> b"
    assert find_fault("a", steps_of(a=["b"], b=["c"], c=["d"], d=[])) is None
    deep = find_fault("a", steps_of(a=["b"], b=["c"], c=["d"], d=["e"], e=[]))
    assert deep == "the chain has more than 3 levels: a -> b -> c -> d"
    assert find_fault("a", steps_of(a=["nope"])) == "step 'x' of 'a': there is no prompt 'nope'"


def test_a_file_with_a_cycle_is_refused_at_load_and_the_others_load(tmp_path: Path) -> None:
    for key, below in {"one": "two", "two": "one", "fine": "plain"}.items():
        (tmp_path / f"{key}.yaml").write_text(f"name: {key}\nsteps: [{{prompt: {below}}}]\n")
    (tmp_path / "plain.yaml").write_text("name: Plain\ntarget_models: [m]\nprompt: hi\n")
    library = Library(tmp_path)
    snapshot = library.refresh()
    assert sorted(snapshot.prompts) == ["fine", "plain"]
    assert sorted(error.reason for error in snapshot.broken) == [
        "the chain runs itself: one -> two -> one",
        "the chain runs itself: two -> one -> two",
    ]
    assert {error.key for error in snapshot.broken} == {"steps"}
    (tmp_path / "two.yaml").write_text("name: Two\ntarget_models: [m]\nprompt: hi\n")
    assert sorted(library.refresh().prompts) == ["fine", "one", "plain", "two"]


def test_json_that_is_none_is_refused() -> None:
    numbers = ("NaN", "-Infinity", '{"a": [1e999]}', "9" * 5_000)
    for text in ("no", "```\nno\n```", "[" * 100_000, *numbers):
        with pytest.raises(UserError, match="not JSON"):
            parse_json(text)
